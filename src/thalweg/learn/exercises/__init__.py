"""Exercises: the learner derives or computes, and the engine checks the answer and recognises common mistakes.

Each module of this folder is one exercise. The exercise states its place in the order of teaching.
"""

from ..discovery import kinds_in
from ..exercise import Exercise

EXERCISES: tuple[type[Exercise], ...] = tuple(
    sorted((kind for kind in kinds_in(__name__) if issubclass(kind, Exercise)), key=lambda kind: kind.place)
)
"""All exercises, in the order of teaching."""
