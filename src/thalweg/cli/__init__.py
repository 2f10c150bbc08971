"""The shell command `thalweg`."""

from .shell import app, main

__all__ = ["app", "main"]
