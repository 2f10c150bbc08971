"""The arms of remedy trials: a spec with changes, checked against its data, and random changes of equal cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ...core.errors import InputError
from ...core.noise import generator
from ...data import Arrays, Data, Split
from ...doctor.findings import Remedy
from ...pages.numbers import count_noun
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


class Candidate(NamedTuple):
    """An arm that can be tried.

    Attributes:
        arm: its settings.
        spec: its completed spec.
        split: its rows for seed 0.
        row_fingerprints: the fingerprints of these rows.
        updates: number of parameter updates that its training plans.
    """

    arm: Arm
    spec: CompleteSpec
    split: Split
    row_fingerprints: Mapping[str, int]
    updates: int

    @property
    def identity(self) -> str:
        """A text that is the same for arms with the same training."""
        return canonical_json(self.spec.describe())

    def selects_same_rows(self, other: Candidate) -> bool:
        """Whether both arms have the same training and held-out rows."""
        return _row_selection(self.spec.data) == _row_selection(other.spec.data)


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
            updates=session.batches.steps,
        )

    def control(self, candidate: Candidate, seed: int) -> Candidate | None:
        """A random change of as many settings that plans no more updates; None where none was found.

        One that would need more updates is trained for fewer epochs. It depends on the seed and the candidate's label.
        """
        count = len({re.sub(r"\.\d+", "", path) for path, _ in candidate.arm.changes})
        for number in range(_DRAWS):
            rng = generator(seed, "random change", candidate.arm.label, number)
            settings = random_change(self.spec, self.unchanged.split, rng, count)
            try:
                control = self._limited(self._joined(settings), candidate.updates)
            except InputError:
                continue
            if control and control.identity not in (candidate.identity, self.unchanged.identity):
                return control
        return None

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
