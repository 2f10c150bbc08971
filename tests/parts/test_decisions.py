"""Losses decide: a single output at a threshold, several by the largest."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.parts.losses import BinaryCrossEntropy, LeastMeanSquares, SigmoidBinaryCrossEntropy, SoftmaxCrossEntropy


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), SigmoidBinaryCrossEntropy()], ids=lambda loss: loss.kind)
def test_cross_entropies_decide_at_a_probability_of_one_half(loss):
    assert loss.decision_threshold == 0.5
    assert loss.chosen_classes(np.array([[0.5], [0.6], [0.1]])).tolist() == [0, 1, 0]


def test_a_loss_on_scores_decides_at_its_own_threshold():
    loss = LeastMeanSquares()
    assert loss.decision_threshold == loss.threshold
    scores = np.array([[loss.threshold + 0.1], [loss.threshold - 0.1]])
    assert loss.chosen_classes(scores).tolist() == [1, 0]


def test_the_largest_of_several_predictions_wins():
    assert SoftmaxCrossEntropy().chosen_classes(np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])).tolist() == [1, 0]
