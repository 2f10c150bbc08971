"""The iteration told, against PyTorch, and by what must hold for every batch."""

from __future__ import annotations

import numpy as np
import pytest
from torch_twin import Twin

from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.learn.lessons.iteration import IterationLesson
from thalweg.pages.blocks import ArrayBlock, Check, Table


def arrays(tree):
    return [array for _, array in arrays_of(tree)]


@pytest.mark.parametrize(
    "lesson",
    [IterationLesson(), IterationLesson(step=7, batch_size=5, seed=3), IterationLesson(step=45)],
    ids=["first", "seventh", "short"],
)
def test_every_number_of_the_step_is_pytorchs(lesson):
    step = lesson.work()
    assert step.trace.batch.weight.all()
    twin = Twin(step.plan.network, step.before.params)
    loss = twin.survey(step.trace.batch)
    assert float(step.trace.loss) == pytest.approx(loss, rel=1e-12)
    for ours, theirs in zip(step.trace.deltas[:3], twin.deltas, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)
    for ours, theirs in zip(arrays(step.trace.grads), twin.grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)


def test_seven_updates_end_where_pytorchs_adam_does():
    steps = [IterationLesson(step=number).work() for number in range(1, 8)]
    twin = Twin(steps[0].plan.network, steps[0].before.params)
    optimizer = twin.torch.optim.Adam(twin.weights, lr=IterationLesson().learning_rate)
    for step in steps:
        twin.survey(step.trace.batch)
        optimizer.step()
        for ours, theirs in zip(arrays(step.after.params), twin.values, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def test_the_page_tells_the_numbers_of_the_step():
    step, blocks = IterationLesson().work(), IterationLesson().page().blocks
    told = {block.name: block.values for block in blocks if isinstance(block, ArrayBlock)}
    np.testing.assert_array_equal(told["δ1"], step.trace.deltas[0])
    np.testing.assert_array_equal(told["b2 after the step"], step.after.params[2].b)
    # All biases start at 0, so that one step is all that b2 holds.
    np.testing.assert_array_equal(told["b2 after the step"], told["Δb2"])
    np.testing.assert_allclose(told["p"].sum(axis=1), 1, atol=1e-12)
    moments = next(block for block in blocks if isinstance(block, Table) and block.caption == "Root mean squares")
    for row in moments.rows:
        name, _, g, m, v, m_hat, v_hat, _ = row
        # From zero, m is a tenth of the gradient and v a thousandth of its square; the corrections undo just that.
        assert (m, m_hat) == (pytest.approx(0.1 * g), pytest.approx(g)), name
        assert v_hat == pytest.approx(1000 * v), name


def test_all_claims_hold_in_other_forms_too():
    for lesson in (
        IterationLesson(),
        IterationLesson(step=30),
        IterationLesson(batch_size=4, hidden=7),
        IterationLesson(data="iris"),
        IterationLesson(step=45),
    ):
        claims = [block for block in lesson.page().blocks if isinstance(block, Check)]
        assert len(claims) >= 6
        assert all(claim.holds for claim in claims), [claim.says for claim in claims if not claim.holds]


def test_a_rate_that_is_too_large_does_not_lower_the_loss_and_the_page_says_so():
    (*_, last) = [block for block in IterationLesson(learning_rate=1.0).page().blocks if isinstance(block, Check)]
    assert last.says.startswith("The loss of the batch is lower")
    assert not last.holds


def test_data_without_classes_is_refused():
    with pytest.raises(InputError, match="expected a source of classes, received wave"):
        IterationLesson(data="wave").page()
