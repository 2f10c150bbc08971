"""A diagnosis told: the verdict first, then the evidence, in every form and in short."""

from __future__ import annotations

import json
import shlex

import pytest
from thalweg.doctor.account import health_of, learned_in_words, verdict

from thalweg.doctor.findings import Cause, Diagnosis, Finding, Learned, Remedy
from thalweg.pages.blocks import Check, Suggestion, Table, Text
from thalweg.pages.page import FORMS
from thalweg.runs.report import card, page
from thalweg.runs.report_data import ReportData
from thalweg.spec.toml import assign, shell_text, shell_value

HOSTILE = "<script>alert(1)</script>"


def finding(code, severity="warning", place="the loss", remedies=(), **more):
    words = {"measured": f"{code} measured", "normal": f"{code} normal", "sentence": f"{code} explained."}
    return Finding(code, "during training", severity, place, 1.0, **(words | more), remedies=remedies)


RATE = finding(
    "lr-too-high",
    "severe",
    "optimizer.learning_rate",
    (Remedy("a tenth of the rate", (("optimizer.learning_rate", 0.01), ("training.clip", "global_norm 1.0"))),),
)
DEAD, JUMPS, SCALE = finding("dying-relu"), finding("oscillating-loss"), finding("missing-input-scaling")
NOTE = finding("imbalance", "note")
ILL = Diagnosis(
    Learned("accuracy", 0.52, 0.5, 0.99),
    (RATE, DEAD, JUMPS, SCALE, NOTE),
    (Cause(RATE, (DEAD, JUMPS)), Cause(SCALE, ())),
    remarks=("The test rows are gone.",),
)
WELL = Diagnosis(
    Learned("accuracy", 0.98, 0.5, 0.99), (NOTE,), (Cause(NOTE, ()),), evidence=("delta shrinks to 0.5", "no unit dead")
)


def test_the_root_cause_is_named_first_with_what_it_explains_and_what_to_do():
    sheet = ILL.page()
    assert sheet.summary == "Root cause: lr-too-high at optimizer.learning_rate. lr-too-high explained."
    first = sheet.blocks[0].text
    assert "It explains `dying-relu`, `oscillating-loss`." in first
    assert "What to do first: a tenth of the rate." in first
    assert "1 further cause below." in first


def test_the_evidence_of_a_cause_is_its_measure_beside_what_is_normal_here_and_where():
    root, further, notes = (block for block in ILL.page().blocks if isinstance(block, Table))
    assert [row[0] for row in root.rows] == ["lr-too-high", "dying-relu", "oscillating-loss"]
    assert root.rows[0][1:] == ("optimizer.learning_rate", "lr-too-high measured", "lr-too-high normal")
    assert [row[0] for row in further.rows] == ["missing-input-scaling"]
    assert [row[0] for row in notes.rows] == ["imbalance"]


def test_every_finding_is_told_once():
    told = [row[0] for block in ILL.page().blocks if isinstance(block, Table) for row in block.rows]
    assert sorted(told) == sorted(finding.code for finding in ILL.findings)


def test_a_remedy_is_a_command_that_sets_its_values():
    (tried,) = (block for block in ILL.page(command="thalweg train rings").blocks if isinstance(block, Suggestion))
    words = shlex.split(tried.command)
    assert words[:3] == ["thalweg", "train", "rings"]
    table = {"data": "rings", "optimizer": "adam"}
    for setting in words[4::2]:
        assign(table, setting)
    assert table["optimizer"]["learning_rate"] == 0.01
    assert table["training"]["clip"] == "global_norm 1.0"


def test_without_the_shell_a_remedy_is_lines_of_a_spec():
    (tried,) = (block for block in ILL.page().blocks if isinstance(block, Suggestion))
    assert tried.command == 'optimizer.learning_rate = 0.01\ntraining.clip = "global_norm 1.0"'


@pytest.mark.parametrize(
    "value", ["adam", "0.5", "true", " x", 'a "b"', 0.5, 1e-5, 3, True, [1, "a"], {"kind": "sgd", "steps": [0.1, 2]}]
)
def test_a_value_is_written_as_the_shell_reads_it(value):
    assert shell_value(shell_text(value)) == value


def test_a_clean_bill_has_the_measurements_that_support_it():
    sheet = WELL.page()
    assert sheet.summary == "Healthy: nothing was found that keeps it from learning."
    claims = [block for block in sheet.blocks if isinstance(block, Check)]
    assert [claim.says for claim in claims] == ["delta shrinks to 0.5", "no unit dead"]
    assert all(claim.holds for claim in claims)
    # A note is told, and is no cause of an illness.
    assert "imbalance" in sheet.render("text")
    assert "cause" not in sheet.render("text")


@pytest.mark.parametrize("form", FORMS)
def test_each_form_tells_verdict_evidence_remedy_and_what_was_not_looked_at(form):
    told = ILL.page("Diagnosis of rings", "thalweg train rings").render(form).replace("\\_", "_")
    for words in ("Diagnosis of rings", "lr-too-high measured", "a tenth of the rate", "The test rows are gone."):
        assert words in " ".join(told.split())


def test_the_json_of_a_diagnosis_holds_no_number_that_is_none():
    lost = Diagnosis(Learned("r2", float("-inf"), 0.0, float("nan")), (finding("exploding"),), ())
    table = json.loads(json.dumps(lost.describe(), allow_nan=False))
    assert table["learned"] == {"measure": "r2", "score": None, "constant": 0.0, "attainable": None, "share": None}
    assert table["healthy"] is False


@pytest.mark.parametrize(
    ("learned", "words"),
    [
        (Learned("accuracy", 0.74, 0.5, 0.98), "accuracy 74.0%"),
        (Learned("accuracy", 0.74, 0.5, 0.98), "it came 50% of the way"),
        (Learned("accuracy", 0.3, 0.5, 0.98), "it came no part of the way"),
        (Learned("r2", 0.99, 0.0, 0.98), "it came all of the way"),
        (Learned("r2", float("nan"), 0.0, 0.98), "it has no R²; the best constant answer has 0, and 0.98 can be done."),
        (Learned("r2", 0.5, 0.0, float("nan")), "it has R² 0.5; the best constant answer has 0."),
        (None, "Nothing was trained yet."),
    ],
)
def test_how_far_it_came_is_told_in_a_sentence(learned, words):
    assert words in learned_in_words(learned)


def test_a_note_that_explains_an_illness_is_its_cause():
    found = Diagnosis(None, (NOTE, DEAD), (Cause(NOTE, (DEAD,)),))
    assert not found.healthy
    assert verdict(found).startswith("Root cause: imbalance")


def test_in_short_there_is_the_verdict_what_is_above_a_note_and_the_rest_is_counted():
    text, table, *rest = health_of(ILL)
    assert text.text.startswith(verdict(ILL))
    assert [row[0] for row in table.rows] == ["lr-too-high", "dying-relu", "oscillating-loss", "missing-input-scaling"]
    assert [block.text for block in rest] == ["1 note beside, which `thalweg doctor` tells.", "The test rows are gone."]
    assert all(isinstance(block, Text) for block in health_of(WELL))


def test_the_report_has_a_section_of_health_near_its_top_and_nothing_of_it_is_run():
    hostile = finding("leak", measured=HOSTILE, normal=HOSTILE, sentence=HOSTILE, place=HOSTILE)
    found = Diagnosis(None, (hostile,), (Cause(hostile, ()),), remarks=(HOSTILE,))
    text = page(
        ReportData(
            title="rings",
            outcome="",
            task="classification",
            facts=(("a", "b"),),
            history=[{"epoch": 1, "loss": 1.0}],
            health=health_of(found),
        )
    )
    assert HOSTILE not in text
    assert text.index("<h2>Overview</h2>") < text.index("<h2>Health</h2>") < text.index("<h2>Training</h2>")
    assert "<h2>Health</h2>" not in page(ReportData(title="rings", outcome="", task="classification"))
    assert HOSTILE not in card("rings", "", {}, HOSTILE)
    assert "&lt;script&gt;" in card("rings", "", {}, HOSTILE)
