"""Formulas that stand within prose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from .formula_tokens import (
    BRACKETS,
    END,
    FUNCTIONS,
    INDEX_WORDS,
    INFIX,
    RELATIONS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    Token,
    tokens_of,
)

# More letters behind `_` are a name, not indices.
_MOST_INDICES = 3
# Names that are functions before an argument in brackets, and common words elsewhere.
_WORDS_TOO = FUNCTIONS - {"exp", "ln", "sin", "cos", "tan", "tanh", "softplus", "sqrt", "det"}
_ARTICLES = frozenset({"a", "A", "I"})
_SCRIPTS = frozenset({*SUPERSCRIPTS, *SUBSCRIPTS, "_", "^", "'", "′"})
_OPEN_ENDED = RELATIONS | INFIX | {"/", "_", "^", ","}
_PREFIXES = frozenset({"√", "Σ"})
_SIGNS = RELATIONS | INFIX | _SCRIPTS | _PREFIXES | {"/", "|", *BRACKETS, *BRACKETS.values()}


def with_formulas(text: str) -> list[str]:
    """A text in pieces: prose at the even places, and at the odd ones the formulas that stand in it.

    A formula is a sequence of signs, numbers and letters with an operator between two of them, or a derivative.

    >>> with_formulas("Steps are 1 / (1 - μ) times as long: a factor of 3.")
    ['Steps are ', '1 / (1 - μ)', ' times as long: a factor of 3.']
    >>> with_formulas("the x-axis, I/O and 3 + 4")
    ['the x-axis, I/O and 3 + 4']
    """
    pieces = []
    place = 0
    for run in _runs(tokens_of(text)):
        formula = _formula(run)
        if formula:
            pieces += [text[place : formula[0].first], text[formula[0].first : formula[-1].last]]
            place = formula[-1].last
    return [*pieces, text[place:]]


def _runs(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The longest sequences of tokens that may belong to a formula, with at most one space between two of them."""
    run: list[Token] = []
    for token, follower in pairwise([*tokens, END]):
        if run and (token.first - run[-1].last > 1 or not _may_follow(token, follower, run)):
            yield run
            run = []
        if _may_follow(token, follower, run):
            run.append(token)
    yield run


def _may_follow(token: Token, follower: Token, run: Sequence[Token]) -> bool:
    """Whether a token may belong to the formula that begins with `run`."""
    if token.kind == "word":
        return bool(run) and run[-1].text == "_" and (token.text in INDEX_WORDS or len(token.text) <= _MOST_INDICES)
    if token.text in _WORDS_TOO:
        return follower.text == "(" and not follower.before
    if token.text == ",":
        return sum((one.text in BRACKETS) - (one.text in BRACKETS.values()) for one in run) > 0
    return token.kind in ("number", "name") or token.text in _SIGNS


def _formula(run: list[Token]) -> list[Token]:
    """The formula within a run of tokens, or nothing: whole brackets, operands at both ends, an operator between."""
    run = _balanced(run)
    while run and run[-1].text in _OPEN_ENDED | _PREFIXES:
        run = _balanced(run[:-1])
    while run and _is_prose(run):
        run = _balanced(run[1:])
    variable = any(token.kind == "name" and token.text not in FUNCTIONS for token in run)
    derivative = any(token.is_differential for token in run)
    operators = [token for token in run[1:] if token.is_operator or token.text in _PREFIXES]
    apart = any((token.before and token.after) or token.text in _PREFIXES for token in operators)
    bars = sum(token.text == "|" for token in run)
    return run if variable and operators and (apart or derivative) and bars % 2 == 0 else []


def _is_prose(run: Sequence[Token]) -> bool:
    """Whether a run begins with what belongs to the sentence: an operator without an operand, or an article."""
    first = run[0]
    if first.text == "-" and not first.after:
        return False
    article = first.text in _ARTICLES and len(run) > 1 and run[1].before and not run[1].is_operator
    return article or first.text in _OPEN_ENDED | _SCRIPTS


def _balanced(run: list[Token]) -> list[Token]:
    """The longest beginning of a run in which each bracket is closed."""
    expected: list[tuple[str, int]] = []
    for k, token in enumerate(run):
        if token.text in BRACKETS:
            expected.append((BRACKETS[token.text], k))
        elif token.text in BRACKETS.values() and (not expected or expected.pop()[0] != token.text):
            return _balanced(run[:k])
    return run[: expected[0][1]] if expected else run
