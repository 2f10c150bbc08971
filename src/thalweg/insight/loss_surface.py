"""The loss of a trained network as a function of its parameters, along directions through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from ..core.arrays import Array, Params, map_arrays
from ..core.progress import ProgressMessage, Watch
from ..data import Dataset
from ..engine.choice import engine_for
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State, inference_state, measure
from ..pages.numbers import number
from ..parts.optimizers import SGD
from ..runs.run import Run
from ..training.batch_plan import as_batch
from ..training.evaluate import evaluate, metric_for

# The number of rows that pass through the network between two progress messages.
_ROWS_AT_ONCE = 1 << 17
# The number of points on each side of the network at which the loss is computed to find where it doubles.
_DOUBLING_POINTS = 25

Distances = tuple[float | None, float | None]
"""How far from the network its loss doubles, backwards and forwards along an axis; None: not within the range."""


def loss_at(
    carry: tuple[()], index: Array, plan: Plan, state: State, data: Batch, axes: tuple[Params, ...], points: Array
) -> tuple[tuple[()], Array]:
    """L(θ + Σ_k a_k d_k) over all rows of a batch, a = points[index]; a function for `Engine.loop`.

    Layers are in evaluation mode and keep their states.

    Args:
        carry: passed through.
        index: the number of the point.
        plan: network, loss and metric.
        state: its inference parameters are θ.
        data: the rows.
        axes: the directions d_k, each of the structure of the parameters.
        points: the coordinates (n, k).
    """
    state = inference_state(state)
    params = state.params
    for k, axis in enumerate(axes):
        params = map_arrays(lambda p, d, a=points[index, k]: p + a * d, params, axis)
    sums = measure(plan, state._replace(params=params), data)
    return carry, sums.loss / sums.weight


class SurfaceLosses(NamedTuple):
    """Losses over a line or plane.

    Attributes:
        grid: losses on the grid of the ticks, (x,) or (y, x).
        doubling: by axis, how far from the network the loss doubles.
        points: losses at the additional points.
    """

    grid: np.ndarray
    doubling: tuple[Distances, ...]
    points: np.ndarray


@dataclass(frozen=True, eq=False)
class LossSurface:
    """The loss of a run over some rows, as a function of the parameters.

    Attributes:
        run: the trained network.
        data: the rows.
        engine: computes the losses.
        trained_loss: the loss of the trained network.
        watch: receives progress messages.
    """

    run: Run
    data: Dataset
    engine: Engine
    trained_loss: float
    watch: Watch

    @classmethod
    def of(cls, run: Run, data: Dataset, watch: Watch) -> Self:
        """The surface of a run over `data`."""
        # A run may be loaded on a machine with other devices.
        engine = engine_for(run.spec.training, anywhere=True)
        watch(ProgressMessage("loss of the trained network"))
        loss = evaluate(run.network, run.loss, run.state, data, engine)["loss"]
        return cls(run=run, data=data, engine=engine, trained_loss=loss, watch=watch)

    def loss_of(self, state: State) -> float:
        """The loss of another state."""
        return evaluate(self.run.network, self.run.loss, state, self.data, self.engine)["loss"]

    def along(
        self, axes: tuple[Params, ...], ticks: Sequence[np.ndarray], points: np.ndarray | None = None
    ) -> SurfaceLosses:
        """The losses along one or two axes at all combinations of their ticks, and at additional points (n, axes)."""
        grid = np.stack(np.meshgrid(*ticks), axis=-1)
        fractions = np.linspace(0, 1, _DOUBLING_POINTS + 1)[1:]
        unit = np.eye(len(axes))
        rays = np.stack(
            [np.outer(fractions, end * unit[k]) for k, tick in enumerate(ticks) for end in (tick[0], tick[-1])]
        )
        width = len(axes)
        further = np.empty((0, width)) if points is None else points
        losses = self._losses(axes, np.concatenate([grid.reshape(-1, width), rays.reshape(-1, width), further]))
        on_grid, on_rays, on_points = np.split(losses, np.cumsum([grid.size // width, rays.size // width]))
        sides = [
            doubling_distance(np.linalg.norm(ray, axis=1), values, self.trained_loss)
            for ray, values in zip(rays, on_rays.reshape(len(rays), -1), strict=True)
        ]
        return SurfaceLosses(
            grid=on_grid.reshape(grid.shape[:-1]),
            doubling=tuple(zip(sides[::2], sides[1::2], strict=True)),
            points=on_points,
        )

    def _losses(self, axes: tuple[Params, ...], points: np.ndarray) -> np.ndarray:
        run = self.run
        engine = self.engine
        plan = Plan(run.network, run.loss, SGD(), metric_for(run.network, run.loss, self.data))
        placed = engine.place((inference_state(run.state), as_batch(self.data), axes, points))
        chunk = max(1, _ROWS_AT_ONCE // len(self.data))
        parts = []
        for start in range(0, len(points), chunk):
            self.watch(
                ProgressMessage(f"loss at point {number(start + 1)} of {number(len(points))}", start / len(points))
            )
            stop = min(start + chunk, len(points))
            _, losses = engine.loop(loss_at, (), start, stop, chunk, plan, *placed)
            parts.append(engine.fetch(losses)[: stop - start])
        return np.concatenate(parts).astype(float)


def doubling_distance(distances: np.ndarray, losses: np.ndarray, trained_loss: float) -> float | None:
    """The smallest distance at which a loss, `trained_loss` at distance 0, is doubled; None if it is not.

    Interpolates linearly between the distances (n,). A loss that is not finite counts as infinite.

    >>> doubling_distance(np.array([1.0, 2.0]), np.array([1.5, 2.5]), 1.0)
    1.5
    >>> doubling_distance(np.array([1.0]), np.array([1.5]), 1.0)
    """
    doubled = ~(losses < 2 * trained_loss)
    if trained_loss <= 0 or not doubled.any():
        return None
    k = int(doubled.argmax())
    if not np.isfinite(losses[k]):
        return float(distances[k])
    near, low = (distances[k - 1], losses[k - 1]) if k else (0.0, trained_loss)
    return float(near + (distances[k] - near) * (2 * trained_loss - low) / (losses[k] - low))
