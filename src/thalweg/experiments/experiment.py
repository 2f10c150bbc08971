"""An experiment: a spec with variations and seeds. All its trials are checked before the first one starts."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, NamedTuple

import numpy as np
from pydantic import Field
from typing_extensions import TypeVar

from ..core.errors import InputError, Problem, nearest
from ..core.files import Json, JsonObject
from ..data import Data, RowSource, Source, Split
from ..data.orders import KeyFunction
from ..doctor.attainable import constant_accuracy
from ..engine.structure import structure
from ..parts.part import Count, Part, options_of
from ..spec.complete import completed
from ..spec.differences import canonical_json
from ..spec.edit import set_value
from ..spec.spec import CompleteSpec, Spec
from ..training.checkpoints import fingerprints
from ..training.evaluate import measures_of
from ..training.session import Session
from .variation import Arm, Axis, Variation, contenders_of, flattened_vary, variation_of

# Number of fresh seeds by default, where fewer were used to choose.
_LEAST_FRESH = 5
# Arms that a message lists by name; further ones are counted.
_LISTED_ARMS = 3

_Section = TypeVar("_Section", bound=Part | Variation)


@dataclass(frozen=True)
class Seeds(Part):
    """The seeds first, first + 1, ..., first + count - 1 that every arm is tried with: the [seeds] section.

    A seed decides split, initial weights, order and noise, so that trials of the same seed are pairs.

    Attributes:
        count: number of seeds that every arm is tried with.
        first: the first of them.
        fresh: with `compare.best_over`: number of further seeds that the arms with the best levels are compared on.
            None: as many as `count`, at least 5.

    >>> list(Seeds(3).numbers), list(Seeds(3).fresh_numbers)
    ([0, 1, 2], [3, 4, 5, 6, 7])
    """

    count: Count = 5
    first: Annotated[int, Field(ge=0)] = 0
    fresh: Annotated[int, Field(ge=2)] | None = None

    @property
    def numbers(self) -> range:
        """The seeds."""
        return range(self.first, self.first + self.count)

    @property
    def fresh_numbers(self) -> range:
        """The seeds that follow, for arms whose best level was chosen with the others."""
        start = self.first + self.count
        return range(start, start + (self.fresh or max(self.count, _LEAST_FRESH)))


@dataclass(frozen=True)
class Compare(Part):
    """How arms are compared: the [compare] section.

    Attributes:
        measure: a validation measure at the end of training, as "validation_loss". None: validation_accuracy for
            classes and labels, validation_loss for numbers.
        baseline: label of the arm that the others are compared with. None: the first arm that learned.
        best_over: name or path of an axis, as "optimizer.learning_rate". For each combination of the other axes its
            best level is chosen on validation rows, and these are compared on fresh seeds. `baseline` is then the label
            of such a combination. None: all arms are compared.

    >>> Compare(measure="validation_loss").baseline is None
    True
    """

    measure: str | None = None
    baseline: str | None = None
    best_over: str | None = None


_Work = TypeVar("_Work", covariant=True, default=CompleteSpec)


class Joint(NamedTuple):
    """Trials that can run as one program.

    Attributes:
        structure: what they share.
        saving: the seconds that each of them saves by it: `Session.joint_saving`.
    """

    structure: Hashable
    saving: float


class Trial(NamedTuple, Generic[_Work]):
    """One arm with one seed.

    Attributes:
        arm: the arm.
        seed: the seed.
        spec: what is trained, with this seed: a completed spec, or whatever else `workers.record` can train.
        key: a hash of all that decides the result: the spec and the rows of the data.
        joint: the trials that it can run with as one program; None: it runs alone.
    """

    arm: Arm
    seed: int
    spec: _Work
    key: str
    joint: Joint | None = None


class CheckedArm(NamedTuple):
    """An arm that suits its data.

    Attributes:
        arm: the arm.
        spec: its completed spec.
        row_fingerprints: the fingerprints of its rows for seed 0.
        constant: the accuracy (or R²) of the best constant answer on its validation rows for seed 0.
        joint: as in `Trial`.
    """

    arm: Arm
    spec: CompleteSpec
    row_fingerprints: Mapping[str, int]
    constant: float
    joint: Joint | None

    def trial(self, seed: int) -> Trial:
        """The trial of the arm with a seed."""
        return trial_of(self.arm, self.spec, self.row_fingerprints, seed)._replace(joint=self.joint)


@dataclass(frozen=True, eq=False)
class Experiment:
    """A spec with axes of variation and seeds.

    Attributes:
        base: the tables of the spec that the arms change.
        vary: the [vary] table.
        axes: what varies.
        arms: the combinations of settings to try.
        seeds: the seeds of each arm.
        compare: the measure and the baseline.
        name: the name, used in titles and error messages.

    >>> experiment = Experiment.of({"data": "xor", "vary": {"optimizer": ["sgd 0.1", "adam 0.1"]}, "seeds": 2})
    >>> [arm.label for arm in experiment.arms], list(experiment.seeds.numbers)
    (['optimizer sgd 0.1', 'optimizer adam 0.1'], [0, 1])
    """

    base: dict[str, object]
    vary: dict[str, object]
    axes: tuple[Axis, ...]
    arms: tuple[Arm, ...]
    seeds: Seeds = Seeds()
    compare: Compare = Compare()
    name: str = "experiment"

    @classmethod
    def of(cls, table: Mapping[str, object], name: str = "experiment") -> Experiment:
        """The experiment described by the tables of a spec with [vary], [seeds] and [compare].

        Raises:
            InputError: with every problem of the three sections.
        """
        base = dict(table)
        vary = base.pop("vary", None)
        seeds = base.pop("seeds", {})
        compare = base.pop("compare", {})
        if not isinstance(vary, Mapping):
            raise InputError(name, "[vary] is missing; expected an axis, as optimizer.learning_rate = [0.1, 0.01]")
        if "data" in base:
            base["data"] = _with_source(base["data"])
        # Probes are off by default: there are many trials, and each of them can be trained alone with probes.
        base.setdefault("probes", "off")
        sections = [field.name for field in options_of(Spec)]
        known = [*sections, "vary", "seeds", "compare"]
        problems = [
            Problem(section, f"unknown section of an experiment; {nearest(section, known)}")
            for section in base
            if section not in sections
        ]
        variation = _parsed(lambda: variation_of(vary), "vary", problems)
        chosen_seeds = _parsed(lambda: Seeds.of(_seeds_table(seeds)), "seeds", problems)
        chosen = _parsed(lambda: Compare.of(compare), "compare", problems)
        if problems or variation is None or chosen_seeds is None or chosen is None:
            raise InputError(name, problems)
        contenders = _contenders(variation, chosen.best_over, chosen_seeds, problems)
        labels = list(contenders) if chosen.best_over else [arm.label for arm in variation.arms]
        if not problems and chosen.baseline is not None and chosen.baseline not in labels:
            fix = nearest(chosen.baseline, labels)
            problems.append(Problem("compare.baseline", f"no arm is called {chosen.baseline!r}; {fix}"))
        if problems:
            raise InputError(name, problems)
        return cls(
            base=base,
            vary=dict(vary),
            axes=variation.axes,
            arms=variation.arms,
            seeds=chosen_seeds,
            compare=chosen,
            name=name,
        )

    @property
    def nuisance(self) -> Axis | None:
        """The axis whose best level is chosen for each contender; None where all arms are compared."""
        return _axis_called(self.axes, self.compare.best_over) if self.compare.best_over else None

    @cached_property
    def contenders(self) -> dict[str, tuple[Arm, ...]]:
        """With `compare.best_over`: the arms that differ in that axis alone, by label; otherwise empty."""
        return contenders_of(Variation(self.axes, self.arms), self.nuisance) if self.nuisance else {}

    def tables(self, arm: Arm) -> dict[str, object]:
        """The tables of the spec of an arm. Raises InputError for a place that the spec does not have."""
        table = {key: _copied(value) for key, value in self.base.items()}
        for path, value in arm.changes:
            set_value(table, path, _copied(value))
        return table

    def spec(self, arm: Arm) -> Spec:
        """The spec of an arm, with the seed of the base spec. Raises InputError with every problem."""
        spec = Spec.of(self.tables(arm))
        if spec.training.engine != "auto":
            return spec
        # One program serves all trials of an architecture.
        return dataclasses.replace(spec, training=dataclasses.replace(spec.training, engine="compiled"))

    def trials(self, watch: Callable[[int, int], None] = lambda done, total: None) -> tuple[Trial, ...]:
        """The trials of all arms with all seeds but fresh ones, ordered by seed, then by arm; as `checked_arms`."""
        checked = self.checked_arms(watch)
        return tuple(arm.trial(seed) for seed in self.seeds.numbers for arm in checked)

    def checked_arms(self, watch: Callable[[int, int], None] = lambda done, total: None) -> tuple[CheckedArm, ...]:
        """All arms, each checked against its data.

        Args:
            watch: is called with the number of rows prepared and their total, while data are loaded.

        Raises:
            InputError: with every problem of every arm.
        """
        problems: dict[str, list[str]] = {}
        checked: list[CheckedArm] = []
        # Arms with the same data share their rows. Keys use the rows of seed 0 for every seed, so that the key of a
        # trial does not depend on the other seeds.
        loaded: dict[str, tuple[Split, dict[str, int]]] = {}
        for arm in self.arms:
            try:
                spec = self.spec(arm)
                precision = spec.training.number_type
                data = spec.prepared_data
                key = canonical_json({"data": data.describe(), "precision": precision})
                if key not in loaded:
                    split = data.load(0, watch, precision)
                    loaded[key] = split, fingerprints(split)
                split, row_fingerprints = loaded[key]
                session = Session(completed(spec, split.train), split)
                session.check()
                constant = _constant_answer(self._validation_rows(split))
                self._check_measure(measures_of(split.train.task, spec.training.metrics or ()))
                checked.append(CheckedArm(arm, session.spec, row_fingerprints, constant, _joint(session, key)))
            except InputError as error:
                for problem in error.problems:
                    placed = problem if problem.place else problem.below(error.subject)
                    problems.setdefault(str(placed), []).append(arm.label)
        if problems:
            raise InputError(self.name, [Problem("", self._in_arms(text, arms)) for text, arms in problems.items()])
        return tuple(checked)

    def _in_arms(self, problem: str, labels: Sequence[str]) -> str:
        if len(labels) == len(self.arms):
            return f"{problem} (in every arm)"
        more = f" and {len(labels) - _LISTED_ARMS} more" if len(labels) > _LISTED_ARMS else ""
        return f"{problem} (in {len(labels)} of {len(self.arms)} arms: {'; '.join(labels[:_LISTED_ARMS])}{more})"

    def _validation_rows(self, split: Split) -> RowSource:
        if split.validation is None:
            raise InputError(
                "data.validation", "arms are compared on validation rows, and there are none; set data.validation = 0.2"
            )
        return split.validation

    def _check_measure(self, names: Sequence[str]) -> None:
        measure = self.compare.measure
        known = [f"validation_{name}" for name in names]
        if measure is not None and measure not in known:
            raise InputError("compare.measure", f"unknown measure {measure!r}; {nearest(measure, known)}")

    def describe(self) -> JsonObject:
        """The tables that make this experiment again through `of`. Rows in memory cannot be described."""
        table = {
            **self.base,
            "vary": flattened_vary(self.vary),
            "seeds": self.seeds.describe(),
            "compare": self.compare.describe(),
        }
        plain = {name: plain_value(section) for name, section in table.items()}
        return {name: section for name, section in plain.items() if section != {}}


def trial_of(arm: Arm, spec: CompleteSpec, row_fingerprints: Mapping[str, int], seed: int) -> Trial:
    """The trial of an arm with a seed; the fingerprints are those of the rows that its data have with seed 0."""
    whole = dataclasses.replace(spec, training=dataclasses.replace(spec.training, seed=seed))
    decisive = {"spec": whole.describe(), "rows": row_fingerprints}
    return Trial(arm, seed, whole, hashlib.sha256(canonical_json(decisive).encode()).hexdigest()[:16])


def _joint(session: Session, data: str) -> Joint | None:
    """The trials that a session can run with: those with the same data whose specs differ in fractional numbers."""
    if not session.joint_saving:
        return None
    spec = session.spec
    training = dataclasses.replace(spec.training, seed=0)
    parts = (spec.network, spec.loss, spec.optimizer, spec.regularization, spec.stopping, training)
    return Joint((data, structure(parts)), session.joint_saving)


def _constant_answer(rows: RowSource) -> float:
    return constant_accuracy(np.concatenate([part.y for part in rows.parts()]), rows.task)


def _axis_called(axes: Sequence[Axis], name: str) -> Axis | None:
    return next((axis for axis in axes if name in (axis.name, axis.path)), None)


def _contenders(
    variation: Variation, best_over: str | None, seeds: Seeds, problems: list[Problem]
) -> dict[str, tuple[Arm, ...]]:
    """The arms that differ in the axis `best_over` alone, by label; what does not suit is added to the problems."""
    if best_over is None:
        if seeds.fresh is not None:
            problems.append(Problem("seeds.fresh", "has no effect without compare.best_over; set it, or remove fresh"))
        return {}
    place = "compare.best_over"
    axis = _axis_called(variation.axes, best_over)
    names = [name for each in variation.axes for name in dict.fromkeys((each.path or each.name, each.name))]
    if axis is None:
        problems.append(Problem(place, f"{best_over!r} is not an axis of [vary]; {nearest(best_over, names)}"))
        return {}
    if len(variation.axes) == 1:
        problems.append(
            Problem(place, f"nothing but {best_over!r} varies; expected another axis in [vary], whose arms to compare")
        )
        return {}
    contenders = contenders_of(variation, axis)
    single = [label for label, arms in contenders.items() if len(arms) == 1]
    if single:
        fix = "draw more arms (random)" if axis.range else f"list more values of {best_over!r} in [vary]"
        problems.append(
            Problem(place, f"expected at least 2 levels to choose from, received 1 for {single[0]!r}; {fix}")
        )
    elif len(contenders) == 1:
        problems.append(Problem(place, f"there is nothing to compare: all arms differ in {best_over!r} alone"))
    return contenders


def _parsed(parse: Callable[[], _Section], place: str, problems: list[Problem]) -> _Section | None:
    """A section of the experiment; None where it is invalid, and its problems are added to the list."""
    try:
        return parse()
    except InputError as error:
        problems += [problem.below(place) for problem in error.problems]
        return None


def _seeds_table(seeds: object) -> object:
    return seeds if isinstance(seeds, Mapping | Seeds) else {"count": seeds}


def _with_source(data: object) -> dict[str, object]:
    """The [data] section as a table. Rows in memory become one source, which all arms share."""
    if isinstance(data, str):
        table: dict[str, object] = {"source": data}
    elif isinstance(data, Mapping) and "kind" not in data:
        table = dict(data)
    else:
        part = Data.of(data)
        table = part.describe() | {"source": part.source}
    source = table.get("source", "")
    return table | {"source": source if isinstance(source, str | Mapping) else Source.of(source)}


def plain_value(value: Any) -> Json:
    """A value as TOML can hold it: parts as tables, tuples and arrays as lists, functions by name, without None."""
    if isinstance(value, Part):
        value = value.describe()
    elif isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return str(KeyFunction(value)) if callable(value) else value


def _copied(value: object) -> object:
    """Copies of tables and lists, so that they can be changed; parts and arrays are shared."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
