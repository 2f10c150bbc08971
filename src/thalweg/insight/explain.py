"""A page on one training step with all its numbers: forward, loss, backward, gradients, optimizer, update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..core.arrays import Array, Tree, arrays_of, rms
from ..core.progress import ProgressMessage, Watch, ignore_progress
from ..models.summary import layer_in_words, network_in_words
from ..pages.blocks import ArrayBlock, Block, Check, Formula, Heading, Table, Text
from ..pages.numbers import count_noun, number
from ..pages.page import Page
from ..parts.layers import Activation
from ..parts.losses import as_targets
from ..parts.optimizers import Adam, adam_moments
from ..parts.part import at, options_of
from ..parts.schedules.metric_schedules import metric_schedules
from ..parts.settings import Stopping
from ..runs.run import Run
from ..runs.train import session_of
from ..spec.spec import Spec, data_name
from ..training.replay import trace_step
from .formulas import formulas
from .gradient_check import TOLERANCE, WIDTH, check_gradients
from .traced_step import TracedStep, traced_step

# In a network with more layers than the first number, the first and the last three are shown in full.
_MANY_LAYERS = 12
_END_LAYERS = 3
_MANY_NAMES = 12


def explain(
    spec: Run | Spec | Mapping[str, object] | str | Path,
    step: int = 1,
    sample: int | None = None,
    check: bool = False,
    watch: Watch = ignore_progress,
) -> Page:
    """A page on one step of a training, with all its numbers in float64.

    The training runs up to this step on the engine that the spec names.

    Args:
        spec: the training: a `Run` or its folder, a `Spec`, its tables, or the name of a file, an example or a data
            source.
        step: the step, counted from 1.
        sample: the row of the batch, from 0, that is shown alone; all rows by default.
        check: whether to compare the gradients with central differences of the loss.
        watch: receives progress messages.

    Raises:
        InputError: for a step that the training does not have, a row that the batch does not have, and a training that
            diverges before the step.

    >>> page = explain({"data": {"source": "xor"}, "training": {"engine": "eager"}}, step=2, sample=0)
    >>> [block.values.tolist() for block in page.blocks if isinstance(block, ArrayBlock) and block.name == "x"][0]
    [[0.0, 0.0]]
    """
    session = session_of(spec)
    whole = session.spec
    traced = traced_step(session, step, sample, watch)
    blocks = [*step_blocks(traced), *(_check(traced, watch) if check else ())]
    settings = {"step": step, "sample": sample, "seed": whole.training.seed}
    return Page(
        title=f"Step {step} of the training on {data_name(whole)}",
        blocks=tuple(blocks),
        summary=f"{network_in_words(whole.network)};  loss: {whole.loss.kind};  optimizer: {whole.optimizer.kind}",
        settings=tuple((name, str(value)) for name, value in settings.items() if value is not None),
    )


def step_blocks(traced: TracedStep) -> Iterator[Block]:
    """All numbers of a step, in the order in which they are computed."""
    yield from _batch(traced)
    yield from _forward(traced)
    yield from _loss(traced)
    yield from _output_delta(traced)
    yield from _backward(traced)
    yield from _all_layers(traced)
    yield from _optimizer(traced)
    yield from _updates(traced)
    yield from _loss_after(traced)


def _batch(traced: TracedStep) -> Iterator[Block]:
    batch = traced.trace.batch
    yield Heading("The batch")
    yield from _batch_text(traced)
    yield ArrayBlock(
        "rows", traced.shown(traced.start.rows), remark="positions in the training set, from 0; -1 is padding"
    )
    names = traced.session.split.preprocessing.feature_names
    yield ArrayBlock("x", traced.shown(batch.x), remark=", ".join(names) if len(names) <= _MANY_NAMES else "")
    classes = traced.session.split.preprocessing.target_names
    named = {str(number): name for number, name in enumerate(classes) if str(number) != name}
    numbered = ", ".join(f"{number} = {name}" for number, name in named.items())
    yield ArrayBlock("target", traced.shown(batch.y), remark=numbered if 1 < len(named) <= _MANY_NAMES else "")
    if (batch.weight != 1).any():
        yield ArrayBlock("weight", traced.shown(batch.weight), remark="w, the weight of each row")


def _batch_text(traced: TracedStep) -> Iterator[Block]:
    spec = traced.session.spec
    rows = traced.start.rows
    batches = traced.session.batches
    epoch, update = divmod(traced.start.step, batches.per_epoch)
    sentences = [
        f"Step {traced.start.step + 1} of {batches.steps}: epoch {epoch + 1}, update {update + 1} of"
        f" {batches.per_epoch}.",
        f"The batch has {count_noun(len(rows), 'row')} of {count_noun(traced.trace.batch.x.shape[1], 'feature')}.",
    ]
    if traced.plan.accumulate > 1:
        sentences.append(f"It is processed in {traced.plan.accumulate} pieces.")
    if padding := int(np.sum(rows < 0)):
        sentences.append(f"Padding: {count_noun(padding, 'row')} of weight 0.")
    yield Text(" ".join([*sentences, "All numbers are computed in float64."]))
    if metric_schedules(spec.optimizer):
        yield Text("The learning rate depends on a measure; here it keeps its initial value throughout.")
    if spec.stopping != Stopping():
        yield Text("Early stopping is ignored: the training continues to this step.")
    if traced.sample is not None:
        yield Text(f"Arrays with one row a sample show row {traced.sample} of the batch alone.")


def _forward(traced: TracedStep) -> Iterator[Block]:
    shown = _shown_layers(traced)
    for index in shown:
        layer = traced.layers[index]
        yield Heading(f"Forward: {_layer_name(traced, index)}")
        yield Formula(formulas(type(layer)).forward)
        params = traced.start.state.params[index]
        trained = dict(arrays_of(layer.trained(params)))
        for name, array in arrays_of(params):
            yield ArrayBlock(name, array, remark="parameter" if name in trained else "parameter, held still")
        for factor in traced.factors(index):
            if factor.in_forward:
                yield ArrayBlock(factor.symbol, factor.values, remark=factor.meaning)
        output = traced.shown(traced.trace.outputs[index])
        yield ArrayBlock(layer.output_symbol, output, remark=f"output of {_layer_name(traced, index)}")
        for name, array in arrays_of(traced.end.layers[index]):
            yield ArrayBlock(f"running {name}", array, remark="after this batch, for prediction")
        if index + 1 < len(traced.layers) and index + 1 not in shown:
            yield from _omitted_layers(traced)


def _loss(traced: TracedStep) -> Iterator[Block]:
    loss = traced.plan.loss
    batch = traced.trace.batch
    outputs = traced.trace.outputs[-1]
    targets = as_targets(outputs, batch.y, loss.members)
    with np.errstate(all="ignore"):
        values, _ = loss.terms(outputs, targets)
        probabilities = loss.probabilities(outputs)
    if traced.fused:
        pair = f"{traced.fused.kind} and {traced.session.spec.loss.kind}"
        yield Heading(f"Loss: {pair}")
        yield Text(
            f"{pair} are computed together: instead of two factors of the chain rule, one of which may be 0 and the"
            " other infinite, delta is a difference. z are the logits, the output of the last layer."
        )
        yield Formula(formulas(type(traced.fused)).forward)
    else:
        yield Heading(f"Loss: {loss.kind}")
    yield Formula(formulas(type(loss)).forward)
    if probabilities is not outputs:
        yield ArrayBlock("probabilities", traced.shown(probabilities), remark=f"{probabilities.shape[1]} a row")
    one_hot = batch.y.ndim == 1 < targets.shape[1]
    yield ArrayBlock("t", traced.shown(targets), remark="one-hot" if one_hot else "")
    if smoothing := getattr(loss, "label_smoothing", 0.0):
        yield Text(
            f"The labels are smoothed with s = {number(smoothing)}: the formulas use (1 - s) t + s/K instead of t, with"
            " K the number of classes (2 if each output is a separate label)."
        )
    yield ArrayBlock("l", traced.shown(values), remark="the loss of each row")
    yield ArrayBlock("L", np.asarray(traced.trace.loss), "L = Σ w l / Σ w", "over the whole batch")
    penalty = traced.trace.penalty
    if not isinstance(penalty, tuple):
        formula = "R = l1 Σ|W| + (l2 + alpha / Σ w)/2 ΣW²"
        yield ArrayBlock("R", np.asarray(penalty), formula, "the penalty; training minimises L + R")


def _output_delta(traced: TracedStep) -> Iterator[Block]:
    loss = traced.plan.loss
    outputs = traced.trace.outputs[-1]
    with np.errstate(all="ignore"):
        _, derivatives = loss.terms(outputs, as_targets(outputs, traced.trace.batch.y, loss.members))
    backward = formulas(type(loss)).backward
    symbol = "z" if "dl/dz" in backward else "y"
    yield Heading("Delta of the output")
    yield Formula(f"{backward}\ndL/d{symbol} = dl/d{symbol} w / Σ w")
    yield ArrayBlock(f"dl/d{symbol}", traced.shown(derivatives), remark="of the loss of each row")
    yield ArrayBlock(f"dL/d{symbol}", traced.shown(traced.trace.deltas[-1]), remark="delta, of the loss of the batch")


def _backward(traced: TracedStep) -> Iterator[Block]:
    shown = _shown_layers(traced)
    for index in reversed(shown):
        layer = traced.layers[index]
        yield Heading(f"Backward: {_layer_name(traced, index)}")
        if isinstance(layer, Activation):
            yield Formula(f"dL/dz = dL/dy f'(z), number by number\nf'(z): {formulas(type(layer)).backward}")
        else:
            yield Formula(formulas(type(layer)).backward)
        delta = traced.shown(traced.trace.deltas[index])
        yield ArrayBlock(f"dL/d{layer.output_symbol}", delta, remark="d, the delta from above")
        for factor in traced.factors(index):
            yield ArrayBlock(factor.symbol, factor.values, remark=factor.meaning)
        for name, array in arrays_of(traced.trace.grads[index]):
            yield ArrayBlock(f"dL/d{name}", array, remark="" if traced.sample is None else "over the whole batch")
        if index:
            below = traced.shown(traced.trace.deltas[index - 1])
            yield ArrayBlock(f"dL/d{layer.input_symbol}", below, remark=f"passed on to layer {index}")
        else:
            yield Text("The input of the lowest layer is data without parameters, so dL/dx is not computed.")
        if index and index - 1 not in shown:
            yield from _omitted_layers(traced)


def _all_layers(traced: TracedStep) -> Iterator[Block]:
    trace = traced.trace
    plan = traced.plan
    yield Heading("All layers, and the gradients")
    rows = [
        [index + 1, layer_in_words(layer), str(output.shape), rms(output), rms(trace.deltas[index])]
        for index, (layer, output) in enumerate(zip(traced.layers, trace.outputs, strict=False))
    ]
    yield Table("Root mean square of outputs and deltas", ["layer", "kind", "shape of output", "output", "delta"], rows)
    used = traced.used_gradients
    trained = plan.network.trained(traced.start.state.params)
    changed = plan.regularization.penalizes or plan.clip is not None
    yield Table(
        "Root mean square of parameters and gradients",
        ["array", "shape", "parameter", "gradient of L", *(["gradient used"] if changed else [])],
        [
            [_array_name(path), str(g.shape), rms(p), rms(g), *([rms(applied)] if changed else [])]
            for (path, p), (_, g), (_, applied) in _zipped(trained, trace.grads, used)
        ],
    )
    if plan.regularization.penalizes:
        yield Formula("g <- dL/dW + l1 sign(W) + (l2 + alpha / Σ w) W")
    if plan.clip is not None:
        yield Formula(formulas(type(plan.clip)).forward)
        effect = "reduced the gradient" if trace.clipped else "had no effect"
        yield Text(f"Clipping with a limit of {number(plan.clip.limit)} {effect} in this step.")


def _optimizer(traced: TracedStep) -> Iterator[Block]:
    optimizer = traced.plan.optimizer
    regularization = traced.plan.regularization
    step = np.asarray(traced.start.state.step, dtype=float)
    yield Heading(f"Optimizer: {optimizer.kind}")
    if isinstance(optimizer, Adam) and type(optimizer) is not Adam:
        yield Formula(formulas(Adam).forward)
    yield Formula(formulas(type(optimizer)).forward)
    settings = [[field.name, at(getattr(optimizer, field.name), step)] for field in options_of(type(optimizer))]
    if isinstance(optimizer, Adam):
        corrected = optimizer.corrected(traced.used_gradients, adam_moments(traced.end.moments), step)
        settings += [["factor of m in m̂", corrected.correct_m], ["factor of v in v̂", corrected.correct_v]]
    yield Table("Settings at this step", ["", "value"], [["t", int(step) + 1], *settings])
    if regularization.weight_decay is not None:
        yield Formula(f"Δ <- Δ - η λ W with λ = {number(regularization.weight_decay)}")
    if regularization.max_norm is not None:
        yield Formula(f"W + Δ with each column scaled down to a norm of at most {number(regularization.max_norm)}")


def _updates(traced: TracedStep) -> Iterator[Block]:
    quantities = update_quantities(traced)
    shown = {str(index) for index in _shown_layers(traced)}
    limited = traced.plan.regularization.max_norm is not None
    for entries in _zipped(*quantities.values()):
        path = entries[0][0]
        layer, _, parameter = path.partition(".")
        if layer not in shown:
            continue
        yield Heading(f"Update: {_array_name(path)}")
        for name, (_, array) in zip(quantities, entries, strict=True):
            label = f"{parameter} {name}" if name in ("before", "after", "average after") else name
            formula = f"{parameter} + Δ" if name == "after" and not limited else ""
            yield ArrayBlock(label, array, formula)
    yield from _omitted_layers(traced)


def update_quantities(traced: TracedStep) -> dict[str, Tree]:
    """By name, the trees that an update is computed from and results in, each in the structure of the parameters."""
    optimizer = traced.plan.optimizer
    regularization = traced.plan.regularization
    state = traced.start.state
    grads = traced.used_gradients
    step = np.asarray(state.step, dtype=float)
    trained = traced.plan.network.trained
    before = trained(state.params)
    quantities: dict[str, Tree] = {"g": grads}
    for name in getattr(state.moments, "_fields", ()):
        quantities[f"{name} before"] = getattr(state.moments, name)
        quantities[f"{name} after"] = getattr(traced.end.moments, name)
    if isinstance(optimizer, Adam):
        corrected = optimizer.corrected(grads, adam_moments(traced.end.moments), step)
        quantities |= {"m̂": corrected.m_hat, "v̂": corrected.v_hat}
    if regularization.weight_decay is not None or regularization.max_norm is not None:
        quantities["Δ of the rule"] = optimizer.update(grads, state.moments, before, step)[0]
    quantities |= {"Δ": traced.trace.updates, "before": before, "after": trained(traced.end.params)}
    if traced.end.average:
        quantities["average after"] = trained(traced.end.average)
    return quantities


def _loss_after(traced: TracedStep) -> Iterator[Block]:
    # With the old step number, masks and noise are the same as before.
    state = traced.end._replace(step=traced.start.state.step)
    _, trace = trace_step(traced.plan, traced.start._replace(state=state))
    yield Heading("After the step")
    yield Text("The same batch again, with the same masks and noise if there are any.")
    rows: list[list[str | float]] = [["L", float(traced.trace.loss), float(trace.loss)]]
    before, after = traced.trace.penalty, trace.penalty
    if not isinstance(before, tuple) and not isinstance(after, tuple):
        rows.append(["R", float(before), float(after)])
    yield Table("The loss of this batch", ["", "before the step", "after the step"], rows)


def _check(traced: TracedStep, watch: Watch) -> Iterator[Block]:
    def watch_array(path: str, share: float) -> None:
        watch(ProgressMessage(f"comparing the gradients of {_array_name(path)}", share))

    result = check_gradients(traced.plan, traced.start, traced.session.spec.training.seed, watch_array)
    yield Heading("The gradients against finite differences")
    yield Formula(f"dL/dp = (L(p + h) - L(p - h)) / 2h, h = {number(WIDTH)}, for one entry of an array after another")
    loss = "L + R, the loss with its penalty," if traced.plan.regularization.penalizes else "the loss"
    drawn = f" In each larger array, {result.drawn} randomly chosen entries are compared." if result.drawn else ""
    yield Text(
        f"Differences of {loss} over the same batch, with the same masks, noise and batch statistics. The relative"
        f" error is the error divided by the largest gradient of the array, or by {number(result.least, 1)} if that is"
        " larger:"
        f" smaller gradients cannot be distinguished from rounding.{drawn}"
    )
    if kinks := sum(array.kinks for array in result.arrays):
        yield Text(
            "Left out, because they lie at a kink, for instance of a ReLU, where the gradient jumps within h by more"
            f" than the error: {count_noun(kinks, 'entry', 'entries')}."
        )
    rows = [
        [_array_name(array.path), f"{array.compared} of {array.size}", array.error, array.error / array.scale]
        for array in result.arrays
    ]
    yield Table("Largest errors", ["array", "entries compared", "absolute error", "relative error"], rows)
    claim = "the gradients equal the slopes of the loss (largest relative error)"
    yield Check(claim, result.relative_error, 0.0, TOLERANCE)


def _shown_layers(traced: TracedStep) -> list[int]:
    """The layers that are shown in full."""
    indices = [*range(len(traced.layers))]
    return indices if len(indices) <= _MANY_LAYERS else [*indices[:_END_LAYERS], *indices[-_END_LAYERS:]]


def _omitted_layers(traced: TracedStep) -> Iterator[Block]:
    omitted = len(traced.layers) - len(_shown_layers(traced))
    if omitted:
        yield Text(f"Omitted here: {count_noun(omitted, 'layer')} between; the table of all layers includes them.")


def _layer_name(traced: TracedStep, index: int) -> str:
    return f"layer {index + 1}, {layer_in_words(traced.layers[index])}"


def _array_name(path: str) -> str:
    """`0.W` as W of layer 1."""
    layer, _, name = path.partition(".")
    return f"{name} of layer {int(layer) + 1}"


def _zipped(*trees: Tree) -> Iterator[tuple[tuple[str, Array], ...]]:
    return zip(*map(arrays_of, trees), strict=True)
