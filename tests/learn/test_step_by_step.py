"""Single steps: the same as in a training."""

from __future__ import annotations

from itertools import cycle, islice, pairwise, repeat

import numpy as np

import thalweg
from thalweg.learn.step_by_step import load_rows, single_row_batches, training_steps
from thalweg.models.network import Network
from thalweg.parts.losses import BinaryCrossEntropy
from thalweg.parts.optimizers import Adam


def test_single_steps_end_at_the_weights_of_a_training():
    network = Network.of({"layers": ["dense 3", "tanh", "dense 1", "sigmoid"]})
    steps = list(islice(training_steps(network, BinaryCrossEntropy(), Adam(0.1), repeat(load_rows("xor"))), 20))
    run = thalweg.train(
        network,
        "xor",
        loss="binary_cross_entropy",
        optimizer="adam 0.1",
        epochs=20,
        batch_size="full",
        engine="eager",
        progress=False,
    )
    np.testing.assert_allclose(steps[-1].after.params[0].W, run.params[0].W, rtol=1e-12)
    np.testing.assert_allclose([step.trace.loss for step in steps], [row["loss"] for row in run.history], rtol=1e-12)


def test_each_step_starts_at_the_state_after_the_last():
    network = Network.of({"layers": ["dense 1", "sigmoid"]})
    rows = single_row_batches(load_rows("and"))
    steps = list(islice(training_steps(network, BinaryCrossEntropy(), Adam(0.1), cycle(rows)), 6))
    assert [step.trace.batch.x.tolist() for step in steps] == [rows[step % 4].x.tolist() for step in range(6)]
    assert all(before.after is after.before for before, after in pairwise(steps))
    assert steps[0].before.step == 0
    assert steps[-1].after.step == 6
