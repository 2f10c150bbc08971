"""The sets of digit images that lessons train on."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..data import Arrays, Source

DigitImages = Literal["mnist", "digits"]


def first_rows(data: DigitImages, samples: int) -> Source:
    """The first images of a set; of its training part if the set comes with a test part."""
    images = Source.of(data).load(seed=0)
    assert images.y is not None
    return Arrays(np.asarray(images.x[:samples]), images.y[:samples])
