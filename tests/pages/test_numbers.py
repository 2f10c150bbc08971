"""Numbers for people: digits, thousands, percent, units, and arrays as aligned text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.pages.blocks import Check
from thalweg.pages.numbers import (
    Share,
    array_summary,
    count_noun,
    difference,
    evidence,
    grid,
    interval,
    is_share,
    measure_name,
    measure_value,
    measured,
    number,
    percent,
)

DECADES = st.floats(min_value=1e-12, max_value=1e12) | st.floats(min_value=-1e12, max_value=-1e-12)


def read(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.3333"),
        (-0.0, "0"),
        (2.0, "2"),
        (9.9999, "10"),
        (0.00012345, "0.0001234"),
        (1e-5, "1e-5"),
        (-1.5e-300, "-1.5e-300"),
        (1234.56, "1,235"),
        (123456.7, "123,500"),
        (123456.0, "123,456"),
        (1234567.8, "1.235e6"),
        (999999.9, "1e6"),
        (123, "123"),
        (1234567, "1,234,567"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
        (np.float32(0.1), "0.1"),
        (np.int64(7), "7"),
        (np.bool_(False), "no"),
        (True, "yes"),
        (Share(0.875), "87.5\u202f%"),
        (None, "–"),
        ("word", "word"),
    ],
)
def test_a_value_is_written_with_at_most_four_digits(value, text):
    assert number(value) == text


def test_more_digits_are_written_on_request():
    assert number(1 / 3, digits=6) == "0.333333"
    assert number(12345.678, digits=6) == "12,345.7"


@pytest.mark.parametrize(("digits", "error"), [(4, 5.1e-4), (6, 5.1e-6)])
@given(value=DECADES)
def test_a_written_number_is_the_number_to_its_digits(value, digits, error):
    assert read(number(value, digits)) == pytest.approx(value, rel=error, abs=0)


@given(DECADES)
def test_no_number_has_more_than_four_digits_unless_it_is_whole(value):
    digits = number(value).partition("e")[0].replace(",", "").replace(".", "").lstrip("-0").rstrip("0")
    assert len(digits) <= 4 or value.is_integer()


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0"),
        (1, "100"),
        (0.9825, "98.25"),
        (2 / 3, "66.67"),
        (1e-5, "0.001"),
        (0.999999, "99.9999"),
        (1.5, "150"),
    ],
)
def test_a_share_is_written_in_percent(share, text):
    assert percent(share) == f"{text}\u202f%"


@given(st.floats(min_value=0, max_value=1 - 1e-9), st.integers(2, 4))
def test_only_a_whole_is_a_hundred_percent(share, digits):
    assert percent(share, digits) != percent(1)


def test_missing_values_are_dashes():
    assert [percent(math.nan), measure_value("loss", math.nan), difference("loss", math.nan)] == ["–"] * 3
    assert measure_value("accuracy", None) == "–"
    assert number(measured("r2", math.nan)) == "–"


def test_measures_are_written_by_their_kind():
    assert measure_value("validation_accuracy", 0.9825) == "98.25\u202f%"
    assert measure_value("mean_absolute_error", 41.23456, "mg/dl") == "41.23 mg/dl"
    assert measure_value("r2", 0.512345) == "0.5123"
    assert measure_value("r2", None, "mg/dl") == "–"
    assert [is_share(name) for name in ("accuracy", "test_accuracy", "clipped", "loss")] == [True, True, True, False]
    assert [measure_name(name) for name in ("r2", "mean_absolute_error", "loss")] == [
        "R²",
        "mean absolute error",
        "loss",
    ]


def test_differences_have_a_sign_and_shares_are_in_points():
    assert difference("accuracy", 0.0125) == "+1.25 points"
    assert difference("accuracy", -0.5) == "-50 points"
    assert difference("loss", 0.123456) == "+0.123"
    assert difference("loss", -2.0, "mg") == "-2 mg"
    assert difference("loss", 0.0) == "0"


def test_an_interval_names_its_unit_once():
    assert interval("accuracy", 0.875, 0.91) == "87.5 to 91\u202f%"
    assert interval("mean_absolute_error", 1.5, 2, "mg") == "1.5 to 2 mg"
    assert interval("accuracy", -0.01, 0.02, write=difference) == "-1 to +2 points"
    assert interval("loss", 0.1, 0.2) == "0.1 to 0.2"


def test_counts_agree_with_their_nouns():
    assert [count_noun(n, "seed") for n in (0, 1, 2, 1234)] == ["0 seeds", "1 seed", "2 seeds", "1,234 seeds"]
    assert count_noun(2, "entry", "entries") == "2 entries"


def test_evidence_of_checks():
    assert evidence(Check("true", True)) == ""
    assert evidence(Check("two", 2.0000001, 2.0, 1e-6)) == ""
    assert evidence(Check("the difference is 0", np.full(30, 2e-16), np.zeros(30), 1e-12)) == ""
    assert evidence(Check("about two", 1.9, 2.0, 0.2)) == "measured 1.9, expected 2 within 0.2"
    assert evidence(Check("three", 2.0, 3.0)) == "does not hold here: measured 2, expected 3"


@given(st.lists(st.floats(-1e5, 1e5).map(lambda x: round(x, 3)), min_size=2, max_size=10))
def test_decimal_points_are_aligned(column):
    lines = grid(np.array(column)[:, None]).lines
    points = {line.index(".") for line in lines if "." in line and "e" not in line}
    assert len(points) <= 1
    assert [read(line) for line in lines] == pytest.approx(column, rel=1e-5)


def test_a_small_array_is_shown_in_full():
    small = np.arange(120.0).reshape(12, 10)
    assert [[read(word) for word in line.split()] for line in grid(small).lines] == small.tolist()
    assert grid(small).complete


def test_a_large_array_is_shown_by_its_corner():
    large = np.arange(7840.0).reshape(784, 10) - 5
    result = grid(large)
    assert not result.complete
    assert [read(word) for word in result.lines[1].split()] == large[1].tolist()
    assert len(result.lines) == 7
    assert result.lines[-1] == "⋮"


def test_numbers_that_a_reader_recomputes_have_six_digits_and_longer_arrays_four():
    values = np.full((4, 3), 1 / 3)
    assert set(" ".join(grid(values).lines).split()) == {"0.333333"}
    assert set(" ".join(grid(np.tile(values, 2)).lines).split()) == {"0.3333"}


@pytest.mark.parametrize("width", [20, 40, 79])
def test_arrays_are_no_wider_than_the_terminal(width):
    values = np.random.default_rng(0).normal(size=(4, 10)) * 1000
    result = grid(values, width)
    assert max(map(len, result.lines)) <= width
    # Columns without room stand below the others, and none is left out.
    assert result.complete
    shown = [read(word) for line in result.lines if not line.startswith("column") for word in line.split()]
    np.testing.assert_allclose(np.sort(shown), np.sort(values, axis=None), rtol=1e-3)
    assert result.lines[4].startswith("column")


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        (np.float64(0.5), ["0.5"]),
        (np.array([1, 2]), ["1  2"]),
        (np.array([True, False]), ["1  0"]),
        (np.zeros((0, 3)), ["no numbers"]),
        (np.array([[math.nan, math.inf]]), ["NaN  inf"]),
        (np.array(["red", "green"]), ["red  green"]),
        (np.arange(8).reshape(2, 2, 2), ["0  1", "2  3"]),
    ],
)
def test_arrays_of_every_kind(values, lines):
    assert grid(values).lines == lines


def test_a_constant_array_is_summarized_by_its_value():
    assert array_summary(np.zeros((20, 20))) == "all 0"


def test_numbers_that_are_not_finite_are_counted():
    values = np.array([3.0, -4.0, math.nan, math.inf])
    assert array_summary(values) == f"RMS {math.sqrt(12.5):.4g}, from -4 to 3, 2 NaN or infinite"
