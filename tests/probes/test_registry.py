"""The registry of probes: every recorded quantity is described once, with the preset that records it."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.core.noise import noise_key
from thalweg.engine.step import Batch, Plan, State
from thalweg.models.network import Network
from thalweg.parts.losses import CrossEntropy
from thalweg.parts.optimizers import SGD
from thalweg.parts.task_metrics import ClassificationMetric
from thalweg.probes.observe import observe
from thalweg.probes.registry import PRESETS, PROBES


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_records_its_probes_and_those_of_the_presets_before(preset):
    network = Network(["dense 3", "tanh", "dense 2", "softmax"])
    start = network.initialize(0, (2,))
    optimizer = SGD(0.1)
    plan = Plan(network, CrossEntropy(), optimizer, ClassificationMetric())
    state = State(start.params, start.states, optimizer.init(start.params), np.array(0), noise_key(0))
    rng = np.random.default_rng(0)
    data = Batch(rng.normal(size=(8, 2)), rng.integers(2, size=8), np.ones(8))
    rows = np.arange(8).reshape(2, 4)
    with np.errstate(all="ignore"):
        recorded = observe(plan, PRESETS[preset](), state, start.params, data, rows)
    known = list(PRESETS)[: list(PRESETS).index(preset) + 1]
    expected = {name for probe in PROBES if probe.measure and probe.preset in known for name in probe.names}
    assert recorded["whole"].keys() | recorded["layers"].keys() == expected
    for probe in PROBES:
        for kind, is_recorded in (("whole", "whole" in probe.scope), ("layers", "layers" in probe.scope)):
            if probe.measure and probe.preset in known:
                assert all((name in recorded[kind]) == is_recorded for name in probe.names)


def test_every_quantity_is_registered_once():
    names = [name for probe in PROBES for name in probe.names]
    assert len(names) == len(set(names))
    assert all(probe.formula and probe.scope for probe in PROBES)
