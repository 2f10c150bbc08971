"""Runs and experiments of a folder: the list, reports, curves; names that lead nowhere; experiments from the page."""

import json
import math
import os
import shutil
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from starlette.testclient import TestClient

import thalweg
from thalweg.core.errors import InputError
from thalweg.core.locks import is_locked, locked
from thalweg.data import Data
from thalweg.experiments.compare import compare
from thalweg.playground.experiment_processes import ExperimentProcesses
from thalweg.playground.security import Access
from thalweg.playground.server import Playground, application
from thalweg.playground.specs import FilesAllowed
from thalweg.playground.study import Study
from thalweg.runs.run_folder import read_history
from thalweg.spec.toml import read_spec_table
from thalweg.watching.folder import WATCH_FILE

NETWORK = ["dense 3", "tanh", "dense 2", "softmax"]
SPEC = {
    "data": {"source": "gaussians 60"},
    "network": {"layers": NETWORK},
    "optimizer": "sgd 0.1",
    "training": {"epochs": 3, "engine": "eager"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs, one of them without its report, and a finished experiment."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"optimizer": "sgd 0.1", "engine": "eager", "progress": False}
    thalweg.train(NETWORK, "gaussians 60", epochs=3, folder=folder / "first", **options)
    thalweg.train(["dense 1"], "plane 60", epochs=2, folder=folder / "line", **options)
    (folder / "line" / "report.html").unlink()
    compare(SPEC, {"optimizer.learning_rate": [0.1, 0.01]}, 2, jobs=1, folder=folder / "rates", progress=False)
    (folder / "no run").mkdir()
    return folder


@pytest.fixture
def client(folder):
    """A browser with the cookie of a server at that folder."""
    access = Access.at(["testserver"], 8000)
    app = application(Playground(access, folder=folder))
    headers = {"origin": "http://testserver:8000"}
    cookies = {access.cookie: access.session}
    client = TestClient(app, "http://testserver:8000", headers=headers, cookies=cookies, raise_server_exceptions=True)
    yield client
    app.state.lessons.close()
    app.state.experiments.close()


def test_the_list_has_every_run_and_experiment_with_what_it_is_sorted_by(folder):
    entries = {entry["name"]: entry for entry in Study(folder).entries()}
    assert set(entries) == {"first", "line", "rates"}
    first = entries["first"]
    assert first["kind"] == "run"
    assert first["epochs"] == 3
    assert first["status"] == "finished"
    assert first["measure"] == "test accuracy"
    assert first["score"] == pytest.approx(thalweg.load(folder / "first").measures["test"]["accuracy"])
    assert first["seconds"] > 0
    rates = entries["rates"]
    assert rates["kind"] == "experiment"
    assert rates["trials"] == {"done": 4, "total": 4}
    assert rates["status"] == "finished"
    assert entries["line"]["measure"] != "test loss"
    assert json.loads(json.dumps(list(entries.values()), allow_nan=False)) == list(entries.values())


def test_a_folder_that_does_not_exist_is_an_empty_list(tmp_path):
    assert Study(tmp_path / "nothing").entries() == []


def test_a_report_is_the_file_or_made_from_the_run(folder):
    study = Study(folder)
    assert study.report("first") == (folder / "first" / "report.html").read_text(encoding="utf-8")
    assert study.report("rates") == (folder / "rates" / "report.html").read_text(encoding="utf-8")
    assert "<h1>" in study.report("line")


@pytest.mark.parametrize("name", ["..", ".", "no run", "", "first/../line", "../runs", "first\x00", "/etc", "%2e%2e"])
def test_a_name_that_is_not_in_the_list_is_unknown(folder, name):
    study = Study(folder)
    for question in (study.report, study.experiment, lambda name: study.curves([name])):
        with pytest.raises(KeyError):
            question(name)


def test_curves_are_those_of_the_histories(folder):
    first, line = Study(folder).curves(["first", "line"])
    history = read_history(folder / "first")
    assert first["curves"]["loss"] == [record["loss"] for record in history]
    assert line["curves"]["epoch"] == [1, 2]
    with pytest.raises(InputError, match="12"):
        Study(folder).curves(["first"] * 13)


def test_long_curves_are_thinned_and_keep_their_ends_and_have_no_infinite_number(tmp_path):
    path = tmp_path / "long"
    thalweg.train(NETWORK, "gaussians 60", epochs=1, engine="eager", progress=False, folder=path)
    record = read_history(path)[0]
    rows = [{**record, "epoch": epoch, "step": epoch, "loss": float(epoch)} for epoch in range(1, 5001)]
    rows[-1]["loss"] = math.inf
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    curves = Study(tmp_path).curves(["long"])[0]["curves"]
    assert len(curves["epoch"]) == 1000
    assert (curves["epoch"][0], curves["epoch"][-1], curves["loss"][-1]) == (1, 5000, None)
    assert np.diff(curves["epoch"]).max() <= 6


def test_names_and_texts_from_the_folder_are_printable(tmp_path):
    name = "run\x1b[31m\u202e<b>"
    thalweg.train(NETWORK, "gaussians 60", epochs=1, engine="eager", progress=False, folder=tmp_path / name)
    (entry,) = Study(tmp_path).entries()
    assert entry["name"].isprintable()
    assert "<h1>" in Study(tmp_path).report(entry["name"])
    with pytest.raises(KeyError):
        Study(tmp_path).report(name)


def test_damaged_and_running_folders_say_so(folder, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "spec.toml").write_text("data = 7")
    experiment = tmp_path / "experiment"
    experiment.mkdir()
    (experiment / "experiment.toml").write_text("[vary]\n")
    watch = tmp_path / "watch"
    watch.mkdir()
    (watch / WATCH_FILE).write_text("{}")
    entries = {entry["name"]: entry for entry in Study(tmp_path).entries()}
    assert entries["damaged"]["status"] == entries["experiment"]["status"] == "damaged"
    assert entries["watch"]["kind"] == "watch"
    assert not is_locked(folder / "first")
    with locked(folder / "first"):
        assert is_locked(folder / "first")
        states = {entry["name"]: entry["status"] for entry in Study(folder).entries()}
    assert states == {"first": "running", "line": "finished", "rates": "finished"}


# Experiments ----------------------------------------------------------------------------------------------------------


def experiments_in(folder):
    return ExperimentProcesses(Study(folder), FilesAllowed("/nowhere"))


def waited(state, until, seconds=60.0):
    """The state once it is in one of the states `until`."""
    end = time.monotonic() + seconds
    while (found := state())["status"] not in until:
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_an_experiment_is_started_watched_stopped_and_resumed_after_a_restart(tmp_path):
    study = Study(tmp_path)
    before = experiments_in(tmp_path)
    long = {
        **SPEC,
        "data": {"source": "gaussians 60", "validation": 0.0},
        "training": {**SPEC["training"], "epochs": 400},
    }
    name = before.start(long, {"optimizer.learning_rate": [0.1, 0.2]}, 3)
    assert before.state(name)["status"] == "running"
    end = time.monotonic() + 60
    while before.state(name)["trials"]["done"] == 0:
        assert time.monotonic() < end, before.state(name)
        time.sleep(0.05)
    with pytest.raises(InputError, match="is running"):
        before.resume(name)
    before.stop(name)
    stopped = before.state(name)
    assert stopped["status"] == "interrupted"
    assert 0 < stopped["trials"]["done"] < stopped["trials"]["total"] == 6
    kept = {path.name for path in (tmp_path / name / "trials").iterdir()}
    # Another server finds it in the folder.
    after = experiments_in(tmp_path)
    assert after.state(name)["trials"] == stopped["trials"]
    after.resume(name)
    finished = waited(lambda: after.state(name), ("finished", "failed"))
    assert finished["status"] == "finished", finished
    assert finished["trials"] == {"done": 6, "total": 6}
    assert kept <= {path.name for path in (tmp_path / name / "trials").iterdir()}
    assert "<h1>" in study.report(name)


def test_an_experiment_that_cannot_run_says_why(tmp_path):
    experiments = experiments_in(tmp_path)
    four_rows = {**SPEC, "data": {"source": "xor"}}
    name = experiments.start(four_rows, {"optimizer.learning_rate": [0.1, 0.2]}, 2)
    assert [entry["status"] for entry in experiments.entries()] == ["running"]
    failed = waited(lambda: experiments.state(name), ("failed", "finished"))
    assert failed["status"] == "failed"
    assert "validation" in failed["message"]
    assert [entry["status"] for entry in experiments.entries()] == ["failed"]


def test_one_that_another_process_runs_is_seen_and_left_alone(folder):
    experiments = experiments_in(folder)
    with locked(folder / "rates"):
        assert experiments.state("rates")["status"] == "running"
        for question in (experiments.stop, experiments.resume):
            with pytest.raises(InputError):
                question("rates")
    experiments.stop("rates")
    assert experiments.state("rates")["status"] == "finished"


@pytest.mark.parametrize(
    ("vary", "seeds", "place"),
    [
        (None, 2, "vary"),
        ({}, 2, "vary"),
        ({"optimizer.learning_rate": [0.1, None]}, 2, "vary"),
        ({"optimizer.rate": [1, 2]}, 2, "optimizer.rate"),
        ({"optimizer.learning_rate": [0.1, 0.2]}, "many", "seeds"),
        ({"optimizer.learning_rate": [0.1, 0.2]}, 10_000, "2,000 trials"),
        ({f"network.layers.{k}": ["tanh"] * 200 for k in range(3)}, 1, "combinations"),
    ],
)
def test_an_experiment_that_is_none_is_refused_and_leaves_no_folder(tmp_path, vary, seeds, place):
    with pytest.raises(InputError, match=place.replace(".", r"\.")):
        experiments_in(tmp_path).start(SPEC, vary, seeds)
    assert list(tmp_path.iterdir()) == []


def test_every_arm_is_checked_for_files_that_the_page_must_not_read(tmp_path):
    vary = {"data.source": ["gaussians", {"kind": "table", "file": "/etc/passwd"}]}
    with pytest.raises(InputError, match="page has"):
        experiments_in(tmp_path).start(SPEC, vary, 2)
    assert list(tmp_path.iterdir()) == []


def test_uploads_are_copied_to_the_experiment_and_outlive_the_server(tmp_path):
    uploads, runs = tmp_path / "uploads", tmp_path / "runs"
    uploads.mkdir()
    (uploads / "rows.csv").write_text("a,b\n" + "".join(f"{k},{k % 2}\n" for k in range(40)))
    spec = {**SPEC, "data": {"source": str(uploads / "rows.csv"), "target": "b", "task": "classification"}}
    experiments = ExperimentProcesses(Study(runs), FilesAllowed(str(uploads)))
    name = experiments.start(spec, {"optimizer.learning_rate": [0.1, 0.2]}, 2)
    experiments.close()
    shutil.rmtree(uploads)
    table = read_spec_table(str(runs / name / "experiment.toml"))
    copy = Path(table["data"]["source"]["file"])
    assert copy.parent == runs / name
    assert Data.of(table["data"]).load(0).train.features == 1


# Routes ---------------------------------------------------------------------------------------------------------------


def test_the_routes_answer_with_what_the_study_says(client, folder):
    entries = client.get("/api/runs").json()["entries"]
    assert {entry["name"] for entry in entries} == {"first", "line", "rates"}
    runs = client.get("/api/runs/compare?names=first,l%69ne").json()["runs"]
    assert [run["name"] for run in runs] == ["first", "line"]
    assert client.get("/api/experiments/rates").json()["trials"] == {"done": 4, "total": 4}
    report = client.get("/runs/first/report")
    assert report.text == (folder / "first" / "report.html").read_text(encoding="utf-8")


def test_a_report_has_no_power_over_the_server(client):
    policy = client.get("/runs/first/report").headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("name", ["%2e%2e", "no%20run", "..%2ffirst", "%00", "%ff", "first%2f..%2fline"])
def test_unknown_names_are_not_found(client, name):
    for address in (f"/runs/{name}/report", f"/api/experiments/{name}", f"/api/runs/compare?names={name}"):
        answer = client.get(address)
        assert answer.status_code == 404, address
    assert client.delete(f"/api/experiments/{name}").status_code == 404


@pytest.mark.parametrize("body", [{}, {"spec": 3}, {"spec": SPEC}, {"spec": SPEC, "vary": {"training.epochs": [0, 1]}}])
def test_an_experiment_with_faults_is_answered_with_a_message(client, folder, body):
    before = set(os.listdir(folder))
    answer = client.post("/api/experiments", json=body)
    assert answer.status_code == 422
    assert set(answer.json()) == {"message", "place"}
    assert set(os.listdir(folder)) == before


def test_names_with_commas_can_be_compared(client, folder):
    shutil.copytree(folder / "first", folder / "a,b &=")
    try:
        answer = client.get(f"/api/runs/compare?names=first,{quote('a,b &=', safe='')}")
    finally:
        shutil.rmtree(folder / "a,b &=")
    assert [run["name"] for run in answer.json()["runs"]] == ["first", "a,b &="]


@pytest.mark.slow
def test_lessons_are_listed_and_opened(client):
    listed = client.get("/api/lessons").json()
    assert [entry["name"] for entry in listed] == thalweg.lesson_names()
    assert client.get("/api/lessons/xor-features").json()["opens"]
    assert client.get("/api/lessons/nothing").status_code == 422
