"""scikit-learn's face: estimators that fit into its pipelines, searches and cross-validation."""

from .linear import Adaline, Perceptron
from .mlp import MLPClassifier, MLPRegressor

__all__ = ["Adaline", "MLPClassifier", "MLPRegressor", "Perceptron"]
