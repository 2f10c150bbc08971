"""Text from outside (names, labels, files, values) in a form that is safe to show."""

from __future__ import annotations

import json
import math
import reprlib
import unicodedata
from collections.abc import Callable
from typing import Protocol, runtime_checkable

_MOST_CHARACTERS = 200
_MOST_ITEMS = 10
_MOST_DIGITS = 40


def printable(text: str) -> str:
    r"""The text with every character escaped that is not shown as itself, except line ends.

    Such characters are control characters (ESC, BEL, CR, C1), signs that change the direction of writing, signs without
    a width, line and paragraph separators, lone surrogates, and code points that are not assigned. A terminal obeys
    some of them, and others hide what a text says.

    >>> print(printable("a\x1b[31mb\u202ec\td"))
    a\x1b[31mb\u202ec\td
    """
    return _with_escapes(text, lambda character: character.encode("unicode_escape").decode())


def printable_json(text: str) -> str:
    r"""A text of JSON or JavaScript with the same characters escaped inside of its strings: \u001b.

    >>> print(printable_json('["a\u202eb"]'))
    ["a\u202eb"]
    """
    return _with_escapes(text, lambda character: json.dumps(character)[1:-1])


def _with_escapes(text: str, escape: Callable[[str], str]) -> str:
    def shown(character: str) -> str:
        plain = character.isprintable() or unicodedata.category(character) == "Zs"
        return character if plain else escape(character)

    return "\n".join(line if line.isprintable() else "".join(map(shown, line)) for line in text.split("\n"))


def received(value: object) -> str:
    """A received value as a message shows it: as it is written in Python, in one short line.

    Numbers and text of NumPy are shown as those of Python, large arrays by their shape, and long values are shortened.

    >>> import numpy as np
    >>> received(np.int64(3)), received(np.str_("3")), received([np.float32(0.5), None])
    ('3', "'3'", '[0.5, None]')
    >>> received(np.zeros((50, 2)))
    'an array of shape (50, 2)'
    """
    return printable(_WRITER.repr(value)).replace("\n", " ")


@runtime_checkable
class _OfNumpy(Protocol):
    """A scalar or an array of NumPy, or a tensor of PyTorch; named so that this module does not import them."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def tolist(self) -> object: ...


class _Writer(reprlib.Repr):
    """Writes values short; reprlib finds its methods by the names of types."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = _MOST_ITEMS
        self.maxstring = self.maxother = _MOST_CHARACTERS
        self.maxlong = _MOST_DIGITS
        self.maxlevel = 4

    def repr1(self, x: object, level: int) -> str:
        if isinstance(x, _OfNumpy) and not isinstance(x, type):
            if math.prod(x.shape) > _MOST_ITEMS:
                return f"an array of shape {tuple(x.shape)}"
            x = x.tolist()
        return super().repr1(x, level)

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write integers of many thousand digits.
        if abs(x) >= 10**self.maxlong:
            return f"an integer of {x.bit_length()} bits"
        return repr(x)


_WRITER = _Writer()
