"""Statistics of faults in single rows and columns: what chance does, and what is found where it was planted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f_oneway

from thalweg.doctor.rows import row_faults as rf


def rows(seed, n=300, columns=5):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, columns))
    return rng, x, (np.sin(2 * x[:, 0]) + x[:, 1] ** 2 + 0.2 * rng.standard_normal(n))[:, None]


# Atoms ----------------------------------------------------------------------------------------------------------------

HEALTHY_COLUMNS = {
    "normal": lambda rng: rng.standard_normal(500),
    "rounded": lambda rng: rng.standard_normal(500).round(2),
    "counts": lambda rng: rng.poisson(0.5, 500),
    "large counts": lambda rng: rng.poisson(40, 500),
    "ratings": lambda rng: rng.integers(1, 6, 500),
    "prices": lambda rng: np.exp(rng.standard_normal(500)).round(1),
    "two values": lambda rng: rng.random(500) < 0.9,
    "zero-inflated counts": lambda rng: np.where(rng.random(500) < 0.7, 0, rng.poisson(6, 500)),
}


@pytest.mark.parametrize("name", HEALTHY_COLUMNS)
def test_ordinary_columns_have_no_atom(name):
    for seed in range(20):
        assert rf.atom(HEALTHY_COLUMNS[name](np.random.default_rng(seed)).astype(float)) is None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_value_filled_into_a_continuous_column_is_an_atom(share):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        filled = rng.random(500) < share
        value, found = rf.atom(np.where(filled, 0.25, rng.standard_normal(500)))
        assert value == 0.25
        assert found == pytest.approx(filled.mean())


def test_inputs_tell_of_measured_zeros_but_not_of_filled_in_values():
    rng, x, t = rows(0, 600)
    at_random = np.where(rng.random((600, 1)) < 0.5, 0.0, t)
    measured = np.where(x[:, [2]] < 0, 0.0, t)
    filled, real = (rf.filled_targets(x, targets) for targets in (at_random, measured))
    assert filled.told.value < 0.5 + 2 * filled.told.error
    assert real.told.value > 0.9
    assert filled.others.value > 0.5
    assert rf.filled_targets(x, t) is None


# Steps ----------------------------------------------------------------------------------------------------------------


def slipped(targets, by, begin=0):
    """Targets of which those from `begin` on belong to the row `by` rows before."""
    moved = targets.copy()
    moved[begin:] = np.roll(targets, by, axis=0)[begin:]
    return moved


def series(rng, n, targets_of):
    """An autoregressive series with its last three values as inputs."""
    s = np.zeros(n + 100)
    for i in range(2, len(s)):
        s[i] = 0.5 * s[i - 1] + 0.4 * s[i - 2] + rng.standard_normal()
    s = s[-n - 4 :]
    x = np.stack([s[i : n + i] for i in range(3)], axis=1)
    return x, targets_of(s, n)[:, None]


@pytest.mark.slow
def test_rows_in_step_are_seldom_found_out_of_step():
    """Of 300 sets none: rows at random, noise, classes in turn, and series."""
    found = []
    for seed in range(75):
        rng, x, t = rows(seed)
        noise = rng.standard_normal((300, 1))
        turns = np.eye(3)[np.arange(300) % 3]
        apart = x + 3 * np.pad(turns, ((0, 0), (0, 2)))
        found += [rf.out_of_step(x, targets, "regression") for targets in (t, noise)]
        found.append(rf.out_of_step(apart, turns, "classification"))
        found.append(rf.out_of_step(*series(rng, 300, lambda s, n: s[3 : n + 3]), "regression"))
    assert sum(one is not None for one in found) == 0


@pytest.mark.parametrize("by", [1, 2, -1])
@pytest.mark.parametrize("begin", [0, 200])
def test_targets_that_slipped_are_found_with_the_shift_that_undoes_it(by, begin):
    found = []
    for seed in range(10):
        _, x, t = rows(seed, 600)
        found.append(rf.out_of_step(x, slipped(t, by, begin), "regression"))
    assert sum(one is not None and one.by == by for one in found) >= 9


def test_a_random_half_of_the_rows_still_shows_a_slip_of_classes():
    rng = np.random.default_rng(3)
    classes = rng.integers(0, 4, 1200)
    x = 4 * np.eye(4)[classes] + rng.standard_normal((1200, 4))
    kept = np.sort(rng.permutation(1200)[:900])
    shift = rf.out_of_step(x[kept], np.eye(4)[slipped(classes, 1)][kept], "classification")
    assert shift.by == 1
    assert shift.score > shift.chance > shift.own - 0.1


# Targets far away -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["normal", "t3", "lognormal"])
def test_tails_have_no_gap_that_chance_does_not_explain(tail):
    for seed in range(8):
        rng, x, t = rows(seed, 200)
        noise = {
            "normal": rng.standard_normal(200),
            "t3": rng.standard_t(3, 200),
            "lognormal": np.exp(1.5 * rng.standard_normal(200)),
        }[tail]
        found = rf.far_targets(x, t + noise[:, None])
        assert found is None or found.chance > 0.001


@pytest.mark.parametrize("size", [60.0, 1e4])
def test_exactly_the_targets_that_were_spoiled_are_far(size):
    for seed in range(5):
        rng, x, t = rows(seed)
        spoiled = rng.choice(300, 5, replace=False)
        t[spoiled] = size * t.std() * rng.choice([-1.0, 1.0], (5, 1))
        found = rf.far_targets(x, t)
        assert set(found.rows) == set(spoiled)
        assert found.chance < 1e-3
        assert found.part > 0.9


def test_the_probability_of_a_gap_is_that_of_a_tail():
    """Of samples whose distances have P(D > d) = (10 / d)², chance gives as small a probability as it says."""
    rng = np.random.default_rng(0)
    chances = []
    for _ in range(2000):
        distance = np.sort(10 / np.sqrt(rng.random(20)))[::-1]
        # Only the five largest of a hundred rows are compared.
        chances.append(rf._gap(np.append(distance, np.ones(80)))[1])
    for level in (0.01, 0.1):
        assert np.mean(np.array(chances) <= level) <= 1.3 * level


# Columns --------------------------------------------------------------------------------------------------------------


def test_the_share_of_related_columns_of_noise_is_the_level():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((400, 400))
    share = 1 - len(rf.unrelated_columns(x, rng.standard_normal((400, 1)))) / 400
    assert share == pytest.approx(0.05, abs=0.03)


def test_related_columns_are_those_with_a_small_p_value_of_an_analysis_of_variance():
    _, x, t = rows(2, 320)
    unrelated = set(rf.unrelated_columns(x, t))
    for column in range(x.shape[1]):
        parts = np.split(t[np.argsort(x[:, column]), 0], 8)
        assert (column in unrelated) == (f_oneway(*parts).pvalue > 0.05)


def test_inputs_kept_as_few_whole_numbers_are_coarse_and_others_are_not():
    rng, x, t = rows(4)
    coarse = rf.coarse_inputs(np.floor(x / 2.0), t, "regression")
    assert coarse.columns == 5
    assert coarse.best < 0.9
    for healthy in (x, x.round(1), rng.integers(0, 9, (300, 5)), rng.integers(0, 2, (300, 5))):
        assert rf.coarse_inputs(healthy.astype(float), t, "regression") is None
