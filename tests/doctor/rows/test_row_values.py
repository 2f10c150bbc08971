"""Values apart, edges, magnitudes and targets of unlike size: what is found where it was planted, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.doctor.rows import row_values as rv

ORDINARY = {
    "normal": lambda rng: rng.standard_normal(400),
    "heavy tails": lambda rng: rng.standard_t(2, 400),
    "prices": lambda rng: np.exp(2 * rng.standard_normal(400)),
    "counts": lambda rng: rng.poisson(2.0, 400),
    "zero-inflated counts": lambda rng: np.where(rng.random(400) < 0.7, 0, rng.poisson(6, 400)),
    "zero-inflated amounts": lambda rng: np.where(rng.random(400) < 0.5, 0, rng.gamma(2.0, 30.0, 400)),
    "ratings": lambda rng: rng.integers(1, 6, 400),
    "yes or no": lambda rng: rng.random(400) < 0.1,
    "pixels": lambda rng: np.clip(rng.normal(0.2, 0.5, 400), 0, 1),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_columns_have_no_value_apart(name):
    for seed in range(20):
        assert rv.value_apart(ORDINARY[name](np.random.default_rng(seed)).astype(float)) is None


MEASURED = {
    "weights": lambda rng: rng.normal(70.0, 9.0, 400),
    "ages": lambda rng: rng.integers(18, 90, 400).astype(float),
    "amounts": lambda rng: rng.gamma(2.0, 30.0, 400),
}


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("mark", [-999.0, 9999.0])
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_a_mark_for_missing_values_lies_apart_in_every_unit(name, mark, share):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        missing = rng.random(400) < share
        values = np.where(missing, mark, MEASURED[name](rng))
        found = rv.value_apart(values)
        assert found == (mark, pytest.approx(missing.mean()))
        assert rv.value_apart(values / 7 - 3)[1] == pytest.approx(missing.mean())


def test_few_rows_far_away_are_no_mark():
    assert rv.value_apart(np.append(np.linspace(0, 1, 400), [50.0] * 3)) is None


def test_a_limit_of_the_targets_is_found_at_either_end():
    t = np.random.default_rng(0).standard_normal((500, 2))
    assert rv.edge(t) is None
    upper = rv.edge(np.column_stack([t[:, 0], np.minimum(t[:, 1], 0.5)]))
    assert (upper.atom.column, upper.atom.value, upper.is_upper) == (1, 0.5, True)
    assert upper.atom.share == pytest.approx(np.mean(t[:, 1] >= 0.5))
    assert not rv.edge(np.maximum(t[:, :1], -0.5)).is_upper
    # A frequent value in the middle is no limit.
    assert rv.edge(np.where(np.arange(500)[:, None] % 3, t[:, :1], 0.1)) is None


def spread(decades):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((400, 3))
    return x, 10.0 ** (decades / 3.3 * x[:, [0]])


def test_magnitudes_are_counted_and_scored_in_logarithms():
    x, t = spread(6)
    exact = np.zeros(1)
    found = rv.magnitudes(x, t, t * 1.01, exact, 3.0)
    assert found.decades == pytest.approx(np.log10(np.quantile(t, 0.95) / np.quantile(t, 0.05)), rel=0.05)
    assert found.score > 0.999
    assert found.attainable.value > 0.9
    # A constant output, however near to the mean, knows nothing of magnitudes.
    assert rv.magnitudes(x, t, np.full(t.shape, t.mean()), exact, 3.0).score < 0
    narrow = spread(2)
    assert rv.magnitudes(*narrow, narrow[1], exact, 3.0) is None
    assert rv.magnitudes(x, t - 1, t, exact, 3.0) is None


def test_zeros_have_no_magnitude():
    x, t = spread(6)
    zeros = np.where(np.arange(400)[:, None] % 2, t, 0.0)
    assert rv.magnitudes(x, zeros, zeros, np.zeros(1), 3.0).decades == pytest.approx(6, rel=0.1)
    mostly = np.where(np.arange(400)[:, None] % 10, 0.0, t)
    assert rv.magnitudes(x, mostly, mostly, np.zeros(1), 3.0) is None


def test_each_target_has_its_own_score():
    x = np.random.default_rng(2).standard_normal((300, 2))
    t = x * [1.0, 0.01]
    large, small = rv.target_scores(x, t, t * [1.0, 0.0])
    assert (large.deviation, large.score) == (1.0, 1.0)
    assert small.deviation == pytest.approx(0.01, rel=0.2)
    assert small.score == pytest.approx(0, abs=0.02)
    # The size of a target makes no difference to the reference learner.
    assert small.attainable.value == pytest.approx(large.attainable.value, abs=0.03)
    assert rv.target_scores(x, t[:, :1], t[:, :1]) == rv.target_scores(x, x, x) == ()
    assert rv.target_scores(x[:90], t[:90], t[:90]) == ()
