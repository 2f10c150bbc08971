"""Softmax, cross-entropy and Adam: against PyTorch, Optax and numbers worked by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from page_blocks import check_about, failed, table_of, text_of

from thalweg.core.errors import InputError
from thalweg.learn.lessons.softmax_adam import SoftmaxAdamLesson


def test_the_first_step_by_hand():
    step = SoftmaxAdamLesson().steps()[0]
    e = np.exp([2.0, 1.0, 0.1])
    gradient = e / e.sum() - [1, 0, 0]
    np.testing.assert_allclose(step.trace.deltas[-1][0], gradient, rtol=1e-12)
    assert float(step.trace.loss) == pytest.approx(-np.log(e[0] / e.sum()), rel=1e-12)
    np.testing.assert_allclose(step.after.moments.m[0].b, 0.1 * gradient, rtol=1e-12)
    np.testing.assert_allclose(step.after.moments.v[0].b, 0.001 * gradient**2, rtol=1e-12)
    np.testing.assert_allclose(step.trace.updates[0].b, -0.01 * gradient / (np.abs(gradient) + 1e-8), rtol=1e-12)


def test_the_table_of_moments_has_the_corrected_ones():
    rows = np.array(table_of(SoftmaxAdamLesson().page(), "t = 1").rows)
    _, g, m, v, m_hat, v_hat, root, update = rows.T
    np.testing.assert_allclose(m_hat, m / (1 - 0.9), rtol=1e-12)
    np.testing.assert_allclose(v_hat, v / (1 - 0.999), rtol=1e-12)
    np.testing.assert_allclose(root, np.abs(g), rtol=1e-12)
    np.testing.assert_allclose(update, [0.01, -0.01, -0.01], rtol=1.1e-7)


def test_all_steps_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    z = torch.tensor([[2.0, 1.0, 0.1]], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([z], lr=0.01)
    losses = []
    for _ in range(400):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(z, torch.tensor([0]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    steps = SoftmaxAdamLesson().steps()
    np.testing.assert_allclose([float(step.trace.loss) for step in steps], losses, rtol=1e-9)
    np.testing.assert_allclose(steps[-1].after.params[0].b, z.detach().numpy()[0], rtol=1e-9)


def test_another_rate_and_class_follow_optax():
    lesson = SoftmaxAdamLesson(z=(0.5, -1.0, 2.0, 0.0), target=3, learning_rate=0.3, epsilon=1e-3, count=5)
    with jax.enable_x64(True):
        z = jnp.array(lesson.z)
        optimizer = optax.adam(0.3, eps=1e-3)
        state = optimizer.init(z)
        for _ in range(5):
            updates, state = optimizer.update(jax.grad(lambda z: -jax.nn.log_softmax(z)[3])(z), state)
            z = z + updates
    np.testing.assert_allclose(lesson.steps()[-1].after.params[0].b, np.asarray(z), rtol=1e-9)


def test_the_printed_numbers_are_rounding():
    updates = (0.01 * 0.341 / 0.34, -0.01 * 0.242 / 0.24, -0.01 * 0.0986 / 0.099)
    listed = ", ".join(f"{update:.4g}" for update in updates)
    assert f"({listed})" in text_of(SoftmaxAdamLesson().page())


def test_with_a_large_epsilon_a_check_fails():
    page = SoftmaxAdamLesson(epsilon=0.01).page()
    assert not check_about(page, "Its size is the learning rate").holds
    assert check_about(page, "Its size is η |g| / (|g| + ε)").holds


def test_logits_that_leave_no_gradient_make_a_page_too():
    assert failed(SoftmaxAdamLesson(z=(1000.0, 0.0)).page())


def test_an_unknown_class_is_rejected():
    with pytest.raises(InputError, match="0 to 2, received 3") as error:
        SoftmaxAdamLesson(target=3)
    assert [problem.place for problem in error.value.problems] == ["target"]
