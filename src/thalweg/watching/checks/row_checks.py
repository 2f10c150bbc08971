"""Checks of the rows that the training sees, and of those on which it is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...doctor.attainable import standard_error
from ...doctor.checks.init_checks import explodes
from ...doctor.findings import Finding
from ...doctor.measurements import BEYOND_CHANCE, LEAST_GAP
from ...doctor.normal import normal
from ...pages.numbers import count_noun, number, percent
from ..facts import BatchStatistics, SetScores
from ..measurements.watch_measurements import WatchMeasurements
from ..registry import watch_check
from .common import BROKEN, MOST, line, loss_inputs

_FEW_LOOKS = 3
_FEW_EPOCHS = 3
# The rows of all epochs together are this many times those of one epoch, or more: most rows are left out.
_SEVERAL = 3.0
_DRIFT = 0.3
_DIFFERENT_SCALE = 2.0
_FAR = 5.0
_MOST_COLUMNS = 0.5
_RISEN = 10.0
_HUGE = 1e6
_MAJORITY = 0.9
_RARE = 0.1
_GAP = 1 / 3
_LEARNED = 2 / 3
# Standard errors of a difference that chance does not make once in ten thousand trainings.
_CERTAIN = 4.0


def _batches(m: WatchMeasurements) -> list[BatchStatistics]:
    return [look.batch for look in m.watched.looks if look.batch is not None]


def _share(scores: SetScores | None) -> float:
    return scores.share if scores is not None else float("nan")


def _generalizes(m: WatchMeasurements) -> bool:
    """Whether the network is about as good on the validation rows as a network that learned."""
    return _share(m.validation) >= _LEARNED


@watch_check(
    code="not-finite",
    stage="during training",
    rank=8,
    meaning="a NaN or an infinity arises at a place where numbers were of a normal size",
    advice="`torch.log(p + 1e-6)`, `torch.sqrt(x + 1e-6)`, targets and inputs without NaN; `nn.BCEWithLogitsLoss()` "
    "instead of a logarithm of one's own",
    explains=BROKEN,
)
def not_finite(m: WatchMeasurements) -> Iterator[Finding]:
    """A NaN or an infinity that no growing numbers led to."""
    first = m.watched.nonfinite
    if first is None:
        return
    if first.direction != "input" and _targets_not_finite(m):
        first = replace(first, place="targets", direction="input")
    elif first.direction == "backward" and first.place == _last_place(m):
        # What comes after the last module: a function at the end of the model, or the loss.
        first = replace(first, place="loss")
    losses = np.array(m.watched.losses[: first.step + 1], float)
    losses = losses[np.isfinite(losses)]
    from_small = first.direction == "loss" and _outputs_were_small(m, first.step)
    if first.direction != "input" and not from_small and (_grew(m, losses) or not m.diverged):
        return
    where = {
        "input": "the rows",
        "loss": "the loss, from outputs that are finite",
        "backward": "the gradient, from a loss that is finite",
        "forward": "the outputs",
        "update": "the step",
    }[first.direction]
    yield not_finite.finding(
        severity="severe",
        place=first.place,
        value=float("nan"),
        measured=f"the first NaN or infinity is in {where}, in step {number(first.step)}"
        + (f"; the losses before it are at most {number(np.abs(losses).max(), 3)}" if len(losses) else ""),
        normal="finite numbers: a logarithm, a root or a division has no value or no slope at 0",
        sentence="A function was taken where it has no finite value or slope, and then nothing is left of the network."
        if first.direction != "input"
        else "The rows hold NaN or infinity: one such number makes all weights NaN.",
        remedies=line(
            "assert torch.isfinite(x).all() and torch.isfinite(y).all()  # the rows"
            if first.direction == "input"
            else "torch.log(p + 1e-6), torch.sqrt(x + 1e-6)  # away from 0"
        ),
    )


def _outputs_were_small(m: WatchMeasurements, step: int) -> bool:
    """Whether the loss of a step that was looked at lost its numbers from outputs far from overflowing."""
    given = next((look.loss_input for look in m.watched.looks if look.step == step), None)
    return given is not None and max(abs(given.low), abs(given.high)) < _HUGE


def _grew(m: WatchMeasurements, losses: np.ndarray) -> bool:
    """Whether numbers grew before they were lost: losses, or weights by steps of their own size."""
    risen = len(losses) > 1 and np.abs(losses[-5:]).max() > _RISEN * max(np.abs(losses[:5]).max(), 1e-3)
    grows = m.start.finite and explodes(m.start)
    return bool(risen) or m.first_step > normal("first_step").high or grows


def _targets_not_finite(m: WatchMeasurements) -> bool:
    return any(np.isinf([given.target_low, given.target_high]).any() for given in loss_inputs(m))


def _last_place(m: WatchMeasurements) -> str:
    """The last module with weights, in the order of the forward pass."""
    return m.start.dense[-1] if m.start.dense else ""


@watch_check(
    code="same-batch",
    stage="during training",
    rank=28,
    meaning="every step sees the same batch",
    advice="`for x, y in loader:` instead of `next(iter(loader))`",
    explains=("overfitting", "memorised", "unshuffled", "stuck", "mismatch", "epoch-cut-short"),
)
def same_batch(m: WatchMeasurements) -> Iterator[Finding]:
    """Batches that all hold the same rows, while the validation rows are not learned."""
    batches = [frozenset(batch.rows) for batch in _batches(m) if batch.rows]
    if len(batches) < _FEW_LOOKS or any(batch != batches[0] for batch in batches) or m.watched.steps < _FEW_LOOKS:
        return
    trained = _share(m.latest.training if m.latest else None)
    yield same_batch.finding(
        # Steps on all rows are gradient descent as it stands in the books.
        severity="severe" if _share(m.validation) < trained / 2 else "note",
        place="data.order",
        value=float(len(batches[0])),
        measured=f"the same {count_noun(len(batches[0]), 'row')} in each of {len(batches)} observed steps",
        normal="other rows in each step, until all were seen",
        sentence="The network only ever sees these rows, and learns them by heart.",
        remedies=line("for x, y in loader:  # not next(iter(loader)), which begins again each time"),
    )


@watch_check(
    code="epoch-cut-short",
    stage="during training",
    rank=29,
    meaning="an epoch ends long before all rows were seen",
    advice="no `break` or `return` in the loop over batches",
    explains=("overfitting", "memorised", "stuck", "lr-too-low", "epochs-too-few", "vanishing"),
)
def epoch_cut_short(m: WatchMeasurements) -> Iterator[Finding]:
    """Epochs of a single step, each on other rows."""
    epochs = m.watched.epochs
    single = len(epochs) >= _FEW_EPOCHS and all(epoch.steps == 1 for epoch in epochs)
    batches = [frozenset(batch.rows) for batch in _batches(m) if batch.rows]
    if not single or len(batches) < _FEW_LOOKS:
        return
    sizes = sum(map(len, batches))
    distinct = len(frozenset().union(*batches))
    # If each epoch had all rows, they would be the same ones.
    if distinct < _SEVERAL * sizes / len(batches):
        return
    yield epoch_cut_short.finding(
        severity=m.proven(may_be_meant=True),
        place="loop",
        value=sizes / len(batches) / distinct,
        measured=f"{count_noun(len(epochs), 'epoch')} of 1 step; {len(batches)} of them have {distinct} different rows",
        normal="all rows in each epoch",
        sentence="Each epoch ends after its first batch, so the training has far fewer steps than it seems.",
        remedies=line("# no break or return at the end of: for x, y in loader:"),
    )


@watch_check(code="epoch-cut-short", stage="during training")
def without_steps(m: WatchMeasurements) -> Iterator[Finding]:
    """Epochs without any step: the rows have ended."""
    empty = sum(epoch.steps == 0 for epoch in m.watched.epochs)
    if not empty:
        return
    yield without_steps.finding(
        severity=m.proven(may_be_meant=True),
        place="loop",
        value=float(empty),
        measured=f"{empty} of {count_noun(len(m.watched.epochs), 'epoch')} without a step of the optimizer",
        normal="all rows in each epoch",
        sentence="The loop gets no rows any more: an iterator or a generator ends once, and stays at its end.",
        remedies=line(
            "for x, y in loader:  # a DataLoader or a list, which begins again in each epoch, not iter(loader)"
        ),
    )


@watch_check(code="epoch-cut-short", stage="before training")
def no_step(m: WatchMeasurements) -> Iterator[Finding]:
    """A training of which nothing can be said."""
    if m.watched.steps:
        return
    yield no_step.finding(
        severity="severe",
        place="loop",
        value=0.0,
        measured="no step so far",
        normal="a step for each batch",
        sentence="The optimizer that is watched has made no step, so nothing can be said of the training.",
        remedies=line("optimizer.step()  # of the optimizer that the watch was given, after loss.backward()"),
    )


@watch_check(
    code="data-mutated",
    stage="during training",
    rank=19,
    meaning="the stored rows are changed in place, again in each epoch",
    advice="`x = x.clone()` or `x = (x - mean) / std` in `__getitem__`, not `x -= mean`",
    explains=(*BROKEN, "mismatch", "validation-prepared-otherwise", "outlying-rows"),
)
def data_mutated(m: WatchMeasurements) -> Iterator[Finding]:
    """Rows whose mean or scale drifts from epoch to epoch: those at the end of each epoch are compared."""
    scored = [epoch.training for epoch in m.watched.epochs if epoch.training is not None]
    if len(scored) < _FEW_EPOCHS:
        return
    first, last = scored[0], scored[-1]
    drifts = {
        "mean of the inputs": (first.input_mean, last.input_mean, first.input_deviation),
        "deviation of the inputs": (first.input_deviation, last.input_deviation, first.input_deviation),
        "mean of the targets": (first.target_mean, last.target_mean, first.target_deviation),
        "deviation of the targets": (first.target_deviation, last.target_deviation, first.target_deviation),
    }
    far = {
        # Deviations of few rows differ by more than their means do: they count from a factor of two on.
        name: abs(b - a) / scale if "mean" in name else _DRIFT * (max(a, b) / max(min(a, b), 1e-30) - 1)
        for name, (a, b, scale) in drifts.items()
        if scale > 0 and np.isfinite(b)
    }
    name = max(far, key=lambda name: far[name], default="")
    if not name or far[name] <= max(_DRIFT, 1 / np.sqrt(min(first.rows, last.rows)) * _CERTAIN):
        return
    yield data_mutated.finding(
        # A network that follows the rows as they change is of no use for others.
        severity=m.severity(certain=True) if m.validation is None else "note" if _generalizes(m) else "severe",
        place="data.inputs" if "inputs" in name else "data.targets",
        value=far[name],
        measured=f"the {name} went from {number(drifts[name][0], 3)} in the first epoch to "
        f"{number(drifts[name][1], 3)} in the last one",
        normal="the same distribution in all epochs",
        sentence="The rows change from epoch to epoch: what reads them writes into them.",
        remedies=line("x = self.x[i].clone()  # before x -= mean, x /= std"),
    )


@watch_check(
    code="validation-prepared-otherwise",
    stage="during training",
    rank=257,
    meaning="the inputs of the validation rows have another scale or offset than those of the training rows",
    advice="the same transform for all rows, with the mean and deviation of the training rows",
    explains=("mismatch", "memorised", "overfitting", "outlying-rows", "evaluation-in-train-mode"),
)
def prepared_otherwise(m: WatchMeasurements) -> Iterator[Finding]:
    """Validation inputs on another scale, in most of the columns."""
    here, there = m.latest.training if m.latest else None, m.validation
    if here is None or there is None:
        return
    columns = bool(here.column_means) and len(here.column_means) == len(there.column_means)
    mean, deviation = _statistics(here, columns)
    other_mean, other_deviation = _statistics(there, columns)
    varies = deviation > 0
    if not varies.any():
        return
    offset = np.abs(other_mean - mean)[varies] / deviation[varies]
    scale = other_deviation[varies] / deviation[varies]
    # A shift of the mean alone is also that of rows of another kind.
    off = (offset > _FAR) | (scale > _DIFFERENT_SCALE) | (scale < 1 / _DIFFERENT_SCALE)
    if off.mean() <= _MOST_COLUMNS:
        return
    worse = _share(there) <= _share(here) - _GAP
    of = f"{percent(off.mean(), 2)} of the columns: " if columns else ""
    yield prepared_otherwise.finding(
        severity="severe" if worse else "note",
        place="validation",
        value=float(np.median(scale)),
        measured=f"{of}a mean {number(np.median(offset), 3)} deviations away, and {number(np.median(scale), 3)} times "
        f"the deviation of the training rows; {_scores(here, there)}",
        normal="the same scale, except for chance",
        sentence="The validation rows were prepared in another way than the training rows.",
        remedies=line("x_validation = (x_validation - mean) / std  # mean and std of the training rows"),
    )


def _statistics(scores: SetScores, columns: bool) -> tuple[np.ndarray, np.ndarray]:
    if columns:
        return np.array(scores.column_means), np.array(scores.column_deviations)
    return np.array([scores.input_mean]), np.array([scores.input_deviation])


def _scores(training: SetScores, validation: SetScores) -> str:
    return f"score {number(training.score, 3)} on training rows, {number(validation.score, 3)} on validation rows"


@watch_check(
    code="statistics-disagree",
    stage="during training",
    rank=256,
    meaning="a network with normalization is good in training mode and bad in evaluation mode, on the same rows",
    advice="`momentum=0.1` and `track_running_stats=True`, larger batches, or `nn.GroupNorm`, `nn.LayerNorm`",
    explains=("stuck", "overfitting", "memorised", "mismatch"),
)
def statistics_disagree(m: WatchMeasurements) -> Iterator[Finding]:
    """Running statistics that are not those of the batches."""
    last = m.latest
    norms = [module.name for module in m.model.modules if module.role == "norm"]
    if last is None or not norms:
        return
    trained, evaluated = _share(last.training_as_trained), _share(last.training)
    if not trained - evaluated > _GAP:
        return
    yield statistics_disagree.finding(
        severity="severe",
        place=norms[0],
        value=trained - evaluated,
        measured=f"on the same training rows {percent(trained, 2)} of the gap to a perfect score is closed in training "
        f"mode, and {percent(max(evaluated, 0.0), 2)} in evaluation mode",
        normal="about the same in both modes",
        sentence="The running statistics of the normalization are not those of the batches that the network "
        "was trained with.",
        remedies=line("nn.BatchNorm1d(width, momentum=0.1)  # statistics that follow the batches"),
    )


@watch_check(
    code="evaluation-in-train-mode",
    stage="during training",
    rank=258,
    meaning="the network is evaluated in training mode: with batch statistics and active dropout",
    advice="`model.eval()` before the evaluation, `model.train()` after it",
    explains=("overfitting", "memorised"),
)
def evaluation_in_train_mode(m: WatchMeasurements) -> Iterator[Finding]:
    """Forward passes without gradients in training mode, of a network whose layers differ between the modes."""
    modes = [
        module.name
        for module in m.model.modules
        if module.role == "norm" or (module.role == "dropout" and module.drop_rate)
    ]
    passes = sum(epoch.evaluated_in_training for epoch in m.watched.epochs)
    if not modes or not passes:
        return
    yield evaluation_in_train_mode.finding(
        severity="warning",
        place=modes[0],
        value=float(passes),
        measured=f"{count_noun(passes, 'forward pass', 'forward passes')} without gradients in training mode",
        normal="model.eval() before an evaluation",
        sentence="The answers of an evaluation depend on the other rows of its batch, or on chance.",
        remedies=line("model.eval()  # before the evaluation; model.train() after it"),
    )


@watch_check(code="evaluation-in-train-mode", stage="during training")
def random_evaluation(m: WatchMeasurements) -> Iterator[Finding]:
    """Outputs that depend on chance in evaluation mode, where modules for dropout do nothing."""
    if not m.watched.chance:
        return
    cost = _cost_of_chance(m)
    yield random_evaluation.finding(
        severity="warning" if cost else m.severity(),
        place=m.watched.chance,
        value=1.0,
        measured=f"two passes of the same rows in evaluation mode differ{cost}",
        normal="the same outputs: dropout and noise act in training mode alone",
        sentence="Chance takes part in each answer of the network, also after the training.",
        remedies=line("x = F.dropout(x, p, training=self.training)  # or an nn.Dropout(p) in __init__"),
    )


def _cost_of_chance(m: WatchMeasurements) -> str:
    """How many more rows get the right class from the mean outputs of several passes than from one pass, in words;
    empty for no relevant number, and for other targets: chance may be meant where an answer is no class."""
    single, averaged = m.latest.training if m.latest else None, m.watched.averaged
    if single is None or averaged is None or sum(single.classes.values()) != single.rows:
        return ""
    error = 2 * standard_error(single.balanced_score, single.rows, "balanced_accuracy")
    if averaged.balanced_score - single.balanced_score <= max(LEAST_GAP, error):
        return ""
    return (
        f"; the mean outputs of several passes have a balanced accuracy of {percent(averaged.balanced_score, 2)}, those"
        f" of one pass of {percent(single.balanced_score, 2)}"
    )


@watch_check(
    code="rows-misaligned",
    stage="during training",
    rank=9,
    meaning="the training rows tell nothing of their targets, and the validation rows do",
    advice="permute inputs and targets together: `x[order], y[order]`",
    explains=(*BROKEN, "mismatch", "validation-prepared-otherwise", "wrong-labels"),
)
def rows_misaligned(m: WatchMeasurements) -> Iterator[Finding]:
    """A reference learner that learns from the validation rows and not from the training rows."""
    known = m.watched.reference
    if known is None or not np.isfinite(known.training) or not np.isfinite(known.validation):
        return
    here, there = known.training - known.training_constant, known.validation - known.validation_constant
    beyond = there - here > _CERTAIN * float(np.hypot(known.training_error, known.validation_error))
    if here > BEYOND_CHANCE * known.training_error or there <= _CERTAIN * known.validation_error or not beyond:
        return
    yield rows_misaligned.finding(
        severity="severe" if not _generalizes(m) else "note",
        place="data.targets",
        value=here,
        measured=f"a random forest reaches {number(known.validation, 3)} on unseen validation rows "
        f"({number(known.validation_constant, 3)} by a constant output), and {number(known.training, 3)} ± "
        f"{number(BEYOND_CHANCE * known.training_error, 2)} on unseen training rows "
        f"({number(known.training_constant, 3)})",
        normal="about the same on both",
        sentence="The targets of the training rows belong to other rows, so there is nothing to learn from them.",
        remedies=line("order = torch.randperm(len(x)); x, y = x[order], y[order]  # both, by the same order"),
    )


@watch_check(code="imbalance", stage="during training")
def neglected_class(m: WatchMeasurements) -> Iterator[Finding]:
    """A rare class that the network never names, while it names the others well."""
    scores = m.latest.training if m.latest else None
    if scores is None or not scores.classes or not m.majority <= _MAJORITY:
        return
    rows = sum(scores.classes.values())
    rare = {
        name for name, count in scores.classes.items() if count < _RARE * rows and scores.recalls.get(name, 1) < _RARE
    }
    others = [recall for name, recall in scores.recalls.items() if name not in rare]
    if not rare or not others or min(others) < MOST:
        return
    name = min(rare, key=lambda name: scores.classes[name])
    yield neglected_class.finding(
        severity=m.severity() if scores.balanced_score < _LEARNED else "note",
        place="data",
        value=scores.classes[name] / rows,
        measured=f"class {name} has {percent(scores.classes[name] / rows, 2)} of the rows, and "
        f"{percent(scores.recalls[name], 2)} of them are found",
        normal="classes that occur often enough, or weights",
        sentence="The loss hardly counts the rare class, so the network never names it.",
        remedies=(m.remedies.balanced_order(),),
    )
