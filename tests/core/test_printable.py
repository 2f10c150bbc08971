"""Text from outside in a form that is safe to show."""

import json
import unicodedata

import numpy as np
import pytest

from thalweg.core.printable import printable, printable_json, received


def test_what_hides_or_controls_is_escaped_and_everything_else_is_kept():
    for number in range(0x110000):
        sign = chr(number)
        escaped = unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} and sign != "\n"
        assert (printable(sign) != sign) == escaped
        if escaped:
            assert printable(sign).isascii()


def test_json_stays_json_and_says_the_same():
    value = "a\x1b\x7f\x9b\u202e\u2028\ufeff\U000e0001\U0001f600é"
    text = printable_json(json.dumps([value], ensure_ascii=False))
    assert json.loads(text) == [value]
    assert printable(text) == text
    assert "é" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.int64(3), "3"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "True"),
        (np.str_("3"), "'3'"),
        ({"a": np.int8(1)}, "{'a': 1}"),
        ((np.float64(1), [np.int64(2)]), "(1.0, [2])"),
        (np.arange(3), "[0, 1, 2]"),
        ("a\x1b\nb", "'a\\x1b\\nb'"),
        (None, "None"),
        (10, "10"),
    ],
)
def test_received_values_are_those_of_python(value, shown):
    assert received(value) == shown


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, list(range(10**5)), 10**20_000, -(10**20_000), np.zeros((1000, 1000)), [[[[[[[1]]]]]]] * 99],
    ids=["text", "list", "integer", "negative", "array", "nested"],
)
def test_received_values_are_short(value):
    assert len(received(value)) < 400
