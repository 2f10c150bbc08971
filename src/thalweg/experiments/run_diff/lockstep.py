"""Two trainings replayed step by step, side by side: the first quantity in which they part.

Rounding grows from step to step, and in some networks without limit, so that the distance of two trainings says little
about its cause. Each step is therefore judged alone: the second training's step is also computed from the first one's
state and rows, and each of its quantities is compared with the first one's, within the bound of `rounding.py`. If the
first weights, all rows and all steps agree in this way, then what lies between the trainings is rounding, however far
it has grown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ...core.arrays import Array, Tree, TreeT, arrays_of, map_arrays
from ...core.progress import ProgressMessage, Watch
from ...engine.step import Batch, Plan, State, Trace, batch_at, make_trace
from ...models.network import Network
from ...models.summary import layer_in_words
from ...parts.schedules.metric_schedules import metric_schedules
from ...parts.settings import Precision
from ...training.batch_plan import Chunk
from ...training.callbacks import Record
from ...training.history import HistoryBuilder
from ...training.session import Session
from .rounding import StepRounding, relative_difference, roundoff_of_sum, terms_of_step, unit_roundoff


class Quantity(NamedTuple):
    """A quantity of a step.

    Attributes:
        name: what it is: rows, weights, output, loss, delta, gradient, update or running statistic.
        layer: number of its layer from 1; 0 for the whole network.
        part: name of the array inside of the layer, as "W"; "" where there is one only.
        values: its numbers.
    """

    name: str
    layer: int
    part: str
    values: Array


class QuantityPair(NamedTuple):
    """A quantity of both trainings.

    Attributes:
        step: the step, from 1.
        name: what it is, as in `Quantity`.
        layer: its layer in words; "" for the whole network.
        part: the array inside of the layer.
        difference: |a - b| / max(|a|, |b|); infinite where shapes differ, or one is not a number.
        bound: the largest difference that rounding explains.
        remark: what differs, where a number does not say it.
    """

    step: int
    name: str
    layer: str
    part: str
    difference: float
    bound: float
    remark: str = ""

    @property
    def verdict(self) -> str:
        """Whether the quantity is "same" to the bit, differs by "rounding", or "differs"."""
        if self.difference == 0:
            return "same"
        return "rounding" if self.difference <= self.bound else "differs"


class Lockstep(NamedTuple):
    """Two trainings side by side.

    Attributes:
        steps: steps that were compared.
        planned: steps that both trainings have.
        ended: why the comparison ended.
        parting: the first quantity in the order of computation that differs by more than rounding; None where none
            does.
        start: the comparison of the first weights; the layer is the first one that differs.
        first_rows: the comparison of the first batch.
        quantities: all quantities of the last step that was compared, in the order of computation.
        loss: relative difference of the losses in each step (steps,).
        weights: relative difference of the weights before each step (steps,).
        histories: records of the epochs that each replay completed.
    """

    steps: int
    planned: int
    ended: str
    parting: QuantityPair | None
    start: QuantityPair
    first_rows: QuantityPair
    quantities: tuple[QuantityPair, ...]
    loss: np.ndarray
    weights: np.ndarray
    histories: tuple[Sequence[Record], Sequence[Record]]

    @property
    def verdict(self) -> str:
        """Whether all steps are "same" to the bit, differ by "rounding", or "differs"."""
        if self.parting:
            return "differs"
        distances = [self.start.difference, self.first_rows.difference, *self.loss, *self.weights]
        return "rounding" if any(distances) else "same"

    @property
    def growth(self) -> float:
        """The factor by which the difference of the weights grows in a step; NaN where it cannot be seen.

        The slope of a line through its logarithms over the steps.
        """
        steps = np.flatnonzero((self.weights > 0) & np.isfinite(self.weights))
        if len(steps) < 3:
            return math.nan
        return float(np.exp(np.polyfit(steps, np.log(self.weights[steps]), 1)[0]))


class _Position(NamedTuple):
    """A step that a training is about to make."""

    chunk: Chunk
    place: int
    batch: Batch


class _Replay:
    """A training that makes one step at a time, with the program of the training: its weights are the same bits."""

    def __init__(self, session: Session) -> None:
        self.session = session.without_decisions
        self.plan = self.session.plan
        self.engine = self.session.engine
        self.network = session.spec.network
        batches = self.session.batches
        # Rates that follow a measure keep their first value in a replay: it is faithful for an epoch.
        follows = bool(metric_schedules(session.spec.optimizer))
        self.steps = batches.per_epoch if follows else batches.steps
        self.state = self.engine.fetch(self.engine.place(self.session.start))
        self.history = HistoryBuilder(self.plan.metric, batches.per_epoch, (), ())
        self._placed = self.engine.place(self.state)

    def positions(self) -> Iterator[_Position]:
        """The steps, in order."""
        batches = self.session.batches
        data: Batch | None = None
        placed: Batch | None = None
        for chunk in batches.chunks(self.engine, 0, self.session.spec.training.epochs):
            if chunk.data is not placed:
                placed = chunk.data
                data = Batch(*(np.asarray(array) for array in chunk.data))
            assert data is not None
            for index in range(chunk.steps):
                yield _Position(chunk, index, batch_at(data, chunk.rows, index))

    def traced(self, state: State, batch: Batch) -> tuple[State, Trace]:
        """The step from any state with any rows, with all of its numbers."""
        engine = self.engine
        return engine.fetch(engine.call(_traced, self.plan, engine.place(state), engine.place(batch)))

    def advance(self, position: _Position) -> float:
        """Make the step, and return its loss."""
        chunk, index, _ = position
        self._placed, metrics = self.engine.run(self.plan, self._placed, chunk.data, chunk.rows, index, index + 1)
        self.state = self.engine.fetch(self._placed)
        of_step = map_arrays(lambda values: values[:1], self.engine.fetch(metrics))
        self.history.add(of_step)
        return float(of_step.sums.loss[0]) / float(of_step.sums.weight[0])


def _traced(plan: Plan, state: State, batch: Batch) -> tuple[State, Trace]:
    return make_trace(plan)(state, batch)


def lockstep(one: Session, other: Session, *, steps: int, seconds: float, watch: Watch) -> Lockstep:
    """Replay two trainings side by side until they part by more than rounding, or until the budget is spent.

    Args:
        one: the first training.
        other: the second training.
        steps: most steps to compare.
        seconds: the time after which no further step is compared.
        watch: hears of the progress.
    """
    return _Lockstep(_Replay(one), _Replay(other), watch).run(steps, time.monotonic() + seconds)


class _Lockstep:
    """Two replays, and what was compared of them."""

    def __init__(self, one: _Replay, other: _Replay, watch: Watch) -> None:
        self.one = one
        self.other = other
        self.watch = watch
        self.unit = unit_roundoff([(replay.engine.precision, replay.engine.platform) for replay in (one, other)])
        precisions = {replay.engine.precision for replay in (one, other)}
        self.precision: Precision = "float32" if "float32" in precisions else "float64"
        self.loss: list[float] = []
        self.weights: list[float] = []

    def run(self, most: int, until: float) -> Lockstep:
        """Compare the steps."""
        planned = min(self.one.steps, self.other.steps)
        start = self._start()
        first_rows: QuantityPair | None = None
        found: list[QuantityPair] = []
        ended = "all steps that both trainings have were compared"
        positions = self.one.positions(), self.other.positions()
        for step, (mine, theirs) in enumerate(zip(*positions, strict=False), 1):
            if step > planned:
                break
            if step > most or (found and time.monotonic() > until):
                ended = "the budget is spent"
                break
            self.watch(ProgressMessage(f"comparing step {step} of {planned}", step / min(planned, most)))
            rows = self._rows(step, mine.batch, theirs.batch)
            first_rows = first_rows or rows
            found = [rows, *([start] if step == 1 else [])]
            self.weights.append(self._distance())
            if not any(comparison.verdict == "differs" for comparison in found):
                found += self._step(step, mine.batch)
            losses = [self.one.advance(mine), self.other.advance(theirs)]
            self.loss.append(relative_difference(*np.array(losses)))
            if any(comparison.verdict == "differs" for comparison in found):
                ended = "the trainings part"
                self._finish_epoch(positions, until)
                break
            if not np.isfinite(losses).all():
                ended = "the trainings diverge"
                break
        assert first_rows is not None
        return Lockstep(
            steps=len(self.loss),
            planned=planned,
            ended=ended,
            parting=next((comparison for comparison in found if comparison.verdict == "differs"), None),
            start=start,
            first_rows=first_rows,
            quantities=tuple(found),
            loss=np.array(self.loss),
            weights=np.array(self.weights),
            histories=(self.one.history.history, self.other.history.history),
        )

    def _finish_epoch(self, positions: tuple[Iterator[_Position], Iterator[_Position]], until: float) -> None:
        """Let each training go on alone to the end of its first epoch, which both runs recorded."""
        for replay, left in zip((self.one, self.other), positions, strict=True):
            while not replay.history.history and time.monotonic() < until and (position := next(left, None)):
                replay.advance(position)

    def _start(self) -> QuantityPair:
        """The first weights: the first layer whose arrays differ by more than rounding, else the largest difference."""
        bound = roundoff_of_sum(1, self.unit)
        mine, theirs = (dict(arrays_of(replay.state.params)) for replay in (self.one, self.other))
        compared = [QuantityPair(1, "weights", "", "", 0.0, bound)]
        for place in sorted({**mine, **theirs}, key=lambda place: int(place.partition(".")[0])):
            number, _, part = place.partition(".")
            layer = self._layer(int(number) + 1)
            shapes = [np.shape(arrays[place]) if place in arrays else None for arrays in (mine, theirs)]
            if shapes[0] != shapes[1]:
                remark = " and ".join("none" if shape is None else f"shape {shape}" for shape in shapes)
                compared.append(QuantityPair(1, "weights", layer, part, math.inf, bound, remark))
            else:
                difference = relative_difference(mine[place], theirs[place])
                compared.append(QuantityPair(1, "weights", layer, part, difference, bound))
        if differing := [comparison for comparison in compared if comparison.verdict == "differs"]:
            return differing[0]
        counts = [len(replay.network.layers) for replay in (self.one, self.other)]
        if counts[0] != counts[1]:
            kinds = [[layer.describe() for layer in replay.network.layers] for replay in (self.one, self.other)]
            shared = sum(1 for _ in _while_equal(*kinds))
            remark = f"networks of {counts[0]} and {counts[1]} layers"
            return QuantityPair(1, "weights", self._layer(shared + 1), "", math.inf, bound, remark)
        return max(compared, key=lambda comparison: comparison.difference)

    def _rows(self, step: int, mine: Batch, theirs: Batch) -> QuantityPair:
        """The rows of a batch: inputs, targets and weights."""
        bound = roundoff_of_sum(1, self.unit)
        differences = {
            name: relative_difference(one, other)
            for name, one, other in zip(("inputs", "targets", "weights"), mine, theirs, strict=True)
        }
        largest = max(differences.values())
        part = next((name for name, difference in differences.items() if not difference <= bound), "")
        remark = _rows_in_words(mine, theirs, bound) if part else ""
        return QuantityPair(step, "rows", "", part, largest, bound, remark)

    def _distance(self) -> float:
        """The relative difference of all weights."""
        vectors = [
            np.concatenate([np.ravel(array) for _, array in arrays_of(replay.state.params)] or [np.zeros(0)])
            for replay in (self.one, self.other)
        ]
        return relative_difference(*vectors)

    def _step(self, step: int, batch: Batch) -> list[QuantityPair]:
        """Every quantity of the second training's step from the first one's state and rows, beside the first one's."""
        state = self.one.state
        mine = self.one.traced(state, batch)
        theirs = self.other.traced(_adopted(state, self.other.state), batch)
        size = roundoff_of_sum(terms_of_step(self.one.network, batch.x.shape[1], len(batch.weight)), self.unit)
        known = {_key(each): each.values for each in self._quantities(self.other, *theirs)}
        rounding: StepRounding | None = None
        compared = []
        for index, quantity in enumerate(self._quantities(self.one, *mine)):
            if _key(quantity) not in known:
                continue
            difference = relative_difference(quantity.values, known[_key(quantity)])
            bound = size
            if not difference <= size:
                # This takes as long as several steps, and few quantities need it: those whose terms cancel.
                rounding = rounding or StepRounding(self.one.plan, state, batch, size, self.precision)
                bound += self._error(rounding, index)
            compared.append(
                QuantityPair(step, quantity.name, self._layer(quantity.layer), quantity.part, difference, bound)
            )
        return compared

    def _error(self, rounding: StepRounding, index: int) -> float:
        """The part of the bound that is measured, relative to the quantity with this index."""

        def values(step: tuple[State, Trace]) -> np.ndarray:
            return np.asarray(list(self._quantities(self.one, *step))[index].values, dtype=np.float64)

        exact = values(rounding.exact)
        perturbed = max(float(np.linalg.norm(values(step) - exact)) for step in rounding.perturbed)
        rounded = float(np.linalg.norm(values(rounding.rounded) - exact))
        error = perturbed + 2 * rounded
        size = float(np.linalg.norm(exact))
        return error / size if size else (math.inf if error else 0.0)

    def _quantities(self, replay: _Replay, after: State, trace: Trace) -> Iterator[Quantity]:
        return _quantities(replay.network, replay.plan, after, trace)

    def _layer(self, number: int) -> str:
        layers = self.one.network.layers if number <= len(self.one.network.layers) else self.other.network.layers
        return f"{number}: {layer_in_words(layers[number - 1])}" if number else ""


def _key(quantity: Quantity) -> tuple[str, int, str]:
    return quantity.name, quantity.layer, quantity.part


def _quantities(network: Network, plan: Plan, after: State, trace: Trace) -> Iterator[Quantity]:
    """Every quantity of a step in the order of computation.

    Where the last activation and the loss run fused, its output is that of the activation, and it has no delta.
    """
    outputs = trace.outputs
    deltas = trace.deltas
    if network.layers[-1] != plan.network.layers[-1]:
        outputs = (*outputs[:-1], plan.loss.probabilities(outputs[-1]))
        deltas = deltas[:-1]
    for number, output in enumerate(outputs, 1):
        yield Quantity("output", number, "", output)
    yield Quantity("loss", 0, "", trace.loss)
    for number, delta in reversed(list(enumerate(deltas, 1))):
        yield Quantity("delta", number, "", delta)
    yield from reversed(list(_by_layer("gradient", trace.grads)))
    yield from _by_layer("update", trace.updates)
    yield from _by_layer("running statistic", after.layers)


def _by_layer(name: str, trees: tuple[Tree, ...]) -> Iterator[Quantity]:
    for number, tree in enumerate(trees, 1):
        for part, array in arrays_of(tree):
            yield Quantity(name, number, part, array)


def _adopted(state: State, own: State) -> State:
    """A state with the weights, layer states and moments of `state`, as far as `own` has the same arrays."""

    def taken(theirs: TreeT, mine: TreeT) -> TreeT:
        shapes = [[(place, np.shape(array)) for place, array in arrays_of(tree)] for tree in (theirs, mine)]
        return theirs if shapes[0] == shapes[1] and type(theirs) is type(mine) else mine

    return own._replace(
        params=state.params,
        layers=taken(state.layers, own.layers),
        moments=taken(state.moments, own.moments),
        average=taken(state.average, own.average),
    )


def _while_equal(one: Sequence[object], other: Sequence[object]) -> Iterator[object]:
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return
        yield mine


def _rows_in_words(mine: Batch, theirs: Batch, bound: float) -> str:
    """How the rows of two batches differ."""
    rows = len(mine.x)
    if rows != len(theirs.x):
        return f"batches of {rows} and {len(theirs.x)} rows"
    if mine.x.shape != theirs.x.shape:
        return f"{mine.x.shape[1]} and {theirs.x.shape[1]} inputs"
    if np.shape(mine.y) != np.shape(theirs.y):
        return f"targets of shape {np.shape(mine.y)} and {np.shape(theirs.y)}"
    tables = [
        np.column_stack([batch.x, np.asarray(batch.y, dtype=float).reshape(rows, -1), batch.weight])
        for batch in (mine, theirs)
    ]
    scale = np.abs(tables[0]).max(axis=0, initial=0.0)
    differing = (np.abs(tables[0] - tables[1]) > bound * scale).any(axis=1)
    ordered = [table[np.lexsort(table.T)] for table in tables]
    if np.allclose(ordered[0], ordered[1], rtol=bound, atol=bound * float(scale.max())):
        return "the same rows in another order"
    return f"{np.count_nonzero(differing)} of {rows} rows differ"
