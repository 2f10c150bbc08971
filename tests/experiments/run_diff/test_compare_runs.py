"""`thalweg.diff`: runs made equal, then one thing changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars
import pytest

import thalweg
from thalweg.core.errors import InputError
from thalweg.data import StreamedDataset
from thalweg.pages.blocks import Chart, Table
from thalweg.pages.page import FORMS

LAYERS = ["dense 16", "tanh", "dense 2", "softmax"]


def trained(folder=None, network=LAYERS, data="moons 200", **options):
    defaults = {"optimizer": "adam 0.01", "epochs": 6, "engine": "eager", "progress": False}
    return thalweg.train(network, data, folder=folder, **{**defaults, **options})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "base"
    trained(folder)
    return folder


def copied(base, tmp_path, **facts):
    """The run once more, with other facts in its result."""
    folder = tmp_path / "copy"
    shutil.copytree(base, folder)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    result["facts"] |= facts
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def test_equal_runs_are_the_same(base, tmp_path):
    found = thalweg.diff(base, trained(tmp_path / "again").folder)
    assert (found.verdict, found.changes, found.recorded_loss, found.recorded_probe) == ("same", (), None, None)
    assert [(each.difference, each.epochs) for each in found.reproductions] == [(0, 6), (0, 6)]
    assert [(each.name, each.same, each.differing) for each in found.rows] == [
        (name, True, 0) for name in ("training", "validation", "test")
    ]
    assert not any(pair.differs for pair in found.versions + found.machine)
    assert found.better is None
    assert found.explanation.effects == ()


def test_engines_are_rounding_only(base, tmp_path):
    found = thalweg.diff(base, trained(tmp_path / "compiled", engine="compiled").folder)
    assert found.verdict == "rounding"
    assert [change.path for change in found.changes] == ["training.engine"]
    assert all(each.same and each.fingerprints[0] != each.fingerprints[1] for each in found.rows)
    assert {pair.name for pair in found.machine if pair.differs} == {"engine", "precision"}
    assert not found.recorded_loss.beyond
    assert all(each.holds for each in found.reproductions)


def test_a_rate_is_found_in_the_spec_in_the_step_in_the_records_and_by_intervention(base, tmp_path):
    found = thalweg.diff(base, trained(tmp_path / "slow", optimizer="adam 1e-5").folder, seeds=5)
    assert [tuple(change) for change in found.changes] == [("optimizer.learning_rate", 0.01, 1e-5)]
    assert (found.lockstep.parting.step, found.lockstep.parting.name) == (1, "update")
    # The probes saw it at the first step, the losses at the end of the first epoch.
    assert (found.recorded_probe.quantity, found.recorded_probe.step) == ("update_ratio", 0)
    assert found.recorded_loss.step == 5
    assert found.better == 0
    (effect,) = found.explanation.effects
    assert (effect.label, effect.verdict) == ("optimizer.learning_rate", "explains")
    assert effect.share == pytest.approx(1)
    assert effect.restored == pytest.approx(found.explanation.gap)


def test_a_faked_version_is_named_and_changes_nothing_else(base, tmp_path):
    fake = copied(base, tmp_path, libraries="numpy 1.0, jax 0.1, polars 9.9")
    found = thalweg.diff(base, fake)
    assert {pair.name: pair.values[1] for pair in found.versions if pair.differs} == {
        "numpy": "1.0",
        "jax": "0.1",
        "polars": "9.9",
    }
    assert found.verdict == "same"


def test_a_record_that_no_replay_gives_differs(base, tmp_path):
    """Spec and rows are equal, and the recorded losses of one run come from elsewhere."""
    other = copied(base, tmp_path)
    lines = [json.loads(line) for line in (other / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines[2:]:
        line["loss"] *= 1.01
    (other / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = thalweg.diff(base, other)
    assert found.lockstep.verdict == "same"
    assert [each.holds for each in found.reproductions] == [True, False]
    assert found.recorded_loss.step == 15
    assert found.verdict == "differs"


def test_what_is_not_recorded_is_said(base, tmp_path):
    old = copied(base, tmp_path)
    result = json.loads((old / "result.json").read_text(encoding="utf-8"))
    for name in ("libraries", "machine"):
        del result["facts"][name]
    (old / "result.json").write_text(json.dumps(result), encoding="utf-8")
    found = thalweg.diff(base, old)
    unknown = {pair.name for pair in found.versions + found.machine if pair.differs is None}
    assert unknown == {"numpy", "jax", "polars", "system", "processor", "cores"}
    assert found.page().text().count("not recorded") >= 6


def test_runs_of_other_lengths_differ(base, tmp_path):
    found = thalweg.diff(base, trained(tmp_path / "long", epochs=8).folder, seeds=0)
    assert found.lockstep.verdict == "same"
    assert found.verdict == "differs"
    assert [effect.verdict for effect in found.explanation.effects] == ["not tried"]


def test_averaged_weights_are_another_outcome_of_equal_steps(base):
    found = thalweg.diff(base, trained(average=0.99), seeds=1)
    assert (found.verdict, found.lockstep.verdict, found.lockstep.parting) == ("differs", "same", None)
    assert [effect.label for effect in found.explanation.effects] == ["training.average"]


def test_a_folder_of_the_first_format_is_compared():
    folder = Path(__file__).parents[2] / "runs" / "format_0" / "regression"
    found = thalweg.diff(folder, folder)
    assert found.verdict == "same"
    assert {pair.name for pair in found.versions if pair.differs is None} >= {"numpy", "jax", "polars"}


def table(tmp_path, name, flip=None, **options):
    """A run on a CSV file of its own, with the label of one row flipped."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    y = np.where(x @ [1.0, -1.0, 0.5] > 0, "yes", "no")
    if flip is not None:
        y[flip] = "no" if y[flip] == "yes" else "yes"
    path = tmp_path / f"{name}.csv"
    polars.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "label": y}).write_csv(path)
    data = {"source": str(path), "target": "label", "validation": 0.0, "test": 0.0, **options}
    return trained(tmp_path / name, ["dense 4", "tanh", "dense 2", "softmax"], data, epochs=4)


def test_one_label_is_found_in_its_row_and_its_step(tmp_path):
    one, other = table(tmp_path, "one"), table(tmp_path, "other", flip=17)
    found = thalweg.diff(one.folder, other.folder)
    assert [change.path for change in found.changes] == ["data.source.file"]
    (rows,) = found.rows
    assert (rows.differing, rows.columns, rows.reordered) == (1, (("target", 1),), False)
    (change,) = rows.first
    assert set(change.values) == {"yes", "no"}
    assert (found.lockstep.parting.name, found.lockstep.parting.part) == ("rows", "targets")
    order = next(other_chunk(other))
    assert found.lockstep.parting.step == int(np.argwhere(order == change.row)[0][0]) + 1
    shares = dict(rows.targets)["share of yes"]
    assert abs(shares[0] - shares[1]) == pytest.approx(1 / 120)


def other_chunk(run):
    from thalweg.training.session import Session

    session = Session(run.spec, run.rows())
    return (chunk.rows for chunk in session.batches.chunks(session.engine, 0, 1))


def test_rows_of_a_file_that_has_changed_since_are_not_replayed(tmp_path):
    one = table(tmp_path, "one")
    shutil.copytree(one.folder, tmp_path / "before")
    shutil.rmtree(one.folder)
    other = table(tmp_path, "one", flip=17)
    found = thalweg.diff(tmp_path / "before", other.folder)
    assert found.records[0].split is None
    assert found.lockstep is None
    assert found.rows[0].same is False
    assert found.rows[0].differing is None
    assert found.verdict == "differs"


def test_the_order_of_the_rows_is_found_in_the_second_epoch(base, tmp_path):
    data = {"source": "moons 200", "order": "fixed"}
    found = thalweg.diff(base, trained(tmp_path / "fixed", data=data).folder, seeds=0)
    assert [change.path for change in found.changes] == ["data.order"]
    assert (found.lockstep.parting.step, found.lockstep.parting.name) == (6, "rows")
    assert all(each.same for each in found.rows)


def test_streamed_rows_are_compared_and_replayed(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8000, 40))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x[:, 0] - x[:, 1])
    source = {"kind": "npy", "x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}
    data = {"source": source, "memory": 1, "validation": 0.0, "test": 0.0}
    options = {"epochs": 1, "batch_size": 100, "probes": "off"}
    one = trained(tmp_path / "one", ["dense 1"], data, **options)
    other = trained(tmp_path / "other", ["dense 1"], data, **options, optimizer="adam 0.02")
    found = thalweg.diff(one.folder, other.folder, seeds=0)
    assert isinstance(found.records[0].split.train, StreamedDataset)
    assert (found.rows[0].same, found.rows[0].differing) == (True, 0)
    assert (found.lockstep.first_rows.verdict, found.lockstep.start.verdict) == ("same", "same")
    assert (found.lockstep.parting.step, found.lockstep.parting.name) == (1, "update")


def test_runs_in_memory_are_compared_with_their_rows():
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = (x[:, 0] > 0).astype(int)
    shuffled = np.random.default_rng(1).permutation(y)
    good = trained(data=(x, y), epochs=20, optimizer="adam 0.05")
    bad = trained(data=(x, shuffled), epochs=20, optimizer="adam 0.05")
    found = thalweg.diff(bad, good)
    assert [change.path for change in found.changes] == ["data.source"]
    assert found.better == 1
    (effect,) = found.explanation.effects
    assert effect.verdict == "explains"
    json.dumps(found.describe(), allow_nan=False)


def test_bad_input_is_refused(base, tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        thalweg.diff(base, tmp_path)
    unfinished = copied(base, tmp_path)
    (unfinished / "result.json").unlink()
    with pytest.raises(InputError, match="has not ended"):
        thalweg.diff(base, unfinished)
    regression = trained(network=["dense 1"], data="wave", epochs=1)
    with pytest.raises(InputError, match="classification and regression"):
        thalweg.diff(base, regression)
    for option in ({"steps": 0}, {"seconds": 0.0}, {"seeds": -1}):
        with pytest.raises(InputError, match=next(iter(option))):
            thalweg.diff(base, base, **option)


def test_an_interrupted_run_is_refused(base, tmp_path):
    interrupted = copied(base, tmp_path)
    result = json.loads((interrupted / "result.json").read_text(encoding="utf-8"))
    (interrupted / "result.json").write_text(json.dumps(result | {"interrupted": True}), encoding="utf-8")
    with pytest.raises(InputError, match="interrupted"):
        thalweg.diff(base, interrupted)


def test_the_page_has_all_forms_and_marks_the_step(base, tmp_path):
    found = thalweg.diff(base, trained(tmp_path / "fast", optimizer="adam 0.05").folder, seeds=1)
    page = found.page()
    for form in FORMS:
        assert page.render(form)
    chart = next(block for block in page.blocks if isinstance(block, Chart))
    assert chart.figure.data[-1].x[0] == pytest.approx(0.5 + 0.5 / 5)
    spec = next(block for block in page.blocks if isinstance(block, Table) and "specs" in block.caption)
    assert spec.rows == [("optimizer.learning_rate", "0.01", "0.05")]
    described = found.describe()
    json.dumps(described, allow_nan=False)
    assert described["replay"]["parting"]["name"] == "update"
    assert "<table>" in found._repr_html_()


def test_the_command_exits_with_its_verdict(base, tmp_path, shell):
    slow = trained(tmp_path / "slow", optimizer="adam 1e-5").folder
    same = shell("diff", base, base, "--quiet")
    assert same.returncode == 0
    page = tmp_path / "diff.html"
    finished = shell("diff", base, slow, "--seeds", "0", "--page", page, "--json", "--quiet")
    assert finished.returncode == 1
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert shell("diff", base, tmp_path, "--quiet").returncode == 2
