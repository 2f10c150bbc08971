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
from ...core.noise import generator
from ...data import Arrays, Data, Split
from ...doctor.attainable import measure_of
from ...doctor.findings import Remedy
from ...pages.numbers import count_noun
from ...parts.layers import Activation
from ...parts.part import Layer, options_of
from ...parts.schedules import Constant
from ...parts.schedules.metric_schedules import watching
from ...parts.settings import Off
from ...spec.complete import completed
from ...spec.differences import canonical_json
from ...spec.edit import SpecTable, overlap, set_value
from ...spec.spec import CompleteSpec, Spec
from ...training.checkpoints import fingerprints
from ...training.session import Session
from ..experiment import Trial, trial_of
from ..variation import Arm, Setting
from .random_control import random_change, same_rule, values_of
from .score import ENOUGH_ROWS, NoScoreError, Score, can_score, rows_to_hold_out, score_for, tells_apart

# A random change may not suit the data or need too many updates: this many are drawn until one does.
_DRAWS = 100

_RATE = "optimizer.learning_rate"
# Places whose numbers may differ a little without making another remedy, and by which factor.
_GRADUAL = (_RATE, "training.epochs")
_CLOSE = 1.5


class Candidate(NamedTuple):
    """An arm that can be tried.

    Attributes:
        arm: its settings.
        spec: its completed spec.
        trained: the spec of its trials: the same, where need be with validation rows for the score.
        split: the rows of its trials for seed 0.
        row_fingerprints: the fingerprints of these rows.
        start: a fingerprint of its initial parameters.
        updates: number of parameter updates that its training plans.
        step_rows: number of rows of an update.
    """

    arm: Arm
    spec: CompleteSpec
    trained: CompleteSpec
    split: Split
    row_fingerprints: Mapping[str, int]
    start: int
    updates: int
    step_rows: int

    def trial(self, seed: int) -> Trial:
        """Its trial with a seed. Probes are off: a trial can be trained alone with probes."""
        return trial_of(self.arm, dataclasses.replace(self.trained, probes=Off()), self.row_fingerprints, seed)

    @property
    def changed_settings(self) -> int:
        """Number of settings that it changes; the layers of a network are one."""
        return len({re.sub(r"\.\d+", "", path) for path, _ in self.arm.changes})

    def is_like(self, other: Candidate) -> bool:
        """Whether both arms train alike: they differ in nothing, or in rate or epochs by less than half.

        What they make decides, not its name: initial parameters, rows, the rows of an update, the values of activations
        and the updates of optimizers.
        """
        ours, theirs = self._decisive, other._decisive
        places = [place for place in {*ours, *theirs} if ours.get(place) != theirs.get(place)]
        if same_rule(self.spec.optimizer, other.spec.optimizer):
            places = [place for place in places if place == _RATE or not place.startswith("optimizer.")]
        return all(place in _GRADUAL and _are_close(ours.get(place), theirs.get(place)) for place in places)

    @property
    def _decisive(self) -> dict[str, object]:
        """What decides the training, by place."""
        spec = dataclasses.replace(
            self.spec,
            data=dataclasses.replace(self.spec.data, scale=None),
            training=dataclasses.replace(self.spec.training, batch_size=None),
        )
        tables: dict[str, object] = dict(spec.describe())
        for section in ("training", "optimizer"):
            tables |= {f"{section}.{key}": value for key, value in _table(tables.pop(section)).items()}
        rate = self.spec.optimizer.learning_rate
        return {
            **tables,
            _RATE: rate.value if isinstance(rate, Constant) else tables.get(_RATE),
            "network": [_essence_of(layer) for layer in self.spec.network.layers],
            "rows": dict(self.row_fingerprints),
            "step rows": self.step_rows,
            "start": self.start,
        }

    def selects_same_rows(self, other: Candidate) -> bool:
        """Whether both arms have the same training and held-out rows."""
        return _row_selection(self.spec.data) == _row_selection(other.spec.data)


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _essence_of(layer: Layer) -> object:
    """What a layer computes: the values of an activation, the options of another layer but for its initializers."""
    return values_of(layer) if isinstance(layer, Activation) else _without_initializer(layer).describe()


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
        score: what arms are scored by.
        unchanged: the arm without changes.

    Raises:
        InputError: the spec does not suit its data.
        NoScoreError: the rows cannot show whether an arm is better than another one.
    """

    def __init__(self, spec: Spec, loading: Callable[[int, int], None] = lambda done, total: None) -> None:
        self._loading = loading
        self._loaded: dict[str, tuple[Split, dict[str, int]]] = {}
        # The fraction of validation rows in all trials; None: that of each arm.
        self._validation: float | None = None
        split = self._rows(spec.prepared_data)[0]
        self.spec = completed(spec, split.train)
        self.score = self._choose_score(split)
        self.unchanged = self.candidate("unchanged", ())

    def _choose_score(self, split: Split) -> Score:
        """The score of the arms of a spec with these rows.

        It is taken on validation rows, with training rows that are held out where these are needed; where the rows are
        too few for that, on the training rows.
        """
        if split.validation is not None and can_score(split.validation):
            return score_for(split)
        rows = rows_to_hold_out(split)
        if not rows:
            if not tells_apart(split.train):
                raise NoScoreError("data", "all training rows have the same target: any constant output is right")
            return score_for(split)
        # Batch normalization, a usual remedy, cannot take a last batch of a single row.
        rows += (len(split.train) - rows) % Session(self.spec, split).batches.step_rows == 1
        present = 0 if split.validation is None else len(split.validation)
        self._validation = (present + rows) / (present + len(split.train))
        try:
            trained = self._trained(self.spec, split)
            scored = self._rows(trained.data)[0]
            _ = Session(trained, scored).batches
        except InputError as error:
            raise _no_score(present, f"{count_noun(rows, 'training row')} cannot join them: {error}") from error
        if scored.validation is None or not can_score(scored.validation):
            raise _no_score(
                present,
                f'{count_noun(rows, "training row")} that could join them have it too; set data.split = "random"',
            )
        return score_for(scored, held_out=rows)

    def _trained(self, spec: CompleteSpec, split: Split) -> CompleteSpec:
        """The spec of the trials of a spec with these rows: what the training decides by stays the same measure."""
        if self._validation is None:
            return spec
        if split.validation is None:
            stopping = dataclasses.replace(spec.stopping, measure=spec.stopping.measure or "loss")
            spec = dataclasses.replace(spec, stopping=stopping, optimizer=watching(spec.optimizer, "loss"))
        return dataclasses.replace(spec, data=dataclasses.replace(spec.data, validation=self._validation))

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
        split = self._rows(spec.prepared_data)[0]
        task = split.train.task
        if measure_of(task) != self.score.measure:
            raise InputError("data.task", f"becomes {task}, whose score cannot be compared with that of the other arms")
        whole = Session(completed(spec, split.train), split)
        trained = self._trained(whole.spec, split)
        rows, row_fingerprints = self._rows(trained.data)
        session = Session(trained, rows)
        for each in (whole, session):
            each.check()
            _ = each.batches
        if self.score.rows == "validation" and (rows.validation is None or not can_score(rows.validation)):
            raise InputError("data.validation", "leaves too few validation rows for the score, or all of one target")
        return Candidate(
            arm=arm,
            spec=whole.spec,
            trained=trained,
            split=rows,
            row_fingerprints=row_fingerprints,
            start=_fingerprint_of_start(session),
            updates=session.batches.steps,
            step_rows=session.batches.step_rows,
        )

    def control(self, candidate: Candidate, seed: int, tried: Sequence[Candidate] = ()) -> Candidate | None:
        """A random change of as many settings that plans no more updates; None where none was found.

        One that would need more updates is trained for fewer epochs. It depends on the seed and the candidate's label.
        It is not like the unchanged spec, the candidate, or one of the remedies that are tried, nor is any of its
        settings alone.
        """
        count = candidate.changed_settings
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


def _no_score(present: int, reason: str) -> NoScoreError:
    """The error of a spec whose validation rows, `present` in number, cannot score."""
    fault = "all have the same target" if present >= ENOUGH_ROWS else f"are too few, {present} of {ENOUGH_ROWS}"
    return NoScoreError(
        "data.validation", f"the validation rows cannot show whether a remedy helps: they {fault}, and {reason}"
    )


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
    taken = {path for path, _ in remedy.changes if any(overlap(path, other) for other in present)}
    left = tuple((path, value) for path, value in remedy.changes if path not in taken)
    given_up = tuple(path for path, value in remedy.changes if path in taken and present.get(path) != value)
    return MergedRemedy(Setting(remedy.label, remedy.label, left), given_up)
