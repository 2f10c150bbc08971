"""What is normal: what healthy runs of many shapes have shown.

healthy.json holds, of each quantity that the doctor measures, its quantiles over networks that learnt: depths of 1 to
16, widths of 5 to 128, all activations with starts that suit them, all optimizers at usual rates. `clinic/healthy.py`
makes it anew.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import NamedTuple

# The least and the most that one in two hundred healthy runs goes beyond.
_LOW, _HIGH = "0.5", "99.5"
_FAR = 3.0


class Normal(NamedTuple):
    """The range of a quantity in which all but the outermost hundredth of the healthy runs lie.

    >>> Normal(0.5, 2.0).tells()
    '0.5 to 2 in 99 % of healthy runs'
    """

    low: float
    high: float

    def far(self) -> Normal:
        """Three times as wide to either side: for what the healthy runs do not vary, as the scale of their inputs."""
        return Normal(self.low / _FAR, self.high * _FAR)

    def tells(self) -> str:
        """The range in words."""
        return f"{self.low:.3g} to {self.high:.3g} in 99 % of healthy runs"


def normal(quantity: str) -> Normal:
    """The normal range of one of `Case.quantities`.

    >>> normal("alive_at_end").low > 1
    True
    """
    found = _quantiles()[quantity]
    return Normal(found[_LOW], found[_HIGH])


@cache
def _quantiles() -> dict[str, dict[str, float]]:
    text = (resources.files(__package__) / "healthy.json").read_text(encoding="utf-8")
    quantiles: dict[str, dict[str, float]] = json.loads(text)["quantities"]
    return quantiles
