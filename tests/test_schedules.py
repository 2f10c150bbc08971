"""Every schedule against an independent form; boundaries, arrays of steps, and durations in words."""

from __future__ import annotations

import numpy as np
import pytest

from parts_table import SCHEDULE_STEPS, SCHEDULES, name_of
from thalweg.errors import InputError
from thalweg.optimizers import SGD, Momentum
from thalweg.schedules import (
    Constant,
    Cosine,
    CosineWarmup,
    ExponentialDecay,
    Joined,
    LinearWarmup,
    OneCycle,
    Polynomial,
    StepDecay,
    Triangular,
    WarmRestarts,
    in_steps,
)

every_schedule = pytest.mark.parametrize("entry", SCHEDULES, ids=name_of)


@every_schedule
def test_values_are_the_oracles_also_for_an_array_of_steps(entry, on):
    pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    oracle = entry.oracle()
    expected = [oracle(t) for t in range(SCHEDULE_STEPS)]
    values = on(lambda t: entry.part(t) + 0 * t, np.arange(float(SCHEDULE_STEPS)))
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-14)


@every_schedule
def test_a_loop_over_numbers_gives_the_same_as_an_array(entry):
    values = entry.part(np.arange(SCHEDULE_STEPS))
    np.testing.assert_allclose([float(entry.part(t)) for t in range(SCHEDULE_STEPS)], values, rtol=1e-14, atol=1e-16)


@every_schedule
def test_a_float32_step_gives_a_float32_value(entry):
    step = np.float32(7)
    # A plain Python number takes the type of what it is multiplied with.
    assert (np.float32(1) * entry.part(step)).dtype == np.float32


@every_schedule
def test_late_steps_give_finite_numbers_without_a_warning(entry, on):
    late = np.array([1e3, 1e5, 1e7])
    values = on(lambda t: entry.part(t) + 0 * t, late)
    assert np.isfinite(values).all()
    assert (values >= 0).all()


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (StepDecay(1.0, 0.5, every=10), {9: 1.0, 10: 0.5, 19: 0.5, 20: 0.25}),
        (ExponentialDecay(1.0, 0.5, every=10), {0: 1.0, 10: 0.5, 20: 0.25}),
        (Polynomial(1.0, 0.2, steps=8), {0: 1.0, 4: 0.6, 8: 0.2, 9: 0.2, 1000: 0.2}),
        (Cosine(1.0, 0.2, steps=8), {0: 1.0, 4: 0.6, 8: 0.2, 1000: 0.2}),
        (Cosine(1.0, 0.2, warmup=3, steps=11), {0: 0.25, 2: 0.75, 3: 1.0, 7: 0.6, 11: 0.2, 12: 0.2}),
        (LinearWarmup(0.8, steps=3), {0: 0.2, 2: 0.6, 3: 0.8, 4: 0.8}),
        (CosineWarmup(0.8, steps=3), {1: 0.4, 3: 0.8, 4: 0.8}),
        (Triangular(0.0, 1.0, period=4), {0: 0.0, 1: 0.5, 2: 1.0, 3: 0.5, 4: 0.0, 6: 1.0}),
        (OneCycle(1.0, rise=0.25, start=10.0, end=100.0, steps=8), {0: 0.1, 1: 0.55, 2: 1.0, 8: 0.01, 9: 0.01}),
        (WarmRestarts(1.0, 0.2, period=2), {0: 1.0, 1: 0.6, 2: 1.0, 3: 0.6, 4000: 1.0}),
        (WarmRestarts(1.0, period=2, growth=2.0), {0: 1.0, 1: 0.5, 2: 1.0, 4: 0.5, 6: 1.0, 10: 0.5, 14: 1.0}),
        (Joined((Constant(0.5), Polynomial(0.9, steps=2)), (3,)), {2: 0.5, 3: 0.9, 4: 0.45, 5: 0.0}),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_values_at_and_around_the_boundaries(schedule, values):
    for step, expected in values.items():
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-12, abs=1e-15), step


def test_a_warmup_that_is_longer_than_the_schedule_never_divides_by_zero():
    assert 0 <= float(Cosine(1.0, warmup=10, steps=10)(10)) <= 1
    assert 0 <= float(Cosine(1.0, warmup=20, steps=10)(5)) <= 1


# Durations ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "steps"),
    {
        "7": 7,
        "7 steps": 7,
        "1 step": 1,
        "10 epochs": 500,
        "1 epoch": 50,
        "0.5 epochs": 25,
        " 2.5 epochs ": 125,
        "1e2 steps": 100,
        "25 %": 250,
        "25%": 250,
        "100 %": 1000,
        30: 30,
        2.5: 2.5,
    }.items(),
)
def test_durations_in_words_become_steps(text, steps):
    assert in_steps(StepDecay(0.1, every=text), steps_per_epoch=50, total_steps=1000).every == steps


def test_a_missing_duration_is_the_whole_training():
    assert in_steps(Cosine(0.1, warmup="10 %"), 50, 1000) == Cosine(0.1, warmup=100.0, steps=1000.0)


def test_durations_of_an_optimizers_schedules_become_steps():
    rule = Momentum(LinearWarmup(Cosine(0.1), steps="1 epoch"), momentum=Polynomial(0.9, 0.5, steps="50 %"))
    assert in_steps(rule, 50, 1000) == Momentum(
        LinearWarmup(Cosine(0.1, steps=1000.0), steps=50.0), momentum=Polynomial(0.9, 0.5, steps=500.0)
    )
    assert in_steps(SGD(0.1), 50, 1000) == SGD(0.1)


def test_in_a_joined_schedule_a_missing_duration_lasts_until_the_next_boundary():
    joined = Joined((Polynomial(0.1, 1.0), Cosine(1.0), Polynomial(1.0)), ("2 epochs", "50 %"))
    pieces = (Polynomial(0.1, 1.0, steps=100.0), Cosine(1.0, steps=400.0), Polynomial(1.0, steps=500.0))
    assert in_steps(joined, 50, 1000) == Joined(pieces, (100.0, 500.0))


def test_joined_in_joined_counts_from_its_own_start():
    inner = Joined((Constant(0.2), Polynomial(0.3)), ("50 %",))
    outer = in_steps(Joined((Constant(0.1), inner), (100,)), 50, 300)
    assert outer.schedules[1] == Joined((Constant(0.2), Polynomial(0.3, steps=100.0)), (100.0,))
    assert [float(outer(t)) for t in (99, 100, 199, 200, 250)] == pytest.approx([0.1, 0.2, 0.2, 0.3, 0.15])


def test_a_training_that_ends_before_a_boundary_still_runs():
    joined = in_steps(Joined((Constant(0.1), Cosine(0.2)), (1000,)), 10, 50)
    assert float(joined(49)) == 0.1


@pytest.mark.parametrize(
    "bad", ["soon", "10 weeks", "-5 epochs", "0 epochs", "", "%", "1e999 steps", 0, -3, float("nan"), float("inf")]
)
def test_bad_durations_are_refused(bad):
    with pytest.raises(InputError, match="every"):
        StepDecay(0.1, every=bad)
    with pytest.raises(InputError, match="steps"):
        Cosine(0.1, steps=bad)


@pytest.mark.parametrize("bad", ["soon", -3, float("nan"), float("inf")])
def test_bad_warmups_are_refused(bad):
    with pytest.raises(InputError, match="warmup"):
        Cosine(0.1, warmup=bad)


def test_joined_needs_one_boundary_between_each_two_schedules():
    with pytest.raises(InputError, match="2 schedules and 2 boundaries"):
        Joined((Constant(0.1), Constant(0.2)), (5, 10))
    with pytest.raises(InputError, match="0 schedules"):
        Joined((), ())


def test_joined_needs_boundaries_that_increase_also_when_they_are_words():
    with pytest.raises(InputError, match="increase"):
        Joined((Constant(0.1), Constant(0.2), Constant(0.3)), (10, 5))
    words = Joined((Constant(0.1), Constant(0.2), Constant(0.3)), ("50 %", "1 epoch"))
    with pytest.raises(InputError, match="increase"):
        in_steps(words, 50, 1000)


def test_values_below_zero_are_refused():
    with pytest.raises(InputError, match="peak"):
        Cosine(-0.1)
    with pytest.raises(InputError, match="value"):
        Constant(float("nan"))
