"""Folders of runs: the version of their format, and those of version 0, written before there was a number."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import thalweg
from thalweg.core.errors import InputError
from thalweg.runs.run_folder import FORMAT, list_runs

# Written by the last version without run.json, with what that version computed from them.
OLD = Path(__file__).parent / "format_0"
EXPECTED = json.loads((OLD / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_folder_of_version_0_is_read(name):
    expected = EXPECTED[name]
    run = thalweg.load(OLD / name)
    np.testing.assert_allclose(run.predict_outputs(expected["inputs"]), expected["outputs"], rtol=1e-6)
    assert run.measures == expected["measures"]
    assert run.outcome == expected["outcome"]
    assert (len(run.history), len(run.records)) == (expected["epochs"], expected["looks"])
    frames = run.boundary_frames
    assert (None if frames is None else len(frames.steps)) == expected["frames"]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_folder_of_version_0_has_a_report(name):
    page = thalweg.load(OLD / name).report()
    assert EXPECTED[name]["outcome"].split(":")[0] in page


def test_a_training_of_version_0_is_resumed_as_it_was(tmp_path):
    folder = shutil.copytree(OLD / "regression", tmp_path / "run")
    expected = EXPECTED["regression"]["resumed"]
    run = thalweg.resume(folder, [f"training.epochs={expected['epochs']}"], accept_changes=True, progress=False)
    # Another processor than that of the stored run rounds otherwise.
    for layer, known in zip(run.params, expected["weights"], strict=True):
        for array, values in zip(layer, known, strict=True):
            np.testing.assert_allclose(array, values, rtol=1e-12)
    assert run.history[-1]["loss"] == pytest.approx(expected["loss"], rel=1e-12)
    assert json.loads((folder / "run.json").read_text()) == {"format": FORMAT}


def test_runs_of_both_versions_are_listed():
    assert {row.name for row in list_runs(OLD)} == {"finished", "regression", "perceptron"}


@pytest.mark.parametrize("content", ['{"format": 99}', '{"format": "new"}', "{}", "not JSON", "[1]"])
def test_a_format_that_this_version_does_not_know_is_refused(tmp_path, content):
    folder = shutil.copytree(OLD / "perceptron", tmp_path / "run")
    (folder / "run.json").write_text(content)
    for action in (thalweg.load, thalweg.resume):
        with pytest.raises(InputError) as raised:
            action(folder)
        assert raised.value.subject == str(folder / "run.json")
