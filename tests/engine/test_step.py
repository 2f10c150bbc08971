"""One step of training: by hand, against PyTorch, and what it must leave alone."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from thalweg.core.arrays import arrays_of, map_arrays
from thalweg.core.noise import noise_key
from thalweg.engine.engine import make_engine
from thalweg.engine.step import Batch, Plan, State, batch_at, inference_state, make_step, make_trace, measure, predict
from thalweg.models.network import Network
from thalweg.parts.clipping import ClipGlobalNorm
from thalweg.parts.initializers import Given
from thalweg.parts.layers import Dense
from thalweg.parts.losses import BinaryCrossEntropy, CrossEntropy, Huber, SoftmaxCrossEntropy, SquaredError
from thalweg.parts.optimizers import SGD, Adam, Momentum
from thalweg.parts.part import ForwardContext
from thalweg.parts.regularization import Regularization
from thalweg.parts.schedules import Cosine
from thalweg.parts.task_metrics import BalancedMetric, ClassificationMetric, RegressionMetric


def state_of(plan: Plan, features: int, seed: int = 0) -> State:
    start = plan.network.initialize(seed, (features,))
    return State(start.params, start.states, plan.optimizer.init(start.params), np.array(0), noise_key(0))


def batch_of(n: int, features: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return Batch(rng.normal(size=(n, features)), rng.integers(3, size=n), rng.uniform(0.5, 2, n))


NETWORK = Network(["dense 8", "relu", "dense 3", "softmax"])
CLASSES = Plan(NETWORK, CrossEntropy(), Adam(0.01), ClassificationMetric())
REGRESSION = Plan(
    Network((Dense(1, init=Given(((1,),))),)), SquaredError(), SGD(0.1), RegressionMetric(variance=(1.0,), unit=(1.0,))
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
    assert report.sums.loss == 2
    assert report.sums.absolute.tolist() == [2]
    assert report.sums.square.tolist() == [4]
    network = REGRESSION.network
    caches = network.forward(state.params, state.layers, batch.x, ForwardContext(training=True)).caches
    assert network.backward(state.params, caches, np.array([[-2.0]]))[1][0].W.tolist() == [[-4]]
    assert network.backward(state.params, caches, np.array([[-2.0]]))[1][0].b.tolist() == [-2]


def test_the_textbooks_three_logits_by_hand(on):
    # z = (2, 1, 0.1), class 0: loss 0.417 and delta (-0.341, 0.242, 0.099); the bias moves by -eta delta.
    network = Network((Dense(3, init=Given(((2, 1, 0.1),))), "softmax"))
    plan = Plan(network, CrossEntropy(), SGD(1.0), ClassificationMetric())
    state = state_of(plan, 1)
    batch = Batch(np.ones((1, 1)), np.array([0]), np.ones(1))
    after, report = on(make_step(plan), state, batch)
    assert round(float(report.sums.loss), 3) == 0.417
    assert report.sums.right == 1
    np.testing.assert_allclose(-after.params[0].b, [-0.341, 0.242, 0.099], atol=5e-4)
    adam = dataclasses.replace(plan, optimizer=Adam(0.001))
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
        np.testing.assert_allclose(report.sums.loss, (loss * w.sum()).item(), rtol=1e-10)
    ours = [array for own in state.params for array in own]
    for mine, theirs in zip(ours, tensors, strict=True):
        np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "plan", [CLASSES, dataclasses.replace(CLASSES, network=Network(["dense 3", "softmax"]), loss=Huber())]
)
def test_padding_rows_change_nothing(plan, on):
    batch, state = batch_of(5, 4), state_of(plan, 4)
    extra = batch_of(3, 4, seed=9)
    padded = Batch(*(np.concatenate([a, b]) for a, b in zip(batch, extra._replace(weight=np.zeros(3)), strict=True)))
    plain, report = on(make_step(plan), state, batch)
    after, padded_report = on(make_step(plan), state, padded)
    for own, expected in zip(after.params, plain.params, strict=True):
        for a, b in zip(own, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
    for a, b in zip(padded_report.sums, report.sums, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_step_of_padding_alone_leaves_the_weights(on):
    batch, state = batch_of(4, 4)._replace(weight=np.zeros(4)), state_of(CLASSES, 4)
    after, report = on(make_step(CLASSES), state, batch)
    for own, before in zip(after.params, state.params, strict=True):
        for a, b in zip(own, before, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (report.sums.loss, report.sums.weight, report.sums.right) == (0, 0, 0)


def test_a_batch_is_gathered_by_rows_and_minus_one_is_padding(on):
    data = Batch(np.arange(8.0).reshape(4, 2), np.array([0, 1, 2, 3]), np.array([1.0, 2, 3, 4]))
    rows = np.array([[3, 1], [0, -1]])
    first, second = on(lambda data, rows: (batch_at(data, rows, 0), batch_at(data, rows, 1)), data, rows)
    assert (first.x.tolist(), first.y.tolist(), first.weight.tolist()) == ([[6, 7], [2, 3]], [3, 1], [4, 2])
    assert (second.x[0].tolist(), second.weight.tolist()) == ([0, 1], [1, 0])


def test_the_reported_rate_is_the_schedules(on):
    plan = dataclasses.replace(CLASSES, optimizer=SGD(Cosine(0.2, warmup=3, steps=10)))
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
    assert not np.isfinite(report.sums.loss)
    assert report.learning_rate == 0.1


@pytest.mark.parametrize("schedule", [0.1, Cosine(0.1, steps=10), "warm_restarts 0.1 0.0 4", "joined"], ids=str)
def test_float32_stays_float32_whatever_the_schedule(schedule):
    if schedule == "joined":
        schedule = {
            "kind": "joined",
            "schedules": ["constant 0.1", {"kind": "cosine", "peak": 0.1, "steps": 9}],
            "boundaries": [1],
        }
    plan = dataclasses.replace(CLASSES, optimizer=Adam(schedule))
    start = plan.network.initialize(0, (4,)).params
    params = tuple(type(own)(*(a.astype(np.float32) for a in own)) if own else own for own in start)
    batch = batch_of(4, 4)
    batch = Batch(batch.x.astype(np.float32), batch.y, batch.weight.astype(np.float32))
    state, report = make_step(plan)(
        State(params, ((),) * 4, plan.optimizer.init(params), np.array(0), noise_key(0)), batch
    )
    assert {a.dtype for own in (*state.params, *state.moments.m) for a in own} == {np.dtype(np.float32)}
    assert report.sums.loss.dtype == np.float32


def test_measuring_does_not_learn_and_agrees_with_the_step(on):
    state, batch = state_of(CLASSES, 4), batch_of(6, 4)
    measured = on(functools.partial(measure, CLASSES), state, batch)
    _, report = on(make_step(CLASSES), state, batch)
    for a, b in zip(measured, report.sums, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_predictions_are_probabilities_for_logits_too(on):
    state, x = state_of(CLASSES, 4), batch_of(6, 4).x
    softmax = on(lambda p, x: predict(NETWORK, CrossEntropy(), p, state.layers, x), state.params, x)
    logits = Network(NETWORK.layers[:-1])
    same = on(lambda p, x: predict(logits, SoftmaxCrossEntropy(), p, state.layers[:-1], x), state.params[:-1], x)
    np.testing.assert_allclose(softmax, same, rtol=1e-14)
    np.testing.assert_allclose(softmax.sum(axis=1), 1, rtol=1e-14)


# What the training adds to a step -------------------------------------------------------------------------------------


def more(**options) -> Plan:
    return dataclasses.replace(CLASSES, **options)


def assert_close(tree, other, rtol=1e-12, atol=1e-14):
    for (place, a), (_, b) in zip(arrays_of(tree), arrays_of(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=place)


@pytest.mark.parametrize(("count", "padding"), [(2, 0), (3, 5)])
def test_the_pieces_of_a_batch_add_up_to_the_whole(count, padding, on):
    batch = batch_of(12, 4)
    batch = batch._replace(weight=np.where(np.arange(12) < 12 - padding, batch.weight, 0))
    whole, pieces = more(optimizer=SGD(0.1)), more(optimizer=SGD(0.1), accumulate=count)
    state = state_of(whole, 4)
    (expected, trace), (found, by_pieces) = on(make_trace(whole), state, batch), on(make_trace(pieces), state, batch)
    assert_close(found.params, expected.params)
    for name in ("loss", "outputs", "deltas", "grads", "updates"):
        assert_close(getattr(by_pieces, name), getattr(trace, name))
    assert_close(on(make_step(pieces), state, batch)[1].sums, on(make_step(whole), state, batch)[1].sums)


def test_every_piece_has_noise_of_its_own(on):
    plan = more(network=Network(["dropout 0.5", "dense 3", "softmax"]), accumulate=2)
    row = np.ones((1, 40))
    _, trace = on(make_trace(plan), state_of(plan, 40), Batch(np.repeat(row, 2, axis=0), np.zeros(2, int), np.ones(2)))
    first, second = trace.outputs[0]
    assert set(np.unique(trace.outputs[0])) == {0.0, 2.0}
    assert (first != second).any()


def test_the_running_statistics_go_through_the_pieces_one_after_another(on):
    network = Network(["batch_norm", "dense 3", "softmax"])
    whole, pieces = more(network=network), more(network=network, accumulate=3)
    state, batch = state_of(whole, 4), batch_of(12, 4)
    after, _ = on(make_step(pieces), state, batch)
    expected = state
    for start in range(0, 12, 4):
        expected, _ = on(make_step(whole), expected, Batch(*(array[start : start + 4] for array in batch)))
    assert_close(after.layers, expected.layers)


def test_the_average_is_the_formula_and_it_answers(on):
    plan = more(average=0.3)
    state = state_of(plan, 4)
    state = state._replace(average=state.params)
    by_hand = state.params
    for t in range(6):
        state, _ = on(make_step(plan), state, batch_of(8, 4, seed=t))
        # (1+t)/(10+t) is 0.1, 0.18, 0.25, 0.308, ...: above the 0.3 asked for from t = 3 on.
        d = min(0.3, (1 + t) / (10 + t))
        by_hand = map_arrays(lambda a, p, d=d: d * a + (1 - d) * p, by_hand, state.params)
    assert_close(state.average, by_hand)
    assert np.abs(state.average[0].W - state.params[0].W).max() > 1e-4
    batch = batch_of(8, 4)
    averaged = state._replace(params=by_hand, average=())
    assert_close(
        on(functools.partial(measure, plan), state, batch), on(functools.partial(measure, CLASSES), averaged, batch)
    )
    assert_close(inference_state(state).params, by_hand)
    assert (inference_state(state).moments, inference_state(state).average) == ((), ())


def test_clipping_acts_and_is_told(on):
    state, batch = state_of(CLASSES, 4), batch_of(8, 4)
    _, plain = on(make_trace(more(optimizer=SGD(0.1))), state, batch)
    norm = np.sqrt(sum((array**2).sum() for _, array in arrays_of(plain.grads)))
    for share, acted in ((0.5, 1), (2.0, 0)):
        plan = more(optimizer=SGD(0.1), clip=ClipGlobalNorm(float(share * norm)))
        _, trace = on(make_trace(plan), state, batch)
        assert trace.clipped == acted
        assert_close(trace.updates, map_arrays(lambda g, share=share: -0.1 * min(share, 1) * g, plain.grads))
        assert_close(trace.grads, plain.grads)
        assert on(make_step(plan), state, batch)[1].clipped == acted
    assert plain.clipped == ()


@pytest.mark.parametrize(
    "part", [Regularization(l1=0.1), Regularization(l2=0.3), Regularization(0.1, 0.3, biases=True)]
)
def test_a_penalty_acts_as_if_it_stood_in_the_loss(part, on):
    plan = more(optimizer=SGD(1.0), regularization=part)
    state, batch = state_of(plan, 4), batch_of(8, 4)
    state = state._replace(params=map_arrays(lambda p: p + 0.05, state.params))
    after, report = on(make_step(plan), state, batch)
    arrays = [array for _, array in arrays_of(state.params)]

    def total(arrays) -> float:
        left = iter(arrays)
        params = map_arrays(lambda _: next(left), state.params)
        value = measure(CLASSES, state._replace(params=params), batch).loss
        weights = [array for array in arrays if part.biases or array.ndim > 1]
        l1, l2 = part.l1 or 0, part.l2 or 0
        return value / batch.weight.sum() + sum(l1 * np.abs(w).sum() + l2 / 2 * (w * w).sum() for w in weights)

    for place, (array, (_, new)) in enumerate(zip(arrays, arrays_of(after.params), strict=True)):
        for index in np.ndindex(array.shape):
            nudged = [[a.copy() for a in arrays] for _ in range(2)]
            nudged[0][place][index] += 1e-6
            nudged[1][place][index] -= 1e-6
            slope = (total(nudged[0]) - total(nudged[1])) / 2e-6
            assert array[index] - new[index] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert report.penalty == pytest.approx(total(arrays) - report.sums.loss / report.sums.weight)


def test_weight_decay_stands_beside_the_gradient_and_leaves_biases(on):
    state, batch = state_of(CLASSES, 4), batch_of(8, 4)
    for optimizer in (SGD(0.1), Adam(0.1)):
        plain, decayed = (
            more(optimizer=optimizer),
            more(optimizer=optimizer, regularization=Regularization(weight_decay=0.5)),
        )
        state = state_of(plain, 4)._replace(params=map_arrays(lambda p: p + 0.1, state.params))
        (without, _), (found, _) = on(make_step(plain), state, batch), on(make_step(decayed), state, batch)
        for old, one, other in zip(state.params, found.params, without.params, strict=True):
            if old:
                np.testing.assert_allclose(one.W, other.W - 0.1 * 0.5 * old.W, rtol=1e-12)
                np.testing.assert_array_equal(one.b, other.b)


def test_max_norm_holds_after_every_step(on):
    plan = more(optimizer=SGD(2.0), regularization=Regularization(max_norm=0.8))
    state, reached = state_of(plan, 4), 0
    for index in range(5):
        before = state.params
        state, trace = on(make_trace(plan), state, batch_of(8, 4, seed=index))
        norms = np.concatenate([np.linalg.norm(state.params[layer].W, axis=0) for layer in (0, 2)])
        assert norms.max() <= 0.8 * (1 + 1e-12)
        reached += (norms > 0.8 * (1 - 1e-9)).sum()
        # The update is the one that was made.
        assert_close(map_arrays(lambda p, u: p + u, before, trace.updates), state.params)
    assert reached > 0


@pytest.mark.parametrize(
    ("layers", "loss", "smoothed"),
    [
        (["dense 3", "softmax"], CrossEntropy(label_smoothing=0.3), [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]),
        (["dense 1", "sigmoid"], BinaryCrossEntropy(label_smoothing=0.3), [[0.15], [0.85]]),
    ],
    ids=["softmax", "sigmoid"],
)
def test_smoothed_labels_reach_the_fused_pair(layers, loss, smoothed, on):
    plan = more(network=Network(layers), loss=loss)
    labels = np.array([0, 2]) if len(smoothed[0]) == 3 else np.array([0, 1])
    batch = Batch(batch_of(2, 4).x, labels, np.array([1.0, 3.0]))
    state = state_of(plan, 4)
    _, trace = on(make_trace(plan), state, batch)
    y = predict(plan.network, plan.loss, state.params, state.layers, batch.x)
    np.testing.assert_allclose(trace.deltas[-1], (y - smoothed) * np.array([[0.25], [0.75]]), rtol=1e-12)
    t = np.array(smoothed)
    each = -(t * np.log(y)).sum(axis=1) if len(t[0]) == 3 else -(t * np.log(y) + (1 - t) * np.log(1 - y))[:, 0]
    assert trace.loss == pytest.approx((each * [0.25, 0.75]).sum(), rel=1e-12)


def test_both_engines_agree_with_all_of_it_at_once():
    residual = {"kind": "residual", "layers": ["dense 6", "tanh", "dropout 0.2"]}
    layers = ["gaussian_noise 0.1", "dense 6", "batch_norm", "relu", residual, "dense 3", "softmax"]
    plan = Plan(
        Network(layers),
        CrossEntropy(label_smoothing=0.1),
        Momentum(Cosine(0.2, steps=30), 0.8),
        ClassificationMetric(),
        Regularization(l1=1e-3, l2=1e-2, weight_decay=1e-2, max_norm=1.5),
        clip=ClipGlobalNorm(0.5),
        average=0.9,
        accumulate=2,
    )
    start, batch = state_of(plan, 4), batch_of(50, 4)
    rows = np.random.default_rng(0).integers(-1, 50, size=(30, 12))
    ends = []
    for name in ("eager", "compiled"):
        engine = make_engine(name, "float64")
        state = engine.place(start._replace(average=start.params))
        state, report = engine.run(plan, state, engine.place(batch), rows, 0, 30)
        ends.append((engine.fetch(state), engine.fetch(report)))
    assert 0 < ends[0][1].clipped.sum() < 30
    assert_close(ends[0], ends[1], rtol=1e-7, atol=1e-10)


# Scores ---------------------------------------------------------------------------------------------------------------


def test_accuracy_counts_weights_and_is_scikit_learns(on):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    outputs, y, w = rng.normal(size=(20, 3)), rng.integers(3, size=20), rng.uniform(size=20)
    scores = ClassificationMetric()
    summary = scores.compute(on(scores.update, outputs, y, w, np.array(0.25)))
    expected = metrics.accuracy_score(y, outputs.argmax(1), sample_weight=w)
    assert summary == {"loss": pytest.approx(0.25), "accuracy": pytest.approx(expected)}


@pytest.mark.parametrize("width", [1, 4])
def test_balanced_accuracy_is_scikit_learns_over_batches_and_of_several_labels_the_mean(width, on):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(width)
    # Of four classes the last one has no rows.
    outputs, w = rng.normal(size=(40, width)), rng.uniform(size=40)
    y = (rng.random(40) < 0.2).astype(int) if width == 1 else rng.choice(3, size=40, p=[0.8, 0.15, 0.05])
    predicted = (outputs[:, 0] > 0.5).astype(int) if width == 1 else outputs[:, :3].argmax(axis=1)
    outputs[:, 3:] = outputs.min()
    scores = BalancedMetric()
    halves = [on(scores.update, outputs[s], y[s], w[s], np.array(0.5)) for s in (slice(0, 15), slice(15, 40))]
    summary = scores.compute(type(halves[0])(*(a + b for a, b in zip(*halves, strict=True))))
    assert summary["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, predicted, sample_weight=w))
    assert summary["accuracy"] == pytest.approx(metrics.accuracy_score(y, predicted, sample_weight=w))
    if width > 1:
        labels = (rng.random((40, width)) < 0.3).astype(float)
        total = on(scores.update, outputs, labels, w, np.array(0.5))
        one_by_one = [
            metrics.balanced_accuracy_score(labels[:, label], outputs[:, label] > 0.5, sample_weight=w)
            for label in range(width)
        ]
        assert scores.compute(total)["balanced_accuracy"] == pytest.approx(np.mean(one_by_one))


@pytest.mark.parametrize(("threshold", "loss"), [(0.5, BinaryCrossEntropy()), (0.0, None)])
def test_a_single_output_and_several_labels_say_yes_above_the_threshold(threshold, loss, on):
    scores = ClassificationMetric(threshold=threshold)
    single = on(scores.update, np.array([[0.6], [0.4], [-0.2]]), np.array([1, 1, 0]), np.ones(3), np.array(0.0))
    assert single.right == (2 if threshold == 0.5 else 3)
    labels = np.array([[1.0, 0.0], [1.0, 1.0]])
    several = on(scores.update, np.array([[0.9, -0.1], [0.9, 0.3]]), labels, np.ones(2), np.array(0.0))
    assert several.right == (1 if threshold == 0.5 else 2)
    assert loss is None or loss.threshold == threshold


def test_r2_and_absolute_error_are_scikit_learns_over_batches(on):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y, t, w = rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), rng.uniform(size=20)
    mean = np.average(t, axis=0, weights=w)
    scores = RegressionMetric(tuple(np.average((t - mean) ** 2, axis=0, weights=w)), (1.0, 1.0))
    halves = [on(scores.update, y[s], t[s], w[s], np.array(0.5)) for s in (slice(0, 7), slice(7, 20))]
    summary = scores.compute(type(halves[0])(*(a + b for a, b in zip(*halves, strict=True))))
    assert summary["r2"] == pytest.approx(metrics.r2_score(t, y, sample_weight=w))
    assert summary["mean_absolute_error"] == pytest.approx(metrics.mean_absolute_error(t, y, sample_weight=w))
    assert summary["loss"] == pytest.approx(0.5)


def test_targets_in_one_row_are_one_output(on):
    scores = RegressionMetric((1.0,), (1.0,))
    total = on(scores.update, np.array([[1.0], [3.0]]), np.array([1.0, 1.0]), np.ones(2), np.array(0.0))
    assert total.absolute.tolist() == [2]


# Parameters that are held -------------------------------------------------------------------------------------------


HELD = Network(
    [
        {"kind": "dense", "width": 5, "trainable": ["W"], "bias_init": {"kind": "constant", "value": 0.3}},
        {"kind": "layer_norm", "trainable": ["beta"]},
        "tanh",
        {"kind": "dense", "width": 4, "bias": False},
        "tanh",
        {"kind": "residual", "layers": ["dense 4", "tanh"], "trainable": False},
        {"kind": "dense", "width": 3, "trainable": False},
    ]
)
LEARNING = ["0.W", "1.beta", "3.W"]


def test_parameters_that_are_held_are_pytorchs_without_requires_grad(on):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    plan = Plan(
        HELD,
        SoftmaxCrossEntropy(),
        Adam(0.05),
        ClassificationMetric(),
        Regularization(l2=0.1, biases=True),
        ClipGlobalNorm(0.5),
    )
    state = plan.start(0, 4)
    twin = {
        name: torch.tensor(array, dtype=torch.float64, requires_grad=name in LEARNING)
        for name, array in arrays_of(state.params)
    }
    rule = torch.optim.Adam([twin[name] for name in LEARNING], lr=0.05, eps=1e-8)
    step = make_trace(plan)
    for number in range(8):
        batch = batch_of(6, 4, number)
        state, trace = on(step, state, batch)
        h = torch.tensor(batch.x) @ twin["0.W"] + twin["0.b"]
        h = torch.tanh(torch.nn.functional.layer_norm(h, (5,), twin["1.gamma"], twin["1.beta"]))
        h = torch.tanh(h @ twin["3.W"])
        h = h + torch.tanh(h @ twin["5.layers.0.W"] + twin["5.layers.0.b"])
        z = h @ twin["6.W"] + twin["6.b"]
        losses = torch.nn.functional.cross_entropy(z, torch.tensor(batch.y), reduction="none")
        weight = torch.tensor(batch.weight)
        rule.zero_grad()
        objective = (weight * losses).sum() / weight.sum() + 0.05 * sum((twin[name] ** 2).sum() for name in LEARNING)
        objective.backward()
        torch.nn.utils.clip_grad_norm_([twin[name] for name in LEARNING], 0.5)
        rule.step()
        assert [name for name, _ in arrays_of(trace.grads)] == LEARNING
        assert [name for name, _ in arrays_of(trace.updates)] == LEARNING
    for name, array in arrays_of(state.params):
        np.testing.assert_allclose(array, twin[name].detach().numpy(), rtol=1e-6, err_msg=name)
    start = dict(arrays_of(plan.start(0, 4).params))
    moved = [name for name, array in arrays_of(state.params) if not np.array_equal(array, start[name])]
    assert moved == LEARNING


def test_a_held_parameter_has_no_moments():
    moments = Plan(HELD, SoftmaxCrossEntropy(), Adam(0.05), ClassificationMetric()).start(0, 4).moments
    assert [name for name, _ in arrays_of(moments)] == [f"{m}.{name}" for m in moments._fields for name in LEARNING]


def test_mazurs_worked_example_with_biases_that_are_held():
    # https://mattmazur.com/2015/03/17/a-step-by-step-backpropagation-example/
    def dense(weights: list[list[float]], bias: float) -> dict[str, object]:
        init = {"kind": "given", "values": weights}
        return {"kind": "dense", "width": 2, "init": init, "bias_init": {"kind": "constant", "value": bias}}

    hidden = dense([[0.15, 0.25], [0.20, 0.30]], 0.35)
    output = dense([[0.40, 0.50], [0.45, 0.55]], 0.60)
    network = Network([hidden | {"trainable": ["W"]}, "sigmoid", output | {"trainable": ["W"]}, "sigmoid"])
    plan = Plan(network, SquaredError(), SGD(0.5), RegressionMetric(variance=(1.0, 1.0), unit=(1.0, 1.0)))
    batch = Batch(np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]]), np.ones(1))
    engine = make_engine("eager", "float64")
    state, metrics = engine.run(plan, plan.start(0, 2), batch, np.zeros((10001, 1), int), 0, 10001)
    losses = metrics.sums.loss
    assert f"{losses[0]:.9f}" == "0.298371109"
    # The page prints 0.291027924, which is the loss where delta passes through the weights after their update; the
    # weights that it prints, and its loss in the 10000th step, are those of back-propagation.
    assert f"{losses[1]:.9f}" == "0.291027774"
    assert f"{losses[9999]:.10f}" == "0.0000351085"
    assert [params.b.tolist() for params in state.params[::2]] == [[0.35, 0.35], [0.6, 0.6]]
    once = engine.run(plan, plan.start(0, 2), batch, np.zeros((1, 1), int), 0, 1)[0]
    printed = (
        [[0.149780716, 0.24975114], [0.19956143, 0.29950229]],
        [[0.35891648, 0.51130127], [0.408666186, 0.561370121]],
    )
    np.testing.assert_allclose([params.W for params in once.params[::2]], printed, atol=5e-9)
