"""The registry of the checks of watched trainings: that of the doctor, which calls them for watched trainings alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps

from ..doctor.findings import Finding, Stage
from ..doctor.measurements import Measurements
from ..doctor.registry import Group, RegisteredCheck, check
from .measurements.watch_measurements import WatchMeasurements

WATCH_CHECKS: list[RegisteredCheck] = []
"""All checks of watched trainings."""


def severe_at_once(measurements: WatchMeasurements) -> list[Finding]:
    """The severe findings of these checks: what a look proves needs no end of the training."""
    return [finding for check in WATCH_CHECKS for finding in check(measurements) if finding.severity == "severe"]


def watch_check(
    *,
    code: str,
    stage: Stage,
    rank: int | None = None,
    meaning: str = "",
    advice: str = "",
    group: Group = "",
    explains: Iterable[str] = (),
    explained_by: Iterable[str] = (),
) -> Callable[[Callable[[WatchMeasurements], Iterator[Finding]]], RegisteredCheck]:
    """Register a check of watched trainings; the arguments are those of `doctor.registry.check`."""
    register = check(
        code=code,
        stage=stage,
        rank=rank,
        meaning=meaning,
        advice=advice,
        group=group,
        explains=explains,
        explained_by=explained_by,
        # What only a loop in PyTorch can do wrong is changed there.
        pytorch=advice,
    )

    def decorate(function: Callable[[WatchMeasurements], Iterator[Finding]]) -> RegisteredCheck:
        @wraps(function)
        def only_watched(measurements: Measurements) -> Iterator[Finding]:
            if isinstance(measurements, WatchMeasurements):
                yield from function(measurements)

        registered = register(only_watched)
        WATCH_CHECKS.append(registered)
        return registered

    return decorate
