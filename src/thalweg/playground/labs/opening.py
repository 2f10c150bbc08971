"""A lab opens with whatever can be kept of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...core.errors import InputError, Problem
from ...spec.edit import changed
from ...spec.spec import Spec
from ..live.live_training import LiveTraining
from ..live.trainer import Trainer
from ..specs import DEFAULT, FilesAllowed, kept_spec


class Opened(NamedTuple):
    """A training of what could be kept of a spec, and what could not."""

    training: LiveTraining
    problems: list[Problem]


def opened(table: Mapping[str, object], allowed: FilesAllowed, trainer: Trainer) -> Opened:
    """The training of a spec that may be broken: what does not fit is replaced, and named."""
    kept = kept_spec(table)
    problems = list(kept.problems)
    spec = kept.spec
    replacements: list[list[tuple[str, object]]] = [
        [],
        [("network", DEFAULT["network"]), ("loss", None)],
        [("data", DEFAULT["data"])],
        [(name, DEFAULT.get(name)) for name in spec.describe()],
    ]
    for replacement in replacements:
        try:
            spec = changed(spec, replacement)
            allowed.check(spec)
            return Opened(LiveTraining(spec, trainer), problems)
        except InputError as error:
            problems += problems_of(error)
    return Opened(LiveTraining(Spec.of(DEFAULT), trainer), problems)


def problems_of(error: InputError) -> list[Problem]:
    """The problems of an error, each with a place."""
    return [problem if problem.place else problem._replace(place=error.subject) for problem in error.problems]
