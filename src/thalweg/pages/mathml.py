"""Formulas of plain text as MathML, which browsers draw without a network connection and never break across lines.

A formula is written with mathematical signs: `dL/dW = xᵀ δ₂`, `y_k = exp(z_k) / Σ_j exp(z_j)`, `v ← μ v - η g`. Words
may stand between its parts: `y = z where z > 0, else α z`. A slash between spaces divides all factors before it; one
without spaces divides its two neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape as escape_html
from itertools import groupby, pairwise
from typing import NamedTuple

from ..core.printable import printable
from .formula_tokens import (
    BRACKETS,
    END,
    FUNCTIONS,
    GREEK,
    INDEX_WORDS,
    INFIX,
    RELATIONS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    Token,
    tokens_of,
)

_SIGNS = {"<-": "←", "->": "→", "<=": "≤", ">=": "≥", "*": "·", "-": "−"}
_NO_BREAK = "\u00a0"


class _Factor(NamedTuple):
    """A factor of a product: its markup, and the same without its outer brackets."""

    markup: str
    bare: str


def formula_html(text: str) -> str:
    """Formulas, one a line, as a block of HTML; parts that two or more spaces separate may stand below each other.

    >>> formula_html("z = x + b")
    '<div class="formula" tabindex="0">\\n<div><span><math displaystyle="true"><mi>z</mi><mo>=</mo><mi>x</mi>\
<mo>+</mo><mi>b</mi></math></span></div>\\n</div>\\n'
    """
    lines = [re.split(r" {2,}", line.strip()) for line in text.strip("\n").splitlines()]
    # Names in a column of their own: no line begins with an equation.
    named = all(len(parts) > 1 and not RELATIONS & set(parts[0]) for parts in lines)
    content = ""
    for first, *others in lines:
        parts = [f'<span class="name">{_escaped(first)}</span>' if named else _part(first), *map(_part, others)]
        content += f"<div>{' '.join(parts)}</div>\n"
    return f'<div class="formula{" named" if named else ""}" tabindex="0">\n{content}</div>\n'


def inline_formula(text: str) -> str:
    """A formula within a line of HTML; its fractions have a slash.

    >>> inline_formula("y²")
    '<math><msup><mi>y</mi><mn>2</mn></msup></math>'
    """
    return _Reader(text, display=False).markup()


def _part(text: str) -> str:
    return f"<span>{_Reader(text, display=True).markup()}</span>"


class _Reader:
    """Reads a formula once from left to right."""

    def __init__(self, text: str, display: bool) -> None:
        self._tokens = _articles(tokens_of(text))
        self._place = 0
        self._display = display
        self._opening = '<math displaystyle="true">' if display else "<math>"

    def markup(self) -> str:
        """The whole formula, with the prose between its parts."""
        return f"{self._opening}{self.row()}</math>".replace(f"{self._opening}</math>", "")

    def row(self, closing: str = "") -> str:
        """The markup up to a closing bracket, which is left, or to the end."""
        content = ""
        last = "="
        while (token := self._next) is not None and token.text != closing:
            if token.kind in ("word", "code") and last not in INFIX and not self._is_raised():
                content += self._words(outside=not closing)
            elif self._begins_factor(token):
                content += self._product()
            else:
                is_sign = token.text in INFIX and (last in ",;:" or last in RELATIONS or last in INFIX)
                content += _operator_markup(self._take().text, ' form="prefix"' if is_sign else "")
            last = token.text
        return content

    @property
    def _next(self) -> Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _take(self) -> Token:
        self._place += 1
        return self._tokens[self._place - 1]

    def _is_raised(self) -> bool:
        """Whether the token behind the next one is a power of it."""
        follower = self._tokens[self._place + 1] if self._place + 1 < len(self._tokens) else END
        return follower.text in SUPERSCRIPTS and not follower.before

    def _words(self, outside: bool) -> str:
        """Words between the parts of a formula, with the spaces around them.

        Those outside of brackets are prose between two formulas, where a line may be broken.
        """
        words = [self._take()]
        while (token := self._next) is not None and token.kind in ("word", "code") and not self._is_raised():
            words.append(self._take())
        ends = [" " if words[0].before else "", " " if words[-1].after else ""]
        text = _escaped(" ".join(word.text.strip("`") for word in words).join(ends))
        return f"</math>{text}{self._opening}" if outside else f"<mtext>{text.replace(' ', _NO_BREAK)}</mtext>"

    def _begins_factor(self, token: Token) -> bool:
        return token.kind in ("number", "name", "word") or token.text in BRACKETS or token.text in "√ΣΠ|∂∇"

    def _product(self) -> str:
        """Factors side by side, and fractions of them where a slash stands between spaces."""
        factors = [self._factor()]
        while (token := self._next) is not None:
            if token.text == "/" and self._display and (token.before or token.after):
                self._take()
                over = factors[0].bare if len(factors) == 1 else _joined(factors)
                factors = [_fraction(over, self._denominator())]
            elif token.kind != "word" and token.text != "|" and self._begins_factor(token):
                factors.append(self._factor())
            else:
                break
        return _joined(factors)

    def _denominator(self) -> str:
        """What stands below a fraction: one factor; a sum sign takes all factors behind it, a function its argument."""
        if (token := self._next) is None:
            return "<mrow></mrow>"
        factors = [self._factor()]
        if token.text in "ΣΠ" or (token.text in FUNCTIONS and token.after):
            while (follower := self._next) is not None and self._is_argument(follower):
                factors.append(self._factor())
        return factors[0].bare if len(factors) == 1 else _joined(factors)

    def _is_argument(self, token: Token) -> bool:
        return token.kind in ("number", "name") or token.text in BRACKETS

    def _factor(self) -> _Factor:
        token = self._take()
        if token.text in BRACKETS or token.text == "|":
            base = self._bracketed(token.text)
        elif token.text == "√" or (token.text == "sqrt" and self._is_sign("(")):
            inner = self._factor().bare if self._next is not None else ""
            base = _whole(f"<msqrt>{inner}</msqrt>")
        else:
            base = _whole(_leaf(token))
        base = self._attached(base, token)
        while self._is_sign("/") and self._display and not self._tokens[self._place].after:
            self._take()
            if self._next is not None:
                base = _fraction(base.bare, self._factor_below())
        return base

    def _factor_below(self) -> str:
        token = self._take()
        below = self._bracketed(token.text) if token.text in BRACKETS else _whole(_leaf(token))
        return self._attached(below, token).bare

    def _bracketed(self, opening: str) -> _Factor:
        closing = BRACKETS.get(opening, "|")
        inner = self.row(closing)
        if self._next is not None:
            self._take()
        ends = [f'<mo fence="true" form="{form}">' for form in ("prefix", "postfix")]
        markup = f"<mrow>{ends[0]}{opening}</mo>{inner}{ends[1]}{closing}</mo></mrow>"
        return _Factor(markup, f"<mrow>{inner}</mrow>" if opening == "(" else markup)

    def _attached(self, base: _Factor, token: Token) -> _Factor:
        """A factor with what is written next to it: indices, powers, primes, and the arguments of a function."""
        below = ""
        above = ""
        while (follower := self._next) is not None and not follower.before:
            text = follower.text
            if text == "_" and not below:
                self._take()
                below = self._index()
            elif follower.kind == "number" and token.kind == "name" and text.isdecimal() and not below + above:
                below = f"<mn>{self._take().text}</mn>"
            elif text in SUBSCRIPTS:
                below += self._run(SUBSCRIPTS)
            elif text in SUPERSCRIPTS:
                above += self._run(SUPERSCRIPTS)
            elif text in ("'", "′"):
                self._take()
                above += "<mo>′</mo>"
            elif text == "^":
                self._take()
                above += self._index()
            elif text in ("(", "[") and token.kind == "name":
                self._take()
                called = self._bracketed(text).markup
                base = _whole(f"<mrow>{_scripted(base.markup, below, above)}{called}</mrow>")
                below = above = ""
            else:
                break
        return _whole(_scripted(base.markup, below, above)) if below or above else base

    def _index(self) -> str:
        if (token := self._next) is None:
            return "<mrow></mrow>"
        if token.text in ("-", "−"):
            self._take()
            return f"<mrow><mo>−</mo>{self._index()}</mrow>"
        self._take()
        if token.text in BRACKETS:
            return self._bracketed(token.text).bare
        if token.kind in ("word", "name") and token.text not in GREEK:
            # Several letters are several indices, but for short words.
            letters = token.text if token.text in INDEX_WORDS else list(token.text)
            return (
                f"<mtext>{_escaped(letters)}</mtext>" if isinstance(letters, str) else _row(map(_identifier, letters))
            )
        return _leaf(token)

    def _run(self, letters: dict[str, str]) -> str:
        signs = ""
        while (token := self._next) is not None and token.text in letters and not (signs and token.before):
            signs += letters[self._take().text]
        runs = ["".join(run) for _, run in groupby(signs, str.isdigit)]
        return _row(f"<mn>{run}</mn>" if run.isdigit() else _row(map(_letter_or_sign, run)) for run in runs)

    def _is_sign(self, text: str) -> bool:
        return self._next is not None and self._next.text == text and not self._next.before


def _whole(markup: str) -> _Factor:
    """A factor without outer brackets."""
    return _Factor(markup, markup)


def _articles(tokens: list[Token]) -> list[Token]:
    """The tokens with each `a` that is an English article as a word: before a word, or between a word and a number."""
    read: list[Token] = []
    for token, follower in pairwise([*tokens, END]):
        after_word = bool(read) and read[-1].kind == "word" and follower.kind == "number"
        article = token.text in ("a", "A") and follower.before and (follower.kind == "word" or after_word)
        read.append(token._replace(kind="word") if article and follower is not END else token)
    return read


def _leaf(token: Token) -> str:
    if token.kind == "number":
        return f"<mn>{_escaped(token.text)}</mn>"
    if token.kind == "name" and token.text not in FUNCTIONS:
        if token.is_differential:
            return f"<mrow><mi>{token.text[0]}</mi>{_identifier(GREEK.get(token.text[1:], token.text[1:]))}</mrow>"
        return _identifier(GREEK.get(token.text, token.text))
    if token.kind in ("name", "word"):
        return f'<mi mathvariant="normal">{_escaped(token.text)}</mi>'
    return _operator_markup(token.text)


def _identifier(name: str) -> str:
    if name.endswith("\u0302"):
        return f'<mover accent="true"><mi>{_escaped(name[:-1])}</mi><mo stretchy="false">^</mo></mover>'
    return f"<mi>{_escaped(name)}</mi>"


def _letter_or_sign(letter: str) -> str:
    return f'<mi mathvariant="normal">{letter}</mi>' if letter.isalpha() else _operator_markup(letter)


def _operator_markup(sign: str, attributes: str = "") -> str:
    return f"<mo{attributes}>{_escaped(_SIGNS.get(sign, sign))}</mo>"


def _scripted(base: str, below: str, above: str) -> str:
    if below and above:
        return f"<msubsup>{base}{_one(below)}{_one(above)}</msubsup>"
    if below:
        return f"<msub>{base}{_one(below)}</msub>"
    return f"<msup>{base}{_one(above)}</msup>" if above else base


def _one(markup: str) -> str:
    """Markup as a single element."""
    return f"<mrow>{markup}</mrow>" if markup.count("<m") > 1 else markup


def _fraction(over: str, below: str) -> _Factor:
    return _whole(f"<mfrac><mrow>{over}</mrow><mrow>{below}</mrow></mfrac>")


def _joined(factors: list[_Factor]) -> str:
    # A thin space keeps names of functions and variables apart.
    return '<mspace width="0.17em"></mspace>'.join(factor.markup for factor in factors)


def _row(parts: Iterator[str] | map[str]) -> str:
    markup = list(parts)
    return markup[0] if len(markup) == 1 else f"<mrow>{''.join(markup)}</mrow>"


def _escaped(text: str) -> str:
    return escape_html(printable(text), quote=False)
