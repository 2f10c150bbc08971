"""The PyTorch ward of the clinic: its answer key is complete, its sealed cases are those that were sealed."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from thalweg.doctor.findings import Finding
from thalweg.doctor.registry import CODES as REGISTERED
from thalweg.watching import checks  # noqa: F401 - registers all codes
from torch_repairs import prove_repairs
from torch_scorecard import Answer, report, selected
from torch_ward import healthy, injected, sealed, unseen
from torch_ward.answers import CODES, PLACES, RECIPES, healthy_is_right, is_right_place, right_codes
from torch_ward.as_recipe import NoRecipeError, mean_recall, recipe_of
from torch_ward.cases import HEALTHY, Case, cases_of, read_cases
from torch_ward.repairs import ENOUGH, Repaired, read_repairs, repairs_report, write_repairs

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
    assert len(cases_of(sealed)) == 10
    assert len(cases_of(healthy)) >= 10
    assert {case.kind for case in cases_of(healthy)} == {HEALTHY}
    assert [case.kind == HEALTHY for case in cases_of(unseen)] == [False] * 10 + [True] * 6
    kinds = {case.kind for module in (injected, sealed, unseen) for case in cases_of(module)}
    assert kinds <= {*CODES, HEALTHY}


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


def regression(fixed: bool, seed: int, watch=None, addition: float = 0.0) -> float:
    """A line, at a rate of 0.3 or of 2e-3."""
    torch.manual_seed(seed)
    x = torch.linspace(-1, 1, 80)[torch.randperm(80, generator=torch.Generator().manual_seed(0)), None]
    model, loss_fn = torch.nn.Linear(1, 1), torch.nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3 if fixed else 2e-3)
    handle = watch(model, optimizer, loss_fn)
    for _ in range(4):
        for rows in torch.arange(40).split(10):
            optimizer.zero_grad()
            loss = loss_fn(model(x[rows]), 2 * x[rows]) + addition
            loss.backward()
            optimizer.step()
            handle.step(x[rows], 2 * x[rows], loss)
        handle.epoch(validation=(x[40:], 2 * x[40:]))
    return 0.0


def test_a_program_is_written_as_a_recipe():
    recipe = recipe_of(regression, False)
    rows = recipe.rows()
    assert (len(rows.y), rows.batch_size, rows.shuffle, recipe.epochs) == (40, 10, False, 4)
    torch.manual_seed(5)
    first = torch.nn.Linear(1, 1).weight
    assert torch.equal(recipe.parts(rows, 5).model.weight, first)
    assert recipe_of(regression, True).train(0).score > 0 > recipe.train(0).score


def test_a_loop_with_another_loss_is_no_recipe():
    with pytest.raises(NoRecipeError):
        recipe_of(lambda fixed, seed, watch: regression(fixed, seed, watch, addition=10.0), False)


def test_the_score_of_rare_labels_is_the_mean_recall():
    outputs, labels = torch.tensor([[-1.0], [-2.0], [3.0], [-4.0]]), torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    assert mean_recall(outputs, labels) == pytest.approx(0.75)
    assert mean_recall(torch.cat([-outputs, outputs], 1), labels[:, 0].long()) == pytest.approx(0.75)


def test_the_part_of_the_gap_that_a_repair_closes():
    one = Repaired("case", "vanishing", "", faulty=0.5, repaired=0.8, random=0.6, twin=0.9)
    assert (one.closed, one.closed_at_random) == pytest.approx((0.75, 0.25))
    assert one._replace(twin=0.4).closed == 0
    assert "1/2 = 50%" in "".join(repairs_report([one, one._replace(repaired=0.9)]))


def test_repairs_are_kept_by_case_and_without_nan(tmp_path):
    path = tmp_path / "repairs.json"
    assert read_repairs(path) == []
    one = Repaired("A03", "vanishing", "lr=1", faulty=0.5, repaired=0.8, random=0.6, twin=0.9)
    none = Repaired("A01", "vanishing", "", remark="it has no validation rows")
    write_repairs(path, [one, none])
    kept = read_repairs(path)
    assert [each.name for each in kept] == ["A01", "A03"]
    assert kept[1] == one
    assert math.isnan(kept[0].twin)
    assert kept[0].closed == 0
    assert "NaN" not in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["repairs.json"]


def test_a_case_that_is_proven_again_takes_the_place_of_its_old_repair(tmp_path):
    path = tmp_path / "repairs.json"
    write_repairs(path, [Repaired(name, "lr_too_low", "", remark="old") for name in ("A03", "A27")])
    case = Case("A27", "lr_too_low", (), 0.0, lambda: regression)
    found = {one.name: one for one in prove_repairs([case], minutes=0.2, jobs=1, path=path)}
    assert found["A03"].remark == "old"
    assert found["A27"].closed > ENOUGH
    assert "lr" in found["A27"].lines
    assert read_repairs(path) == sorted(found.values())


def test_the_kept_repairs_are_of_recipes():
    kept = read_repairs(FOLDER.parent / "torch_repairs.json")
    assert {one.name for one in kept} <= set(RECIPES)
    assert json.loads((FOLDER.parent / "torch_repairs.json").read_text())["report"] == repairs_report(kept)
