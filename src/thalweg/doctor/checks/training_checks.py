"""Checks of the record of a training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...pages.numbers import measure_name, measure_value, number, percent
from ..attainable import standard_error
from ..findings import Finding
from ..measurements import LEAST_GAP, Measurements
from ..normal import normal
from ..registry import STUCK, UNSTABLE, check
from .advice import (
    against_death,
    against_growth,
    against_vanishing,
    larger_batch,
    larger_rates,
    slow_signs,
    smaller_rates,
)
from .init_checks import ALIVE, dead_in_words, explodes, vanishing_place

_WORSE = 1.25
_FEW_ROWS = 30
_FEW_EPOCHS = 4
# A score counts as worse beyond this many standard errors.
_ERRORS = 3
_DECAYED = 0.01
# An order of magnitude fewer updates than the training has would do as much at the largest rate.
_LITTLE_RATE = 0.1
_LITTLE_OF_PEAK = 0.5
_CONSTANT_OUTPUT = 10
_WEIGHTS_GONE = 1e-2
_HARDLY_MOVED = 1.01


@check(code="exploding", stage="during training")
def divergence(m: Measurements) -> Iterator[Finding]:
    """Numbers that are no longer finite, after a start that explodes; otherwise the steps are the reason."""
    if not m.diverged or not explodes(m.start):
        return
    yield divergence.finding(
        severity="severe",
        place="training",
        value=float("inf"),
        measured=m.diverged,
        normal="finite numbers",
        sentence="The numbers overflowed, and the training ended there.",
        remedies=(*against_growth(m), m.remedies.rate(0.1)),
    )


@check(code="lr-too-high", stage="during training")
def long_steps(m: Measurements) -> Iterator[Finding]:
    """Steps that are too long."""
    signs = []
    if m.worst_loss > max(normal("worst_loss").high, _WORSE * m.first_loss):
        worst = m.worst_loss * m.constant_loss
        signs.append(
            f"a loss of up to {number(worst, 3)} after the first epoch; the best constant output has "
            f"{number(m.constant_loss, 3)}"
        )
    if m.first_step > normal("first_step").high:
        signs.append(
            f"one of the first steps changes a layer by {number(m.first_step, 2)} times the size of its weights"
        )
    if m.diverged and not explodes(m.start):
        signs.append("numbers that are no longer finite, after a start in the normal range")
    if not signs:
        return
    yield long_steps.finding(
        severity=m.severity(certain=len(signs) > 1 or bool(m.diverged)),
        place="optimizer.learning_rate",
        value=m.learning_rate,
        measured="; ".join(signs),
        normal="steps of about a thousandth of the size of the weights, and a loss that falls",
        sentence="The steps overshoot: they end higher than they started, or leave units dead.",
        remedies=(*smaller_rates(m), m.remedies.adam()),
    )


@check(
    code="step-too-long",
    stage="during training",
    rank=310,
    meaning="most steps end beyond the lowest point along them",
    advice="a smaller rate; Adam",
    group=STUCK,
)
def step_too_long(m: Measurements) -> Iterator[Finding]:
    """Steps that end beyond the lowest point along them, at a rate that is not far too small by other signs."""
    if m.step_length > normal("step_length").high and not any(slow_signs(m)):
        yield step_too_long.finding(
            severity=m.severity(),
            place="optimizer.learning_rate",
            value=m.step_length,
            measured=f"half of the steps end at {number(m.step_length, 2)} or more beyond the lowest point along them",
            normal=_usual_length(),
            sentence="The steps go too far along their own direction.",
            remedies=(*smaller_rates(m), m.remedies.adam()),
        )


@check(
    code="step-too-short",
    stage="during training",
    rank=320,
    meaning="most steps end far before the lowest point along them",
    advice="a larger rate; Adam",
    group=STUCK,
)
def step_too_short(m: Measurements) -> Iterator[Finding]:
    """Steps that end far before the lowest point along them."""
    if m.step_length < normal("step_length").low:
        yield step_too_short.finding(
            severity=m.severity(),
            place="optimizer.learning_rate",
            value=m.step_length,
            measured=f"half of the steps leave {number(-m.step_length, 3)} or more of the way to the lowest point "
            "along them",
            normal=_usual_length(),
            sentence="The steps end long before the loss stops falling along them.",
            remedies=(*larger_rates(m), m.remedies.adam()),
        )


def _usual_length() -> str:
    usual = normal("step_length").in_words()
    return f"close to it ({usual}; 0: at the lowest point, -1: no step, 1: as high on the other side)"


@check(
    code="noisy-gradient",
    stage="during training",
    rank=330,
    meaning="the gradient of a batch is mostly noise",
    advice="larger batches",
    group=STUCK,
)
def noisy_gradient(m: Measurements) -> Iterator[Finding]:
    """Gradients that are mostly noise."""
    usual = normal("noise")
    if m.noise > usual.far().high:
        yield noisy_gradient.finding(
            severity=m.severity(),
            place="training.batch_size",
            value=m.noise,
            measured=f"the variance of a batch gradient is {number(m.noise, 3)} times the squared gradient",
            normal=f"less ({usual.in_words()})",
            sentence="The rows of a batch pull in different directions, so the gradient is mostly chance.",
            remedies=larger_batch(m),
        )


@check(
    code="oscillating-loss",
    stage="during training",
    rank=180,
    meaning="the loss jumps instead of settling",
    advice="a smaller rate, larger batches",
    group=UNSTABLE,
    explains=(STUCK,),
    pytorch="`lr=lr / 10`, `DataLoader(..., batch_size=64)`",
)
def oscillating_loss(m: Measurements) -> Iterator[Finding]:
    """A loss that jumps instead of settling."""
    usual = normal("jump")
    if not m.jump > usual.high:
        return
    yield oscillating_loss.finding(
        severity=m.severity(),
        place="training",
        value=m.jump,
        measured=f"in the second half the loss changes by {percent(m.jump, 2)} of its total fall from epoch to epoch",
        normal=f"less ({usual.in_words()})",
        sentence="The loss jumps instead of settling: the steps are too long for the noise of their batches.",
        remedies=(m.remedies.rate(0.1), *larger_batch(m), m.remedies.adam()),
    )


@check(code="dying-relu", stage="during training")
def dead_units(m: Measurements) -> Iterator[Finding]:
    """Units that the training has left dead."""
    if m.end is None or not m.alive_at_end <= ALIVE:
        return
    alive = m.end.alive
    place = min(alive, key=lambda name: alive[name])
    yield dead_units.finding(
        severity=m.severity(certain=m.alive_at_end == 0),
        place=place,
        value=m.alive_at_end,
        measured=f"{number(m.alive_at_end, 3)} of its units pass a gradient for some row at the end; "
        f"{number(m.start.alive[place], 3)} did at the start",
        normal=f"more than {ALIVE} ({normal('alive_at_end').in_words()})",
        sentence=dead_in_words(m.alive_at_end),
        remedies=(*against_death(m), m.remedies.rate(0.1)),
    )


@check(code="saturating-hidden", stage="during training")
def saturated_units(m: Measurements) -> Iterator[Finding]:
    """Units that the training has left at their limits."""
    usual = normal("saturated_at_end")
    if m.end is None or not m.saturated_at_end > usual.high:
        return
    saturated = m.end.saturated_hidden
    yield saturated_units.finding(
        severity=m.severity(),
        place=max(saturated, key=lambda name: saturated[name]),
        value=m.saturated_at_end,
        measured=f"{percent(m.saturated_at_end, 2)} of its outputs at the end are where the slope is below 5 % of "
        "the steepest",
        normal=f"fewer ({usual.in_words()})",
        sentence="Units at their limits pass hardly any gradient.",
        remedies=(m.remedies.scale(), m.remedies.rate(0.1)),
    )


@check(code="vanishing", stage="during training")
def vanishing_gradient(m: Measurements) -> Iterator[Finding]:
    """A gradient that vanishes on its way back after training."""
    if m.end is None or not m.flow_at_end < normal("flow").far().low or m.alive_at_end == 0:
        return
    yield vanishing_gradient.finding(
        severity=m.severity(),
        place=vanishing_place(m.end),
        value=m.flow_at_end,
        measured=f"at the end the gradient of the first layer is {number(m.flow_at_end, 2)} times that of the last "
        "hidden "
        f"layer; {number(m.flow, 2)} times at the start",
        normal=f"more ({normal('flow_at_end').in_words()})",
        sentence="The first layers have stopped learning.",
        remedies=against_vanishing(m),
    )


@check(
    code="epochs-too-few",
    stage="during training",
    rank=200,
    meaning="the training ended before the loss settled",
    advice="more epochs",
    explains=(STUCK,),
    pytorch="`for epoch in range(10 * epochs):`",
)
def short_training(m: Measurements) -> Iterator[Finding]:
    """Training that ended while the loss was still falling, or hardly began."""
    if not len(m.losses) or m.diverged or m.learns or m.is_best_line:
        return
    falls = m.falling > normal("falling").high
    few = m.updates < normal("updates").far().low
    signs = [f"{percent(m.falling, 2)} of the total fall of the loss came in the last quarter"] if falls else []
    signs += [f"{number(m.updates)} updates in total"] if few else []
    if signs:
        longer = (m.remedies.longer(10), *((m.remedies.longer(100),) if m.updates < 10_000 else ()))
        yield short_training.finding(
            severity=m.severity(certain=falls and few),
            place="training.epochs",
            value=float(len(m.losses)),
            measured="; ".join(signs),
            normal="a loss that has settled",
            sentence="The training ended too early: the loss would fall further.",
            remedies=longer,
        )


@check(
    code="lr-too-low",
    stage="during training",
    rank=190,
    meaning="the weights of all layers have hardly moved, or the steps are far shorter than they may be",
    advice="the rate that the curvature or the size of the weights suggests; Adam",
    explains=(STUCK, "epochs-too-few"),
    pytorch="`torch.optim.SGD(model.parameters(), lr=10 * lr)`",
)
def still_weights(m: Measurements) -> Iterator[Finding]:
    """Weights that have hardly moved, or steps far below what the curvature allows."""
    if not len(m.losses) or m.diverged or m.learns or m.is_best_line or not (signs := list(slow_signs(m))):
        return
    yield still_weights.finding(
        severity=m.severity(),
        place="optimizer.learning_rate",
        value=m.moved,
        measured="; ".join(signs),
        normal=f"more ({normal('moved').in_words()}), and steps of about a thousandth of the size of the weights",
        sentence="The steps are too short for this number of updates.",
        remedies=(*larger_rates(m), m.remedies.adam()),
    )


@check(
    code="decayed-rate",
    stage="during training",
    rank=70,
    meaning="the schedule lowers the rate to almost nothing early in the training",
    advice="a rate that lasts",
    explains=(STUCK, "lr-too-low", "epochs-too-few"),
    pytorch="`scheduler.step()` once an epoch where its settings count epochs, once a batch where they count batches",
)
def decayed_rate(m: Measurements) -> Iterator[Finding]:
    """A schedule that ends the training early."""
    over = m.late_rate < _DECAYED
    share = m.mean_rate / m.largest_rate if m.largest_rate > 0 else float("nan")
    if not over and not share < _LITTLE_RATE:
        return
    yield decayed_rate.finding(
        severity=m.severity(certain=over),
        place="optimizer.learning_rate",
        value=m.late_rate,
        measured=f"after a quarter of the training the learning rate is {number(m.late_rate, 1)} of its largest value; "
        f"the mean is {number(share, 2)} of it",
        normal="a rate that lasts for most of the training",
        sentence="The schedule ends the training early: the remaining rate moves nothing.",
        remedies=(m.remedies.rate(1.0), m.remedies.adam()),
    )


@check(
    code="unfinished-warm-up",
    stage="during training",
    rank=75,
    meaning="the training ended while the schedule was still raising the rate",
    advice="a shorter warm-up, or the rate that it rises to",
    explains=(STUCK, "lr-too-low", "epochs-too-few"),
    pytorch="fewer warm-up steps than the training has",
)
def unfinished_rise(m: Measurements) -> Iterator[Finding]:
    """A schedule that would have raised the rate much further."""
    if not m.largest_rate < _LITTLE_OF_PEAK * m.scheduled_peak:
        return
    yield unfinished_rise.finding(
        severity=m.severity(),
        place="optimizer.learning_rate",
        value=m.largest_rate / m.scheduled_peak,
        measured=f"a learning rate of at most {number(m.largest_rate, 2)}; the schedule rises to "
        f"{number(m.scheduled_peak, 2)}",
        normal="a warm-up that ends early in the training",
        sentence="The training ended during the warm-up of its learning rate.",
        remedies=(m.remedies.rate(m.scheduled_peak / m.largest_rate) if m.largest_rate > 0 else m.remedies.adam(),),
    )


@check(
    code="regularization-too-strong",
    stage="during training",
    rank=60,
    meaning="the penalty outweighs the loss, or has removed the weights of a layer",
    advice="a weaker penalty",
    explains=(STUCK, "vanishing", "dying-relu", "lr-too-low"),
    pytorch="`weight_decay=1e-4`",
)
def strong_penalty(m: Measurements) -> Iterator[Finding]:
    """A penalty that outweighs the loss, or a decay that has removed the weights."""
    shrunk = m.decays and m.moved < _HARDLY_MOVED and m.weights_left < _WEIGHTS_GONE
    if not m.penalty > normal("penalty").far().high and not shrunk:
        return
    heavy = f"the penalty on the weights is {number(m.penalty, 3)} times the loss of the best constant output"
    yield strong_penalty.finding(
        # Such a penalty is a choice that costs what is missing, also in a network that learned most of it.
        severity="warning" if m.learns and m.falls_short else m.severity(),
        place="regularization",
        value=m.penalty,
        measured=heavy if m.penalty > 1 else "the decay has removed the weights of a layer",
        normal="a penalty below the loss",
        sentence="The training makes the weights small instead of the loss.",
        remedies=(m.remedies.no_penalty(),),
    )


@check(
    code="blind",
    stage="during training",
    rank=360,
    meaning="the outputs are the same for all rows",
    group=STUCK,
)
def constant_output(m: Measurements) -> Iterator[Finding]:
    """A network whose outputs do not depend on its inputs."""
    usual = normal("spread")
    if m.learns or not m.spread < usual.low / _CONSTANT_OUTPUT:
        return
    yield constant_output.finding(
        severity=m.severity(),
        place="network",
        value=m.spread,
        measured=f"the outputs vary by {number(m.spread, 2)} of their size between rows",
        normal=f"more ({usual.in_words()})",
        sentence="The network has the same output for all rows.",
    )


@check(
    code="overfitting",
    stage="during training",
    rank=265,
    meaning="the validation loss rises while the training loss falls",
    advice="stop at the best epoch, regularize",
    pytorch="`torch.save(model.state_dict(), path)` at the best epoch",
)
def overfitting(m: Measurements) -> Iterator[Finding]:
    """Validation rows that get worse while the training rows get better."""
    losses = m.validation_losses
    if m.validation_rows < _FEW_ROWS or len(losses) <= _FEW_EPOCHS or not np.isfinite(losses).all():
        return
    best = int(losses.argmin())
    worse = float(losses[-1] / losses[best]) if losses[best] > 0 else 1.0
    if worse <= _WORSE or m.losses[-1] >= m.losses[best]:
        return
    many = f"; {number(m.parameters)} parameters for {number(m.rows)} rows" if m.parameters > m.rows else ""
    yield overfitting.finding(
        severity="warning" if _score_fell(m, best) else "note",
        place="training.epochs",
        value=worse,
        measured=f"the validation loss is {number(worse, 3)} times that of epoch {best + 1}, while the training loss "
        f"kept falling{many}",
        normal="a validation loss that stays at its lowest value",
        sentence="The network memorizes its training rows and gets worse on others.",
        remedies=(m.remedies.best_epoch(),),
    )


def _score_fell(m: Measurements, epoch: int) -> bool:
    """Whether the validation score fell since an epoch, by a relevant amount that chance does not explain."""
    best = float(m.validation_scores[epoch])
    last = float(m.validation_scores[-1])
    measure = "r2" if m.task == "regression" else "accuracy"
    return best - last > max(_ERRORS * standard_error(best, m.validation_rows, measure), LEAST_GAP)


@check(
    code="plateau",
    stage="during training",
    rank=370,
    meaning="the network did not learn what can be learned from these rows",
    group=STUCK,
)
def plateau(m: Measurements) -> Iterator[Finding]:
    """Training that achieved little."""
    learned = m.learned
    if learned is None or not m.learnable:
        return
    if m.closed_gap(m.enough) and not m.within_line:
        return
    score = measure_value(learned.measure, learned.score, digits=3)
    rates = larger_rates(m) if any(slow_signs(m)) else (m.remedies.rate(10), m.remedies.rate(0.1))
    near = f"; {percent(learned.share, 2)} of the gap, ± {percent(m.blur, 2)}, close to the two thirds that count as "
    near += "learned"
    yield plateau.finding(
        severity="warning",
        place="training",
        value=learned.share,
        measured="the training diverged"
        if m.diverged
        else f"{score} ({measure_name(learned.measure)}){near if m.borderline else ''}",
        normal=f"{measure_value(learned.measure, learned.attainable, digits=3)} is attainable on these rows; "
        f"the best {'straight line' if m.within_line else 'constant output'} has "
        f"{measure_value(learned.measure, learned.line if m.within_line else learned.constant, digits=3)}",
        sentence="The network did not learn what can be learned here.",
        remedies=(*rates, m.remedies.longer(10), m.remedies.adam()),
    )
