"""Lessons: the worked examples of textbooks, each run on the real engine with numbers that may be changed."""

from .lesson import Lesson

__all__ = ["Lesson"]
