"""Ticks of logarithmic and linear axes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import thalweg
from thalweg.pages.figures.axes import log_axis, log_ticks, round_ticks, spans_decades


def value_of(text: str) -> float:
    power = re.fullmatch(r"10<sup>(-?\d+)</sup>", text)
    return 10.0 ** int(power[1]) if power else float(text.replace(",", ""))


@given(st.floats(-12, 12), st.floats(0, 15))
def test_labels_are_the_values_of_the_ticks(low, decades):
    ticks, texts = log_ticks(10.0 ** np.array([low, low + decades]))
    assert [value_of(text) for text in texts] == pytest.approx(ticks, rel=1e-3)


@given(st.floats(-12, 12), st.floats(0, 15))
def test_there_are_two_to_nine_ticks(low, decades):
    ticks, _ = log_ticks(10.0 ** np.array([low, low + decades]))
    assert 2 <= len(ticks) <= 9
    assert len(set(ticks)) == len(ticks)


def test_values_without_a_logarithm_are_ignored():
    assert log_axis([0.0, -1.0, np.nan, np.inf, 1e-3, 10.0]) == log_axis([1e-3, 10.0])
    assert log_ticks([np.nan]) == ([], [])


def test_round_ticks_are_multiples_of_1_2_or_5():
    assert round_ticks(0, 10, 6).tolist() == [0, 2, 4, 6, 8, 10]
    assert round_ticks(3, 4).tolist() == pytest.approx([3, 3.2, 3.4, 3.6, 3.8, 4])


@pytest.mark.parametrize(("values", "spans"), [([1, 40], True), ([1, 30], False), ([0, 40], False), ([], False)])
def test_spans_decades_needs_positive_values_over_one_and_a_half_decades(values, spans):
    assert spans_decades(np.array(values)) is spans


def test_every_logarithmic_axis_has_the_labels_of_this_module():
    """Plotly's own labels of an axis below a decade are "2" and "5", without the decade."""
    folder = Path(thalweg.__file__).parent
    files = {file: file.read_text(encoding="utf-8") for file in (*folder.rglob("*.py"), *folder.rglob("*.js"))}
    own = {file.name for file, text in files.items() if re.search(r"""type["']?\s*[:=]\s*["']log["']""", text)}
    assert own == {"axes.py"}
