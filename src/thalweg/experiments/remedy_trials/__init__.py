"""Remedy trials: a spec unchanged, with each remedy, and with random changes instead, paired by seed."""

from .effects import ArmScores, Combination, RemedyEffect, Verdict
from .proof import Proof
from .prove import check_bounds, prove
from .score import NoScoreError, Score

__all__ = [
    "ArmScores",
    "Combination",
    "NoScoreError",
    "Proof",
    "RemedyEffect",
    "Score",
    "Verdict",
    "check_bounds",
    "prove",
]
