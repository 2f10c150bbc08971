"""Plain and residual convolutions before and after training, against PyTorch's deltas."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, failed, table_of

from thalweg.core.noise import generator
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.picture_residuals import DepthArm, PictureResidualsLesson
from thalweg.pages.blocks import Check
from thalweg.runs.train import run_to_end
from thalweg.spec.spec import Spec
from thalweg.training.batch_plan import as_batch
from thalweg.training.session import Session

LESSON = PictureResidualsLesson(depths=(1, 3), samples=200)
ARMS = [DepthArm("plain", 3), DepthArm("residual", 3)]


def torch_deltas(arm: DepthArm, noise: float) -> list[np.ndarray]:
    """dL/dx, and dL/d(output) of the first convolution and of each block, in PyTorch from the same start."""
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    functional = torch.nn.functional
    session = Session.load(Spec.of(LESSON.table(arm, seed=0)))
    rows = as_batch(session.split.train)
    pictures = rows.x[:64].astype(float)
    pictures = (pictures + noise * generator(2, "noise").standard_normal(pictures.shape)).reshape(-1, 1, 8, 8)
    start = session.spec.network.initialize(2, (64,)).params
    flat = [own for entry in start for own in (entry.layers if hasattr(entry, "layers") else [entry])]
    weights = iter([torch.tensor(own.W) for own in flat if hasattr(own, "W")])

    def normalised(x):
        W = next(weights).permute(3, 2, 0, 1)
        return functional.batch_norm(functional.conv2d(x, W, padding=1), None, None, training=True, eps=1e-5)

    x = torch.tensor(pictures, requires_grad=True)
    outputs = [torch.relu(normalised(x))]
    for _ in range(arm.blocks):
        f = normalised(torch.relu(normalised(outputs[-1])))
        outputs.append(torch.relu(f + outputs[-1] if arm.design == "residual" else f))
    for output in outputs:
        output.retain_grad()
    logits = outputs[-1].permute(0, 2, 3, 1).flatten(1) @ next(weights)
    functional.cross_entropy(logits, torch.tensor(rows.y[:64].astype(int))).backward()
    return [array.grad.numpy() for array in (x, *outputs)]


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.design)
def test_the_sizes_of_delta_are_pytorchs(arm):
    expected = [np.sqrt((delta**2).mean()) for delta in torch_deltas(arm, 0.0)[1:]]
    np.testing.assert_allclose(LESSON.delta_sizes(arm, seed=2), expected, rtol=1e-8)


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.design)
def test_the_likeness_is_the_cosine_of_pytorchs_gradients(arm):
    clean, noisy = (torch_deltas(arm, noise)[0].reshape(64, -1) for noise in (0.0, LESSON.noise))
    cosines = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(clean, noisy, strict=True)]
    assert LESSON.likeness(arm, seed=2) == pytest.approx(np.mean(cosines), rel=1e-8)


def test_without_noise_the_gradients_are_the_same():
    quiet = PictureResidualsLesson(depths=(1, 3), samples=200, noise=1e-12)
    assert quiet.likeness(ARMS[0], seed=0) == pytest.approx(1, abs=1e-6)


def test_blocks_without_f_pass_on_what_they_get():
    assert LESSON.difference_of_silent_blocks(seed=5) == 0


@pytest.mark.slow
def test_the_checks_of_the_quick_form_hold_and_its_table_is_that_of_its_trainings():
    lesson = lesson_of("picture-residuals", quick=True)
    page = lesson.page()
    assert len(blocks_of(page, Check)) == 7
    assert not failed(page)
    run = run_to_end(Spec.of(lesson.table(DepthArm("plain", 1), seed=0)))
    kind, convolutions, loss, accuracy = table_of(page, "Means over the seeds").rows[0]
    assert (kind, convolutions) == ("plain", 3)
    assert loss == pytest.approx(run.history[-1]["loss"])
    assert accuracy == pytest.approx(run.measures["test"]["accuracy"])


def test_without_training_the_checks_of_the_losses_fail():
    """With a rate of nearly 0 depth changes nothing: the losses are those of the start."""
    still = PictureResidualsLesson(depths=(1, 2), samples=100, epochs=1, learning_rate=1e-9, seeds=1, channels=2)
    assert any("training loss" in says for says in failed(still.page()))
