"""A table as LaTeX, for a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Real

from ..core.printable import printable
from .blocks import Table
from .numbers import number

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "²": r"\textsuperscript{2}",
    "±": r"$\pm$",
    "–": "--",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


def latex_table(table: Table) -> str:
    r"""The table in the environments `table` and `tabular`, with the rules of the package booktabs.

    Columns of numbers are aligned to the right. No text of the table is read as a command of LaTeX.

    >>> print(latex_table(Table("Loss by rate", ("rate", "loss"), [("0.1 & up", 0.25)])))
    \begin{table}
      \centering
      \caption{Loss by rate}
      \begin{tabular}{lr}
        \toprule
        rate & loss \\
        \midrule
        0.1 \& up & 0.25 \\
        \bottomrule
      \end{tabular}
    \end{table}
    <BLANKLINE>
    """

    def line(cells: Sequence[object]) -> str:
        return f"    {' & '.join(_escaped(number(cell, table.digits)) for cell in cells)} \\\\"

    def numeric(column: int) -> bool:
        return bool(table.rows) and all(isinstance(row[column], Real | None) for row in table.rows)

    alignment = "".join("r" if numeric(column) else "l" for column in range(len(table.columns)))
    total = [r"    \midrule", line(table.total)] if table.total else []
    lines = [
        r"\begin{table}",
        r"  \centering",
        *([f"  \\caption{{{_escaped(table.caption)}}}"] if table.caption else []),
        f"  \\begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        line(table.columns),
        r"    \midrule",
        *map(line, table.rows),
        *total,
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """The text on one line, with minus signs for the hyphens before numbers."""
    pieces = re.split(r"((?<!\w)-(?=[\d.]))", " ".join(printable(text).split()))
    return "".join("$-$" if k % 2 else _letters(piece) for k, piece in enumerate(pieces))


def _letters(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)
