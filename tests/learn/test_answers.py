import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.learn.answers import AnswerPoint, Mistake, formula_answer, numeric_answer

MATRIX = np.array([[0.5, -2.0], [30.0, 0.0]])


def line(slope=2.0):
    """A formula in x: slope times x, at a few points, one of them far away."""
    return formula_answer(["x"], [AnswerPoint({"x": x, "a": 1.0}, slope * x) for x in (1.0, -0.5, 2.0, 1000.0)])


@pytest.mark.parametrize("text", ["0.25", "1/4", "2^-2", "sqrt(1/16)", " 0.25 ", "0.2505", "+.25", "1 - 0.75"])
def test_a_number_may_be_typed_in_any_way(text):
    assert numeric_answer({}, np.float64(0.25)).check(text) == (True, "right")


@pytest.mark.parametrize("text", ["0.252", "0.248", "0", "2.5", "1/0", "0/0", "[0.25]", "[[0.25]]"])
def test_another_number_is_wrong(text):
    assert not numeric_answer({}, np.float64(0.25)).check(text).right


def test_an_array_is_right_to_three_digits_and_close_to_its_zeros():
    answer = numeric_answer({}, MATRIX)
    assert answer.check("[[0.5, -2], [30, 0]]").right
    assert answer.check("[[0.5, -2.009], [29.9, 0.02]]").right
    assert not answer.check("[[0.5, -2], [30, 0.04]]").right
    assert not answer.check("[[0.5, -2], [29.8, 0]]").right


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[0.5, -2, 30, 0]", "the shape is wrong: expected shape (2, 2), received shape (4,)"),
        ("30", "the shape is wrong: expected shape (2, 2), received a single number"),
        ("[[0.5, 30], [-2, 0]]", "the right numbers, transposed"),
        ("[[-0.5, 2], [-30, 0]]", "the sign is reversed"),
        ("[[1, -4], [60, 0]]", "the answer is 2 times too large"),
        ("[[-0.1, 0.4], [-6, 0]]", "the answer is 5 times too small with the sign reversed"),
        ("[[0.5, -2], [31, 1]]", "right in 2 of 4 numbers; the first wrong one is at row 2, column 1"),
        ("[[0.5, -2], [30, 0/0]]", "right in 3 of 4 numbers; the first wrong one is at row 2, column 2"),
        ("[[0, 0], [0, 0]]", "right in 1 of 4 numbers"),
    ],
)
def test_a_wrong_array_gets_its_hint(text, says):
    assert numeric_answer({}, MATRIX).check(text).says.startswith(says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-0.6", "the sign is reversed"),
        ("1.2", "the answer is 2 times too large"),
        ("0.3", "the answer is 2 times too small"),
        # Any number is a multiple of any other, so the factor says nothing.
        ("0.7", "not right"),
        ("0", "not right"),
        ("[0.6]", "the shape is wrong: expected a single number, received shape (1,)"),
    ],
)
def test_a_wrong_number_gets_its_hint(text, says):
    assert numeric_answer({}, np.float64(0.6)).check(text).says.startswith(says)


@pytest.mark.parametrize("text", ["2*x", "x + x", "-(x - 3*x)", "x*x*2/x", "2x^1".replace("x", "*x")])
def test_a_formula_that_is_equal_is_right(text):
    assert line().check(text).right


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-2*x", "the sign is reversed"),
        ("x", "the answer is 2 times too small"),
        ("2*abs(x)", "right at 3 of 4 points; not at x = -0.5"),
        ("2*x + (x > 500)", "right at 3 of 4 points; not at x = 1,000"),
        ("2*x + 0/(x - 1)", "right at 3 of 4 points; not at x = 1, where it gives NaN or infinity"),
        ("log(exp(2*x))", "right at 3 of 4 points; not at x = 1,000, where it gives NaN or infinity"),
        ("[x, x]", "the shape is wrong: expected a single number, received shape (2,)"),
    ],
)
def test_a_wrong_formula_gets_its_hint(text, says):
    assert line().check(text).says.startswith(says)


def test_a_formula_is_compared_strictly():
    assert line().check("2.00000001 * x").right
    assert not line().check("2.000001 * x").right


def test_a_known_mistake_precedes_the_general_hint_and_can_use_more_names():
    answer = formula_answer(["x"], line().points, [Mistake("-2 * x * a", "a is inverted")])
    assert answer.check("-x - x").says == "a is inverted"
    with pytest.raises(InputError, match="known: x"):
        answer.check("-2 * x * a")


def test_a_mistake_that_is_not_finite_is_recognised():
    answer = formula_answer(["x"], line().points, [Mistake("log(exp(2*x))", "it overflows")])
    assert answer.check("log(exp(x)*exp(x))").says == "it overflows"


def test_a_mistake_that_would_be_right_does_not_distinguish():
    assert numeric_answer({"x": 2.0}, np.float64(0.0), [Mistake("x", "wrong")]).distinguishes
    assert not numeric_answer({"x": 2.0}, np.float64(4.0), [Mistake("x * x", "wrong")]).distinguishes


@pytest.mark.parametrize("text", ["", "y", "[1, [2]]", "x ="])
def test_an_answer_that_cannot_be_parsed_is_an_error(text):
    with pytest.raises(InputError):
        line().check(text)
