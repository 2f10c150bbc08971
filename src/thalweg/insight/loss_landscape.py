"""The loss around a trained network: along a line, over a plane, and over the plane of its training's path."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ..core.arrays import Array, Tree, arrays_of, map_arrays, map_weights
from ..core.errors import InputError, Problem, nearest
from ..core.noise import generator
from ..core.progress import ProgressMessage
from ..data import Dataset, Split
from ..engine.engine import Engine
from ..engine.step import Batch, Plan, State, inference_state, measure
from ..models.summary import network_in_words
from ..pages.blocks import Block, Chart, Heading, Table, Text
from ..pages.page import Page
from ..parts.metric_schedules import metric_schedules
from ..parts.optimizers import SGD
from ..runs.run import Run
from ..runs.train import run_of
from ..spec.spec import CompleteSpec, Spec, data_name
from ..training.batch_plan import as_batch
from ..training.callbacks import ProgressMessages
from ..training.evaluate import evaluate, metric_for
from ..training.replay import replay, trace_step
from ..training.session import Session, engine_for

Kind = Literal["plane", "line", "path"]
Watch = Callable[[ProgressMessage], None]

# So many rows go through the network between two looks at the progress, and at Ctrl-C.
_STRETCH_ROWS = 1 << 17
_MOST_POINTS = 1000
_PATH_POINTS = 30
# Where the loss doubles is looked for at so many places on each side of the network.
_PLACES_ALONG = 25
# The room around a path, as a share of its extent.
_ROOM = 0.25
# A training that is walked again ends where it ended; rounding is a smaller share of the way than this.
_SAME_END = 1e-3


def loss_at(
    carry: Tree, index: Array, plan: Plan, state: State, data: Batch, axes: tuple[Tree, ...], places: Array
) -> tuple[Tree, Array]:
    """L(θ + Σ_k a_k d_k) over all rows of a batch: θ the parameters that answer, a = places[index] (k,), d_k an axis.

    An axis has the shape of the parameters. Layers are in evaluation mode and keep their states. `carry` passes
    through, as `Engine.loop` asks for.
    """
    state = inference_state(state)
    params = state.params
    for along, axis in enumerate(axes):
        params = map_arrays(lambda p, d, a=places[index, along]: p + a * d, params, axis)
    sums = measure(plan, state._replace(params=params), data)
    return carry, sums.loss / sums.weight


def filter_normalized(rng: np.random.Generator, params: Tree) -> Tree:
    """A random direction in which each unit's weights move by their own norm: d_j <- d_j |w_j| / |d_j|, d_j normal.

    w_j is column j of a layer's W: the weights into unit j. Vectors (biases, normalisation) do not move.

    Source: Li, Xu, Taylor, Studer, Goldstein 2018, Visualizing the loss landscape of neural nets, section 4.

    >>> direction = filter_normalized(np.random.default_rng(0), (np.array([[3.0, 1.0], [4.0, 0.0]]), np.ones(2)))
    >>> np.linalg.norm(direction[0], axis=0).round(6).tolist(), direction[1].tolist()
    ([5.0, 1.0], [0.0, 0.0])
    """

    def drawn(weights: Array) -> np.ndarray:
        d, w = rng.standard_normal(np.shape(weights)), np.asarray(weights, dtype=float)
        return d * np.linalg.norm(w, axis=0) / np.linalg.norm(d, axis=0)

    return map_weights(drawn, map_arrays(lambda p: np.zeros(np.shape(p)) if np.ndim(p) < 2 else p, params))


class Projection(NamedTuple):
    """A path seen on its best plane: two axes of length 1, places (m, 2) on it, distances (m,) from it.

    `explained` is which share of the squared distances from the last point each axis accounts for.
    """

    axes: tuple[Tree, Tree]
    places: np.ndarray
    distances: np.ndarray
    explained: tuple[float, float]


def principal_plane(path: Sequence[Tree]) -> Projection:
    """The plane through the last of m parameters θ_i that is nearest to all: their two leading principal axes.

    The rows of D are θ_i - θ_m, and D = U S Vᵀ. The axes are the first two rows of Vᵀ, places are D V, and an axis
    explains s_k² / Σ s². The distance of a point from the plane is the norm of what the two places leave of its row.

    Raises InputError where the parameters do not move.

    Source: Li et al. 2018, section 7; here about the trained network, so that it lies in the plane.

    >>> seen = principal_plane([(np.array([3.0, 0.0, 1.0]),), (np.array([3.0, 0.0, -1.0]),), (np.zeros(3),)])
    >>> seen.places.round(6).tolist(), seen.distances.round(6).tolist(), [round(share, 6) for share in seen.explained]
    ([[3.0, 1.0], [3.0, -1.0], [0.0, 0.0]], [0.0, 0.0, 0.0], [0.9, 0.1])
    """
    rows = np.stack([_vector(params) for params in path])
    offsets = rows - rows[-1]
    _, sizes, axes = np.linalg.svd(offsets, full_matrices=False)
    if not sizes[0] > 0:
        raise InputError("landscape", "the parameters did not move in this training: there is no path to show")
    # A direction is as good as its opposite: the path starts on the positive side.
    first, second = (axis if axis @ offsets[0] >= 0 else -axis for axis in axes[:2])
    places = offsets @ np.stack([first, second], axis=1)
    distances = np.linalg.norm(offsets - places @ np.stack([first, second]), axis=1)
    shares = sizes**2 / np.sum(sizes**2)
    return Projection(
        (_tree(first, path[-1]), _tree(second, path[-1])), places, distances, (float(shares[0]), float(shares[1]))
    )


def _vector(tree: Tree) -> np.ndarray:
    return np.concatenate([np.asarray(array, dtype=float).ravel() for _, array in arrays_of(tree)])


def _tree(vector: np.ndarray, like: Tree) -> Tree:
    sizes = np.cumsum([np.size(array) for _, array in arrays_of(like)])
    pieces = iter(np.split(vector, sizes[:-1]))
    return map_arrays(lambda array: next(pieces).reshape(np.shape(array)), like)


class Walk(NamedTuple):
    """The path of a training (m points) on the plane.

    The losses at the points themselves stand beside those of the plane below them, `distances` away.
    """

    steps: np.ndarray
    places: np.ndarray
    losses: np.ndarray
    losses_below: np.ndarray
    distances: np.ndarray
    explained: tuple[float, float]


@dataclass(frozen=True, eq=False)
class LossLandscape:
    """The loss of a network over `rows` of its training rows, with other parameters.

    `losses` are (len(x),) along a line, and (len(y), len(x)) over a plane; at (0, 0) stands the trained network, whose
    loss is `centre`. A line and a plane have filter-normalised axes: at 1 each unit's weights have moved by their own
    norm. The axes of a path's plane have length 1. `doubling` says by axis how far from the network the loss is twice
    its own, backwards and forwards; None: nowhere in the picture. `cosine` is that of the angle between two random
    axes.
    """

    spec: CompleteSpec
    kind: Kind
    x: np.ndarray
    y: np.ndarray
    losses: np.ndarray
    centre: float
    doubling: tuple[tuple[float | None, float | None], ...]
    rows: int
    seed: int
    cosine: float | None = None
    path: Walk | None = None

    @property
    def lowest(self) -> tuple[float, tuple[float, ...]]:
        """The smallest loss in the picture, and where it is; the trained network's if none is smaller."""
        known = np.where(np.isfinite(self.losses), self.losses, np.inf)
        place = np.unravel_index(known.argmin(), known.shape)
        axes = (self.x,) if self.kind == "line" else (self.y, self.x)
        if not known[place] < self.centre:
            return self.centre, (0.0,) * len(axes)
        return float(known[place]), tuple(float(axis[k]) for axis, k in zip(axes, place, strict=True))[::-1]

    def figure(self) -> Any:
        """The landscape as a plotly figure: a curve, or contours with the surface beside them."""
        from ..pages import figures

        title = {"line": "Loss along a line", "plane": "Loss over a plane", "path": "Loss over the plane of the path"}
        names = self._axes()
        if self.kind == "line":
            return figures.loss_line(self.x, self.losses, self.centre, title[self.kind], names[0])
        way = (self.path.places, self.path.losses_below) if self.path else (None, None)
        return figures.loss_plane(
            self.x, self.y, self.losses, self.centre, title[self.kind], (names[0], names[1]), *way
        )

    def page(self) -> Page:
        """The landscape with what it says, as a page."""
        spec, count = self.spec, len(self.x)
        settings = {"kind": self.kind, "points": count, "rows": self.rows, "seed": self.seed}
        return Page(
            f"The loss around a network trained on {data_name(spec)}",
            (*self._what(), *self._sharpness(), *self._way()),
            f"{network_in_words(spec.network)};  loss: {spec.loss.kind}",
            tuple((name, str(value)) for name, value in settings.items()),
        )

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def _axes(self) -> tuple[str, ...]:
        if self.path:
            shares = (f"{share:.1%}" for share in self.path.explained)
            return tuple(
                f"{which} principal axis ({share})" for which, share in zip(("first", "second"), shares, strict=True)
            )
        if self.kind == "line":
            return ("random direction, in norms of each unit's weights",)
        return ("first direction, in norms of weights", "second direction, in norms of weights")

    def _what(self) -> Iterator[Block]:
        yield Heading("What is shown")
        yield Text(
            f"The loss, averaged over {self.rows:,} training rows and without penalties, of networks with other"
            " parameters than the trained one, which stands at 0. Layers answer as they do after training: nothing is"
            " dropped, and batch normalisation keeps its running moments."
        )
        if self.path:
            yield Text(
                "The axes are the two leading principal axes of the training's path, as seen from its end; one unit is"
                " a distance of 1 between parameters."
            )
        else:
            angle = "" if self.cosine is None else f" The cosine of the angle between the two is {self.cosine:.3f}."
            yield Text(
                "An axis is a random direction, filter-normalised: at 1 the weights into each unit have moved by their"
                f" own norm; biases and the parameters of normalisation stay.{angle}"
            )
        loss, place = self.lowest
        where = ", ".join(f"{number:.3g}" for number in place)
        known = self.losses[np.isfinite(self.losses)]
        rows: list[tuple[str, Any, str]] = [
            ("the trained network", self.centre, "0" if self.kind == "line" else "0, 0"),
            ("smallest in the picture", loss, where),
            ("largest in the picture", float(known.max()) if known.size else None, ""),
        ]
        if known.size < self.losses.size:
            rows.append(("places where it is not finite", self.losses.size - known.size, ""))
        yield Table("The loss.", ("", "loss", "place"), rows)
        yield Chart(self.figure(), f"{self._caption()} The smallest loss in the picture, {loss:.4g}, is at {where}.")

    def _caption(self) -> str:
        if self.kind == "line":
            return f"The loss along a random direction; the trained network at 0 has {self.centre:.4g}."
        drawn = ", with the path of the training" if self.path else ""
        return f"The loss over a plane as contours and as a surface{drawn}; the trained network has {self.centre:.4g}."

    def _sharpness(self) -> Iterator[Block]:
        yield Heading("How sharp the minimum is")
        unit = "" if self.path else ", in norms of each unit's weights"
        if self.centre <= 0:
            yield Text("The loss of the trained network is not above 0: there is nothing to double.")
            return
        found = [distance for sides in self.doubling for distance in sides if distance is not None]
        yield Text(
            f"The nearest place along the axes where the loss has doubled is {min(found):.3g} away{unit}."
            if found
            else "Along the axes the loss nowhere comes to twice that of the trained network: the minimum is flat here."
        )
        yield Table(
            f"How far from the trained network its loss of {self.centre:.4g} doubles{unit} (–: not in the picture).",
            ("axis", "backwards", "forwards"),
            [(name.split(",")[0], *sides) for name, sides in zip(self._axes(), self.doubling, strict=True)],
        )

    def _way(self) -> Iterator[Block]:
        if not self.path:
            return
        path = self.path
        first, second = path.explained
        yield Heading("The path of the training")
        yield Text(
            f"The plane explains {first + second:.1%} of the variance of the path about its end: {first:.1%} along the"
            f" first axis and {second:.1%} along the second. A point of the path stands off the plane by up to"
            f" {path.distances.max():.3g}; the path begins {np.linalg.norm(path.places[0]):.3g} from its end on the"
            " plane. The surface is the plane's alone: what a point loses by standing off it is the difference of the"
            " two losses."
        )
        columns = ("step", "first axis", "second axis", "distance from the plane", "loss", "loss on the plane below")
        numbers = (path.steps, *path.places.T, path.distances, path.losses, path.losses_below)
        rows = list(zip(*(column.tolist() for column in numbers), strict=True))
        yield Table("The path, point by point.", columns, rows)


def landscape(
    source: Run | Spec | Mapping[str, Any] | str | Path,
    kind: Kind = "plane",
    *,
    points: int = 51,
    span: float = 1.0,
    samples: int = 2000,
    seed: int = 0,
    watch: Watch = lambda working: None,
) -> LossLandscape:
    """The loss of a trained network along a line, over a plane, or over the plane of its path, `points` along an axis.

    The source is a run, the folder of one, or a spec, which is trained first. Line and plane have random directions,
    filter-normalised, from -span to span. The plane of a path reaches `span` quarters of the path's extent beyond it;
    the training runs again, to about 30 of its states. The loss is that of `samples` training rows, on the engine of
    the training. `seed` decides the directions and the rows; `watch` hears what is being computed.

    Raises InputError for numbers of no use, for weights that are all 0, and for a path that can not be walked again.

    >>> spec = {"data": {"source": "xor"}, "training": {"engine": "eager", "epochs": 50}}
    >>> found = landscape(spec, "line", points=5)
    >>> found.x.tolist(), bool(found.losses[2] == found.centre)
    ([-1.0, -0.5, 0.0, 0.5, 1.0], True)
    """
    _check(kind, points, span, samples, seed)
    run = run_of(source, watch)
    split = run.split or run.spec.data.load(run.spec.training.seed)
    data = _some(split, samples, seed)
    surface = _Surface.of(run, data, watch)
    if kind == "path":
        return _over_path(run, split, surface, points, span, seed)
    count = 1 if kind == "line" else 2
    axes = tuple(filter_normalized(generator(seed, "landscape", k), run.params) for k in range(count))
    vectors = [_vector(axis) for axis in axes]
    if not all(map(np.any, vectors)):
        raise InputError("landscape", "all weights of this network are 0: there are no directions of their size")
    x = np.linspace(-span, span, points)
    grid, doubling, _ = surface.over(axes, (x,) * count)
    cosine = None
    if kind == "plane":
        cosine = float(vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1]))
    y = x if kind == "plane" else np.empty(0)
    return LossLandscape(run.spec, kind, x, y, grid, surface.centre, doubling, len(data), seed, cosine)


def _check(kind: str, points: int, span: float, samples: int, seed: int) -> None:
    problems = []
    kinds = get_args(Kind)
    if kind not in kinds:
        problems.append(Problem("kind", f"expected a kind, received {kind!r}; {nearest(str(kind), kinds)}"))
    if not 3 <= points <= _MOST_POINTS:
        problems.append(Problem("points", f"expected 3 to {_MOST_POINTS} along an axis, received {points}"))
    if not 0 < span < np.inf:
        problems.append(Problem("span", f"expected a number above 0, received {span}; 1 is usual"))
    if samples < 1:
        problems.append(Problem("samples", f"expected at least 1 row, received {samples}"))
    if seed < 0:
        problems.append(Problem("seed", f"expected 0 or more, received {seed}"))
    if problems:
        raise InputError("landscape", problems)


def _some(split: Split, samples: int, seed: int) -> Dataset:
    """Some of the training rows, or all; of rows that stream from the disk, some of those that fit into memory."""
    data = next(iter(split.train.parts()))
    if samples >= len(data):
        return data
    chosen = np.sort(generator(seed, "landscape", "rows").choice(len(data), samples, replace=False))
    weight = None if data.weight is None else data.weight[chosen]
    return dataclasses.replace(data, x=data.x[chosen], y=data.y[chosen], weight=weight, key=None)


@dataclass(frozen=True, eq=False)
class _Surface:
    """The loss of a run over some rows, as a function of the parameters; `centre` is that of the run's own."""

    run: Run
    data: Dataset
    engine: Engine
    centre: float
    watch: Watch

    @classmethod
    def of(cls, run: Run, data: Dataset, watch: Watch) -> _Surface:
        training = run.spec.training
        # Of the training's kind, on whatever device there is: a run may be used on another machine.
        engine = engine_for(training, anywhere=True)
        watch(ProgressMessage("loss of the trained network"))
        return cls(run, data, engine, evaluate(run.network, run.loss, run.state, data, engine)["loss"], watch)

    def at(self, state: State) -> float:
        """The loss of another state."""
        return evaluate(self.run.network, self.run.loss, state, self.data, self.engine)["loss"]

    def over(
        self, axes: tuple[Tree, ...], ticks: Sequence[np.ndarray], more: np.ndarray | None = None
    ) -> tuple[np.ndarray, tuple[tuple[float | None, float | None], ...], np.ndarray]:
        """The losses at all ticks of one or two axes; where they double along each; and those at some more places."""
        grid = np.stack(np.meshgrid(*ticks), axis=-1)
        along = np.linspace(0, 1, _PLACES_ALONG + 1)[1:]
        unit = np.eye(len(axes))
        rays = np.stack([np.outer(along, end * unit[k]) for k, tick in enumerate(ticks) for end in (tick[0], tick[-1])])
        width = len(axes)
        further = np.empty((0, width)) if more is None else more
        losses = self._losses(axes, np.concatenate([grid.reshape(-1, width), rays.reshape(-1, width), further]))
        on_grid, on_rays, on_more = np.split(losses, np.cumsum([grid.size // width, rays.size // width]))
        sides = [
            doubled(np.linalg.norm(ray, axis=1), values, self.centre)
            for ray, values in zip(rays, on_rays.reshape(len(rays), -1), strict=True)
        ]
        return on_grid.reshape(grid.shape[:-1]), tuple(zip(sides[::2], sides[1::2], strict=True)), on_more

    def _losses(self, axes: tuple[Tree, ...], places: np.ndarray) -> np.ndarray:
        run, engine = self.run, self.engine
        plan = Plan(run.network, run.loss, SGD(), metric_for(run.network, run.loss, self.data))
        state, batch, axes, placed = engine.place((inference_state(run.state), as_batch(self.data), axes, places))
        stretch = max(1, _STRETCH_ROWS // len(self.data))
        found = []
        for start in range(0, len(places), stretch):
            self.watch(ProgressMessage(f"loss at place {start + 1:,} of {len(places):,}", start / len(places)))
            stop = min(start + stretch, len(places))
            _, losses = engine.loop(loss_at, (), start, stop, stretch, plan, state, batch, axes, placed)
            found.append(engine.fetch(losses)[: stop - start])
        return np.concatenate(found).astype(float)


def doubled(distances: np.ndarray, losses: np.ndarray, centre: float) -> float | None:
    """How far from 0 a loss that is `centre` there is first twice as large, linear between places (n,); None: nowhere.

    What is not finite counts as large.

    >>> doubled(np.array([1.0, 2.0]), np.array([1.5, 2.5]), 1.0), doubled(np.array([1.0]), np.array([1.5]), 1.0)
    (1.5, None)
    """
    over = ~(losses < 2 * centre)
    if centre <= 0 or not over.any():
        return None
    k = int(over.argmax())
    if not np.isfinite(losses[k]):
        return float(distances[k])
    near, low = (distances[k - 1], losses[k - 1]) if k else (0.0, centre)
    return float(near + (distances[k] - near) * (2 * centre - low) / (losses[k] - low))


def _over_path(run: Run, split: Split, surface: _Surface, points: int, span: float, seed: int) -> LossLandscape:
    steps, states = _states(run, split, surface.watch)
    seen = principal_plane([inference_state(state).params for state in states])
    low, high = seen.places.min(axis=0), seen.places.max(axis=0)
    extent = high - low
    # A path that is a straight line has no extent across.
    room = span * _ROOM * np.maximum(extent, _ROOM * extent.max())
    x, y = (np.linspace(start, stop, points) for start, stop in zip(low - room, high + room, strict=True))
    grid, doubling, below = surface.over(seen.axes, (x, y), seen.places)
    losses = np.array([surface.at(state) for state in states])
    walk = Walk(steps, seen.places, losses, below, seen.distances, seen.explained)
    return LossLandscape(run.spec, "path", x, y, grid, surface.centre, doubling, len(surface.data), seed, path=walk)


def _states(run: Run, split: Split, watch: Watch) -> tuple[np.ndarray, list[State]]:
    """About 30 states of a training, from the start to the state that answers, with the updates done before each.

    The state before the last step is one of them: from there the walk must come to where the run ended.

    Raises InputError where the training can not be walked again.
    """
    if kinds := [rate.kind for rate in metric_schedules(run.spec.optimizer)]:
        raise InputError(
            "path",
            f"the learning rate followed a measure ({kinds[0]}), so the path can not be walked again; take a plane",
        )
    last = int(run.state.step)
    if last == 0:
        raise InputError("path", "the state that answers is the one before the first step: there is no path to show")
    # A training moves fastest at its start.
    steps = np.unique((np.linspace(0, 1, _PATH_POINTS) ** 2 * (last - 1)).round().astype(int))
    session = Session(run.spec, split)
    found = replay(session, steps.tolist(), [ProgressMessages(watch, "replaying the training")]).states
    states = [point.state for point in found]
    after, _ = trace_step(session.plan, found[-1])
    start, end, again = (_vector(inference_state(state).params) for state in (states[0], run.state, after))
    missed, way = np.linalg.norm(again - end), np.linalg.norm(end - start)
    if not missed <= _SAME_END * way:
        raise InputError(
            "path",
            f"walked again, this training ends {missed:.3g} from where the run ended, after a way of {way:.3g}: its"
            " spec or its data have changed since, or the machine rounds otherwise; take a plane",
        )
    return np.append(steps, last), [*states, run.state]
