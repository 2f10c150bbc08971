"""Two runs: what differs between them, where their trainings part, and which difference explains the outcome."""

from .compare_runs import RunDiff, diff

__all__ = ["RunDiff", "diff"]
