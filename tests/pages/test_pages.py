"""A page in its four forms: escaped, aligned, shortened, and with the right numbers."""

from __future__ import annotations

import html
import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from page_blocks import unpacked
from plotly.offline import get_plotlyjs

from thalweg.core.errors import InputError
from thalweg.pages.blocks import (
    ArrayBlock,
    Bullets,
    Chart,
    Check,
    CodeBlock,
    Facts,
    Folded,
    Formula,
    Gallery,
    Heading,
    KeyFigures,
    LinkItem,
    LinkList,
    Picture,
    SideBySide,
    Suggestion,
    Table,
    Text,
)
from thalweg.pages.html import LIBRARY, Link
from thalweg.pages.notebook import outputs
from thalweg.pages.page import FORMS, Page, Paged, form_of

HOSTILE = "<script>alert(1)</script>\"'&"


def sheet(*blocks, **words) -> Page:
    return Page(words.pop("title", "One step"), blocks, **words)


def json_of(*blocks) -> list[dict]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(sheet(*blocks).json(), parse_constant=refuse)["blocks"]


EVERYTHING = (
    Text("It begins with `x`."),
    Heading("Forward"),
    Formula("z = x W + b\nL = ½ (t - z)²"),
    ArrayBlock("W", np.array([[1.0, -0.5], [0.25, 20.0]]), "given", "the weights"),
    Table("Steps", ("step", "loss", "word"), [(1, 0.5, "a|b"), (20, 1e-9, "c")]),
    Chart(go.Figure(go.Scatter(y=[1, 2])).update_layout(title="A line"), "It rises."),
    Check("The loss is 2", 2.0000001, 2.0, 1e-6),
    Check("The loss is 3", 2.0, 3.0),
    Suggestion("a larger rate", "thalweg lesson gradient-step --set learning_rate=1.5"),
)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_tells_every_block(form):
    told = sheet(*EVERYTHING, summary="In short.", settings=(("rate", "0.5"),)).render(form)
    words = " ".join(
        html.unescape(re.sub(r"<[^>]+>", "", unpacked(told).replace(get_plotlyjs(), ""))).replace("\\", "").split()
    )
    for said in ("One step", "In short.", "It begins with", "Forward", "the weights", "0.25", "Steps"):
        assert said in words
    assert ("z=xW+b" if form == "html" else "z = x W + b") in words
    for said in ("a|b", "It rises.", "The loss is 2", "a larger rate", "--set learning_rate=1.5", "rate", "0.5"):
        assert said in words


@pytest.mark.parametrize("width", [30, 60, 100])
def test_plain_text_keeps_to_its_width(width):
    long = sheet(Text("word " * 100), ArrayBlock("W", np.ones((5, 9))), Check("so " * 60, True), summary="sum " * 50)
    assert max(map(len, long.text(width).splitlines())) <= width


@pytest.mark.parametrize("width", [50, 60, 80])
def test_no_word_of_a_table_is_broken_where_all_of_them_have_room(width):
    row = ("batch normalisation before each hidden activation", "helps", "+71.1 points (+40.9 to +100 points)", 0.25)
    told = sheet(Table("Remedies", ("remedy", "verdict", "effect", "share"), [row])).text(width)
    assert max(map(len, told.splitlines())) <= width
    assert set(re.findall(r"[\w.+]+", " ".join(map(str, row)))) <= set(re.findall(r"[\w.+]+", told))


def test_a_single_number_stands_beside_its_name():
    told = sheet(ArrayBlock("L", np.float64(2.0), "½ (t - z)²", "the loss")).text()
    assert "L = 2  ½ (t - z)²  the loss" in told.splitlines()


def test_a_claim_tells_what_was_measured_and_whether_it_holds():
    told = sheet(Check("two", 2.1, 2.0, 0.5), Check("true", True), Check("three", 2.0, 3.0)).text()
    told += sheet(Check("a false one", False)).text()
    lines = [line for line in told.splitlines() if line.startswith(("✓", "✗"))]
    assert lines == [
        "✓ two  (measured 2.1, expected 2 within 0.5)",
        "✓ true",
        "✗ three  (does not hold here: measured 2, expected 3)",
        "✗ a false one  (does not hold here)",
    ]


def test_json_holds_every_number_at_full_precision():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(31, 32)) * 10.0 ** rng.integers(-200, 200, (31, 32))
    (block,) = json_of(ArrayBlock("W", values))
    assert block["shape"] == [31, 32]
    assert np.array_equal(np.array(block["values"]), values)
    (scalar,) = json_of(ArrayBlock("L", np.float64(1 / 3)))
    assert scalar["values"] == 1 / 3
    assert scalar["shape"] == []


def test_json_shows_the_corner_of_a_large_array():
    values = np.random.default_rng(0).normal(size=(784, 3))
    (block,) = json_of(ArrayBlock("W", values))
    assert "values" not in block
    assert block["corner"] == values[:6].tolist()
    assert block["rms"] == pytest.approx(math.sqrt(np.mean(values**2)))
    assert (block["smallest"], block["largest"]) == (values.min(), values.max())


def test_json_has_no_nan():
    values = np.array([math.nan, math.inf, -math.inf, 1.0])
    numbers, claim, table = json_of(
        ArrayBlock("g", values), Check("it is", math.nan, 0.0), Table("t", ("a", "b"), [(math.inf, np.int64(3))])
    )
    assert numbers["values"] == ["NaN", "Infinity", "-Infinity", 1.0]
    assert claim["measured"] == "NaN"
    assert claim["holds"] is False
    assert table["rows"] == [["Infinity", 3]]


def test_markdown_tables_and_lists_are_those_of_github():
    told = sheet(*EVERYTHING).markdown()
    assert "| step | loss | word |\n| ---: | ---: | --- |\n| 1 | 0.5 | a\\|b |\n| 20 | 1e-9 | c |\n" in told
    assert "- [x] The loss is 2\n- [ ] The loss is 3 (does not hold here" in told
    assert "```text\nz = x W + b\nL = ½ (t - z)²\n```" in told


@pytest.mark.parametrize("text", ["*a* _b_ <b> [c](d) $e$ ~f~ # g", "# heading", "1. item", "- item", "12) item"])
def test_markdown_text_stays_text(text):
    line = sheet(Text(text)).markdown().split("\n\n")[1].strip()
    unescaped = re.sub(r"\\([\W_])", r"\1", line)
    assert unescaped == text
    assert not re.search(r"(?<!\\)[*_<>\[\]$~]", line)
    assert not re.match(r"#|-|\d+[.)]", line)


def test_code_between_backquotes_is_code():
    text = Text("Take `x_1 < 2` here.")
    assert "`x_1 < 2`" in sheet(text).markdown()
    assert "<code>x_1 &lt; 2</code>" in sheet(text).html()


def test_a_fence_is_longer_than_the_backquotes_inside():
    assert "````text\n```\n````" in sheet(Formula("```")).markdown()


def test_written_reports_share_a_library_by_option(tmp_path):
    class Result(Paged):
        def page(self):
            return sheet(*EVERYTHING)

    for name in ("a", "b c"):
        Result().report(tmp_path / "runs" / name / "report.html", library=tmp_path)
    assert (tmp_path / LIBRARY).read_text(encoding="utf-8") == get_plotlyjs()
    written = (tmp_path / "runs" / "b c" / "report.html").read_text(encoding="utf-8")
    assert f'<script src="../../{LIBRARY}">' in written
    assert len(written) < 60_000
    with pytest.raises(InputError, match="path"):
        Result().report(library=tmp_path)


def test_foreign_text_stays_text_in_html():
    numbers = ArrayBlock(HOSTILE, np.array([HOSTILE]), HOSTILE, HOSTILE)
    table = Table(HOSTILE, (HOSTILE, HOSTILE), [(HOSTILE, HOSTILE)])
    chart = Chart(go.Figure(layout={"title": "t"}), HOSTILE)
    words = [kind(HOSTILE) for kind in (Heading, Text, Formula)]
    blocks = (*words, numbers, table, chart, Check(HOSTILE, HOSTILE, HOSTILE), Suggestion(HOSTILE, HOSTILE))
    page = sheet(*blocks, title=HOSTILE, summary=HOSTILE, settings=((HOSTILE, HOSTILE),)).html()
    assert "<script>alert" not in page
    assert page.count(html.escape(HOSTILE)) >= 15


def test_a_long_page_has_a_table_of_contents():
    headings = [Heading(f"Part {k}") for k in range(7)]
    page = sheet(*headings).html()
    assert re.findall(r'<a href="#(part-\d)">', page) == re.findall(r'<section class="prose" id="(part-\d)">', page)
    assert "Contents" not in sheet(*headings[:6]).html()


def test_charts_of_a_page_have_names_of_their_own():
    chart = EVERYTHING[5]
    page = sheet(chart, chart, Heading("More"), chart).html()
    names = re.findall(r'id="([^"]+)" class="plotly-graph-div"', page)
    assert len(set(names)) == 3


def test_a_page_is_whole_and_a_page_of_a_site_shares_what_draws_charts():
    alone = sheet(*EVERYTHING).html()
    linked = sheet(*EVERYTHING).html([Link("All", "index.html", "up")], LIBRARY)
    assert unpacked(alone).count(get_plotlyjs()) == 1
    assert len(alone) < 2_000_000
    assert LIBRARY not in alone
    assert get_plotlyjs() not in unpacked(linked)
    assert f'<script src="{LIBRARY}">' in linked
    assert linked.count('<a href="index.html" rel="up">All</a>') == 2


def test_a_worksheet_shows_itself_in_a_notebook():
    page = sheet(*EVERYTHING)
    text, chart, rest = list(outputs(page.title, page.blocks, page.summary, page.settings))[1:]
    assert "<table>" in text["text/html"]
    assert "The loss is 2" in rest["text/html"]
    assert chart["application/vnd.plotly.v1+json"]["data"][0]["y"] == [1, 2]
    picture = ElementTree.fromstring(chart["image/svg+xml"])
    (line,) = picture.iter("{http://www.w3.org/2000/svg}path")
    assert line.get("d").count("L") == 1
    still = page._repr_html_()
    assert "<script" not in still
    assert chart["image/svg+xml"] in still


def test_a_report_shows_itself_and_is_written(tmp_path):
    class Result(Paged):
        def page(self):
            return sheet(*EVERYTHING, summary="In short.")

    report = Result().report(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == report == Result().page().html()
    assert len(repr(report)) < 200
    assert report._repr_html_() == Result()._repr_html_()


@pytest.mark.parametrize(
    ("out", "name", "form"),
    [
        (None, None, "text"),
        (None, "json", "json"),
        ("a.html", None, "html"),
        ("a.HTM", None, "html"),
        ("a.md", None, "markdown"),
        ("a.json", None, "json"),
        ("a.txt", None, "text"),
        ("a.html", "markdown", "markdown"),
        ("a.pdf", "html", "html"),
    ],
)
def test_the_form_follows_the_option_then_the_suffix(out, name, form):
    assert form_of(out and Path(out), name) == form


@pytest.mark.parametrize(
    ("out", "name", "said"),
    [(None, "htm", "did you mean 'html'"), ("a.pdf", None, r"\.html"), ("folder", None, "--format")],
)
def test_an_unknown_form_is_an_error(out, name, said):
    with pytest.raises(InputError, match=said):
        form_of(out and Path(out), name)


GOLDEN = Page(
    "One step",
    (
        KeyFigures([("87.5 %", "accuracy")]),
        Heading("Forward"),
        Text("With `x`."),
        Table("Steps", ("step", "loss"), [(1, 0.5), (20, 1e-9)], ("total", 0.25)),
        SideBySide([Facts([("seed", "1")]), Bullets(["a", "b"])]),
        Check("The loss is 2", 2.0, 2.0),
        Suggestion("a larger rate", "thalweg train"),
        LinkList([LinkItem("All", "index.html", "the list", "✓")]),
        Gallery([Picture("Sample 3", b"png", ("true 1",))]),
        CodeBlock("rate = 1\n"),
    ),
    "In short.",
    (("rate", "0.5"),),
)


@pytest.mark.parametrize(
    ("form", "name"), [("text", "page.txt"), ("markdown", "page.md"), ("json", "page.json"), ("fragment", "page.html")]
)
def test_each_form_of_a_page_is_the_golden_one(form, name):
    text = GOLDEN.fragment() if form == "fragment" else GOLDEN.render(form)
    assert text == (Path(__file__).parent / "golden" / name).read_text(encoding="utf-8")


def test_what_is_folded_is_hidden_in_a_browser_alone():
    page = sheet(Text("first"), Folded(HOSTILE, [Heading("inner"), Text("last")]))
    html = page.html()
    assert HOSTILE not in html
    assert html.index("first") < html.index("<summary>") < html.index("inner") < html.index("</details>")
    assert "<h3>inner</h3>" in html
    lines = page.text().splitlines()
    assert lines.index("inner") < lines.index("last")
    assert json.loads(page.json())["blocks"][1]["blocks"][1] == {"kind": "text", "text": "last"}
    assert "## inner" in page.markdown()
