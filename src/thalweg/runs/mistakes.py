"""The samples that a network gets wrong: their order, and how the report of a run shows them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..pages.blocks import Block, Gallery, Heading, Picture, Table, Text
from ..pages.numbers import Share, count_noun, number
from .report_data import ReportData

_MOST_PICTURES = 24
_MOST_ROWS = 12
_MOST_FEATURES = 8
_RGB_CHANNELS = 3
# The color types of a PNG file.
_GRAY = 0
_RGB = 2


class Predictions(NamedTuple):
    """Samples with their true and their predicted values, in words and numbers.

    Attributes:
        columns: Names of the entries of a sample: "true", "predicted", ...
        rows: The entries of each sample.
    """

    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


def worst_first(data: ReportData) -> np.ndarray:
    """The numbers of the samples to look at, the worst first.

    For classes and labels these are the wrong ones, ordered by falling confidence; for values all samples, ordered by
    falling error. The errors of each target count in standard deviations of its true values.
    """
    if data.true is None or data.predicted is None:
        return np.array([], dtype=int)
    if data.task == "regression":
        size = np.nan_to_num(_errors_in_deviations(data.true, data.predicted), nan=np.inf).max(axis=1)
        return np.argsort(-size, kind="stable")
    if data.task == "multilabel":
        wrong = np.flatnonzero((has_label(data.true) != has_label(data.predicted)).any(axis=1))
    else:
        wrong = np.flatnonzero(data.true != data.predicted)
    return wrong if data.confidence is None else wrong[np.argsort(-data.confidence[wrong], kind="stable")]


def mistake_blocks(data: ReportData) -> list[Block]:
    """The section of the mistakes, or of the largest errors; empty without predictions."""
    if data.true is None or data.predicted is None or not len(data.true):
        return []
    worst = worst_first(data)
    samples = count_noun(len(data.true), "sample")
    if data.task == "regression":
        heading = "Largest errors"
        words = "Errors are compared in standard deviations of the true values."
    elif not worst.size:
        return [Heading("Mistakes"), Text(f"All {samples} of the {data.held_out} set are predicted correctly.")]
    else:
        heading = "Mistakes"
        order = "" if data.confidence is None else ", the most confident first"
        words = f"{number(worst.size)} of {samples} of the {data.held_out} set are predicted wrong{order}."
    has_images = data.samples is not None and data.image_shape is not None
    shown = worst[: _MOST_PICTURES if has_images else _MOST_ROWS]
    if len(shown) < len(worst) and data.task != "regression":
        words += f" The first {len(shown)} are shown."
    return [Heading(heading), Text(words), _gallery(data, shown) if has_images else _table(data, shown)]


def values_by_target(values: np.ndarray) -> np.ndarray:
    """Values as floats of shape (n, targets), also where one target comes as a vector."""
    return np.asarray(values, dtype=float).reshape(len(values), -1)


def has_label(labels: np.ndarray) -> np.ndarray:
    """Whether samples have labels, which are given as 0 and 1 or as probabilities."""
    return np.asarray(labels) >= 0.5


def png_of(image: np.ndarray) -> bytes:
    """An image of uint8, (height, width) or (height, width, 3) with red, green and blue, as the bytes of a PNG file.

    Source: W3C, Portable Network Graphics (PNG) Specification, second edition.

    >>> png_of(np.zeros((2, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = image.shape[:2]
    # 8 bits a number, and the only methods of compression, filter and interlace.
    header = struct.pack(">IIBBBBB", width, height, 8, _GRAY if image.ndim == 2 else _RGB, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in image)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def _gallery(data: ReportData, shown: np.ndarray) -> Gallery:
    assert data.samples is not None and data.image_shape is not None
    images = data.samples[shown].reshape(-1, *data.image_shape)
    if images.ndim == 4 and images.shape[-1] != _RGB_CHANNELS:
        images = images.mean(axis=-1)
    low = float(images.min())
    high = float(images.max())
    shades = np.round((images - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    columns, rows = _predictions(data, shown)
    pictures = []
    for sample, image, row in zip(shown, shades, rows, strict=True):
        caption = [f"{name} {number(value)}" for name, value in zip(columns, row, strict=True)]
        pictures.append(Picture(f"Sample {sample}", png_of(image), caption))
    return Gallery(pictures)


def _table(data: ReportData, shown: np.ndarray) -> Table:
    columns, rows = _predictions(data, shown)
    caption = "Samples by their number in the set, from 0"
    features: Sequence[str] = ()
    values: Sequence[Sequence[object]] = [()] * len(shown)
    if data.samples is not None:
        total = len(data.feature_names)
        places = np.arange(total) if total <= _MOST_FEATURES else _most_unusual(data.samples, shown)[:_MOST_FEATURES]
        features = [data.feature_names[place] for place in places]
        values = data.samples[np.ix_(shown, places)].tolist()
        if len(features) < total:
            caption += f"; the {len(features)} of {total} features in which they are the most unlike the others"
    cells = [(int(sample), *row, *inputs) for sample, row, inputs in zip(shown, rows, values, strict=True)]
    return Table(caption, ("sample", *columns, *features), cells)


def _most_unusual(samples: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """The places of the features (n, features), the one in which the shown samples are the most unusual first.

    A value is as unusual as it is far from the mean of all samples, in standard deviations.
    """
    deviation = samples.std(axis=0)
    distances = np.abs(samples[shown] - samples.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return np.argsort(-distances.mean(axis=0), kind="stable")


def _predictions(data: ReportData, shown: np.ndarray) -> Predictions:
    """The true and the predicted value of each shown sample, with its confidence or its error."""
    assert data.true is not None and data.predicted is not None
    if data.task == "regression":
        return _errors(data.true, data.predicted, data.target_names, shown)
    names = data.target_names
    if data.task == "multilabel":
        true = has_label(data.true)
        predicted = has_label(data.predicted)
        rows: list[tuple[object, ...]] = [(_labels(true[k], names), _labels(predicted[k], names)) for k in shown]
    else:
        rows = [(names[data.true[k]], names[data.predicted[k]]) for k in shown]
    if data.confidence is None:
        return Predictions(("true", "predicted"), rows)
    confidence = [Share(data.confidence[k]) for k in shown]
    return Predictions(
        ("true", "predicted", "confidence"), [(*row, share) for row, share in zip(rows, confidence, strict=True)]
    )


def _errors(true: np.ndarray, predicted: np.ndarray, names: Sequence[str], shown: np.ndarray) -> Predictions:
    """The target with the largest error of each shown sample."""
    size = np.nan_to_num(_errors_in_deviations(true, predicted), nan=np.inf)
    true = values_by_target(true)
    predicted = values_by_target(predicted)
    rows: list[tuple[object, ...]] = []
    for k in shown:
        target = int(size[k].argmax())
        value = float(true[k, target])
        prediction = float(predicted[k, target])
        row = (value, prediction, prediction - value)
        rows.append((names[target], *row) if len(names) > 1 else row)
    columns = ("true", "predicted", "error")
    return Predictions(("target", *columns) if len(names) > 1 else columns, rows)


def _labels(row: np.ndarray, names: Sequence[str]) -> str:
    return " + ".join(name for name, there in zip(names, row, strict=True) if there) or "none"


def _errors_in_deviations(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Absolute errors (n, targets) in standard deviations of the true values of each target."""
    true = values_by_target(true)
    predicted = values_by_target(predicted)
    deviation = true.std(axis=0)
    errors: np.ndarray = np.abs(predicted - true) / np.where(deviation > 0, deviation, 1.0)
    return errors
