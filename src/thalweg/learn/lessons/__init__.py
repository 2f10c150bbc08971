"""Lessons: the worked examples of textbooks, each run on the real engine with numbers that may be changed."""

from .adaline import AdalineStep
from .dead_relu import DeadReLU
from .exploding import Exploding
from .gradient_step import GradientStep
from .initialisation import Initialisation
from .iteration import Iteration
from .lesson import Lesson
from .mnist import Mnist
from .optimizers import Optimizers
from .pairings import Pairings
from .perceptron import AndPerceptron
from .rates import Rates
from .rings import Rings
from .sample_order import SampleOrder
from .softmax_adam import SoftmaxAdam
from .terrain import Terrain
from .vanishing import Vanishing
from .xor_features import XorFeatures
from .xor_relu import XorReLU

__all__ = [
    "AdalineStep",
    "AndPerceptron",
    "DeadReLU",
    "Exploding",
    "GradientStep",
    "Initialisation",
    "Iteration",
    "Lesson",
    "Mnist",
    "Optimizers",
    "Pairings",
    "Rates",
    "Rings",
    "SampleOrder",
    "SoftmaxAdam",
    "Terrain",
    "Vanishing",
    "XorFeatures",
    "XorReLU",
]
