"""Errors that a user can fix: what was expected, what was received, and the likely fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Problem(NamedTuple):
    """One fault in the input.

    place: where it is (`optimizer.learning_rate`), or empty.
    message: what is wrong there.
    """

    place: str
    message: str

    def below(self, place: str) -> Problem:
        """The same problem, with `place` put before its own place."""
        joint = "" if not self.place or self.place.startswith("[") else "."
        return Problem(f"{place}{joint}{self.place}", self.message)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class InputError(ValueError):
    """Invalid input. Holds every problem found, not only the first.

    Args:
        subject: what is invalid: a part, a file, an option.
        problems: the problems, or the message of a single one.

    >>> error = InputError("Adam", [Problem("learning_rate", "expected a number, received 'fast'")])
    >>> print(error)
    Adam: learning_rate: expected a number, received 'fast'
    """

    def __init__(self, subject: str, problems: Iterable[Problem] | str) -> None:
        self.subject = subject
        self.problems: Sequence[Problem] = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        if len(self.problems) == 1:
            text = f"{subject}: {self.problems[0]}"
        else:
            lines = "".join(f"\n  - {problem}" for problem in self.problems)
            text = f"{subject}: {len(self.problems)} problems{lines}"
        super().__init__(text)

    def __reduce__(self) -> tuple[type[InputError], tuple[str, tuple[Problem, ...]]]:
        """Pickle it by its arguments, so that it passes from one process to another."""
        return type(self), (self.subject, tuple(self.problems))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the known name nearest to it, or all of them if none is near.

    >>> nearest("rellu", ["relu", "tanh"])
    "did you mean 'relu'?"
    >>> nearest("xyz", ["relu", "tanh"])
    'known: relu, tanh'
    """
    names = list(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"
