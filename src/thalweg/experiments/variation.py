"""Axes of an experiment, and the arms that they make."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, NamedTuple, TypeAlias, TypeVar

import numpy as np
from pydantic import Field

from ..core.errors import InputError, Problem, nearest
from ..core.noise import generator
from ..parts.part import Count, Number, Part, Positive
from ..spec.spec import Spec

Changes: TypeAlias = tuple[tuple[str, object], ...]
"""Places of a spec (`optimizer.learning_rate`), each with its new value."""

_Item = TypeVar("_Item")

_SECTIONS = tuple(field.name for field in fields(Spec))
# Labels stand at the axes of charts and in tables.
_LABEL_LENGTH = 60
# TOML has no null, and an experiment is written to a file.
_NO_NULL = "None cannot be written to a file; leave the option out in a named arm: arm.plain = {}"


class Range(Part, ABC, family="range"):
    """Interval that a random sample draws numbers from."""

    low: float
    high: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise InputError(self.kind, f"expected low < high, received {self.low!r} and {self.high!r}")

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> float:
        """A random number from the range."""


@dataclass(frozen=True)
class UniformRange(Range, kind="uniform"):
    """Uniform distribution on [low, high].

    >>> round(UniformRange(0.0, 0.9).draw(np.random.default_rng(0)), 4)
    0.5733
    """

    low: Number
    high: Number

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class LogUniformRange(Range, kind="log_uniform"):
    """exp(u) with u uniform on [ln low, ln high]: every power of ten is equally likely. Suited to learning rates.

    Source: Bergstra and Bengio 2012, Random search for hyper-parameter optimization.

    >>> round(LogUniformRange(1e-4, 1.0).draw(np.random.default_rng(0)), 4)
    0.0353
    """

    low: Positive
    high: Positive

    def draw(self, rng: np.random.Generator) -> float:
        return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))


@dataclass(frozen=True)
class Integers(Range, kind="integers"):
    """Uniform distribution on the whole numbers from low to high, both included.

    >>> Integers(16, 256).draw(np.random.default_rng(0))
    221
    """

    low: Annotated[int, Field(strict=True)]
    high: Annotated[int, Field(strict=True)]

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.low, self.high, endpoint=True))


@dataclass(frozen=True)
class Sample(Part):
    """Number of arms to draw at random from all combinations of the axes: `random` in [vary].

    A larger number continues the same sequence: the first arms stay as they are.
    """

    arms: Count
    seed: Annotated[int, Field(ge=0)] = 0


class Setting(NamedTuple):
    """One value of an axis.

    Attributes:
        label: the value in words.
        value: the number where the axis is one of numbers, otherwise the label.
        changes: what the setting changes in the spec.
    """

    label: str
    value: float | str
    changes: Changes


class Axis(NamedTuple):
    """One thing that an experiment varies.

    Attributes:
        name: short name, unique among the axes.
        path: the place in the spec; empty for an axis of named arms.
        settings: the values of the axis; empty where a range is given.
        range: the interval that a random sample draws values from.
    """

    name: str
    path: str
    settings: tuple[Setting, ...] = ()
    range: Range | None = None

    def draw(self, rng: np.random.Generator) -> Setting:
        """A random setting of the axis."""
        if self.range is None:
            return self.settings[int(rng.integers(len(self.settings)))]
        value = self.range.draw(rng)
        if isinstance(value, float):
            # Rounded to the digits of the label, so that the label states the whole value.
            value = min(max(float(f"{value:.4g}"), self.range.low), self.range.high)
        return Setting(_label(value), value, ((self.path, value),))


class Arm(NamedTuple):
    """One combination of settings, one for each axis, with a label that no other arm has."""

    label: str
    settings: tuple[Setting, ...]

    @property
    def changes(self) -> Changes:
        """The changes of the spec; whole tables come before values inside of them."""
        changes = [change for setting in self.settings for change in setting.changes]
        return tuple(sorted(changes, key=lambda change: change[0].count(".")))


class Variation(NamedTuple):
    """The axes of an experiment and its arms."""

    axes: tuple[Axis, ...]
    arms: tuple[Arm, ...]


def variation_of(vary: Mapping[str, object]) -> Variation:
    """The axes and arms that a [vary] table describes.

    A key is one of:

    - a path of the spec with a list: an axis of values;
    - a path with a range, as `{kind = "log_uniform", ...}`: an axis to draw values from;
    - any other name with a table of tables: an axis of named arms, each with its changes;
    - `random`: how many arms to draw, instead of the full grid of all combinations.

    The axes are ordered: lists of values first, then ranges and lists of tables, then named arms.

    Raises:
        InputError: with every problem of the table.

    >>> variation = variation_of({"optimizer.learning_rate": [0.1, 0.01], "network": {"init": ["zeros", "he_normal"]}})
    >>> [arm.label for arm in variation.arms][:2]
    ['learning_rate 0.1, init zeros', 'learning_rate 0.1, init he_normal']
    """
    table = {str(key): value for key, value in vary.items()}
    random = table.pop("random", None)
    problems: list[Problem] = []
    sample = None if random is None else _sample(random, problems)
    axes = _axes(table, problems)
    ranges = [axis.path for axis in axes if axis.range]
    if ranges and random is None:
        problems.append(Problem(ranges[0], "a range needs the number of arms to draw: random = 20"))
    if not axes and not problems:
        problems.append(Problem("", 'empty; expected an axis, as "optimizer.learning_rate" = [0.1, 0.01]'))
    if problems:
        raise InputError("vary", problems)
    arms = _grid(axes) if sample is None else _random_arms(axes, sample)
    for arm in arms:
        _check_conflicts(arm)
    return Variation(tuple(axes), tuple(arms))


def contenders_of(variation: Variation, nuisance: Axis) -> dict[str, tuple[Arm, ...]]:
    """The arms that differ in one axis alone, by a label of all their other settings.

    >>> vary = {"optimizer": ["sgd", "adam"], "optimizer.learning_rate": [0.1, 0.01]}
    >>> variation = variation_of(vary)
    >>> {label: len(arms) for label, arms in contenders_of(variation, variation.axes[1]).items()}
    {'optimizer sgd': 2, 'optimizer adam': 2}
    """
    place = variation.axes.index(nuisance)
    others = _without(variation.axes, place)
    groups: dict[tuple[str, ...], list[Arm]] = {}
    for arm in variation.arms:
        groups.setdefault(tuple(setting.label for setting in _without(arm.settings, place)), []).append(arm)
    labels = _with_unique_labels([_arm(others, _without(arms[0].settings, place)) for arms in groups.values()])
    return {named.label: tuple(arms) for named, arms in zip(labels, groups.values(), strict=True)}


def _without(items: Sequence[_Item], place: int) -> tuple[_Item, ...]:
    return (*items[:place], *items[place + 1 :])


def flattened_vary(vary: Mapping[str, object]) -> dict[str, object]:
    """The [vary] table with full paths as keys, in the order of the axes; TOML would move nested tables to the end."""
    table = {str(key): value for key, value in vary.items()}
    named = {key: value for key, value in table.items() if key.split(".")[0] not in _SECTIONS}
    return dict(_leaves({key: value for key, value in table.items() if key not in named})) | named


def _sample(random: object, problems: list[Problem]) -> Sample | None:
    try:
        return Sample.of(random if isinstance(random, Mapping) else {"arms": random})
    except InputError as error:
        problems += [problem.below("random") for problem in error.problems]
        return None


def _axes(table: Mapping[str, object], problems: list[Problem]) -> list[Axis]:
    paths: dict[str, object] = {}
    named: dict[str, object] = {}
    for key, value in table.items():
        if key.split(".")[0] in _SECTIONS:
            paths |= dict(_leaves({key: value}))
        else:
            named[key] = value
    # TOML writes tables last: with this order a written file has the axes in their original order.
    paths = dict(sorted(paths.items(), key=lambda item: _holds_tables(item[1])))
    names = _short_names(list(paths), set(named))
    axes = [axis for path, value in paths.items() if (axis := _path_axis(names[path], path, value, problems))]
    return axes + [axis for name, value in named.items() if (axis := _named_axis(name, value, problems))]


def _leaves(table: Mapping[str, object], place: str = "") -> Iterator[tuple[str, object]]:
    """The paths of a table with their values; a table with a `kind` is a value."""
    for key, value in table.items():
        path = f"{place}.{key}".lstrip(".")
        if isinstance(value, Mapping) and "kind" not in value:
            yield from _leaves(value, path)
        else:
            yield path, value


def _holds_tables(value: object) -> bool:
    items = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(item, Mapping | Part) for item in items)


def _short_names(paths: Sequence[str], taken: set[str]) -> dict[str, str]:
    """For each path its shortest ending that no other path has."""
    names = {}
    for path in paths:
        words = path.split(".")
        # The number of a layer needs the name of its list.
        endings = [".".join(words[-count:]) for count in range(1, len(words) + 1) if not words[-count].isdigit()]
        others = [other for other in paths if other != path]
        unique = (
            ending
            for ending in endings
            if ending not in taken and not any(f".{other}".endswith(f".{ending}") for other in others)
        )
        names[path] = next(unique, path)
    return names


def _path_axis(name: str, path: str, value: object, problems: list[Problem]) -> Axis | None:
    if isinstance(value, Mapping):
        try:
            return Axis(name, path, range=Range.of(value))
        except InputError as error:
            problems += [problem.below(path) for problem in error.problems]
            return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        fix = "named arms need an axis name that is not a section of a spec"
        problems.append(Problem(path, f"expected a list of values, received {value!r}; {fix}"))
        return None
    if any(item is None for item in value):
        problems.append(Problem(path, _NO_NULL))
    labels = [_label(item) for item in value]
    repeated = [label for label, count in Counter(labels).items() if count > 1]
    if repeated:
        problems.append(Problem(path, f"the value {repeated[0]} is listed twice"))
    are_numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
    settings = (
        Setting(label, item if are_numbers else label, ((path, item),))
        for label, item in zip(labels, value, strict=True)
    )
    return Axis(name, path, tuple(settings))


def _named_axis(name: str, arms: object, problems: list[Problem]) -> Axis | None:
    if not isinstance(arms, Mapping) or not arms or not all(isinstance(arm, Mapping) for arm in arms.values()):
        hint = nearest(name.split(".")[0], [*_SECTIONS, "random"])
        problems.append(
            Problem(
                name,
                f"not a section of a spec; {hint}{'' if hint.endswith('?') else '.'} An axis of named arms needs a"
                " table of changes for each arm: arm.plain = {}",
            )
        )
        return None
    settings = []
    for label, arm in arms.items():
        changes = tuple(_leaves(arm))
        problems += [
            Problem(f"{name}.{label}.{path}", f"not a section of a spec; {nearest(path.split('.')[0], _SECTIONS)}")
            for path, _ in changes
            if path.split(".")[0] not in _SECTIONS
        ]
        problems += [Problem(f"{name}.{label}.{path}", _NO_NULL) for path, value in changes if value is None]
        settings.append(Setting(label, label, changes))
    return Axis(name, "", tuple(settings))


def _label(value: object) -> str:
    """A value in a few words."""
    if isinstance(value, bool) or value is None:
        text = str(value).lower()
    elif isinstance(value, int | float):
        text = f"{value:.6g}"
    elif isinstance(value, Mapping):
        options = ", ".join(f"{key} {_label(item)}" for key, item in value.items() if key != "kind")
        text = f"{value['kind']} ({options})" if "kind" in value and options else str(value.get("kind", options))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        # Widths are joined as in the summary of a network: 64-32.
        text = ("-" if all(isinstance(item, int) for item in value) else ", ").join(map(_label, value))
    elif isinstance(value, Part):
        text = _label(value.describe())
    else:
        text = str(value)
    return text


def _shortened(text: str) -> str:
    return text if len(text) <= _LABEL_LENGTH else f"{text[: _LABEL_LENGTH - 1]}…"


def _arm(axes: Sequence[Axis], settings: Sequence[Setting]) -> Arm:
    # A named arm speaks for itself; a value needs the name of its axis.
    words = [
        setting.label if not axis.path else f"{axis.name} {setting.label}"
        for axis, setting in zip(axes, settings, strict=True)
    ]
    return Arm(", ".join(words), tuple(settings))


def _with_unique_labels(arms: Sequence[Arm]) -> list[Arm]:
    """The arms with shortened labels, numbered where two would be the same."""
    labels = [_shortened(arm.label) for arm in arms]
    counts = Counter(labels)
    return [
        arm._replace(label=label if counts[label] == 1 else f"{label} #{number}")
        for number, (arm, label) in enumerate(zip(arms, labels, strict=True), 1)
    ]


def _grid(axes: Sequence[Axis]) -> list[Arm]:
    combinations = itertools.product(*(axis.settings for axis in axes))
    return _with_unique_labels([_arm(axes, settings) for settings in combinations])


def _random_arms(axes: Sequence[Axis], sample: Sample) -> list[Arm]:
    arms: dict[str, Arm] = {}
    for number in range(sample.arms):
        # Each axis has its own stream, so that a new axis does not change what the others draw.
        arm = _arm(axes, [axis.draw(generator(sample.seed, "vary", number, axis.path or axis.name)) for axis in axes])
        arms.setdefault(arm.label, arm)
    return _with_unique_labels(list(arms.values()))


def _check_conflicts(arm: Arm) -> None:
    """Raise InputError where two axes change the same place."""
    paths = Counter(path for setting in arm.settings for path in {path for path, _ in setting.changes})
    if repeated := [path for path, count in paths.items() if count > 1]:
        raise InputError("vary", f"{repeated[0]} is changed by two axes; remove it from one of them")
