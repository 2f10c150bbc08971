"""What a trained network answers on a plane of its inputs, with the training rows, and how it came to that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError, Problem, nearest
from ..core.progress import ProgressMessage
from ..data import Preprocessing, Split
from ..models.summary import network_in_words
from ..pages.blocks import Block, Chart, Heading, Table, Text
from ..pages.page import Page
from ..probes.boundary_frames import BoundaryCallback, BoundaryFrames
from ..probes.input_maps import InputMap, InputPlane, map_of, plane_of, principal_plane, slice_of
from ..runs.run import Run
from ..runs.train import run_of
from ..spec.spec import CompleteSpec, Spec, data_name
from ..training.session import Session

Watch = Callable[[ProgressMessage], None]

# The principal axes of more inputs take long to compute.
_MOST_INPUTS = 4096
_MOST_TARGETS, _MOST_HELD = 6, 12


@dataclass(frozen=True, eq=False)
class DecisionBoundary:
    """What a network answers on a plane of its inputs.

    `seen` holds the answers and the training rows on the plane; `film`, where there is one, the answers through the
    training; `remark` says why there is none. `score` over `rows` training rows is the accuracy, or R² for numbers;
    `score_on_plane` that of the answers at their nearest places on the plane; `unchanged` the share of the rows whose
    class is the same at both. `held` are the inputs that a slice holds fixed, in their own units. Yes is above
    `threshold`.
    """

    spec: CompleteSpec
    task: str
    target_names: tuple[str, ...]
    seen: InputMap
    film: BoundaryFrames | None
    remark: str
    rows: int
    score: float
    score_on_plane: float
    unchanged: float | None
    held: tuple[tuple[str, float], ...]
    threshold: float
    per_epoch: int

    def figures(self) -> list[Any]:
        """The plane as plotly figures: one for all classes, one for each target; with frames where there is a film."""
        from ..pages import figures

        seen, film, names, per_epoch = self.seen, self.film, self.target_names, self.per_epoch
        if self.task == "classification":
            told = (seen.points, seen.true, names, self.threshold, seen.axes)
            if film is None:
                return [figures.boundary(seen.x, seen.y, seen.outputs, *told)]
            film_of = partial(figures.boundary_frames, steps_per_epoch=per_epoch)
            return [film_of(film.steps, film.x, film.y, film.outputs, *told)]
        drawn = []
        for k, name in enumerate(names[:_MOST_TARGETS]):
            stand = (seen.points, seen.true[:, k], name, seen.axes)
            if film is None:
                drawn.append(figures.fitted_surface(seen.x, seen.y, seen.outputs[..., k], *stand))
            else:
                film_of = partial(figures.surface_frames, steps_per_epoch=per_epoch)
                drawn.append(film_of(film.steps, film.x, film.y, film.outputs[..., k], *stand))
        return drawn

    def figure(self) -> Any:
        """The first of `figures()`."""
        return self.figures()[0]

    def page(self) -> Page:
        """The plane with what it says, as a page."""
        spec = self.spec
        return Page(
            f"What a network answers over its inputs: {data_name(spec)}",
            (*self._what(), *self._how_well(), *self._where()),
            f"{network_in_words(spec.network)};  loss: {spec.loss.kind}",
            (("plane", " and ".join(self.seen.axes)), ("training rows", f"{self.rows:,}")),
        )

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def _what(self) -> Iterator[Block]:
        yield Heading("What is shown")
        yield Text(f"{self._plane()} {self._points()}")
        if self.remark:
            yield Text(self.remark)
        for figure in self.figures():
            yield Chart(figure, self._caption())

    def _plane(self) -> str:
        seen = self.seen
        if not seen.explained:
            return f"The network has two inputs, {' and '.join(seen.axes)}: the plane holds all there is."
        shares = f"{sum(seen.explained):.1%} of the variance of the training rows, scaled as the network gets them"
        if self.held:
            return (
                f"A slice: the inputs {' and '.join(seen.axes)} vary, all others are held fixed. The two hold {shares}."
            )
        first, second = seen.explained
        return (
            "The plane of the two leading principal axes of the training rows, through their mean, in units of the"
            f" scaled inputs. It holds {shares}: {first:.1%} along the first axis and {second:.1%} along the second."
        )

    def _points(self) -> str:
        some = f", one of every {self.seen.every}" if self.seen.every > 1 else ""
        stands = " A row stands at its nearest place on the plane." if self.seen.explained else ""
        return f"Points: training rows{some}.{stands}"

    def _caption(self) -> str:
        if self.film is None:
            return "The answer of the trained network at each place of the plane, and the training rows."
        steps = self.film.steps
        return (
            f"The answer of the network at each place of the plane at {len(steps)} moments of its training, from step"
            f" {steps[0]:,} to step {steps[-1]:,}, and the training rows. At first the last moment is shown."
        )

    def _how_well(self) -> Iterator[Block]:
        measure = "accuracy" if self.task == "classification" else "R²"
        yield Heading("How much of the network the plane shows")
        rows: list[tuple[str, Any]] = [(f"{measure} of the network on the training rows", self.score)]
        if self.seen.explained:
            rows.append((f"{measure} at the nearest places on the plane", self.score_on_plane))
            if self.unchanged is not None:
                rows.append(("share of rows with the same answer at both", self.unchanged))
            rows.append(("share of the variance that the plane holds", sum(self.seen.explained)))
        yield Table(f"Over {self.rows:,} training rows.", ("", "value"), rows)
        if self.seen.explained:
            yield Text(
                "The network looks at all inputs, and so may be right about a row that stands on the wrong side of the"
                " boundary here, and the other way round."
            )

    def _where(self) -> Iterator[Block]:
        if self.held:
            yield Heading("Where the slice lies")
            first = f" The first {_MOST_HELD} of {len(self.held)}." if len(self.held) > _MOST_HELD else ""
            yield Table(f"The inputs that are held fixed.{first}", ("input", "value"), self.held[:_MOST_HELD])


def boundary(
    source: Run | Spec | Mapping[str, Any] | str | Path,
    features: Sequence[str | int] | None = None,
    at: Mapping[str, float] | None = None,
    *,
    frames: bool = True,
    watch: Watch = lambda working: None,
) -> DecisionBoundary:
    """What a network answers on a plane of its inputs: both of them, a slice, or the two leading principal axes.

    The source is a run, the folder of one, or a spec, which is trained first, with about 16 frames of the plane. A run
    brings the frames that are stored in its folder. `features` are two inputs by their names, or their numbers from 0:
    the slice in which all others stay at the mean of the training rows, or where `at` says (name -> value, in the
    input's own units). `watch` hears what is being computed.

    Raises InputError for unknown inputs, and where no plane suits: one input, several labels, numbers of more than two
    inputs without `features`.

    >>> spec = {"data": {"source": "xor"}, "training": {"engine": "eager", "epochs": 20}}
    >>> found = boundary(spec)
    >>> found.seen.axes, found.film.steps.tolist()[-1], found.rows
    (('x0', 'x1'), 20, 4)
    """
    sliced = features is not None
    looking: list[BoundaryCallback] = []

    def callbacks(session: Session) -> Sequence[BoundaryCallback]:
        split = session.split
        plane = _plane(split.preprocessing, split, features, at)
        looking.append(BoundaryCallback.on(plane, split.train, session.batches.steps))
        return looking if frames else ()

    run = run_of(source, watch, callbacks)
    if looking:
        assert run.split
        film = looking[0].frames
        return _found(run, run.split, film.plane, sliced, film if frames else None, "", watch)
    split = run.split or run.spec.data.load(run.spec.training.seed)
    plane = _plane(run.preprocessing, split, features, at)
    stored, remark = _stored(run, plane) if frames else (None, "")
    return _found(run, split, plane, sliced, stored, remark, watch)


def _plane(
    preprocessing: Preprocessing,
    split: Split,
    features: Sequence[str | int] | None,
    at: Mapping[str, float] | None,
) -> InputPlane:
    """The plane asked for, or the one that suits. Raises InputError where there is none."""
    count = preprocessing.features
    if preprocessing.task == "multilabel":
        raise InputError("boundary", "does not apply to several labels: a place has a yes and a no for each of them")
    if count == 1:
        fix = "the run's report shows its answer as a curve" if preprocessing.task == "regression" else "take two"
        raise InputError("boundary", f"needs a plane, and the network has one input; {fix}")
    if features is not None:
        return _slice(preprocessing, split, features, at or {})
    if at:
        raise InputError("boundary", "`at` says where a slice lies: name the two inputs that vary, too (features)")
    if preprocessing.task == "regression" and count > 2:
        fix = "name two inputs (features) for a slice"
        raise InputError("boundary", f"does not apply to a fit of numbers to {count} inputs; {fix}")
    if count > _MOST_INPUTS:
        raise InputError("boundary", f"has no principal axes of {count:,} inputs; name two inputs (features)")
    plane = plane_of(preprocessing, split.train) or principal_plane(split.train)
    if plane is None:
        raise InputError(
            "boundary", "all training rows are on one line: they have no plane; name two inputs (features)"
        )
    return plane


def _slice(
    preprocessing: Preprocessing, split: Split, features: Sequence[str | int], at: Mapping[str, float]
) -> InputPlane:
    names, problems = preprocessing.feature_names, []

    def place(subject: str, name: str | int) -> int:
        if name in names:
            return names.index(str(name))
        if str(name).isdecimal() and int(name) < len(names):
            return int(name)
        known = f"numbers from 0 to {len(names) - 1}" if len(names) > 30 else nearest(str(name), names)
        problems.append(Problem(subject, f"expected an input, received {name!r}; {known}"))
        return -1

    chosen = [place("features", name) for name in features]
    held = {place("at", name): float(value) for name, value in at.items()}
    if len(chosen) != 2 or (chosen[0] == chosen[1] and not problems):
        problems.append(Problem("features", f"expected two different inputs, received {list(features)}"))
    if both := [names[k] for k in held if k in chosen and k >= 0]:
        problems.append(Problem("at", f"{both[0]} is one of the two inputs that vary; hold others fixed"))
    if not np.isfinite(list(held.values())).all():
        problems.append(Problem("at", "expected finite values"))
    if problems:
        raise InputError("boundary", problems)
    return slice_of(preprocessing, split.train, (chosen[0], chosen[1]), held)


def _stored(run: Run, plane: InputPlane) -> tuple[BoundaryFrames | None, str]:
    """The frames that a run brings, if they lie on the plane; or why there are none."""
    film = run.boundary_frames
    if film is None:
        return None, "No frames of the training are stored with this run. A spec is trained with frames."
    if not (_same(film.plane.origin, plane.origin) and _same(film.plane.directions, plane.directions)):
        return None, (
            f"The frames stored with this run lie on another plane, of {' and '.join(film.plane.axes)}. A spec is"
            " trained with frames on the plane asked for."
        )
    return film, ""


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-6)


def _found(
    run: Run, split: Split, plane: InputPlane, sliced: bool, film: BoundaryFrames | None, remark: str, watch: Watch
) -> DecisionBoundary:
    """What the trained network says on the plane, beside what it says of the training rows themselves."""
    watch(ProgressMessage("answers of the trained network"))
    fitted, data = run.preprocessing, next(split.train.parts())
    outputs, on_plane = run.outputs_of(data.x), run.outputs_of(plane.below(data.x))
    unchanged = None
    if run.task == "classification":
        said, below = run.classes(outputs), run.classes(on_plane)
        scores = [float(np.mean(answer == data.y)) for answer in (said, below)]
        unchanged = float(np.mean(said == below))
    else:
        variance = np.square(data.y - data.y.mean(axis=0)).mean(axis=0)
        # A target that never changes has no R².
        with np.errstate(all="ignore"):
            off = [np.square(answer - data.y).mean(axis=0) / variance for answer in (outputs, on_plane)]
        scores = [float(np.mean(1 - share)) for share in off]
        if film is not None:
            shape = film.outputs.shape
            film = film._replace(outputs=fitted.values(film.outputs.reshape(-1, shape[-1])).reshape(shape))
    values = fitted.unscaled(plane.origin[None].astype(np.float32))[0]
    held = [(name, float(value)) for name, value in zip(fitted.feature_names, values, strict=True)]
    return DecisionBoundary(
        spec=run.spec,
        task=run.task,
        target_names=fitted.target_names,
        seen=map_of(fitted, plane, data, run.outputs_of),
        film=film,
        remark=remark,
        rows=len(data),
        score=scores[0],
        score_on_plane=scores[1],
        unchanged=unchanged,
        held=tuple(pair for pair in held if sliced and pair[0] not in plane.axes),
        threshold=run.decision_threshold,
        per_epoch=Session(run.spec, split).batches.per_epoch,
    )
