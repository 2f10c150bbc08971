"""Gradient flow: the theory against known results, and against measurements in wide networks."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.insight.gradient_flow import gradient_flow
from thalweg.pages.blocks import ArrayBlock, Chart, Formula, Table
from thalweg.pages.page import FORMS
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec
from thalweg.training.replay import replay, trace_step
from thalweg.training.session import Session


def flow_of(*stack: object, source: object = "digits", seeds: int = 4, **network: object):
    return gradient_flow(Spec.of({"data": source, "network": {"layers": list(stack), **network}}), seeds=seeds)


def test_a_network_of_convolutions_has_measured_numbers_alone():
    """There is no theory for them: no empty columns, no formula of dense layers, no caption of a missing curve."""
    page = flow_of("conv2d 4", "relu", "conv2d 4", "relu", "flatten", "dense 10", "softmax", seeds=2).page()
    table = next(block for block in page.blocks if isinstance(block, Table))
    assert list(table.columns) == ["layer", "outputs", "delta"]
    assert np.isfinite([row[1:] for row in table.rows]).all()
    assert not any(isinstance(block, Formula) for block in page.blocks)
    assert not any("theory" in block.caption for block in page.blocks if isinstance(block, Chart))


@pytest.mark.parametrize(
    ("activation", "init", "factor"),
    [
        ("relu", "he_normal", 1.0),
        ("relu", "lecun_normal", 0.5**0.5),
        ("identity", "lecun_normal", 1.0),
        ("identity", {"kind": "normal", "deviation": 0.25}, 0.25 * 64**0.5),
    ],
)
def test_known_factors_between_layers(activation, init, factor):
    flow = flow_of(*["dense 64", activation] * 12, "dense 64", activation, "dense 10", "softmax", init=init, seeds=8)
    inner = slice(0, 13)
    predicted = flow.predicted_deltas[inner]
    np.testing.assert_allclose(predicted[:-1] / predicted[1:], factor, rtol=0.02)
    measured = np.exp(np.log(flow.deltas).mean(axis=0))[inner]
    assert (measured[0] / measured[-1]) ** (1 / 12) == pytest.approx(factor, rel=0.06)


@pytest.mark.parametrize("name", ["deep-plain", "deep-residual", "deep-initialised", "digits"])
def test_theory_is_close_to_the_measurement(name):
    from thalweg.spec.toml import read_spec

    flow = gradient_flow(read_spec(name), seeds=6)
    for measured, theory in ((flow.deltas, flow.predicted_deltas), (flow.outputs, flow.predicted_outputs)):
        orders = np.abs(np.log10(np.exp(np.log(measured).mean(axis=0)) / theory))
        # A few percent a layer, over thirty layers.
        assert orders.max() < 0.2


def test_the_measurement_equals_the_first_step_of_the_training():
    """With all rows in one batch, the trace of step 1 has the same deltas."""
    layout = {"layers": ["dense 8", "tanh", "dense 2", "softmax"]}
    spec = Spec.of({"data": {"source": "moons 60", "test": 0.0, "validation": 0.0}, "network": layout})
    flow = gradient_flow(spec, seeds=1, rows=60)
    split = spec.data.load(0)
    whole = completed(
        dataclasses.replace(spec, training=dataclasses.replace(spec.training, batch_size="full", engine="eager")),
        split.train,
    )
    session = Session(whole, split)
    (point,) = replay(session, [0]).states
    _, trace = trace_step(session.plan, point)
    expected = [np.sqrt(np.mean(np.square(trace.deltas[k]))) for k in (0, 2)]
    np.testing.assert_allclose(flow.deltas[0], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("activation", "init", "word"),
    [
        ("sigmoid", None, "vanishes"),
        ("relu", "he_normal", "keeps"),
        ("relu", {"kind": "normal", "deviation": 0.4}, "expl"),
        # By theory a layer multiplies by √(64 · 0.13² / 2) = 0.74 on the way back, and ten of them by 0.05.
        ("relu", {"kind": "normal", "deviation": 0.13}, "shrinks"),
    ],
)
def test_the_outcome_names_vanishing_and_exploding_deltas(activation, init, word):
    network = {"init": init} if init else {}
    assert word in flow_of(*["dense 64", activation] * 10, "dense 10", "softmax", seeds=3, **network).outcome


def test_a_layer_without_theory_is_still_measured():
    flow = flow_of("dense 8", "softmax", "dense 8", "tanh", "dense 10", "softmax", seeds=2)
    assert np.isfinite(flow.deltas).all()
    assert np.isnan(flow.predicted_deltas).all()
    assert "no theory" in flow.page().text()


def test_the_page_has_the_numbers_in_all_forms():
    flow = flow_of("dense 16", "relu", "dense 10", "softmax", seeds=3)
    page = flow.page()
    for form in FORMS:
        text = page.render(form)
        assert page.title in (json.loads(text)["title"] if form == "json" else text)
    table = next(block for block in page.blocks if isinstance(block, Table))
    assert table.rows[0][3] == pytest.approx(np.exp(np.log(flow.deltas[:, 0]).mean()), rel=0.01)
    assert not [block for block in page.blocks if isinstance(block, ArrayBlock)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["perceptron"], "at least two layers with weights"),
        (["digits", "--seeds", "0"], "seeds: expected at least 1"),
        (["digits", "--rows", "1"], "rows: expected at least 2"),
        (["digitz"], "did you mean 'digits'"),
    ],
)
def test_bad_input_is_one_message(words, message):
    command = [sys.executable, "-m", "thalweg", "gradient-flow", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_seeds_must_be_a_number_above_zero():
    with pytest.raises(InputError, match="seeds"):
        flow_of("dense 4", "tanh", "dense 10", seeds=0)
