import hashlib
import json
import os
import shutil
import sys

import numpy as np
import polars
import pytest
from safetensors import numpy as safetensors
from sessions import Watching

import thalweg
from thalweg.core.errors import InputError
from thalweg.core.locks import LOCK_FILE
from thalweg.runs.load import load
from thalweg.runs.predict import prediction_table
from thalweg.runs.run_folder import list_runs, new_folder, read_records
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec


@pytest.fixture(scope="module")
def rings():
    return thalweg.train(["dense 8", "tanh", "dense 2", "softmax"], "rings 300", epochs=5, progress=False)


@pytest.fixture(scope="module")
def folder(rings, tmp_path_factory):
    return rings.save(tmp_path_factory.mktemp("runs") / "one")


def test_a_saved_run_predicts_as_before(rings, folder):
    x = np.random.default_rng(0).normal(size=(5000, 2))
    again = load(folder)
    np.testing.assert_array_equal(again.predict(x), rings.predict(x))
    np.testing.assert_array_equal(again.predict_outputs(x), rings.predict_outputs(x))
    assert again.spec == rings.spec
    assert again.history == rings.history
    assert again.measures == rings.measures


def test_a_run_is_a_folder_of_plain_files(folder):
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names - {LOCK_FILE} == {
        "spec.toml",
        "metrics.jsonl",
        "run.json",
        "result.json",
        "report.html",
        "probes.jsonl",
        "frames.safetensors",
        "frames.json",
        "checkpoints/final.safetensors",
        "checkpoints/final.json",
    }


def test_predictions_do_not_depend_on_how_many_rows_come_together(rings):
    x = np.random.default_rng(0).normal(size=(3000, 2))
    one_by_one = np.concatenate([rings.predict_outputs(x[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(rings.predict_outputs(x)[:7], one_by_one, rtol=1e-5)


def test_evaluate_agrees_with_scikit_learn(rings):
    from sklearn.metrics import accuracy_score, log_loss

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(200, 2)), rng.integers(0, 2, 200)
    found, outputs = rings.evaluate(x, y), rings.predict_outputs(x).astype(float)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, rings.predict(x)))
    assert found["loss"] == pytest.approx(log_loss(y, outputs / outputs.sum(axis=1, keepdims=True)), rel=1e-5)


def test_labels_come_back_as_they_were():
    x = np.array([[0.0], [1.0], [2.0], [3.0]] * 10)
    y = np.array(["low", "low", "high", "high"] * 10)
    run = thalweg.train(["dense 1", "sigmoid"], (x, y), optimizer="adam 0.1", epochs=60, engine="eager", progress=False)
    assert run.predict([[0.0], [3.0]]).tolist() == ["low", "high"]


def test_values_come_back_in_their_own_units():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1))
    run = thalweg.train(["dense 1"], (x, 1000 + 50 * x[:, 0]), optimizer="adam 0.05", epochs=40, progress=False)
    np.testing.assert_allclose(run.predict([[0.0], [1.0]]), [1000, 1050], atol=5)
    assert run.measures["test"]["mean_absolute_error"] < 5


@pytest.mark.parametrize("loss", ["hinge", "mse", "softmax_cross_entropy"])
def test_the_measured_accuracy_is_that_of_the_predictions(loss):
    width = 2 if loss == "softmax_cross_entropy" else 1
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = (x[:, 0] > 0.3).astype(int)
    layers = ["dense 4", "tanh", f"dense {width}"]
    run = thalweg.train(layers, (x, y), loss=loss, optimizer="adam 0.05", epochs=30, engine="eager", progress=False)
    assert run.evaluate(x, y)["accuracy"] == pytest.approx((run.predict(x) == y).mean())
    assert (run.predict(x) == y).mean() > 0.9


def test_multi_label_predictions_are_zeros_and_ones():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    y = (x > 0).astype(int)
    run = thalweg.train(["dense 2", "sigmoid"], (x, y), optimizer="adam 0.1", epochs=30, engine="eager", progress=False)
    assert run.task == "multilabel"
    assert (run.predict(x) == y).mean() > 0.95
    assert run.measures["test"]["accuracy"] > 0.9


def test_the_prediction_table_holds_answer_and_probabilities(rings):
    frame = polars.DataFrame({"x1": [0.0, 2.0], "x2": [0.0, 2.0]})
    table = prediction_table(rings, frame)
    assert table.columns == ["prediction", "p(disc)", "p(ring)"]
    np.testing.assert_allclose(table["p(disc)"] + table["p(ring)"], 1, rtol=1e-6)


def test_the_spec_and_every_finished_epoch_are_on_disk_while_training_goes_on(tmp_path):
    seen = []

    def look(progress):
        if progress.epoch_ended:
            seen.append(len(read_records(tmp_path / "run" / "metrics.jsonl")))
            assert (tmp_path / "run" / "spec.toml").exists()

    spec = Spec.of({"data": {"source": "rings 200"}, "training": {"epochs": 4, "engine": "eager"}})
    run_spec(spec, tmp_path / "run", [Watching(look)])
    assert seen == [1, 2, 3, 4]


def test_a_torn_last_line_is_left_out(folder):
    path = folder / "metrics.jsonl"
    whole = path.read_bytes()
    records = read_records(path)
    try:
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            found = read_records(path)
            assert found == records[: len(found)]
            assert len(found) >= whole[:length].count(b"\n")
    finally:
        path.write_bytes(whole)


def test_runs_are_listed_with_their_result_and_broken_ones_as_such(folder):
    (folder.parent / "broken").mkdir(exist_ok=True)
    (folder.parent / "broken" / "spec.toml").write_text((folder / "spec.toml").read_text())
    (folder.parent / "foreign").mkdir(exist_ok=True)
    (folder.parent / "foreign" / "spec.toml").write_text("[dat")
    rows = {row.name: row for row in list_runs(folder.parent)}
    assert (
        rows["one"].measures["test"]["accuracy"]
        == json.loads((folder / "result.json").read_text())["measures"]["test"]["accuracy"]
    )
    assert rows["one"].epochs == 5
    assert rows["broken"].outcome == f"Interrupted; resume it: thalweg train --resume {folder.parent / 'broken'}"
    assert "TOML" in rows["foreign"].outcome


@pytest.mark.parametrize(
    "damage", ["spec.toml", "result.json", "checkpoints/final.safetensors", "checkpoints/final.json"]
)
def test_a_run_without_one_of_its_files_is_refused(rings, tmp_path, damage):
    folder = rings.save(tmp_path / "run")
    (folder / damage).unlink()
    with pytest.raises(InputError):
        load(folder)


def test_a_folder_that_holds_files_is_never_written(rings, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="empty folder"):
        rings.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file where a folder should be")
def test_a_folder_that_can_not_be_made_is_told_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    spec = Spec.of({"data": {"source": "rings 200"}})
    with pytest.raises(InputError, match="cannot be used"):
        run_spec(spec, tmp_path / "file" / "run", [Watching(lambda progress: pytest.fail("trained all the same"))])


def test_a_read_only_folder_is_told(readable, write_protected, rings):
    with write_protected(readable), pytest.raises(InputError, match="cannot be used"):
        rings.save(readable / "run")


def test_bad_data_leave_no_folder(tmp_path):
    spec = Spec.of({"data": {"source": "digits"}, "network": {"layers": ["dense 3", "softmax"]}})
    with pytest.raises(InputError, match="10 classes"):
        run_spec(spec, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_runs_in_one_second_get_two_folders(tmp_path):
    first = new_folder("digits", tmp_path)
    first.mkdir()
    assert new_folder("digits", tmp_path) != first


def test_a_run_shows_itself_in_a_notebook(rings, ipython):
    from IPython.utils.capture import capture_output

    with capture_output() as shown:
        rings._ipython_display_()
    *_, table, chart = shown.outputs
    assert "accuracy" in table.data["text/html"]
    assert f"{rings.measures['test']['accuracy'] * 100:.4g}" in table.data["text/html"]
    assert chart.data["image/svg+xml"].startswith("<svg")
    curve = chart.data["application/vnd.plotly.v1+json"]["data"][0]
    assert curve["name"] == "training"


def test_figures_hold_the_history(rings):
    loss, accuracy, rate, *_ = rings.figures()
    np.testing.assert_allclose(loss.data[0].y, [record["loss"] for record in rings.history])
    np.testing.assert_allclose(accuracy.data[1].y, [record["validation_accuracy"] for record in rings.history])
    np.testing.assert_allclose(rate.data[0].y, [record["learning_rate"] for record in rings.history])


def test_figures_are_the_charts_of_the_report_also_of_a_loaded_run(rings, folder):
    curves, inside = ["Loss", "Accuracy", "Learning rate"], ["Delta by layer", "Dead and saturated units"]
    inside += ["Size of the updates", "Outputs by layer", "Gradient and weights by layer"]
    seen = ["Decision boundary", "Decision boundary through the training", "Confusion", "Importance of the inputs"]
    seen += ["Outputs of the hidden units"]
    for run in (rings, load(folder)):
        assert [figure.layout.title.text for figure in run.figures()] == [*curves, *inside, *seen]


def test_the_unit_of_a_loss_on_scaled_targets_is_a_fact_of_the_run():
    x = np.random.default_rng(0).normal(size=(40, 1))
    run, plain = (
        thalweg.train(["dense 1"], {"source": (x, 2000 * x[:, 0]), "scale": scale}, epochs=1, progress=False)
        for scale in ("standard", "none")
    )
    assert f"{run.preprocessing.target_span[0]:,.0f}"[:3] in run.facts["unit of the loss"]
    assert "unit of the loss" not in plain.facts


def test_the_boundary_and_its_frames_have_the_same_axes():
    layers = ["dense 4", "tanh", "dense 2", "softmax"]
    run = thalweg.train(layers, "rings 100", epochs=2, engine="eager", progress=False)
    still, frames = [figure for figure in run.figures() if "oundary" in figure.layout.title.text]
    assert frames.frames
    assert still.layout.xaxis.range == frames.layout.xaxis.range
    assert still.layout.yaxis.range == frames.layout.yaxis.range


def test_where_the_data_are_gone_what_was_recorded_is_left(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 2))
    run = thalweg.train(
        ["dense 1", "sigmoid"], (x, (x[:, 0] > 0).astype(int)), epochs=2, engine="eager", progress=False
    )
    titles = [figure.layout.title.text for figure in load(run.save(tmp_path / "run")).figures()]
    assert titles[:4] == ["Loss", "Accuracy", "Learning rate", "Delta by layer"]
    assert not any("boundary" in title or "Confusion" in title for title in titles)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    def weights(seed):
        run = thalweg.train(["dense 3", "softmax"], "blobs", epochs=2, seed=seed, progress=False)
        return run.params[0].W

    np.testing.assert_array_equal(weights(1), weights(1))
    assert (weights(1) != weights(2)).any()


@pytest.fixture
def hostile(folder, tmp_path):
    """A copy of a run beside a whole one, to be damaged."""
    shutil.copytree(folder, tmp_path / "whole")
    return shutil.copytree(folder, tmp_path / "hostile")


def is_refused(folder, name, field=""):
    """Whether the run cannot be loaded, which names the file and the field, and the list has the whole one still."""
    rows = {row.name: row for row in list_runs(folder.parent)}
    assert rows["whole"].epochs == 5
    with pytest.raises(InputError) as raised:
        load(folder)
    message = str(raised.value)
    return name in message and field in message and len(message) <= 2000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", 7),
        ("outcome", "a" * 200_000),
        ("seconds", "long"),
        ("seconds", -1),
        ("remarks", "one"),
        ("interrupted", 1),
        ("diverged", None),
        ("threshold", [0.5]),
        ("threshold", 0.5),
        ("measures", {"training": 1}),
        ("measures", {"training": {"loss": "low", "accuracy": 1}}),
        ("measures", {"training": {"loss": 0.1}}),
        ("measures", {"test": {"loss": 0.1, "accuracy": 1}}),
        ("confusion", [[1]]),
        ("confusion", [[1, -1], [1, 1]]),
        ("facts", []),
        ("facts", {"finished": 3}),
        ("notes", [[]]),
        ("per_epoch", 0),
        ("per_epoch", 10**30),
    ],
)
def test_a_wrong_field_of_the_result_is_named(hostile, field, value):
    path = hostile / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    assert is_refused(hostile, "result.json", field)


@pytest.mark.parametrize(
    ("name", "line", "field"),
    [
        ("metrics.jsonl", '{"epoch": 1, "step": 2, "learning_rate": 0.1}', "line 1.loss"),
        ("metrics.jsonl", '{"epoch": 1, "step": 2, "learning_rate": 0.1, "loss": "low"}', "line 1.loss"),
        ("metrics.jsonl", '{"epoch": -1, "step": 2, "learning_rate": 0.1, "loss": 1}', "line 1.epoch"),
        ("metrics.jsonl", '{"epoch": 1, "step": 1e40, "learning_rate": 0.1, "loss": 1}', "line 1.step"),
        ("metrics.jsonl", "[" * 200_000, "line 1"),
        ("probes.jsonl", '{"step": 0, "whole": [], "layers": {}}', "line 1.whole"),
        ("probes.jsonl", '{"step": 0, "whole": {}, "layers": {"dead": 1}}', "line 1.layers.dead"),
        ("probes.jsonl", '{"step": 0, "whole": {}, "layers": {"dead": [[[1]]]}}', "line 1.layers.dead"),
        ("probes.jsonl", '{"whole": {}, "layers": {}}', "line 1.step"),
    ],
)
def test_a_wrong_field_of_a_record_is_named(hostile, name, line, field):
    path = hostile / name
    path.write_text(f"{line}\n{path.read_text()}")
    assert is_refused(hostile, name, field)


def sealed(path, **fields):
    """Change fields of a manifest, and seal it as whoever changes it on purpose would."""
    said = {**json.loads(path.read_text()), **fields}
    del said["seal"]
    seal = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**said, "seal": seal}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "guess"),
        ("span", [0.0]),
        ("shift", [1e999]),
        ("shift", [0.0, 0.0, 0.0]),
        ("classes", [0]),
        ("class_type", "<U100000000"),
        ("class_type", "O"),
        ("class_type", "nothing"),
        ("image_shape", [0, 0]),
        ("feature_names", ["a"]),
        ("columns", [{"name": "a", "kind": "number"}]),
        ("target_names", 3),
    ],
)
def test_a_wrong_field_of_the_preprocessing_is_named_though_the_manifest_is_sealed(hostile, field, value):
    path = hostile / "checkpoints" / "final.json"
    sealed(path, preprocessing={**json.loads(path.read_text())["preprocessing"], field: value})
    assert is_refused(hostile, "final.json" if field != "feature_names" else "", "")


@pytest.mark.parametrize("damage", ["shape", "kind", "NaN", "missing", "header"])
def test_wrong_arrays_are_refused_though_the_manifest_is_sealed(hostile, damage):
    path = hostile / "checkpoints" / "final.safetensors"
    arrays = safetensors.load_file(path)
    first = next(name for name in arrays if name.endswith("W"))
    changed = {
        "shape": arrays[first][:, :1],
        "kind": arrays[first].astype(np.int32),
        "NaN": np.full_like(arrays[first], np.nan),
    }
    others = {name: array for name, array in arrays.items() if name != first}
    content = safetensors.save(others | ({first: changed[damage].copy()} if damage in changed else {}))
    if damage == "header":
        content = (2**62).to_bytes(8, "little") + content[8:]
    path.write_bytes(content)
    sealed(path.with_suffix(".json"), sha256=hashlib.sha256(content).hexdigest())
    assert is_refused(hostile, "final.safetensors")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("name", ["run.json", "spec.toml", "metrics.jsonl", "result.json", "checkpoints/final.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "circle"])
def test_what_is_no_regular_file_is_refused(hostile, name, kind):
    path = hostile / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    assert is_refused(hostile, name.partition("/")[0])


def test_rows_that_are_not_those_of_the_training_are_refused(hostile):
    path = hostile / "spec.toml"
    path.write_text(path.read_text().replace('source = "rings 300"', 'source = "iris"'))
    run = load(hostile)
    with pytest.raises(InputError):
        run.diagnose()
    assert "rows of this run are gone" in run.report()
