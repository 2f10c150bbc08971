"""Answers as typed: a number, an array or a formula, compared with the engine's, and what a wrong one points to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...core.arrays import Array
from ...core.expressions import Expression


class Case(NamedTuple):
    """One point at which an answer is compared: the values of all names there, and what the engine says."""

    values: Mapping[str, Array]
    right: Array


class Mistake(NamedTuple):
    """A wrong answer that is known, as a formula of a case's values, and how it comes about."""

    formula: str
    hint: str


class Verdict(NamedTuple):
    """Whether an answer is right, and what there is to say about it."""

    right: bool
    says: str


@dataclass(frozen=True, eq=False)
class Answer:
    """What counts as right: within `relative` of each number, or within `absolute` times a case's largest.

    `names` are those that the answer may use; without any, the answer is a number or an array. `without` are functions
    that it may not use, because they are what is asked for. The largest counts as `floor` at least.

    >>> answer = numbers({"y": 0.8, "t": 1.0}, np.float64(-0.2), [Mistake("t - y", "the error is y - t")])
    >>> answer.judge("-1/5").right, answer.judge("0.2").says
    (True, 'the error is y - t')
    """

    names: tuple[str, ...]
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]
    relative: float
    absolute: float
    floor: float = 0.0
    without: tuple[str, ...] = ()

    @property
    def wanted(self) -> str:
        """What is to be typed."""
        shape = np.shape(self.cases[0].right)
        if self.names:
            return f"a formula in {', '.join(self.names)}"
        if not shape:
            return "a number (three digits will do)"
        example = "[1, 2, ...]" if len(shape) == 1 else "[[1, 2, ...], [3, 4, ...]]"
        return f"an array of shape {shape} as {example} (three digits will do)"

    def judge(self, text: str) -> Verdict:
        """The verdict on a typed answer. Raises InputError where it can not be read."""
        given = self._at_all(Expression.parse(text, self.names, self.without))
        if self._same(given, self._right):
            return Verdict(True, "right")
        return Verdict(False, self._hint(given))

    @property
    def tells(self) -> bool:
        """Whether each known mistake differs from what is right; numbers by which it does not are of no use."""
        return not any(self._same(self._wrong(mistake), self._right) for mistake in self.mistakes)

    @property
    def _right(self) -> list[Array]:
        return [case.right for case in self.cases]

    def _at_all(self, expression: Expression) -> list[Array]:
        return [np.asarray(expression(**case.values)) for case in self.cases]

    def _wrong(self, mistake: Mistake) -> list[Array]:
        return self._at_all(Expression.parse(mistake.formula, tuple(self.cases[0].values)))

    def _close(self, given: Array, wanted: Array) -> Array:
        finite = np.abs(wanted)[np.isfinite(wanted)]
        largest = max(self.floor, finite.max(initial=0.0))
        return np.isclose(given, wanted, self.relative, self.absolute * largest, equal_nan=True)

    def _same(self, given: Iterable[Array], wanted: Iterable[Array]) -> bool:
        return all(
            np.shape(one) == np.shape(other) and bool(np.all(self._close(one, other)))
            for one, other in zip(given, wanted, strict=True)
        )

    def _hint(self, given: list[Array]) -> str:
        right = self._right
        for mistake in self.mistakes:
            if self._same(given, self._wrong(mistake)):
                return mistake.hint
        if self._same([one.T for one in given], right):
            return "the right numbers, transposed: rows and columns are exchanged"
        if np.shape(given[0]) != np.shape(right[0]):
            return f"the shape is wrong: expected {_shape(right[0])}, received {_shape(given[0])}"
        if self._same([-one for one in given], right):
            return "the sign is reversed"
        factor = _factor(given, right)
        if factor and self._same(given, [factor * one for one in right]):
            return f"all of it is {_times(factor)}: a factor is missing, or one too many"
        return self._count(given)

    def _count(self, given: list[Array]) -> str:
        """How much of a wrong answer is right, and where it first is not."""
        if len(self.cases) > 1:
            hits = [self._same([one], [case.right]) for one, case in zip(given, self.cases, strict=True)]
            first = hits.index(False)
            undefined = "" if np.all(np.isfinite(given[first])) else ", where it gives NaN or infinity"
            where = self._where(self.cases[first])
            return f"right at {sum(hits)} of {len(hits)} points; not at {where}{undefined}"
        close = self._close(given[0], self.cases[0].right)
        if not close.shape:
            return "not right"
        place = np.unravel_index(np.argmin(close), close.shape)
        names = ("place",) if close.ndim == 1 else ("row", "column")
        words = ", ".join(f"{name} {index + 1}" for name, index in zip(names, place, strict=True))
        return f"right in {int(close.sum())} of {close.size} numbers; the first that is not stands at {words}"

    def _where(self, case: Case) -> str:
        return ", ".join(f"{name} = {_in_short(case.values[name])}" for name in self.names)


def numbers(values: Mapping[str, Array], right: Array, mistakes: Sequence[Mistake] = ()) -> Answer:
    """A number or an array at the values of the question: three digits will do.

    Right is what is within 0.5 % of each number, or within 0.1 % of the largest.
    """
    return Answer((), (Case(values, np.asarray(right)),), tuple(mistakes), relative=0.005, absolute=0.001)


def formula(
    names: Sequence[str], cases: Iterable[Case], mistakes: Sequence[Mistake] = (), without: Sequence[str] = ()
) -> Answer:
    """A formula in `names`, compared at all cases: any that is equal but for rounding is right.

    Right is what is within 1e-7 of each number, or within 1e-9 of the largest (or of 1, where all are smaller).
    """
    return Answer(
        tuple(names),
        tuple(cases),
        tuple(mistakes),
        relative=1e-7,
        absolute=1e-9,
        floor=1.0,
        without=tuple(without),
    )


_SIMPLE = (2.0, -2.0, 0.5, -0.5)


def _factor(given: Sequence[Array], right: Sequence[Array]) -> float | None:
    """The factor that lies between what was given and what is right; of a single number, a simple one alone."""
    first = np.concatenate([np.ravel(one) for one in given])
    second = np.concatenate([np.ravel(one) for one in right])
    if not np.all(np.isfinite(first)) or not np.any(first) or not np.any(second):
        return None
    if first.size == 1:
        return min(_SIMPLE, key=lambda simple: abs(simple - first[0] / second[0]))
    # The largest number tells the factor best.
    largest = np.argmax(np.abs(second))
    return float(first[largest] / second[largest])


def _times(factor: float) -> str:
    sign = " with the sign reversed" if factor < 0 else ""
    size = abs(factor)
    return (f"{size:.3g} times too large" if size > 1 else f"{1 / size:.3g} times too small") + sign


def _shape(x: Array) -> str:
    return f"shape {np.shape(x)}" if np.shape(x) else "a single number"


def _in_short(value: Array) -> str:
    if np.size(value) > 4:
        return f"an array of shape {np.shape(value)}"
    return np.array2string(np.asarray(value), precision=3, separator=", ").replace("\n", "")
