"""Normal ranges: quantiles of each quantity over healthy runs of many shapes.

healthy.json holds the quantiles over networks that learned: depths of 1 to 16, widths of 5 to 128, all activations with
suitable initializations, all optimizers at usual rates. `clinic/healthy.py` computes it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import NamedTuple

from ..pages.numbers import number

# One in two hundred healthy runs lies below the lower limit, and one in two hundred above the upper one.
_LOW = "0.5"
_HIGH = "99.5"
_FAR = 3.0


class NormalRange(NamedTuple):
    """The range of a quantity that holds 99 % of the healthy runs.

    >>> NormalRange(0.5, 2.0).in_words()
    '0.5 to 2 in 99 % of healthy runs'
    """

    low: float
    high: float

    def far(self) -> NormalRange:
        """The range widened by a factor of 3 on both sides, for quantities that the healthy runs hardly vary, such as
        the scale of the inputs."""
        return NormalRange(self.low / _FAR, self.high * _FAR)

    def in_words(self) -> str:
        """The range in words."""
        return f"{number(self.low, 3)} to {number(self.high, 3)} in 99 % of healthy runs"


def normal(quantity: str) -> NormalRange:
    """The normal range of one of the quantities of `Measurements`.

    >>> normal("alive_at_end").low > 1
    True
    """
    quantiles = _quantiles()[quantity]
    return NormalRange(quantiles[_LOW], quantiles[_HIGH])


def usual(quantity: str) -> float:
    """The median of one of the quantities of `Measurements` over the healthy runs.

    >>> normal("moved").low < usual("moved") < normal("moved").high
    True
    """
    return _quantiles()[quantity]["50"]


@cache
def _quantiles() -> dict[str, dict[str, float]]:
    text = (resources.files(__package__) / "healthy.json").read_text(encoding="utf-8")
    quantiles: dict[str, dict[str, float]] = json.loads(text)["quantities"]
    return quantiles
