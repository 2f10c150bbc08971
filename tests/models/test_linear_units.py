"""Linear units: their rules by hand and against scikit-learn, what they can and cannot tell apart, safe rates."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_blocks import unpacked

import thalweg
from thalweg.core.errors import InputError
from thalweg.engine.step import Batch, Plan, make_step
from thalweg.models.linear_theory import best_threshold, safe_online_rate, safe_rate, separable
from thalweg.models.linear_units import Adaline, Perceptron
from thalweg.parts.task_metrics import ClassificationMetric
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec, to_toml

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
AND = np.array([0, 0, 0, 1])
XOR = np.array([0, 1, 1, 0])


def run(unit, data, **options):
    options = {"engine": "eager", "epochs": 50, "progress": False, **options}
    return thalweg.train(unit, data, **options)


def steps_of(unit, samples, classes=2):
    """The weights and the bias after each sample (x, y), from the unit's own start."""
    network = unit.network(classes)
    plan = Plan(network, unit.loss, unit.optimizer, ClassificationMetric(unit.loss.threshold))
    step = make_step(plan)
    state = plan.start(0, len(samples[0][0]))
    for x, y in samples:
        state, _ = step(state, Batch(np.array([x], float), np.array([y]), np.ones(1)))
        yield state.params[-1]


# The rules, by hand ---------------------------------------------------------------------------------------------------


def test_the_perceptron_moves_on_mistakes_only_by_eta_times_error_times_sample():
    samples = [([0, 0], 0), ([1, 1], 1), ([0, 1], 0), ([1, 1], 1)]
    found = [(p.W[:, 0].tolist(), p.b.tolist()) for p in steps_of(Perceptron(learning_rate=0.5), samples)]
    # z = 0, 0 (a mistake), 1 (a mistake), 0.5.
    assert found == [([0, 0], [0]), ([0.5, 0.5], [0.5]), ([0.5, 0], [0]), ([0.5, 0], [0])]


def test_labels_of_minus_one_and_one_double_the_perceptrons_step():
    samples = [([0, 0], 0), ([1, 1], 1), ([0, 1], 0), ([1, 1], 1)]
    single = [np.append(p.W, p.b) for p in steps_of(Perceptron(1.0), samples)]
    double = [np.append(p.W, p.b) for p in steps_of(Perceptron(0.5, labels="-1/1"), samples)]
    np.testing.assert_array_equal(single, double)


def test_a_perceptron_without_bias_that_fires_at_zero_learns_or_as_cornell_prints_it():
    # http://www.cs.cornell.edu/courses/cs472/2004fa/Materials/perceptron-example.txt: the third input is always -1.
    rows = [([*corner, -1], int(any(corner))) for corner in CORNERS]
    unit = Perceptron(0.5, bias=False, step_at_zero=1)
    found = [params.W[:, 0].tolist() for params in steps_of(unit, rows * 4)]
    assert all(len(params) == 1 for params in steps_of(unit, rows))
    assert found[:2] == [[0, 0, 0.5], [0, 0.5, 0]]
    assert found[3::4] == [[0, 0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("step_at_zero", [0, 1])
def test_the_answer_at_zero_is_that_of_training_prediction_and_accuracy(engine, step_at_zero):
    x, y = np.array([[0.0], [1.0], [-1.0]]), np.array([step_at_zero, 1, 0])
    data = {"source": (x, y), "validation": 0.0, "test": 0.0, "scale": "none"}
    unit = Perceptron(bias=False, step_at_zero=step_at_zero, init="ones")
    learned = run(unit, data, engine=engine)
    # Nothing is wrong at the start.
    assert learned.params[0].W.tolist() == [[1.0]]
    assert learned.measures["training"]["accuracy"] == 1.0
    assert learned.predict(x).tolist() == y.tolist()
    other = run(dataclasses.replace(unit, step_at_zero=1 - step_at_zero), data, engine=engine)
    assert other.predict([[0.0]]).tolist() == [1 - step_at_zero]


def test_without_a_bias_the_line_goes_through_the_origin_which_may_belong_to_the_answer_at_zero():
    assert separable(np.array([[1.0], [2.0]]), np.array([0, 1])) is True
    assert separable(np.array([[1.0], [2.0]]), np.array([0, 1]), bias=False) is False
    x, y = np.array([[0.0], [1.0]]), np.array([1, 0])
    assert separable(x, y, bias=False, at_zero=1) is True
    assert separable(x, y, bias=False, at_zero=0) is False


def test_of_three_classes_the_wrong_winner_loses_what_the_right_class_gains():
    (params,) = steps_of(Perceptron(), [([1, 2], 2)], classes=3)
    assert params.W.T.tolist() == [[-1, -2], [0, 0], [1, 2]]
    assert params.b.tolist() == [-1, 0, 1]


def test_adaline_moves_by_eta_times_the_error_of_the_net_input():
    # The textbook's step: x = (1, 1), t = 1 from zero with η = 0.1; then t = 0: z = 0.3, error -0.3.
    first, second = steps_of(Adaline(0.1), [([1, 1], 1), ([1, 1], 0)])
    np.testing.assert_allclose([*first.W[:, 0], *first.b], [0.1, 0.1, 0.1], rtol=1e-15)
    np.testing.assert_allclose([*second.W[:, 0], *second.b], [0.07, 0.07, 0.07], rtol=1e-15)


def test_adaline_with_labels_of_minus_one_and_one():
    first, second = steps_of(Adaline(0.1, labels="-1/1"), [([1, 1], 1), ([1, 1], 0)])
    np.testing.assert_allclose([*first.W[:, 0], *first.b], [0.1, 0.1, 0.1], rtol=1e-15)
    # z = 0.3, t = -1.
    np.testing.assert_allclose([*second.W[:, 0], *second.b], [-0.03, -0.03, -0.03], rtol=1e-13)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_perceptron_is_scikit_learns_epoch_by_epoch(engine):
    from sklearn.linear_model import Perceptron as Theirs

    rng = np.random.default_rng(3)
    x = rng.integers(-1024, 1024, (60, 4)) / 256
    y = rng.integers(2, size=60)
    # At z = 0 theirs is wrong whatever is true; from this start none is 0.
    start = np.full((1, 4), 0.3)
    theirs = Theirs(shuffle=False, eta0=1.0, tol=None, max_iter=7).fit(
        x, y, coef_init=start.copy(), intercept_init=[0.0]
    )
    unit = Perceptron(init={"kind": "given", "values": start.T.tolist()})
    data = {"source": (x, y), "order": "time", "validation": 0.0, "test": 0.0, "scale": "none"}
    ours = run(unit, data, epochs=7, engine=engine, precision="float64")
    np.testing.assert_allclose(ours.params[0].W[:, 0], theirs.coef_[0], rtol=1e-10)
    np.testing.assert_allclose(ours.params[0].b, theirs.intercept_, rtol=1e-10)


def test_batch_adaline_comes_to_the_least_squares():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = rng.integers(2, size=80)
    data = {"source": (x, y), "validation": 0.0, "test": 0.0, "scale": "none"}
    found = run(Adaline(0.5, rule="batch"), data, epochs=400).params[0]
    expected = np.linalg.lstsq(np.column_stack([x.astype(np.float32), np.ones(80)]), y, rcond=None)[0]
    np.testing.assert_allclose([*found.W[:, 0], *found.b], expected, atol=1e-6)


# When they stop, and what they say ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_perceptron_stops_after_the_first_epoch_without_mistakes(engine):
    found = run("perceptron", "and", engine=engine)
    assert found.history[-1]["accuracy"] == 1
    assert all(record["accuracy"] < 1 for record in found.history[:-1])
    assert found.predict(CORNERS).tolist() == AND.tolist()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_mistakes_are_no_more_than_novikoff_allows(seed):
    rng = np.random.default_rng(seed)
    direction = np.append(rng.normal(size=2), rng.normal() / 2)
    x = rng.uniform(-1, 1, (40, 2))
    margins = np.column_stack([x, np.ones(40)]) @ direction / np.linalg.norm(direction)
    x = x[np.abs(margins) > 0.1]
    y = (margins > 0)[np.abs(margins) > 0.1].astype(int)
    if len(np.unique(y)) < 2:
        return
    data = {"source": (x, y), "validation": 0.0, "test": 0.0, "scale": "none"}
    found = run("perceptron", data, epochs=400)
    mistakes = sum(round((1 - record["accuracy"]) * len(x)) for record in found.history)
    longest = 1 + np.square(x).sum(axis=1).max()
    gamma = np.abs(margins)[np.abs(margins) > 0.1].min()
    assert found.measures["training"]["accuracy"] == 1
    assert mistakes <= longest / gamma**2


def test_a_perceptron_says_that_xor_is_not_separable_and_what_keeps_the_best():
    (remark,) = run("perceptron", "xor").remarks
    assert "not linearly separable" in remark
    assert "the option pocket" in remark


def test_a_perceptron_that_had_too_few_epochs_says_so():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 2))
    y = (x @ [1.0, -1.0] > 0.05).astype(int)
    found = run("perceptron", {"source": (x, y), "validation": 0.0, "test": 0.0}, epochs=1)
    assert found.measures["training"]["accuracy"] < 1
    assert "more epochs" in found.remarks[0]


def test_the_pocket_ends_with_the_best_weights_of_all_epochs():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(150, 3))
    y = (x @ [1.0, 2.0, -1.0] + 1.2 * rng.normal(size=150) > 0).astype(int)
    data = {"source": (x, y), "validation": 0.0, "test": 0.0}
    plain = run(Perceptron(), data)
    pocket = run(Perceptron(pocket=True), data)
    each = [record["training_accuracy"] for record in pocket.history]
    assert pocket.measures["training"]["accuracy"] == max(each) > plain.measures["training"]["accuracy"]
    # The rule itself is the same.
    assert [record["accuracy"] for record in pocket.history] == [record["accuracy"] for record in plain.history]


@pytest.mark.parametrize("feature", ["products", "polynomial 2", "radial 8"])
def test_a_feature_map_makes_xor_separable(feature):
    found = run({"kind": "perceptron", "features": [feature]}, "xor", epochs=200)
    assert found.predict(CORNERS).tolist() == XOR.tolist()


def test_three_classes():
    found = run(Perceptron(pocket=True), "iris")
    assert found.measures["training"]["accuracy"] > 0.95
    assert found.params[0].W.shape == (4, 3)
    assert run(Adaline(0.01), "iris").measures["training"]["accuracy"] > 0.75


def test_labels_of_the_data_come_back_as_they_were():
    found = run("perceptron", {"source": (CORNERS, np.array([-1, -1, -1, 1])), "validation": 0.0, "test": 0.0})
    assert found.predict(CORNERS).tolist() == [-1, -1, -1, 1]


# Whether a line can do it ---------------------------------------------------------------------------------------------


def test_of_all_truth_functions_of_two_inputs_two_are_not_separable():
    tables = [np.array([code >> k & 1 for k in range(4)]) for code in range(16)]
    failing = [table.tolist() for table in tables if len(set(table)) > 1 and not separable(CORNERS, table)]
    assert failing == [[0, 1, 1, 0], [1, 0, 0, 1]]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))
def test_what_linear_scores_say_is_separable_and_stays_so_when_moved(seed, classes):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, 3))
    w = rng.normal(size=(3, classes))
    scores = np.sort(x @ w, axis=1)
    clear = scores[:, -1] - scores[:, -2] > 0.1
    x, y = x[clear], (x @ w).argmax(axis=1)[clear]
    assert separable(x, y) is True
    assert separable(1e4 * x - 3e4, y) is True
    # The same point in two classes.
    if len(np.unique(y)) > 1:
        assert separable(np.vstack([x, x[:1]]), np.append(y, y[y != y[0]][0])) is False


def test_too_large_a_question_is_not_answered():
    assert separable(np.random.default_rng(0).normal(size=(2000, 600)), np.arange(2000) % 2) is None


# Safe rates -----------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 20), width=st.integers(1, 4))
def test_just_below_the_safe_rate_the_batch_rule_settles_and_just_above_it_runs_away(seed, n, width):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)) * 2 + 1
    y = np.arange(n) % 2
    data = {"source": (x, y), "validation": 0.0, "test": 0.0, "scale": "none"}
    safe = safe_rate(x.astype(np.float32))
    below = run(Adaline(0.98 * safe, rule="batch"), data, epochs=300)
    above = run(Adaline(1.1 * safe, rule="batch"), data, epochs=300)
    assert below.history[-1]["loss"] <= below.history[0]["loss"]
    assert above.history[-1]["loss"] > 1e3 * above.history[0]["loss"]
    assert not any("diverge" in note for note in below.notes)
    assert "diverge" in above.notes[-1]
    assert "diverged" in above.remarks[0]


def test_weighted_rows_count_in_the_correlation():
    x = np.array([[1.0], [3.0]])
    assert safe_rate(x, np.array([1.0, 2.0])) == pytest.approx(safe_rate(x[[0, 1, 1]]))


def test_without_a_bias_the_safe_rates_are_those_of_the_inputs_alone():
    x = np.random.default_rng(0).normal(size=(20, 3))
    assert safe_rate(x, bias=False) == pytest.approx(2 / np.linalg.norm(x.T @ x / 20, 2))
    assert safe_online_rate(x, bias=False) == pytest.approx(2 / max(np.sum(x**2, axis=1)))


def test_below_the_online_rate_no_step_overshoots():
    x = np.random.default_rng(0).normal(size=(50, 3))
    factor = 1 - safe_online_rate(x) * (1 + np.square(x).sum(axis=1))
    assert factor.min() == pytest.approx(-1)


def test_online_a_rate_that_overshoots_is_told_with_one_that_is_safe():
    found = run(Adaline(0.01), "digits", epochs=2, engine="compiled")
    assert "overshoot" in found.notes[-1]
    assert "diverged" in found.remarks[0]
    safe = float(found.remarks[0].rstrip(".").split()[-1])
    calm = run(Adaline(safe), "digits", epochs=5, engine="compiled")
    assert not any("overshoot" in note for note in calm.notes)
    assert calm.measures["test"]["accuracy"] > 0.85


def test_weights_that_become_infinite_are_named_with_the_rate_that_is_safe():
    found = run(Adaline(50.0, rule="batch"), "and", epochs=2000, precision="float32")
    assert found.diverged
    assert "a safe rate is" in found.remarks[0]


# The threshold --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
def test_no_cut_is_right_more_often_than_the_tuned_one(seed, n):
    rng = np.random.default_rng(seed)
    z = rng.integers(-3, 4, n) / 2
    y = rng.integers(2, size=n)
    weight = rng.integers(1, 4, n).astype(float)

    def right(cut):
        return (weight * ((z > cut) == (y > 0))).sum()

    best = max(right(cut) for cut in np.arange(-3, 3, 0.25))
    assert right(best_threshold(z, y, weight)) == best


def test_a_tuned_threshold_is_chosen_on_validation_rows_and_kept_with_the_run(tmp_path):
    x = np.linspace(-1, 1, 400).reshape(-1, 1)
    # Few are positive: least squares puts the cut of 0.5 too far to the right.
    y = (x[:, 0] > 0.8).astype(int)
    data = {"source": (x, y), "validation": 0.3, "test": 0.2}
    usual = run(Adaline(), data)
    tuned = run(Adaline(threshold="tuned"), data, folder=tmp_path / "run")
    assert tuned.measures["validation"]["accuracy"] >= 0.99 > usual.measures["validation"]["accuracy"]
    np.testing.assert_array_equal(tuned.params[0].W, usual.params[0].W)
    loaded = thalweg.load(tmp_path / "run")
    assert loaded.threshold == tuned.threshold != 0.5
    np.testing.assert_array_equal(loaded.predict(x), tuned.predict(x))
    held_out = loaded.evaluate(x, y)
    assert held_out["accuracy"] == (loaded.predict(x) == y).mean()
    assert f"{tuned.threshold:.6g}" in tuned.remarks[0]


@pytest.mark.parametrize(("labels", "threshold"), [("0/1", 0.5), ("-1/1", 0.0)])
def test_the_usual_threshold_lies_halfway_between_the_labels(labels, threshold):
    unit = Adaline(0.1, labels=labels, rule="batch")
    assert unit.loss.threshold == threshold
    assert dataclasses.replace(unit, threshold=0.3).loss.threshold == 0.3
    assert run(unit, "and").predict(CORNERS).tolist() == AND.tolist()


# In a spec ------------------------------------------------------------------------------------------------------------


def test_a_unit_in_a_spec_becomes_what_it_is_made_of_and_comes_back_from_its_file(tmp_path):
    spec = Spec.of({"data": "and", "network": {"kind": "perceptron", "pocket": True, "features": ["products"]}})
    whole = completed(spec, spec.data.load(0).train)
    assert [layer.kind for layer in whole.network.layers] == ["products", "dense"]
    assert (whole.loss.kind, whole.optimizer.kind, whole.training.batch_size) == ("perceptron", "sgd", 1)
    (tmp_path / "a.toml").write_text(to_toml(spec))
    assert read_spec(str(tmp_path / "a.toml")) == spec
    (tmp_path / "b.toml").write_text(to_toml(whole))
    again = read_spec(str(tmp_path / "b.toml"))
    assert completed(again, spec.data.load(0).train) == whole


def test_what_the_user_says_of_stopping_goes_before_what_the_unit_would():
    spec = Spec.of({"data": "and", "network": "perceptron", "stopping": {"seconds": 5.0, "target": 0.75}})
    stopping = completed(spec, spec.data.load(0).train).stopping
    assert (stopping.measure, stopping.target, stopping.seconds) == ("accuracy", 0.75, 5.0)


def test_adaline_standardises_unless_it_is_told_not_to():
    assert Spec.of({"data": "and", "network": "adaline"}).prepared_data.scale == "standard"
    assert Spec.of({"data": {"source": "and", "scale": "none"}, "network": "adaline"}).prepared_data.scale == "none"
    assert Spec.of({"data": "and", "network": "perceptron"}).prepared_data.scale is None


@pytest.mark.parametrize(
    "settings",
    [["network=perceptron"], ["network=perceptron 0.5"], ["data=and", "network=adaline", "data.validation=0.0"]],
)
def test_a_section_may_be_set_by_its_short_form(settings):
    spec = read_spec("and", settings)
    assert spec.network.kind == settings[-2 if len(settings) > 1 else 0].split("=")[1].split()[0]
    assert spec.data.source.kind == "and"


@pytest.mark.parametrize(
    ("sections", "place", "word"),
    [
        ({"network": "perceptrn"}, "network", "'perceptron'"),
        ({"network": "perceptron", "optimizer": "adam"}, "optimizer", "perceptron"),
        ({"network": "adaline", "loss": "mse"}, "loss", "adaline"),
        ({"network": "adaline", "training": {"batch_size": 8}}, "training.batch_size", "adaline"),
        ({"network": {"kind": "adaline", "rule": "often"}}, "network.rule", "often"),
        ({"network": {"kind": "perceptron", "features": ["cubes"]}}, "network.features[0]", "'cubes'"),
        ({"network": {"kind": "perceptron", "labels": "no/yes"}}, "network.labels", "no/yes"),
    ],
)
def test_a_wrong_unit_is_one_problem_at_its_place(sections, place, word):
    with pytest.raises(InputError) as caught:
        Spec.of({"data": "and", **sections})
    assert {problem.place for problem in caught.value.problems} == {place}
    assert word in caught.value.problems[0].message


def test_units_tell_classes_apart_and_nothing_else():
    with pytest.raises(InputError, match="regression"):
        run("adaline", "wave")
    with pytest.raises(InputError, match=r"there are none; set data\.validation"):
        run(Adaline(threshold="tuned"), "and")
    with pytest.raises(InputError, match="more than two"):
        run(Adaline(threshold="tuned"), "iris")


def test_a_stopped_unit_goes_on_where_it_was(tmp_path):
    unit = {"kind": "adaline", "threshold": "tuned"}
    data = {"source": "moons 200", "validation": 0.2}
    whole = run(unit, data, epochs=6)
    run(unit, data, epochs=3, folder=tmp_path / "run")
    found = thalweg.resume(tmp_path / "run", ["training.epochs=6"], accept_changes=True, progress=False)
    np.testing.assert_array_equal(found.params[0].W, whole.params[0].W)
    assert found.threshold == whole.threshold


def test_the_report_of_a_pocket_draws_both_accuracies_in_one_chart(tmp_path):
    found = run(Perceptron(pocket=True), "moons 100", epochs=4, folder=tmp_path / "run")
    assert "training_accuracy" in found.history[0]
    page = unpacked((tmp_path / "run" / "report.html").read_text())
    assert page.count("training, end of epoch") == 2
    assert "Training accuracy" not in page
    assert found.remarks[0][:40] in page
