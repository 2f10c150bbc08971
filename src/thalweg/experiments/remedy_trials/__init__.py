"""The proof of remedies: paired trials of a spec unchanged, with each remedy, and with a random change instead."""

from .result import ArmTried, Combination, Effect, Proof, Verdict
from .score import Score
from .search import check_bounds, prove

__all__ = ["ArmTried", "Combination", "Effect", "Proof", "Score", "Verdict", "check_bounds", "prove"]
