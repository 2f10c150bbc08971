"""Checks of one step: gradients, the parameters that it moves, and their modes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...doctor.findings import Finding
from ...doctor.normal import normal
from ...pages.numbers import count_noun, number, percent
from ..facts import Look, ParameterStatistics
from ..measurements.watch_measurements import WatchMeasurements
from ..registry import watch_check
from .common import BROKEN, MOST, in_most, late, line, listed, modules_of, mostly

# A gradient that is left from the step before is at least this part of a fresh one.
_LEFT = 0.01
_FEW_LOOKS = 3
# Single precision shows changes of this part of a number.
_VISIBLE = 1e-6
_LITTLE_LEFT = 0.1
_SCALED = 2.0
_LATEST = 50
_FIRST_LOOKS = 10
# A penalty that acts leaves the weights less than this part of their size.
_SHRUNK = 0.5
# These divide a gradient by its own size, so that its scale changes nothing.
_SCALE_FREE = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Rprop", "Lion", "Muon")


@watch_check(
    code="gradients-not-reset",
    stage="during training",
    rank=16,
    meaning="gradients of earlier steps are still there when backward begins, so that each step adds them again",
    advice="`optimizer.zero_grad()` before `loss.backward()`",
    explains=BROKEN,
)
def gradients_not_reset(m: WatchMeasurements) -> Iterator[Finding]:
    """Gradients that are left from the step before."""
    looks = [look for look in m.watched.looks if look.step > 0 and np.isfinite(look.stale_gradient)]
    # `optimizer.zero_grad()` does not reset the gradients of parameters that the optimizer does not have.
    looks = [look for look in looks if not look.missing]
    if not mostly(looks, lambda look: look.stale_gradient > _LEFT):
        return
    left = float(np.median([look.stale_gradient for look in looks]))
    yield gradients_not_reset.finding(
        severity=m.proven(),
        place="optimizer",
        value=left,
        measured=f"when backward begins, the gradient that is still there is {number(left, 3)} times the one that it "
        f"adds (median of {count_noun(len(looks), 'step')})",
        normal="0: each step follows the gradient of its own batch",
        sentence="The gradients are not reset, so each step repeats all steps before it.",
        remedies=line("optimizer.zero_grad()  # in each step, before loss.backward()"),
    )


@watch_check(
    code="no-update",
    stage="during training",
    rank=15,
    meaning="backward gives a gradient, and none is left when the optimizer steps",
    advice="`optimizer.zero_grad()` before `loss.backward()`, not between it and `optimizer.step()`",
    explains=BROKEN,
)
def no_update(m: WatchMeasurements) -> Iterator[Finding]:
    """Gradients that are cleared before the step."""
    # Parameters that the optimizer does not hold have a gradient that it does not see.
    looks = [look for look in m.watched.looks if look.raw_gradient > 0 and not look.missing]
    if not mostly(looks, lambda look: not look.gradient > 0):
        return
    yield no_update.finding(
        severity=m.proven(),
        place="optimizer",
        value=0.0,
        measured=f"a gradient of {number(looks[0].raw_gradient, 2)} after backward, and none when the optimizer steps",
        normal="the same gradient, or a clipped one",
        sentence="The gradients are cleared between backward and step, so no step follows the loss.",
        remedies=line("optimizer.zero_grad(); loss.backward(); optimizer.step()  # in this order"),
    )


@watch_check(
    code="optimizer-parameters",
    stage="during training",
    rank=12,
    meaning="the optimizer lacks parameters of the model, or has some that the model does not have",
    advice="make the optimizer from `model.parameters()`, after the model is complete",
    explains=BROKEN,
)
def optimizer_parameters(m: WatchMeasurements) -> Iterator[Finding]:
    """Parameters of the model that no optimizer changes, because this one does not hold them."""
    looks = m.watched.looks
    elsewhere = {parameter.name for look in looks for parameter in look.parameters if parameter.distance > 0}
    missing = tuple(name for name in in_most(look.missing for look in looks) if name not in elsewhere)
    foreign = in_most(look.foreign for look in looks)
    # An optimizer may train several models: only one that lacks parameters is wrong.
    if not missing:
        return
    trainable = [parameter for parameter in m.model.parameters if parameter.trainable]
    all_missing = len(missing) == len(trainable)
    signs = [f"the optimizer does not have {listed(missing)}"]
    signs += [f"it has parameters of shapes {listed(foreign)} that the model does not have"] if foreign else []
    yield optimizer_parameters.finding(
        severity=m.severity(certain=all_missing or m.learned is not None),
        place="optimizer" if all_missing else modules_of(missing)[0],
        value=float(len(missing)),
        measured="; ".join(signs),
        normal="all trainable parameters of the model, and no others",
        sentence="No step changes the parameters of the model: the optimizer holds those of another one."
        if all_missing
        else "Trainable parameters of the model never change, because the optimizer does not hold them.",
        remedies=line(
            f"optimizer = torch.optim.{m.model.optimizer}(model.parameters(), ...)  # once the model is complete"
        ),
    )


@watch_check(
    code="frozen-parameters",
    stage="during training",
    rank=14,
    meaning="parameters have `requires_grad=False`, or a learning rate of 0, and never change",
    advice="`parameter.requires_grad_(True)`, before the optimizer is made; a rate for each group",
    explains=BROKEN,
)
def frozen_parameters(m: WatchMeasurements) -> Iterator[Finding]:
    """Parameters that no gradient or no rate reaches by intent or by mistake."""
    looks = m.watched.looks
    frozen = in_most(look.frozen for look in looks)
    still = _still(looks)
    if not frozen and not still:
        return
    names = (*frozen, *still)
    sizes = {parameter.name: int(np.prod(parameter.shape)) for parameter in m.model.parameters}
    share = sum(sizes.get(name, 0) for name in names) / max(sum(sizes.values()), 1)
    reason = "requires_grad is False" if frozen else "a gradient, and a step of 0"
    yield frozen_parameters.finding(
        # A trained network may be kept on purpose: what the training reaches decides.
        severity=m.severity(certain=share > 0.5 and m.learned is not None),
        place=modules_of(names)[0],
        value=share,
        measured=f"{percent(share, 2)} of the parameters are frozen ({reason}): {listed(modules_of(names))}",
        normal="trainable parameters, unless a trained network is kept",
        sentence="Most of the network keeps the weights that it started with."
        if share > 0.5
        else "A part of the network keeps the weights that it started with.",
        remedies=line(
            "model.requires_grad_(True)  # before the optimizer is made"
            if frozen
            else f"optimizer.param_groups[...]['lr'] = {number(max(looks[0].rates, default=0.001), 2)}"
        ),
    )


def _still(looks: tuple[Look, ...]) -> tuple[str, ...]:
    """Parameters with a gradient that no observed step moves, while it moves others."""
    if len(looks) < _FEW_LOOKS:
        return ()

    def still(statistics: ParameterStatistics) -> bool:
        # A gradient of almost nothing moves nothing at any rate.
        visible = statistics.gradient * rate > _VISIBLE * statistics.rms
        return statistics.moved is False and visible

    rate = max((max(look.rates, default=0.0) for look in looks), default=0.0)
    moves = any(statistics.moved for look in looks for statistics in look.parameters)
    names = [{statistics.name for statistics in look.parameters if still(statistics)} for look in looks]
    return tuple(name for name in in_most(names) if all(name in other for other in names)) if moves else ()


@watch_check(
    code="decayed-rate",
    stage="during training",
)
def rate_of_zero(m: WatchMeasurements) -> Iterator[Finding]:
    """A learning rate that is 0 in all parameter groups for most of the training."""
    watched = m.watched
    starts = [step for step, _ in watched.rates]
    lengths = np.diff([*starts, max(watched.steps, starts[-1] if starts else 0)])
    zero = np.array([max(rates, default=0.0) == 0 for _, rates in watched.rates], bool)
    share = float(lengths[zero].sum() / max(watched.steps, 1)) if len(starts) else 0.0
    if share <= 0.5:
        return
    yield rate_of_zero.finding(
        severity=m.severity(certain=True),
        place="optimizer.learning_rate",
        value=share,
        measured=f"a learning rate of 0 in {percent(share, 2)} of the steps",
        normal="a rate that lasts for most of the training",
        sentence="The schedule sets the rate to 0: the steps change nothing.",
        remedies=line("print(scheduler.get_last_lr())  # after each scheduler.step(): it must not be 0"),
    )


@watch_check(
    code="unscaled-accumulation",
    stage="during training",
    rank=18,
    meaning="the gradients of several small batches are added without dividing the loss, or it is divided too often",
    advice="`(loss / accumulation_steps).backward()`",
    explains=BROKEN,
)
def accumulation(m: WatchMeasurements) -> Iterator[Finding]:
    """The sum of the scales of the backward passes of a step, which is 1 for a mean over all of its rows."""
    several = mostly(m.watched.looks, lambda look: look.backwards > 1)
    unscaled = mostly(m.watched.looks, lambda look: abs(look.gradient - look.raw_gradient) < _LEFT * look.raw_gradient)
    whole = _whole_scale(m, several)
    if m.model.loss.reduction != "mean" or not ((whole > _SCALED and several) or whole < 1 / _SCALED):
        return
    if not unscaled and not several:
        return
    indifferent = m.model.optimizer in _SCALE_FREE
    batches = round(float(np.median([look.backwards for look in m.watched.looks])))
    yield accumulation.finding(
        severity="note" if indifferent else m.severity(certain=True),
        place="loss",
        value=whole,
        measured=f"{count_noun(batches, 'backward pass', 'backward passes')} before a step, each of the loss times "
        f"{number(whole / batches, 3)}: together {number(whole, 3)} times the gradient of the mean loss",
        normal="1: the loss of each small batch divided by their number",
        sentence="The step is that of a learning rate " + f"{number(whole, 3)} times as large.",
        remedies=line(f"(loss / {batches}).backward()"),
    )


def _whole_scale(m: WatchMeasurements, several: bool) -> float:
    """How many mean losses a step descends, Σ d(backward's loss)/d(mean loss); of a function, by its value
    on the latest rows."""
    scales = [look.loss_scale * look.backwards for look in m.watched.looks if np.isfinite(look.loss_scale)]
    if scales:
        return float(np.median(scales))
    scores = m.latest.training_as_trained if m.latest else None
    latest = np.array(m.watched.losses[-_LATEST:], float)
    if not several or scores is None or not scores.loss > 0 or not np.isfinite(latest).any():
        return 1.0
    return float(np.nanmean(latest) / scores.loss * np.median([look.backwards for look in m.watched.looks]))


@watch_check(code="regularization-too-strong", stage="during training")
def decay_against_gradient(m: WatchMeasurements) -> Iterator[Finding]:
    """A decay that moves the weights as much as the gradient does, from the first steps on."""
    looks = m.watched.looks[:_FIRST_LOOKS]
    decay = max((group.weight_decay for group in m.model.groups), default=0.0)
    if not decay or not looks:
        return
    if m.model.decoupled_decay:
        parts = [max(look.rates, default=0.0) * decay * look.weights / look.update for look in looks if look.update > 0]
    else:
        parts = [decay * look.weights / look.gradient for look in looks if look.gradient > 0]
    part = float(np.median(parts)) if parts else 0.0
    if part <= MOST:
        return
    yield decay_against_gradient.finding(
        severity=m.severity(),
        place="regularization",
        value=part,
        measured=f"in the first steps the decay is {number(part, 2)} times the gradient",
        normal="a few percent",
        sentence="The training makes the weights small instead of the loss.",
        remedies=(m.remedies.no_penalty(),),
    )


@watch_check(code="regularization-too-strong", stage="during training")
def added_to_loss(m: WatchMeasurements) -> Iterator[Finding]:
    """Something that the loop adds to the loss, which outweighs it at first, and takes the size of the weights."""
    looks = [look for look in m.watched.looks[:_FEW_LOOKS] if look.loss > look.loss_added > 0]
    parts = [look.loss_added / (look.loss - look.loss_added) for look in looks]
    part = float(np.median(parts)) if parts else 0.0
    left = m.watched.looks[-1].weights / looks[0].weights if looks else 1.0
    if part <= 1 or not left < _SHRUNK:
        return
    yield added_to_loss.finding(
        severity=m.severity(),
        place="regularization",
        value=part,
        measured=f"the loop adds {number(part, 3)} times the loss to it in the first steps, and leaves the weights "
        f"{percent(left, 2)} of their size",
        normal="a penalty below the loss",
        sentence="The training makes the weights small instead of the loss.",
        remedies=(m.remedies.no_penalty(),),
    )


@watch_check(code="unfinished-warm-up", stage="during training")
def still_rising(m: WatchMeasurements) -> Iterator[Finding]:
    """A rate that has risen in all of the training, to its last step."""
    rates = np.array([max(rates, default=0.0) for _, rates in m.watched.rates])
    if len(rates) <= _FEW_LOOKS or not (np.diff(rates) > 0).all() or 2 * m.watched.rates[-1][0] < m.watched.steps:
        return
    yield still_rising.finding(
        severity=m.severity(),
        place="optimizer.learning_rate",
        value=float(rates[-1]),
        measured=f"a learning rate that rose from {number(rates[0], 2)} to {number(rates[-1], 2)} until the last step",
        normal="a warm-up that ends early in the training",
        sentence="The training ended during the warm-up of its learning rate.",
        remedies=line("scheduler.step()  # after each batch, or a warm-up of fewer steps than the training has"),
    )


@watch_check(
    code="clip-too-strong",
    stage="during training",
    rank=58,
    meaning="clipping leaves almost nothing of the gradient, and the steps are too short",
    advice="a larger `max_norm` in `clip_grad_norm_`; `scaler.unscale_(optimizer)` before it",
    explains=("stuck", "lr-too-low", "epochs-too-few", "vanishing"),
)
def clipping(m: WatchMeasurements) -> Iterator[Finding]:
    """Gradients that are clipped to steps that hardly move the weights."""
    looks = [look for look in m.watched.looks if look.raw_gradient > 0 and look.gradient > 0]
    if not mostly(looks, lambda look: _left(look) < _LITTLE_LEFT):
        return
    left = float(np.median([_left(look) for look in looks]))
    # Where an optimizer divides gradients by their size, the steps stay as long.
    if not m.moved < normal("moved").low and not m.first_step < normal("first_step").far().low:
        return
    limit = float(np.median([look.gradient for look in looks]))
    usual = float(np.median([look.gradient / _left(look) for look in looks]))
    scaled = float(np.median([look.loss_scale for look in looks])) > _SCALED
    yield clipping.finding(
        severity=m.severity(certain=True),
        place="clipping",
        value=left,
        measured=f"{percent(left, 2)} of the gradient is left when the optimizer steps: a norm of {number(limit, 2)} "
        f"of {number(usual, 2)} (medians of {count_noun(len(looks), 'step')})",
        normal="a limit that only rare, large gradients reach",
        sentence="Clipping takes nearly all of the gradient away, so the steps hardly move the weights.",
        remedies=line(
            "scaler.unscale_(optimizer)  # before clip_grad_norm_"
            if scaled
            else f"torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm={number(10 * usual, 1)})"
        ),
    )


def _left(look: Look) -> float:
    """The part of the gradient that is left when the optimizer steps; a scaler has multiplied it, and divides it."""
    return look.gradient / look.raw_gradient * (look.loss_scale if look.loss_scale > 1 else 1.0)


@watch_check(
    code="training-in-eval-mode",
    stage="during training",
    rank=17,
    meaning="normalization layers are in evaluation mode while the network is trained",
    advice="`model.train()` before the batches of each epoch",
    explains=BROKEN,
)
def training_in_eval_mode(m: WatchMeasurements) -> Iterator[Finding]:
    """Steps with modules in evaluation mode."""
    # A mode that an evaluation leaves behind begins after the first epoch.
    evaluating = in_most(look.evaluating for look in m.watched.looks) or in_most(look.evaluating for look in late(m))
    if not evaluating:
        return
    roles = {module.name: module.role for module in m.model.modules}
    norms = [name for name in evaluating if roles.get(name) == "norm"]
    yield training_in_eval_mode.finding(
        # Without dropout a network learns its training rows all the same.
        severity=m.proven(may_be_meant=True) if norms else "note",
        place=(norms or list(evaluating))[0],
        value=float(len(evaluating)),
        measured=f"{listed(evaluating)} in evaluation mode while the optimizer steps",
        normal="training mode: normalization by the batch, active dropout",
        sentence="The layers normalize by statistics of another time, and these are never updated."
        if norms
        else "Dropout is switched off while the network is trained.",
        remedies=line("model.train()  # before the batches of each epoch, after each evaluation"),
    )
