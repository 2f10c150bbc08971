"""Checks of how the model is put together: its graph, its layers and the axes of its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from operator import mul

from ...doctor.findings import Finding
from ...pages.numbers import number
from ..facts import Look, PlaceStatistics
from ..measurements.watch_measurements import WatchMeasurements
from ..registry import watch_check
from .common import BROKEN, in_most, line, listed, modules_of, mostly

# Operations with slope 0 wherever they have one.
_FLAT = ("round", "floor", "ceil", "trunc", "sign", "sgn", "heaviside")
_RESHAPES = ("view", "unsafeview", "reshape", "reshapealias", "_reshapealias", "clone", "contiguous", "alias")


@watch_check(
    code="unregistered-layers",
    stage="during training",
    rank=11,
    meaning="layers are kept in a plain list or dict, or weights in a plain tensor, so that `parameters()` does not "
    "have theirs",
    advice="`nn.ModuleList([...])` instead of a list, `nn.ModuleDict({...})` instead of a dict, `nn.Parameter(...)` as "
    "the whole value of an attribute",
    explains=(*BROKEN, "optimizer-parameters"),
)
def unregistered_layers(m: WatchMeasurements) -> Iterator[Finding]:
    """Modules in plain containers, and tensors that are no parameters, which no optimizer has."""
    for found in m.model.unregistered:
        tensors = {"Tensor", "Parameter"} >= {*found.kinds}
        attribute = found.name.rpartition(".")[2]
        if found.parameters and not found.optimized:
            yield unregistered_layers.finding(
                # A tensor may be learned elsewhere on purpose.
                severity=m.proven(may_be_meant=tensors),
                place=found.name,
                value=float(found.parameters),
                measured=f"{found.name} holds {listed(found.kinds)} with {number(found.parameters)} parameters, which "
                "are not in model.parameters()",
                normal="parameters as attributes of modules, layers in modules, nn.ModuleList and nn.ModuleDict",
                sentence=f"PyTorch does not know these {'weights' if tensors else 'layers'}: they are never trained, "
                "moved or saved.",
                remedies=line(
                    f"self.{attribute} = nn.Parameter(...)  # what is computed from it belongs into forward"
                    if tensors
                    else f"self.{attribute} = nn.ModuleList(...)  # nn.ModuleDict for a dict"
                ),
            )


@watch_check(
    code="cut-graph",
    stage="during training",
    rank=13,
    meaning="backward does not reach parameters that the forward pass used",
    advice="no `.data`, `.detach()`, `.item()`, `torch.no_grad()`, `torch.tensor(...)` or rounding before the loss",
    explains=BROKEN,
)
def cut_graph(m: WatchMeasurements) -> Iterator[Finding]:
    """Parameters that the loss does not depend on, as far as backward can tell."""
    looks = m.watched.looks
    cut = in_most(look.cut for look in looks)
    whole = mostly(looks, lambda look: look.source == "hooks" and look.backwards == 0 and look.forwards > 0)
    if not cut and not whole:
        return
    whole = whole or not mostly(looks, lambda look: any(statistics.reached for statistics in look.parameters))
    after = next((look.cut_by for look in looks if look.cut_by), "")
    place = "loss" if whole else " to ".join([modules_of(cut)[-1], *([after] if after else [])])
    yield cut_graph.finding(
        severity=m.proven(may_be_meant=True),
        place=place,
        value=float(len(cut)),
        measured=f"backward reaches {'no parameter' if whole else 'none of ' + listed(cut)}, although the forward pass "
        f"used them{f'; the graph ends before {after}' if after and not whole else ''}",
        normal="a gradient for each parameter that the outputs depend on",
        sentence="The loss was cut off from the model, so no parameter learns."
        if whole
        else "A tensor was cut off from the graph, so nothing below it learns.",
        remedies=line(
            "return value  # the tensor that was computed, not torch.tensor(value.item())"
            if whole
            else f"# from {place}: no .data, .detach(), .item() or torch.no_grad()"
        ),
    )


@watch_check(code="cut-graph", stage="during training")
def flat_operation(m: WatchMeasurements) -> Iterator[Finding]:
    """Rounding or signs on the way to the loss: their slope is 0, so that nothing below them gets a gradient."""
    look = m.watched.looks[0] if m.watched.looks else None
    steps = [(place.place, place.operations) for place in look.places] if look else []
    steps += [("loss", look.loss_input.operations)] if look and look.loss_input else []
    for place, operations in steps:
        if flat := [name for name in operations if name.strip("_") in _FLAT]:
            yield flat_operation.finding(
                severity=m.proven(may_be_meant=True),
                place=place,
                value=0.0,
                measured=f"{flat[0]} before {place}, a function whose slope is 0",
                normal="functions with a slope",
                sentence="No gradient passes this function, so nothing below it learns.",
                remedies=line("x = x + (x.round() - x).detach()  # rounds, and passes the gradient on"),
            )
            return


@watch_check(
    code="mixed-rows",
    stage="during training",
    rank=27,
    meaning="a reshape or a layer mixes the rows of a batch, or the axes of a tensor",
    advice="`transpose` or `permute` before `reshape`; `batch_first=True` for (batch, time, features)",
    explains=BROKEN,
)
def mixed_rows(m: WatchMeasurements) -> Iterator[Finding]:
    """The first place at which rows of a batch influence each other, or at which axes are regrouped."""
    for look in m.watched.looks[:1]:
        for place in look.places:
            gets = _regroups(m, look, place.place, place.follows, place.operations, place.input_shape)
            if finding := _reads_batch_as_time(m, look, place) or gets:
                yield finding
                return
        given = look.loss_input
        if given and (finding := _regroups(m, look, "loss", given.follows, given.operations, given.output_shape)):
            yield finding
            return
    if m.watched.mixing and m.watched.mixing not in softmax_places(m):
        yield mixed_rows.finding(
            severity=m.proven(may_be_meant=True),
            place=m.watched.mixing,
            value=1.0,
            measured="when the first row of a batch is replaced, the outputs of other rows change, in evaluation mode",
            normal="outputs of a row that depend on this row alone",
            sentence="The rows of a batch are mixed, so the network cannot tell to which of them a target belongs.",
            remedies=line("x = x.transpose(0, 1)  # before this layer: (time, batch, features); or batch_first=True"),
        )


def softmax_places(m: WatchMeasurements) -> tuple[str, ...]:
    """The places that a softmax leads to, or that are one."""
    places = m.watched.looks[0].places if m.watched.looks else ()
    given = m.watched.looks[0].loss_input if m.watched.looks else None
    found = tuple(p.place for p in places if p.role == "softmax" or {"softmax", "logsoftmax"} & {*p.operations})
    return (*found, "output") if given is not None and given.activation in ("softmax", "log_softmax") else found


def _reads_batch_as_time(m: WatchMeasurements, look: Look, place: PlaceStatistics) -> Finding | None:
    """A recurrent or attention module that reads (time, batch, features) and gets the rows of the batch first."""
    module = next((module for module in m.model.modules if module.name == place.module), None)
    if look.batch is None or module is None or module.batch_first is not False or len(place.input_shape) < 3:
        return None
    rows = look.batch.shape[0]
    turned = any("transpose" in name or "permute" in name for name in _operations_below(look, place))
    if turned or place.input_shape[0] != rows or len(look.batch.shape) < 2 or place.input_shape[1] == rows:
        return None
    return mixed_rows.finding(
        severity=m.proven(),
        place=place.module,
        value=float(rows),
        measured=f"{module.kind} reads (time, batch, features) and gets {place.input_shape}: {rows} is the number of "
        "rows of the batch",
        normal="(time, batch, features), or batch_first=True",
        sentence="The layer takes the rows of the batch for the steps of one sequence: each row is mixed with others.",
        remedies=line(f"nn.{module.kind}(..., batch_first=True)"),
    )


def _operations_below(look: Look, place: PlaceStatistics) -> tuple[str, ...]:
    """The operations on the way from the input of the model to a place."""
    by_place = {other.place: other for other in look.places}
    found: list[str] = []
    seen: set[str] = set()
    open_places = [place]
    while open_places:
        current = open_places.pop()
        if current.place not in seen:
            seen.add(current.place)
            found += current.operations
            open_places += [by_place[name] for name in current.follows if name in by_place]
    return tuple(found)


def _regroups(
    m: WatchMeasurements,
    look: Look,
    place: str,
    follows: tuple[str, ...],
    operations: tuple[str, ...],
    shape: tuple[int, ...],
) -> Finding | None:
    """A reshape before a place that neither joins nor splits neighbouring axes."""
    names = [name.strip("_") for name in operations]
    below = next((other for other in look.places if other.place in follows), None)
    if below is None or len(follows) != 1 or not names or any(name not in _RESHAPES for name in names):
        return None
    # An axis that was split off a longer one, such as (rows * choices, features), is grouped with its neighbours.
    if look.batch is None or look.batch.shape[0] not in below.shape or not regrouped(below.shape, shape):
        return None
    return mixed_rows.finding(
        severity=m.proven(),
        place=place,
        value=float(len(shape)),
        measured=f"the output of {below.place}, of shape {below.shape}, is read as {shape} without moving an axis",
        normal="a reshape that joins or splits neighbouring axes",
        sentence="The reshape deals the numbers out in another order: rows or axes are mixed.",
        remedies=line("x = x.transpose(0, 1).reshape(batch, -1)  # move the axis first"),
    )


def regrouped(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether a reshape of a contiguous tensor neither joins nor splits neighbouring axes.

    An axis boundary is the number of elements up to it. Where the boundaries of one shape contain those of the other,
    axes were joined or split, and each index keeps its meaning.

    >>> regrouped((8, 5, 3), (8, 15)), regrouped((40, 3), (8, 5, 3)), regrouped((5, 8, 3), (8, 15))
    (False, False, True)
    """
    first, second = ([n for n in shape if n != 1] for shape in (before, after))
    if not first or not second:
        return False
    ends = set(accumulate(first, mul)), set(accumulate(second, mul))
    return max(ends[0]) == max(ends[1]) and not (ends[0] <= ends[1] or ends[1] <= ends[0])
