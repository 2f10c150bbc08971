"""What the outputs of a network say of the targets."""

from __future__ import annotations

import numpy as np

from ..core.arrays import Array
from ..data import Preprocessing, Task
from ..parts.part import Loss


def decided(task: Task, loss: Loss, outputs: Array) -> Array:
    """The prepared targets that outputs predict: numbers of classes (n,), labels 0 and 1 (n, K), or values (n, K).

    Args:
        task: classification, regression or multilabel.
        loss: knows where an output changes from no to yes.
        outputs: (n, K), probabilities where the loss takes logits.

    >>> from thalweg.parts.losses import SoftmaxCrossEntropy
    >>> decided("classification", SoftmaxCrossEntropy(), np.array([[0.2, 0.8]])).tolist()
    [1]
    """
    if task == "classification":
        return loss.chosen_classes(outputs)
    return (outputs > loss.decision_threshold).astype(int) if task == "multilabel" else outputs


def predictions(preprocessing: Preprocessing, loss: Loss, outputs: np.ndarray) -> np.ndarray:
    """The targets that outputs (n, K) predict, as the data have them.

    Args:
        preprocessing: knows the classes, and the units of the targets.
        loss: knows where an output changes from no to yes.
        outputs: (n, K), probabilities where the loss takes logits.

    Returns:
        Classes (n,), labels 0 and 1 (n, K), or values in units of the target: (n,), or (n, K) for several targets.
    """
    decision = decided(preprocessing.task, loss, outputs)
    if preprocessing.task == "classification":
        return preprocessing.labels(decision)
    if preprocessing.task == "multilabel":
        return decision
    values = preprocessing.values(decision)
    return values[:, 0] if values.shape[1] == 1 else values
