"""Thalweg: a training laboratory for neural networks.

>>> import thalweg
>>> run = thalweg.train(["dense 16", "tanh", "dense 2", "softmax"], "rings", optimizer="adam 0.01", progress=False)
>>> run.measures["test"]["accuracy"] > 0.95
True
"""

from __future__ import annotations

import importlib
from typing import Any

# Name -> module. Nothing is imported before it is asked for, so that the shell answers at once.
_PLACES = {
    **dict.fromkeys(("Network", "default_initializer"), "network"),
    **dict.fromkeys(("Adaline", "MLPClassifier", "MLPRegressor", "Perceptron"), "estimators"),
    **dict.fromkeys(("Run", "load"), "runs"),
    **dict.fromkeys(("resume", "train"), "trainer"),
    **dict.fromkeys(("list_runs",), "folders"),
    **dict.fromkeys(("explain",), "explanation"),
    **dict.fromkeys(("Arena", "arena"), "contest"),
    **dict.fromkeys(("LossLandscape", "landscape"), "loss_landscape"),
    **dict.fromkeys(("DecisionBoundary", "boundary"), "decision"),
    **dict.fromkeys(("GradientFlow", "gradient_flow"), "propagation"),
    **dict.fromkeys(("lesson", "lesson_names"), "lessons.shelf"),
    **dict.fromkeys(("RangeTest", "range_test"), "lr_range"),
    **dict.fromkeys(("Comparison", "Experiment", "compare"), "experiments"),
    **dict.fromkeys(("Diagnosis", "Finding", "Remedy"), "doctor"),
    **dict.fromkeys(("Proof", "prove"), "proof"),
    **dict.fromkeys(("Spec", "read_spec"), "spec"),
    **dict.fromkeys(("InputError",), "errors"),
    **dict.fromkeys(("inspect",), "inspection"),
    **dict.fromkeys(("Checkpoints", "Training"), "training"),
    **dict.fromkeys(("Regularization",), "regularization"),
    **dict.fromkeys(("Stopping",), "stopping"),
    **dict.fromkeys(("Data", "Dataset", "Preprocessing", "Split"), "data"),
}
_MODULES = ("clipping", "data", "initializers", "layers", "linear_units", "losses", "optimizers", "probes", "schedules")

__all__ = [*_PLACES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'thalweg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
