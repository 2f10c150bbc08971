"""Every number of one step of a network, for any batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Tree, arrays_of, map_arrays
from ..core.errors import InputError, Problem
from ..core.noise import noise_key
from ..data import Dataset, Task, infer_task
from ..data.dataset import as_matrix, as_targets
from ..engine.eager import Eager
from ..engine.step import Batch, Plan, State, Trace, make_trace
from ..models.network import Network
from ..parts.optimizers import SGD
from ..parts.part import Loss, Optimizer
from ..spec.complete import default_loss
from .evaluate import metric_for
from .session import check_fit


def inspect(
    network: Network,
    params: Tree,
    x: Any,
    y: Any,
    *,
    loss: Loss | None = None,
    layers: Tree | None = None,
    weight: Any = None,
    optimizer: Optimizer | None = None,
) -> Trace:
    """The whole `Trace` of one training step on a batch, as NumPy arrays in float64; nothing that is given changes.

    x (n, features) as the network takes it; y: whole numbers (n,) are classes from 0, all else are numbers, (n,) or
    (n, K). `params` as `Network.initialize` gives them or a run holds them; `layers` likewise the states of the layers,
    by default those of a start. `loss`: by default the one that suits the last layer and y; `weight` (n,): 1 each.
    Without an `optimizer` the rate is 0, and so are the updates; it starts with fresh moments.

    The step is one of training: dropout drops, and batch normalisation looks at this batch. Where the last activation
    and the loss run as one, the outputs of the last layer are the logits (see `Trace`).

    Raises InputError where batch, parameters and network do not fit together.

    >>> from thalweg.parts.layers import Affine
    >>> trace = inspect(Network(["dense 1"]), (Affine([[2.0]], [1.0]),), [[3.0]], [5.0])
    >>> trace.outputs[0].tolist(), float(trace.loss), trace.deltas[0].tolist(), trace.grads[0].W.tolist()
    ([[7.0]], 4.0, [[4.0]], [[12.0]])
    """
    data, batch = _batch(network, x, y, weight)
    start = network.initialize(0, (data.features,))
    params, layers = _fitting(start.params, params, "params"), _fitting(start.states, layers, "layers")
    loss, optimizer = loss or default_loss(network, data), optimizer or SGD(0.0)
    plan = Plan(network, loss, optimizer, metric_for(network, loss, data))
    state = State(params, layers, optimizer.init(params), np.array(0), noise_key(0))
    eager = Eager()
    with np.errstate(all="ignore"):
        return make_trace(plan)(*eager.place((state, batch)))[1]


def _batch(network: Network, x: Any, y: Any, weight: Any) -> tuple[Dataset, Batch]:
    """The batch in two forms: checked, as a data set; and with its numbers in full, as a step takes it."""
    x, y = as_matrix(x), as_targets(y)
    classes = y.ndim == 1 and y.dtype.kind in "iu"
    task: Task = "classification" if classes else infer_task(y)[0]
    y = y if classes else y.reshape(len(y), -1)
    shape = network.initialize(0, x.shape[1:]).shapes[-1]
    names = tuple(map(str, range(max(2, shape[-1])))) if classes else ()
    data = Dataset(x, y, task, None if weight is None else np.asarray(weight), names)
    check_fit(network, data)
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=float)
    return data, Batch(x.astype(float), y if classes else y.astype(float), weight)


def _fitting(start: Tree, given: Tree | None, name: str) -> Tree:
    """The arrays given, in the tuples of a start; the start where none are. InputError where a shape differs."""
    if given is None:
        return start
    wanted, found = list(arrays_of(start, name)), [(place, np.asarray(array)) for place, array in arrays_of(given)]
    if len(wanted) != len(found):
        raise InputError(name, f"expected {len(wanted)} arrays for this network, received {len(found)}")
    problems = [
        Problem(place, f"expected shape {array.shape}, received {other.shape}")
        for (place, array), (_, other) in zip(wanted, found, strict=True)
        if array.shape != other.shape
    ]
    if problems:
        raise InputError("inspect", problems)
    rest = iter(found)
    return map_arrays(lambda _: next(rest)[1], start)
