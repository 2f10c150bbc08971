"""What an experiment varies: axes over a spec, and the arms that they make."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from ..core.errors import InputError, Problem, nearest
from ..core.noise import generator
from ..parts.part import Count, Number, Part, Positive
from ..spec.spec import Spec

_SECTIONS = tuple(field.name for field in fields(Spec))
# A label is shortened to this many characters: it stands at axes of charts and in tables.
_LONGEST_LABEL = 60
# TOML has no word for None, and an experiment is kept in a file.
_NOTHING = "None can not be written in a file; leave the option out, in a named arm: arm.plain = {}"


class Range(Part, ABC, family="range"):
    """Numbers to draw from, where an experiment tries a random sample."""

    low: float
    high: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise InputError(self.kind, f"expected low < high, received {self.low!r} and {self.high!r}")

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> float:
        """A number of the range."""


@dataclass(frozen=True)
class Uniform(Range, kind="uniform"):
    """Every number from low to high alike.

    >>> round(Uniform(0.0, 0.9).draw(np.random.default_rng(0)), 4)
    0.5733
    """

    low: Number
    high: Number

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class LogUniform(Range, kind="log_uniform"):
    """Every power of ten from low to high alike: exp of a uniform number from ln low to ln high; for rates.

    Source: Bergstra and Bengio 2012, Random search for hyper-parameter optimization.

    >>> round(LogUniform(1e-4, 1.0).draw(np.random.default_rng(0)), 4)
    0.0353
    """

    low: Positive
    high: Positive

    def draw(self, rng: np.random.Generator) -> float:
        return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))


@dataclass(frozen=True)
class Integers(Range, kind="integers"):
    """Every whole number from low to high alike, both included.

    >>> Integers(16, 256).draw(np.random.default_rng(0))
    221
    """

    low: Annotated[int, Field(strict=True)]
    high: Annotated[int, Field(strict=True)]

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.low, self.high, endpoint=True))


@dataclass(frozen=True)
class Sample(Part):
    """How many arms are drawn at random from all that the axes allow: `random` of [vary].

    More of them go on with the same sequence: the first ones stay as they are.
    """

    arms: Count
    seed: Annotated[int, Field(ge=0)] = 0


class Setting(NamedTuple):
    """One value of an axis: its label, the value (a number, or the label), and what it changes in the spec."""

    label: str
    value: Any
    changes: tuple[tuple[str, Any], ...]


class Axis(NamedTuple):
    """A name, and the settings that it takes; or for a random sample the range that they are drawn from."""

    name: str
    path: str
    settings: tuple[Setting, ...] = ()
    range: Range | None = None

    def draw(self, rng: np.random.Generator) -> Setting:
        """A setting at random."""
        if self.range is None:
            return self.settings[int(rng.integers(len(self.settings)))]
        value = self.range.draw(rng)
        if isinstance(value, float):
            # A label says all of so many digits.
            value = min(max(float(f"{value:.4g}"), self.range.low), self.range.high)
        return Setting(_label(value), value, ((self.path, value),))


class Arm(NamedTuple):
    """One way to set all axes: the setting of each, and a label that no other arm has."""

    label: str
    settings: tuple[Setting, ...]

    @property
    def changes(self) -> tuple[tuple[str, Any], ...]:
        """What it changes in the spec; whole tables come before values inside of them."""
        found = [change for setting in self.settings for change in setting.changes]
        return tuple(sorted(found, key=lambda change: change[0].count(".")))


class Variation(NamedTuple):
    """The axes of an experiment, and its arms."""

    axes: tuple[Axis, ...]
    arms: tuple[Arm, ...]


def variation_of(vary: Mapping[str, Any]) -> Variation:
    """The axes and arms that a table [vary] describes.

    A path of the spec with a list is an axis of values; a path with a range (`{kind = "log_uniform", ...}`) is drawn
    from; a name of its own with a table of tables is an axis of named arms, each with its changes. All axes are
    combined: each value with each, or with `random` so many combinations at random. Raises InputError, with all
    problems, for what is none of these. Lists of values are the first axes, then ranges and lists of tables, then names
    of one's own.

    >>> variation = variation_of({"optimizer.learning_rate": [0.1, 0.01], "network": {"init": ["zeros", "he_normal"]}})
    >>> [arm.label for arm in variation.arms][:2]
    ['learning_rate 0.1, init zeros', 'learning_rate 0.1, init he_normal']
    """
    table = {str(key): value for key, value in vary.items()}
    drawn = table.pop("random", None)
    problems: list[Problem] = []
    sample = None if drawn is None else _sample(drawn, problems)
    axes = _axes(table, problems)
    ranges = [axis.path for axis in axes if axis.range]
    if ranges and drawn is None:
        problems.append(Problem(ranges[0], "is a range to draw from; say how many arms to draw: random = 20"))
    if not axes and not problems:
        problems.append(Problem("", 'is empty; expected an axis, as "optimizer.learning_rate" = [0.1, 0.01]'))
    if problems:
        raise InputError("vary", problems)
    arms = _grid(axes) if sample is None else _drawn(axes, sample)
    for arm in arms:
        _check_conflicts(arm)
    return Variation(tuple(axes), tuple(arms))


def flat(vary: Mapping[str, Any]) -> dict[str, Any]:
    """The table [vary] with whole paths as its keys, in the order of the axes: TOML would write nested ones last."""
    table = {str(key): value for key, value in vary.items()}
    named = {key: value for key, value in table.items() if key.split(".")[0] not in _SECTIONS}
    return dict(_leaves({key: value for key, value in table.items() if key not in named})) | named


def _sample(drawn: Any, problems: list[Problem]) -> Sample | None:
    try:
        return Sample.of(drawn if isinstance(drawn, Mapping) else {"arms": drawn})
    except InputError as error:
        problems += [problem.below("random") for problem in error.problems]
        return None


def _axes(table: Mapping[str, Any], problems: list[Problem]) -> list[Axis]:
    paths: dict[str, Any] = {}
    named: dict[str, Any] = {}
    for key, value in table.items():
        if key.split(".")[0] in _SECTIONS:
            paths |= dict(_leaves({key: value}))
        else:
            named[key] = value
    # TOML writes tables last: in this order a file that was written has the axes of what it was written from.
    paths = dict(sorted(paths.items(), key=lambda item: _is_tables(item[1])))
    names = _short_names(list(paths), set(named))
    axes = [axis for path, value in paths.items() if (axis := _path_axis(names[path], path, value, problems))]
    return axes + [axis for name, value in named.items() if (axis := _named_axis(name, value, problems))]


def _leaves(table: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """The paths of a table with what stands there: anything but a table, or a table that has a kind."""
    for key, value in table.items():
        path = f"{place}.{key}".lstrip(".")
        if isinstance(value, Mapping) and "kind" not in value:
            yield from _leaves(value, path)
        else:
            yield path, value


def _is_tables(value: Any) -> bool:
    items = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(item, Mapping | Part) for item in items)


def _short_names(paths: Sequence[str], taken: set[str]) -> dict[str, str]:
    """For each path its last words, as many as tell it from all the others."""
    names = {}
    for path in paths:
        words = path.split(".")
        # The number of a layer needs the name of its list.
        ends = [".".join(words[-count:]) for count in range(1, len(words) + 1) if not words[-count].isdigit()]
        others = {other for other in paths if other != path}
        names[path] = next(
            (e for e in ends if e not in taken and not any(f".{o}".endswith(f".{e}") for o in others)), path
        )
    return names


def _path_axis(name: str, path: str, value: Any, problems: list[Problem]) -> Axis | None:
    if isinstance(value, Mapping):
        try:
            return Axis(name, path, range=Range.of(value))
        except InputError as error:
            problems += [problem.below(path) for problem in error.problems]
            return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        fix = "named arms need an axis with a name of its own, that is no section of a spec"
        problems.append(Problem(path, f"expected a list of values, received {value!r}; {fix}"))
        return None
    if any(item is None for item in value):
        problems.append(Problem(path, _NOTHING))
    labels = [_label(item) for item in value]
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        problems.append(Problem(path, f"the value {twice[0]} comes twice"))
    numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
    return Axis(
        name,
        path,
        tuple(
            Setting(label, item if numbers else label, ((path, item),))
            for label, item in zip(labels, value, strict=True)
        ),
    )


def _named_axis(name: str, value: Any, problems: list[Problem]) -> Axis | None:
    if not isinstance(value, Mapping) or not value or not all(isinstance(arm, Mapping) for arm in value.values()):
        hint = nearest(name.split(".")[0], [*_SECTIONS, "random"])
        problems.append(
            Problem(
                name,
                f"names no section of a spec; {hint}{'' if hint.endswith('?') else '.'} A name of your own takes named"
                " arms, each a table of its changes: arm.plain = {}",
            )
        )
        return None
    settings = []
    for label, arm in value.items():
        changes = tuple(_leaves(arm))
        problems += [
            Problem(f"{name}.{label}.{path}", f"names no section of a spec; {nearest(path.split('.')[0], _SECTIONS)}")
            for path, _ in changes
            if path.split(".")[0] not in _SECTIONS
        ]
        problems += [Problem(f"{name}.{label}.{path}", _NOTHING) for path, item in changes if item is None]
        settings.append(Setting(label, label, changes))
    return Axis(name, "", tuple(settings))


def _label(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, bool) or value is None:
        text = str(value).lower()
    elif isinstance(value, int | float):
        text = f"{value:.6g}"
    elif isinstance(value, Mapping):
        options = ", ".join(f"{key} {_label(item)}" for key, item in value.items() if key != "kind")
        text = f"{value['kind']} ({options})" if "kind" in value and options else str(value.get("kind", options))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        # Widths stand as those of a network do: 64-32.
        text = ("-" if all(isinstance(item, int) for item in value) else ", ").join(map(_label, value))
    elif isinstance(value, Part):
        return _label(value.describe())
    else:
        text = str(value)
    return text


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _arm(axes: Sequence[Axis], settings: Sequence[Setting]) -> Arm:
    # The name of an arm says all; a value needs the name of its axis.
    words = [s.label if not axis.path else f"{axis.name} {s.label}" for axis, s in zip(axes, settings, strict=True)]
    return Arm(", ".join(words), tuple(settings))


def _unique(arms: Sequence[Arm]) -> list[Arm]:
    """The arms with labels short enough to be shown, and a number where two would be the same."""
    labels = [_short(arm.label) for arm in arms]
    often = Counter(labels)
    return [
        arm._replace(label=label if often[label] == 1 else f"{label} #{number}")
        for number, (arm, label) in enumerate(zip(arms, labels, strict=True), 1)
    ]


def _grid(axes: Sequence[Axis]) -> list[Arm]:
    return _unique([_arm(axes, settings) for settings in itertools.product(*(axis.settings for axis in axes))])


def _drawn(axes: Sequence[Axis], sample: Sample) -> list[Arm]:
    arms: dict[str, Arm] = {}
    for number in range(sample.arms):
        # Each axis has its own stream: a further one leaves what the others draw.
        arm = _arm(axes, [axis.draw(generator(sample.seed, "vary", number, axis.path or axis.name)) for axis in axes])
        arms.setdefault(arm.label, arm)
    return _unique(list(arms.values()))


def _check_conflicts(arm: Arm) -> None:
    """Raise InputError where two axes change the same place."""
    paths = Counter(path for setting in arm.settings for path in {path for path, _ in setting.changes})
    if twice := [path for path, count in paths.items() if count > 1]:
        raise InputError("vary", f"{twice[0]} is changed by two axes; take it out of one of them")
