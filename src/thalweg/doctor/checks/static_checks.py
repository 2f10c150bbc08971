"""What can be told before a training: by the spec and its rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ..parts.layers import Dense, Dropout, Exponential, ReLU, Sigmoid, Sign, Softmax, Softplus, Step, Tanh
from . import remedies
from .case import Case
from .findings import Finding, Severity, Stage
from .material import LEAST
from .normal import normal

_STAGE: Stage = "before training"
# Losses that take probabilities, and those of linear units, which have conventions of their own.
_OF_PROBABILITIES = ("cross_entropy", "binary_cross_entropy")
_OF_LOGITS = ("softmax_cross_entropy", "sigmoid_binary_cross_entropy")
_OF_LINEAR_UNITS = ("hinge", "perceptron", "lms")
_DROPOUT, _LEAK, _DISTINCT, _MAJORITY, _SEVERAL, _FEW_TARGETS = 0.8, 0.2, 1 / 3, 0.9, 0.05, 0.01


def outputs(case: Case) -> Iterator[Finding]:
    """The last activation against the loss and the targets."""
    loss, last, task = case.spec.loss.kind, case.output, case.task
    (low, high), words = _reach(last), loss.replace("_", " ")
    outside = float(np.mean((case.targets < low) | (case.targets > high)))

    def unsuited(severity: Severity, value: float, measured: str, normal: str, sentence: str) -> Finding:
        place = case.name(len(case.network.layers) - 1)
        remedy = remedies.output(case)
        return Finding("output-activation", _STAGE, severity, place, value, measured, normal, sentence, (remedy,))

    if loss in _OF_LINEAR_UNITS:
        return
    if isinstance(last, Softmax) and case.width == 1:
        yield unsuited(
            "severe",
            1.0,
            "softmax over 1 output",
            "one output takes a sigmoid: a softmax shares a sum of 1 among its outputs, and needs two or more",
            "A softmax over a single output is 1 whatever comes in: no gradient passes, and no weight ever moves.",
        )
    elif isinstance(last, Softmax) and task == "multilabel":
        several = float(np.mean(case.targets.sum(axis=1) != 1))
        yield unsuited(
            # What it can not say, it can not say however well it says the rest.
            "severe" if not case.learns else "warning" if several > _SEVERAL else "note",
            several,
            f"softmax, and {several:.0%} of the rows have another number of labels than one",
            "independent labels take a sigmoid each: a softmax makes them share a sum of 1",
            "The labels are on and off independently, and a softmax lets one grow only where others shrink.",
        )
    elif loss in _OF_PROBABILITIES and not (low >= 0 and high <= 1):
        yield unsuited(
            case.severity(certain=True),
            float("nan"),
            f"{last.kind} before {words}, which takes probabilities",
            f"{remedies.suited_output(case)[0]}, whose answers lie between 0 and 1",
            "The loss takes probabilities. What this output says outside of 0 to 1 is cut off, and passes no gradient.",
        )
    elif loss in _OF_LOGITS and isinstance(last, Softmax | Sigmoid | ReLU | Exponential | Softplus):
        yield unsuited(
            case.severity(),
            float("nan"),
            f"{last.kind} before {words}, which takes logits",
            "no activation before a loss that applies its own",
            "The loss applies its own activation, so that the answers are squeezed twice, or can not be negative.",
        )
    elif task == "regression" and outside > _FEW_TARGETS:
        yield unsuited(
            case.severity(certain=outside > _SEVERAL),
            outside,
            f"{outside:.0%} of the targets lie outside of what {last.kind} can answer ({low:g} to {high:g})",
            "an output that reaches all targets: linear for numbers",
            "The output can not answer these targets, whatever the weights are.",
        )
    elif isinstance(last, ReLU) and case.width == 1:
        yield unsuited(
            case.severity(),
            0.0,
            "relu as the output",
            "a linear output for numbers, a sigmoid for two classes",
            "Where it answers 0 a ReLU passes no gradient: an output that is 0 for all rows stays there.",
        )
    elif isinstance(last, Sigmoid) and task == "classification" and case.width > 2:
        yield unsuited(
            "note",
            float(case.width),
            f"{case.width} sigmoid units for exclusive classes",
            "softmax, whose answers sum to 1",
            "Each class is told by itself; a softmax sets them against each other.",
        )


def _reach(last: object) -> tuple[float, float]:
    """The lowest and the highest answer of an output."""
    match last:
        case Softmax() | Sigmoid() | Step():
            return 0.0, 1.0
        case Tanh() | Sign():
            return -1.0, 1.0
        case ReLU() | Exponential() | Softplus():
            return 0.0, float("inf")
    return float("-inf"), float("inf")


def encoding(case: Case) -> Iterator[Finding]:
    """Classes that are given as labels."""
    if case.task == "multilabel" and case.targets.shape[1] > 1 and np.all(case.targets.sum(axis=1) == 1):
        yield Finding(
            "encoding-bug",
            _STAGE,
            "note",
            "data.task",
            1.0,
            f"each row has exactly one of {case.targets.shape[1]} labels",
            "whole numbers or names for classes that exclude each other",
            "Classes are given as a column each, and learnt as if a row could have several of them, or none.",
        )


def losses(case: Case) -> Iterator[Finding]:
    """The loss against the task."""
    loss = case.spec.loss.kind
    if case.task == "regression" or loss not in (
        "mean_absolute_error",
        "mean_squared_error",
        "half_mean_squared_error",
        "huber",
    ):
        return
    absolute = loss == "mean_absolute_error"
    why = (
        "The absolute error pulls with the same force near and far, and is content with a constant."
        if absolute
        else "Behind a sigmoid or a softmax the squared error's gradient vanishes where an answer is surely wrong."
    )
    yield Finding(
        "loss",
        _STAGE,
        case.severity(),
        "loss",
        float("nan"),
        f"{loss.replace('_', ' ')} for classes",
        "cross-entropy, whose gradient at the logits is answer minus target",
        why,
        (remedies.output(case),),
    )


def weights(case: Case) -> Iterator[Finding]:
    """Hidden units that begin as copies of each other."""
    begun = case.begun
    dense = [index for index, layer in enumerate(case.network.layers) if isinstance(layer, Dense)]
    for index, following in itertools.pairwise(dense):
        own, onward = begun.params[index], begun.params[following]
        if own.W.shape[1] > 1 and _same(own.W.T) and _same(own.b) and _same(onward.W):
            yield Finding(
                "init-symmetric",
                _STAGE,
                "severe",
                case.name(index),
                1.0,
                f"all {own.W.shape[1]} units start with the same weights, to and from",
                "random weights: units that begin alike get the same gradient, and stay alike",
                "The units of this layer are copies of each other for ever: the layer can do what one unit can.",
                (remedies.init(case),),
            )
            return


def _same(rows: np.ndarray) -> bool:
    return bool(np.all(rows == rows[:1]))


def input_scale(case: Case) -> Iterator[Finding]:
    """How large the inputs are, how far from zero, and how uneven."""
    x, usual, near = case.x, normal("input_size").far(), normal("input_offset").far().high
    if case.spec.data.scale == "standard" or not x.std(axis=0).any():
        return
    small = float(np.sqrt(np.mean(x**2))) < usual.low
    if not (case.input_size > usual.high or case.input_offset > near or small):
        return
    sizes = np.sqrt(np.mean(x[:, x.std(axis=0) > 0] ** 2, axis=0))
    worst = case.features[int(np.argmax(np.mean(x**2, axis=0)))]
    told = [f"inputs of up to {case.input_size:.3g} (root mean square of {worst})"]
    told += [f"{case.input_offset:.3g} times as far from 0 as they differ"] if case.input_offset > near else []
    told += [f"columns of {sizes.min():.2g} to {sizes.max():.2g}"] if sizes.max() > usual.high * sizes.min() else []
    yield Finding(
        "missing-input-scaling",
        _STAGE,
        case.severity(certain=case.input_size > usual.high**2 or case.input_offset > near**2 or small),
        "data.scale",
        case.input_size,
        "; ".join(told),
        "about 1, and around 0: starts are made for inputs of mean square 1, and one rate serves all columns",
        "The first layer gets numbers that its start and its rate are not made for: units saturate or die, steps "
        "overshoot along large columns and crawl along small ones.",
        (remedies.scale(case),),
    )


def target_scale(case: Case) -> Iterator[Finding]:
    """How large the targets of a regression are."""
    usual = normal("target_size").far()
    if not (case.target_size > usual.high or 0 < case.target_size < usual.low):
        return
    yield Finding(
        "missing-target-scaling",
        _STAGE,
        case.severity(certain=case.target_size > usual.high**2),
        "data.scale",
        case.target_size,
        f"targets of {case.target_size:.3g} (root mean square), that differ by {case.targets.std():.3g}",
        "about 1: a network answers about 1 at its start, and the gradient is as large as the error",
        "Errors as large as the targets make the steps too long, or take more bounded steps than there are.",
        (remedies.scale(case),),
    )


def columns(case: Case) -> Iterator[Finding]:
    """Columns that say nothing, or say the same."""
    x = case.x
    if case.train.image_shape or len(x) < 2:
        return
    constant = np.flatnonzero(x.std(axis=0) == 0)
    if len(constant):
        every = len(constant) == x.shape[1]
        yield Finding(
            "constant-input",
            _STAGE,
            "severe" if every else "note",
            "data",
            float(len(constant)),
            f"{len(constant)} of {x.shape[1]} columns are constant: {_some([case.features[i] for i in constant])}",
            "none: what is the same in all rows tells them not apart",
            "These columns say nothing of the target.",
        )
    if x.shape[1] <= 500:
        _, first = np.unique(x[:, x.std(axis=0) > 0], axis=1, return_index=True)
        doubled = int((x.std(axis=0) > 0).sum() - len(first))
        if doubled:
            yield Finding(
                "duplicate-input",
                _STAGE,
                "note",
                "data",
                float(doubled),
                f"{doubled} columns are copies of others",
                "none: a column twice counts twice",
                "Copies of columns weigh more than others, and tell nothing new.",
            )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def shared_rows(case: Case) -> Iterator[Finding]:
    """Rows that are in the training and in the validation set."""
    if case.validation is None or not len(case.validation):
        return
    seen = {row.tobytes() for row in np.ascontiguousarray(case.train.x)}
    shared = float(np.mean([row.tobytes() in seen for row in np.ascontiguousarray(case.validation.x)]))
    # Where a few rows come again and again, as those of a truth table do, they are met everywhere by nature.
    distinct = len(seen) / len(case.train.x)
    if shared > _LEAK and distinct > _DISTINCT:
        yield Finding(
            "leak",
            _STAGE,
            "warning",
            "data.validation",
            shared,
            f"{shared:.0%} of the validation rows are training rows too",
            "hardly any: a score on rows that were trained on tells nothing of new ones",
            "The validation score is that of rows learnt by heart, and too good to be true.",
        )


def classes(case: Case) -> Iterator[Finding]:
    """Classes that are rare, or sorted."""
    if case.task != "classification":
        return
    y = np.asarray(case.train.y)
    share = float(np.bincount(y).max() / len(y))
    if share > _MAJORITY:
        yield Finding(
            "imbalance",
            _STAGE,
            case.severity(),
            "data",
            share,
            f"{share:.1%} of the rows are of one class",
            'classes that are met often enough; else weights, or data.order = "balanced"',
            f"Always saying that class is right for {share:.1%} of the rows: the accuracy says little.",
        )
    if case.spec.data.order.kind in ("fixed", "time"):
        changes = int(np.sum(y[1:] != y[:-1]))
        expected = (len(y) - 1) * (1 - float(np.sum((np.bincount(y) / len(y)) ** 2)))
        if len(y) > 20 and changes < expected / 5:
            yield Finding(
                "unshuffled",
                _STAGE,
                case.severity(certain=True),
                "data.order",
                changes / max(expected, 1),
                f"the class changes {changes} times in the order of the rows, {expected:.0f} times in a random one",
                "rows shuffled in each epoch: a batch is then like all rows",
                "The rows come sorted by class: each stretch of steps unlearns what the one before has taught.",
                (remedies.shuffled(case),),
            )


def units(case: Case) -> Iterator[Finding]:
    """Hidden units that pass no gradient, and dropout that leaves none."""
    for index in case.hidden:
        layer = case.network.layers[index]
        before = any(isinstance(below, Dense) for below in case.network.layers[:index])
        if isinstance(layer, Step | Sign) and before:
            yield Finding(
                "step-activation",
                _STAGE,
                case.severity(certain=True),
                case.name(index),
                0.0,
                f"{layer.kind} has the slope 0 everywhere",
                "an activation with a slope: relu, tanh",
                "No gradient passes this layer: everything below it stays as it was drawn.",
                (remedies.hidden(case, "tanh"),),
            )
            break
    kept = [(index, 1 - layer.rate) for index, layer in enumerate(case.network.layers) if isinstance(layer, Dropout)]
    if kept and min(share for _, share in kept) <= 1 - _DROPOUT:
        index, share = min(kept, key=lambda pair: pair[1])
        yield Finding(
            "dropout-too-strong",
            _STAGE,
            case.severity(),
            case.name(index),
            1 - share,
            f"{1 - share:.0%} of the units are dropped in each step",
            "0.2 to 0.5",
            "What is left of a layer in a step is too little to tell the rows apart.",
            (remedies.dropout(case, 0.2),),
        )


def batches(case: Case) -> Iterator[Finding]:
    """The batch size against the rows."""
    size = case.spec.training.batch_size
    if isinstance(size, int) and size > case.rows > 1 and case.rows > 100:
        yield Finding(
            "batch-size",
            _STAGE,
            "note",
            "training.batch_size",
            float(size),
            f"batches of {size} from {case.rows} rows",
            "fewer than there are rows",
            "A batch holds all rows: there is one update an epoch.",
            (remedies.batch(case, 32),),
        )


def signal(case: Case) -> Iterator[Finding]:
    """Whether there is anything in the rows that could be learnt."""
    learned = case.learned
    if learned is None or case.learns or learned.attainable - learned.constant >= LEAST:
        return
    yield Finding(
        "data-unlearnable",
        _STAGE,
        "severe",
        "data",
        learned.attainable - learned.constant,
        f"a random forest reaches {learned.attainable:.3g} on rows that it has not seen, a constant answer "
        f"{learned.constant:.3g} ({learned.measure})",
        "a way to go: inputs that have to do with the targets",
        "Nothing was found in these inputs that tells the targets: more training learns the noise by heart.",
    )


CHECKS = (
    outputs,
    encoding,
    losses,
    weights,
    input_scale,
    target_scale,
    columns,
    shared_rows,
    classes,
    units,
    batches,
    signal,
)
