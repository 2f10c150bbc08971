"""Formulas typed by a user: parsed with Python's grammar, and evaluated with the functions listed here only.

The text is never executed. The syntax tree of Python's parser is walked once: anything that is not arithmetic is
refused, and the rest becomes a function of arrays. Length, depth and size are limited, so that no text can take long or
fill the memory.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import NamedTuple

import numpy as np

from .arrays import Scalar, namespace
from .errors import InputError, Problem, nearest
from .functions import log_softmax, sigmoid, softmax, softplus

LONGEST = 1000
"""Most characters of a formula."""
DEEPEST = 100
"""Most operations nested in each other."""
LARGEST = 10**6
"""Most numbers in an array that an operation makes."""

_Values = Mapping[str, Scalar]
_Term = Callable[[_Values], Scalar]
# A value and its derivative; None where the value does not depend on the variable.
_Dual = tuple[Scalar, Scalar | None]
_Partials = tuple[Callable[..., Scalar], ...]


@dataclass(frozen=True)
class Expression:
    """A formula of named numbers or arrays, as a function: `Expression.parse("y - t", ["y", "t"])(y=0.8, t=1.0)`.

    A formula consists of numbers, the given names, pi and e, + - * / ** @, comparisons (which give 0 or 1), `.T`, rows
    of numbers in brackets, and the functions of `FUNCTIONS`; `sum`, `mean`, `max` and `min` take `axis` and `keepdims`.
    ^ and ² are read as powers, · and × as products, ᵀ as `.T`, and Greek letters as their names (σ is sigma, which is
    sigmoid). Numbers are floats; undefined results are NaN or infinite.

    >>> import numpy
    >>> Expression.parse("(σ(z) - t)²", ["z", "t"])(z=numpy.zeros(2), t=numpy.array([0.0, 1.0])).tolist()
    [0.25, 0.25]
    >>> Expression.parse("[[1, 2], [3, 4]] @ [1, 1/2]")().tolist()
    [2.0, 5.0]
    >>> Expression.parse("y - q", ["y", "t"])
    Traceback (most recent call last):
    ...
    thalweg.core.errors.InputError: formula: at character 5, 'q': unknown name; known: y, t
    """

    text: str
    names: tuple[str, ...]
    term: _Term = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, names: Collection[str] = (), without: Collection[str] = ()) -> Expression:
        """Parse `text`, which may use `names` and all functions except those in `without`.

        Raises InputError with the place in the text if it is not such a formula.
        """
        return cls(text, tuple(names), _Reader(text, names, without).read())

    def __call__(self, **values: Scalar) -> Scalar:
        """The value for arrays (of one namespace) or numbers by name. All names of the formula must be given.

        Raises InputError with the place in the text if shapes do not match.
        """
        with np.errstate(all="ignore"):
            # Integers have no negative powers; times 1.0 they become floats of the same namespace.
            return self.term({name: 1.0 * value for name, value in values.items()})

    def derivative(self, name: str) -> Expression:
        """The exact ∂/∂name, number by number, by the rules for sums, products, quotients, powers and the chain rule.

        Supported are numbers, names, + - * / ^, comparisons (derivative 0), max and min of two, and functions of one
        number. At a kink it is the derivative of one side. Raises InputError with the place in the text for anything
        else.

        >>> Expression.parse("x^2 + 3*x*y", ["x", "y"]).derivative("x")(x=2.0, y=5.0)
        19.0
        >>> Expression.parse("sum(x)", ["x"]).derivative("x")
        Traceback (most recent call last):
        ...
        thalweg.core.errors.InputError: formula: at character 1, 'sum(x)': has no derivative here; expected numbers, \
names, + - * / ^, comparisons and functions of one number
        """
        return Expression(f"∂/∂{name} ({self.text})", self.names, _Reader(self.text, self.names, ()).slope(name))


class _Function(NamedTuple):
    """A function that formulas may call."""

    apply: Callable[..., Scalar]
    """The function of arrays."""
    least: int = 1
    """Fewest positional arguments."""
    most: int = 1
    """Most positional arguments."""
    settings: tuple[str, ...] = ()
    """Names of its keyword arguments."""
    partials: _Partials = ()
    """Its derivatives by each argument, if it is elementwise."""


def _of_one(name: str, slope: Callable[[ModuleType, Scalar], Scalar]) -> _Function:
    """A function of the Array API with its derivative, `slope(namespace, x)`."""
    return _Function(lambda x: getattr(namespace(x), name)(x), partials=(lambda x: slope(namespace(x), x),))


def _of_two(name: str, first: Callable[[Scalar, Scalar], Scalar]) -> _Function:
    """A function that gives the first of two numbers where the comparison `first` holds, else the second."""
    partials = (lambda x, y: _as_numbers(first, x, y), lambda x, y: 1 - _as_numbers(first, x, y))
    return _Function(lambda x, y: getattr(_shared(x, y), name)(x, y), 2, 2, partials=partials)


def _reduced(name: str) -> _Function:
    return _Function(lambda x, **axis: getattr(namespace(x), name)(x, **axis), settings=("axis", "keepdims"))


def _extreme(name: str, pairwise: _Function) -> _Function:
    """max(z) over all numbers or an axis, and max(z, 0) elementwise: formulas use one name for both."""
    whole = _reduced(name)

    def apply(x: Scalar, *other: Scalar, **axis: int | bool) -> Scalar:
        return pairwise.apply(x, *other) if other else whole.apply(x, **axis)

    return _Function(apply, 1, 2, whole.settings, pairwise.partials)


def _onehot(classes: Scalar, width: Scalar) -> Scalar:
    xp = namespace(classes)
    if isinstance(classes, float) or not isinstance(width, float) or not 1 <= width <= LONGEST:
        raise ValueError(f"expected an array of classes, and a number of classes from 1 to {LONGEST}")
    return xp.astype(classes[:, None] == xp.arange(int(width)), classes.dtype)


def _flat(*arguments: Scalar) -> Scalar:
    return 0.0


def _step(z: Scalar) -> Scalar:
    return _as_numbers(operator.ge, z, 0.0)


_MAXIMUM = _of_two("maximum", operator.ge)
_MINIMUM = _of_two("minimum", operator.le)
_SIGMOID = _Function(sigmoid, partials=(lambda z: sigmoid(z) * sigmoid(-z),))

FUNCTIONS: dict[str, _Function] = {
    "exp": _of_one("exp", lambda xp, x: xp.exp(x)),
    "log": _of_one("log", lambda xp, x: 1 / x),
    "sqrt": _of_one("sqrt", lambda xp, x: 0.5 / xp.sqrt(x)),
    "abs": _of_one("abs", lambda xp, x: xp.sign(x)),
    "sign": _of_one("sign", lambda xp, x: 0.0),
    "expm1": _of_one("expm1", lambda xp, x: xp.exp(x)),
    "log1p": _of_one("log1p", lambda xp, x: 1 / (1 + x)),
    "sin": _of_one("sin", lambda xp, x: xp.cos(x)),
    "cos": _of_one("cos", lambda xp, x: -xp.sin(x)),
    "tan": _of_one("tan", lambda xp, x: 1 + xp.tan(x) ** 2),
    "sinh": _of_one("sinh", lambda xp, x: xp.cosh(x)),
    "cosh": _of_one("cosh", lambda xp, x: xp.sinh(x)),
    "tanh": _of_one("tanh", lambda xp, x: 1 - xp.tanh(x) ** 2),
    "maximum": _MAXIMUM,
    "minimum": _MINIMUM,
    **{name: _reduced(name) for name in ("sum", "mean")},
    "max": _extreme("max", _MAXIMUM),
    "min": _extreme("min", _MINIMUM),
    "sigmoid": _SIGMOID,
    "sigma": _SIGMOID,
    "softplus": _Function(softplus, partials=(sigmoid,)),
    "softmax": _Function(softmax),
    "log_softmax": _Function(log_softmax),
    "relu": _Function(lambda z: namespace(z).maximum(z, 0.0), partials=(_step,)),
    "step": _Function(_step, partials=(_flat,)),
    "transpose": _Function(lambda x: x.T),
    "onehot": _Function(_onehot, 2, 2),
}
CONSTANTS = {"pi": math.pi, "e": math.e}

_OPERATORS: dict[type[ast.operator], Callable[[Scalar, Scalar], Scalar]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}
_PARTIALS: dict[type[ast.operator], _Partials] = {
    ast.Add: (lambda x, y: 1.0, lambda x, y: 1.0),
    ast.Sub: (lambda x, y: 1.0, lambda x, y: -1.0),
    ast.Mult: (lambda x, y: y, lambda x, y: x),
    ast.Div: (lambda x, y: 1 / y, lambda x, y: -x / (y * y)),
    ast.Pow: (lambda x, y: y * x ** (y - 1), lambda x, y: x**y * _shared(x, y).log(x)),
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Scalar, Scalar], Scalar]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_GREEK = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta"},
    **{"ι": "iota", "κ": "kappa", "λ": "lam", "μ": "mu", "ν": "nu", "ξ": "xi", "ο": "omicron", "π": "pi"},
    **{"ρ": "rho", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega"},
}
# Characters of mathematics that Python does not read; `lambda` is a keyword of Python.
_SPELLING = {
    **_GREEK,
    "^": "**",
    "²": "**2",
    "³": "**3",
    "ᵀ": ".T",
    "·": "*",
    "⋅": "*",
    "×": "*",
    "÷": "/",
    "−": "-",
    "√": "sqrt",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    **{sign: str(digit) for digit, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")},
}
_SHOWN = 40
_PLAIN = re.compile(r"[A-Za-z0-9_ .,()\[\]+\-*/@<>=!]")


class _Reader:
    """Parser of one text. Python's parser reads `python`; `origin` maps its characters back to the user's text."""

    def __init__(self, text: str, names: Collection[str], without: Collection[str]) -> None:
        self.text = text
        self.names = names
        self.without = without
        self.python = ""
        self.origin: list[int] = []

    def read(self) -> _Term:
        if len(self.text) > LONGEST:
            message = f"expected at most {LONGEST} characters, received {len(self.text)}"
            raise InputError("formula", message)
        if not self.text.strip():
            raise InputError("formula", "expected a formula, received nothing")
        self._spell()
        return self._term(self._parsed(), 0)

    def slope(self, by: str) -> _Term:
        """The derivative of a valid text by one of its names."""
        self._spell()
        dual = self._dual(self._parsed(), by)

        def term(values: _Values) -> Scalar:
            _, slope = dual(values)
            return 0.0 if slope is None else slope

        return term

    def _spell(self) -> None:
        """Write the text in plain characters, and note the origin of each."""
        for index, sign in enumerate(self.text):
            plain = " " if sign.isspace() else _SPELLING.get(sign, sign)
            if not all(_PLAIN.match(letter) for letter in plain):
                raise self._fault_at(index, f"{sign!r} is not allowed in a formula")
            # Python reads leading blanks as an indented line.
            if self.python or plain != " ":
                self.python += plain
                self.origin += [index] * len(plain)

    def _parsed(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return ast.parse(self.python, mode="eval").body
        except SyntaxError as error:
            # An offset of 0 means that the text ends too early.
            index = self.origin[error.offset - 1] if error.offset else len(self.text)
            message = "cannot be read from here on; write products as 2 * y and equality as =="
            raise self._fault_at(index, message) from None
        except (ValueError, MemoryError, RecursionError):
            raise InputError("formula", "cannot be read: too many nested operations") from None

    def _fault(self, node: ast.expr, message: str) -> InputError:
        """The error for a piece of the formula."""
        end = node.col_offset + 1 if node.end_col_offset is None else node.end_col_offset
        return self._fault_at(self.origin[node.col_offset], message, self.origin[end - 1] + 1)

    def _fault_at(self, start: int, message: str, end: int | None = None) -> InputError:
        piece = self.text[start:end]
        shown = repr(piece if len(piece) <= _SHOWN else piece[:_SHOWN] + "…")
        place = f"character {start + 1}, {shown}" if piece else "the end"
        return InputError("formula", [Problem(f"at {place}", message)])

    def _term(self, node: ast.expr, depth: int) -> _Term:
        if depth > DEEPEST:
            raise self._fault(node, f"more than {DEEPEST} nested operations")
        below = depth + 1
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                raise self._fault(node, "expected a number")
            case ast.Constant(value=int() | float() as value):
                number = self._number(node, value)
                return lambda values: number
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._applied(node, operator.neg, [self._term(operand, below)])
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._term(operand, below)
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
                return self._applied(node, _OPERATORS[type(op)], [self._term(left, below), self._term(right, below)])
            case ast.Compare(ops=[op], left=left, comparators=[right]) if type(op) in _COMPARISONS:
                compare = _COMPARISONS[type(op)]
                terms = [self._term(left, below), self._term(right, below)]
                return self._applied(node, lambda x, y: _as_numbers(compare, x, y), terms)
            case ast.Compare():
                raise self._fault(node, "expected one comparison at a time: (0 < z) * (z < 1)")
            case ast.Attribute(value=inner, attr="T"):
                return self._applied(node, lambda x: x.T, [self._term(inner, below)])
            case ast.Attribute():
                raise self._fault(node, "a dot is only allowed before T (transpose)")
            case ast.List(elts=rows):
                return self._rows(node, rows, below)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
                return self._call(node, name, arguments, keywords, below)
        raise self._fault(node, "expected numbers, names, + - * / ** @, comparisons and functions")

    def _number(self, node: ast.expr, value: int | float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise self._fault(node, "the number is too large")
        return number

    def _name(self, node: ast.expr, name: str) -> _Term:
        if name in self.names:
            return lambda values: values[name]
        if name in CONSTANTS:
            constant = CONSTANTS[name]
            return lambda values: constant
        if name in FUNCTIONS:
            raise self._fault(node, f"{name} is a function and needs its argument: {name}(...)")
        raise self._fault(node, f"unknown name; {nearest(name, self.names or CONSTANTS)}")

    def _call(
        self, node: ast.expr, name: str, arguments: Sequence[ast.expr], keywords: Sequence[ast.keyword], depth: int
    ) -> _Term:
        if name in self.names:
            raise self._fault(node, f"{name} is not a function; write a product as {name} * (...)")
        if name in self.without:
            raise self._fault(node, f"{name} is the answer itself: write it with other functions")
        if name not in FUNCTIONS:
            known = [word for word in FUNCTIONS if word not in self.without]
            raise self._fault(node, f"unknown function; {nearest(name, known)}")
        apply, least, most, known_settings, _ = FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            count = f"{least}" if least == most else f"{least} or {most}"
            axis = ", and an axis as axis=0" if known_settings else ""
            raise self._fault(node, f"{name} takes {count} in its parentheses{axis}; received {len(arguments)}")
        settings = dict(self._setting(node, name, known_settings, keyword) for keyword in keywords)
        if settings and len(arguments) > 1:
            raise self._fault(node, f"{name} of two arguments is elementwise and has no axis")
        terms = [self._term(argument, depth) for argument in arguments]
        return self._applied(node, lambda *values: apply(*values, **settings), terms)

    def _setting(
        self, node: ast.expr, name: str, known: tuple[str, ...], keyword: ast.keyword
    ) -> tuple[str, int | bool]:
        match keyword:
            case ast.keyword(arg="axis", value=ast.Constant(value=int(axis))) if "axis" in known:
                return "axis", int(axis)
            case ast.keyword(arg="axis", value=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(axis)))):
                if "axis" in known:
                    return "axis", -int(axis)
            case ast.keyword(arg="keepdims", value=ast.Constant(value=int(keep))) if "keepdims" in known:
                return "keepdims", bool(keep)
        takes = "takes only axis=0, axis=1 and keepdims=True" if known else "takes no keyword arguments"
        raise self._fault(node, f"{name} {takes}")

    def _rows(self, node: ast.expr, rows: list[ast.expr], depth: int) -> _Term:
        """A row of numbers, or rows of equal length."""
        inner = [row.elts for row in rows if isinstance(row, ast.List)]
        widths = {len(row) for row in inner}
        nested = any(isinstance(number, ast.List) for row in inner for number in row)
        if not rows or len(inner) not in (0, len(rows)) or len(widths) > 1 or widths == {0} or nested:
            raise self._fault(node, "expected a row of numbers [1, 2], or rows of equal length [[1, 2], [3, 4]]")
        terms = [self._term(number, depth) for row in (inner or [rows]) for number in row]
        shape = (len(inner), widths.pop()) if inner else (len(rows),)

        def table(*numbers: Scalar) -> Scalar:
            if any(np.shape(number) for number in numbers):
                raise ValueError("expected single numbers between the brackets")
            xp = _shared(*numbers)
            return xp.reshape(xp.stack([xp.asarray(number) for number in numbers]), shape)

        return self._applied(node, table, terms, single=False)

    def _applied(
        self, node: ast.expr, function: Callable[..., Scalar], terms: Sequence[_Term], single: bool = True
    ) -> _Term:
        """The function applied to the values of the terms. Unless `single` is false, numbers give a number."""
        return lambda values: self._result(node, function, [inner(values) for inner in terms], single)

    def _result(
        self, node: ast.expr, function: Callable[..., Scalar], arguments: Sequence[Scalar], single: bool = True
    ) -> Scalar:
        product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
        try:
            if single and all(isinstance(argument, float) for argument in arguments):
                # Overflow is infinite in NumPy, but an error in Python.
                return float(function(*(np.float64(argument) for argument in arguments)))
            _check_size(product, *arguments)
            return function(*arguments)
        except (ValueError, TypeError, IndexError) as error:
            shapes = " and ".join(str(np.shape(argument)) for argument in arguments)
            # Further lines of the message concern the library, not the formula.
            message = f"does not work for shapes {shapes}: {str(error).splitlines()[0]}"
            raise self._fault(node, message) from None

    def _dual(self, node: ast.expr, by: str) -> Callable[[_Values], _Dual]:
        """Value and derivative of a piece of the formula together, so that the cost is linear in its length."""
        match node:
            case ast.Constant():
                term = self._term(node, 0)
                return lambda values: (term(values), None)
            case ast.Name(id=name):
                term = self._name(node, name)
                return lambda values: (term(values), 1.0 if name == by else None)
        function, operands, partials = self._operation(node)
        duals = [self._dual(operand, by) for operand in operands]

        def dual(values: _Values) -> _Dual:
            arguments, inner = zip(*(operand(values) for operand in duals), strict=True)
            # The chain rule.
            terms = [
                self._result(node, partial, arguments) * slope
                for partial, slope in zip(partials, inner, strict=True)
                if slope is not None
            ]
            return self._result(node, function, arguments), sum(terms[1:], terms[0]) if terms else None

        return dual

    def _operation(self, node: ast.expr) -> tuple[Callable[..., Scalar], Sequence[ast.expr], _Partials]:
        """The function of a piece of the formula, its operands, and its derivatives by each of them."""
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return operator.neg, [operand], (lambda x: -1.0,)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return operator.pos, [operand], (lambda x: 1.0,)
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _PARTIALS:
                return _OPERATORS[type(op)], [left, right], _PARTIALS[type(op)]
            case ast.Compare(ops=[op], left=left, comparators=[right]):
                compare = _COMPARISONS[type(op)]
                return lambda x, y: _as_numbers(compare, x, y), [left, right], (_flat, _flat)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                if len(FUNCTIONS[name].partials) == len(arguments):
                    return FUNCTIONS[name].apply, arguments, FUNCTIONS[name].partials
        known = "numbers, names, + - * / ^, comparisons and functions of one number"
        raise self._fault(node, f"has no derivative here; expected {known}")


def _shared(*values: Scalar) -> ModuleType:
    """The namespace of the arrays among the values."""
    return namespace(next((value for value in values if not isinstance(value, float)), 0.0))


def _as_numbers(compare: Callable[[Scalar, Scalar], Scalar], x: Scalar, y: Scalar) -> Scalar:
    """1 where the comparison is true, else 0, in the type of its operands."""
    xp = _shared(x, y)
    return xp.astype(xp.asarray(compare(x, y)), xp.result_type(x, y))


def _check_size(product: bool, *arguments: Scalar) -> None:
    """Raise ValueError if an operation of two arrays would make a much larger one."""
    if len(arguments) != 2:
        return
    first, second = (np.shape(argument) for argument in arguments)
    if product:
        shape: tuple[int, ...] = (*first[:-1], *second[-1:]) if len(second) > 1 else first[:-1]
    else:
        shape = np.broadcast_shapes(first, second)
    if math.prod(shape) > max(LARGEST, math.prod(first), math.prod(second)):
        raise ValueError(f"the result would have {math.prod(shape)} numbers, more than {LARGEST}")
