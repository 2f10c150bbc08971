"""The pictures of digits that lessons train on, many or few of them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ...data import Arrays, Source

Pictures = Literal["mnist", "digits"]


def first_rows(data: Pictures, samples: int) -> Source:
    """The first rows of a set of pictures of digits, of its training set where it has one of its own."""
    found = Source.of(data).load(seed=0)
    assert found.y is not None
    return Arrays(np.asarray(found.x[:samples]), found.y[:samples])
