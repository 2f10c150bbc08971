"""The engine's answers against JAX, which differentiates the losses as they are written in the question."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from page_blocks import blocks_of

from thalweg.core.errors import InputError
from thalweg.core.expressions import Expression
from thalweg.learn.exercise import Exercise
from thalweg.learn.exercises import EXERCISES
from thalweg.learn.exercises.batch_matrices import BatchMatrices
from thalweg.learn.exercises.sigmoid_losses import SigmoidLosses
from thalweg.pages.blocks import ArrayBlock, Formula
from thalweg.pages.page import FORMS

SEEDS = range(12)
ALL = [(kind, seed) for kind in EXERCISES for seed in SEEDS]


def test_all_exercises_are_listed():
    assert set(EXERCISES) == set(Exercise.kinds.values())


# The answers ----------------------------------------------------------------------------------------------------------


def unit(v):
    return lambda w: (v["x"] @ w + v["b"] - v["t"]) ** 2 / 2


def squared(v):
    return lambda z: (jax.nn.sigmoid(z) - v["t"]) ** 2 / 2


def binary(v):
    return lambda z: jnp.logaddexp(0, z) - v["t"] * z


def cross(v):
    return lambda z: -(v["t"] * jax.nn.log_softmax(z)).sum()


def rows(v):
    """The loss of a linear layer by Z, W and b."""

    def by_z(Z):
        return ((Z - v["T"]) ** 2).sum(axis=1).mean() / 2

    return by_z, lambda W: by_z(v["X"] @ W + v["b"]), lambda b: by_z(v["X"] @ v["W"] + b)


def two_layers(v):
    """The gradient of the whole network's loss by the quantity of a name."""

    def loss(value, name):
        at = {**v, name: value}
        z1 = at["z1"] if name == "z1" else at["x"] @ at["W1"] + at["b1"]
        z2 = at["z2"] if name == "z2" else jax.nn.relu(z1) @ at["W2"] + at["b2"]
        return -(v["t"] * jax.nn.log_softmax(z2)).sum(axis=1).mean()

    z1 = v["x"] @ v["W1"] + v["b1"]
    known = {**v, "z1": z1, "z2": np.maximum(z1, 0) @ v["W2"] + v["b2"]}
    return lambda name: jax.grad(loss)(known[name], name)


ORACLES = {
    "identity-mse": {
        "a": lambda v: v["x"] @ v["w"] + v["b"],
        "b": lambda v: jax.grad(lambda y: (y - v["t"]) ** 2 / 2)(v["y"]),
        "c": lambda v: jax.grad(unit(v), argnums=0)(v["w"])[0] / v["x"][0],
        "d": lambda v: jax.grad(unit(v))(v["w"]),
        "e": lambda v: jax.grad(lambda y: ((y - v["t"]) ** 2).mean())(v["y"]),
    },
    "sigmoid-losses": {
        "a": lambda v: jax.grad(squared(v))(v["z"]),
        "b": lambda v: jax.grad(binary(v))(v["z"]),
        "c": lambda v: jax.grad(squared(v))(v["z"]),
        "d": lambda v: jax.grad(binary(v))(v["z"]),
        "e": lambda v: jax.grad(binary(v))(v["z"]) / jax.grad(squared(v))(v["z"]),
    },
    "stable-softmax": {
        "a": lambda v: jax.nn.softmax(v["z"]),
        "b": lambda v: jax.nn.log_softmax(v["z"]),
        "c": lambda v: jax.nn.softmax(v["z"] - 1000),
        "d": lambda v: cross(v)(v["z"] - 1000),
        "e": lambda v: jax.grad(cross(v))(v["z"] - 1000),
    },
    "batch-matrices": {
        "a": lambda v: np.array(jax.grad(rows(v)[1])(v["W"]).shape),
        "b": lambda v: (
            np.array([[sum(x * w for x, w in zip(row, column, strict=True)) for column in v["W"].T] for row in v["X"]])
            + v["b"]
        ),
        "c": lambda v: jax.grad(rows(v)[0])(v["X"] @ v["W"] + v["b"]),
        "d": lambda v: jax.grad(rows(v)[1])(v["W"]),
        "e": lambda v: jax.grad(rows(v)[2])(v["b"]),
        "f": lambda v: rows(v)[2](v["b"]),
        "g": lambda v: jax.grad(rows(v)[1])(v["W"]),
        "h": lambda v: jax.grad(rows(v)[2])(v["b"]),
    },
    "two-layer-gradients": {
        "a": lambda v: two_layers(v)("z2"),
        "b": lambda v: two_layers(v)("W2"),
        "c": lambda v: two_layers(v)("b2"),
        "d": lambda v: two_layers(v)("z1"),
        "e": lambda v: two_layers(v)("W1"),
        "f": lambda v: two_layers(v)("b1"),
        "g": lambda v: two_layers(v)("z2"),
        "h": lambda v: two_layers(v)("z1"),
        "i": lambda v: two_layers(v)("W1"),
    },
}


@pytest.mark.parametrize("kind", EXERCISES)
def test_the_engines_answers_are_those_of_automatic_differentiation(kind):
    tasks = kind(seed=5).tasks()
    assert set(tasks) == set(ORACLES[kind.kind])
    with jax.enable_x64(True):
        for letter, task in tasks.items():
            # The last points are the extreme ones.
            for case in task.answer.points[-3:]:
                expected = np.asarray(ORACLES[kind.kind][letter](case.values))
                scale = max(1.0, np.abs(expected).max())
                np.testing.assert_allclose(case.right, expected, rtol=1e-9, atol=1e-11 * scale, err_msg=letter)


@pytest.mark.parametrize(("kind", "seed"), ALL)
def test_the_model_answers_and_three_digits_are_right(kind, seed):
    for task in kind(seed=seed).tasks().values():
        right = task.answer.points[0].right
        text = task.model_answer or np.array2string(right, separator=", ", formatter={"float": lambda x: f"{x:.3g}"})
        assert task.answer.check(text).right, task.question


def typed(mistake, answer):
    """A known mistake as a learner types it."""
    if answer.names:
        return mistake.formula
    values = answer.points[0].values
    wrong = Expression.parse(mistake.formula, tuple(values))(**values)
    return np.array2string(np.asarray(wrong), separator=", ", floatmode="unique")


# Formulas with names that a learner is not given; only their numbers can be typed.
NOT_TYPED = {"(Y - T) / (n * K)", "X.T @ (Y - T) / (n * K)", "(delta2 @ W2.T) * (z1 > 0) * n"}


@pytest.mark.parametrize(("kind", "seed"), ALL)
def test_a_known_mistake_gets_its_own_hint(kind, seed):
    for task in kind(seed=seed).tasks().values():
        hints = {mistake.hint for mistake in task.answer.mistakes}
        for mistake in task.answer.mistakes:
            if task.answer.names and mistake.formula in NOT_TYPED:
                continue
            check = task.answer.check(typed(mistake, task.answer))
            assert not check.right
            # At some numbers two mistakes give the same answer.
            assert check.says == mistake.hint or (not task.answer.names and check.says in hints)


FORMS_OF_RIGHT = [
    ("identity-mse", "b", ["y - t", "-(t - y)", "-t + y", "(y² - t²) / (y + t)", "y + -1*t", "(2*y - 2*t)/2"]),
    ("identity-mse", "e", ["2/K*(y - t)", "-2*(t - y)/K", "(y - t) / (K/2)", "y*2/K - t*2/K"]),
    (
        "sigmoid-losses",
        "a",
        [
            "(y - t)*(y - y^2)",
            "-(t - y) * y * (1 - y)",
            "(σ(z) - t) * σ(z) * σ(-z)",
            "(y - t) * exp(-z) / (1 + exp(-z))²",
            "(y-t)*(1 - tanh(z/2)^2)/4",
        ],
    ),
    ("sigmoid-losses", "b", ["1/(1 + exp(-z)) - t", "y*(1 - t) - t*(1 - y)", "(1 + tanh(z/2))/2 - t"]),
    ("stable-softmax", "a", ["exp(z - max(z) - log(sum(exp(z - max(z)))))", "exp(z-max(z)-1) / sum(exp(z-max(z)-1))"]),
    ("stable-softmax", "b", ["(z - max(z)) - log(sum(exp(z - max(z))))", "z - (max(z) + log(sum(exp(z - max(z)))))"]),
    ("batch-matrices", "d", ["Xᵀ @ ((Y - T)/n)", "((Y - T).T @ X).T / n", "-(transpose(X) @ (T - Y)) / n"]),
    ("batch-matrices", "e", ["mean(Y - T, axis=0)", "mean(Y, axis=0) - mean(T, axis=0)"]),
    ("two-layer-gradients", "a", ["(p - t)/n", "p/n - t/n", "-(t - p)*n^-1"]),
    ("two-layer-gradients", "d", ["(delta2 @ W2ᵀ) × (z1 > 0)", "(W2 @ δ2.T).T * step(z1)", "delta2 @ W2.T * (a1 > 0)"]),
    ("two-layer-gradients", "e", ["xᵀ @ δ1", "(delta1.T @ x).T"]),
]


@pytest.mark.parametrize(("name", "letter", "texts"), FORMS_OF_RIGHT)
def test_a_formula_is_right_in_any_algebraic_form(name, letter, texts):
    task = Exercise.of(name).tasks()[letter]
    for text in texts:
        assert task.answer.check(text) == (True, "right"), text


@pytest.mark.parametrize(
    ("name", "letter", "text", "says"),
    [
        ("identity-mse", "b", "t - y", "the sign is reversed"),
        ("identity-mse", "b", "2*(y - t)", "2 times too large"),
        ("identity-mse", "e", "sum(y - t)", "the shape is wrong"),
        ("sigmoid-losses", "a", "y - t", "derivative of the sigmoid"),
        ("sigmoid-losses", "b", "(y - t) * σ(z) * (1 - σ(z))", "delta of squared error"),
        ("stable-softmax", "a", "exp(z) / sum(exp(z))", "subtract max(z)"),
        ("stable-softmax", "a", "exp(z - 900) / sum(exp(z - 900))", "points; not at z ="),
        ("batch-matrices", "d", "X.T @ (Y - T)", "1/n"),
        ("batch-matrices", "e", "mean(Y - T)", "the shape is wrong"),
        ("two-layer-gradients", "b", "delta2.T @ a1", "transposed"),
        ("two-layer-gradients", "d", "delta2 @ W2.T", "derivative of ReLU"),
        ("two-layer-gradients", "e", "delta1.T @ x", "transposed"),
    ],
)
def test_a_wrong_formula_gets_its_hint(name, letter, text, says):
    check = Exercise.of(name).check({letter: text})[letter]
    assert not check.right
    assert says in check.says


def test_the_numbers_follow_the_seed():
    pages = [BatchMatrices(seed=seed).page() for seed in (1, 1, 2)]
    first, again, other = ([block.values for block in blocks_of(page, ArrayBlock)] for page in pages)
    assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    assert not any(np.array_equal(x, y) for x, y in zip(first, other, strict=True))


def test_the_saturated_unit_is_saturated_on_the_wrong_side():
    for seed in SEEDS:
        values = SigmoidLosses(seed=seed).tasks()["c"].answer.points[0].values
        assert abs(values["y"] - values["t"]) > 0.95


@pytest.mark.parametrize("kind", EXERCISES)
def test_the_page_shows_the_solution_only_when_asked(kind):
    exercise = kind(seed=4)
    question = exercise.page()
    solved = exercise.page(solved=True)
    for task in exercise.tasks().values():
        shown = {block.text for block in question.blocks if isinstance(block, Formula)}
        assert task.derivation not in shown
        assert Formula(task.derivation) in solved.blocks
        if not task.answer.names:
            right = task.answer.points[0].right
            assert any(isinstance(block, ArrayBlock) and np.array_equal(block.values, right) for block in solved.blocks)
    for form in FORMS:
        assert exercise.title in question.render(form)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"q": "1"}, "answer q: identity-mse asks for a, b, c, d, e"),
        ({"b": "y - "}, "answer b: at the end: cannot be read"),
        ({"b": "x"}, "answer b: at character 1, 'x': unknown name; known: y, t"),
        ({"a": "y"}, "answer a: at character 1, 'y': unknown name; known: pi, e"),
        ({"d": "[1, 2"}, "answer d: at character 1, '[1, 2': cannot be read"),
    ],
)
def test_an_answer_that_cannot_be_parsed_is_an_error_with_its_letter(answers, message):
    with pytest.raises(InputError) as caught:
        Exercise.of("identity-mse").check(answers)
    assert str(caught.value).startswith(message)
