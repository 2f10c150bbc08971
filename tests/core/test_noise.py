"""Streams of random numbers: the generator against its published answers, and streams apart from one another."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from thalweg.core.noise import Noise, noise_key, threefry


def words(*numbers: int) -> tuple[np.ndarray, ...]:
    return tuple(np.array([number], np.uint32) for number in numbers)


def drawn(draw: str, step: int, place: tuple[int, ...], shape: tuple[int, ...], seed: int = 0, **options) -> np.ndarray:
    return getattr(Noise(noise_key(seed), np.array(step), place), draw)(shape, **options)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_threefry_gives_the_answers_of_random123(counter, key, expected, on):
    # The lines "threefry2x32 20" of its file kat_vectors.
    found = on(lambda k, c: threefry(k, c), words(*key), words(*counter))
    assert tuple(int(word[0]) for word in found) == expected


def test_threefry_is_jaxs(on):
    rng = np.random.default_rng(0)
    key = rng.integers(2**32, size=2, dtype=np.uint32)
    counter = rng.integers(2**32, size=100, dtype=np.uint32)
    expected = np.asarray(threefry_2x32(key, counter))
    found = on(lambda k, c: threefry((k[:1], k[1:]), (c[:50], c[50:])), key, counter)
    np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("step", [0, 7, 2**31 - 1])
def test_a_step_draws_the_same_numbers_on_every_kind_of_array(step, on):
    def draws(key, step):
        noise = Noise(key, step).at(3).at(1)
        return noise.bits((3, 5)), noise.uniform((3, 5), np.float32), noise.normal((3, 5), np.float64)

    key = noise_key(5)
    bits, even, normal = on(draws, key, np.array(step, np.int32))
    expected = draws(key, np.array(step))
    assert (bits.dtype, even.dtype, normal.dtype) == (np.uint32, np.float32, np.float64)
    np.testing.assert_array_equal(bits, expected[0])
    np.testing.assert_array_equal(even, expected[1])
    np.testing.assert_allclose(normal, expected[2], rtol=1e-12, atol=1e-14)


def test_both_precisions_draw_the_same_even_numbers():
    single, double = (drawn("uniform", 0, (), (999,), dtype=dtype) for dtype in (np.float32, np.float64))
    np.testing.assert_array_equal(single, double)


def test_even_numbers_are_even_and_normal_ones_normal():
    even = drawn("uniform", 0, (), (20000,), dtype=np.float64)
    assert even.min() >= 0
    assert even.max() < 1
    assert stats.kstest(even, "uniform").pvalue > 0.01
    normal = drawn("normal", 0, (), (20000,), dtype=np.float64)
    assert stats.kstest(normal, "norm").pvalue > 0.01
    # Neighbours in the array have nothing to do with one another.
    assert abs(np.corrcoef(normal[1:], normal[:-1])[0, 1]) < 4 / np.sqrt(20000)


def test_every_bit_is_one_half_of_the_time():
    bits = drawn("bits", 0, (), (20000,))
    shares = [((bits >> place) & 1).mean() for place in range(32)]
    np.testing.assert_allclose(shares, 0.5, atol=4.5 * 0.5 / np.sqrt(20000))


def test_neighbouring_steps_places_and_seeds_are_independent():
    n = 5000
    streams = [
        drawn("normal", step, place, (n,), seed=seed, dtype=np.float64)
        for step, place, seed in [(0, (), 0), (1, (), 0), (2, (), 0), (0, (1,), 0), (0, (0, 1), 0), (0, (), 1)]
    ]
    for one, other in itertools.combinations(streams, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / np.sqrt(n)


def test_no_two_steps_and_places_begin_alike():
    places = [(), (0,), (1,), (0, 1), (1, 0), (0, 0, 1), (10,), (1, 0, 1)]
    firsts = {tuple(drawn("bits", step, place, (2,))) for step in range(200) for place in places}
    assert len(firsts) == 200 * len(places)


def test_a_longer_array_begins_as_a_shorter_one_does():
    np.testing.assert_array_equal(drawn("bits", 0, (), (3, 5)).ravel(), drawn("bits", 0, (), (99,))[:15])


def test_keys_differ_by_the_seed():
    assert len({tuple(noise_key(seed)) for seed in range(100)}) == 100
