"""What the analyst of a lab computes: diagnoses, landscapes, exports, and remedies side by side."""

from __future__ import annotations

import dataclasses
import json
import threading
import tomllib
import zipfile
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.intervals import difference
from thalweg.core.progress import ignore_progress
from thalweg.parts.settings import Light
from thalweg.playground.analyses import path_probes
from thalweg.playground.analyses.analyst import Analyst, Answer
from thalweg.playground.analyses.exports import export
from thalweg.playground.analyses.messages import finding_message, page_message
from thalweg.playground.analyses.path_probes import PathProbes
from thalweg.playground.analyses.results import diagnosis_of_lab, landscape_of_lab
from thalweg.playground.analyses.side_by_side import side_by_side
from thalweg.playground.analyses.snapshot import LabSnapshot
from thalweg.playground.live.live_training import LiveTraining
from thalweg.playground.specs import kept_spec
from thalweg.probes.recorder import ProbeCallback
from thalweg.runs.load import load
from thalweg.spec.edit import changed
from thalweg.spec.spec import Spec
from thalweg.training.fit import fit
from thalweg.training.session import Session

TABLE = {
    "data": {"source": "rings 80", "validation": 0.0, "test": 0.5},
    "network": {"kind": "mlp", "hidden": [4], "activation": "tanh"},
    "optimizer": "sgd 0.0001",
    "training": {"engine": "eager", "batch_size": 10, "epochs": 3},
}


@pytest.fixture(scope="module")
def training():
    training = LiveTraining(kept_spec(TABLE).spec)
    training.advance(40 * training.per_epoch, lambda moment: False)
    return training


def examined(training: LiveTraining) -> dict:
    """What the page hears of the doctor."""
    diagnosis = diagnosis_of_lab(LabSnapshot.of(training), training.split, PathProbes())
    return finding_message(diagnosis, training.complete)


def exported(training: LiveTraining, form: str, folder: Path) -> Path:
    snapshot = LabSnapshot.of(training)
    return Path(export(snapshot, training.split, PathProbes(), training.spec, form, str(folder)))


def test_a_training_that_goes_on_has_not_ended_too_early(training):
    message = finding_message(
        diagnosis_of_lab(LabSnapshot.of(training), training.split, PathProbes()), training.complete
    )
    codes = [finding["code"] for finding in message["findings"]]
    assert "lr-too-low" in codes
    assert "epochs-too-few" not in codes
    json.dumps(message, allow_nan=False)
    for finding in message["findings"]:
        for remedy in finding["remedies"]:
            assert Spec.of(remedy["spec"]).describe() == changed(training.complete, remedy["set"].items()).describe()


def test_the_probes_of_a_path_are_those_of_an_ordinary_training(training, monkeypatch):
    path = LabSnapshot.of(training).path
    epochs = [round(kept.epoch) for kept in path]
    assert epochs == [*range(40)]
    spec = changed(training.complete, [("training.epochs", 40)])
    session = Session(spec, training.split)
    ordinary = ProbeCallback(Light(every=training.per_epoch), session.batches, session.start.params)
    fit(session, [ordinary])
    probes = PathProbes()
    found = probes.records(session, path)
    assert [record["step"] for record in found] == [record["step"] for record in ordinary.records]
    for one, other in zip(found, ordinary.records, strict=True):
        assert one["whole"].keys() == other["whole"].keys()
        for name, value in other["whole"].items():
            assert one["whole"][name] == pytest.approx(value, rel=1e-4), name
    # Each state is measured once, however often the doctor looks.
    monkeypatch.setattr(path_probes, "ProbeCallback", None)
    assert probes.records(session, path) == found
    assert probes.records(session, path[::2]) == found[::2]


def test_before_the_first_step_it_says_what_is_known_then():
    training = LiveTraining(kept_spec({**TABLE, "optimizer": "sgd 0.0"}).spec)
    message = finding_message(
        diagnosis_of_lab(LabSnapshot.of(training), training.split, PathProbes()), training.complete
    )
    assert message["learned"] is None
    assert all(finding["stage"] != "during training" for finding in message["findings"])


def test_the_landscape_ends_its_path_at_the_present_loss(training):
    landscape = landscape_of_lab(LabSnapshot.of(training), training.split, ignore_progress)
    state = training.checkpoint.state
    expected = training.session.evaluate(state, training.split.train)["loss"]
    assert landscape.path.losses[-1] == pytest.approx(expected, rel=1e-4)
    assert landscape.path.points[-1] == pytest.approx([0, 0], abs=1e-6)
    assert page_message(landscape.page())["figures"][0]["data"]


def test_exports_make_the_same_training_again(training, tmp_path):
    spec = training.spec
    toml = exported(training, "toml", tmp_path).read_text(encoding="utf-8")
    assert Spec.of(tomllib.loads(toml)).describe() == spec.describe()
    names: dict[str, object] = {}
    script = exported(training, "python", tmp_path).read_text(encoding="utf-8")
    exec(compile(script, "train.py", "exec"), names)
    assert Spec.of(names["SPEC"]).describe() == spec.describe()


def test_an_exported_run_predicts_as_the_lab_does(training, tmp_path):
    path = exported(training, "run", tmp_path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "opened")
    run = load(tmp_path / "opened" / "run")
    x = training.split.test.x
    expected = training.session.predict(training.checkpoint.state, x)
    assert run.outputs_of(x) == pytest.approx(expected, abs=1e-6)


def test_exported_pytorch_code_computes_the_network(training, tmp_path):
    torch = pytest.importorskip("torch")
    path = exported(training, "torch", tmp_path)
    names: dict[str, object] = {}
    exec(compile(path.read_text(encoding="utf-8"), "model.py", "exec"), names)
    raw = np.random.default_rng(0).normal(size=(7, 2))
    expected = training.session.predict(training.checkpoint.state, training.split.preprocessing.inputs(raw))
    assert isinstance(names["model"], torch.nn.Sequential)
    assert names["predict"](raw).numpy() == pytest.approx(expected, abs=1e-5)


def test_a_form_that_there_is_not_is_refused(training, tmp_path):
    with pytest.raises(InputError):
        exported(training, "exe", tmp_path)


def test_both_arms_are_ordinary_trainings_from_the_same_seeds(training):
    snapshot = LabSnapshot.of(training)
    snapshot = snapshot._replace(complete=dataclasses.replace(snapshot.complete), epochs=5.0)
    changes = (("optimizer.learning_rate", 0.3),)
    messages: list[dict] = []
    side_by_side(snapshot, training.split, changes, 3, messages.append, threading.Event())
    ended = [message for message in messages if message["done"]]
    assert [(message["arm"], message["seed"]) for message in ended] == [(arm, k) for k in range(3) for arm in "AB"]
    scores: dict[str, list[float]] = {"A": [], "B": []}
    for message in ended:
        own = changes if message["arm"] == "B" else ()
        places = (*own, ("training.seed", message["seed"]), ("training.epochs", 5))
        session = Session.load(changed(training.complete, places))
        fitted = fit(session)
        expected = session.evaluate(fitted.state, session.split.test)["balanced_accuracy"]
        assert message["score"] == pytest.approx(expected)
        assert [point[1] for point in message["curve"]] == pytest.approx([record["loss"] for record in fitted.history])
        scores[message["arm"]].append(message["score"])
    found = difference(scores["B"], scores["A"])
    last = ended[-1]["difference"]
    assert (last["mean"], last["low"], last["high"], last["n"]) == pytest.approx((found.mean, found.low, found.high, 3))


def test_trials_end_when_nobody_waits(training):
    stopped = threading.Event()
    stopped.set()
    messages: list[dict] = []
    side_by_side(LabSnapshot.of(training), training.split, (), 5, messages.append, stopped)
    assert not any(message["done"] for message in messages)


def test_its_threads_end_with_the_process_and_a_later_question_is_answered():
    ours, theirs = Pipe()
    before = set(threading.enumerate())
    analyst = Analyst(ours, print)
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    theirs.close()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    answers: list[Answer] = []
    analyst.ask("diagnosis", None, then=answers.append)
    assert answers[0].error is not None
    ours.close()


@pytest.mark.parametrize("seeds", [0, 99])
def test_a_number_of_seeds_out_of_range_is_refused(training, seeds):
    with pytest.raises(InputError):
        side_by_side(LabSnapshot.of(training), training.split, (), seeds, print, threading.Event())
