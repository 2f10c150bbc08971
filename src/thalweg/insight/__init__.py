"""Analyses of a network or of a training, each computed from the real engine."""
