"""Formulas: values against Python and NumPy, derivatives against JAX and finite differences, and refused texts."""

from __future__ import annotations

import contextlib
import math
import re

import jax
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.core.expressions import DEEPEST, FUNCTIONS, LARGEST, LONGEST, Expression


def value(text, **values):
    return Expression.parse(text, values)(**values)


def fault(text, *names, **options):
    with pytest.raises(InputError) as caught:
        Expression.parse(text, names, **options)
    assert caught.value.subject == "formula"
    (problem,) = caught.value.problems
    return problem


# Arithmetic -----------------------------------------------------------------------------------------------------------

NUMBERS = st.floats(-9, 9).map(lambda number: f"{number:.2f}") | st.integers(0, 99).map(str) | st.sampled_from("xy")
SIGNS = st.sampled_from(["+", "-", "*", "/", "**", " - ", " * -"])


def joined(inner):
    signed = st.tuples(st.sampled_from(["", "-", "+", "--"]), inner).map("".join)
    chains = st.lists(st.tuples(signed, SIGNS), min_size=1, max_size=4).map(lambda pairs: "".join(map("".join, pairs)))
    whole = st.tuples(chains, inner).map("".join)
    return whole | whole.map(lambda text: f"({text})")


@settings(max_examples=250, deadline=None)
@given(st.recursive(NUMBERS, joined, max_leaves=12), st.floats(-3, 3), st.floats(-3, 3))
def test_numbers_and_precedence_are_pythons(text, x, y):
    if len(text) > LONGEST:
        return
    try:
        # As fractions: whole numbers of Python have no bound, and 99**99**99 would never end.
        expected = eval(re.sub(r"(?<![\d.])\d+(?![\d.])", r"\g<0>.0", text), {}, {"x": x, "y": y})
    except (ZeroDivisionError, OverflowError):
        # NumPy returns infinity or NaN here, and must not raise.
        value(text, x=x, y=y)
        return
    if isinstance(expected, complex) or abs(expected) > 1e15:
        return
    assert value(text, x=x, y=y) == pytest.approx(expected, rel=1e-9, abs=1e-300, nan_ok=True)


Z = np.array([[-1.5, 0.25], [2.0, 0.5]])
ORACLES = {
    "exp": np.exp,
    "log": lambda z: np.array([[math.nan if n < 0 else math.log(n) for n in row] for row in z]),
    "sqrt": lambda z: np.array([[math.nan if n < 0 else math.sqrt(n) for n in row] for row in z]),
    "abs": lambda z: np.maximum(z, -z),
    "sign": lambda z: np.array([[-1.0, 1.0], [1.0, 1.0]]),
    "expm1": lambda z: np.exp(z) - 1,
    "log1p": lambda z: np.array([[math.nan if n < -1 else math.log(1 + n) for n in row] for row in z]),
    "sin": lambda z: (np.exp(1j * z)).imag,
    "cos": lambda z: (np.exp(1j * z)).real,
    "tan": lambda z: np.exp(1j * z).imag / np.exp(1j * z).real,
    "sinh": lambda z: (np.exp(z) - np.exp(-z)) / 2,
    "cosh": lambda z: (np.exp(z) + np.exp(-z)) / 2,
    "tanh": lambda z: 1 - 2 / (np.exp(2 * z) + 1),
    "sum": lambda z: 1.25,
    "mean": lambda z: 1.25 / 4,
    "max": lambda z: 2.0,
    "min": lambda z: -1.5,
    "sigmoid": scipy.special.expit,
    "sigma": scipy.special.expit,
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "softmax": lambda z: scipy.special.softmax(z, axis=-1),
    "log_softmax": lambda z: scipy.special.log_softmax(z, axis=-1),
    "relu": lambda z: z * (z > 0),
    "step": lambda z: np.array([[0.0, 1.0], [1.0, 1.0]]),
    "transpose": lambda z: np.array([[-1.5, 2.0], [0.25, 0.5]]),
}


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"maximum", "minimum", "onehot"}))
def test_a_function_is_the_one_of_its_name(name, on):
    if name in ("sum", "mean", "max", "min"):
        assert float(on(lambda z: value(f"{name}(z)", z=z), Z)) == ORACLES[name](Z)
    np.testing.assert_allclose(on(lambda z: value(f"{name}(z)", z=z), Z), ORACLES[name](Z), rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("maximum(z, 0.3)", [[0.3, 0.3], [2.0, 0.5]]),
        ("max(z, 0.3)", [[0.3, 0.3], [2.0, 0.5]]),
        ("min(0.3, z)", [[-1.5, 0.25], [0.3, 0.3]]),
        ("minimum(z, z.T)", [[-1.5, 0.25], [0.25, 0.5]]),
        ("onehot([2, 0], 3)", [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
        ("sum(z, axis=0)", [0.5, 0.75]),
        ("sum(z, axis=-1, keepdims=True)", [[-1.25], [2.5]]),
        ("mean(z, axis=1)", [-0.625, 1.25]),
        ("max(z, axis=0)", [2.0, 0.5]),
        ("z @ [1, 2]", [-1.0, 3.0]),
        ("[1, 2] @ z", [2.5, 1.25]),
        ("z > 0.25", [[0.0, 0.0], [1.0, 1.0]]),
        ("(z >= 0.25) + (z == 2)", [[0.0, 1.0], [2.0, 1.0]]),
        ("(z != 2) * (z <= 0.5) * (z < 3)", [[1.0, 1.0], [0.0, 1.0]]),
        ("[[1/2, -1], [2^3, e - e]]", [[0.5, -1.0], [8.0, 0.0]]),
        ("z²", [[2.25, 0.0625], [4.0, 0.25]]),
        ("−z³ · 2 × 1", [[6.75, -0.03125], [-16.0, -0.25]]),
        ("zᵀ", [[-1.5, 2.0], [0.25, 0.5]]),
        ("2 < 3", 1.0),
        ("sum(cos(π · [0, 1, 2])) ÷ 2", 0.5),
    ],
)
def test_what_may_be_written(text, expected, on):
    np.testing.assert_allclose(on(lambda z: value(text, z=z), Z), expected, rtol=1e-14, atol=1e-15)


def test_greek_letters_are_their_names():
    assert value("η·δ₁ + λ", eta=2.0, delta1=3.0, lam=1.0) == 7.0
    assert value("σ(0)") == 0.5


def test_a_name_that_is_given_goes_before_a_constant():
    assert value("e + pi", e=1.0) == 1 + math.pi


def test_numbers_are_floats_and_types_stay():
    assert value("x^-1", x=np.array([2, 4])).tolist() == [0.5, 0.25]
    single = np.ones(2, np.float32)
    assert value("(2 * x > 1) + relu(x) / 3", x=single).dtype == np.float32


@pytest.mark.parametrize("text", ["9**9**9", "1/0", "exp(exp(99))", "9^9^9^9^9^9^9"])
def test_what_is_too_large_is_infinite(text):
    assert value(text) == math.inf


@pytest.mark.parametrize("text", ["0/0", "(-8)^(1/3)", "log(0 - 1)", "1/0 - 1/0"])
def test_what_is_not_defined_is_nan(text):
    assert math.isnan(value(text))


def test_jax_differentiates_an_expression():
    formula = Expression.parse("sum((σ(z) - t)²) / 2", ["z", "t"])
    slope = jax.grad(lambda z: formula(z=z, t=1.0))(np.array([0.5, -2.0], np.float32))
    y = scipy.special.expit(np.array([0.5, -2.0]))
    np.testing.assert_allclose(slope, (y - 1) * y * (1 - y), rtol=1e-5)


# What is refused ------------------------------------------------------------------------------------------------------

ATTACKS = [
    "__import__('os')",
    "__import__(y)",
    "().__class__",
    "y.__class__.__mro__",
    "y.T.dtype",
    "getattr(y, t)",
    "exec(y)",
    "eval(y)",
    "(lambda: 1)()",
    "[x for x in y]",
    "[[1, 2] for x in y]",
    "{y: t}",
    "y[0]",
    "y if t else y",
    "y and t",
    "not y",
    "(y := 2)",
    "await y",
    "yield",
    "f'{y}'",
    "'a' * 99999999",
    "b'a'",
    "sum(*y)",
    "sum(**y)",
    "sum(y, axis=t)",
    "sum(y, dtype=1)",
    "exp(y, out=1)",
    "exp",
    "exp()",
    "exp(y, t)",
    "True",
    "None",
    "...",
    "1j",
    "y // t",
    "y % t",
    "y << 99999",
    "~y",
    "y < t < 1",
    "y = t",
    "y is t",
    "y in [1]",
    "1or 2",
    "0x1for x in y",
    "1e999",
    "9" * LONGEST,
    "(" * 150 + "[" * 100,
    "(" * 100_000 + "1" + ")" * 100_000,
    "-" * 100_000 + "1",
    "-" * (LONGEST - 1) + "1",
    "1" + "+1" * (LONGEST // 2 - 1),
    "y" + ".T" * (LONGEST // 2 - 1),
    "exp(" * 190 + "y" + ")" * 190,
    "[" * 199 + "1" + "]" * 199,
    "y" * LONGEST,
    "ｅxp(y)",
    "y\u200b",
    "\u202ey",
    "y\x00",
    "y; t",
    "y # t",
    "y \\",
    "y\ud800",
    "",
    " \t\n",
    "[]",
    "[[]]",
    "[[1], [2, 3]]",
    "[1, [2]]",
    "[[[1]]]",
    "(1, 2)",
    "()",
]


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_an_invalid_formula_is_refused_in_one_short_line(text):
    message = str(fault(text, "y", "t"))
    assert "\n" not in message
    assert len(message) < 400


LETTERS = st.text(alphabet="yt01.()[]+-*/^@<>=, eTxps²ᵀ·δσ_'\":{}", max_size=40)
WORDS = st.lists(
    st.sampled_from(["y", "t", "(", ")", "[", "]", ",", "sum", "exp", ".T", "@", "**", "-", "axis=0", "1", "<", " if "])
).map("".join)


@settings(max_examples=250, deadline=None)
@given(LETTERS | WORDS | st.text(max_size=30))
def test_any_text_gives_a_value_or_one_error(text):
    with contextlib.suppress(InputError):
        result = value(text, y=np.array([0.5, -1.0]), t=np.ones((2, 2)))
        assert isinstance(result, float) or result.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("y - q", "at character 5, 'q'", "known: y, target"),
        ("y - targe", "at character 5, 'targe'", "'target'"),
        ("y² - · q", "at character 6, '· q'", ""),
        ("σ(y)² + expp(y)", "at character 9, 'expp(y)'", "'exp'"),
        ("2y", "at character 1, '2y'", "2 * y"),
        ("y (1 - y)", "at character 1, 'y (1 - y)'", "y * (...)"),
        ("y - ", "at the end", ""),
        ("sum(y, 0)", "at character 1, 'sum(y, 0)'", "axis=0"),
        ("(y - 1", "at character 1, '(y - 1'", ""),
        ("y ? 1", "at character 3, '? 1'", "'?'"),
        ("y" * (LONGEST + 1), "", f"received {LONGEST + 1}"),
        ("-" * 200 + "y", None, str(DEEPEST)),
    ],
)
def test_a_fault_names_its_place(text, place, hint):
    problem = fault(text, "y", "target")
    assert place is None or problem.place == place
    assert hint in problem.message


def test_functions_may_be_forbidden():
    assert fault("1 + softmax(y)", "y", without=["softmax"]).place == "at character 5, 'softmax(y)'"
    assert "softmax" not in fault("nothing(y)", "y", without=["softmax", "log_softmax"]).message


@pytest.mark.parametrize(
    "text", ["y + t", "y @ t", "[y, 1]", "sum(y, axis=2)", "y @ 2", "onehot(y, 9999)", "max(y, t)"]
)
def test_shapes_that_do_not_match_are_refused_with_their_place(text, on):
    with pytest.raises(InputError, match=r"at character 1, '.*\(3,\)"):
        on(lambda y, t: value(text, y=y, t=t), np.zeros(3), np.zeros(2))


@pytest.mark.parametrize("text", ["y @ y.T", "y + y.T", "y < y.T", "max(y, y.T)"])
def test_an_array_cannot_grow_without_bound(text):
    column = np.zeros((math.isqrt(LARGEST) + 1, 1))
    with pytest.raises(InputError, match="1000000"):
        value(text, y=column)
    assert value(text, y=column[:5]).shape == (5, 5)


def test_large_arrays_may_be_given():
    assert value("y * 2 + 1", y=np.ones(LARGEST + 1)).shape == (LARGEST + 1,)


# Derivatives ----------------------------------------------------------------------------------------------------------

SMOOTH = [
    *(
        "x + y",
        "x - y",
        "x * y",
        "x / y",
        "x ** y",
        "-x",
        "+x",
        "x ** 3",
        "x ** -1.5",
        "2 ** x",
        "x² / (1 + x²)",
    ),
    *("sin(x*y) * exp(-x) + y", "log(x + y) ** 2", "sqrt(x) / tan(y)", "(x < y) * x² + (x >= y) * y³", "max(x, y²)"),
    *("min(x, y) * maximum(2*x, 1) - minimum(y, x*y)", "relu(x - 1) + step(x - 1) * y", "abs(x - 2) + sign(y) * x"),
    *("tanh(sinh(x / 3)) + cosh(y)", "σ(x) * softplus(y)", "log1p(x) * expm1(y)", "cos(π * x) ** e"),
    *("(x * 2 + 1) * (3 - y) / (x * y)", "3", "x - x", "((((x))))"),
]


@pytest.mark.parametrize("text", SMOOTH)
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_derivative_is_that_of_jax(text, name, on):
    formula = Expression.parse(text, ("x", "y"))
    where = {"x": np.array([0.3, 1.2, 2.7]), "y": np.array([0.8, 0.5, 1.9])}

    def height(x, y):
        return formula(x=x, y=y) + 0.0 * x

    with jax.enable_x64(True):
        slope = jax.vmap(jax.grad(height, "xy".index(name)))(*map(jax.numpy.asarray, where.values()))
    found = on(lambda x, y: formula.derivative(name)(x=x, y=y) + 0.0 * x, *where.values())
    np.testing.assert_allclose(found, np.asarray(slope), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("function", [name for name, known in FUNCTIONS.items() if known.partials])
def test_every_derivative_of_a_function_is_that_of_finite_differences(function):
    arguments = "x" if FUNCTIONS[function].least == 1 and function not in ("max", "min") else "x, 0.5"
    formula = Expression.parse(f"{function}({arguments})", "x")
    x = np.array([0.3, 0.7, 1.1])
    step = 1e-6
    measured = (formula(x=x + step) - formula(x=x - step)) / (2 * step)
    np.testing.assert_allclose(formula.derivative("x")(x=x) + 0 * x, measured, rtol=1e-8, atol=1e-8)


def test_a_derivative_on_plain_numbers_is_infinite_or_nan_where_there_is_none():
    assert Expression.parse("sqrt(x)", "x").derivative("x")(x=0.0) == math.inf
    assert math.isnan(Expression.parse("log(x) / x", "x").derivative("x")(x=-1.0))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1 + sum(x)", "'sum(x)'"),
        ("x @ x", "'x @ x'"),
        ("x.T", "'x.T'"),
        ("[x, 1]", "'[x, 1]'"),
        ("exp(max(x))", "'max(x)'"),
        ("softmax(x) + 1", "'softmax(x)'"),
    ],
)
def test_a_formula_without_derivative_is_refused_with_its_place(text, place):
    with pytest.raises(InputError) as caught:
        Expression.parse(text, ("x",)).derivative("x")
    assert caught.value.problems[0].place.endswith(place)


def test_the_derivative_of_a_deeply_nested_formula_evaluates_each_piece_once(monkeypatch):
    calls = []
    counted = FUNCTIONS["sin"]._replace(apply=lambda x: calls.append(x) or np.sin(x))
    monkeypatch.setitem(FUNCTIONS, "sin", counted)
    Expression.parse("sin(" * 90 + "x" + ")" * 90, "x").derivative("x")(x=0.5)
    assert len(calls) == 90
