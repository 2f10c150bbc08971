"""The page of a watched training: the diagnosis, the curves, and what happened inside of the model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from ..doctor.diagnosis import Diagnosis
from ..doctor.examination import diagnose
from ..pages.blocks import Block, Chart, Facts, Heading
from ..pages.numbers import count_noun, number
from ..pages.page import Page
from .facts import Look, PlaceStatistics, WatchedTraining
from .measurements.measure_watch import measurements_of_watch

# A chart of losses has no more points; each is the mean of the steps around it.
_MOST_POINTS = 400


def watch_diagnosis(training: WatchedTraining) -> Diagnosis:
    """The diagnosis of a watched training, with what its watch could not see as remarks."""
    off = tuple(
        f"The watch switched itself off, and saw nothing of the training afterwards: {fault}"
        for fault in training.faults
    )
    diagnosis = diagnose(measurements_of_watch(training))
    return dataclasses.replace(diagnosis, remarks=(*diagnosis.remarks, *off, *training.remarks))


def watch_page(training: WatchedTraining, diagnosis: Diagnosis, title: str = "Watched training") -> Page:
    """The page of a watched training; charts without data are left out.

    >>> from .facts import WatchedLoss, WatchedModel
    >>> model = WatchedModel("Net", (), (), WatchedLoss("MSELoss", True), "Adam", ())
    >>> watch_page(WatchedTraining(model), Diagnosis(None, (), ())).figures()
    []
    """
    page = diagnosis.page(title)
    charts = _charts(training)
    inside: tuple[Block, ...] = (Heading("Inside of the training"), *charts) if charts else ()
    blocks = (*page.blocks, Heading("What was watched"), _facts(training), *inside)
    return Page(title, blocks, page.summary)


def _facts(training: WatchedTraining) -> Facts:
    model = training.model
    numbers = sum(math.prod(parameter.shape) for parameter in model.parameters)
    rates = ", ".join(number(group.rate, 3) for group in model.groups)
    return Facts(
        [
            ("model", f"{model.kind}, {count_noun(numbers, 'parameter')}"),
            ("optimizer", f"{model.optimizer} at {rates}"),
            ("loss", model.loss.kind or "unknown"),
            ("steps", f"{number(training.steps)}, {number(len(training.looks))} of them looked at"),
            ("epochs", number(len(training.epochs))),
        ]
    )


def _charts(training: WatchedTraining) -> list[Chart]:
    charts = []
    if any(math.isfinite(loss) for loss in training.losses):
        charts.append(_losses(training))
    if len(training.looks) < 2:
        return charts
    names = _names(training)
    by_place: tuple[tuple[str, str, Callable[[Look], dict[str, float]]], ...] = (
        ("Delta by module", "RMS of dL/d(output)", lambda look: {names(p): p.delta for p in look.places}),
        ("Outputs by module", "RMS of the outputs", lambda look: {names(p): p.rms for p in look.places}),
        (
            "Updates by parameter",
            "|update| / |parameter|",
            lambda look: {p.name: p.update / p.rms for p in look.parameters if p.rms > 0},
        ),
    )
    return charts + [chart for title, axis, read in by_place if (chart := _over_looks(training, title, axis, read))]


def _names(training: WatchedTraining) -> Callable[[PlaceStatistics], str]:
    """What a chart calls a place: its name, and the class of the module where the name is a number: "0 Linear"."""
    kinds = {module.name: module.kind for module in training.model.modules}

    def name(place: PlaceStatistics) -> str:
        is_number = place.place == place.module and place.module.rpartition(".")[2].isdecimal()
        return f"{place.place} {kinds.get(place.module, '')}".rstrip() if is_number else place.place

    return name


def _losses(training: WatchedTraining) -> Chart:
    from ..pages.figures.flow import curves

    size = -(-len(training.losses) // _MOST_POINTS)
    parts = [training.losses[start : start + size] for start in range(0, len(training.losses), size)]
    means = [math.fsum(part) / len(part) if all(map(math.isfinite, part)) else math.nan for part in parts]
    steps = [size * index + (len(part) - 1) / 2 for index, part in enumerate(parts)]
    return Chart(curves(steps, {"loss": means}, "Loss", "step", "loss", log=min(means, default=0) > 0))


def _over_looks(
    training: WatchedTraining, title: str, axis: str, read: Callable[[Look], dict[str, float]]
) -> Chart | None:
    from ..pages.figures.flow import curves

    steps = [look.step for look in training.looks]
    rows = [read(look) for look in training.looks]
    names = dict.fromkeys(name for row in rows for name, value in row.items() if value > 0 and math.isfinite(value))
    series = {name: [row.get(name, math.nan) for row in rows] for name in names}
    return Chart(curves(steps, series, title, "step", axis, log=True)) if series else None
