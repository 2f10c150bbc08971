"""Formulas of plain text are MathML in which nothing is lost."""

import re
import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.printable import printable
from thalweg.insight.formulas import formulas
from thalweg.pages.blocks import ArrayBlock, Formula, Text
from thalweg.pages.formula_tokens import GREEK
from thalweg.pages.formulas_in_text import with_formulas
from thalweg.pages.html import render_blocks
from thalweg.pages.mathml import formula_html, inline_formula
from thalweg.parts.part import Layer, Loss, Optimizer

PARTS = [part for family in (Layer, Loss, Optimizer) for part in dict.fromkeys(family.kinds.values())]
SIGNS = st.sampled_from(
    [*"xyzWabn0123+-/*=()[]|²₁ᵀ√Ση_^',.<> ", " where ", " / ", "exp(", "dL/dz", "m̂", "`", "\n", "\x1b"]
)


def tree(markup):
    return ElementTree.fromstring(f"<page>{markup}</page>")


def letters(text):
    """Letters and digits, whatever their height."""
    return sorted(sign for sign in unicodedata.normalize("NFKC", text) if sign.isalnum())


def letters_of_source(text):
    """Those that are to be shown: the words of Greek letters as letters, and roots as signs."""
    for name, letter in {**GREEK, "sqrt": ""}.items():
        text = re.sub(rf"(?<![^\W\d_])(d?){name}(?![^\W\d_])", rf"\1{letter}", text)
    return letters(text)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_nothing_of_a_parts_formulas_is_lost(part):
    for text in filter(None, formulas(part)):
        assert letters("".join(tree(formula_html(text)).itertext())) == letters_of_source(text)


@given(st.lists(SIGNS, max_size=30).map("".join))
def test_any_text_is_well_formed_and_whole(text):
    for markup in (formula_html(text), inline_formula(text)):
        assert letters("".join(tree(markup).itertext())) == letters_of_source(printable(text))
        assert "\x1b" not in markup


@pytest.mark.parametrize(
    ("text", "over", "below"),
    [
        ("y = 1 / (1 + exp(-z))", "1", "1+exp(−z)"),
        ("Δ = -η m̂ / (√v̂ + ε)", "ηm̂", "v̂+ε"),
        ("dL/dW = 2", "dL", "dW"),
        ("l = 1/2 Σ (y - t)²", "1", "2"),
        ("y_k = exp(z_k) / Σ_j exp(z_j)", "exp(zk)", "Σjexp(zj)"),
        ("rms d(l) / rms d(l+1)", "rmsd(l)", "rmsd(l+1)"),
    ],
)
def test_a_slash_divides_what_stands_next_to_it(text, over, below):
    (fraction,) = tree(formula_html(text)).iter("mfrac")
    read = ["".join("".join(half.itertext()).split()).replace("^", "\u0302") for half in fraction]
    assert [unicodedata.normalize("NFC", half) for half in read] == [
        unicodedata.normalize("NFC", x) for x in (over, below)
    ]


def test_indices_powers_and_roots_have_their_height():
    found = tree(formula_html("w_jl² = √(x₁ + β₂ᵗ) (A B)ᵀ"))
    kinds = [element.tag for element in found.iter() if element.tag in ("msub", "msup", "msubsup", "msqrt")]
    assert kinds == ["msubsup", "msqrt", "msub", "msubsup", "msup"]


@pytest.mark.parametrize(
    "text",
    [
        "The x-axis, I/O and n/a.",
        "3 + 4 of 10 rows",
        "a -> file.csv",
        "learning_rate = 0.1",
        "R² is a measure",
        "a / b"[:1],
    ],
)
def test_prose_stays_prose(text):
    assert with_formulas(text) == [text]


@given(st.lists(SIGNS, max_size=40).map("".join))
def test_the_pieces_of_a_text_are_the_text(text):
    assert "".join(with_formulas(text)) == text


def test_formulas_of_a_page_are_mathml_that_loads_nothing():
    page = render_blocks([Text("Steps grow by 1 / (1 - μ)."), Formula("z = x W"), ArrayBlock("z", [1.0, 2.0], "x W")])
    assert page.count("<math") == 3
    assert "http" not in page
