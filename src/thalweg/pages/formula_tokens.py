"""The numbers, names, words and signs of formulas that are written as plain text."""

from __future__ import annotations

import re
from typing import NamedTuple

GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "eta": "η",
    "lambda": "λ",
    "mu": "μ",
    "omega": "ω",
    "phi": "φ",
    "Phi": "Φ",
    "pi": "π",
    "rho": "ρ",
    "sigma": "σ",
    "xhat": "x\u0302",
}
"""Variables that are written as words."""
FUNCTIONS = frozenset(
    {"exp", "log", "ln", "sin", "cos", "tan", "tanh", "max", "min", "sqrt", "det", "mean", "rms", "sign", "var", "Var"}
    | {"softmax", "softplus", "sigmoid", "relu", "ReLU"}
)
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀᵗⁿ", "0123456789+-Ttn", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
RELATIONS = frozenset({"=", "≈", "≠", "<", ">", "≤", "≥", "<=", ">=", "<-", "->", "←", "→", "~", "∈"})
INFIX = frozenset({"+", "-", "−", "±", "·", "×", "*"})
BRACKETS = {"(": ")", "[": "]", "{": "}", "⌊": "⌋", "⌈": "⌉"}
INDEX_WORDS = frozenset({"in", "out", "max", "min"})
"""Words that stand as an index; other letters behind `_` are an index each."""

_TOKEN = re.compile(
    r"(?P<number>\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?|[½¼¾∞])"
    r"|(?P<name>(?:[A-Za-zÀ-ÖØ-öø-ſΑ-ωϵ∂]\u0302?)+)"
    r"|(?P<code>`[^`]*`)"
    r"|(?P<sign><-|->|<=|>=|\.\.\.|\S)"
)


class Token(NamedTuple):
    """A piece of a formula."""

    kind: str
    """`number`, `name` (of a variable or a function), `word`, `code` or `sign`."""
    text: str
    first: int
    """The place of its first character."""
    before: bool
    """Whether a space stands before it."""
    after: bool
    """Whether a space or the end stands behind it."""

    @property
    def last(self) -> int:
        """The place behind its last character."""
        return self.first + len(self.text)

    @property
    def is_operator(self) -> bool:
        """Whether it stands between two operands."""
        return self.text in RELATIONS or self.text in INFIX or self.text == "/"

    @property
    def is_differential(self) -> bool:
        """Whether it is a differential such as `dL`."""
        return self.kind == "name" and self.text not in GREEK and self.text[0] in "d∂" and self.text[1:2].isalpha()


END = Token("word", "", 0, True, True)
"""What stands behind the last token."""


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text.

    >>> [(token.kind, token.text) for token in tokens_of("dL/dW = 2x where")]
    [('name', 'dL'), ('sign', '/'), ('name', 'dW'), ('sign', '='), ('number', '2'), ('name', 'x'), ('word', 'where')]
    """
    tokens = []
    for match in _TOKEN.finditer(text):
        first, last = match.span()
        kind = match.lastgroup or ""
        if kind == "name" and match[0] not in FUNCTIONS and not _is_variable(match[0]):
            kind = "word"
        spaces = (first > 0 and text[first - 1].isspace(), last == len(text) or text[last].isspace())
        tokens.append(Token(kind, match[0], first, *spaces))
    return tokens


def _is_variable(name: str) -> bool:
    """Whether letters are a variable: one letter, a Greek one by its name, or the differential of these."""
    rest = name[1:] if len(name) > 1 and name[0] in "d∂" and name not in ("do", *GREEK) else name
    return rest in GREEK or len(rest.replace("\u0302", "")) == 1
