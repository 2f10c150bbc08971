"""Errors that a user can fix: what was expected, what was received, and the likely fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

LONGEST = 2000
"""Most characters of the message of an error."""
_LONGEST_PROBLEM = 600
_LONGEST_SUBJECT = 300
# No name of the project comes near: it takes long to compare longer ones.
_LONGEST_NAME = 200


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

    Its message has at most `LONGEST` characters: long values are shortened, and of many problems it lists the first.

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
        super().__init__(_message(shortened(subject, _LONGEST_SUBJECT), self.problems))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, tuple[Problem, ...]]]:
        """Pickle it by its arguments, so that it passes from one process to another."""
        return type(self), (self.subject, tuple(self.problems))


def _message(subject: str, problems: Sequence[Problem]) -> str:
    if len(problems) == 1:
        return f"{subject}: {shortened(str(problems[0]), LONGEST - _LONGEST_SUBJECT - 2)}"
    text = f"{subject}: {len(problems)} problems"
    for index, problem in enumerate(problems):
        line = f"\n  - {shortened(str(problem), _LONGEST_PROBLEM)}"
        rest = f"\n  - and {len(problems) - index} more"
        if len(text) + len(line) + len(rest) > LONGEST:
            return text + rest
        text += line
    return text


def shortened(text: str, longest: int = 200) -> str:
    """A text without its middle, where it has more than `longest` characters.

    >>> shortened("a" * 50 + "b" * 50, 25)
    'aaaaaaaaaa ... bbbbbbbbbb'
    """
    if len(text) <= longest:
        return text
    half = (longest - len(" ... ")) // 2
    return f"{text[:half]} ... {text[-half:]}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the known name nearest to it, or all of them if none is near.

    >>> nearest("rellu", ["relu", "tanh"])
    "did you mean 'relu'?"
    >>> nearest("xyz", ["relu", "tanh"])
    'known: relu, tanh'
    """
    names = list(known)
    if len(name) > _LONGEST_NAME:
        return f"known: {', '.join(names)}"
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"
