"""Checks of facts that only a training loop of the user's own has; they join the checks of `doctor.checks`."""
