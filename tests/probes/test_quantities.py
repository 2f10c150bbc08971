"""What probes measure, each by itself: against NumPy, and by what must hold whatever the numbers are."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.probes import quantities as q

EVEN = np.full(50, 1 / 50)


def drawn(seed=0, n=50, width=7):
    """Values of some samples, and shares of them of which a few are 0."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0, 1, n)
    weight[::9] = 0
    return rng.normal(2, 3, (n, width)), weight / weight.sum()


def test_moments_of_a_picture_are_those_of_all_its_numbers(on):
    values = np.random.default_rng(0).normal(2, 3, (50, 4, 5))
    found = on(q.moments, values, EVEN)
    np.testing.assert_allclose(found, [values.mean(), values.std(), np.sqrt(np.square(values).mean())])


def test_a_heavier_row_counts_as_often_as_it_weighs(on):
    values, _ = drawn(n=4)
    repeated = values[[0, 0, 0, 1, 2, 2]]
    share = np.array([3, 1, 2, 0]) / 6
    for measure in (q.moments, q.effective_rank, q.estimate):
        one, other = (values[:, 0], repeated[:, 0]) if measure is q.estimate else (values, repeated)
        found = on(measure, one, share)
        expected = on(measure, other, np.full(6, 1 / 6))
        if measure is q.estimate:
            # The variance of a mean is that of the rows that there are.
            found = found[:1]
            expected = expected[:1]
        np.testing.assert_allclose(found, expected)


def test_rows_without_weight_are_nowhere_seen(on):
    values, share = drawn()
    spoilt = np.where(share[:, None] > 0, values, 1e6)
    for measure in (q.moments, q.largest, q.alive, q.effective_rank):
        np.testing.assert_allclose(on(measure, spoilt, share), on(measure, values, share))
    saturated = on(q.saturated, np.where(share[:, None] > 0, values, 0.0), 1.0, share)
    assert saturated == pytest.approx(share @ (np.abs(values) < q.SATURATED).mean(axis=1))


@pytest.mark.parametrize("shape", [(50, 7), (5, 30)], ids=["more rows", "more units"])
def test_effective_rank_is_the_participation_ratio_of_the_eigenvalues(on, shape):
    values, share = drawn(n=shape[0], width=shape[1])
    eigenvalues = np.linalg.eigvalsh(np.cov(values.T, aweights=share, bias=True))
    assert on(q.effective_rank, values, share) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def test_effective_rank_lies_between_one_and_the_number_of_directions():
    rng = np.random.default_rng(1)
    for rank in (1, 3, 6):
        values = rng.normal(size=(50, rank)) @ rng.normal(size=(rank, 7))
        assert 1 - 1e-9 <= q.effective_rank(values, EVEN) <= rank + 1e-9
    with np.errstate(all="ignore"):
        for value in (0.0, 1.0, -0.7, 3e5):
            assert np.isnan(q.effective_rank(np.full((50, 7), value), EVEN))
            assert np.isnan(q.effective_rank(np.full((50, 7), value, dtype=np.float32), EVEN.astype(np.float32)))


@pytest.mark.parametrize("seed", range(5))
def test_histogram_is_that_of_numpy(on, seed):
    values, share = drawn(seed)
    counts = (share[:, None] > 0) & np.ones_like(values, dtype=bool)
    found = on(q.histogram, values, counts)
    expected, edges = np.histogram(values[share > 0], bins=q.BINS)
    np.testing.assert_allclose(found.shares, expected / expected.sum())
    assert (found.low, found.high) == (edges[0], edges[-1])


def test_histogram_of_many_numbers_takes_every_second_or_third_row():
    values = np.random.default_rng(0).normal(size=(200, 50))
    found = q.histogram(values, np.ones_like(values, dtype=bool))
    expected, edges = np.histogram(values[::2], bins=q.BINS)
    np.testing.assert_allclose(found.shares, expected / expected.sum())
    assert (found.low, found.high) == (edges[0], edges[-1])


def test_histogram_of_equal_numbers_and_of_none():
    values = np.full((4, 2), 3.0)
    found = q.histogram(values, np.ones_like(values, dtype=bool))
    assert (found.shares[0], found.low, found.high) == (1.0, 3.0, 3.0)
    with np.errstate(all="ignore"):
        assert np.isnan(q.histogram(values, np.zeros_like(values, dtype=bool)).shares).all()


def test_cosine_stays_within_its_ends_and_degrees_are_those_of_a_protractor(on):
    rng = np.random.default_rng(0)
    for _ in range(20):
        a = rng.normal(size=9)
        assert on(q.cosine, a @ (3 * a), a @ a, 9 * (a @ a)) <= 1
        b = rng.normal(size=9)
        expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert on(q.cosine, a @ b, a @ a, b @ b) == pytest.approx(expected)
    np.testing.assert_allclose(on(q.degrees, np.array([1.0, 0.5, 0.0, -1.0])), [0, 60, 90, 180])


def test_products_over_a_tree_are_those_of_one_long_vector(on):
    rng = np.random.default_rng(0)
    a, b = (((rng.normal(size=(3, 4)), rng.normal(size=4)), (), (rng.normal(size=2),)) for _ in range(2))
    one, other = (np.concatenate([np.ravel(tree[0][0]), tree[0][1], tree[2][0]]) for tree in (a, b))
    assert on(q.square, a) == pytest.approx(one @ one)
    assert on(q.dot, a, b) == pytest.approx(one @ other)


def test_gradient_variance_is_that_of_the_samples_gradients_written_out(on):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4))
    delta = rng.normal(size=(50, 3))
    _, share = drawn()
    delta = np.where(share[:, None] > 0, delta, 0)
    used = share > 0
    own = delta[used] / share[used, None]
    each = np.concatenate([(x[used, :, None] * own[:, None, :]).reshape(used.sum(), -1), own], axis=1)
    mean = share[used] @ each
    expected = share[used] @ np.square(each - mean).sum(axis=1)
    assert on(q.gradient_variance, x, delta, share, mean @ mean) == pytest.approx(expected)


def test_gradient_variance_of_an_ensemble_is_the_sum_of_its_members(on):
    rng = np.random.default_rng(1)
    x, delta = rng.normal(size=(50, 2, 4)), rng.normal(size=(50, 2, 3))
    alone = [on(q.gradient_variance, x[:, member], delta[:, member], EVEN, 1.5) for member in range(2)]
    assert on(q.gradient_variance, x, delta, EVEN, 3.0) == pytest.approx(sum(map(float, alone)))


def test_gradient_variance_of_equal_samples_is_zero_and_never_less(on):
    x = np.full((50, 3), 0.1)
    delta = np.full((50, 2), 0.3) / 50
    mean = np.concatenate([np.outer(x[0], delta[0] * 50).ravel(), delta[0] * 50])
    found = on(q.gradient_variance, x, delta, EVEN, mean @ mean)
    assert 0 <= found < 1e-15


def test_variance_of_a_mean_is_how_much_means_of_batches_differ(on):
    rng = np.random.default_rng(0)
    values = rng.normal(1, 2, (4000, 20))
    means, variances = zip(*(q.estimate(row, np.full(20, 1 / 20)) for row in values), strict=True)
    # The variance within a batch is (n - 1)/n of the true one.
    assert np.mean(variances) * 20 / 19 == pytest.approx(np.var(means), rel=0.05)


def parabola(a, b, c, variance=0.0):
    """f(0), f'(0), f(1), f'(1) of a t²/2 + b t + c, as measured without noise, but held for noisy."""
    ends = c, b, a / 2 + b + c, a + b
    return [q.Estimate(np.array(value), np.array(variance)) for value in ends]


@pytest.mark.parametrize("variance", [0.0, 2.0])
@pytest.mark.parametrize(
    ("a", "b", "alpha"), [(4.0, -2.0, 1.0), (2.0, -2.0, 0.0), (1.0, -2.0, -0.5), (0.0, -2.0, -1.0), (-1.0, -2.0, -1.5)]
)
def test_on_a_parabola_the_step_ends_where_it_ends(on, a, b, alpha, variance):
    assert on(q.step_length, *parabola(a, b, 7.0, variance)) == pytest.approx(alpha)


def test_the_most_likely_parabola_is_the_least_squares_fit(on):
    """Values and slopes by their variances, under the constraint of a parabola: by a solver of its own."""
    rng = np.random.default_rng(0)
    # Unknown a, b, c; rows say f(0), f'(0), f(1), f'(1).
    rows = np.array([[0, 0, 1], [0, 1, 0], [0.5, 1, 1], [1, 1, 0]])
    for _ in range(10):
        values = rng.normal(size=4)
        variances = rng.uniform(0.1, 2, 4)
        scale = 1 / np.sqrt(variances)
        a, b, _ = np.linalg.lstsq(rows * scale[:, None], values * scale, rcond=None)[0]
        ends = [q.Estimate(np.array(v), np.array(s)) for v, s in zip(values, variances, strict=True)]
        assert on(q.step_length, *ends) == pytest.approx(-(a + b) / b)


def test_the_units_of_pictures_are_their_channels_and_each_pixel_counts(on):
    rng = np.random.default_rng(0)
    weights = np.array([0.5, 0.0, 0.5])
    pictures = rng.normal(size=(3, 4, 2, 5))
    pixels = np.concatenate([pictures[0], pictures[2]]).reshape(-1, 5)
    spread = np.linalg.eigvalsh(np.cov(pixels.T, bias=True))
    expected = spread.sum() ** 2 / (spread**2).sum()
    np.testing.assert_allclose(on(q.effective_rank, pictures, weights), expected, rtol=1e-6)

    slopes = np.zeros((3, 4, 2, 5))
    # The second sample is padding.
    slopes[2, 3, 1, 1] = slopes[1, 0, 0, 4] = slopes[0, 0, 1, 2] = 1.0
    assert on(q.alive, slopes, weights).tolist() == [False, True, True, False, False]
    np.testing.assert_allclose(on(q.dead, slopes, weights), 3 / 5)
