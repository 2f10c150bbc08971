"""The blocks that a worksheet is made of: text, formulas, numbers, tables, figures, claims, things to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Heading:
    """The title of the part that follows."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph. Words between backquotes are code."""

    text: str


@dataclass(frozen=True)
class Formula:
    """Formulas as plain text with the signs of mathematics, one a line."""

    text: str


@dataclass(frozen=True, eq=False)
class ArrayBlock:
    """An array with its name, the formula it came by, and a remark; its shape is told with it."""

    name: str
    values: np.ndarray
    formula: str = ""
    remark: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of words and numbers under the names of the columns."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure, and in words what is to be seen in it, for those who do not see it."""

    figure: go.Figure
    caption: str


@dataclass(frozen=True, eq=False)
class Check:
    """A sentence with what was measured, and what it says the measure is, to within `tolerance` (absolute).

    Without `expected` the sentence holds where `measured` is true.

    >>> Check("one and one are two", 1 + 1, 2).holds
    True
    """

    says: str
    measured: Any
    expected: Any = True
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether what was measured is what the sentence says."""
        measured, expected = np.asarray(self.measured), np.asarray(self.expected)
        if measured.shape != expected.shape:
            return False
        return (
            bool(np.all(np.abs(measured - expected) <= self.tolerance))
            if measured.dtype.kind in "iuf"
            else bool(np.all(measured == expected))
        )


@dataclass(frozen=True)
class Suggestion:
    """Something to try, with the command that does it."""

    text: str
    command: str = ""


Block = Heading | Text | Formula | ArrayBlock | Table | Chart | Check | Suggestion

Settings = Sequence[tuple[str, str]]
"""Names and values of parameters."""
