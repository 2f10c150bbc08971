"""The shell command `thalweg`."""

from .shell import app, main, program

__all__ = ["app", "main", "program"]
