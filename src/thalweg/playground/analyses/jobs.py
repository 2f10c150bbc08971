"""The jobs of an analyst: the doctor, the landscape, the race, exports, and a remedy side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ...core.errors import InputError
from ...core.files import Json
from ...engine.engine import make_engine
from ...insight.optimizer_race import arena
from ...insight.test_functions import Landscape
from ...parts.part import Optimizer
from ...spec.spec import Spec
from .analyst import Desk, Functions
from .exports import export
from .messages import finding_message, page_message
from .previews import plane_sources
from .results import diagnosis_of_lab, landscape_of_lab
from .side_by_side import Changes, side_by_side
from .snapshot import LabSnapshot

_MOST_RACERS = 8


def _diagnosis(desk: Desk, snapshot: LabSnapshot) -> Json:
    return finding_message(diagnosis_of_lab(snapshot, desk.rows, desk.probes), snapshot.complete)


def _landscape(desk: Desk, snapshot: LabSnapshot) -> Json:
    return page_message(landscape_of_lab(snapshot, desk.rows, partial(desk.progress, "landscape")).page())


def _race(desk: Desk, landscape: Json, optimizers: Sequence[Json]) -> Json:
    """Optimizers from the same starts on a test function, each tuned with the same small budget."""
    if len(optimizers) > _MOST_RACERS:
        raise InputError("optimizers", f"expected at most {_MOST_RACERS}, received {len(optimizers)}")
    result = arena(
        Landscape.of(landscape or "rosenbrock"),
        [Optimizer.of(rule) for rule in optimizers or ("sgd", "momentum", "adam")],
        starts=40,
        steps=300,
        budget=8,
        repeats=1,
        engine=make_engine("eager"),
        watch=partial(desk.progress, "race"),
    )
    return page_message(result.page())


def _export(desk: Desk, snapshot: LabSnapshot, spec: Spec, form: str, folder: str) -> Json:
    return export(snapshot, desk.rows, desk.probes, spec, form, folder)


def _sources(desk: Desk) -> Json:
    return [*plane_sources()]


def _try(desk: Desk, snapshot: LabSnapshot, changes: Changes, seeds: int) -> Json:
    desk.stopped.clear()
    side_by_side(snapshot, desk.rows, changes, seeds, desk.send, desk.stopped)
    return None


FUNCTIONS: Functions = {
    "diagnosis": _diagnosis,
    "landscape": _landscape,
    "race": _race,
    "export": _export,
    "sources": _sources,
    "try": _try,
}
"""What an analyst can do."""
