"""Every number of one step of a network, for any batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..core.arrays import LayerState, Params, Tree, TreeT, arrays_of, map_arrays
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
    params: tuple[Params, ...],
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss | None = None,
    layers: tuple[LayerState, ...] | None = None,
    weight: ArrayLike | None = None,
    optimizer: Optimizer | None = None,
) -> Trace:
    """The whole `Trace` of one training step on a batch, as NumPy arrays in float64. It changes nothing.

    The step is one of training: dropout drops, and batch normalisation uses this batch. Where the last activation and
    the loss run fused, the outputs of the last layer are the logits (see `Trace`).

    Args:
        network: the network.
        params: parameters as `Network.initialize` gives them or a run holds them.
        x: inputs as the network takes them, (n, features).
        y: whole numbers (n,) are classes from 0; everything else is numbers, (n,) or (n, K).
        loss: by default the one that suits the last layer and y.
        layers: states of the layers; by default those of a start.
        weight: weights of the samples, (n,); 1 each by default.
        optimizer: starts with fresh moments; by default the rate, and so each update, is 0.

    Raises:
        InputError: batch, parameters and network do not fit together.

    >>> from thalweg.parts.layers import Affine
    >>> trace = inspect(Network(["dense 1"]), (Affine([[2.0]], [1.0]),), [[3.0]], [5.0])
    >>> trace.outputs[0].tolist(), float(trace.loss), trace.deltas[0].tolist(), trace.grads[0].W.tolist()
    ([[7.0]], 4.0, [[4.0]], [[12.0]])
    """
    data, batch = _batch(network, x, y, weight, loss.members if loss else 1)
    start = network.layout((data.features,))
    params = _fitting(start.params, params, "params")
    states = start.states if layers is None else _fitting(start.states, layers, "layers")
    loss = loss or default_loss(network, data)
    optimizer = optimizer or SGD(0.0)
    plan = Plan(network, loss, optimizer, metric_for(network, loss, data))
    state = State(params, states, optimizer.init(network.trained(params)), np.array(0), noise_key(0))
    eager = Eager()
    with np.errstate(all="ignore"):
        return make_trace(plan)(*eager.place((state, batch)))[1]


def _batch(
    network: Network, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None, members: int
) -> tuple[Dataset, Batch]:
    """The batch in two forms: checked, as a data set; and at full precision, as a step takes it."""
    x = as_matrix(x)
    y = as_targets(y)
    classes = y.ndim == 1 and y.dtype.kind in "iu"
    task: Task = "classification" if classes else infer_task(y)[0]
    if task == "classification" and not classes:
        # Targets of 0 and 1 in columns are taken as they are, one for each output.
        task = "multilabel" if y.ndim == 2 else "regression"
    y = y if classes else y.reshape(len(y), -1)
    shape = network.layout(x.shape[1:]).shapes[-1]
    names = tuple(map(str, range(max(2, shape[-1] // members)))) if classes else ()
    data = Dataset(x, y, task, None if weight is None else np.asarray(weight), names)
    check_fit(network, data, members)
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=float)
    return data, Batch(x.astype(float), y if classes else y.astype(float), weight)


def _fitting(start: TreeT, given: Tree, name: str) -> TreeT:
    """The given arrays in the tuples of a start. Raises InputError where shapes differ."""
    wanted = list(arrays_of(start, name))
    found = [(place, np.asarray(array)) for place, array in arrays_of(given)]
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
