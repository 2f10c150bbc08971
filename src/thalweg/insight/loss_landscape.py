"""The loss around a trained network: along a line, over a plane, or over the plane of its training path."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from ..core.arrays import Params, map_arrays, replaced
from ..core.errors import InputError, Problem, nearest
from ..core.noise import generator
from ..core.progress import Watch, ignore_progress
from ..data import Dataset, Split
from ..engine.step import inference_state
from ..models.summary import network_in_words
from ..pages.blocks import Block, Chart, Heading, Table, Text
from ..pages.numbers import count_noun, number, percent
from ..pages.page import Page, Paged
from ..runs.run import Run
from ..runs.train import run_of
from ..spec.spec import CompleteSpec, Spec, data_name
from .directions import filter_normalized, float_vector, path_plane
from .loss_surface import Distances, LossSurface
from .training_path import PathStates, path_states

if TYPE_CHECKING:
    import plotly.graph_objects as go

Kind = Literal["plane", "line", "path"]

_MOST_POINTS = 1000
# The margin around a path, as a fraction of its extent.
_MARGIN = 0.25
_TITLES = {"line": "Loss along a line", "plane": "Loss over a plane", "path": "Loss over the plane of the path"}


class TrainingPath(NamedTuple):
    """The path of a training at m points, and its projection on a plane.

    Attributes:
        steps: updates done (m,).
        points: coordinates on the plane (m, 2); the last is (0, 0).
        losses: losses of the states themselves (m,).
        losses_on_plane: losses of the projected points (m,).
        distances: distances from the plane (m,).
        explained: for each axis, the fraction of the variance of the path about its end.
    """

    steps: np.ndarray
    points: np.ndarray
    losses: np.ndarray
    losses_on_plane: np.ndarray
    distances: np.ndarray
    explained: tuple[float, float]


@dataclass(frozen=True, eq=False)
class LossLandscape(Paged):
    """The loss of a network over some training rows, with other parameters than the trained ones.

    Coordinates are 0 at the trained network. The axes of a line and a plane are filter-normalised: at 1 the weights of
    each unit have moved by their own norm. The axes of the plane of a path have length 1.

    Attributes:
        spec: the completed spec of the training.
        kind: "line", "plane" or "path".
        x: coordinates along the first axis.
        y: coordinates along the second axis; empty for a line.
        losses: (len(x),) along a line, (len(y), len(x)) over a plane.
        trained_loss: the loss of the trained network.
        doubling: by axis, how far from the network its loss doubles, backwards and forwards; None: out of range.
        rows: how many training rows the loss is averaged over.
        seed: seeds the directions and the choice of the rows.
        cosine: of the angle between the two random axes of a plane.
        path: the path of the training on the plane, for the kind "path".
    """

    spec: CompleteSpec
    kind: Kind
    x: np.ndarray
    y: np.ndarray
    losses: np.ndarray
    trained_loss: float
    doubling: tuple[Distances, ...]
    rows: int
    seed: int
    cosine: float | None = None
    path: TrainingPath | None = None

    @property
    def lowest(self) -> tuple[float, tuple[float, ...]]:
        """The smallest loss and its coordinates; those of the trained network if no other loss is smaller."""
        losses = np.where(np.isfinite(self.losses), self.losses, np.inf)
        position = np.unravel_index(losses.argmin(), losses.shape)
        axes = (self.x,) if self.kind == "line" else (self.y, self.x)
        if not losses[position] < self.trained_loss:
            return self.trained_loss, (0.0,) * len(axes)
        return float(losses[position]), tuple(float(axis[k]) for axis, k in zip(axes, position, strict=True))[::-1]

    def figure(self) -> go.Figure:
        """The landscape as a plotly figure: a curve, or contours next to a surface."""
        from ..pages import figures

        title = _TITLES[self.kind]
        names = self._axis_names()
        if self.kind == "line":
            return figures.loss_line(self.x, self.losses, self.trained_loss, title, names[0])
        path = (self.path.points, self.path.losses_on_plane) if self.path else (None, None)
        return figures.loss_plane(self.x, self.y, self.losses, self.trained_loss, title, (names[0], names[1]), *path)

    def page(self) -> Page:
        """The landscape, the sharpness of the minimum and the path, as a page."""
        spec = self.spec
        settings = {"kind": self.kind, "points": len(self.x), "rows": number(self.rows), "seed": self.seed}
        return Page(
            title=f"The loss around a network trained on {data_name(spec)}",
            blocks=(*self._landscape(), *self._sharpness(), *self._path()),
            summary=f"{network_in_words(spec.network)};  loss: {spec.loss.kind}",
            settings=tuple((name, str(value)) for name, value in settings.items()),
        )

    def _axis_names(self) -> tuple[str, ...]:
        if self.path:
            first, second = (percent(share, 3) for share in self.path.explained)
            return (f"first principal axis ({first})", f"second principal axis ({second})")
        if self.kind == "line":
            return ("random direction, in norms of each unit's weights",)
        return ("first direction, in norms of weights", "second direction, in norms of weights")

    def _landscape(self) -> Iterator[Block]:
        yield Heading("The landscape")
        yield Text(
            f"The loss, averaged over {count_noun(self.rows, 'training row')} and without penalties, of networks with"
            " other parameters than the trained network, which is at 0. Layers are in evaluation mode: nothing is"
            " dropped, and batch normalisation keeps its running moments."
        )
        yield Text(self._axes_text())
        yield self._loss_table()
        loss, point = self.lowest
        coordinates = ", ".join(number(coordinate, 3) for coordinate in point)
        lowest = f"The smallest loss shown, {number(loss)}, is at {coordinates}."
        yield Chart(self.figure(), f"{self._caption()} {lowest}")

    def _axes_text(self) -> str:
        if self.path:
            return (
                "The axes are the two leading principal axes of the training path about its end; one unit is a distance"
                " of 1 between parameters."
            )
        angle = "" if self.cosine is None else f" The cosine of the angle between the two is {number(self.cosine, 3)}."
        return (
            "Each axis is a random, filter-normalised direction: at 1 the weights into each unit have moved by their"
            f" own norm; biases and the parameters of normalisation do not move.{angle}"
        )

    def _loss_table(self) -> Table:
        loss, point = self.lowest
        finite = self.losses[np.isfinite(self.losses)]
        rows: list[tuple[str, float | None, str]] = [
            ("the trained network", self.trained_loss, "0" if self.kind == "line" else "0, 0"),
            ("smallest shown", loss, ", ".join(number(coordinate, 3) for coordinate in point)),
            ("largest shown", float(finite.max()) if finite.size else None, ""),
        ]
        if finite.size < self.losses.size:
            rows.append(("points where it is not finite", self.losses.size - finite.size, ""))
        return Table("The loss.", ("", "loss", "point"), rows)

    def _caption(self) -> str:
        trained = f"the trained network has {number(self.trained_loss)}"
        if self.kind == "line":
            return f"The loss along a random direction; {trained}, at 0."
        path = ", with the path of the training" if self.path else ""
        return f"The loss over a plane as contours and as a surface{path}; {trained}."

    def _sharpness(self) -> Iterator[Block]:
        yield Heading("Sharpness of the minimum")
        if self.trained_loss <= 0:
            yield Text("The loss of the trained network is not above 0, so it cannot double.")
            return
        unit = "" if self.path else ", in norms of each unit's weights"
        distances = [distance for sides in self.doubling for distance in sides if distance is not None]
        yield Text(
            f"Along the axes the loss doubles first at a distance of {number(min(distances), 3)}{unit}."
            if distances
            else "Along the axes the loss does not double within the range shown: the minimum is flat here."
        )
        yield Table(
            f"Distance from the trained network at which its loss of {number(self.trained_loss)} doubles{unit}"
            " (–: outside of the range).",
            ("axis", "backwards", "forwards"),
            [(name.split(",")[0], *sides) for name, sides in zip(self._axis_names(), self.doubling, strict=True)],
        )

    def _path(self) -> Iterator[Block]:
        if not self.path:
            return
        path = self.path
        first, second = path.explained
        yield Heading("The path of the training")
        yield Text(
            f"The plane explains {percent(first + second, 3)} of the variance of the path about its end:"
            f" {percent(first, 3)} along the first axis and {percent(second, 3)} along the second. The points of the"
            f" path are up to {number(path.distances.max(), 3)} away from the plane; on the plane, the path begins"
            f" {number(np.linalg.norm(path.points[0]), 3)} from its end. The surface shows losses on the plane; they"
            " differ from the losses of the points themselves, as the table shows."
        )
        columns = ("step", "first axis", "second axis", "distance from the plane", "loss", "loss on the plane")
        values = (path.steps, *path.points.T, path.distances, path.losses, path.losses_on_plane)
        rows = list(zip(*(column.tolist() for column in values), strict=True))
        yield Table("The path, point by point.", columns, rows)


def landscape(
    source: Run | Spec | Mapping[str, object] | str | Path,
    kind: Kind = "plane",
    *,
    points: int = 51,
    span: float = 1.0,
    samples: int = 2000,
    seed: int = 0,
    watch: Watch = ignore_progress,
) -> LossLandscape:
    """The loss of a trained network along a line, over a plane, or over the plane of its training path.

    The loss is computed on the kind of engine that the training used.

    Args:
        source: a run, the folder of a run, or a spec, which is trained first.
        kind: "line" and "plane" have random, filter-normalised directions; "path" repeats the training and shows about
            30 of its states on their plane.
        points: the number of points along each axis.
        span: a line and a plane reach from -span to span; a path has a margin of `span` quarters of its extent.
        samples: the largest number of training rows to average over.
        seed: seeds the directions and the choice of the rows.
        watch: receives progress messages.

    Raises:
        InputError: for arguments out of range, for weights that are all 0, and for a training that cannot be repeated.

    >>> spec = {"data": {"source": "xor"}, "training": {"engine": "eager", "epochs": 50}}
    >>> result = landscape(spec, "line", points=5)
    >>> result.x.tolist(), bool(result.losses[2] == result.trained_loss)
    ([-1.0, -0.5, 0.0, 0.5, 1.0], True)
    """
    _check(kind, points, span, samples, seed)
    run = run_of(source, watch)
    split = run.rows()
    surface = LossSurface.of(run, _sampled(split, samples, seed), watch)
    if kind == "path":
        return _over_path(surface, path_states(run, split, watch), points, span, seed)
    return _over_random_axes(kind, surface, points, span, seed)


def path_landscape(
    run: Run, path: PathStates, *, points: int = 51, samples: int = 2000, seed: int = 0, watch: Watch = ignore_progress
) -> LossLandscape:
    """The loss over the plane of known states of a training, of which the last one is that of the run.

    Args:
        run: the run, whose engine computes the losses.
        path: the states, at least two.
        points: the number of points along each axis.
        samples: the largest number of training rows to average over.
        seed: seeds the choice of the rows.
        watch: receives progress messages.

    Raises:
        InputError: for arguments out of range.
    """
    _check("path", points, 1.0, samples, seed)
    surface = LossSurface.of(run, _sampled(run.rows(), samples, seed), watch)
    return _over_path(surface, path, points, 1.0, seed)


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


def _sampled(split: Split, samples: int, seed: int) -> Dataset:
    """A random part of the training rows, or all of them; of rows that are streamed, of their `head`."""
    data = split.train.head()
    if samples >= len(data):
        return data
    chosen = np.sort(generator(seed, "landscape", "rows").choice(len(data), samples, replace=False))
    weight = None if data.weight is None else data.weight[chosen]
    return dataclasses.replace(data, x=data.x[chosen], y=data.y[chosen], weight=weight, key=None)


def _over_random_axes(kind: Kind, surface: LossSurface, points: int, span: float, seed: int) -> LossLandscape:
    run = surface.run
    count = 1 if kind == "line" else 2
    axes = tuple(_random_axis(run, seed, k) for k in range(count))
    vectors = [float_vector(axis) for axis in axes]
    if not all(map(np.any, vectors)):
        raise InputError("landscape", "all weights of this network are 0: no direction can be scaled to them")
    x = np.linspace(-span, span, points)
    losses = surface.along(axes, (x,) * count)
    cosine = None
    if kind == "plane":
        cosine = float(vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1]))
    return LossLandscape(
        spec=run.spec,
        kind=kind,
        x=x,
        y=x if kind == "plane" else np.empty(0),
        losses=losses.grid,
        trained_loss=surface.trained_loss,
        doubling=losses.doubling,
        rows=len(surface.data),
        seed=seed,
        cosine=cosine,
    )


def _random_axis(run: Run, seed: int, number: int) -> Params:
    """A random direction of the weights that are trained."""
    direction = filter_normalized(generator(seed, "landscape", number), run.network.trained(run.params))
    return replaced(map_arrays(np.zeros_like, run.params), direction)


def _over_path(surface: LossSurface, path: PathStates, points: int, span: float, seed: int) -> LossLandscape:
    steps, states = path
    plane = path_plane([inference_state(state).params for state in states])
    low = plane.points.min(axis=0)
    high = plane.points.max(axis=0)
    extent = high - low
    # A straight path has no extent along the second axis.
    margin = span * _MARGIN * np.maximum(extent, _MARGIN * extent.max())
    x, y = (np.linspace(start, stop, points) for start, stop in zip(low - margin, high + margin, strict=True))
    losses = surface.along(plane.axes, (x, y), plane.points)
    shown = TrainingPath(
        steps=steps,
        points=plane.points,
        losses=np.array([surface.loss_of(state) for state in states]),
        losses_on_plane=losses.points,
        distances=plane.distances,
        explained=plane.explained,
    )
    return LossLandscape(
        spec=surface.run.spec,
        kind="path",
        x=x,
        y=y,
        losses=losses.grid,
        trained_loss=surface.trained_loss,
        doubling=losses.doubling,
        rows=len(surface.data),
        seed=seed,
        path=shown,
    )
