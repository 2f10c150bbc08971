"""An experiment: a spec with variations and seeds, checked whole before its first trial starts."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from ..core.errors import InputError, Problem, nearest
from ..data import Data, Source, Split
from ..data.orders import KeyFunction
from ..parts.part import Count, Part
from ..spec.complete import completed
from ..spec.differences import canonical_json
from ..spec.edit import set_value
from ..spec.spec import CompleteSpec, Spec
from ..training.checkpoints import fingerprints
from ..training.evaluate import measures_of
from ..training.session import Session
from .variation import Arm, Axis, flat, variation_of

# More places of one and the same problem are counted, not listed.
_PLACES_TOLD = 3


@dataclass(frozen=True)
class Seeds(Part):
    """How often each arm is tried: with the seeds first, first + 1, ...; the [seeds] section of an experiment.

    A seed decides split, initial weights, order and noise, so that arms of the same seed are pairs.

    >>> list(Seeds(3).numbers)
    [0, 1, 2]
    """

    count: Count = 5
    first: Annotated[int, Field(ge=0)] = 0

    @property
    def numbers(self) -> range:
        """The seeds."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Compare(Part):
    """By what arms are compared: the [compare] section of an experiment.

    measure: one of the records' validation measures at the end of a training; None: validation_accuracy for classes and
    labels, validation_loss for numbers. baseline: the label of the arm that the others are set against; None: the
    first.

    >>> Compare(measure="validation_loss").baseline is None
    True
    """

    measure: str | None = None
    baseline: str | None = None


class Trial(NamedTuple):
    """One arm with one seed; `key` names all that decides its result, the rows of the data among it."""

    arm: Arm
    seed: int
    spec: CompleteSpec
    key: str


@dataclass(frozen=True, eq=False)
class Experiment:
    """A spec (its tables), the axes over it, how many seeds, and by what the arms are compared.

    >>> experiment = Experiment.of({"data": "xor", "vary": {"optimizer": ["sgd 0.1", "adam 0.1"]}, "seeds": 2})
    >>> [arm.label for arm in experiment.arms], list(experiment.seeds.numbers)
    (['optimizer sgd 0.1', 'optimizer adam 0.1'], [0, 1])
    """

    base: dict[str, Any]
    vary: dict[str, Any]
    axes: tuple[Axis, ...]
    arms: tuple[Arm, ...]
    seeds: Seeds = Seeds()
    compare: Compare = Compare()
    name: str = "experiment"

    @classmethod
    def of(cls, table: Mapping[str, Any], name: str = "experiment") -> Experiment:
        """The experiment that the tables of a spec with [vary], [seeds] and [compare] describe. Raises InputError."""
        base = dict(table)
        vary, seeds, compare = base.pop("vary", None), base.pop("seeds", {}), base.pop("compare", {})
        if not isinstance(vary, Mapping):
            raise InputError(name, "has no [vary]; expected an axis, as optimizer.learning_rate = [0.1, 0.01]")
        if "data" in base:
            base["data"] = _with_source(base["data"])
        # A trial is one of many: what each looks like inside is seen when it is trained alone, unless it is asked for.
        base.setdefault("probes", "off")
        problems: list[Problem] = []
        parts: dict[str, Any] = {}
        sections: dict[str, Callable[[], Any]] = {
            "variation": lambda: variation_of(vary),
            "seeds": lambda: Seeds.of(seeds if isinstance(seeds, Mapping | Seeds) else {"count": seeds}),
            "compare": lambda: Compare.of(compare),
        }
        for section, make in sections.items():
            try:
                parts[section] = make()
            except InputError as error:
                problems += [problem.below("vary" if section == "variation" else section) for problem in error.problems]
        if problems:
            raise InputError(name, problems)
        variation, compare = parts["variation"], parts["compare"]
        labels = [arm.label for arm in variation.arms]
        if compare.baseline is not None and compare.baseline not in labels:
            raise InputError(
                name, f"compare.baseline: no arm is called {compare.baseline!r}; {nearest(compare.baseline, labels)}"
            )
        return cls(base, dict(vary), variation.axes, variation.arms, parts["seeds"], compare, name)

    @property
    def baseline(self) -> Arm:
        """The arm that the others are set against."""
        named = [arm for arm in self.arms if arm.label == self.compare.baseline]
        return named[0] if named else self.arms[0]

    def tables(self, arm: Arm) -> dict[str, Any]:
        """The tables of the spec of an arm. Raises InputError for a place that there is not."""
        table: dict[str, Any] = _copied(self.base)
        for path, value in arm.changes:
            set_value(table, path, _copied(value))
        return table

    def spec(self, arm: Arm) -> Spec:
        """The spec of an arm, with the seed that the experiment's spec gives. Raises InputError with every problem."""
        return Spec.of(self.tables(arm))

    def trials(self, watch: Callable[[int, int], None] = lambda done, total: None) -> tuple[Trial, ...]:
        """All trials, the arms of one seed after another; every one of them is checked against its data.

        Raises InputError with every problem of any arm; `watch` hears of rows made ready.
        """
        problems: dict[str, list[str]] = {}
        found: list[tuple[Arm, CompleteSpec, dict[str, int]]] = []
        # Arms that share their data share its rows. Those of seed 0 stand for those of all seeds: a key does not
        # depend on which other seeds there are.
        loaded: dict[str, tuple[Split, dict[str, int]]] = {}
        for arm in self.arms:
            try:
                spec = self.spec(arm)
                data = canonical_json(spec.data.describe())
                if data not in loaded:
                    split = spec.data.load(0, watch)
                    loaded[data] = split, fingerprints(split)
                split, prints = loaded[data]
                session = Session(completed(spec, split.train), split)
                session.check()
                whole = session.spec
                self._check_measure(whole, split)
                found.append((arm, whole, prints))
            except InputError as error:
                for problem in error.problems:
                    told = problem if problem.place else problem.below(error.subject)
                    problems.setdefault(str(told), []).append(arm.label)
        if problems:
            raise InputError(self.name, [Problem("", self._told(text, arms)) for text, arms in problems.items()])
        return tuple(trial_of(arm, spec, prints, seed) for seed in self.seeds.numbers for arm, spec, prints in found)

    def _told(self, problem: str, labels: list[str]) -> str:
        if len(labels) == len(self.arms):
            return f"{problem} (in every arm)"
        more = f" and {len(labels) - _PLACES_TOLD} more" if len(labels) > _PLACES_TOLD else ""
        return f"{problem} (in {len(labels)} of {len(self.arms)} arms: {'; '.join(labels[:_PLACES_TOLD])}{more})"

    def _check_measure(self, spec: CompleteSpec, split: Split) -> None:
        if split.validation is None:
            raise InputError(
                "data.validation", "there are no validation rows, by which arms are compared; set data.validation = 0.2"
            )
        known = [f"validation_{name}" for name in measures_of(split.train.task)]
        if self.compare.measure is not None and self.compare.measure not in known:
            raise InputError(
                "compare.measure", f"unknown measure {self.compare.measure!r}; {nearest(self.compare.measure, known)}"
            )

    def describe(self) -> dict[str, Any]:
        """The tables that make this experiment again, where its data are not in memory only."""
        table = {
            **self.base,
            "vary": flat(self.vary),
            "seeds": self.seeds.describe(),
            "compare": self.compare.describe(),
        }
        told = {name: described(section) for name, section in table.items()}
        return {name: section for name, section in told.items() if section != {}}


def trial_of(arm: Arm, spec: CompleteSpec, prints: Mapping[str, int], seed: int) -> Trial:
    """The trial of an arm with a seed; `prints` are the fingerprints of the rows that its data have with seed 0."""
    whole = dataclasses.replace(spec, training=dataclasses.replace(spec.training, seed=seed))
    decided = {"spec": whole.describe(), "rows": prints}
    return Trial(arm, seed, whole, hashlib.sha256(canonical_json(decided).encode()).hexdigest()[:16])


def _with_source(data: Any) -> Any:
    """A [data] section as a table; rows in memory become a source once, and are shared by all arms."""
    if not isinstance(data, Mapping) or "kind" in data:
        data = (
            Data.of(data).describe() | {"source": Data.of(data).source}
            if not isinstance(data, str)
            else {"source": data}
        )
    source = data.get("source", "")
    return {**data, "source": source if isinstance(source, str | Mapping) else Source.of(source)}


def described(value: Any) -> Any:
    """Parts as their tables, tuples and arrays as lists, functions by their names, no None: what TOML can hold."""
    if isinstance(value, Part):
        return value.describe()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: described(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    return str(KeyFunction(value)) if callable(value) else value


def _copied(value: Any) -> Any:
    """Tables and lists anew, so that they can be changed; parts and arrays as they are."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
