"""XOR by two layers: the weights by hand, and trainings against the same ones made by `train` and by PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import thalweg
from thalweg.core.intervals import wilson
from thalweg.learn.lessons.xor_relu import XorReLULesson
from thalweg.pages.blocks import Chart, Check, Table
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
    found = lesson.endings(activation, 3, turns=2)
    for seed in range(4):
        for turn, epochs in enumerate((60, 120)):
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
            np.testing.assert_allclose(found[turn, seed], run.predict_outputs(X)[:, 0], atol=2e-4)


def test_a_training_in_pytorch_ends_at_the_same_outputs():
    torch = pytest.importorskip("torch")
    start = thalweg.Network(["dense 2", "relu", "dense 1"]).initialize(5, (2,)).params
    V, c, w, b = (
        torch.tensor(array, dtype=torch.float64, requires_grad=True)
        for array in (start[0].W, start[0].b, start[2].W, start[2].b)
    )
    rule, x = torch.optim.Adam([V, c, w, b], lr=0.05), torch.tensor(X)
    for _ in range(100):
        rule.zero_grad()
        ((torch.relu(x @ V + c) @ w + b - torch.tensor([[0.0], [1], [1], [0]])) ** 2 / 2).mean().backward()
        rule.step()
    outputs = (torch.relu(x @ V + c) @ w + b).detach().numpy()[:, 0]
    np.testing.assert_allclose(XorReLULesson(seeds=6, steps=100).endings(ReLU(), 2)[0, 5], outputs, atol=1e-4)


@pytest.mark.parametrize(("right", "trials"), [(0, 10), (3, 10), (16, 100), (100, 100)])
def test_the_interval_is_that_of_scipy(right, trials):
    wanted = stats.binomtest(right, trials).proportion_ci(0.95, method="wilson")
    assert wilson(right, trials) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


@pytest.fixture(scope="module")
def quick():
    return XorReLULesson().in_short().page().blocks


def test_the_quick_form_holds_what_it_claims(quick):
    assert all(block.holds for block in quick if isinstance(block, Check))
    assert sum(isinstance(block, Chart) for block in quick) == 3


def test_the_table_counts_what_the_endings_show(quick):
    rows = next(block.rows for block in quick if isinstance(block, Table) and "end right" in block.caption)
    lesson = XorReLULesson().in_short()
    for name, width, right, trials, *_ in rows[:2]:
        assert name == "relu"
        outputs = lesson.endings(ReLU(), width)[0]
        assert right == sum((row > 0.5).tolist() == [False, True, True, False] for row in outputs)
        assert trials == 40


def test_a_lesson_without_relu_and_one_where_nothing_fails():
    short = XorReLULesson(seeds=3, widths=(4,), activations=("tanh",), steps=300).page().blocks
    assert not any("ReLU units" in getattr(block, "says", "") for block in short)
    wide = XorReLULesson(seeds=2, widths=(64,), activations=("relu",), steps=300).page().blocks
    assert next(block.rows for block in wide if isinstance(block, Table) and "that fail" in block.caption) == []


@pytest.mark.slow
def test_all_claims_hold_at_full_size():
    assert all(block.holds for block in XorReLULesson().page().blocks if isinstance(block, Check))
