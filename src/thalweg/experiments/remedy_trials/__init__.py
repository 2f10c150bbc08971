"""The proof of remedies: paired trials of a spec unchanged, with each remedy, and with a random change instead."""

from .prove import check_bounds, prove
from .result import ArmTried, Combination, Proof, RemedyEffect, Verdict
from .score import Score

__all__ = ["ArmTried", "Combination", "Proof", "RemedyEffect", "Score", "Verdict", "check_bounds", "prove"]
