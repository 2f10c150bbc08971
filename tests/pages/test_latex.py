"""Tables as LaTeX: no text becomes a command, and numbers are aligned."""

from __future__ import annotations

import re

import pytest

from thalweg.pages.blocks import Table
from thalweg.pages.latex import latex_table


def body(table):
    return [line.strip() for line in latex_table(table).splitlines() if "&" in line or "tabular" in line]


def test_numbers_are_on_the_right_and_words_on_the_left():
    lines = body(Table("", ("arm", "loss", "note"), [("sgd", 0.25, "x"), ("adam", None, "y")]))
    assert lines[0].endswith("{lrl}")
    assert lines[2] == "sgd & 0.25 & x \\\\"


@pytest.mark.parametrize("sign", list("&%$#_{}~^\\<>|"))
def test_a_sign_of_latex_is_a_letter(sign):
    row = body(Table("", ("a",), [(f"x{sign}y",)]))
    text = latex_table(Table(f"c{sign}d", ("a",), [(f"x{sign}y",)]))
    bare = re.sub(r"\\[a-z]+\{\}|\\[&%$#_{}]", "", "".join(row) + text.split("caption{")[1].split("\n")[0][:-1])
    assert not set("&%$#_~^<>|") & set(bare)


def test_a_hyphen_before_a_number_is_a_minus_sign():
    assert "x-ray & $-$0.5 to $-$.1" in latex_table(Table("", ("a", "b"), [("x-ray", "-0.5 to -.1")]))
