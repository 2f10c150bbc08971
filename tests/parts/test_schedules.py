"""Every schedule against an independent form; boundaries, arrays of steps, and durations in words."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts_table import SCHEDULE_STEPS, SCHEDULES, name_of

from thalweg.core.errors import InputError
from thalweg.parts.optimizers import SGD, Momentum
from thalweg.parts.schedules import (
    Constant,
    Cosine,
    CosineWarmup,
    ExponentialDecay,
    Joined,
    LinearScaling,
    LinearWarmup,
    OneCycle,
    Polynomial,
    StepDecay,
    Triangular,
    WarmRestarts,
    in_steps,
)
from thalweg.parts.schedules.metric_schedules import (
    AfterPlateau,
    MetricScheduleState,
    ReduceOnPlateau,
    freeze,
    improved,
    metric_schedules,
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
        (LinearScaling(0.1, 256, warmup=3, batch_size=1280), {0: 0.2, 1: 0.3, 3: 0.5, 4: 0.5}),
        (LinearScaling(0.4, 256, warmup=3, batch_size=64), {0: 0.325, 3: 0.1, 4: 0.1}),
        (LinearScaling(0.4, batch_size=256, warmup=2), {0: 0.4, 1: 0.4, 9: 0.4}),
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
    assert in_steps(StepDecay(0.1, every=text), steps_per_epoch=50, total_steps=1000, batch_size=32).every == steps


def test_a_missing_duration_is_the_whole_training():
    assert in_steps(Cosine(0.1, warmup="10 %"), 50, 1000, 32) == Cosine(0.1, warmup=100.0, steps=1000.0)


def test_durations_of_an_optimizers_schedules_become_steps():
    rule = Momentum(LinearWarmup(Cosine(0.1), steps="1 epoch"), momentum=Polynomial(0.9, 0.5, steps="50 %"))
    assert in_steps(rule, 50, 1000, 32) == Momentum(
        LinearWarmup(Cosine(0.1, steps=1000.0), steps=50.0), momentum=Polynomial(0.9, 0.5, steps=500.0)
    )
    assert in_steps(SGD(0.1), 50, 1000, 32) == SGD(0.1)


def test_in_a_joined_schedule_a_missing_duration_lasts_until_the_next_boundary():
    joined = Joined((Polynomial(0.1, 1.0), Cosine(1.0), Polynomial(1.0)), ("2 epochs", "50 %"))
    pieces = (Polynomial(0.1, 1.0, steps=100.0), Cosine(1.0, steps=400.0), Polynomial(1.0, steps=500.0))
    assert in_steps(joined, 50, 1000, 32) == Joined(pieces, (100.0, 500.0))


def test_joined_in_joined_counts_from_its_own_start():
    inner = Joined((Constant(0.2), Polynomial(0.3)), ("50 %",))
    outer = in_steps(Joined((Constant(0.1), inner), (100,)), 50, 300, 32)
    assert outer.schedules[1] == Joined((Constant(0.2), Polynomial(0.3, steps=100.0)), (100.0,))
    assert [float(outer(t)) for t in (99, 100, 199, 200, 250)] == pytest.approx([0.1, 0.2, 0.2, 0.3, 0.15])


def test_a_training_that_ends_before_a_boundary_still_runs():
    joined = in_steps(Joined((Constant(0.1), Cosine(0.2)), (1000,)), 10, 50, 32)
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
        in_steps(words, 50, 1000, 32)


def test_values_below_zero_are_refused():
    with pytest.raises(InputError, match="peak"):
        Cosine(-0.1)
    with pytest.raises(InputError, match="value"):
        Constant(float("nan"))


# The batch size -------------------------------------------------------------------------------------------------------


def test_linear_scaling_is_told_the_batch_size_and_its_warmup_in_steps():
    scaled = LinearScaling(Cosine(0.1), warmup="5 epochs")
    expected = LinearScaling(Cosine(0.1, steps=1000.0), warmup=250.0, batch_size=512)
    assert in_steps(scaled, 50, 1000, 512) == expected
    assert in_steps(Momentum(scaled, momentum=0.5), 50, 1000, 512) == Momentum(expected, momentum=0.5)


def test_linear_scaling_keeps_a_batch_size_of_its_own():
    assert in_steps(LinearScaling(0.1, batch_size=128), 50, 1000, 512).batch_size == 128


# Rates that look at a measure -----------------------------------------------------------------------------------------

PLATEAU = ReduceOnPlateau(0.3, factor=0.5, patience=2)


def path(part, measures, larger_is_better=False):
    """The value after each measure. On the way each memory goes through JSON, as a checkpoint keeps it."""
    memory = part.start()
    values = []
    for measure in measures:
        memory = part.observe(MetricScheduleState(*json.loads(json.dumps(memory))), measure, larger_is_better)
        values.append(part.current(memory))
    return values


# Few different values, so that ties and plateaus are common. PyTorch's bound is on the wrong side of a best below 0.
measures = st.lists(
    st.one_of(st.sampled_from([0.0, 0.5, 0.875, 0.9375, 1.0, math.nan]), st.floats(0, 10)), min_size=1, max_size=30
)


@settings(max_examples=200, deadline=None)
@given(
    measures=measures,
    larger=st.booleans(),
    factor=st.floats(0.0, 0.99),
    patience=st.integers(0, 3),
    # Powers of 2, whose products are exact: no rounding decides.
    threshold=st.sampled_from([0.0, 2**-13, 0.125]),
    cooldown=st.integers(0, 3),
    least=st.sampled_from([0.0, 0.05, 0.5]),
)
def test_a_plateau_is_pytorchs(measures, larger, factor, patience, threshold, cooldown, least):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="max" if larger else "min",
        factor=factor,
        patience=patience,
        threshold=threshold,
        cooldown=cooldown,
        min_lr=least,
        eps=0,
    )
    expected = []
    for measure in measures:
        oracle.step(measure)
        expected.append(optimizer.param_groups[0]["lr"])
    assert path(ReduceOnPlateau(0.3, factor, patience, threshold, cooldown, least), measures, larger) == expected


def test_a_plateau_by_hand():
    # Better, two epochs that are not, the third is one too many; then again.
    losses = [1.0, 0.9, 0.9, 0.95, 0.9, 0.9, 0.9, 0.9, 0.1]
    assert path(PLATEAU, losses) == [0.3] * 4 + [0.15] * 3 + [0.075] * 2
    # The same numbers as a score: only the first is the best.
    assert path(PLATEAU, [0.5, 0.6, 0.7, 0.8], larger_is_better=True) == [0.3] * 4


def test_a_momentum_rises_once_and_for_good():
    momentum = AfterPlateau(0.5, 0.9, patience=2, threshold=0.1)
    # 0.95 and 0.92 are not better by a tenth than 1.0; 0.8 is.
    assert path(momentum, [1.0, 0.95, 0.8, 0.79, 0.78, 0.1, 0.01]) == [0.5] * 4 + [0.9] * 3
    assert path(momentum, [1.0, 0.5, 0.25, 0.125]) == [0.5] * 4


@settings(max_examples=100, deadline=None)
@given(measures=measures, larger=st.booleans(), patience=st.integers(1, 4))
def test_the_momentum_waits_for_patience_epochs_in_a_row(measures, larger, patience):
    part = AfterPlateau(0.5, 0.9, patience, threshold=0.05)
    best = None
    misses = 0
    expected = []
    for measure in measures:
        if improved(measure, best, 0.05, larger):
            best = measure
            misses = misses if misses >= patience else 0
        else:
            misses += 1
        expected.append(0.9 if misses >= patience else 0.5)
    assert path(part, measures, larger) == expected


@pytest.mark.parametrize("part", [PLATEAU, AfterPlateau(0.5, 0.9, patience=3)], ids=lambda part: part.kind)
def test_nan_is_no_improvement(part):
    assert path(part, [math.nan] * 3) == path(part, [1.0, math.nan, math.nan, math.nan])[1:]


@pytest.mark.parametrize(
    ("value", "best", "larger", "better"),
    [
        (0.89, 1.0, False, True),
        (0.9, 1.0, False, False),
        (1.11, 1.0, True, True),
        (1.1, 1.0, True, False),
        (5.0, None, False, True),
        (-5.0, None, True, True),
        (math.nan, None, False, False),
        (math.nan, 1.0, True, False),
        (math.inf, None, False, False),
        (0.0, 0.0, False, False),
        # Below 0 too better is beyond the best, not before it.
        (-1.11, -1.0, False, True),
        (-1.0, -1.0, False, False),
        (-0.95, -1.0, False, False),
        (-0.89, -1.0, True, True),
        (-1.05, -1.0, True, False),
    ],
)
def test_an_improvement_is_a_share_of_the_best(value, best, larger, better):
    assert improved(value, best, 0.1, larger) is better


# All inside of one part: in a tuple, behind a warm-up, as a momentum.
RULE = Momentum(
    Joined((Constant(0.1), LinearWarmup(PLATEAU, steps="1 epoch")), (10,)),
    momentum=AfterPlateau(),
)


def test_adaptive_schedules_are_found_in_order_and_replaced_in_order():
    assert metric_schedules(RULE) == (PLATEAU, AfterPlateau())
    assert freeze(RULE, [0.2, 0.9]) == Momentum(
        Joined((Constant(0.1), LinearWarmup(Constant(0.2), steps="1 epoch")), (10,)), momentum=Constant(0.9)
    )
    assert metric_schedules(freeze(RULE, [0.2, 0.9])) == ()


def test_settling_at_the_start_changes_no_value():
    rule = in_steps(RULE, 5, 100, 32)
    started = freeze(rule, [part.current(part.start()) for part in metric_schedules(rule)])
    for step in (0, 9, 10, 13, 50):
        assert started.learning_rate(step) == rule.learning_rate(step)
        assert started.momentum(step) == rule.momentum(step)


def test_a_part_without_adaptive_schedules_has_nothing_to_settle():
    assert metric_schedules(SGD(Cosine(0.1))) == ()
    assert freeze(SGD(Cosine(0.1)), []) == SGD(Cosine(0.1))


def test_durations_around_an_adaptive_schedule_become_steps_and_it_keeps_its_words():
    plateau = ReduceOnPlateau(0.1, measure="accuracy")
    assert in_steps(LinearWarmup(plateau, steps="2 epochs"), 50, 1000, 32) == LinearWarmup(plateau, steps=100.0)


@pytest.mark.parametrize(
    "bad",
    [{"factor": 1.0}, {"patience": -1}, {"patience": 1.5}, {"cooldown": -1}, {"least": -0.1}, {"measure": 3}],
    ids=str,
)
def test_bad_options_of_a_plateau_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        ReduceOnPlateau(0.1, **bad)
