"""XOR by two layers: the weights by hand, and trainings against the same ones made by `train` and by PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, failed, table_of
from scipy import stats

import thalweg
from thalweg.core.intervals import wilson
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.xor_relu import XorReLULesson
from thalweg.pages.blocks import Chart, Check
from thalweg.parts.layers import GELU, ReLU, Tanh

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)


def test_the_four_points_by_hand():
    z, h, y = XorReLULesson().solution().outputs
    assert z.tolist() == [[0, -1], [1, 0], [1, 0], [2, 1]]
    assert h.tolist() == [[0, 0], [1, 0], [1, 0], [2, 1]]
    assert y.tolist() == [[0], [1], [1], [0]]


def test_rows_of_v_are_inputs_and_columns_are_units():
    lesson = XorReLULesson(V=((1.0, 2.0), (3.0, 4.0)), c=(0.5, -10.0), w=(2.0, -1.0), b=0.25)
    # (1, 2): the units see 1 + 6 + 0.5 and 2 + 8 - 10.
    assert lesson.solution(np.array([[1.0, 2.0]])).outputs[-1].tolist() == [[2 * 7.5 - 0 + 0.25]]


@pytest.mark.parametrize("activation", [ReLU(), Tanh(), GELU()], ids=lambda part: part.kind)
def test_each_training_is_the_one_that_train_makes(activation):
    lesson = XorReLULesson(seeds=4, steps=60)
    outputs = lesson.final_outputs(activation, 3, rounds=2)
    for seed in range(4):
        for index, epochs in enumerate((60, 120)):
            run = thalweg.train(
                ["dense 3", activation, "dense 1"],
                "xor",
                loss="squared_error",
                optimizer="adam 0.05",
                epochs=epochs,
                batch_size="full",
                seed=seed,
                engine="eager",
                progress=False,
            )
            np.testing.assert_allclose(outputs[index, seed], run.predict_outputs(X)[:, 0], atol=2e-4)


def test_a_training_in_pytorch_ends_at_the_same_outputs():
    torch = pytest.importorskip("torch")
    start = thalweg.Network(["dense 2", "relu", "dense 1"]).initialize(5, (2,)).params
    V, c, w, b = (
        torch.tensor(array, dtype=torch.float64, requires_grad=True)
        for array in (start[0].W, start[0].b, start[2].W, start[2].b)
    )
    optimizer = torch.optim.Adam([V, c, w, b], lr=0.05)
    x = torch.tensor(X)
    for _ in range(100):
        optimizer.zero_grad()
        ((torch.relu(x @ V + c) @ w + b - torch.tensor([[0.0], [1], [1], [0]])) ** 2 / 2).mean().backward()
        optimizer.step()
    outputs = (torch.relu(x @ V + c) @ w + b).detach().numpy()[:, 0]
    np.testing.assert_allclose(XorReLULesson(seeds=6, steps=100).final_outputs(ReLU(), 2)[0, 5], outputs, atol=1e-4)


@pytest.mark.parametrize(("right", "trials"), [(0, 10), (3, 10), (16, 100), (100, 100)])
def test_the_interval_is_that_of_scipy(right, trials):
    expected = stats.binomtest(right, trials).proportion_ci(0.95, method="wilson")
    assert wilson(right, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.fixture(scope="module")
def quick():
    return lesson_of("xor-relu", quick=True).page()


def test_the_checks_of_the_quick_form_hold(quick):
    assert not failed(quick)
    assert len(blocks_of(quick, Chart)) == 3


def test_the_table_counts_the_final_outputs(quick):
    rows = table_of(quick, "end right").rows
    lesson = lesson_of("xor-relu", quick=True)
    for name, width, right, trials, *_ in rows[:2]:
        assert name == "relu"
        outputs = lesson.final_outputs(ReLU(), width)[0]
        assert right == sum((row > 0.5).tolist() == [False, True, True, False] for row in outputs)
        assert trials == 40


def test_a_lesson_without_relu_and_one_where_nothing_fails():
    short = XorReLULesson(seeds=3, widths=(4,), activations=("tanh",), steps=300).page()
    assert not any("ReLU units" in check.says for check in blocks_of(short, Check))
    wide = XorReLULesson(seeds=2, widths=(64,), activations=("relu",), steps=300).page()
    assert table_of(wide, "that fail").rows == []


@pytest.mark.slow
def test_the_checks_hold_at_full_size():
    assert not failed(XorReLULesson().page())
