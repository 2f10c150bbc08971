"""The report of a run: well-formed, offline and escaped, with the right numbers and only the sections that apply."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from page_blocks import unpacked
from plotly.offline import get_plotlyjs

from sklearn import metrics
from thalweg.pages.blocks import Chart, Text, flat
from thalweg.pages.numbers import number, percent
from thalweg.pages.page import FORMS
from thalweg.parts.task_metrics import confusion_matrix
from thalweg.probes.input_maps import FittedCurve, InputMap, WeightImages
from thalweg.probes.records import Observations
from thalweg.runs.mistakes import worst_first
from thalweg.runs.report import card, precision_and_recall, report_page
from thalweg.runs.report_data import ReportData

HOSTILE = "<script>alert(1)</script>\"'&"
VOID = {"meta", "link", "img", "br", "hr", "input"}
EVERY = ["Overview", "Training", "Over the inputs", "Predictions on the test set", "Mistakes"]
EVERY += ["Network", "Notes on the data", "Specification"]


class Html(HTMLParser):
    """The elements and the text of a page; fails where a tag is closed that was not opened, or stays open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.tables: list[dict] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append({"caption": "", "rows": []})
        elif tag == "tr":
            self.tables[-1]["rows"].append([])
        elif tag in ("td", "th"):
            self.tables[-1]["rows"][-1].append("")
        elif tag == "h2":
            self.headings.append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        last = self.open[-1] if self.open else ""
        if last == "script":
            self.scripts[-1] += data
            return
        if last != "style":
            self.words.append(data)
        if last == "caption":
            self.tables[-1]["caption"] += data
        elif last in ("td", "th"):
            self.tables[-1]["rows"][-1][-1] += data
        elif last == "h2":
            self.headings[-1] += data

    def table(self, caption: str) -> list[list[str]]:
        """The rows of the table whose caption begins so, without its head."""
        return next(table["rows"][1:] for table in self.tables if table["caption"].startswith(caption))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def html_of(data: ReportData) -> str:
    return report_page(data).html()


@pytest.fixture
def classes() -> ReportData:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.2, rng.integers(0, 3, 200), true)
    return ReportData(
        title="iris",
        outcome="Trained 2 epochs in 0.1 s.",
        task="classification",
        facts=(("seed", "42"),),
        notes=("7 rows left out",),
        measures={"training": {"loss": 0.1, "accuracy": 0.95}, "test": {"loss": 0.25, "accuracy": 0.875}},
        history=[
            {"epoch": 1, "step": 5, "learning_rate": 0.1, "loss": 0.5, "accuracy": 0.8, "validation_loss": 0.6},
            {"epoch": 2, "step": 10, "learning_rate": 0.1, "loss": 0.1, "accuracy": 0.9, "validation_loss": 0.7},
        ],
        layers=(("dense 8", "(8,)", 1040), ("relu", "(8,)", 0), ("dense 3", "(3,)", 27)),
        target_names=("setosa", HOSTILE, "virginica"),
        true=true,
        predicted=predicted,
        confidence=rng.random(200),
        samples=rng.random((200, 4)),
        feature_names=("a", "b", "c", "d"),
        spec='[data]\nsource = "iris"\n',
    )


@pytest.fixture
def values(classes) -> ReportData:
    rng = np.random.default_rng(1)
    true = rng.normal(size=(50, 2)) * [1.0, 100.0]
    predicted = true + rng.normal(size=(50, 2)) * [0.1, 10.0]
    return dataclasses.replace(
        classes,
        task="regression",
        measures={"validation": {"loss": 0.1, "r2": 0.91, "mean_absolute_error": 3.0}},
        target_names=("width", HOSTILE),
        true=true,
        predicted=predicted,
        confidence=None,
        samples=rng.random((50, 4)),
        held_out="validation",
    )


@pytest.fixture
def labels() -> ReportData:
    return ReportData(
        title="labels",
        outcome="Trained.",
        task="multilabel",
        target_names=("red", "green"),
        true=np.array([[1, 0], [1, 1], [0, 0]]),
        predicted=np.array([[0.9, 0.2], [0.4, 0.7], [0.6, 0.1]]),
        samples=np.array([["a", 1.5], ["b", 2], ["c", None]], dtype=object),
        feature_names=("letter", "size"),
    )


@pytest.fixture(params=["classes", "values", "labels"])
def data(request) -> ReportData:
    return request.getfixturevalue(request.param)


def test_the_page_is_well_formed_and_labelled(data):
    seen = Html(html_of(data))
    tables = [table["caption"] for table in seen.tables]
    assert tables
    assert all(tables)
    assert all(figure.get("aria-label") for figure in seen.all("figure"))
    assert len({attributes["id"] for _, attributes in seen.elements if "id" in attributes}) == sum(
        "id" in attributes for _, attributes in seen.elements
    )
    assert len(seen.all("h1")) == 1


def test_the_page_loads_nothing(data):
    text = html_of(data)
    without_library = unpacked(text).replace(get_plotlyjs(), "")
    assert "http://" not in without_library
    assert "https://" not in without_library
    assert "@import" not in without_library
    assert "url(" not in without_library
    for tag, attributes in Html(text).elements:
        assert tag not in ("link", "iframe", "object", "embed")
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    (policy,) = [meta["content"] for meta in Html(text).all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'")


def test_the_library_is_there_once_and_only_for_charts(classes, labels):
    assert unpacked(html_of(classes)).count(get_plotlyjs()) == 1
    assert get_plotlyjs() not in unpacked(html_of(labels))


def test_foreign_text_stays_text(classes, values):
    for data in (classes, values):
        hostile = dataclasses.replace(
            data,
            title=HOSTILE,
            outcome=HOSTILE,
            facts=((HOSTILE, HOSTILE),),
            notes=(HOSTILE,),
            layers=((HOSTILE, HOSTILE, 1),),
            feature_names=(HOSTILE, "b", "c", "d"),
            held_out=HOSTILE,
            spec=HOSTILE,
        )
        text = html_of(hostile)
        assert "<script>alert" not in text
        seen = Html(text)
        assert HOSTILE in seen.text
        assert not any(name.startswith("on") for _, attributes in seen.elements for name in attributes)
        # The library, one script for each chart, and the page's own.
        assert len(seen.scripts) == 2 + len(seen.all("figure"))


def test_pictures_carry_foreign_names_in_their_alt_text(classes):
    seen = Html(html_of(dataclasses.replace(classes, image_shape=(2, 2))))
    assert any(f"true {HOSTILE}" in (image["alt"] or "") for image in seen.all("img"))


def test_every_section_appears_when_it_applies(classes):
    assert Html(html_of(classes)).headings == EVERY


@pytest.mark.parametrize(
    ("emptied", "gone"),
    [
        ({"facts": (), "measures": {}}, "Overview"),
        ({"history": []}, "Training"),
        ({"layers": ()}, "Network"),
        ({"notes": ()}, "Notes on the data"),
        ({"spec": ""}, "Specification"),
    ],
)
def test_a_section_that_does_not_apply_is_left_out(classes, emptied, gone):
    assert Html(html_of(dataclasses.replace(classes, **emptied))).headings == [name for name in EVERY if name != gone]


@pytest.mark.parametrize("nothing", [None, np.array([], dtype=int)])
def test_without_answers_there_are_no_mistakes(classes, nothing):
    seen = Html(html_of(dataclasses.replace(classes, true=nothing, predicted=nothing, confidence=None, samples=None)))
    assert seen.headings == [name for name in EVERY if name not in ("Predictions on the test set", "Mistakes")]


def test_no_data_make_a_page():
    seen = Html(html_of(ReportData(title="moons", outcome="Diverged in step 1.", task="classification")))
    assert seen.headings == []
    assert "Diverged in step 1." in seen.text


def test_the_headline_is_the_best_kept_set(classes, values):
    assert "87.5\u202f% accuracy on the test set" in Html(html_of(classes)).text.replace("  ", " ")
    assert "0.91 R² on the validation set" in Html(html_of(values)).text.replace("  ", " ")


def test_measures_by_set(classes):
    assert Html(html_of(classes)).table("Measures") == [
        ["test", "0.25", "87.5\u202f%"],
        ["training", "0.1", "95\u202f%"],
    ]


def test_a_measure_that_a_set_lacks_is_a_dash(classes):
    seen = Html(html_of(dataclasses.replace(classes, measures={"test": {"loss": 1.0}, "training": {"accuracy": 0.5}})))
    assert seen.table("Measures") == [["test", "1", "–"], ["training", "–", "50\u202f%"]]


def test_layers_and_their_total(classes):
    rows = Html(html_of(classes)).table("Layers")
    assert rows[0] == ["dense 8", "(8,)", "1,040"]
    assert rows[-1] == ["total", "", "1,067"]


def test_confusion_equals_scikit_learn(classes):
    ours = confusion_matrix(classes.true, classes.predicted, 3)
    np.testing.assert_array_equal(ours, metrics.confusion_matrix(classes.true, classes.predicted))
    assert confusion_matrix(np.array([1]), np.array([0]), 4).sum() == 1


def test_precision_and_recall_equal_scikit_learn(classes):
    precision, recall, _, count = metrics.precision_recall_fscore_support(classes.true, classes.predicted)
    matrix = confusion_matrix(classes.true, classes.predicted, 3)
    ours = precision_and_recall(np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1))
    np.testing.assert_allclose(ours, [precision, recall])
    rows = Html(html_of(classes)).table("Scores by class")
    assert rows == [
        [name, str(n), percent(p), percent(r)]
        for name, n, p, r in zip(classes.target_names, count, precision, recall, strict=True)
    ]


def test_labels_have_precision_and_recall(labels):
    said = labels.predicted >= 0.5
    precision, recall, _, count = metrics.precision_recall_fscore_support(labels.true, said)
    assert Html(html_of(labels)).table("Scores by label") == [
        [name, str(n), percent(p), percent(r)]
        for name, n, p, r in zip(labels.target_names, count, precision, recall, strict=True)
    ]


def test_a_class_that_is_never_predicted_has_no_precision():
    precision, recall = precision_and_recall(np.array([0, 3]), np.array([0, 4]), np.array([1, 3]))
    np.testing.assert_array_equal(precision, [np.nan, 0.75])
    np.testing.assert_array_equal(recall, [0.0, 1.0])


def test_mistakes_are_the_wrong_ones_the_most_confident_first(classes):
    order = worst_first(classes)
    assert set(order) == set(np.flatnonzero(classes.true != classes.predicted))
    assert (np.diff(classes.confidence[order]) <= 0).all()
    rows = Html(html_of(classes)).table("Samples")
    assert [int(row[0]) for row in rows] == order[:12].tolist()
    for k, row in zip(order, rows, strict=False):
        assert row[1:3] == [classes.target_names[classes.true[k]], classes.target_names[classes.predicted[k]]]
        assert row[3] == percent(classes.confidence[k])
        assert row[4:] == [f"{value:.4g}" for value in classes.samples[k]]


def test_mistakes_without_confidence_keep_their_order(classes):
    order = worst_first(dataclasses.replace(classes, confidence=None))
    assert order.tolist() == np.flatnonzero(classes.true != classes.predicted).tolist()


def test_mistakes_of_labels(labels):
    assert Html(html_of(labels)).table("Samples") == [
        ["1", "red + green", "green", "b", "2"],
        ["2", "none", "red", "c", "–"],
    ]


def test_no_mistakes(classes):
    seen = Html(html_of(dataclasses.replace(classes, predicted=classes.true)))
    assert "All 200 samples of the test set" in seen.text
    assert not [table for table in seen.tables if table["caption"].startswith("Samples")]


def test_a_wide_table_shows_the_features_in_which_the_samples_are_unusual(classes):
    names = tuple(f"f{k}" for k in range(30))
    samples = np.zeros((200, 30))
    samples[worst_first(classes), 20:28] = np.arange(8, 0, -1)
    seen = Html(html_of(dataclasses.replace(classes, samples=samples, feature_names=names)))
    (table,) = [table for table in seen.tables if table["caption"].startswith("Samples")]
    assert table["rows"][0][:4] == ["sample", "true", "predicted", "confidence"]
    assert set(table["rows"][0][4:]) == set(names[20:28])
    assert "the 8 of 30 features" in table["caption"]


def test_pictures_hold_the_samples(classes):
    samples = np.random.default_rng(0).integers(0, 256, (200, 6)).astype(float)
    samples[:, 0] = 0
    samples[:, 1] = 255
    pictured = dataclasses.replace(classes, samples=samples, image_shape=(2, 3))
    images = Html(html_of(pictured)).all("img")
    order = worst_first(pictured)
    assert len(images) == min(24, len(order))
    for k, image in zip(order, images, strict=False):
        assert image["alt"].startswith(f"Sample {k}: true {classes.target_names[classes.true[k]]}, predicted ")
        file = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        assert file.startswith(b"\x89PNG\r\n\x1a\n")
        assert (int.from_bytes(file[16:20]), int.from_bytes(file[20:24])) == (3, 2)
        size = int.from_bytes(file[33:37])
        lines = np.frombuffer(zlib.decompress(file[41 : 41 + size]), dtype=np.uint8).reshape(2, 4)
        np.testing.assert_array_equal(lines[:, 1:], samples[k].reshape(2, 3))


def test_pictures_of_one_grey_are_no_problem(classes):
    assert Html(html_of(dataclasses.replace(classes, samples=np.full((200, 4), 7.0), image_shape=(2, 2)))).all("img")


def test_largest_errors_are_compared_in_standard_deviations(values):
    size = np.abs(values.predicted - values.true) / values.true.std(axis=0)
    order = worst_first(values)
    np.testing.assert_array_equal(order, np.argsort(-size.max(axis=1)))
    rows = Html(html_of(values)).table("Samples")
    k = order[0]
    target = int(size[order[0]].argmax())
    true = values.true[k, target]
    predicted = values.predicted[k, target]
    assert rows[0][:5] == [
        str(k),
        values.target_names[target],
        *(f"{v:.4g}" for v in (true, predicted, predicted - true)),
    ]


def test_an_answer_that_is_no_number_comes_first(values):
    predicted = values.predicted.copy()
    predicted[7, 1] = np.nan
    broken = dataclasses.replace(values, predicted=predicted)
    assert worst_first(broken)[0] == 7
    assert Html(html_of(broken)).table("Samples")[0][:4] == ["7", HOSTILE, number(values.true[7, 1]), "NaN"]


def test_one_target_may_come_as_a_vector(values):
    one = dataclasses.replace(
        values, true=values.true[:, 0], predicted=values.predicted[:, 0], target_names=("width",), notes=()
    )
    seen = Html(html_of(one))
    (table,) = [table for table in seen.tables if table["caption"].startswith("Samples")]
    assert table["rows"][0] == ["sample", "true", "predicted", "error", "a", "b", "c", "d"]


def test_many_points_are_thinned_with_a_remark(values):
    many = dataclasses.replace(
        values, true=np.arange(7000.0), predicted=np.arange(7000.0) + 1, target_names=("y",), samples=None
    )
    assert "show one of every 3" in Html(html_of(many)).text


def test_charts_are_those_of_the_task(classes, values):
    def drawn(data: ReportData) -> list[str | None]:
        return [figure["aria-label"] for figure in Html(html_of(data)).all("figure")]

    assert drawn(classes) == ["Loss", "Accuracy", "Learning rate", "Confusion"]
    assert drawn(values)[3:5] == ["Predicted and true width", "Errors of width"]
    assert "Confusion" not in drawn(values)


def input_map_for(data: ReportData, **options) -> InputMap:
    """A map of random outputs for the classes or targets of the data."""
    place = np.linspace(0, 1, 5)
    rng = np.random.default_rng(0)
    outputs = rng.random((5, 5, len(data.target_names)))
    return InputMap(place, place, outputs, rng.random((len(data.true), 2)), data.true, (HOSTILE, "b"), **options)


def test_maps_and_weights_have_their_sections(classes):
    seen = input_map_for(classes, units=np.zeros((2, 3, 3)), all_units=7, every=4)
    weights = WeightImages(np.array([3, 1]), np.ones((2, 2, 2)), 2)
    data = dataclasses.replace(classes, input_map=seen, weights=weights)
    text = html_of(data)
    assert "<script>alert" not in text
    document = Html(text)
    over = document.headings.index("Over the inputs")
    inside = document.headings.index("Inside the network")
    assert over < document.headings.index("Predictions on the test set") < inside < document.headings.index("Network")
    assert "one of every 4" in document.text
    assert "the first 2 of 7" in document.text
    assert "units with the largest weights" not in document.text
    labels = [figure["aria-label"] for figure in document.all("figure")]
    assert labels[3:] == ["Decision boundary", "Confusion", "Outputs of the hidden units", "Weights of the first layer"]
    assert [figure.layout.title.text for figure in report_page(data).figures()] == labels


def test_principal_axes_show_their_explained_variance(classes):
    shown = input_map_for(classes, explained=(0.5, 0.25))
    document = Html(html_of(dataclasses.replace(classes, input_map=shown)))
    assert "a plane through its 4 inputs" in document.text
    assert "50\u202f% + 25\u202f% = 75\u202f%" in document.text


def test_numbers_have_a_surface_or_a_curve_for_each_target(values):
    def labels(data):
        return [figure["aria-label"] for figure in Html(html_of(data)).all("figure")]

    curve = FittedCurve(np.arange(3.0), np.zeros((3, 2)), values.samples[:, 0], values.true, "a")
    for data in (
        dataclasses.replace(values, input_map=input_map_for(values)),
        dataclasses.replace(values, curve=curve),
    ):
        assert labels(data)[3:5] == ["Fitted width", f"Fitted {HOSTILE}"]


def test_probes_have_a_section_after_the_curves(classes):
    records = [
        {"step": step, "whole": {}, "layers": {"delta_rms": [part, None, 0.1], "update_ratio": [1e-3, None, 1e-3]}}
        for step, part in ((0, 0.05), (5, 0.02))
    ]
    seen = Observations.of(records, (f"1: dense {HOSTILE}", "2: relu", "3: dense 3"), per_epoch=5)
    data = dataclasses.replace(classes, observed=seen, expected=np.array([0.7, np.nan, 1.0]), batch_size=8)
    text = html_of(data)
    assert "<script>alert" not in text
    document = Html(text)
    assert document.headings == [*EVERY[:2], "Inside the training", *EVERY[2:]]
    labels = [figure["aria-label"] for figure in document.all("figure")]
    assert labels == ["Loss", "Accuracy", "Learning rate", "Delta by layer", "Size of the updates", "Confusion"]
    assert [figure.layout.title.text for figure in report_page(data).figures()] == labels
    (caption,) = [
        block.caption
        for block in flat(report_page(data).blocks)
        if isinstance(block, Chart) and block.figure.layout.title.text == "Delta by layer"
    ]
    assert re.search(r" 0\.5 .* 0\.2 .* 0\.7 ", caption)
    assert caption.split(".")[0] in document.text
    assert 'probes = "full"' in document.text
    assert "No probes recorded" not in document.text


@pytest.mark.parametrize("nothing", [None, Observations.of([], ("1: dense 8",), per_epoch=5)])
def test_without_probes_one_line_shows_how_to_record_them(classes, nothing):
    document = Html(html_of(dataclasses.replace(classes, observed=nothing)))
    assert document.headings == EVERY
    assert 'probes = "standard"' in document.text


def test_the_specification_is_complete_and_can_be_copied(classes):
    seen = Html(html_of(classes))
    assert classes.spec in seen.text
    assert len(seen.all("button")) == 1


def test_the_page_is_the_same_each_time(classes):
    assert html_of(classes) == html_of(classes)


def test_both_themes_and_paper_have_a_style(classes):
    text = html_of(classes)
    assert re.search(r"@media screen and \(prefers-color-scheme: dark\)", text)
    assert "@media print" in text


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_results(data, form):
    text = report_page(data).render(form)
    for words in (*set(data.target_names) - {HOSTILE}, *data.measures):
        assert words in text


def test_json_holds_measures_at_full_precision(classes):
    measures = {"test": {"loss": 1 / 3, "accuracy": 2 / 3}}
    page = json.loads(report_page(dataclasses.replace(classes, measures=measures)).json())
    tables = [block for group in page["blocks"] for block in group.get("blocks", [group]) if block["kind"] == "table"]
    assert tables[0]["rows"] == [["test", 1 / 3, 2 / 3]]


def test_curves_have_their_last_values_as_caption(classes):
    captions = [block.caption for block in flat(report_page(classes).blocks) if isinstance(block, Chart)]
    assert "0.1" in captions[0]
    assert "0.7" in captions[0]
    assert "90\u202f%" in captions[1]


def test_the_card_holds_outcome_health_and_measures(classes):
    fragment = card(dataclasses.replace(classes, health=(Text("Healthy."),))).fragment()
    document = Html(fragment)
    assert classes.outcome in document.text
    assert "Healthy." in document.text
    assert document.table("Measures") == [["test", "0.25", "87.5\u202f%"], ["training", "0.1", "95\u202f%"]]
    assert document.all("script") == []
