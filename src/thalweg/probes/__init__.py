"""Probes: pure functions of a `Trace`, computed inside of the step, that can not disturb training."""

from .scores import ClassScores, Residuals, ResidualScores, Right, Scores, confusion_matrix

__all__ = ["ClassScores", "ResidualScores", "Residuals", "Right", "Scores", "confusion_matrix"]
