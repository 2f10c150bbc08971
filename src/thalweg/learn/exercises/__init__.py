"""Exercises: the learner derives or computes, the engine knows the answer and what usual mistakes lead to."""

from .answers import Answer, Case, Mistake, Verdict
from .batch_matrices import BatchMatrices
from .exercise import Exercise, Question, Task
from .identity_mse import IdentityMSE
from .sigmoid_losses import SigmoidLosses
from .stable_softmax import StableSoftmax
from .two_layer_gradients import TwoLayerGradients

EXERCISES: tuple[type[Exercise], ...] = (
    IdentityMSE,
    SigmoidLosses,
    StableSoftmax,
    BatchMatrices,
    TwoLayerGradients,
)
"""All exercises, in the order of teaching."""

__all__ = [
    "EXERCISES",
    "Answer",
    "BatchMatrices",
    "Case",
    "Exercise",
    "IdentityMSE",
    "Mistake",
    "Question",
    "SigmoidLosses",
    "StableSoftmax",
    "Task",
    "TwoLayerGradients",
    "Verdict",
]
