"""Runs: how they are trained, resumed, saved, loaded and reported."""
