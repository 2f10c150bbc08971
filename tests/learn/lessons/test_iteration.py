"""The iteration, against PyTorch, and by what must hold for every batch."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, failed, table_of
from torch_twin import Twin

from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.learn.lessons.iteration import IterationLesson
from thalweg.pages.blocks import ArrayBlock, Check


def arrays(tree):
    return [array for _, array in arrays_of(tree)]


@pytest.mark.parametrize(
    "lesson",
    [IterationLesson(), IterationLesson(step=7, batch_size=5, seed=3), IterationLesson(step=45)],
    ids=["first", "seventh", "short"],
)
def test_every_number_of_the_step_is_pytorchs(lesson):
    step = lesson.compute_step()
    assert step.trace.batch.weight.all()
    twin = Twin(step.plan.network, step.before.params)
    loss = twin.survey(step.trace.batch)
    assert float(step.trace.loss) == pytest.approx(loss, rel=1e-12)
    for ours, theirs in zip(step.trace.deltas[:3], twin.deltas, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)
    for ours, theirs in zip(arrays(step.trace.grads), twin.grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)


def test_seven_updates_end_where_pytorchs_adam_does():
    steps = [IterationLesson(step=number).compute_step() for number in range(1, 8)]
    twin = Twin(steps[0].plan.network, steps[0].before.params)
    optimizer = twin.torch.optim.Adam(twin.weights, lr=IterationLesson().learning_rate)
    for step in steps:
        twin.survey(step.trace.batch)
        optimizer.step()
        for ours, theirs in zip(arrays(step.after.params), twin.values, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def test_the_page_shows_the_numbers_of_the_step():
    step = IterationLesson().compute_step()
    page = IterationLesson().page()
    arrays_shown = {block.name: block.values for block in blocks_of(page, ArrayBlock)}
    np.testing.assert_array_equal(arrays_shown["δ1"], step.trace.deltas[0])
    np.testing.assert_array_equal(arrays_shown["b2 after the step"], step.after.params[2].b)
    # All biases start at 0, so that one step is all that b2 holds.
    np.testing.assert_array_equal(arrays_shown["b2 after the step"], arrays_shown["Δb2"])
    np.testing.assert_allclose(arrays_shown["p"].sum(axis=1), 1, atol=1e-12)
    for row in table_of(page, "Root mean squares").rows:
        name, _, g, m, v, m_hat, v_hat, _ = row
        # From zero, m is a tenth of the gradient and v a thousandth of its square; the corrections undo just that.
        assert (m, m_hat) == (pytest.approx(0.1 * g), pytest.approx(g)), name
        assert v_hat == pytest.approx(1000 * v), name


def test_the_checks_hold_with_other_parameters():
    for lesson in (
        IterationLesson(),
        IterationLesson(step=30),
        IterationLesson(batch_size=4, hidden=7),
        IterationLesson(data="iris"),
        IterationLesson(step=45),
    ):
        page = lesson.page()
        assert len(blocks_of(page, Check)) >= 6
        assert not failed(page)


def test_with_a_rate_too_large_the_loss_does_not_fall_and_a_check_fails():
    assert [says for says in failed(IterationLesson(learning_rate=1.0).page()) if "loss of the batch is lower" in says]


def test_data_without_classes_is_rejected():
    with pytest.raises(InputError, match="received wave") as error:
        IterationLesson(data="wave").page()
    assert error.value.subject == "data"
