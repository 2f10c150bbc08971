"""Metrics that a spec asks for, shipped ones and those of a user, beside scikit-learn's."""

import json
import signal
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from input_errors import input_error
from own_kinds import forgotten_kinds
from sklearn.metrics import f1_score, root_mean_squared_error, top_k_accuracy_score

import thalweg
from thalweg import metrics
from thalweg.core.arrays import Array, namespace
from thalweg.core.errors import InputError
from thalweg.experiments.compare import compare
from thalweg.parts.metrics import Metric


class Counts(NamedTuple):
    both: Array
    said: Array
    true: Array


@pytest.fixture(autouse=True)
def f1():
    """A metric of the user, which is known in a test alone."""
    with forgotten_kinds():

        @dataclass(frozen=True)
        class F1(metrics.Metric, kind="own_f1"):
            """2 TP / (2 TP + FP + FN)"""

            tasks = frozenset({"classification"})
            threshold: float = 0.5

            def update(self, outputs, y, weight):
                xp = namespace(outputs)
                said, true = outputs[:, -1] > self.threshold, y == 1

                def total(chosen):
                    return xp.sum(xp.where(chosen, weight, xp.zeros_like(weight)))

                return Counts(total(said & true), total(said), total(true))

            def compute(self, total):
                return 2 * total.both / (total.said + total.true)

        yield F1


LAYERS = ["dense 8", "tanh", "dense 2", "softmax"]


def trained(**options):
    given = {"network": LAYERS, "data": "moons", "epochs": 3, "progress": False, **options}
    return thalweg.train(given.pop("network"), given.pop("data"), **given)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_metric_of_the_user_is_in_the_history_and_in_the_measures(engine):
    run = trained(engine=engine, metrics=["own_f1"], optimizer="adam 0.01")
    rows = thalweg.Data("moons").load(0)
    for name, part in rows.sets.items():
        expected = f1_score(part.y, run.outputs_of(part.x).argmax(axis=1))
        assert run.measures[name]["own_f1"] == pytest.approx(expected, abs=1e-6)
    assert run.history[-1]["validation_own_f1"] == pytest.approx(run.measures["validation"]["own_f1"])
    assert [0 < record["own_f1"] <= 1 for record in run.history] == [True] * 3
    assert run.evaluate([[0.0, 0.5], [1.0, 0.0]], [0, 1])["own_f1"] >= 0


def test_metrics_change_no_bit_of_the_training():
    with_it, without = trained(metrics=["own_f1", "top_accuracy 1"]), trained()
    np.testing.assert_array_equal(with_it.predict_outputs([[0.3, 0.2]]), without.predict_outputs([[0.3, 0.2]]))
    assert [record["loss"] for record in with_it.history] == [record["loss"] for record in without.history]


def test_the_best_epoch_is_that_of_a_metric():
    run = trained(metrics=["own_f1"], stopping={"measure": "validation_own_f1", "restore_best": True}, epochs=6)
    best = max(record["validation_own_f1"] for record in run.history)
    assert run.measures["validation"]["own_f1"] == pytest.approx(best, abs=1e-6)


def test_a_run_with_a_metric_of_the_user_is_read_again_or_names_its_module(tmp_path, monkeypatch):
    run = trained(metrics=["own_f1"], folder=tmp_path / "run", engine="eager")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["own_parts"] == {"metric own_f1": __name__}
    assert thalweg.load(tmp_path / "run").measures == run.measures
    assert "own f1" in (tmp_path / "run" / "report.html").read_text()
    monkeypatch.delitem(Metric.kinds, "own_f1")
    with input_error(str(tmp_path / "run" / "spec.toml"), "own_f1", __name__):
        thalweg.load(tmp_path / "run")


def test_a_training_with_metrics_is_resumed(tmp_path):
    class Interrupt(thalweg.Callback):
        def on_progress(self, progress):
            signal.raise_signal(signal.SIGINT)

    options = {"metrics": ["own_f1", "top_accuracy 1"], "engine": "eager", "epochs": 20}
    stopped = trained(**options, folder=tmp_path / "run", callbacks=[Interrupt()])
    assert stopped.interrupted
    assert thalweg.resume(tmp_path / "run").history == trained(**options).history


@pytest.mark.parametrize(
    "change", ['training.metrics=["top_accuracy 1"]', "training.clip=global_norm 1.0", "regularization.l2=0.1"]
)
def test_what_is_summed_up_changes_between_epochs_alone(tmp_path, change):
    class Interrupt(thalweg.Callback):
        def on_progress(self, progress):
            signal.raise_signal(signal.SIGINT)

    trained(engine="eager", epochs=20, folder=tmp_path / "run", callbacks=[Interrupt()])
    with input_error("training", "epoch 1"):
        thalweg.resume(tmp_path / "run", [change], accept_changes=True, progress=False)
    assert thalweg.resume(tmp_path / "run", ["optimizer.learning_rate=0.01"], accept_changes=True).history


def test_experiments_compare_by_a_metric():
    table = {
        "data": {"source": "moons 80", "validation": 0.3},
        "network": {"layers": LAYERS},
        "training": {"epochs": 2, "engine": "eager", "metrics": ["own_f1"]},
        "vary": {"optimizer.learning_rate": [0.001, 0.1]},
        "seeds": {"count": 2},
        "compare": {"measure": "validation_own_f1"},
    }
    found = compare(table, jobs=1, progress=False)
    assert found.measure == "validation_own_f1"
    assert found.higher_is_better


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_accuracy_is_that_of_scikit_learn(k):
    rng = np.random.default_rng(k)
    p, y, weight = rng.dirichlet(np.ones(4), 50), rng.integers(0, 4, 50), rng.integers(0, 3, 50).astype(float)
    metric = metrics.TopAccuracy(k)
    expected = top_k_accuracy_score(y, p, k=k, sample_weight=weight, labels=range(4))
    assert metric.compute(metric.update(p, y, weight)) == pytest.approx(expected)
    single = metrics.TopAccuracy(1)
    assert single.compute(single.update(p[:, :1], (p[:, 0] > 0.5).astype(int), np.ones(50))) == 1


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("targets", [1, 2])
def test_the_root_mean_squared_error_is_in_units_of_the_target(engine, targets):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = (1000 + 50 * x[:, :targets] + rng.normal(size=(200, targets))).squeeze()
    run = trained(network=[f"dense {targets}"], data=(x, y), engine=engine, metrics=["rmse"])
    found = run.evaluate(x, y)["root_mean_squared_error"]
    assert found == pytest.approx(root_mean_squared_error(y, run.predict(x)), rel=1e-4)


@pytest.mark.parametrize(
    ("data", "names", "fact"),
    [
        ("wave", ["top_accuracy"], "regression"),
        ("moons", ["rmse"], "classification"),
        ("moons", ["top_accuracy 1", "top_accuracy 2"], "top_accuracy is there already"),
    ],
)
def test_a_metric_that_does_not_suit_the_task_is_refused(data, names, fact):
    with input_error("training.metrics", fact):
        trained(network=None, data=data, metrics=names)


@pytest.mark.parametrize("name", ["epoch", "learning_rate", "balanced_accuracy", "accuracy", "validation_error"])
def test_a_metric_whose_name_a_record_has_already_is_refused_before_the_training(name):
    class Named(metrics.RowMetric, kind=name):
        def values(self, outputs, y):
            return outputs[:, 0]

    with input_error("training.metrics", name):
        trained(metrics=[Named()], epochs=10**6)


@pytest.mark.parametrize(("value", "fact"), [("own_f2", "own_f1"), (3, "name or a table"), ("top_accuracy 0", "k")])
def test_an_unknown_metric_is_refused(value, fact):
    with pytest.raises(InputError, match=fact):
        trained(metrics=[value])


def test_a_metric_without_a_value_is_a_dash_in_the_report(tmp_path):
    class Missing(metrics.RowMetric, kind="own_missing"):
        def values(self, outputs, y):
            return outputs[:, 0] * float("nan")

    run = trained(metrics=["own_missing"], folder=tmp_path / "run", engine="eager")
    assert np.isnan(run.measures["test"]["own_missing"])
    assert np.isnan(thalweg.load(tmp_path / "run").measures["test"]["own_missing"])
