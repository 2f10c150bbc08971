"""Every loss: value against PyTorch, delta against derivatives of the value, weights, and the fused pairs."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts_table import LAYERS, LOSSES, LossEntry, name_of, outputs_and_targets

from sklearn import metrics
from thalweg import losses
from thalweg.core.errors import InputError
from thalweg.engine.step import fused
from thalweg.models.network import Network
from thalweg.parts.layers import Sigmoid, Softmax
from thalweg.parts.losses import as_targets
from thalweg.parts.part import ForwardContext

every_loss = pytest.mark.parametrize("entry", LOSSES, ids=name_of)


def case(entry: LossEntry, seed: int, n: int = 5, width: int = 3):
    rng = np.random.default_rng(seed)
    return *outputs_and_targets(entry, rng, n, width), rng.uniform(0.5, 2.0, n)


@every_loss
@pytest.mark.parametrize("width", [2, 4])
def test_value_is_pytorchs_weighted_mean_and_delta_is_its_gradient(entry, width, on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    outputs, targets, weight = case(entry, 0, 6, width)
    y = torch.tensor(outputs, requires_grad=True)
    w = torch.tensor(weight)
    expected = (w * entry.torch(torch, y, torch.tensor(targets))).sum() / w.sum()
    expected.backward()
    loss, delta = on(entry.part, outputs, targets, weight)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(delta, y.grad.numpy(), rtol=1e-10, atol=1e-15)


PUBLISHED = {
    "squared_error": lambda y, t, w: metrics.mean_squared_error(t, y, sample_weight=w) * 3 / 2,
    "mean_squared_error": lambda y, t, w: metrics.mean_squared_error(t, y, sample_weight=w),
    "mean_absolute_error": lambda y, t, w: metrics.mean_absolute_error(t, y, sample_weight=w),
    "cross_entropy": lambda y, t, w: metrics.log_loss(t, y / y.sum(-1, keepdims=True), sample_weight=w),
    "binary_cross_entropy": lambda y, t, w: sum(
        metrics.log_loss(t[:, k], y[:, k], sample_weight=w, labels=[0, 1]) for k in range(3)
    ),
}
PLAIN = [e for e in LOSSES if e.part.kind in PUBLISHED and not getattr(e.part, "label_smoothing", 0.0)]


@pytest.mark.parametrize("entry", PLAIN, ids=name_of)
def test_value_is_scikit_learns(entry):
    outputs, targets, weight = case(entry, 9)
    expected = PUBLISHED[entry.part.kind](outputs, targets, weight)
    np.testing.assert_allclose(entry.part(outputs, targets, weight)[0], expected, rtol=1e-12)


def test_every_published_measure_is_compared():
    assert {entry.part.kind for entry in PLAIN} == set(PUBLISHED)


@every_loss
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 4), width=st.integers(1, 5))
def test_delta_is_the_finite_difference_of_the_value(entry, seed, n, width):
    outputs, targets, weight = case(entry, seed, n, width)
    _, delta = entry.part(outputs, targets, weight)
    h = 1e-6
    for place in np.ndindex(outputs.shape):
        e = np.zeros_like(outputs)
        e[place] = h
        up = entry.part(outputs + e, targets, weight)[0]
        down = entry.part(outputs - e, targets, weight)[0]
        assert abs((up - down) / (2 * h) - delta[place]) < 1e-6


@every_loss
def test_delta_is_jax_grad_of_the_value(entry):
    outputs, targets, weight = case(entry, 3)
    with jax.enable_x64(True):
        expected = jax.grad(lambda y: entry.part(y, targets, weight)[0])(outputs)
    np.testing.assert_allclose(entry.part(outputs, targets, weight)[1], expected, rtol=1e-10, atol=1e-15)


@every_loss
@pytest.mark.parametrize("width", [1, 3])
def test_curvature_is_the_hessian_of_the_value_times_a_direction(entry, width, on):
    outputs, targets, _ = case(entry, 10, 6, width)
    along = np.random.default_rng(11).normal(size=outputs.shape)
    with jax.enable_x64(True):
        slope = jax.grad(lambda y: entry.part.terms(y, targets)[0].sum())
        _, expected = jax.jvp(slope, (outputs,), (along,))
    found = on(entry.part.hvp, outputs, targets, along)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


@every_loss
def test_the_delta_of_a_batch_bends_as_its_difference_says(entry, on):
    outputs, targets, weight = case(entry, 12)
    weight[1] = 0
    along = np.random.default_rng(13).normal(size=outputs.shape)
    h = 1e-6
    numeric = sum(s * entry.part(outputs + s * h * along, targets, weight)[1] for s in (1, -1)) / (2 * h)
    np.testing.assert_allclose(
        on(entry.part.backward_jvp, outputs, targets, weight, along), numeric, rtol=1e-5, atol=1e-8
    )
    # A piece of a batch of twice the weight.
    half = on(entry.part.backward_jvp, outputs, targets, weight, along, 2 * weight.sum())
    np.testing.assert_allclose(half, numeric / 2, rtol=1e-5, atol=1e-8)
    assert not on(entry.part.backward_jvp, outputs, targets, 0 * weight, along).any()


@every_loss
def test_weight_two_is_the_sample_twice(entry, on):
    outputs, targets, _ = case(entry, 4)
    twice = [0, 1, 1, 2, 3, 4]
    loss, delta = on(entry.part, outputs, targets, np.array([1.0, 2, 1, 1, 1]))
    expected, each = on(entry.part, outputs[twice], targets[twice], np.ones(6))
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    np.testing.assert_allclose(delta, np.stack([each[0], each[1] + each[2], *each[3:]]), rtol=1e-13, atol=1e-17)


@every_loss
def test_weight_zero_is_the_sample_left_out(entry, on):
    outputs, targets, _ = case(entry, 5)
    kept = [0, 2, 3]
    loss, delta = on(entry.part, outputs, targets, np.array([1.0, 0, 1, 1, 0]))
    expected, each = on(entry.part, outputs[kept], targets[kept], np.ones(3))
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    np.testing.assert_allclose(delta[kept], each, rtol=1e-14)
    assert (delta[[1, 4]] == 0).all()


@every_loss
def test_all_weights_zero_give_zero(entry, on):
    outputs, targets, weight = case(entry, 6)
    loss, delta = on(entry.part, outputs, targets, 0 * weight)
    assert loss == 0
    assert (delta == 0).all()


@every_loss
def test_scaling_all_weights_changes_nothing(entry, on):
    outputs, targets, weight = case(entry, 7)
    loss, delta = on(entry.part, outputs, targets, weight)
    scaled, scaled_delta = on(entry.part, outputs, targets, 1000 * weight)
    np.testing.assert_allclose(scaled, loss, rtol=1e-14)
    np.testing.assert_allclose(scaled_delta, delta, rtol=1e-13, atol=1e-17)


@every_loss
def test_extreme_outputs_give_finite_numbers(entry, on):
    outputs = np.array([[1000.0, -1000.0, 0.0], [-1000.0, -1000.0, -1000.0], [0.0, -0.0, 1e-300], [1.0, 0.0, 0.0]])
    for targets in (np.eye(3)[[1, 0, 2, 1]], np.eye(3)[[0, 2, 1, 0]]):
        loss, delta = on(entry.part, outputs, targets, np.ones(4))
        assert np.isfinite(loss)
        assert np.isfinite(delta).all()
        # Not by 1 where the outputs are 1e-300: what 1/y² makes of it no float64 can hold.
        assert np.isfinite(on(entry.part.hvp, outputs, targets, outputs)).all()


@every_loss
def test_float32_stays_float32(entry):
    outputs, targets, weight = (a.astype(np.float32) for a in case(entry, 8))
    loss, delta = entry.part(outputs, targets, weight)
    assert (loss.dtype, delta.dtype) == (np.float32, np.float32)
    assert entry.part.hvp(outputs, targets, outputs).dtype == np.float32


# Targets --------------------------------------------------------------------------------------------------------------


def test_class_indices_become_one_hot_rows(on):
    z = np.random.default_rng(0).normal(size=(4, 3))
    y = np.array([2, 0, 1, 2])
    one_hot = np.eye(3)[y]
    assert on(as_targets, z, y).tolist() == one_hot.tolist()
    assert on(as_targets, z, one_hot).tolist() == one_hot.tolist()


@pytest.mark.parametrize(
    "part", [losses.SoftmaxCrossEntropy(), losses.SquaredError(), losses.Hinge()], ids=lambda p: p.kind
)
def test_class_indices_and_one_hot_rows_are_the_same_targets(part, on):
    z = np.random.default_rng(0).normal(size=(4, 3))
    y = np.array([2, 0, 1, 2])
    by_index = on(lambda z, y, w: part(z, as_targets(z, y), w), z, y, np.ones(4))
    by_row = on(lambda z, y, w: part(z, as_targets(z, y), w), z, np.eye(3)[y], np.ones(4))
    np.testing.assert_array_equal(by_index[0], by_row[0])
    np.testing.assert_array_equal(by_index[1], by_row[1])


def test_a_single_output_takes_the_classes_as_one_column(on):
    targets = on(as_targets, np.zeros((3, 1)), np.array([1, 0, 1]))
    assert targets.tolist() == [[1], [0], [1]]
    assert targets.dtype == np.float64


# Cross-entropy --------------------------------------------------------------------------------------------------------


def test_softmax_cross_entropy_of_the_textbook(on):
    loss, delta = on(losses.SoftmaxCrossEntropy(), np.array([[2.0, 1.0, 0.1]]), np.eye(3)[[0]], np.ones(1))
    assert round(float(loss), 3) == 0.417
    assert delta.round(3).tolist() == [[-0.341, 0.242, 0.099]]


def test_softmax_cross_entropy_of_a_surely_wrong_answer_is_the_distance_of_the_logits(on):
    loss, delta = on(losses.SoftmaxCrossEntropy(), np.array([[1000.0, -1000.0]]), np.eye(2)[[1]], np.ones(1))
    assert loss == 2000
    assert delta.tolist() == [[1, -1]]


def test_cross_entropy_normalises_the_outputs(on):
    # (2, 1, 1) are the shares (1/2, 1/4, 1/4): l = log 2; dl/dy = -t/y + 1/sum(y) = (-1/2 + 1/4, 1/4, 1/4).
    loss, delta = on(losses.CrossEntropy(), np.array([[2.0, 1.0, 1.0]]), np.eye(3)[[0]], np.ones(1))
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-15)
    np.testing.assert_allclose(delta, [[-0.25, 0.25, 0.25]], rtol=1e-15)
    # l = log Σ y - log y₁: the Hessian is 1/y₁² in the first place, and -1/(Σ y)² everywhere.
    bent = on(losses.CrossEntropy().hvp, np.array([[2.0, 1.0, 1.0]]), np.eye(3)[[0]], np.array([[1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(bent, [[1 / 4 - 1 / 16, -1 / 16, -1 / 16]], rtol=1e-15)


def test_cross_entropy_of_a_row_of_zeros_is_that_of_the_smallest_share(on):
    loss, delta = on(losses.CrossEntropy(), np.zeros((1, 3)), np.eye(3)[[0]], np.ones(1))
    np.testing.assert_allclose(loss, -np.log(1e-7), rtol=1e-15)
    assert delta.tolist() == [[0, 0, 0]]
    assert not on(losses.CrossEntropy().hvp, np.zeros((1, 3)), np.eye(3)[[0]], np.ones((1, 3))).any()


def test_binary_cross_entropy_of_several_labels_is_the_sum_of_the_labels(on):
    # Labels 1 and 0, both told 1/2, and a third one told rightly with 3/4: 2 log 2 + log 4/3.
    y = np.array([[0.5, 0.5, 0.75]])
    t = np.array([[1.0, 0.0, 1.0]])
    loss, delta = on(losses.BinaryCrossEntropy(), y, t, np.ones(1))
    np.testing.assert_allclose(loss, 2 * np.log(2) + np.log(4 / 3), rtol=1e-14)
    np.testing.assert_allclose(delta, [[-2, 2, -4 / 3]], rtol=1e-14)


def test_binary_cross_entropy_outside_of_the_cut_is_flat(on):
    y = np.array([[0.0, 1.0, 1.5]])
    t = np.array([[1.0, 0.0, 1.0]])
    loss, delta = on(losses.BinaryCrossEntropy(), y, t, np.ones(1))
    np.testing.assert_allclose(loss, -2 * np.log(1e-7), rtol=1e-6)
    assert delta.tolist() == [[0, 0, 0]]
    assert not on(losses.BinaryCrossEntropy().hvp, y, t, np.ones((1, 3))).any()


def test_the_poisson_deviance_of_targets_below_0_has_the_delta_of_its_value(on):
    """They are no counts, but the doctor must not take the loss for the fault of a backward pass."""
    outputs, targets = np.array([[0.5, 2.0], [1.5, 0.1]]), np.array([[-1.0, 3.0], [0.0, -0.2]])
    weight, h = np.ones(2), 1e-6
    _, delta = on(losses.Poisson(), outputs, targets, weight)
    for place in np.ndindex(outputs.shape):
        moved = np.zeros_like(outputs)
        moved[place] = h
        up, down = (float(on(losses.Poisson(), outputs + sign * moved, targets, weight)[0]) for sign in (1, -1))
        assert (up - down) / (2 * h) == pytest.approx(float(delta[place]), rel=1e-6)


# Label smoothing ------------------------------------------------------------------------------------------------------

SMOOTH = [
    losses.CrossEntropy,
    losses.SoftmaxCrossEntropy,
    losses.BinaryCrossEntropy,
    losses.SigmoidBinaryCrossEntropy,
]


def test_a_smoothing_of_zero_leaves_every_bit(on):
    targets = np.random.default_rng(0).uniform(size=(4, 3))
    assert on(losses.smoothed, targets, np.array(0.0), np.array(3.0)).tolist() == targets.tolist()


def test_smoothed_classes_and_labels_by_hand(on):
    # 0.3 of 1 over 3 classes: 0.7 + 0.1 and 0.1 twice, against the shares (1/2, 1/4, 1/4).
    shares = np.array([[0.5, 0.25, 0.25]])
    one_hot = np.array([[1.0, 0.0, 0.0]])
    loss, _ = on(losses.CrossEntropy(0.3), shares, one_hot, np.ones(1))
    np.testing.assert_allclose(loss, (0.8 + 0.2 + 0.2) * np.log(2), rtol=1e-14)
    # A label of 1 becomes 0.8: at sigmoid(0) = 1/2 the delta is 1/2 - 0.8, for a single output too.
    _, delta = on(losses.SigmoidBinaryCrossEntropy(0.4), np.array([[0.0]]), np.array([[1.0]]), np.ones(1))
    np.testing.assert_allclose(delta, [[-0.3]], rtol=1e-14)


@pytest.mark.parametrize("cls", SMOOTH, ids=lambda cls: cls.kind)
@pytest.mark.parametrize("bad", [-0.1, 1.0, float("nan")])
def test_a_smoothing_outside_of_0_to_1_is_refused(cls, bad):
    with pytest.raises(InputError, match="label_smoothing"):
        cls(bad)


# Fused pairs ----------------------------------------------------------------------------------------------------------

PAIRS = [(Softmax(), losses.CrossEntropy()), (Sigmoid(), losses.BinaryCrossEntropy())]
SMOOTH_PAIRS = [(Softmax(), losses.CrossEntropy(0.2)), (Sigmoid(), losses.BinaryCrossEntropy(0.2))]
every_pair = pytest.mark.parametrize(("last", "loss"), PAIRS, ids=["softmax", "sigmoid"])


def loss_and_delta_at_the_logits(network, loss, z, t, w):
    outputs, _, caches = network.forward(((),), ((),), z, ForwardContext(training=True))
    value, delta = loss(outputs[-1], t, w)
    return value, network.layers[-1].backward((), caches[-1], delta)[0]


@pytest.mark.parametrize(
    ("last", "loss"), PAIRS + SMOOTH_PAIRS, ids=["softmax", "sigmoid", "smooth softmax", "smooth sigmoid"]
)
def test_a_fused_pair_is_the_pair(last, loss, on):
    network = Network((last,))
    rng = np.random.default_rng(0)
    z = rng.normal(size=(6, 3)) * 3
    t = np.eye(3)[rng.integers(3, size=6)]
    w = rng.uniform(size=6)
    plain = on(lambda *a: loss_and_delta_at_the_logits(network, loss, *a), z, t, w)
    together = on(lambda *a: loss_and_delta_at_the_logits(*fused(network, loss), *a), z, t, w)
    np.testing.assert_allclose(together[0], plain[0], rtol=1e-12)
    np.testing.assert_allclose(together[1], plain[1], rtol=1e-9, atol=1e-14)


@every_pair
def test_a_fused_pair_still_learns_at_extreme_logits(last, loss, on):
    z = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]])
    t = np.eye(2)[[1, 1]]
    value, delta = on(lambda *a: loss_and_delta_at_the_logits(*fused(Network((last,)), loss), *a), z, t, np.ones(2))
    np.testing.assert_allclose(value, 1000)
    assert delta.tolist() == [[0.5, -0.5], [0, 0]]


@every_loss
def test_a_loss_fuses_with_the_layer_of_the_table_alone(entry):
    assert entry.part.takes == entry.takes
    for layer in LAYERS:
        on_logits = entry.part.fused_with(layer.part)
        assert (on_logits is not None) == (layer.part == entry.fuses)
        assert on_logits is None or on_logits.takes == "logits"


def test_other_pairs_are_left_as_they_are():
    for last, loss in (
        (Softmax(), losses.BinaryCrossEntropy()),
        (Sigmoid(), losses.CrossEntropy()),
        (Sigmoid(), losses.SquaredError()),
    ):
        network = Network(("dense 2", last))
        assert fused(network, loss) == (network, loss)


@pytest.mark.parametrize(
    "part", [losses.MeanSquaredError(), losses.SoftmaxCrossEntropy(0.1), losses.SigmoidBinaryCrossEntropy()]
)
def test_the_loss_of_members_is_the_mean_of_theirs(part, on):
    rng = np.random.default_rng(0)
    y, direction = rng.normal(size=(2, 5, 6))
    t = np.eye(2)[rng.integers(2, size=5)]
    weight = np.array([1.0, 2.0, 0.0, 1.0, 0.5])
    together = losses.MemberLoss(3, part)
    own = [part(y[:, k : k + 2], t, weight) for k in (0, 2, 4)]
    value, delta = on(lambda y, t, w: together(y, t, w), y, t, weight)
    np.testing.assert_allclose(value, np.mean([loss for loss, _ in own]), rtol=1e-12)
    np.testing.assert_allclose(delta, np.hstack([slope for _, slope in own]) / 3, rtol=1e-12)
    bent = [part.hvp(y[:, k : k + 2], t, direction[:, k : k + 2]) / 3 for k in (0, 2, 4)]
    np.testing.assert_allclose(together.hvp(y, t, direction), np.hstack(bent), rtol=1e-12)
    shares = [part.probabilities(y[:, k : k + 2]) for k in (0, 2, 4)]
    np.testing.assert_allclose(together.probabilities(y), np.mean(shares, axis=0), rtol=1e-12)
    assert together.takes == part.takes


def test_classes_of_an_ensemble_are_one_hot_rows_of_one_member():
    y = np.zeros((2, 6))
    assert losses.as_targets(y, np.array([1, 0]), members=3).tolist() == [[0, 1], [1, 0]]
    assert losses.as_targets(y[:, :3], np.array([1, 0]), members=3).tolist() == [[1], [0]]
