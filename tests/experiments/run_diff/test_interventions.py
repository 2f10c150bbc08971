"""Settings put back one at a time: the one at fault is found, alone and among many."""

from __future__ import annotations

import math

import pytest

import thalweg
from thalweg.experiments.run_diff import interventions

LAYERS = ["dense 16", "tanh", "dense 2", "softmax"]


def trained(network=LAYERS, **options):
    defaults = {"optimizer": "adam 0.05", "epochs": 15, "engine": "eager", "progress": False}
    return thalweg.train(network, "rings 300", **{**defaults, **options})


HARMLESS = {
    "network": ["dense 15", *LAYERS[1:]],
    "batch_size": 24,
    "epochs": 14,
    "average": 0.01,
}
FAULT = {"kind": "adam", "learning_rate": 1e-5}


def test_of_five_settings_the_one_at_fault_explains_the_outcome():
    good, bad = trained(), trained(**HARMLESS, optimizer=FAULT)
    found = thalweg.diff(bad, good, seeds=2)
    verdicts = {effect.label: effect.verdict for effect in found.explanation.effects}
    assert verdicts.pop("optimizer.learning_rate") == "explains"
    assert set(verdicts) == {"network.layers.0", "training.batch_size", "training.epochs", "training.average"}
    assert "explains" not in verdicts.values()
    assert found.explanation.effects[0].label == "optimizer.learning_rate"
    assert found.explanation.effects[0].share > 0.8
    assert found.better == 1


def test_many_settings_are_tried_in_groups_and_halved():
    others = {"regularization": {"l2": 1e-7, "l1": 1e-7}, "clip": "norm 100"}
    optimizer = {**FAULT, "beta_1": 0.89, "beta_2": 0.998, "epsilon": 1e-9}
    good, bad = trained(), trained(**HARMLESS, **others, optimizer=optimizer)
    found = thalweg.diff(bad, good, seeds=1, steps=1)
    effects = {effect.label: effect for effect in found.explanation.effects}
    assert len(effects) > interventions.MOST_ALONE
    assert effects["optimizer.learning_rate"].verdict == "explains"
    assert [label for label, effect in effects.items() if effect.verdict == "explains"] == ["optimizer.learning_rate"]
    assert any("together" in effect.remark for effect in effects.values())


def test_the_seed_alone_explains_what_another_seed_does():
    one = trained(epochs=3, seed=0, optimizer="sgd 0.5")
    for seed in range(1, 6):
        other = trained(epochs=3, seed=seed, optimizer="sgd 0.5")
        found = thalweg.diff(one, other, seeds=1, steps=1)
        if found.explanation.score and found.explanation.gap > 0.1:
            break
    (effect,) = found.explanation.effects
    assert (effect.label, effect.verdict) == ("training.seed", "explains")
    assert effect.share == pytest.approx(1)
    assert found.explanation.seeds == tuple(
        dict.fromkeys(
            [found.records[1 - found.better].run.spec.training.seed, found.records[found.better].run.spec.training.seed]
        )
    )


def test_output_and_loss_move_together():
    """A softmax over one unit learns nothing, and neither run had one."""
    good = trained()
    bad = trained([*LAYERS[:2], "dense 1", "sigmoid"], optimizer=FAULT)
    found = thalweg.diff(good, bad, seeds=1, steps=1)
    effects = {effect.label: effect for effect in found.explanation.effects}
    assert effects["optimizer.learning_rate"].verdict == "explains"
    (output,) = (effect for label, effect in effects.items() if label != "optimizer.learning_rate")
    assert {change.path for change in output.changes} == {"network.layers.2", "network.layers.3", "loss"}
    assert output.verdict == "no effect"


def test_settings_that_make_no_spec_are_not_tried():
    """Rows of three classes do not suit a network of two outputs."""
    good = trained()
    bad = thalweg.train(["dense 3", "softmax"], "iris", optimizer=FAULT, epochs=2, engine="eager", progress=False)
    found = thalweg.diff(good, bad, seeds=1, steps=1)
    (source,) = (effect for effect in found.explanation.effects if effect.label.startswith("data"))
    assert source.verdict == "not tried"
    assert "classes" in source.remark


def test_a_budget_that_is_spent_leaves_settings_untried():
    good, bad = trained(), trained(optimizer=FAULT)
    found = thalweg.diff(good, bad, seconds=1e-6)
    (effect,) = found.explanation.effects
    assert effect.verdict == "not tried"
    assert math.isnan(effect.share)
