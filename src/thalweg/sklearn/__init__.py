"""scikit-learn's face: estimators that fit into its pipelines, searches and cross-validation."""

from .linear import Adaline, Perceptron
from .mlp import MLPClassifier, MLPRegressor
from .tabular import TabularClassifier, TabularRegressor

__all__ = ["Adaline", "MLPClassifier", "MLPRegressor", "Perceptron", "TabularClassifier", "TabularRegressor"]
