"""The arms of remedy trials: a spec with changes, checked against its data, and random changes of equal cost."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...core.arrays import leaves
from ...core.errors import InputError
from ...core.files import Json, JsonObject
from ...core.noise import generator
from ...data import Arrays, Data, Split
from ...doctor.findings import Remedy
from ...models.network import Network
from ...pages.numbers import count_noun
from ...parts.part import Layer, options_of
from ...spec.complete import completed
from ...spec.differences import canonical_json
from ...spec.edit import SpecTable, set_value
from ...spec.spec import CompleteSpec, Spec
from ...training.checkpoints import fingerprints
from ...training.session import Session
from ..variation import Arm, Setting
from .random_control import random_change
from .score import measure_of

# A random change may not suit the data or need too many updates: this many are drawn until one does.
_DRAWS = 100


# Places whose numbers may differ a little without making another remedy, and by which factor.
_GRADUAL = ("optimizer.learning_rate", "training.epochs")
_CLOSE = 1.5


class Candidate(NamedTuple):
    """An arm that can be tried.

    Attributes:
        arm: its settings.
        spec: its completed spec.
        split: its rows for seed 0.
        row_fingerprints: the fingerprints of these rows.
        start: a fingerprint of its initial parameters.
        updates: number of parameter updates that its training plans.
    """

    arm: Arm
    spec: CompleteSpec
    split: Split
    row_fingerprints: Mapping[str, int]
    start: int
    updates: int

    def is_like(self, other: Candidate) -> bool:
        """Whether both arms train alike: they differ in nothing, or in rate or epochs by less than half.

        Initializers and scaling are compared by what they make: the initial parameters and the rows.
        """
        ours, theirs = self._decisive, other._decisive
        places = [place for place in {*ours, *theirs} if ours.get(place) != theirs.get(place)]
        return all(place in _GRADUAL and _are_close(ours.get(place), theirs.get(place)) for place in places)

    @property
    def _decisive(self) -> dict[str, object]:
        """What decides the training, by place."""
        network = self.spec.network
        spec = dataclasses.replace(
            self.spec,
            data=dataclasses.replace(self.spec.data, scale=None),
            network=Network(tuple(map(_without_initializer, network.layers))),
        )
        tables = spec.describe()
        for section in ("training", "optimizer"):
            tables |= {f"{section}.{key}": value for key, value in _table(tables.pop(section)).items()}
        return {**tables, "rows": dict(self.row_fingerprints), "start": self.start}

    def selects_same_rows(self, other: Candidate) -> bool:
        """Whether both arms have the same training and held-out rows."""
        return _row_selection(self.spec.data) == _row_selection(other.spec.data)


def _table(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _without_initializer(layer: Layer) -> Layer:
    values: dict[str, object] = {}
    for field in options_of(type(layer)):
        value = getattr(layer, field.name)
        if field.name in ("init", "bias_init"):
            value = None
        elif isinstance(value, tuple) and value and all(isinstance(item, Layer) for item in value):
            value = tuple(map(_without_initializer, value))
        values[field.name] = value
    return type(layer)(**values)


def _are_close(one: object, other: object) -> bool:
    numbers = [value for value in (one, other) if isinstance(value, int | float)]
    return len(numbers) == 2 and max(numbers) < _CLOSE * min(numbers)


def _fingerprint_of_start(session: Session) -> int:
    code = 0
    for array in leaves(session.start.params):
        code = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, code)
    return code


class ArmFactory:
    """Makes the arms of a spec. Arms with the same data share the rows.

    Attributes:
        spec: the completed spec.
        unchanged: the arm without changes.
    """

    def __init__(self, spec: Spec, loading: Callable[[int, int], None] = lambda done, total: None) -> None:
        self._loading = loading
        self._loaded: dict[str, tuple[Split, dict[str, int]]] = {}
        self.spec = completed(spec, self._rows(spec.data)[0].train)
        self.unchanged = self.candidate("unchanged", ())

    def candidate(self, label: str, settings: Sequence[Setting]) -> Candidate:
        """The arm with these settings. Raises InputError where they make no spec that suits the data."""
        arm = Arm(label, tuple(settings))
        table: SpecTable = {**self.spec.describe()}
        if isinstance(self.spec.data.source, Arrays):
            # Rows in memory have no description that could be read back.
            set_value(table, "data.source", self.spec.data.source)
        for path, value in arm.changes:
            set_value(table, path, value)
        spec = Spec.of(table)
        split, row_fingerprints = self._rows(spec.data)
        task = split.train.task
        if measure_of(task) != measure_of(self._rows(self.spec.data)[0].train.task):
            raise InputError("data.task", f"becomes {task}, whose score cannot be compared with that of the other arms")
        session = Session(completed(spec, split.train), split)
        session.check()
        return Candidate(
            arm=arm,
            spec=session.spec,
            split=split,
            row_fingerprints=row_fingerprints,
            start=_fingerprint_of_start(session),
            updates=session.batches.steps,
        )

    def control(self, candidate: Candidate, seed: int, tried: Sequence[Candidate] = ()) -> Candidate | None:
        """A random change of as many settings that plans no more updates; None where none was found.

        One that would need more updates is trained for fewer epochs. It depends on the seed and the candidate's label.
        It is not like the unchanged spec, the candidate, or one of the remedies that are tried, nor is any of its
        settings alone.
        """
        count = len({re.sub(r"\.\d+", "", path) for path, _ in candidate.arm.changes})
        for number in range(_DRAWS):
            rng = generator(seed, "random change", candidate.arm.label, number)
            settings = random_change(self.spec, self.unchanged.split, rng, count)
            try:
                control = self._limited(self._joined(settings), candidate.updates)
            except InputError:
                continue
            if control and not self._is_like_any(control, settings, (self.unchanged, candidate, *tried)):
                return control
        return None

    def _is_like_any(self, control: Candidate, settings: Sequence[Setting], others: Sequence[Candidate]) -> bool:
        """Whether a random change, or one of its settings alone, is like one of these arms."""
        alone = [self._joined([setting]) for setting in settings] if len(settings) > 1 else []
        return any(one.is_like(other) for one in (control, *alone) for other in others)

    def _joined(self, settings: Sequence[Setting]) -> Candidate:
        return self.candidate(", ".join(setting.label for setting in settings), settings)

    def _limited(self, candidate: Candidate, updates: int) -> Candidate | None:
        """The candidate with as many epochs as this number of updates allows.

        None where it allows less than one epoch, or where the candidate changes the epochs itself.
        """
        if candidate.updates <= updates:
            return candidate
        epochs = candidate.spec.training.epochs * updates // candidate.updates
        if not epochs or "training.epochs" in dict(candidate.arm.changes):
            return None
        label = count_noun(epochs, "epoch")
        return self._joined([*candidate.arm.settings, Setting(label, label, (("training.epochs", epochs),))])

    def _rows(self, data: Data) -> tuple[Split, dict[str, int]]:
        key = canonical_json(data.describe())
        if key not in self._loaded:
            split = data.load(0, self._loading)
            self._loaded[key] = split, fingerprints(split)
        return self._loaded[key]


def _row_selection(data: Data) -> dict[str, object]:
    """The options that decide which rows are trained on and which are held out."""
    return {name: value for name, value in data.describe().items() if name not in ("scale", "order", "memory")}


class MergedRemedy(NamedTuple):
    """What is left of a remedy that is added to other settings.

    Attributes:
        setting: the changes that are left.
        given_up: places that an earlier setting has changed to another value.
    """

    setting: Setting
    given_up: tuple[str, ...]


def setting_of(remedy: Remedy) -> Setting:
    """A remedy as a setting of an arm."""
    return Setting(remedy.label, remedy.label, remedy.changes)


def merged(settings: Sequence[Setting], remedy: Remedy) -> MergedRemedy:
    """A remedy added to settings: where both change one place, or a place inside of it, the earlier setting wins.

    >>> first = setting_of(Remedy("adam", (("optimizer", "adam"),)))
    >>> result = merged([first], Remedy("slower", (("optimizer.learning_rate", 1e-4), ("training.epochs", 50))))
    >>> result.setting.changes, result.given_up
    ((('training.epochs', 50),), ('optimizer.learning_rate',))
    """
    present = dict(change for setting in settings for change in setting.changes)
    taken = {path for path, _ in remedy.changes if any(_overlap(path, other) for other in present)}
    left = tuple((path, value) for path, value in remedy.changes if path not in taken)
    given_up = tuple(path for path, value in remedy.changes if path in taken and present.get(path) != value)
    return MergedRemedy(Setting(remedy.label, remedy.label, left), given_up)


def _overlap(path: str, other: str) -> bool:
    """Whether two paths are the same, or one lies inside of the other."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")
