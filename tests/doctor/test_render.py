"""The page of a diagnosis: the verdict first, then the evidence, in every form and in short."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from thalweg.doctor.diagnosis import Diagnosis
from thalweg.doctor.findings import Cause, Confirmation, Finding, Learned, Remedy
from thalweg.doctor.render import finding_in_words, learned_in_words, verdict
from thalweg.pages.blocks import Check, Folded, Heading, Suggestion, Table, Text
from thalweg.pages.page import FORMS
from thalweg.runs.report import card, report_page
from thalweg.runs.report_data import ReportData
from thalweg.spec.edit import assign
from thalweg.spec.values import shell_text, shell_value

HOSTILE = "<script>alert(1)</script>"


def finding(code, severity="warning", place="the loss", remedies=(), **more):
    words = {"measured": f"{code} measured", "normal": f"{code} normal", "sentence": f"{code} explained."}
    more = {"stage": "during training", **words, **more}
    return Finding(code=code, severity=severity, place=place, value=1.0, remedies=remedies, **more)


RATE = finding(
    "lr-too-high",
    "severe",
    "optimizer.learning_rate",
    (Remedy("a tenth of the rate", (("optimizer.learning_rate", 0.01), ("training.clip", "global_norm 1.0"))),),
)
DEAD = finding("dying-relu")
JUMPS = finding("oscillating-loss")
SCALE = finding("missing-input-scaling")
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


def folded(page):
    """The blocks that are folded, which stand last."""
    assert isinstance(page.blocks[-1], Folded)
    return page.blocks[-1].blocks


def test_the_page_names_the_root_cause_and_what_to_try_before_its_evidence():
    page = ILL.page()
    assert page.summary.startswith("Root cause: lr-too-high at optimizer.learning_rate.")
    (tried, evidence) = page.blocks
    assert isinstance(tried, Suggestion)
    assert "a tenth of the rate" in tried.text
    assert isinstance(evidence, Folded)
    headings = [block.text for block in evidence.blocks if isinstance(block, Heading)]
    assert [heading.rpartition(" ")[2] for heading in headings[:2]] == ["lr-too-high", "missing-input-scaling"]


def test_a_confirmed_root_is_told_once_with_the_file_of_its_spec():
    remedy = Remedy("loss.label_smoothing = 0.0, its default", (("loss.label_smoothing", None),))
    tried = Confirmation("confirmed", "accuracy", 0.31, 0.94, 3, remedy.label)
    root = finding("setting", "severe", "loss.label_smoothing", (remedy,), stage="in paired runs", confirmation=tried)
    found = Diagnosis(Learned("accuracy", 0.31, 0.1, 0.95), (root, DEAD), (Cause(root, (DEAD,)),))
    page = found.page(command="thalweg train rings", file="rings-repaired.toml")
    assert page.text().count(remedy.label) == 1
    assert page.text().count("paired runs") == 1
    assert "rings-repaired.toml" in page.blocks[1].text
    (table,) = (block for block in folded(page) if isinstance(block, Table))
    assert [row[0] for row in table.rows] == ["dying-relu"]


@pytest.mark.parametrize("form", ["html", "text", "markdown", "json"])
def test_the_evidence_is_folded_where_the_form_can_fold_it(form):
    text = ILL.page().render(form)
    assert ("<details>" in text) == (form == "html")
    assert "Evidence: 5 findings" in text


def test_the_evidence_of_a_cause_is_its_measurement_and_its_normal_range():
    root, further, notes = (block for block in folded(ILL.page()) if isinstance(block, Table))
    assert [row[0] for row in root.rows] == ["lr-too-high", "dying-relu", "oscillating-loss"]
    assert root.rows[0][1:] == ("optimizer.learning_rate", "lr-too-high measured", "lr-too-high normal")
    assert [row[0] for row in further.rows] == ["missing-input-scaling"]
    assert [row[0] for row in notes.rows] == ["imbalance"]


def test_every_finding_is_shown_once():
    codes = [row[0] for block in folded(ILL.page()) if isinstance(block, Table) for row in block.rows]
    assert sorted(codes) == sorted(finding.code for finding in ILL.findings)


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


def test_a_healthy_network_gets_the_measurements_that_support_it():
    page = WELL.page()
    assert page.summary.startswith("Healthy")
    checks = [block for block in folded(page) if isinstance(block, Check)]
    assert [check.says for check in checks] == ["delta shrinks to 0.5", "no unit dead"]
    assert all(check.holds for check in checks)
    # A note is shown, but it is not a cause.
    assert "imbalance" in page.text()
    assert "cause" not in page.text()


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_evidence_remedy_and_remarks(form):
    text = ILL.page("Diagnosis of rings", "thalweg train rings").render(form).replace("\\_", "_")
    for words in ("Diagnosis of rings", "lr-too-high measured", "a tenth of the rate", "The test rows are gone."):
        assert words in " ".join(text.split())


def test_the_json_of_a_diagnosis_holds_no_number_that_is_none():
    lost = Diagnosis(Learned("r2", float("-inf"), 0.0, float("nan")), (finding("exploding"),), ())
    table = json.loads(json.dumps(lost.describe(), allow_nan=False))
    unknown = dict.fromkeys(("score", "line", "attainable", "share"))
    assert table["learned"] == {"measure": "r2", "constant": 0.0, "error": 0.0, **unknown}
    assert table["healthy"] is False


@pytest.mark.parametrize(
    ("learned", "numbers"),
    [
        (Learned("accuracy", 0.74, 0.5, 0.98), ["74 %", "50 %", "98 %", "50 %"]),
        (Learned("accuracy", 0.3, 0.5, 0.98), ["30 %", "50 %", "98 %", "0 %"]),
        (Learned("r2", 0.99, 0.0, 0.98), ["0.99", "0", "0.98", "100 %"]),
        (Learned("r2", float("nan"), 0.0, 0.98), ["0", "0.98"]),
        (Learned("r2", 0.5, 0.0, float("nan")), ["0.5", "0"]),
        (None, []),
    ],
)
def test_what_was_learned_is_a_sentence_with_its_scores(learned, numbers):
    text = learned_in_words(learned).replace("\u202f", " ").replace("R²", "")
    assert re.findall(r"[\d.]*\d(?: %)?", text) == numbers


def test_a_finding_in_a_line_has_all_its_parts():
    line = finding_in_words(RATE)
    for part in (RATE.code, RATE.place, RATE.measured, RATE.normal, RATE.sentence):
        assert part in line
    assert "\n" not in line


def test_a_note_that_explains_a_fault_is_its_cause():
    found = Diagnosis(None, (NOTE, DEAD), (Cause(NOTE, (DEAD,)),))
    assert not found.healthy
    assert found.verdict.startswith("Root cause: imbalance")
    assert verdict(found.causes) == found.verdict


def test_the_short_form_has_the_verdict_the_findings_above_a_note_and_a_count():
    text, table, *rest = ILL.health_blocks()
    assert text.text.startswith(ILL.verdict)
    assert [row[0] for row in table.rows] == ["lr-too-high", "dying-relu", "oscillating-loss", "missing-input-scaling"]
    assert "1 note" in rest[0].text
    assert [block.text for block in rest[1:]] == ["The test rows are gone."]
    assert all(isinstance(block, Text) for block in WELL.health_blocks())


GOLDEN = """\
Diagnosis
════════════════════════════════════════════════════════════════════════════════
Root cause: lr-too-high at optimizer.learning_rate. lr-too-high explained.

To try
→ a tenth of the rate
    thalweg train rings --set optimizer.learning_rate=0.01 --set
    'training.clip=global_norm 1.0'

Evidence: 3 findings
────────────────────

On the training rows: accuracy 52 %; best constant output 50 %; attainable 99 %.
It closed 4.1 % of the gap.

Root cause: lr-too-high
───────────────────────

Measured during training, with 1 finding that it explains
 finding       place                     measured            normal
────────────────────────────────────────────────────────────────────────────────
 lr-too-high   optimizer.learning_rate   lr-too-high         lr-too-high normal
                                         measured
 dying-relu    the loss                  dying-relu          dying-relu normal
                                         measured

Other findings
──────────────

Notes; none of them is a sign of a fault by itself
 finding     place      measured             normal
──────────────────────────────────────────────────────────────
 imbalance   the loss   imbalance measured   imbalance normal

Not examined
────────────

The test rows are gone.
"""


def test_the_text_of_a_diagnosis():
    found = Diagnosis(
        learned=Learned("accuracy", 0.52, 0.5, 0.99),
        findings=(RATE, DEAD, NOTE),
        causes=(Cause(RATE, (DEAD,)),),
        remarks=("The test rows are gone.",),
    )
    assert found.page(command="thalweg train rings").text(width=80).replace("\u202f", " ") == GOLDEN


def test_the_report_has_a_section_of_health_and_escapes_it():
    hostile = finding("leak", measured=HOSTILE, normal=HOSTILE, sentence=HOSTILE, place=HOSTILE)
    found = Diagnosis(None, (hostile,), (Cause(hostile, ()),), remarks=(HOSTILE,))
    data = ReportData(
        title="rings",
        outcome="",
        task="classification",
        facts=(("a", "b"),),
        history=[{"epoch": 1, "loss": 1.0}],
        health=found.health_blocks(),
    )
    text = report_page(data).html()
    assert HOSTILE not in text
    assert text.index("Overview</h2>") < text.index("Health</h2>") < text.index("Training</h2>")
    assert "Health</h2>" not in report_page(ReportData(title="rings", outcome="", task="classification")).html()
    assert HOSTILE not in card(data).html()
    assert "&lt;script&gt;" in card(data).html()
