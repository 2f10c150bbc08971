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
    **dict.fromkeys(("Network", "default_initializer"), "models.network"),
    **dict.fromkeys(("Adaline", "MLPClassifier", "MLPRegressor", "Perceptron"), "sklearn"),
    **dict.fromkeys(("Run",), "runs.run"),
    **dict.fromkeys(("load",), "runs.load"),
    **dict.fromkeys(("train",), "runs.train"),
    **dict.fromkeys(("resume",), "runs.resume"),
    **dict.fromkeys(("list_runs",), "runs.run_folder"),
    **dict.fromkeys(("explain",), "insight.explain"),
    **dict.fromkeys(("Arena", "arena"), "insight.optimizer_race"),
    **dict.fromkeys(("LossLandscape", "landscape"), "insight.loss_landscape"),
    **dict.fromkeys(("DecisionBoundary", "boundary"), "insight.decision_boundary"),
    **dict.fromkeys(("GradientFlow", "gradient_flow"), "insight.gradient_flow"),
    **dict.fromkeys(("lesson", "lesson_names"), "learn.catalogue"),
    **dict.fromkeys(("RangeTest", "range_test"), "insight.lr_range"),
    **dict.fromkeys(("Comparison", "Experiment", "compare"), "experiments"),
    **dict.fromkeys(("Diagnosis", "Finding", "Remedy"), "doctor"),
    **dict.fromkeys(("Proof", "prove"), "experiments.remedy_trials"),
    **dict.fromkeys(("Spec",), "spec.spec"),
    **dict.fromkeys(("read_spec",), "spec.toml"),
    **dict.fromkeys(("InputError",), "core.errors"),
    **dict.fromkeys(("inspect",), "training.inspect"),
    **dict.fromkeys(("Checkpoints", "Training"), "parts.settings"),
    **dict.fromkeys(("Regularization",), "parts.regularization"),
    **dict.fromkeys(("Stopping",), "parts.settings"),
    **dict.fromkeys(("Data", "Dataset", "Preprocessing", "Split"), "data"),
}
_MODULES = {
    **{name: f"parts.{name}" for name in ("clipping", "initializers", "layers", "losses", "optimizers", "schedules")},
    "data": "data",
    "linear_units": "models.linear_unit",
    "probes": "probes",
}

__all__ = [*_PLACES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{_MODULES[name]}", __name__)
    raise AttributeError(f"module 'thalweg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
