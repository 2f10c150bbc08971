"""Facts: named values of a class that are given, or else computed by a method on first use, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class Fact(Generic[T]):
    """A named value: the one that was passed to the owner, or else the result of the decorated method."""

    def __init__(self, default: Callable[[Any], T]) -> None:
        self.default = default
        self.__doc__ = default.__doc__

    def __set_name__(self, owner: type[NamedFacts], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type[NamedFacts]) -> Self: ...

    @overload
    def __get__(self, instance: NamedFacts, owner: type[NamedFacts]) -> T: ...

    def __get__(self, instance: NamedFacts | None, owner: type[NamedFacts]) -> Self | T:
        if instance is None:
            return self
        value: T
        if self.name in instance.sources:
            source: Any = instance.sources[self.name]
            value = source() if callable(source) else source
        else:
            value = self.default(instance)
        # The instance attribute hides this descriptor from now on, so the value is computed once.
        instance.__dict__[self.name] = value
        return value


class MeasuredQuantity(Fact[float]):
    """A number that has a normal range in healthy.json."""


def fact(default: Callable[[Any], T]) -> Fact[T]:
    """Declare a fact; the method computes its default."""
    return Fact(default)


def quantity(default: Callable[[Any], float]) -> MeasuredQuantity:
    """Declare a quantity with a normal range; the method derives it from facts. NaN means not measured."""
    return MeasuredQuantity(default)


class NamedFacts:
    """Named facts and quantities, each given by a keyword argument, as a value or as a function that computes it.

    >>> class Sizes(NamedFacts):
    ...     @fact
    ...     def rows(self) -> int:
    ...         return 0
    >>> Sizes().rows, Sizes(rows=lambda: 3).rows
    (0, 3)

    Raises:
        TypeError: for an argument that is not a fact or a quantity.
    """

    def __init__(self, **sources: object) -> None:
        unknown = [name for name in sources if not isinstance(getattr(type(self), name, None), Fact)]
        if unknown:
            raise TypeError(f"unknown measurements: {', '.join(unknown)}")
        self.sources: Mapping[str, object] = sources
