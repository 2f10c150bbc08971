"""Worked examples of textbooks, each run on the real engine with parameters that the reader may change.

Each module of this folder is one lesson. The lesson states its chapter and its place there.
"""

from typing import get_args

from ..discovery import kinds_in
from ..lesson import Chapter, Lesson

LESSONS: tuple[type[Lesson], ...] = tuple(
    sorted(
        (kind for kind in kinds_in(__name__) if issubclass(kind, Lesson)),
        key=lambda kind: (get_args(Chapter).index(kind.chapter), kind.place),
    )
)
"""All lessons, in the order of teaching."""
