"""One step of training: by hand, against PyTorch, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.initializers import Given
from thalweg.layers import Dense
from thalweg.losses import BinaryCrossEntropy, CrossEntropy, Huber, SoftmaxCrossEntropy, SquaredError
from thalweg.network import Network
from thalweg.optimizers import SGD, Adam
from thalweg.probes import ClassScores, ResidualScores
from thalweg.schedules import Cosine
from thalweg.step import Batch, Plan, State, batch_at, make_measure, make_step, predict


def state_of(plan: Plan, features: int, seed: int = 0) -> State:
    start = plan.network.initialize(seed, (features,))
    return State(start.params, start.states, plan.optimizer.init(start.params), np.array(0))


def batch_of(n: int, features: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return Batch(rng.normal(size=(n, features)), rng.integers(3, size=n), rng.uniform(0.5, 2, n))


CLASSES = Plan(Network(["dense 8", "relu", "dense 3", "softmax"]), CrossEntropy(), Adam(0.01), ClassScores())
REGRESSION = Plan(
    Network((Dense(1, init=Given(((1,),))),)), SquaredError(), SGD(0.1), ResidualScores(variance=(1.0,), unit=(1.0,))
)


def test_one_weight_by_hand(on):
    # w = 1, b = 0, x = 2, y = 4: prediction 2, loss (2-4)²/2 = 2, dL/dw = -2 * 2, dL/db = -2; w = 1 + 0.1 * 4.
    state = state_of(REGRESSION, 1)
    batch = Batch(np.array([[2.0]]), np.array([[4.0]]), np.ones(1))
    after, report = on(make_step(REGRESSION), state, batch)
    assert after.params[0].W.tolist() == [[pytest.approx(1.4, rel=1e-15)]]
    assert after.params[0].b.tolist() == [pytest.approx(0.2, rel=1e-15)]
    assert after.step == 1
    assert report.learning_rate == pytest.approx(0.1, rel=1e-15)
    assert report.scores.loss == 2
    assert report.scores.absolute.tolist() == [2]
    assert report.scores.square.tolist() == [4]
    network, (_, _, caches) = REGRESSION.network, REGRESSION.network.forward(state.params, state.layers, batch.x, None)
    assert network.backward(state.params, caches, np.array([[-2.0]]))[1][0].W.tolist() == [[-4]]
    assert network.backward(state.params, caches, np.array([[-2.0]]))[1][0].b.tolist() == [-2]


def test_the_textbooks_three_logits_by_hand(on):
    # z = (2, 1, 0.1), class 0: loss 0.417 and delta (-0.341, 0.242, 0.099); the bias moves by -eta delta.
    network = Network((Dense(3, init=Given(((2, 1, 0.1),))), "softmax"))
    plan = Plan(network, CrossEntropy(), SGD(1.0), ClassScores())
    state = state_of(plan, 1)
    batch = Batch(np.ones((1, 1)), np.array([0]), np.ones(1))
    after, report = on(make_step(plan), state, batch)
    assert round(float(report.scores.loss), 3) == 0.417
    assert report.scores.right == 1
    np.testing.assert_allclose(-after.params[0].b, [-0.341, 0.242, 0.099], atol=5e-4)
    adam = plan._replace(optimizer=Adam(0.001))
    after, _ = on(make_step(adam), state_of(adam, 1), batch)
    np.testing.assert_allclose(after.params[0].b, [0.001, -0.001, -0.001], rtol=1e-6)


def test_ten_steps_of_adam_are_pytorchs(on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    step, state = make_step(CLASSES), state_of(CLASSES, 4)
    tensors = [torch.tensor(a, requires_grad=True) for own in state.params for a in own]
    rule = torch.optim.Adam(tensors, lr=0.01)
    for index in range(10):
        batch = batch_of(16, 4, seed=index)
        state, report = on(step, state, batch)
        x, y, w = (torch.tensor(a) for a in batch)
        logits = torch.relu(x @ tensors[0] + tensors[1]) @ tensors[2] + tensors[3]
        loss = (w * torch.nn.functional.cross_entropy(logits, y, reduction="none")).sum() / w.sum()
        rule.zero_grad()
        loss.backward()
        rule.step()
        np.testing.assert_allclose(report.scores.loss, (loss * w.sum()).item(), rtol=1e-10)
    ours = [array for own in state.params for array in own]
    for mine, theirs in zip(ours, tensors, strict=True):
        np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("plan", [CLASSES, CLASSES._replace(network=Network(["dense 3", "softmax"]), loss=Huber())])
def test_padding_rows_change_nothing(plan, on):
    batch, state = batch_of(5, 4), state_of(plan, 4)
    extra = batch_of(3, 4, seed=9)
    padded = Batch(*(np.concatenate([a, b]) for a, b in zip(batch, extra._replace(weight=np.zeros(3)), strict=True)))
    plain, report = on(make_step(plan), state, batch)
    after, padded_report = on(make_step(plan), state, padded)
    for own, expected in zip(after.params, plain.params, strict=True):
        for a, b in zip(own, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
    for a, b in zip(padded_report.scores, report.scores, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_step_of_padding_alone_leaves_the_weights(on):
    batch, state = batch_of(4, 4)._replace(weight=np.zeros(4)), state_of(CLASSES, 4)
    after, report = on(make_step(CLASSES), state, batch)
    for own, before in zip(after.params, state.params, strict=True):
        for a, b in zip(own, before, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (report.scores.loss, report.scores.weight, report.scores.right) == (0, 0, 0)


def test_a_batch_is_gathered_by_rows_and_minus_one_is_padding(on):
    data = Batch(np.arange(8.0).reshape(4, 2), np.array([0, 1, 2, 3]), np.array([1.0, 2, 3, 4]))
    rows = np.array([[3, 1], [0, -1]])
    first, second = on(lambda data, rows: (batch_at(data, rows, 0), batch_at(data, rows, 1)), data, rows)
    assert (first.x.tolist(), first.y.tolist(), first.weight.tolist()) == ([[6, 7], [2, 3]], [3, 1], [4, 2])
    assert (second.x[0].tolist(), second.weight.tolist()) == ([0, 1], [1, 0])


def test_the_reported_rate_is_the_schedules(on):
    plan = CLASSES._replace(optimizer=SGD(Cosine(0.2, warmup=3, steps=10)))
    state = state_of(plan, 4)
    rates = []
    for _ in range(4):
        state, report = on(make_step(plan), state, batch_of(4, 4))
        rates.append(float(report.learning_rate))
    assert rates == pytest.approx([0.05, 0.1, 0.15, 0.2])


def test_the_rate_is_reported_also_when_the_loss_is_no_number():
    batch = Batch(np.array([[np.inf]]), np.array([[1.0]]), np.ones(1))
    with np.errstate(all="ignore"):
        _, report = make_step(REGRESSION)(state_of(REGRESSION, 1), batch)
    assert not np.isfinite(report.scores.loss)
    assert report.learning_rate == 0.1


@pytest.mark.parametrize("schedule", [0.1, Cosine(0.1, steps=10), "warm_restarts 0.1 0.0 4", "joined"], ids=str)
def test_float32_stays_float32_whatever_the_schedule(schedule):
    if schedule == "joined":
        schedule = {
            "kind": "joined",
            "schedules": ["constant 0.1", {"kind": "cosine", "peak": 0.1, "steps": 9}],
            "boundaries": [1],
        }
    plan = CLASSES._replace(optimizer=Adam(schedule))
    start = plan.network.initialize(0, (4,)).params
    params = tuple(type(own)(*(a.astype(np.float32) for a in own)) if own else own for own in start)
    batch = batch_of(4, 4)
    batch = Batch(batch.x.astype(np.float32), batch.y, batch.weight.astype(np.float32))
    state, report = make_step(plan)(State(params, ((),) * 4, plan.optimizer.init(params), np.array(0)), batch)
    assert {a.dtype for own in (*state.params, *state.moments.m) for a in own} == {np.dtype(np.float32)}
    assert report.scores.loss.dtype == np.float32


def test_measuring_does_not_learn_and_agrees_with_the_step(on):
    state, batch = state_of(CLASSES, 4), batch_of(6, 4)
    measured = on(make_measure(CLASSES), state, batch)
    _, report = on(make_step(CLASSES), state, batch)
    for a, b in zip(measured, report.scores, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_predictions_are_probabilities_for_logits_too(on):
    state, x = state_of(CLASSES, 4), batch_of(6, 4).x
    softmax = on(lambda p, x: predict(CLASSES.network, CrossEntropy(), p, state.layers, x), state.params, x)
    logits = Network(CLASSES.network.layers[:-1])
    same = on(lambda p, x: predict(logits, SoftmaxCrossEntropy(), p, state.layers[:-1], x), state.params[:-1], x)
    np.testing.assert_allclose(softmax, same, rtol=1e-14)
    np.testing.assert_allclose(softmax.sum(axis=1), 1, rtol=1e-14)


# Scores ---------------------------------------------------------------------------------------------------------------


def test_accuracy_counts_weights_and_is_scikit_learns(on):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    outputs, y, w = rng.normal(size=(20, 3)), rng.integers(3, size=20), rng.uniform(size=20)
    scores = ClassScores()
    summary = scores.summary(on(scores.tally, outputs, y, w, np.array(0.25)))
    expected = metrics.accuracy_score(y, outputs.argmax(1), sample_weight=w)
    assert summary == {"loss": pytest.approx(0.25), "accuracy": pytest.approx(expected)}


@pytest.mark.parametrize(("threshold", "loss"), [(0.5, BinaryCrossEntropy()), (0.0, None)])
def test_a_single_output_and_several_labels_say_yes_above_the_threshold(threshold, loss, on):
    scores = ClassScores(threshold=threshold)
    single = on(scores.tally, np.array([[0.6], [0.4], [-0.2]]), np.array([1, 1, 0]), np.ones(3), np.array(0.0))
    assert single.right == (2 if threshold == 0.5 else 3)
    labels = np.array([[1.0, 0.0], [1.0, 1.0]])
    several = on(scores.tally, np.array([[0.9, -0.1], [0.9, 0.3]]), labels, np.ones(2), np.array(0.0))
    assert several.right == (1 if threshold == 0.5 else 2)
    assert loss is None or loss.threshold == threshold


def test_r2_and_absolute_error_are_scikit_learns_over_batches(on):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y, t, w = rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), rng.uniform(size=20)
    mean = np.average(t, axis=0, weights=w)
    scores = ResidualScores(tuple(np.average((t - mean) ** 2, axis=0, weights=w)), (1.0, 1.0))
    halves = [on(scores.tally, y[s], t[s], w[s], np.array(0.5)) for s in (slice(0, 7), slice(7, 20))]
    summary = scores.summary(type(halves[0])(*(a + b for a, b in zip(*halves, strict=True))))
    assert summary["r2"] == pytest.approx(metrics.r2_score(t, y, sample_weight=w))
    assert summary["mean_absolute_error"] == pytest.approx(metrics.mean_absolute_error(t, y, sample_weight=w))
    assert summary["loss"] == pytest.approx(0.5)


def test_targets_in_one_row_are_one_output(on):
    scores = ResidualScores((1.0,), (1.0,))
    total = on(scores.tally, np.array([[1.0], [3.0]]), np.array([1.0, 1.0]), np.ones(2), np.array(0.0))
    assert total.absolute.tolist() == [2]
