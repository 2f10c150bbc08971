"""The arms of a proof: a spec with some changes, checked against its rows, and what is set against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.errors import InputError
from ...core.noise import generator
from ...data import Arrays, Data, Split
from ...doctor.findings import Remedy
from ...spec.complete import completed
from ...spec.differences import canonical_json
from ...spec.edit import set_value
from ...spec.spec import CompleteSpec, Spec
from ...training.checkpoints import fingerprints
from ...training.session import Session
from ..variation import Arm, Setting
from .random_control import random_change
from .score import measure_of

# A random change may not fit the data, or need too many updates: another one is drawn, so often.
_DRAWS = 100


class Candidate(NamedTuple):
    """An arm with its whole spec, its rows (those of seed 0) with their fingerprints, and how many updates it plans."""

    arm: Arm
    spec: CompleteSpec
    split: Split
    prints: Mapping[str, int]
    updates: int

    @property
    def known_as(self) -> str:
        """A text that two arms share where they are the same training."""
        return canonical_json(self.spec.describe())

    def other_rows(self, other: Candidate) -> bool:
        """Whether it chooses its rows otherwise."""
        chosen, others = (_choice(each.spec.data) for each in (self, other))
        return chosen != others


class Bench:
    """Makes the arms of one spec; arms with the same data share its rows."""

    def __init__(self, spec: Spec, loading: Callable[[int, int], None] = lambda done, total: None) -> None:
        self._loading = loading
        self._loaded: dict[str, tuple[Split, dict[str, int]]] = {}
        self.spec = completed(spec, self._rows(spec.data)[0].train)
        self.unchanged = self.candidate("unchanged", ())

    def candidate(self, label: str, settings: Sequence[Setting]) -> Candidate:
        """The arm with these settings. Raises InputError where they make no spec that suits the data."""
        arm = Arm(label, tuple(settings))
        table: dict[str, Any] = self.spec.describe()
        if isinstance(self.spec.data.source, Arrays):
            # Rows in memory have no other description than themselves.
            table["data"]["source"] = self.spec.data.source
        for path, value in arm.changes:
            set_value(table, path, value)
        spec = Spec.of(table)
        split, prints = self._rows(spec.data)
        if measure_of(split.train.task) != measure_of(self._rows(self.spec.data)[0].train.task):
            raise InputError("data.task", f"is {split.train.task} then, whose score can not be set against the others")
        session = Session(completed(spec, split.train), split)
        session.check()
        return Candidate(arm, session.spec, split, prints, session.batches.steps)

    def control(self, candidate: Candidate, seed: int) -> Candidate | None:
        """A random change of as many settings that plans no more updates; None where none was found.

        One that would need more of them trains for fewer epochs. The seed and the candidate's label decide it.
        """
        count = len({re.sub(r"\.\d+", "", path) for path, _ in candidate.arm.changes})
        for number in range(_DRAWS):
            rng = generator(seed, "random change", candidate.arm.label, number)
            drawn = random_change(self.spec, self.unchanged.split, rng, count)
            try:
                found = self._shortened(self._drawn(drawn), candidate.updates)
            except InputError:
                continue
            if found and found.known_as not in (candidate.known_as, self.unchanged.known_as):
                return found
        return None

    def _drawn(self, settings: Sequence[Setting]) -> Candidate:
        return self.candidate(", ".join(setting.label for setting in settings), settings)

    def _shortened(self, found: Candidate, most: int) -> Candidate | None:
        """The same with as many epochs as so many updates allow; None where they allow none, or no more epochs."""
        if found.updates <= most:
            return found
        epochs = found.spec.training.epochs * most // found.updates
        if not epochs or "training.epochs" in dict(found.arm.changes):
            return None
        label = f"{epochs} epoch{'s' * (epochs != 1)}"
        return self._drawn([*found.arm.settings, Setting(label, label, (("training.epochs", epochs),))])

    def _rows(self, data: Data) -> tuple[Split, dict[str, int]]:
        key = canonical_json(data.describe())
        if key not in self._loaded:
            split = data.load(0, self._loading)
            self._loaded[key] = split, fingerprints(split)
        return self._loaded[key]


def _choice(data: Data) -> dict[str, Any]:
    """What decides which rows are learnt from and which are held out."""
    return {name: value for name, value in data.describe().items() if name not in ("scale", "order", "memory")}


class Merged(NamedTuple):
    """A remedy beside others: what is left of its changes, and the places that it had to leave to the earlier ones."""

    setting: Setting
    given_up: tuple[str, ...]


def setting_of(remedy: Remedy) -> Setting:
    """A remedy as a setting of an arm."""
    return Setting(remedy.label, remedy.label, remedy.changes)


def merged(settings: Sequence[Setting], remedy: Remedy) -> Merged:
    """A remedy beside settings that stand already: of two that want one place, or a place inside of it, the first wins.

    >>> first = setting_of(Remedy("adam", (("optimizer", "adam"),)))
    >>> found = merged([first], Remedy("slower", (("optimizer.learning_rate", 1e-4), ("training.epochs", 50))))
    >>> found.setting.changes, found.given_up
    ((('training.epochs', 50),), ('optimizer.learning_rate',))
    """
    there = dict(change for setting in settings for change in setting.changes)
    taken = {path for path, _ in remedy.changes if any(_one_place(path, other) for other in there)}
    left = tuple((path, value) for path, value in remedy.changes if path not in taken)
    given_up = tuple(path for path, value in remedy.changes if path in taken and there.get(path) != value)
    return Merged(Setting(remedy.label, remedy.label, left), given_up)


def _one_place(path: str, other: str) -> bool:
    """Whether two paths are the same, or one lies inside of the other."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")
