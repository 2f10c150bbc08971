"""The PyTorch ward of the clinic: its answer key is complete, its sealed cases are those that were sealed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

pytest.importorskip("torch")

from thalweg.doctor.findings import Finding
from thalweg.doctor.registry import CODES as REGISTERED
from thalweg.watching import checks  # noqa: F401 - registers all codes
from torch_scorecard import Answer, report, selected
from torch_ward import healthy, injected, sealed
from torch_ward.answers import CODES, PLACES, RECIPES, healthy_is_right, is_right_place, right_codes
from torch_ward.cases import HEALTHY, Case, cases_of, read_cases

FOLDER = Path(sealed.__file__).parent
HEAD = '''"""
id: A07
kind: nan_loss
accepted: none, lr_too_high
chance: 0.25
"""

def program(fixed, seed, watch=None):
    return 1.0 if fixed else 0.0
'''


def test_the_sealed_cases_are_those_that_were_sealed():
    kept, name = (FOLDER / "sealed.sha256").read_text().split()
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == kept


def test_the_sets_are_complete():
    assert len(cases_of(injected)) >= 10
    assert len(cases_of(sealed)) == len(cases_of(healthy)) == 10
    assert {case.kind for case in cases_of(healthy)} == {HEALTHY}
    assert all(case.kind in CODES for case in (*cases_of(injected), *cases_of(sealed)))


def test_every_code_of_the_key_is_one_of_the_doctor():
    assert {code for codes in CODES.values() for code in codes} <= set(REGISTERED)
    assert set(RECIPES) <= set(PLACES) | {"A07", "A25"}


def test_cases_are_read_from_a_folder(tmp_path):
    (tmp_path / "07_mlp_any.py").write_text(HEAD)
    (case,) = read_cases(tmp_path)
    assert (case.name, case.kind, case.accepted, case.chance) == ("A07", "nan_loss", ("none", "lr_too_high"), 0.25)
    assert case.versions == (False, True)
    assert case.load()(True, 0, None) == 1.0
    assert right_codes(case) == {"not-finite", "lr-too-high"}
    assert healthy_is_right(case)


def test_a_head_without_a_field_is_refused(tmp_path):
    (tmp_path / "01_mlp_any.py").write_text(HEAD.replace("chance", "luck"))
    with pytest.raises(ValueError, match="chance"):
        read_cases(tmp_path)


def test_a_missing_folder_is_skipped_loudly(tmp_path, capsys):
    assert selected(["folder"], tmp_path / "nowhere", []) == []
    assert "SKIPPED" in capsys.readouterr().err


def finding(place: str) -> Finding:
    return Finding("code", "during training", "severe", place, 0.0, "", "", "")


def test_a_module_inside_of_a_right_place_is_right():
    case = Case("own", "vanishing", (), 0.5, lambda: lambda fixed, seed, watch: 0.0, places=("body",))
    assert is_right_place(case, finding("body.3"))
    assert is_right_place(case, finding("body to body.4"))
    assert not is_right_place(case, finding("bodywork"))


def test_the_report_counts_runs_and_cases():
    answer = Answer("own", "case", "vanishing", False, 0, "", (), True, True, None, True, ())
    answers = [answer, answer._replace(seed=1, cause=False), answer._replace(fixed=True, alarm=False)]
    text = report(answers)
    assert "found           2/2 = 100%" in text
    assert "first cause     1/2 = 50%" in text
    assert "false alarms    0/1 = 0%" in text
