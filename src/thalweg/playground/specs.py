"""The specs of the page: where it begins, what is kept of a broken one, and which files it may name."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import InputError, Problem
from ..core.files import Json, JsonObject
from ..parts.part import Initializer, Part, options_of
from ..spec.edit import SpecTable
from ..spec.spec import Spec

DEFAULT: SpecTable = {
    "data": {"source": "rings 500", "validation": 0.0, "test": 0.5},
    "network": {"kind": "mlp", "hidden": [4, 2], "activation": "tanh"},
    "optimizer": "sgd 0.03",
    "training": {"batch_size": 10},
}
"""The spec that the page begins with: that of TensorFlow Playground, with cross-entropy for its classes."""

_MOST_REPAIRS = 100
_STEP_OF_PLACE = re.compile(r"[^.\[\]]+")


class KeptSpec(NamedTuple):
    """A spec, and the problems of the table that it was made from."""

    spec: Spec
    problems: tuple[Problem, ...]


def kept_spec(table: Mapping[str, object]) -> KeptSpec:
    """The spec that a table describes, without its faulty values: each of them is left out, and named.

    A section that the table lacks, or of which nothing is left, has the value of `DEFAULT` where that fits the rest.

    >>> kept = kept_spec({"data": "rings", "optimizer": {"kind": "sgd", "learning_rate": "fast"}})
    >>> kept.spec.optimizer.kind, [problem.place for problem in kept.problems]
    ('sgd', ['optimizer.learning_rate'])
    >>> kept_spec({"data": "and", "network": "perceptron"}).problems
    ()
    """
    left: SpecTable = {**copy.deepcopy(DEFAULT), **copy.deepcopy(dict(table))}
    defaults = DEFAULT.keys() - table.keys()
    problems: list[Problem] = []
    for _ in range(_MOST_REPAIRS):
        try:
            return KeptSpec(Spec.of(left), tuple(problems))
        except InputError as error:
            for problem in error.problems:
                section = _STEP_OF_PLACE.findall(problem.place)[:1]
                if defaults & left.keys() & set(section):
                    # What the table says goes before a default that does not fit it.
                    del left[section[0]]
                else:
                    problems.append(problem)
                    leave_out(left, problem.place)
    return KeptSpec(Spec.of(DEFAULT), tuple(problems))


def leave_out(table: SpecTable, place: str) -> None:
    """Remove the value at a place as a `Problem` names it, or the nearest value around it that the table has.

    A section that is removed has the value of `DEFAULT` where there is one; without a place, all sections have.

    >>> table = {"network": {"layers": ["dense 3", {"kind": "dense", "width": -1}]}}
    >>> leave_out(table, "network.layers[1].width")
    >>> table
    {'network': {'layers': ['dense 3', {'kind': 'dense'}]}}
    """
    steps = _STEP_OF_PLACE.findall(place)
    if not steps or steps[0] not in table:
        table.clear()
        table.update(copy.deepcopy(DEFAULT))
        return
    container: Any = table
    key: Any = steps[0]
    for step in steps[1:]:
        inner = container[key]
        if isinstance(inner, dict) and step in inner:
            container, key = inner, step
        elif isinstance(inner, list) and step.isdigit() and int(step) < len(inner):
            container, key = inner, int(step)
        else:
            break
    del container[key]
    if container is table and key in DEFAULT:
        table[key] = copy.deepcopy(DEFAULT[key])


class FilesAllowed(NamedTuple):
    """The files that a spec of the page may name: those in the folder of uploads, and the file of the shell."""

    folder: str
    files: tuple[str, ...] = ()

    def is_upload(self, name: str) -> bool:
        """Whether a file lies in the folder of uploads."""
        return Path(name).resolve().parent == Path(self.folder).resolve()

    def check(self, spec: Spec) -> None:
        """Raise InputError where the source of a spec reads another file: a link must not open what you did not."""
        unknown = [name for name in spec.data.source.named_files if name not in self.files and not self.is_upload(name)]
        if unknown:
            fix = "drop the file on the page, or start `thalweg playground --data FILE`"
            raise InputError("data", [Problem("data.source", f"expected rows that the page has; {fix}")])


def differ_in_numbers_only(one: object, other: object) -> bool:
    """Whether two parts differ in fractional numbers only, so that they share one compiled program.

    Initializers have done their work before the first step.

    >>> old, new = Spec.of({"data": "xor", "optimizer": "sgd 0.1"}), Spec.of({"data": "xor", "optimizer": "sgd 0.2"})
    >>> differ_in_numbers_only(old.optimizer, new.optimizer), differ_in_numbers_only(old.optimizer, None)
    (True, False)
    """
    if isinstance(one, Initializer) and isinstance(other, Initializer):
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Part):
        return all(
            differ_in_numbers_only(getattr(one, field.name), getattr(other, field.name))
            for field in options_of(type(one))
        )
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(differ_in_numbers_only, one, other))
    return isinstance(one, float) or one == other


def places_of(table: Mapping[str, Json], place: str = "") -> JsonObject:
    """All values of nested tables by their places.

    >>> places_of({"training": {"epochs": 3, "seed": 0}})
    {'training.epochs': 3, 'training.seed': 0}
    """
    found: JsonObject = {}
    for key, value in table.items():
        inner = f"{place}.{key}" if place else key
        found |= places_of(value, inner) if isinstance(value, dict) else {inner: value}
    return found


def same_start(one: Spec, other: Spec) -> bool:
    """Whether two specs have the same rows, the same network and the same seed, so that one can go on as the other."""
    return (one.data, one.network, one.training.seed) == (other.data, other.network, other.training.seed)
