"""Typed answers: a number, an array or a formula, compared with the engine's, and a hint at the mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..core.arrays import Array
from ..core.expressions import Expression
from ..pages.numbers import inline, number


class AnswerPoint(NamedTuple):
    """A point at which answers are compared: the values of all names there, and the right answer of the engine."""

    values: Mapping[str, Array | float]
    right: Array


class Mistake(NamedTuple):
    """A common wrong answer, as a formula in the values of a point, and a hint at its cause."""

    formula: str
    hint: str


class AnswerCheck(NamedTuple):
    """Whether an answer is right, and the message for the learner."""

    right: bool
    says: str


@dataclass(frozen=True, eq=False)
class ExpectedAnswer:
    """The rule by which typed answers are checked.

    A number is right if it lies within `relative` of the right one, or within `absolute` times the largest number of
    the point.

    Attributes:
        names: The names that the answer may use. Without names, the answer is a number or an array.
        points: The points at which answers are compared.
        mistakes: Common wrong answers.
        relative: The relative tolerance of each number.
        absolute: The absolute tolerance, as a part of the largest number of the point.
        floor: The largest number of a point counts as at least this.
        without: Functions that the answer may not use, because they are what is asked for.

    >>> answer = numeric_answer({"y": 0.8, "t": 1.0}, np.float64(-0.2), [Mistake("t - y", "the error is y - t")])
    >>> answer.check("-1/5").right, answer.check("0.2").says
    (True, 'the error is y - t')
    """

    names: tuple[str, ...]
    points: tuple[AnswerPoint, ...]
    mistakes: tuple[Mistake, ...]
    relative: float
    absolute: float
    floor: float = 0.0
    without: tuple[str, ...] = ()

    @property
    def instruction(self) -> str:
        """What the learner has to type."""
        shape = np.shape(self.points[0].right)
        if self.names:
            return f"a formula in {', '.join(self.names)}"
        if not shape:
            return "a number (three digits are enough)"
        example = "[1, 2, ...]" if len(shape) == 1 else "[[1, 2, ...], [3, 4, ...]]"
        return f"an array of shape {shape} as {example} (three digits are enough)"

    def check(self, text: str) -> AnswerCheck:
        """Check a typed answer. Raises InputError if it cannot be parsed."""
        given = self._at_points(Expression.parse(text, self.names, self.without))
        if self._same(given, self._right):
            return AnswerCheck(True, "right")
        return AnswerCheck(False, self._hint(given))

    @property
    def distinguishes(self) -> bool:
        """Whether every known mistake gives a wrong answer at these points."""
        return not any(self._same(self._mistaken(mistake), self._right) for mistake in self.mistakes)

    @property
    def _right(self) -> list[Array]:
        return [point.right for point in self.points]

    def _at_points(self, expression: Expression) -> list[Array]:
        return [np.asarray(expression(**point.values)) for point in self.points]

    def _mistaken(self, mistake: Mistake) -> list[Array]:
        return self._at_points(Expression.parse(mistake.formula, tuple(self.points[0].values)))

    def _close(self, given: Array, right: Array) -> Array:
        finite = np.abs(right)[np.isfinite(right)]
        largest = max(self.floor, finite.max(initial=0.0))
        return np.isclose(given, right, self.relative, self.absolute * largest, equal_nan=True)

    def _same(self, given: Iterable[Array], right: Iterable[Array]) -> bool:
        return all(
            np.shape(one) == np.shape(other) and bool(np.all(self._close(one, other)))
            for one, other in zip(given, right, strict=True)
        )

    def _hint(self, given: list[Array]) -> str:
        right = self._right
        for mistake in self.mistakes:
            if self._same(given, self._mistaken(mistake)):
                return mistake.hint
        if self._same([array.T for array in given], right):
            return "the right numbers, transposed: rows and columns are exchanged"
        if np.shape(given[0]) != np.shape(right[0]):
            return f"the shape is wrong: expected {_shape(right[0])}, received {_shape(given[0])}"
        if self._same([-array for array in given], right):
            return "the sign is reversed"
        factor = _factor(given, right)
        if factor and self._same(given, [factor * array for array in right]):
            return f"the answer is {_times(factor)}: a factor is missing or superfluous"
        return self._first_fault(given)

    def _first_fault(self, given: list[Array]) -> str:
        """How much of a wrong answer is right, and where the first fault is."""
        if len(self.points) > 1:
            hits = [self._same([one], [point.right]) for one, point in zip(given, self.points, strict=True)]
            first = hits.index(False)
            undefined = "" if np.all(np.isfinite(given[first])) else ", where it gives NaN or infinity"
            where = self._where(self.points[first])
            return f"right at {sum(hits)} of {len(hits)} points; not at {where}{undefined}"
        close = self._close(given[0], self.points[0].right)
        if not close.shape:
            return "not right"
        place = np.unravel_index(np.argmin(close), close.shape)
        names = ("place",) if close.ndim == 1 else ("row", "column")
        words = ", ".join(f"{name} {index + 1}" for name, index in zip(names, place, strict=True))
        return f"right in {int(close.sum())} of {close.size} numbers; the first wrong one is at {words}"

    def _where(self, point: AnswerPoint) -> str:
        return ", ".join(f"{name} = {inline(point.values[name], 3)}" for name in self.names)


def numeric_answer(
    values: Mapping[str, Array | float], right: ArrayLike, mistakes: Sequence[Mistake] = ()
) -> ExpectedAnswer:
    """A number or an array at the values of the question; three digits are enough.

    Right is what lies within 0.5 % of each number, or within 0.1 % of the largest.
    """
    return ExpectedAnswer(
        names=(),
        points=(AnswerPoint(values, np.asarray(right)),),
        mistakes=tuple(mistakes),
        relative=0.005,
        absolute=0.001,
    )


def formula_answer(
    names: Sequence[str], points: Iterable[AnswerPoint], mistakes: Sequence[Mistake] = (), without: Sequence[str] = ()
) -> ExpectedAnswer:
    """A formula in `names`, compared at all points: any formula that is equal up to rounding is right.

    Right is what lies within 1e-7 of each number, or within 1e-9 of the largest (or of 1, if all are smaller).
    """
    return ExpectedAnswer(
        names=tuple(names),
        points=tuple(points),
        mistakes=tuple(mistakes),
        relative=1e-7,
        absolute=1e-9,
        floor=1.0,
        without=tuple(without),
    )


_SIMPLE_FACTORS = (2.0, -2.0, 0.5, -0.5)


def _factor(given: Sequence[Array], right: Sequence[Array]) -> float | None:
    """The factor between the given and the right answer. Between two single numbers only simple factors count."""
    first = np.concatenate([np.ravel(array) for array in given])
    second = np.concatenate([np.ravel(array) for array in right])
    if not np.all(np.isfinite(first)) or not np.any(first) or not np.any(second):
        return None
    if first.size == 1:
        return min(_SIMPLE_FACTORS, key=lambda simple: abs(simple - first[0] / second[0]))
    # The largest number gives the most precise factor.
    largest = np.argmax(np.abs(second))
    return float(first[largest] / second[largest])


def _times(factor: float) -> str:
    sign = " with the sign reversed" if factor < 0 else ""
    size = abs(factor)
    return (f"{number(size, 3)} times too large" if size > 1 else f"{number(1 / size, 3)} times too small") + sign


def _shape(x: Array) -> str:
    return f"shape {np.shape(x)}" if np.shape(x) else "a single number"
