"""Numbers -> plotly figures: a chart is written once and seen in a notebook, a report and a web page.

Every function is pure.
"""

from .flow import curves, delta_by_layer
from .plane import contours, plane, planes
from .record import (
    History,
    confusion,
    learning_curves,
    learning_rate,
    measure_name,
    predictions,
    rate_range,
    residuals,
)
from .theme import BLUE, GREEN, ORANGE, PURPLE, SKY, TEMPLATE, VERMILION

__all__ = [
    "BLUE",
    "GREEN",
    "ORANGE",
    "PURPLE",
    "SKY",
    "TEMPLATE",
    "VERMILION",
    "History",
    "confusion",
    "contours",
    "curves",
    "delta_by_layer",
    "learning_curves",
    "learning_rate",
    "measure_name",
    "plane",
    "planes",
    "predictions",
    "rate_range",
    "residuals",
]
