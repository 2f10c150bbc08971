"""One step of a training, told number by number: forward, loss, backward, gradients, optimizer, update."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.arrays import Array, Tree, arrays_of, rms
from ..core.errors import InputError
from ..core.progress import ProgressMessage
from ..engine.eager import Eager
from ..engine.step import Plan, State, Trace, pieces
from ..models.summary import layer_in_words, network_in_words
from ..pages.blocks import ArrayBlock, Block, Check, Formula, Heading, Table, Text
from ..pages.page import Page
from ..parts.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual, Softmax, stack
from ..parts.losses import as_targets
from ..parts.metric_schedules import metric_schedules
from ..parts.optimizers import Adam
from ..parts.part import Layer, Optimizer, Part, at, options_of
from ..parts.settings import Stopping
from ..spec.spec import Spec, data_name
from ..training.nan_search import Fault
from ..training.replay import StepState, replay, trace_step
from ..training.session import Session
from .gradient_check import TOLERANCE, WIDTH, check_gradients

# Of more layers than this the first and last few are told in full, and the others in a table.
_MANY_LAYERS, _ENDS = 12, 3
_MANY_CLASSES = 12


class Formulas(NamedTuple):
    """What a part computes, and its derivative, as its docstring states them; `backward` is empty for an optimizer."""

    forward: str
    backward: str = ""


def formulas(part: type[Part]) -> Formulas:
    """The formulas of a kind of layer, loss or optimizer, one a line, from its docstring.

    A docstring begins with the formula, behind a word on what it is. The derivative follows after a semicolon, or
    stands in a paragraph that begins with `Backward` (of a loss also with `dl/d`); a paragraph with an equation that
    begins with `With` or `In training` belongs to the formula. Of each paragraph the first sentence is taken.

    >>> from thalweg.parts.layers import Tanh
    >>> formulas(Tanh)
    Formulas(forward='y = tanh(z)', backward='dy/dz = 1 - y²')
    """
    first, *others = _paragraphs(inspect.cleandoc(part.__doc__ or "").split(">>>")[0])
    backward = [text for text in others if text.startswith(("Backward", "dl/d"))]
    forward = [text for text in others if text.startswith(("With ", "In training ")) and "=" in text]
    if "=" in first or "->" in first or not forward:
        first = re.sub(r"^[A-Z][^=:]*: ", "", first)
        if not issubclass(part, Optimizer) and ";  " in first:
            first, slope = first.split(";  ", 1)
            backward.insert(0, slope)
        forward.insert(0, first)
    return Formulas(_by_line(forward), _by_line(backward))


def _paragraphs(text: str) -> list[str]:
    """Paragraphs, each on one line; an indented block stays as it is and belongs to the paragraph before it."""
    found: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith(" ") and found:
            found[-1] += "\n" + textwrap.dedent(paragraph)
        else:
            found.append(" ".join(paragraph.split("\n")))
    return found


def _by_line(paragraphs: Sequence[str]) -> str:
    """The first sentence of each paragraph, with a new line where two spaces part its equations."""
    sentences = (re.split(r"\. (?=[A-Z])", text)[0].removesuffix(".") for text in paragraphs)
    lines = "\n".join(re.sub(r"^Backward[,:]? |(?<=[;,:.])  +", "\n", text) for text in sentences).splitlines()
    return "\n".join(line.rstrip(",;. ") for line in lines if line)


@dataclass(frozen=True, eq=False)
class _Told:
    """A step with all its numbers: what it began with, its trace, what the way back needs, and the state after it."""

    session: Session
    plan: Plan
    point: StepState
    trace: Trace
    caches: tuple[tuple[Tree, ...], ...]
    after: State
    sample: int | None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that run; a last activation that runs as one with the loss is none of them."""
        layers = self.plan.network.layers
        return layers[:-1] if self.fused else layers

    @property
    def fused(self) -> Layer | None:
        """The last activation where it runs as one with the loss."""
        last = self.session.spec.network.layers[-1]
        return last if last != self.plan.network.layers[-1] else None

    def shown(self, array: Array) -> np.ndarray:
        """An array with one row a sample: all of it, or the row of the sample singled out."""
        return array if self.sample is None else array[[self.sample]]

    def inputs(self, index: int) -> Array:
        """What a layer takes in."""
        return self.trace.outputs[index - 1] if index else self.trace.batch.x

    def named(self, index: int) -> str:
        return f"layer {index + 1}, {layer_in_words(self.layers[index])}"

    @property
    def summed(self) -> str:
        """The remark beside what sums over the batch while one sample is singled out."""
        return "" if self.sample is None else "over the whole batch"


def explain(
    spec: Spec,
    step: int = 1,
    sample: int | None = None,
    check: bool = False,
    watch: Callable[[ProgressMessage], None] = lambda working: None,
) -> Page:
    """The worksheet of one step of a training, counted from 1; all its numbers are the engine's, in float64.

    The training runs up to there on the engine that the spec names. `sample` singles out one row of the batch, from 0.
    With `check` the gradients are compared with central differences of the loss. `watch` hears what is being computed.

    Raises InputError for a step that the training does not have, a row that the batch does not have, and a training
    that diverges before the step.

    >>> sheet = explain(Spec.of({"data": {"source": "xor"}, "training": {"engine": "eager"}}), step=2, sample=0)
    >>> [block.values.tolist() for block in sheet.blocks if isinstance(block, ArrayBlock) and block.name == "x"][0]
    [[0.0, 0.0]]
    """
    session = Session.load(spec)
    whole = session.spec
    told = _told(session, step, sample, watch)
    blocks = [*_blocks(told), *(_checked(told, watch) if check else ())]
    words = f"{network_in_words(whole.network)};  loss: {whole.loss.kind};  optimizer: {whole.optimizer.kind}"
    settings = {"step": step, "sample": sample, "seed": whole.training.seed}
    return Page(
        f"Step {step} of the training on {data_name(whole)}",
        tuple(blocks),
        words,
        tuple((name, str(value)) for name, value in settings.items() if value is not None),
    )


def _told(session: Session, step: int, sample: int | None, watch: Callable[[ProgressMessage], None]) -> _Told:
    batches = session.batches
    if not 1 <= step <= batches.steps:
        raise InputError(
            "step",
            f"expected one of the {batches.steps} steps of the training, 1 to {batches.steps}, received {step};"
            " more epochs make more steps: --set training.epochs=N",
        )
    if sample is not None and not 0 <= sample < batches.step_rows:
        raise InputError("sample", f"expected a row of the batch, 0 to {batches.step_rows - 1}, received {sample}")
    watch(ProgressMessage(f"training up to step {step}"))
    replayed = replay(session, [step - 1])
    if replayed.fault and replayed.fault.step < step - 1:
        raise _diverged(replayed.fault, step)
    (point,) = replayed.states
    plan = session.plan
    state, batch = Eager().place((point.state, point.batch))
    point = point._replace(state=state, batch=batch)
    after, trace = trace_step(plan, point)
    with np.errstate(all="ignore"):
        caches = tuple(
            plan.network.forward(state.params, state.layers, piece.x, context).caches
            for piece, context in pieces(plan, state, batch)
        )
    return _Told(session, plan, point, trace, caches, after, sample)


def _diverged(fault: Fault, step: int) -> InputError:
    """The error where a number went wrong before a step."""
    return InputError(
        "step",
        f"the training does not come to step {step}: it diverges at step {fault.step + 1}: {fault.what}; explain that"
        " step or an earlier one, or take a smaller learning rate",
    )


def _blocks(told: _Told) -> Iterator[Block]:
    yield from _batch(told)
    yield from _forward(told)
    yield from _loss(told)
    yield from _backward(told)
    yield from _gradients(told)
    yield from _optimizer(told)
    yield from _outcome(told)


def _batch(told: _Told) -> Iterator[Block]:
    spec, batch, rows = told.session.spec, told.trace.batch, told.point.rows
    course = told.session.batches
    step = told.point.step
    epoch, place = step // course.per_epoch + 1, step % course.per_epoch + 1
    yield Heading("The batch")
    yield Text(
        f"Step {step + 1} of {course.steps}: epoch {epoch}, update {place} of {course.per_epoch}. The batch has"
        f" {len(rows)} {'row' if len(rows) == 1 else 'rows'} of {batch.x.shape[1]} features"
        + (f", worked off in {told.plan.accumulate} pieces" if told.plan.accumulate > 1 else "")
        + (f"; {np.sum(rows < 0)} of them are padding and weigh nothing" if (rows < 0).any() else "")
        + ". All numbers are worked out in float64."
    )
    if metric_schedules(spec.optimizer):
        yield Text("The learning rate follows a measure; here it has the value that it starts with throughout.")
    if spec.stopping != Stopping():
        yield Text("What would stop the training earlier is left aside: it goes on to this step.")
    if told.sample is not None:
        yield Text(
            f"Row {told.sample} of the batch is singled out: what there is for each row is shown for this one alone."
        )
    yield ArrayBlock("rows", told.shown(rows), remark="places in the training set, from 0; -1 is padding")
    names = told.session.split.preprocessing.feature_names
    yield ArrayBlock("x", told.shown(batch.x), remark=", ".join(names) if len(names) <= _MANY_CLASSES else "")
    classes = told.session.split.preprocessing.target_names
    named = {str(number): name for number, name in enumerate(classes) if str(number) != name}
    numbered = ", ".join(f"{number} = {name}" for number, name in named.items())
    yield ArrayBlock("target", told.shown(batch.y), remark=numbered if 1 < len(named) <= _MANY_CLASSES else "")
    if (batch.weight != 1).any():
        yield ArrayBlock("weight", told.shown(batch.weight), remark="w, how much each row counts")


def _in_full(told: _Told) -> list[int]:
    """The layers that are told in full."""
    places = range(len(told.layers))
    return [*places] if len(places) <= _MANY_LAYERS else [*places[:_ENDS], *places[-_ENDS:]]


def _left_out(told: _Told) -> Iterator[Block]:
    rest = len(told.layers) - len(_in_full(told))
    if rest:
        yield Text(f"{rest} layers between are left out here; the table of all layers below has them.")


def _forward(told: _Told) -> Iterator[Block]:
    for index in _in_full(told):
        layer, output = told.layers[index], told.trace.outputs[index]
        yield Heading(f"Forward: {told.named(index)}")
        yield Formula(formulas(type(layer)).forward)
        for name, array in arrays_of(told.point.state.params[index]):
            yield ArrayBlock(name, array, remark="parameter")
        for factor in _factors(told, index):
            if factor.of_forward:
                yield ArrayBlock(factor.name, factor.values, remark=factor.remark)
        yield ArrayBlock(_result(layer), told.shown(output), remark=f"output of {told.named(index)}")
        for name, array in arrays_of(told.after.layers[index]):
            yield ArrayBlock(f"running {name}", array, remark="after this batch, for prediction")
        if len(told.layers) > _MANY_LAYERS and index == _ENDS - 1:
            yield from _left_out(told)


def _result(layer: Layer) -> str:
    return "z" if isinstance(layer, Dense) else "y"


class _Factor(NamedTuple):
    """A number that the way back uses, beside the delta that comes down."""

    name: str
    values: np.ndarray
    remark: str = ""
    of_forward: bool = False


def _factors(told: _Told, index: int) -> Iterator[_Factor]:
    """What a layer multiplies its delta with."""
    layer, caches = told.layers[index], [piece[index] for piece in told.caches]

    def by_row(arrays: Sequence[Array]) -> np.ndarray:
        return told.shown(np.concatenate(arrays))

    match layer:
        case Activation():
            yield _Factor(
                "f'(z)", by_row([layer.derivative(*cache) for cache in caches]), "the slope of the activation"
            )
        case Softmax():
            yield _Factor("y", by_row(caches))
        case Dense():
            yield _Factor("x", by_row(caches))
        case Dropout():
            yield _Factor("m", by_row(caches), "the mask of this step", of_forward=True)
        case BatchNorm() | LayerNorm():
            yield _Factor("xhat", by_row([cache[0] for cache in caches]), of_forward=True)
            scales = [cache[1] for cache in caches]
            if isinstance(layer, LayerNorm):
                yield _Factor("s", by_row(scales), "1 / deviation", of_forward=True)
            else:
                # The scale of a batch belongs to all its rows.
                values = np.stack(scales) if len(scales) > 1 else scales[0]
                remark = "1 / deviation" + (", one row for each piece of the batch" if len(scales) > 1 else "")
                yield _Factor("s", values, remark, of_forward=True)
        case Residual():
            passed = [
                stack.backward(layer.layers, params.layers, cache[0], delta)[0]
                for params, cache, delta in _pieces_of(told, index, caches)
            ]
            yield _Factor("(df/dx)ᵀ d", by_row(passed), "what passes through the layers; the rest goes around them")


def _pieces_of(told: _Told, index: int, caches: Sequence[Tree]) -> Iterator[tuple[Tree, Tree, Array]]:
    """(parameters, cache, delta) of a layer for every piece of the batch."""
    for cache, delta in zip(caches, np.split(told.trace.deltas[index], len(caches)), strict=True):
        yield told.point.state.params[index], cache, delta


def _loss(told: _Told) -> Iterator[Block]:
    loss, outputs, batch = told.plan.loss, told.trace.outputs[-1], told.trace.batch
    targets = as_targets(outputs, batch.y)
    with np.errstate(all="ignore"):
        values, slopes = loss.terms(outputs, targets)
        probabilities = loss.probabilities(outputs)
    together = f"{told.fused.kind} and {told.session.spec.loss.kind}" if told.fused else ""
    yield Heading(f"Loss: {together or loss.kind}")
    if told.fused:
        yield Text(
            f"{together} run as one: where the chain rule has two factors, one of which may be 0 and the other"
            " infinite, the pair has the difference alone. z are the logits, the output of the last layer."
        )
        yield Formula(formulas(type(told.fused)).forward)
    yield Formula(formulas(type(loss)).forward)
    if probabilities is not outputs:
        yield ArrayBlock("probabilities", told.shown(probabilities), remark=f"{probabilities.shape[1]} a row")
    yield ArrayBlock("t", told.shown(targets), remark="one-hot" if batch.y.ndim == 1 < targets.shape[1] else "")
    if smoothing := getattr(loss, "label_smoothing", 0.0):
        yield Text(
            f"The labels are smoothed with s = {smoothing:g}: the formulas have (1 - s) t + s/K in place of t, K the"
            " number of classes (2 where each output is a label of its own)."
        )
    yield ArrayBlock("l", told.shown(values), remark="the loss of each row")
    yield ArrayBlock("L", np.asarray(told.trace.loss), "L = Σ w l / Σ w", "over the whole batch")
    penalty = told.trace.penalty
    if not isinstance(penalty, tuple):
        yield ArrayBlock(
            "R", np.asarray(penalty), "R = l1 Σ|W| + (l2 + alpha / Σ w)/2 ΣW²", "the penalty; what falls is L + R"
        )
    yield Heading("Delta of the output")
    backward = formulas(type(loss)).backward
    place = "z" if "dl/dz" in backward else "y"
    yield Formula(f"{backward}\ndL/d{place} = dl/d{place} w / Σ w")
    yield ArrayBlock(f"dl/d{place}", told.shown(slopes), remark="of each row's own loss")
    yield ArrayBlock(f"dL/d{place}", told.shown(told.trace.deltas[-1]), remark="delta, of the whole loss")


def _backward(told: _Told) -> Iterator[Block]:
    for index in reversed(_in_full(told)):
        layer, result = told.layers[index], _result(told.layers[index])
        yield Heading(f"Backward: {told.named(index)}")
        if isinstance(layer, Activation):
            yield Formula(f"dL/dz = dL/dy f'(z), number by number\nf'(z): {formulas(type(layer)).backward}")
        else:
            yield Formula(formulas(type(layer)).backward)
        yield ArrayBlock(f"dL/d{result}", told.shown(told.trace.deltas[index]), remark="d, the delta from above")
        for factor in _factors(told, index):
            yield ArrayBlock(factor.name, factor.values, remark=factor.remark)
        for name, array in arrays_of(told.trace.grads[index]):
            yield ArrayBlock(f"dL/d{name}", array, remark=told.summed)
        if index:
            below = "z" if isinstance(layer, Activation | Softmax) else "x"
            yield ArrayBlock(
                f"dL/d{below}", told.shown(told.trace.deltas[index - 1]), remark=f"goes on to layer {index}"
            )
        else:
            yield Text("Below are the data, which do not learn: dL/dx is not computed.")
        if len(told.layers) > _MANY_LAYERS and index == len(told.layers) - _ENDS:
            yield from _left_out(told)


def _gradients(told: _Told) -> Iterator[Block]:
    trace, state, plan = told.trace, told.point.state, told.plan
    yield Heading("All layers, and the gradients")
    rows = []
    for index, (layer, output) in enumerate(zip(told.layers, trace.outputs, strict=False)):
        rows.append([index + 1, layer_in_words(layer), str(output.shape), rms(output), rms(trace.deltas[index])])
    yield Table("Root mean square of outputs and deltas", ["layer", "kind", "shape of output", "output", "delta"], rows)
    kept = _updating_gradients(told)
    changed = plan.regularization.penalizes or plan.clip is not None
    columns = ["array", "shape", "parameter", "gradient of L", *(["gradient used"] if changed else [])]
    yield Table(
        "Root mean square of parameters and gradients",
        columns,
        [
            [_name_of(place), str(g.shape), rms(p), rms(g), *([rms(used)] if changed else [])]
            for (place, p), (_, g), (_, used) in _zipped(state.params, trace.grads, kept)
        ],
    )
    if plan.regularization.penalizes:
        yield Formula("g <- dL/dW + l1 sign(W) + (l2 + alpha / Σ w) W")
    if plan.clip is not None:
        yield Formula(formulas(type(plan.clip)).forward)
        yield Text(f"Clipping with a limit of {plan.clip.limit:g} {'acted' if trace.clipped else 'did not act'}.")


def _name_of(place: str) -> str:
    """`0.W` as a reader counts: W of layer 1."""
    layer, _, name = place.partition(".")
    return f"{name} of layer {int(layer) + 1}"


def _zipped(*trees: Tree) -> Iterator[tuple[tuple[str, Array], ...]]:
    return zip(*map(arrays_of, trees), strict=True)


def _updating_gradients(told: _Told) -> Tree:
    """The gradients that the optimizer gets: of the loss and its penalty, clipped."""
    plan, state = told.plan, told.point.state
    grads = plan.regularization.gradients(told.trace.grads, state.params, told.trace.batch.weight.sum())
    return plan.clip(grads)[0] if plan.clip else grads


def _optimizer(told: _Told) -> Iterator[Block]:
    optimizer, state, plan = told.plan.optimizer, told.point.state, told.plan
    time = np.asarray(state.step, dtype=float)
    grads = _updating_gradients(told)
    yield Heading(f"Optimizer: {optimizer.kind}")
    if isinstance(optimizer, Adam) and type(optimizer) is not Adam:
        yield Formula(formulas(Adam).forward)
    yield Formula(formulas(type(optimizer)).forward)
    settings = [[field.name, at(getattr(optimizer, field.name), time)] for field in options_of(type(optimizer))]
    quantities: dict[str, Tree] = {"g": grads}
    for name in getattr(state.moments, "_fields", ()):
        quantities[f"{name} before"] = getattr(state.moments, name)
        quantities[f"{name} after"] = getattr(told.after.moments, name)
    if isinstance(optimizer, Adam):
        found = optimizer.corrected(grads, told.after.moments, time)
        settings += [["factor of m in m̂", found.correct_m], ["factor of v in v̂", found.correct_v]]
        quantities |= {"m̂": found.m_hat, "v̂": found.v_hat}
    held = plan.regularization
    if held.weight_decay is not None or held.max_norm is not None:
        quantities["Δ of the rule"] = optimizer.update(grads, state.moments, state.params, time)[0]
    quantities |= {"Δ": told.trace.updates, "before": state.params, "after": told.after.params}
    if told.after.average:
        quantities["average after"] = told.after.average
    yield Table("Its settings at this step", ["", "value"], [["t", int(state.step) + 1], *settings])
    if held.weight_decay is not None:
        yield Formula(f"Δ <- Δ - η λ W with λ = {held.weight_decay:g}")
    if held.max_norm is not None:
        yield Formula(f"W + Δ with each column scaled down to a norm of at most {held.max_norm:g}")
    full = {str(index) for index in _in_full(told)}
    for entries in _zipped(*quantities.values()):
        place = entries[0][0]
        if place.partition(".")[0] not in full:
            continue
        own = place.partition(".")[2]
        yield Heading(f"Update: {_name_of(place)}")
        for name, (_, array) in zip(quantities, entries, strict=True):
            label = f"{own} {name}" if name in ("before", "after", "average after") else name
            formula = f"{own} + Δ" if name == "after" and held.max_norm is None else ""
            yield ArrayBlock(label, array, formula)
    yield from _left_out(told)


def _outcome(told: _Told) -> Iterator[Block]:
    state = told.point.state
    # The number of the step stays: the masks and the noise are those of before.
    _, trace = trace_step(told.plan, told.point._replace(state=told.after._replace(step=state.step)))
    yield Heading("After the step")
    yield Text("The same batch once more, with the same masks and noise where there are any.")
    rows = [["L", float(told.trace.loss), float(trace.loss)]]
    if not isinstance(trace.penalty, tuple):
        rows.append(["R", float(told.trace.penalty), float(trace.penalty)])
    yield Table("The loss of this batch", ["", "before the step", "after the step"], rows)


def _checked(told: _Told, watch: Callable[[ProgressMessage], None]) -> Iterator[Block]:
    def heard(place: str, share: float) -> None:
        watch(ProgressMessage(f"comparing the gradients of {_name_of(place)}", share))

    found = check_gradients(told.plan, told.point, told.session.spec.training.seed, heard)
    yield Heading("The gradients against finite differences")
    yield Formula(f"dL/dp = (L(p + h) - L(p - h)) / 2h, h = {WIDTH:g}, one entry of an array after another")
    words = "L + R, the loss with its penalty," if told.plan.regularization.penalizes else "the loss"
    drawn = f" A seeded draw of {found.drawn} entries stands for each larger array." if found.drawn else ""
    yield Text(
        f"Differences of {words} over the same batch, with the same masks, noise and batch statistics. The relative"
        " error is the error over the largest gradient of the array, or over"
        f" {found.least:.1g} where that is larger: what is less can not be told from rounding.{drawn}"
    )
    if kinks := sum(array.kinks for array in found.arrays):
        yield Text(
            "Entries left out because they lie at a kink, of a ReLU say, where within h the gradient itself jumps by"
            f" more than the error: {kinks}."
        )
    rows = [
        [_name_of(array.place), f"{array.compared} of {array.size}", array.error, array.error / array.scale]
        for array in found.arrays
    ]
    yield Table("Largest errors", ["array", "entries compared", "absolute error", "relative error"], rows)
    says = "the gradients are the slopes of the loss (largest relative error)"
    yield Check(says, found.relative_error, 0.0, TOLERANCE)
