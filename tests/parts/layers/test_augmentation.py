"""Random changes of pictures, against scipy.ndimage and numbers that are known without them."""

import numpy as np
import pytest
import scipy.ndimage

from thalweg import layers
from thalweg.core.noise import Noise, noise_key
from thalweg.parts.part import ForwardContext

KINDS = [
    layers.RandomTranslation(3),
    layers.RandomRotation(20.0),
    layers.ElasticTransform(),
    layers.RandomFlip(),
    layers.RandomErasing(3),
]


def context(step=0, seed=0):
    return ForwardContext(training=True, noise=Noise(noise_key(seed), np.array(step)))


def changed(part, x, mode=None):
    return part.forward((), (), x, mode or context())[0]


def pictures(n=40, height=12, width=15, channels=2):
    return np.random.default_rng(0).normal(size=(n, height, width, channels))


@pytest.mark.parametrize("part", KINDS, ids=lambda part: part.kind)
def test_each_sample_and_each_step_has_its_own_change(part):
    x = np.tile(pictures(1), (20, 1, 1, 1))
    y = changed(part, x)
    assert len({own.tobytes() for own in y}) > 1
    assert (changed(part, x, context(step=1)) != y).any()
    np.testing.assert_array_equal(changed(part, x), y)


@pytest.mark.parametrize("part", KINDS, ids=lambda part: part.kind)
def test_prediction_passes_pictures_on(part):
    x = pictures()
    np.testing.assert_array_equal(changed(part, x, ForwardContext(training=False)), x)


@pytest.mark.parametrize("part", KINDS, ids=lambda part: part.kind)
def test_all_channels_of_a_picture_change_in_the_same_way(part):
    x = np.repeat(pictures(channels=1), 3, axis=3)
    y = changed(part, x)
    np.testing.assert_array_equal(y, np.repeat(y[..., :1], 3, axis=3))


def test_a_translation_is_scipys_shift_and_reaches_each_distance():
    x = pictures(400)
    y = changed(layers.RandomTranslation(2), x)
    found = set()
    for before, after in zip(x[..., 0], y[..., 0], strict=True):
        shifts = [
            (a, b)
            for a in range(-2, 3)
            for b in range(-2, 3)
            if np.allclose(scipy.ndimage.shift(before, (a, b), order=1, mode="nearest"), after)
        ]
        assert len(shifts) == 1
        found.update(shifts)
    assert len(found) == 25


def angles(part, n):
    """The angles that a rotation draws, from what it makes of a slope along the rows."""
    slope = np.broadcast_to(np.arange(-10.0, 11)[None, :, None, None], (n, 21, 21, 1))
    y = changed(part, slope)[..., 0]
    return np.degrees(np.arctan2(y[:, 10, 9] - y[:, 10, 11], y[:, 11, 10] - y[:, 9, 10]))


def test_angles_of_a_rotation_are_uniform():
    drawn = angles(layers.RandomRotation(30.0), 2000)
    assert abs(drawn).max() <= 30
    assert abs(drawn.mean()) < 4 * 30 / np.sqrt(3 * 2000)
    assert drawn.std() == pytest.approx(30 / np.sqrt(3), rel=0.05)


def test_a_rotation_turns_a_linear_picture_exactly():
    part = layers.RandomRotation(25.0)
    r, q = np.mgrid[-10:11, -10:11].astype(float)
    x = np.broadcast_to((2 * r + 3 * q + 1)[None, :, :, None], (5, 21, 21, 1))
    inside = np.hypot(r, q) < 7
    for angle, y in zip(np.radians(angles(part, 5)), changed(part, x)[..., 0], strict=True):
        sine, cosine = np.sin(angle), np.cos(angle)
        expected = 2 * (r * cosine - q * sine) + 3 * (r * sine + q * cosine) + 1
        np.testing.assert_allclose(y[inside], expected[inside], rtol=1e-9, atol=1e-9)


def test_a_rotation_of_a_smooth_picture_is_scipys():
    part = layers.RandomRotation(25.0)
    r, q = np.mgrid[-10:11, -10:11].astype(float)
    blobs = np.exp(-((r - 4) ** 2 + q**2) / 18) + 0.5 * np.exp(-(r**2 + (q + 5) ** 2) / 18)
    x = np.broadcast_to(blobs[None, :, :, None], (5, 21, 21, 1))
    for angle, y in zip(angles(part, 5), changed(part, x)[..., 0], strict=True):
        expected = scipy.ndimage.rotate(blobs, -angle, reshape=False, order=3, mode="nearest")
        assert abs(y - expected)[2:-2, 2:-2].max() < 0.03
        # A rotation to the other side is far from it.
        other = scipy.ndimage.rotate(blobs, angle, reshape=False, order=3, mode="nearest")
        assert abs(angle) < 3 or abs(y - other).max() > 0.05


def test_an_elastic_transform_moves_by_a_smooth_field_of_the_stated_size():
    part = layers.ElasticTransform(40.0, 4.0)
    slope = np.broadcast_to(1000.0 + np.arange(80.0)[None, None, :, None], (30, 80, 80, 1))
    moved = (changed(part, slope) - slope)[:, 20:-20, 20:-20, 0]
    assert moved.std() == pytest.approx(0.163 * 40 / 4, rel=0.1)
    # Neighbours move together: scipy smooths white noise in the same way.
    noise = np.random.default_rng(0).uniform(-1, 1, (30, 80, 80))
    smooth = 40 * scipy.ndimage.gaussian_filter(noise, (0, 4, 4), truncate=8)[:, 20:-20, 20:-20]
    assert np.diff(moved, axis=2).std() == pytest.approx(np.diff(smooth, axis=2).std(), rel=0.2)


@pytest.mark.parametrize(("mode", "axis"), [("horizontal", 2), ("vertical", 1)])
def test_half_of_the_pictures_are_mirrored(mode, axis):
    x = pictures(400)
    y = changed(layers.RandomFlip(mode), x)
    mirrored = (y == np.flip(x, axis)).all(axis=(1, 2, 3))
    kept = (y == x).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / np.sqrt(400)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_square_of_the_stated_size_and_rate_is_erased(size):
    y = changed(layers.RandomErasing(size, 0.6), np.ones((3000, 9, 11, 1)))[..., 0]
    erased = (y == 0).sum(axis=(1, 2))
    assert erased.max() == size**2
    assert abs((erased > 0).mean() - 0.6) < 4 * np.sqrt(0.24 / 3000)
    for own in y[erased > 0]:
        rows, columns = np.nonzero(own == 0)
        assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows)
    # Each pixel of the picture may be erased.
    assert (y == 0).any(axis=0).all()


def test_a_network_with_changed_pictures_trains_the_same_on_both_engines():
    import thalweg

    x = np.random.default_rng(0).random((24, 8, 8))
    y = np.arange(24) % 2
    changes = [
        "random_translation 1",
        "random_rotation 10.0",
        "elastic_transform 5.0 2.0",
        "random_flip",
        "random_erasing 2",
    ]
    network = [*changes, "conv2d 2", "relu", "flatten", "dense 2", "softmax"]
    runs = [
        thalweg.train(network, (x, y), epochs=1, engine=engine, precision="float64", progress=False, probes="off")
        for engine in ("eager", "compiled")
    ]
    for eager, compiled in zip(runs[0].params[-2], runs[1].params[-2], strict=True):
        np.testing.assert_allclose(eager, compiled, rtol=1e-10)
