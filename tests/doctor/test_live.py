"""Findings while a training runs: signs that nothing moves, each once, and nothing for networks that learn."""

from __future__ import annotations

import pytest

from thalweg.doctor.live import LiveChecks, severe_at_once
from thalweg.doctor.measure_run import measurements_of, probed_layers
from thalweg.models.network import Network
from thalweg.runs.train import run_spec
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec

LAYERS = ["dense 4", "relu", {"kind": "residual", "layers": ["relu"]}, "dense 2"]


def look(step, gradient=0.5, loss=0.7, dead=(None, 0.0, None, 0.0, None)):
    whole = {"loss": loss, "gradient_norm": gradient, "input_rms": 1.0 + step / 1000}
    return {"step": step, "whole": whole, "layers": {"dead": list(dead)}}


def epochs(losses, accuracy=0.5, **more):
    return [
        {"epoch": k, "step": 10 * k, "loss": loss, "accuracy": accuracy, **more} for k, loss in enumerate(losses, 1)
    ]


def watch(rows=100, per_epoch=10, count=40, constant=0.5, layers=LAYERS):
    return LiveChecks(constant, probed_layers(Network(layers).layers), rows, per_epoch, count)


FALLING = epochs([1 / k for k in range(1, 21)])
LOOKS = [look(step) for step in range(0, 200, 10)]


def codes(found):
    return [finding.code for finding in found]


def test_of_numbers_that_move_nothing_is_told():
    assert watch().new_findings(FALLING, LOOKS) == []


def test_a_gradient_of_0_is_told_once_and_never_of_a_network_that_answers_better_than_always_the_same():
    silent = [look(step, gradient=0.0) for step in range(0, 200, 10)]
    watched = watch()
    (found,) = watched.new_findings(FALLING, silent)
    assert (found.code, found.severity, found.value) == ("vanishing", "severe", 0.0)
    # The next epoch holds no news.
    assert watched.new_findings([*FALLING, *epochs([0.01])], silent) == []
    assert watch().new_findings(epochs([1 / k for k in range(1, 21)], accuracy=0.9), silent) == []
    # Rows of one class all but a few: the best constant answer is as good as any.
    assert watch(constant=0.99).new_findings(FALLING, silent) == []


@pytest.mark.parametrize("moves", [2, 19])
def test_one_look_that_moves_is_enough_to_say_nothing(moves):
    seen = [look(step, gradient=0.0) for step in range(0, 200, 10)]
    seen[moves] = look(10 * moves)
    found = watch(per_epoch=10).new_findings(FALLING, seen)
    # What was long ago does not count.
    assert codes(found) == (["vanishing"] if moves == 2 else [])


def test_looks_at_the_same_rows_again_and_again_say_nothing_of_the_others():
    same = [look(step, gradient=0.0, loss=0.7 - step / 1000) for step in range(0, 200, 10)]
    for seen in same:
        seen["whole"]["input_rms"] = 1.0
    assert watch().new_findings(FALLING, same) == []
    # All rows at once are the same rows each time.
    assert codes(watch(rows=10, per_epoch=1).new_findings(FALLING, same)) == ["vanishing"]


def test_batches_of_one_row_need_many_looks():
    few = [look(step, gradient=0.0) for step in range(0, 20, 1)]
    many = [look(step, gradient=0.0) for step in range(0, 200, 1)]
    assert watch(rows=100, per_epoch=100).new_findings(FALLING, few) == []
    assert codes(watch(rows=100, per_epoch=100).new_findings(FALLING, many)) == ["vanishing"]
    # Of five rows that come in any order, five looks may miss one.
    assert watch(rows=5, per_epoch=5).new_findings(FALLING, few[:10]) == []
    assert codes(watch(rows=5, per_epoch=5).new_findings(FALLING, many)) == ["vanishing"]


def test_a_dead_layer_is_named_unless_its_gradient_has_a_second_path():
    def found(block, plain=1.0, layers=LAYERS):
        records = [look(step, dead=(None, plain, None, block, None)) for step in range(0, 200, 10)]
        return watch(layers=layers).new_findings(FALLING, records)

    (finding,) = found(1.0)
    assert (finding.code, finding.place) == ("dying-relu", "layer 2 (relu)")
    assert found(1.0, plain=0.9) == []
    # A layer with slope 0 everywhere is found before the training.
    assert found(0.0, layers=[LAYERS[0], "step", *LAYERS[2:]]) == []


def test_a_loss_a_thousand_times_its_start_is_told_where_the_answers_are_no_better_for_it():
    grown = epochs([1.0, 5000.0])
    (found,) = watch().new_findings(grown, [look(0)])
    assert found.code == "exploding"
    assert found.value == pytest.approx(5000 / 0.7)
    assert watch().new_findings(epochs([1.0, 500.0]), [look(0)]) == []
    # A first batch that was right by chance is no measure of what is usual.
    assert watch().new_findings(epochs([1.0, 50.0]), [look(0, loss=1e-6)]) == []


def test_of_values_the_loss_is_far_off_where_r2_is():
    def history(r2):
        return [{"epoch": k, "step": k, "loss": loss, "r2": r2} for k, loss in ((1, 1.0), (2, 1e5))]

    assert codes(watch(constant=0.0).new_findings(history(-5e3), [look(0)])) == ["exploding"]
    assert watch(constant=0.0).new_findings(history(-5.0), [look(0)]) == []


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([0.7] * 20, True),
        ([0.7 + 1e-8 * (k % 3) for k in range(20)], True),
        ([0.7] * 9, False),
        ([0.7 - 1e-5 * k for k in range(20)], False),
        ([0.0] * 20, True),
    ],
)
def test_a_loss_that_stands_still_for_a_hundred_updates_is_told(losses, told):
    assert codes(watch().new_findings(epochs(losses), [])) == (["plateau"] if told else [])


def test_without_probes_and_before_the_first_epoch_nothing_is_said():
    assert watch().new_findings([], []) == []
    assert watch().new_findings(FALLING, []) == []


def told_of(network, data="rings 200", **sections):
    found = []
    training = {"epochs": 100, "engine": "eager", "batch_size": 20} | sections.pop("training", {})
    spec = Spec.of({"data": data, "network": network, "training": training, **sections})
    run_spec(spec, warn=found.append)
    return found


def test_a_network_that_can_not_learn_is_told_of_before_and_while_it_runs():
    found = told_of(["dense 8", "tanh", "dense 1", "softmax"], training={"epochs": 40})
    assert codes(found) == ["output-activation", "vanishing"]
    assert [finding.stage for finding in found] == ["before training", "during training"]


def test_layers_that_die_are_told_of():
    found = told_of({"layers": ["dense 8", "relu", "dense 2", "softmax"], "init": "zeros"}, training={"epochs": 20})
    assert "dying-relu" in codes(found)
    assert len(codes(found)) == len(set(codes(found)))


@pytest.mark.parametrize(
    ("network", "data", "sections"),
    [
        (["dense 16", "relu", "dense 2", "softmax"], "rings 200", {}),
        (["dense 2", "relu", "dense 1", "sigmoid"], "and", {"training": {"batch_size": 1}, "optimizer": "adam 0.05"}),
        ({"kind": "perceptron"}, "and", {"training": {"batch_size": None}}),
        ({"kind": "adaline"}, "or", {"training": {"batch_size": None}}),
        (["dense 8", "relu", "dense 1"], "diabetes", {"training": {"epochs": 20}}),
    ],
)
def test_of_networks_that_learn_nothing_is_said(network, data, sections):
    assert told_of(network, data, **sections) == []


def test_what_is_severe_before_a_training_is_told_at_once_and_nothing_else():
    spec = Spec.of({"data": "rings 200", "network": ["dense 4", "relu", "dense 2", "softmax"]})
    split = spec.data.load(0)
    whole = completed(spec, split.train)
    assert severe_at_once(measurements_of(whole, split, 5)) == []
    single = completed(Spec.of({"data": "rings 200", "network": ["dense 1", "softmax"]}), split.train)
    assert codes(severe_at_once(measurements_of(single, split, 5))) == ["output-activation"]
