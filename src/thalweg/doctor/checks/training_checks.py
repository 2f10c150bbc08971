"""What the record of a training shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import remedies
from .case import Case
from .findings import Finding, Remedy, Stage
from .material import LEAST
from .normal import normal
from .start import ALIVE, against_death, against_growth, against_vanishing, dead_in_words, explodes

_STAGE: Stage = "during training"
_WORSE, _FEW_ROWS, _ERRORS = 1.25, 30, 3
_DECAYED, _BLIND = 0.01, 10
_SHIFTED, _STILL = 1.0, 0.01


def divergence(case: Case) -> Iterator[Finding]:
    """Numbers that left all bounds."""
    # From a sound start it is the steps.
    if not case.diverged or not explodes(case.start):
        return
    yield Finding(
        "exploding",
        _STAGE,
        "severe",
        "training",
        float("inf"),
        case.diverged,
        "finite numbers",
        "The numbers left all bounds, and the training ended there.",
        (*against_growth(case), remedies.rate(case, 0.1)),
    )


def long_steps(case: Case) -> Iterator[Finding]:
    """Steps that are too long."""
    signs = []
    if case.worst_loss > max(normal("worst_loss").high, _WORSE * case.first_loss):
        worst = case.worst_loss * case.constant_loss
        signs.append(
            f"a loss of up to {worst:.3g} after the first epoch, where a constant answer has {case.constant_loss:.3g}"
        )
    if case.first_step > normal("first_step").high:
        signs.append(f"a step among the first of {case.first_step:.2g} times the size of a layer's weights")
    if case.diverged and not explodes(case.start):
        signs.append("numbers that left all bounds, from a start where they were sound")
    if not signs:
        return
    yield Finding(
        "lr-too-high",
        _STAGE,
        case.severity(certain=len(signs) > 1 or bool(case.diverged)),
        "optimizer.learning_rate",
        case.rate,
        "; ".join(signs),
        "steps of about a thousandth of the size of the weights, and a loss that falls",
        "The steps overshoot: they end higher than they began, or throw units where they answer nothing.",
        (remedies.rate(case, 0.1), remedies.rate(case, 0.01), remedies.adam(case)),
    )


def lengths(case: Case) -> Iterator[Finding]:
    """Where steps end along their way, and how much of them is noise."""
    usual = normal("step_length")
    if case.step_length > usual.high:
        yield Finding(
            "step-too-long",
            _STAGE,
            case.severity(),
            "optimizer.learning_rate",
            case.step_length,
            f"half of the steps end {case.step_length:.2g} or more behind the lowest place on their way",
            f"near it ({usual.tells()}; 0: at it, -1: no step, 1: as high on the other side)",
            "Steps go too far along their own direction.",
            (remedies.rate(case, 0.1), remedies.adam(case)),
        )
    elif case.step_length < usual.low:
        yield Finding(
            "step-too-short",
            _STAGE,
            case.severity(),
            "optimizer.learning_rate",
            case.step_length,
            f"half of the steps end {-case.step_length:.3g} or more of the way before the lowest place on it",
            f"nearer to it ({usual.tells()}; 0: at it, -1: no step, 1: as high on the other side)",
            "Steps stop long before the loss would cease to fall along them.",
            (remedies.rate(case, 10), remedies.adam(case)),
        )
    if case.noise > normal("noise").far().high:
        yield Finding(
            "noisy-gradient",
            _STAGE,
            case.severity(),
            "training.batch_size",
            case.noise,
            f"the noise of a batch's gradient is {case.noise:.3g} times the gradient (squares)",
            f"less ({normal('noise').tells()})",
            "The rows of a batch pull in all directions: what is left is mostly chance.",
            _larger_batch(case),
        )


def jumps(case: Case) -> Iterator[Finding]:
    """A loss that jumps instead of settling."""
    if not case.jump > normal("jump").high:
        return
    yield Finding(
        "oscillating-loss",
        _STAGE,
        case.severity(),
        "training",
        case.jump,
        f"from epoch to epoch the loss of the second half changes by {case.jump:.0%} of all that it fell",
        f"less ({normal('jump').tells()})",
        "The loss jumps instead of settling: the steps are too long for the noise of their batches.",
        (remedies.rate(case, 0.1), *_larger_batch(case), remedies.adam(case)),
    )


def _larger_batch(case: Case) -> tuple[Remedy, ...]:
    size = case.spec.training.batch_size
    return (remedies.batch(case, 32),) if isinstance(size, int) and size < 16 and case.rows > 64 else ()


def units(case: Case) -> Iterator[Finding]:
    """Units that the training has left dead or saturated."""
    if case.alive_at_end <= ALIVE:
        index = next(i for i, alive in case.alive_by_layer.items() if alive == case.alive_at_end)
        yield Finding(
            "dying-relu",
            _STAGE,
            case.severity(certain=case.alive_at_end == 0),
            case.name(index),
            case.alive_at_end,
            f"{case.alive_at_end:.0f} of its units pass a gradient for some row at the end; "
            f"{case.alive_in(case.start)[index]:.0f} did at the start",
            f"more than {ALIVE} ({normal('alive_at_end').tells()})",
            dead_in_words(case.alive_at_end),
            (*against_death(case), remedies.rate(case, 0.1)),
        )
    if case.saturated_at_end > normal("saturated_at_end").high:
        index = max(case.saturated_by_layer, key=lambda place: case.saturated_by_layer[place])
        yield Finding(
            "saturating-hidden",
            _STAGE,
            case.severity(),
            case.name(index),
            case.saturated_at_end,
            f"{case.saturated_at_end:.0%} of its answers are where the slope is below 5 % of the steepest, at the end",
            f"fewer ({normal('saturated_at_end').tells()})",
            "Units at their limits pass hardly any gradient.",
            (remedies.scale(case), remedies.rate(case, 0.1)),
        )


def flow(case: Case) -> Iterator[Finding]:
    """A gradient that has come to vanish on its way back."""
    if case.end is None or not case.flow_at_end < normal("flow").far().low or case.alive_at_end == 0:
        return
    yield Finding(
        "vanishing",
        _STAGE,
        case.severity(),
        case.name(case.end.dense[0]),
        case.flow_at_end,
        f"at the end the first layer gets {case.flow_at_end:.2g} of the gradient of the last hidden one; "
        f"{case.flow:.2g} at the start",
        f"more ({normal('flow_at_end').tells()})",
        "The first layers have stopped learning.",
        against_vanishing(case),
    )


def progress(case: Case) -> Iterator[Finding]:
    """Training that was not over: still falling, or hardly begun."""
    if not case.history or case.diverged or case.learns:
        return
    falls, few = case.falling > normal("falling").high, case.updates < normal("updates").far().low
    signs = [f"{case.falling:.0%} of all that the loss fell was in the last quarter"] if falls else []
    signs += [f"{case.updates:.0f} updates in all"] if few else []
    if signs:
        more = (remedies.longer(case, 10), *((remedies.longer(case, 100),) if case.updates < 10_000 else ()))
        yield Finding(
            "epochs-too-few",
            _STAGE,
            case.severity(certain=falls and few),
            "training.epochs",
            len(case.history),
            "; ".join(signs),
            "a loss that has settled",
            "The training was not over: more epochs would go on.",
            more,
        )
    if case.moved < normal("moved").low:
        yield Finding(
            "lr-too-low",
            _STAGE,
            case.severity(),
            "optimizer.learning_rate",
            case.moved,
            f"no layer's weights moved further than {case.moved:.1%} of their size in {case.updates:,.0f} updates",
            f"further ({normal('moved').tells()})",
            "The steps are too short for as few of them as there are.",
            (remedies.rate(case, 10), remedies.rate(case, 100), remedies.adam(case)),
        )


def rates(case: Case) -> Iterator[Finding]:
    """A schedule that has ended the training before its end."""
    if not case.late_rate < _DECAYED:
        return
    yield Finding(
        "decayed-rate",
        _STAGE,
        case.severity(certain=True),
        "optimizer.learning_rate",
        case.late_rate,
        f"after a quarter of the training the rate is {case.late_rate:.1g} of its largest",
        "a rate that lasts for most of the training",
        "The schedule has ended the training before it had begun: what remains of the rate moves nothing.",
        (remedies.rate(case, 1.0), remedies.adam(case)),
    )


def penalty(case: Case) -> Iterator[Finding]:
    """A penalty of the weights that is all there is to the loss, or a decay that has left no weights."""
    if not case.penalty > normal("penalty").far().high and not (_decays(case) and case.moved < 1.01 and _shrunk(case)):
        return
    yield Finding(
        "regularization-too-strong",
        _STAGE,
        case.severity(),
        "regularization",
        case.penalty,
        f"the penalty of the weights is {case.penalty:.3g} times the loss"
        if case.penalty > 1
        else "a layer has lost its weights to the decay",
        "a penalty that is less than the loss",
        "The training makes the weights small instead of the loss.",
        (remedies.weaker(case),),
    )


def _decays(case: Case) -> bool:
    return any(isinstance(value, int | float) and value > 0 for value in case.spec.regularization.describe().values())


def _shrunk(case: Case) -> bool:
    assert case.params is not None
    sizes = [(np.abs(case.params[i].W).max(), np.abs(case.begun.params[i].W).max()) for i in case.gains]
    return any(after < 1e-2 * before for after, before in sizes)


def sameness(case: Case) -> Iterator[Finding]:
    """A network that answers the same, whatever comes in."""
    if case.learns or not case.spread < normal("spread").low / _BLIND:
        return
    yield Finding(
        "blind",
        _STAGE,
        case.severity(),
        "network",
        case.spread,
        f"its answers differ by {case.spread:.2g} of their size between the rows",
        f"more ({normal('spread').tells()})",
        "The network answers the same for all rows.",
    )


def held_out(case: Case) -> Iterator[Finding]:
    """Validation rows that get worse while the training rows get better, or that are of another kind."""
    rows = case.validation
    if rows is None or len(rows) < _FEW_ROWS:
        return
    seen = np.array([record.get("validation_loss", np.nan) for record in case.history], dtype=float)
    if len(seen) > 4 and np.isfinite(seen).all():
        best = int(seen.argmin())
        worse = float(seen[-1] / seen[best]) if seen[best] > 0 else 1.0
        if worse > _WORSE and case.losses[-1] < case.losses[best]:
            keep = (("stopping.restore_best", True),)
            yield Finding(
                "overfitting",
                _STAGE,
                "warning" if _score_fell(case, best, len(rows)) else "note",
                "training.epochs",
                worse,
                f"the validation loss is {worse:.2f} times what it was in epoch {best + 1}, while the training "
                "loss fell on",
                "a validation loss that stays where it is lowest",
                "The network learns its training rows by heart, and gets worse at others.",
                (Remedy("the weights of the best epoch", keep),),
            )
    shift = np.abs(rows.x.mean(axis=0) - case.x.mean(axis=0)) / np.maximum(case.x.std(axis=0), 1e-12)
    # A column that hardly ever moves is far from its mean by a single row.
    shift = np.where(case.x.std(axis=0) > _STILL * max(float(case.x.std()), 1e-12), shift, 0.0)
    if shift.max(initial=0) > _SHIFTED:
        own, other = (case.measures.get(name, {}).get("loss", 0.0) for name in ("training", "validation"))
        yield Finding(
            "mismatch",
            _STAGE,
            "warning" if other > _WORSE * own else "note",
            "data.split",
            float(shift.max()),
            f"the mean of {case.features[int(shift.argmax())]} is {shift.max():.2g} deviations off where it validates",
            "the same rows in both, but for chance",
            "The validation rows are of another kind than the training rows.",
        )
    if case.task == "classification" and (missing := set(np.unique(rows.y)) - set(np.unique(case.train.y))):
        yield Finding(
            "mismatch",
            _STAGE,
            "warning",
            "data.split",
            float(len(missing)),
            f"{len(missing)} classes of the validation rows are in no training row",
            "the same classes in both",
            "The validation rows are of another kind than the training rows.",
        )


def _score_fell(case: Case, epoch: int, rows: int) -> bool:
    """Whether the validation score has fallen since, by more than chance may explain, and by as much as counts."""
    then, now = case.history[epoch], case.history[-1]
    if case.task == "regression":
        best, last = then["validation_r2"], now["validation_r2"]
        error = 2 * np.sqrt(max(best, 0.0)) * (1 - best) / np.sqrt(rows)
    else:
        best, last = then["validation_accuracy"], now["validation_accuracy"]
        error = np.sqrt(max(best * (1 - best), 0.01) / rows)
    return bool(best - last > max(_ERRORS * error, LEAST))


def unlearnt(case: Case) -> Iterator[Finding]:
    """Training that came to nothing."""
    learned = case.learned
    if learned is None or case.learns or learned.attainable - learned.constant < LEAST:
        return
    yield Finding(
        "plateau",
        _STAGE,
        "warning",
        "training",
        learned.share,
        "it diverged" if case.diverged else f"{learned.score:.3g} ({learned.measure})",
        f"{learned.attainable:.3g} can be done on these rows; the best constant answer has {learned.constant:.3g}",
        "The network did not learn what can be learnt here.",
        (remedies.rate(case, 10), remedies.rate(case, 0.1), remedies.longer(case, 10), remedies.adam(case)),
    )


CHECKS = (
    divergence,
    long_steps,
    lengths,
    jumps,
    units,
    flow,
    progress,
    rates,
    penalty,
    sameness,
    held_out,
    unlearnt,
)
