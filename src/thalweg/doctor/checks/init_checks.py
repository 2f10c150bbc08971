"""Checks of the first step, with the initial weights.

Signals that grow are measured again with standardized inputs: growth that disappears comes from their scale.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...pages.numbers import count_noun, number, percent
from ..findings import Finding
from ..measurements import Measurements
from ..normal import normal
from ..registry import STUCK, UNSTABLE, check
from ..step_statistics import StepStatistics
from .advice import against_death, against_growth, against_vanishing, smaller_rates

ALIVE = 1
"""A layer with no more living units than this passes at most one number."""
_USUAL_WEIGHTS = "1: suitable initializers (He, Glorot, LeCun) keep the size of the signal from layer to layer"


@check(
    code="wrong-gradient",
    stage="at the start",
    rank=36,
    meaning="the gradient of a layer disagrees with finite differences of the loss",
    advice="correct the backward pass of the layer or of the loss",
    explains=(STUCK, UNSTABLE, "lr-too-low", "epochs-too-few"),
)
def wrong_gradient(m: Measurements) -> Iterator[Finding]:
    """The gradient of each layer against finite differences."""
    if wrong := m.wrong_gradient:
        yield wrong_gradient.finding(
            severity="severe",
            place=wrong.place,
            value=wrong.error,
            measured=f"the gradient differs by {percent(wrong.error, 3)} from finite differences of the loss",
            normal="less than 0.1 %",
            sentence="This layer, one above it, or the loss passes back a gradient that is not that of its outputs.",
        )


@check(
    code="init-too-small",
    stage="at the start",
    rank=48,
    meaning="the initial weights make the signal smaller from layer to layer",
    advice="an initializer that suits the activation (He, Glorot, LeCun)",
    explains=(STUCK, "vanishing", "dying-relu", "lr-too-low", "epochs-too-few"),
    pytorch="`nn.init.kaiming_uniform_(layer.weight)`",
)
def small_weights(m: Measurements) -> Iterator[Finding]:
    """Initial weights that lose the signal."""
    least = normal("weights_small").far().low
    if not m.weights_small < least:
        return
    left = np.cumprod([min(gain, 1.0) for gain in m.gains.values()])
    place = list(m.gains)[int((left < least).argmax())]
    yield small_weights.finding(
        severity=m.severity(certain=m.weights_small < least**2),
        place=place,
        value=m.weights_small,
        measured=f"weights {number(m.gains[place], 2)} times the smallest textbook initialization; "
        f"{number(m.weights_small, 2)} of "
        "the signal is left after all layers",
        normal=_USUAL_WEIGHTS,
        sentence="Each layer shrinks the signal, and the gradient on its way back, so the first steps hardly move it.",
        remedies=(m.remedies.init(),),
    )


@check(
    code="init-too-large",
    stage="at the start",
    rank=47,
    meaning="the initial weights saturate the units, or make the signal larger from layer to layer",
    advice="an initializer that suits the activation (He, Glorot, LeCun)",
    explains=(STUCK, UNSTABLE),
    pytorch="`nn.init.kaiming_uniform_(layer.weight)`",
)
def large_weights(m: Measurements) -> Iterator[Finding]:
    """Initial weights that amplify the signal."""
    most = normal("weights_large").far().high
    if not m.weights_large > most:
        return
    place = next(name for name, gain in m.gains.items() if gain > most)
    yield large_weights.finding(
        severity=m.severity(certain=m.weights_large > most**2),
        place=place,
        value=m.weights_large,
        measured=f"weights {number(m.gains[place], 2)} times the largest textbook initialization",
        normal=_USUAL_WEIGHTS,
        sentence="The units start saturated, or the signal grows from layer to layer.",
        remedies=(m.remedies.init(),),
    )


def explodes(step: StepStatistics) -> bool:
    """Whether the signal or the gradient grows beyond what healthy networks show, or is not finite."""
    if not step.finite:
        return True
    return step.growth > normal("growth").far().high or step.flow > normal("flow").far().high


@check(
    code="exploding",
    stage="at the start",
    rank=140,
    meaning="numbers grow from layer to layer, or are no longer finite",
    advice="initializer, scaling, a smaller rate, gradient clipping",
    group=UNSTABLE,
    explains=(STUCK, "lr-too-high", "oscillating-loss", "loss-at-start"),
    pytorch="`nn.init.kaiming_uniform_(layer.weight)`, `nn.BatchNorm1d(width)`",
)
def exploding_start(m: Measurements) -> Iterator[Finding]:
    """Outputs or deltas that grow from layer to layer, also with standardized inputs."""
    start = m.start
    if len(start.dense) < 2 or not explodes(start):
        return
    if m.standardized_starts and sum(map(explodes, m.standardized_starts)) <= len(m.standardized_starts) / 2:
        return
    growth = (
        f"outputs that grow by a factor of {number(start.growth, 3)}" if start.finite else "numbers that are not finite"
    )
    yield exploding_start.finding(
        severity=m.severity(certain=True),
        place=_growth_place(start),
        value=start.growth,
        measured=f"{growth} over {count_noun(len(start.dense), 'layer')}",
        normal=f"about the same size in all layers ({normal('growth').in_words()})",
        sentence="The signal, or its gradient on the way back, grows from layer to layer until the numbers overflow.",
        remedies=against_growth(m),
    )


def _growth_place(step: StepStatistics) -> str:
    """The first layer at which the outputs, or the deltas on the way back, have grown out of their normal range."""
    most = normal("flow").far().high
    return step.outgrown(normal("growth").far().high) or step.out_of_flow(0.0, most) or step.dense[-1]


@check(
    code="vanishing",
    stage="at the start",
    rank=170,
    meaning="gradients shrink from layer to layer to almost nothing",
    advice="initializer, normalization, residual blocks, ReLU units",
    group=UNSTABLE,
    explains=(STUCK, "lr-too-low", "epochs-too-few", "saturating-hidden"),
    pytorch="`nn.ReLU()` instead of `nn.Sigmoid()`, `nn.BatchNorm1d(width)`",
)
def vanishing_start(m: Measurements) -> Iterator[Finding]:
    """Deltas that shrink from layer to layer on their way back."""
    start = m.start
    if len(start.dense) < 2 or explodes(start) or not start.flow < normal("flow").far().low:
        return
    yield vanishing_start.finding(
        severity=m.severity(certain=True),
        place=vanishing_place(start),
        value=start.flow,
        measured=f"the gradient of the first layer is {number(start.flow, 2)} times that of the last hidden layer "
        f"({count_noun(len(start.dense), 'layer')})",
        normal=f"about the same in all layers ({normal('flow').in_words()})",
        sentence="Each layer shrinks the gradient on its way back, so the first layers hardly learn.",
        remedies=against_vanishing(m),
    )


@check(code="vanishing", stage="at the start")
def merging_rows(m: Measurements) -> Iterator[Finding]:
    """Rows that become alike from layer to layer on the way up."""
    least = normal("separation").far().low
    if explodes(m.start) or not m.separation < least:
        return
    yield merging_rows.finding(
        severity=m.severity(certain=True),
        place=m.start.merged(least),
        value=m.separation,
        measured=f"rows differ {number(m.separation, 2)} times as much as in the first hidden layer",
        normal=f"about as much in all layers ({normal('separation').in_words()})",
        sentence="The layers make all rows alike: those above cannot distinguish them.",
        remedies=against_vanishing(m),
    )


def vanishing_place(step: StepStatistics) -> str:
    """The first layer on the way back at which the deltas have shrunk out of their normal range."""
    return step.out_of_flow(normal("flow").far().low, np.inf)


@check(
    code="dying-relu",
    stage="at the start",
    rank=160,
    meaning="units pass no gradient for any row",
    advice="a smaller rate, a leaky slope, another initializer",
    group=UNSTABLE,
    explains=(STUCK, "vanishing", "lr-too-low", "epochs-too-few"),
    pytorch="`nn.LeakyReLU()`, a smaller `lr`; no `nn.ReLU()` at the output",
)
def dead_units_at_start(m: Measurements) -> Iterator[Finding]:
    """Units that pass no gradient before the first step."""
    if not m.alive_at_start <= ALIVE:
        return
    yield dead_units_at_start.finding(
        severity=m.severity(certain=m.alive_at_start == 0),
        place=min(m.start.alive, key=lambda name: m.start.alive[name]),
        value=m.alive_at_start,
        measured=f"{number(m.alive_at_start, 3)} of its units pass a gradient for some row before the first step",
        normal=f"more than {ALIVE} ({normal('alive_at_start').in_words()})",
        sentence=dead_in_words(m.alive_at_start),
        remedies=against_death(m),
    )


def dead_in_words(alive: float) -> str:
    """What it means that at most one unit of a layer passes a gradient."""
    if alive:
        return "Everything that passes this layer, in either direction, passes through a single unit."
    return "The layer is dead: the layers below get no gradient, and the layers above get no information."


@check(
    code="saturating-hidden",
    stage="at the start",
    rank=230,
    meaning="hidden units work where their slope is almost 0",
    advice="scaling, initializer, normalization",
    group=UNSTABLE,
    explains=(STUCK,),
    pytorch="`x = (x - mean) / std`, `nn.BatchNorm1d(width)`",
)
def saturated_at_start(m: Measurements) -> Iterator[Finding]:
    """Hidden units that start at their limits."""
    if not m.saturated_at_start > normal("saturated_at_end").high:
        return
    yield saturated_at_start.finding(
        severity=m.severity(),
        place=m.start.activations[int(m.start.saturated.argmax())],
        value=m.saturated_at_start,
        measured=f"{percent(m.saturated_at_start, 2)} of its outputs are where the slope is below 5 % of the steepest",
        normal=f"fewer ({normal('saturated_at_start').in_words()})",
        sentence="Units at their limits pass hardly any gradient.",
        remedies=(m.remedies.scale(), m.remedies.init()),
    )


@check(
    code="loss-at-start",
    stage="at the start",
    rank=340,
    meaning="the first outputs are confident and wrong",
    advice="smaller initial weights in the last layer",
    group=UNSTABLE,
)
def first_loss(m: Measurements) -> Iterator[Finding]:
    """The loss of the first step against that of the best constant output."""
    if not m.first_loss > normal("first_loss").far().high:
        return
    yield first_loss.finding(
        severity="note",
        place="loss",
        value=m.first_loss,
        measured=f"a loss of {number(m.start.loss, 3)}",
        normal=f"about {number(m.constant_loss, 3)}, that of the best constant output "
        f"({normal('first_loss').in_words()} "
        "times that)",
        sentence="The network starts with outputs that are confident and wrong; the first steps only undo them.",
        remedies=(m.remedies.scale(), m.remedies.init()),
    )


@check(
    code="lr-too-high",
    stage="at the start",
    rank=150,
    meaning="the steps overshoot",
    advice="a tenth or a hundredth of the rate; `thalweg lr-range`",
    group=UNSTABLE,
    explains=(STUCK, "dying-relu", "vanishing", "saturating-hidden", "overfitting", "oscillating-loss"),
    pytorch="`torch.optim.SGD(model.parameters(), lr=lr / 10)`",
)
def sharpness(m: Measurements) -> Iterator[Finding]:
    """The learning rate against the curvature of the loss."""
    most = normal("sharpness").far().high
    if not m.sharpness > most:
        return
    yield sharpness.finding(
        severity=m.severity(certain=m.sharpness > 10 * most),
        place="optimizer.learning_rate",
        value=m.sharpness,
        measured=f"the learning rate of {number(m.learning_rate)} is {number(m.sharpness, 3)} times the largest rate "
        "that is stable "
        "along the steepest curvature",
        normal=f"below {number(most, 2)}: above 1 a step along the steepest direction ends higher than it started",
        sentence="The first steps overshoot until they reach a flat region, where units may be dead.",
        remedies=(*smaller_rates(m), m.remedies.adam()),
    )


@check(
    code="cannot-memorise",
    stage="at the start",
    rank=350,
    meaning="the network cannot memorize a few rows",
    advice="the remedies for its cause: output, loss, initializer",
    group=STUCK,
)
def memory(m: Measurements) -> Iterator[Finding]:
    """Whether the network can memorize a few rows with good steps."""
    if m.learns or (trial := m.memorization) is None:
        return
    if np.isfinite(trial.last) and trial.last < trial.first / 2:
        return
    yield memory.finding(
        severity=m.severity(),
        place="network",
        value=trial.last / trial.first if trial.first else float("nan"),
        measured=f"the loss of {count_noun(trial.rows, 'row')} goes from {number(trial.first, 3)} "
        f"to {number(trial.last, 3)} in {trial.steps} "
        f"steps of Adam at {number(trial.rate)}",
        normal="less than half of its start: a network can memorize a few rows",
        sentence="Not even a few rows can be learned: the cause is the network, the loss or the scale of the numbers, "
        "not the steps.",
    )
