"""Plotly figures for notebooks, reports and web pages.

All functions but `save_images` are pure: they turn arrays and records into figures.
"""

from .arm_curves import LevelCurve, arm_curves, arm_panels, level_curves
from .arm_maps import heat_map, parallel_coordinates
from .arm_measures import arm_measures, paired_differences, paired_effects
from .flow import curves, delta_by_layer
from .images import image_format, save_images
from .landscape import loss_line, loss_plane
from .network import (
    boundary,
    boundary_frames,
    feature_maps,
    fitted_curve,
    fitted_surface,
    importance_map,
    picture_row,
    saliency_maps,
    surface_frames,
    unit_maps,
    weight_images,
)
from .plane import contours, plane, planes
from .probe_charts import ProbeCharts, charts_of
from .probes import (
    dead_units,
    gradient_directions,
    gradient_noise,
    gradient_ribbon,
    histograms_over_time,
    norms_over_time,
    outputs_over_time,
    sharpness,
    step_lengths,
    update_ratios,
)
from .record import (
    History,
    confusion,
    importance,
    learning_curves,
    learning_rate,
    paired_losses,
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
    "LevelCurve",
    "ProbeCharts",
    "arm_curves",
    "arm_measures",
    "arm_panels",
    "boundary",
    "boundary_frames",
    "charts_of",
    "confusion",
    "contours",
    "curves",
    "dead_units",
    "delta_by_layer",
    "feature_maps",
    "fitted_curve",
    "fitted_surface",
    "gradient_directions",
    "gradient_noise",
    "gradient_ribbon",
    "heat_map",
    "histograms_over_time",
    "image_format",
    "importance",
    "importance_map",
    "learning_curves",
    "learning_rate",
    "level_curves",
    "loss_line",
    "loss_plane",
    "norms_over_time",
    "outputs_over_time",
    "paired_differences",
    "paired_effects",
    "paired_losses",
    "parallel_coordinates",
    "picture_row",
    "plane",
    "planes",
    "predictions",
    "rate_range",
    "residuals",
    "saliency_maps",
    "save_images",
    "sharpness",
    "step_lengths",
    "surface_frames",
    "unit_maps",
    "update_ratios",
    "weight_images",
]
