"""One unit and one weight of a step: sums and factors against the trace, gradients against finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.engine.step import forward_backward
from thalweg.insight.focus import unit_blocks, weight_blocks
from thalweg.insight.traced_step import traced_step
from thalweg.pages.blocks import Check, Table
from thalweg.parts.part import ForwardContext
from thalweg.spec.spec import Spec
from thalweg.training.session import Session

H = 1e-6


@pytest.fixture(scope="module")
def traced():
    spec = {
        "data": "rings 60",
        "network": ["dense 4", "tanh", "dense 3", "relu", "dense 2", "softmax"],
        "optimizer": "adam 0.01",
        "training": {"engine": "eager", "batch_size": 6},
    }
    return traced_step(Session.load(Spec.of(spec)), 5, 2, lambda message: None)


def tables(blocks) -> dict[str, Table]:
    return {block.caption: block for block in blocks if isinstance(block, Table)}


def slope_by_differences(traced, layer: int, place: tuple[int, int]) -> float:
    """dL/dW by a central difference of the loss of the batch."""

    def loss(step: float) -> float:
        params = list(traced.start.state.params)
        W = np.array(params[layer].W)
        W[place] += step
        params[layer] = params[layer]._replace(W=W)
        batch, plan = traced.trace.batch, traced.plan
        context = ForwardContext(True, batch.weight)
        layers = traced.start.state.layers
        return float(forward_backward(plan.network, plan.loss, tuple(params), layers, batch, context).loss)

    return (loss(H) - loss(-H)) / (2 * H)


@pytest.mark.parametrize(("layer", "place"), [(0, (1, 2)), (2, (3, 0)), (4, (2, 1))])
def test_the_rows_of_a_weight_sum_to_the_slope_of_the_loss(traced, layer, place):
    blocks = list(weight_blocks(traced, layer, *place))
    table = tables(blocks)["The chain rule, row by row"]
    assert table.total[-1] == pytest.approx(slope_by_differences(traced, layer, place), abs=1e-7)
    assert sum(row[-1] for row in table.rows) == pytest.approx(table.total[-1])
    assert all(x * delta == pytest.approx(product) for _, x, delta, product in table.rows)
    assert [block.holds for block in blocks if isinstance(block, Check)] == [True, True]


@pytest.mark.parametrize(("layer", "unit"), [(0, 1), (1, 1), (3, 0), (4, 1)])
def test_the_terms_of_a_unit_sum_to_its_input_and_its_delta(traced, layer, unit):
    found = tables(unit_blocks(traced, layer, unit))
    forward = found["Forward, row 2 of the batch"]
    assert sum(row[-1] for row in forward.rows) == pytest.approx(forward.total[-1])
    rows = found["The layers of the unit"].rows
    for below, above in itertools.pairwise(rows):
        assert below[3] == pytest.approx(above[3] * above[2])
    backward = [table for caption, table in found.items() if caption.startswith("Backward")]
    for table in backward:
        assert sum(row[-1] for row in table.rows) == pytest.approx(table.total[-1])
        assert table.total[-1] == pytest.approx(rows[-1][3])
    assert bool(backward) == (layer < 4)


@pytest.fixture(scope="module")
def in_blocks():
    def block(*layers):
        return {"kind": "residual", "layers": [*layers]}

    spec = {
        "data": "rings 60",
        "network": ["dense 4", "tanh", block("layer_norm", "dense 4", "tanh"), block("dense 3", "tanh"), "dense 2"],
        "loss": "cross_entropy",
        "optimizer": "adam 0.01",
        "training": {"engine": "eager", "batch_size": 6},
    }
    return traced_step(Session.load(Spec.of(spec)), 5, 2, lambda message: None)


def loss_with(traced, layer: int, place: int, at: tuple[int, int], step: float) -> float:
    """The loss of the batch with another weight in a block."""
    params = list(traced.start.state.params)
    inner = list(params[layer].layers)
    W = np.array(inner[place].W)
    W[at] += step
    inner[place] = inner[place]._replace(W=W)
    params[layer] = params[layer]._replace(layers=tuple(inner))
    batch, plan = traced.trace.batch, traced.plan
    context = ForwardContext(True, batch.weight)
    return float(
        forward_backward(plan.network, plan.loss, tuple(params), traced.start.state.layers, batch, context).loss
    )


@pytest.mark.parametrize(("layer", "place", "at"), [(2, 1, (3, 1)), (3, 0, (0, 2))])
def test_a_weight_in_a_block_has_the_slope_of_the_loss(in_blocks, layer, place, at):
    blocks = list(weight_blocks(in_blocks, layer, *at))
    table = tables(blocks)["The chain rule, row by row"]
    slope = (loss_with(in_blocks, layer, place, at, H) - loss_with(in_blocks, layer, place, at, -H)) / (2 * H)
    assert table.total[-1] == pytest.approx(slope, abs=1e-7)
    assert [block.holds for block in blocks if isinstance(block, Check)] == [True, True]


@pytest.mark.parametrize(("layer", "unit"), [(1, 3), (2, 1), (3, 2)])
def test_a_unit_below_or_in_a_block_has_the_terms_of_its_sum_and_of_its_delta(in_blocks, layer, unit):
    found = tables(unit_blocks(in_blocks, layer, unit))
    forward = found["Forward, row 2 of the batch"]
    assert sum(row[-1] for row in forward.rows) == pytest.approx(forward.total[-1])
    rows = found["The layers of the unit"].rows
    assert rows[0][1] == pytest.approx(forward.total[-1])
    end = in_blocks.trace.outputs[layer][2, unit], in_blocks.trace.deltas[layer][2, unit]
    assert (rows[-1][1], rows[-1][3]) == pytest.approx(end)
    for below, above in itertools.pairwise(rows):
        assert below[3] == pytest.approx(above[3] * (1.0 if above[2] is None else above[2]))
    (backward,) = (table for caption, table in found.items() if caption.startswith("Backward"))
    assert sum(row[-1] for row in backward.rows) == pytest.approx(backward.total[-1])
    assert backward.total[-1] == pytest.approx(rows[-1][3])


@pytest.mark.parametrize(
    "layers",
    [
        [{"kind": "residual", "layers": ["dense 2", "tanh", "dense 2"]}, "dense 2"],
        ["dense 9", "reshape 3 3 1", "conv2d 2 2", "flatten", "dense 2"],
    ],
)
def test_layers_without_units_of_one_number_are_refused(layers):
    spec = {"data": "rings 20", "network": layers, "loss": "cross_entropy", "training": {"engine": "eager"}}
    traced = traced_step(Session.load(Spec.of(spec)), 1, None, lambda message: None)
    (layer,) = (index for index, part in enumerate(traced.layers) if part.inner or part.kind == "conv2d")
    for blocks in (unit_blocks(traced, layer, 0), weight_blocks(traced, layer, 0, 0)):
        with pytest.raises(InputError, match="explain"):
            list(blocks)
    assert tables(unit_blocks(traced, len(traced.layers) - 1, 0))


@pytest.mark.parametrize("place", [(0, 9), (9, 0), (-1, 0)])
def test_a_unit_that_there_is_not_is_refused(traced, place):
    with pytest.raises(InputError):
        list(unit_blocks(traced, *place))


@pytest.mark.parametrize("place", [(0, 9, 0), (1, 0, 0), (0, 0, 9), (-1, 0, 0)])
def test_a_weight_that_there_is_not_is_refused(traced, place):
    with pytest.raises(InputError):
        list(weight_blocks(traced, *place))
