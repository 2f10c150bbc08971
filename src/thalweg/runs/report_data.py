"""The content of the report of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..data import ImageShape
from ..pages.blocks import Block
from ..probes.boundary_frames import BoundaryFrames
from ..probes.input_maps import FittedCurve, InputMap, WeightImages
from ..probes.picture_maps import FeatureMaps, Saliency
from ..probes.records import Observations
from .importance import Importance


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportData:
    """The content of the report of a run; sections whose data are missing are left out.

    Attributes:
        title: Heading of the page.
        outcome: How the training ended, in a sentence or two.
        task: Kind of the task.
        facts: Names and values of what describes the run: seed, engine, duration, ...
        notes: Remarks about the data.
        health: The diagnosis in short.
        measures: Final measures by set of rows ("training", "validation", "test").
        history: One record for each epoch, as `training.fit` returns it.
        layers: Each layer in words, its output shape, and its number of parameters.
        target_names: Names of the classes, labels or targets.
        true: Targets of the rows of `held_out`: class numbers (n,), labels 0 and 1 (n, labels), or values (n, targets)
            in their own units.
        predicted: Predictions of the same shape; for labels 0 and 1, or probabilities.
        confidence: Probability (n,) of the predicted class.
        samples: The same rows (n, features) in their original units.
        feature_names: Names of the features.
        image_shape: Shape of an image where each sample is one.
        held_out: Name of the set of rows of `true` and `predicted`.
        observed: Quantities that probes recorded during the training.
        expected: RMS of delta at each layer (layers,) relative to that of the last layer, as theory predicts it at the
            start; NaN where there is no theory.
        batch_size: Rows of an update.
        input_map: Outputs on a plane of the inputs.
        boundary_frames: Outputs on that plane during the training.
        per_epoch: Updates in an epoch.
        threshold: Decision threshold for one output.
        curve: Outputs along the only input.
        weights: Weights of the first layer as images.
        importance: How much of the score is lost without each column of a table, or each region of pictures.
        kernels: Kernels of the first convolution as images.
        feature_maps: What this convolution makes of the first row.
        saliency: Mean saliency of the pixels by class.
        spec: The spec as TOML.
    """

    title: str
    outcome: str
    task: Literal["classification", "regression", "multilabel"]
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    health: tuple[Block, ...] = ()
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    layers: tuple[tuple[str, str, int], ...] = ()
    target_names: tuple[str, ...] = ()
    true: np.ndarray | None = None
    predicted: np.ndarray | None = None
    confidence: np.ndarray | None = None
    samples: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()
    image_shape: ImageShape | None = None
    held_out: str = "test"
    observed: Observations | None = None
    expected: np.ndarray | None = None
    batch_size: int = 0
    input_map: InputMap | None = None
    boundary_frames: BoundaryFrames | None = None
    per_epoch: int = 1
    threshold: float = 0.5
    curve: FittedCurve | None = None
    weights: WeightImages | None = None
    importance: Importance | None = None
    kernels: WeightImages | None = None
    feature_maps: FeatureMaps | None = None
    saliency: Saliency | None = None
    spec: str = ""
