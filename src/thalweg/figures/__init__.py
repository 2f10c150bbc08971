"""Numbers -> plotly figures: a chart is written once and seen in a notebook, a report and a web page.

Every function is pure.
"""

from .flow import curves, delta_by_layer
from .landscape import loss_line, loss_plane
from .network import boundary, fitted_curve, fitted_surface, unit_maps, weight_images
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
    "boundary",
    "confusion",
    "contours",
    "curves",
    "delta_by_layer",
    "fitted_curve",
    "fitted_surface",
    "learning_curves",
    "learning_rate",
    "loss_line",
    "loss_plane",
    "measure_name",
    "plane",
    "planes",
    "predictions",
    "rate_range",
    "residuals",
    "unit_maps",
    "weight_images",
]
