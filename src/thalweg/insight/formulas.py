"""The formulas of layers, losses and optimizers, read from their docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from ..parts.part import Optimizer, Part


class Formulas(NamedTuple):
    """What a part computes, and its derivative; `backward` is empty for an optimizer."""

    forward: str
    backward: str = ""


def formulas(part: type[Part]) -> Formulas:
    """The formulas of a kind of layer, loss or optimizer, one a line, from its docstring.

    The docstring begins with the formula, after an optional name and a colon. The derivative follows after a semicolon,
    or in a paragraph that begins with `Backward` (for a loss also with `dl/d`). A paragraph with an equation that
    begins with `With` or `In training` belongs to the formula. The first sentence of each of these paragraphs is used.

    >>> from thalweg.parts.layers import Tanh
    >>> formulas(Tanh)
    Formulas(forward='y = tanh(z)', backward='dy/dz = 1 - y²')
    """
    first, *others = _paragraphs(inspect.cleandoc(part.__doc__ or "").split(">>>")[0])
    backward = [text for text in others if text.startswith(("Backward", "dl/d"))]
    forward = [text for text in others if text.startswith(("With ", "In training ")) and "=" in text]
    if "=" in first or "->" in first or not forward:
        first = re.sub(r"^[A-Z][^=:]*: ", "", first)
        if not issubclass(part, Optimizer) and ";  " in first:
            first, derivative = first.split(";  ", 1)
            backward.insert(0, derivative)
        forward.insert(0, first)
    return Formulas(_equation_lines(forward), _equation_lines(backward))


def _paragraphs(text: str) -> list[str]:
    """Paragraphs, each on one line; an indented block is kept as it is and belongs to the paragraph before it."""
    paragraphs: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith(" ") and paragraphs:
            paragraphs[-1] += "\n" + textwrap.dedent(paragraph)
        else:
            paragraphs.append(" ".join(paragraph.split("\n")))
    return paragraphs


def _equation_lines(paragraphs: Sequence[str]) -> str:
    """The first sentence of each paragraph, broken where two spaces separate its equations."""
    sentences = (re.split(r"\. (?=[A-Z])", text)[0].removesuffix(".") for text in paragraphs)
    lines = "\n".join(re.sub(r"^Backward[,:]? |(?<=[;,:.])  +", "\n", text) for text in sentences).splitlines()
    return "\n".join(line.rstrip(",;. ") for line in lines if line)
