"""What the report of a run shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..pages.blocks import Block
from ..probes.boundary_frames import BoundaryFrames
from ..probes.input_maps import FittedCurve, InputMap, WeightImages
from ..probes.records import Observations


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportData:
    """What the page of one run tells.

    `measures` holds the last measures by set of rows ("training", "validation", "test"), `history` one record an epoch
    as `training.fit` returns it, `layers` each layer in words with its output shape and its number of parameters,
    `health` what the doctor found, in short.

    `true` and `predicted` come from the set named by `held_out`: class numbers (n,) for classification, 0 and 1 (or
    probabilities) of shape (n, labels) for multilabel, values (n, targets) in their own units for regression.
    `confidence` (n,) is the probability of the predicted class, `samples` (n, features) are the same rows as they came;
    with `image_shape` (height, width) each of them is a picture.

    `observed` is what probes saw inside of the training, in batches of `batch_size`; `expected` (layers,) the part of
    the last layer's delta that theory predicts for each of its layers at the start, NaN where it has none.

    `seen` is what the network says on a plane of its inputs, with yes above `threshold` where it has one output, and
    `film` what it said there through its training, of `per_epoch` updates an epoch;
    `curve` what it says along its only input; `weights` are those of its first layer as pictures.
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
    image_shape: tuple[int, int] | None = None
    held_out: str = "test"
    observed: Observations | None = None
    expected: np.ndarray | None = None
    batch_size: int = 0
    seen: InputMap | None = None
    film: BoundaryFrames | None = None
    per_epoch: int = 1
    threshold: float = 0.5
    curve: FittedCurve | None = None
    weights: WeightImages | None = None
    spec: str = ""
