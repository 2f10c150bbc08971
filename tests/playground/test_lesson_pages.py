"""Lessons in the playground: the spec that each opens with, and its page in steps."""

import json
import re

import pytest

from thalweg.core.errors import InputError
from thalweg.learn.catalogue import lesson, lesson_names
from thalweg.pages.blocks import Chart, Check, Formula, Heading, Text, flat
from thalweg.playground.lesson_pages import lesson_page, listed_lessons
from thalweg.spec.spec import Spec


def test_the_list_has_every_lesson_and_says_which_open():
    listed = listed_lessons()
    assert [entry["name"] for entry in listed] == lesson_names()
    assert all(entry["title"] and entry["subject"] and entry["chapter"] for entry in listed)
    opening = {entry["name"] for entry in listed if entry["opens"]}
    assert opening == {name for name in lesson_names() if lesson(name, quick=True).playground}
    assert {"perceptron", "rings", "vanishing"} <= opening


@pytest.mark.parametrize("name", ["xor-features", "gradient-step"])
def test_the_steps_hold_every_block_of_the_page_once_and_in_order(name):
    page = json.loads(json.dumps(lesson_page(name), allow_nan=False))
    blocks = list(flat(lesson(name, quick=True).page().blocks))
    steps = page["steps"]
    html = "".join(step["html"] for step in steps)
    assert html.count("<p>") == sum(isinstance(block, Text) for block in blocks)
    assert len(re.findall('<div class="formula[ "]', html)) == sum(isinstance(block, Formula) for block in blocks)
    assert len(re.findall('<li class="(?:holds|fails)"', html)) == sum(isinstance(block, Check) for block in blocks)
    figures = [figure for step in steps for figure in step["figures"]]
    charts = [block.figure for block in blocks if isinstance(block, Chart)]
    assert [figure["layout"]["title"]["text"] for figure in figures] == [chart.layout.title.text for chart in charts]
    titles = list(dict.fromkeys(step["title"] for step in steps if step["title"]))
    assert titles == [block.text for block in blocks if isinstance(block, Heading)]
    assert all(step["html"].count("<p>") <= 1 for step in steps)
    assert "<script" not in html
    assert " style=" not in html


def test_a_page_brings_the_spec_of_its_training():
    assert Spec.of(lesson_page("xor-features")["spec"]) == lesson("xor-features", quick=True).playground
    assert lesson_page("gradient-step")["spec"] is None


def test_an_unknown_lesson_is_an_error():
    with pytest.raises(InputError, match="perceptron"):
        lesson_page("percepton")
