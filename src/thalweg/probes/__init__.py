"""Probes: pure functions of a `Trace`, computed inside of the step, that can not disturb training."""

from .scores import LARGER_IS_BETTER, ClassScores, Residuals, ResidualScores, Right, Scores, confusion_matrix

__all__ = ["LARGER_IS_BETTER", "ClassScores", "ResidualScores", "Residuals", "Right", "Scores", "confusion_matrix"]
