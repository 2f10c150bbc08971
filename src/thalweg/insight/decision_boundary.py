"""The predictions of a trained network on a plane of its inputs, with the training rows, through the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..core.errors import InputError, Problem, nearest
from ..core.progress import ProgressMessage, Watch, ignore_progress
from ..data import Dataset, Preprocessing, Split
from ..models.summary import network_in_words
from ..pages.blocks import Block, Chart, Heading, Table, Text
from ..pages.numbers import Share, count_noun, measure_name, measured, number, percent
from ..pages.page import Page, Paged
from ..probes.boundary_frames import BoundaryCallback, BoundaryFrames
from ..probes.input_maps import InputMap, InputPlane, map_of, plane_of, principal_plane, slice_of
from ..runs.run import Run
from ..runs.train import run_of
from ..spec.spec import CompleteSpec, Spec, data_name
from ..training.session import Session

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The principal axes of more inputs take long to compute.
_MOST_INPUTS = 4096
_MOST_FIGURES = 6
_MOST_FIXED_INPUTS = 12
_MOST_LISTED_NAMES = 30


@dataclass(frozen=True, eq=False)
class DecisionBoundary(Paged):
    """The predictions of a network on a plane of its inputs.

    Attributes:
        spec: the completed spec of the training.
        task: the task of the data, as "classification".
        target_names: names of the classes or targets.
        input_map: predictions on a grid of the plane, and the training rows on the plane.
        frames: predictions on a grid of the plane after some steps of the training; None if there are none.
        frames_remark: why there are no frames; empty if there are.
        rows: how many training rows the scores are computed over.
        score: accuracy of the network, or R² for regression.
        score_on_plane: the score if each row is replaced by its nearest point on the plane.
        same_class: fraction of the rows that keep their predicted class there; None for regression.
        fixed_inputs: names and values, in their own units, of the inputs that a slice holds fixed.
        decision_threshold: a single output above it means the second class.
        steps_per_epoch: updates in an epoch.
    """

    spec: CompleteSpec
    task: str
    target_names: tuple[str, ...]
    input_map: InputMap
    frames: BoundaryFrames | None
    frames_remark: str
    rows: int
    score: float
    score_on_plane: float
    same_class: float | None
    fixed_inputs: tuple[tuple[str, float], ...]
    decision_threshold: float
    steps_per_epoch: int

    def figures(self) -> list[go.Figure]:
        """The plane as plotly figures, animated if there are frames: one for all classes, or one for each target."""
        if self.task == "classification":
            return [self._classes_figure()]
        return [self._target_figure(target) for target in range(min(len(self.target_names), _MOST_FIGURES))]

    def _classes_figure(self) -> go.Figure:
        from ..pages import figures

        drawn = self.input_map
        frames = self.frames
        samples = (drawn.points, drawn.true, self.target_names, self.decision_threshold, drawn.axes)
        if frames is None:
            return figures.boundary(drawn.x, drawn.y, drawn.outputs, *samples)
        return figures.boundary_frames(
            frames.steps, frames.x, frames.y, frames.outputs, *samples, steps_per_epoch=self.steps_per_epoch
        )

    def _target_figure(self, target: int) -> go.Figure:
        from ..pages import figures

        drawn = self.input_map
        frames = self.frames
        samples = (drawn.points, drawn.true[:, target], self.target_names[target], drawn.axes)
        if frames is None:
            return figures.fitted_surface(drawn.x, drawn.y, drawn.outputs[..., target], *samples)
        values = frames.outputs[..., target]
        return figures.surface_frames(
            frames.steps, frames.x, frames.y, values, *samples, steps_per_epoch=self.steps_per_epoch
        )

    def figure(self) -> go.Figure:
        """The first of `figures()`."""
        return self.figures()[0]

    def page(self) -> Page:
        """The plane, how well it represents the network, and where a slice lies, as a page."""
        spec = self.spec
        return Page(
            title=f"Predictions over the inputs: {data_name(spec)}",
            blocks=(*self._plane(), *self._quality(), *self._slice()),
            summary=f"{network_in_words(spec.network)};  loss: {spec.loss.kind}",
            settings=(("plane", " and ".join(self.input_map.axes)), ("training rows", number(self.rows))),
        )

    def _plane(self) -> Iterator[Block]:
        yield Heading("The plane")
        drawn = self.input_map
        sampled = f", one of every {drawn.every}" if drawn.every > 1 else ""
        nearest_point = " Each row is drawn at its nearest point on the plane." if drawn.explained else ""
        yield Text(f"{self._plane_text()} The points are training rows{sampled}.{nearest_point}")
        if self.frames_remark:
            yield Text(self.frames_remark)
        for figure in self.figures():
            yield Chart(figure, self._caption())

    def _plane_text(self) -> str:
        axes = " and ".join(self.input_map.axes)
        if not self.input_map.explained:
            return f"The network has two inputs, {axes}: the plane contains all inputs."
        variance = f"{percent(sum(self.input_map.explained), 3)} of the variance of the training rows after scaling"
        if self.fixed_inputs:
            return f"A slice: the inputs {axes} vary, all others are held fixed. The two have {variance}."
        first, second = (percent(share, 3) for share in self.input_map.explained)
        return (
            "The plane of the two leading principal axes of the training rows, through their mean, in units of the"
            f" scaled inputs. It explains {variance}: {first} along the first axis and {second} along the second."
        )

    def _caption(self) -> str:
        if self.frames is None:
            return "The prediction of the trained network at each point of the plane, and the training rows."
        steps = self.frames.steps
        return (
            f"The prediction at each point of the plane at {count_noun(len(steps), 'step')} of the training, from step"
            f" {number(steps[0])} to step {number(steps[-1])}, and the training rows. The last step is shown first."
        )

    def _quality(self) -> Iterator[Block]:
        score = "accuracy" if self.task == "classification" else "r2"
        measure = measure_name(score)
        yield Heading("How well the plane represents the network")
        rows: list[tuple[str, float | None]] = [(f"{measure} on the training rows", measured(score, self.score))]
        if self.input_map.explained:
            rows.append((f"{measure} at their nearest points on the plane", measured(score, self.score_on_plane)))
            if self.same_class is not None:
                rows.append(("fraction of rows with the same class at both", Share(self.same_class)))
            rows.append(("fraction of the variance on the plane", Share(sum(self.input_map.explained))))
        yield Table(f"Over {count_noun(self.rows, 'training row')}.", ("", "value"), rows)
        if self.input_map.explained:
            yield Text(
                "The network uses all inputs: it can be right about a row that is drawn on the wrong side of the"
                " boundary, and wrong about a row on the right side."
            )

    def _slice(self) -> Iterator[Block]:
        if not self.fixed_inputs:
            return
        yield Heading("Position of the slice")
        count = len(self.fixed_inputs)
        cut = f" The first {_MOST_FIXED_INPUTS} of {count}." if count > _MOST_FIXED_INPUTS else ""
        yield Table(f"Inputs that are held fixed.{cut}", ("input", "value"), self.fixed_inputs[:_MOST_FIXED_INPUTS])


def boundary(
    source: Run | Spec | Mapping[str, object] | str | Path,
    features: Sequence[str | int] | None = None,
    at: Mapping[str, float] | None = None,
    *,
    frames: bool = True,
    watch: Watch = ignore_progress,
) -> DecisionBoundary:
    """The predictions of a network on a plane: its two inputs, a slice, or the two leading principal axes.

    Args:
        source: a run, the folder of a run, or a spec, which is trained first.
        features: two inputs, by name or number from 0, for a slice; the others stay at the mean of the training rows.
        at: other values for fixed inputs of a slice, by name, in the units of the input.
        frames: whether to show the plane through the training. A spec gets about 16 frames; a run brings those that
            are stored in its folder.
        watch: receives progress messages.

    Raises:
        InputError: for unknown inputs, and if no plane applies: for one input, several labels, or a regression with
            more than two inputs and no `features`.

    >>> spec = {"data": {"source": "xor"}, "training": {"engine": "eager", "epochs": 20}}
    >>> result = boundary(spec)
    >>> result.input_map.axes, result.frames.steps.tolist()[-1], result.rows
    (('x1', 'x2'), 20, 4)
    """
    callbacks: list[BoundaryCallback] = []

    def callbacks_for(session: Session) -> Sequence[BoundaryCallback]:
        # Even without frames the plane is chosen before the training, so that bad input is rejected early.
        split = session.split
        plane = _plane_for(split.preprocessing, split, features, at)
        callbacks.append(BoundaryCallback.on(plane, split.train, session.batches.steps))
        return callbacks if frames else ()

    run = run_of(source, watch, callbacks_for)
    split = run.rows()
    remark = ""
    recorded: BoundaryFrames | None = None
    if callbacks:
        plane = callbacks[0].frames.plane
        recorded = callbacks[0].frames if frames else None
    else:
        plane = _plane_for(run.preprocessing, split, features, at)
        if frames:
            recorded, remark = _stored_frames(run, plane)
    watch(ProgressMessage("predictions of the trained network"))
    return _measured(run, split, plane, features is not None, recorded, remark)


def _plane_for(
    preprocessing: Preprocessing,
    split: Split,
    features: Sequence[str | int] | None,
    at: Mapping[str, float] | None,
) -> InputPlane:
    """The requested slice, or the plane that suits the data. Raises InputError if there is none."""
    count = preprocessing.features
    if preprocessing.task == "multilabel":
        raise InputError("boundary", "does not apply to several labels: each label has its own boundary")
    if count == 1:
        fix = "the report of the run shows its fit as a curve" if preprocessing.task == "regression" else "use two"
        raise InputError("boundary", f"needs a plane, and the network has one input; {fix}")
    if features is not None:
        return _slice_for(preprocessing, split, features, at or {})
    if at:
        raise InputError("boundary", "`at` positions a slice: name the two inputs that vary, too (features)")
    if preprocessing.task == "regression" and count > 2:
        fix = "name two inputs (features) for a slice"
        raise InputError("boundary", f"does not apply to a regression with {count} inputs; {fix}")
    if count > _MOST_INPUTS:
        raise InputError(
            "boundary", f"does not compute principal axes of {number(count)} inputs; name two inputs (features)"
        )
    plane = plane_of(preprocessing, split.train) or principal_plane(split.train)
    if plane is None:
        raise InputError("boundary", "all training rows lie on one line, which is no plane; name two inputs (features)")
    return plane


def _slice_for(
    preprocessing: Preprocessing, split: Split, features: Sequence[str | int], at: Mapping[str, float]
) -> InputPlane:
    names = preprocessing.feature_names
    problems: list[Problem] = []

    def number_of(subject: str, name: str | int) -> int:
        if name in names:
            return names.index(str(name))
        if str(name).isdecimal() and int(name) < len(names):
            return int(name)
        known = f"numbers from 0 to {len(names) - 1}" if len(names) > _MOST_LISTED_NAMES else nearest(str(name), names)
        problems.append(Problem(subject, f"expected an input, received {name!r}; {known}"))
        return -1

    chosen = [number_of("features", name) for name in features]
    fixed = {number_of("at", name): float(value) for name, value in at.items()}
    if len(chosen) != 2 or (chosen[0] == chosen[1] and not problems):
        problems.append(Problem("features", f"expected two different inputs, received {list(features)}"))
    if both := [names[k] for k in fixed if k in chosen and k >= 0]:
        problems.append(Problem("at", f"{both[0]} is one of the two inputs that vary; fix only other inputs"))
    if not np.isfinite(list(fixed.values())).all():
        problems.append(Problem("at", "expected finite values"))
    if problems:
        raise InputError("boundary", problems)
    return slice_of(preprocessing, split.train, (chosen[0], chosen[1]), fixed)


def _stored_frames(run: Run, plane: InputPlane) -> tuple[BoundaryFrames | None, str]:
    """The frames of a run if they lie on the plane; else None and the reason."""
    frames = run.boundary_frames
    if frames is None:
        return None, "No frames of the training are stored with this run. A boundary of a spec has frames."
    if not (_close(frames.plane.origin, plane.origin) and _close(frames.plane.directions, plane.directions)):
        return None, (
            f"The frames stored with this run lie on another plane, of {' and '.join(frames.plane.axes)}. A boundary of"
            " a spec has frames on the requested plane."
        )
    return frames, ""


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-6)


def _measured(
    run: Run, split: Split, plane: InputPlane, sliced: bool, frames: BoundaryFrames | None, remark: str
) -> DecisionBoundary:
    """The predictions on the plane, compared with those for the training rows themselves."""
    preprocessing = run.preprocessing
    data = split.train.head()
    scores = _scores(run, data, plane)
    if frames is not None and run.task == "regression":
        shape = frames.outputs.shape
        frames = frames._replace(outputs=preprocessing.values(frames.outputs.reshape(-1, shape[-1])).reshape(shape))
    origin = preprocessing.unscaled(plane.origin[None].astype(np.float32))[0]
    values = zip(preprocessing.feature_names, map(float, origin), strict=True)
    return DecisionBoundary(
        spec=run.spec,
        task=run.task,
        target_names=preprocessing.target_names,
        input_map=map_of(preprocessing, plane, data, run.outputs_of),
        frames=frames,
        frames_remark=remark,
        rows=len(data),
        score=scores.rows,
        score_on_plane=scores.on_plane,
        same_class=scores.same_class,
        fixed_inputs=tuple((name, value) for name, value in values if sliced and name not in plane.axes),
        decision_threshold=run.decision_threshold,
        steps_per_epoch=Session(run.spec, split).batches.per_epoch,
    )


class _Scores(NamedTuple):
    """Accuracy or R² of the rows and of their nearest points on the plane; the fraction with the same class at both."""

    rows: float
    on_plane: float
    same_class: float | None


def _scores(run: Run, data: Dataset, plane: InputPlane) -> _Scores:
    outputs = run.outputs_of(data.x)
    outputs_on_plane = run.outputs_of(plane.below(data.x))
    if run.task == "classification":
        classes = run.classes(outputs)
        classes_on_plane = run.classes(outputs_on_plane)
        return _Scores(
            float(np.mean(classes == data.y)),
            float(np.mean(classes_on_plane == data.y)),
            float(np.mean(classes == classes_on_plane)),
        )
    return _Scores(_r_squared(outputs, data.y), _r_squared(outputs_on_plane, data.y), None)


def _r_squared(outputs: np.ndarray, targets: np.ndarray) -> float:
    """The mean R² of the targets."""
    variance = np.square(targets - targets.mean(axis=0)).mean(axis=0)
    # A constant target has no R².
    with np.errstate(all="ignore"):
        return float(np.mean(1 - np.square(outputs - targets).mean(axis=0) / variance))
