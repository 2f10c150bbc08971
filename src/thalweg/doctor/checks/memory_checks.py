"""The check of the averages that an optimizer takes of its gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...pages.numbers import number
from ..findings import Finding
from ..measurements import Measurements
from ..registry import STUCK, UNSTABLE, check

# An average of more than this many times the usual steps is long.
_LONG = 20.0


@check(
    code="long-memory",
    stage="during training",
    rank=69,
    meaning="an average of the gradients (momentum, beta, rho) counts more than twenty times the usual steps",
    advice="the default of the option; a schedule that ends below 1",
    explains=(STUCK, UNSTABLE, "lr-too-high", "lr-too-low", "oscillating-loss", "epochs-too-few"),
    pytorch="`momentum=0.9`, `betas=(0.9, 0.999)`",
)
def long_memory(m: Measurements) -> Iterator[Finding]:
    """Averages of gradients, as the steps had them. Near 1 the velocity grows to the sum of all gradients."""
    for memory in m.memories:
        if not memory.longest > _LONG * memory.usual:
            continue
        counted = f"{number(memory.longest, 3)} steps" if math.isfinite(memory.longest) else "all steps"
        severity = m.severity()
        yield long_memory.finding(
            severity="warning" if severity == "note" and memory.longest > memory.steps else severity,
            place=f"optimizer.{memory.option}",
            value=memory.longest,
            measured=f"{memory.option} is {number(memory.last, 4)} at the last step, and its average counts up to "
            f"{counted}; the training has {number(memory.steps, 3)}",
            normal=f"about {number(memory.usual, 2)} steps by its default",
            sentence="Gradients of long ago decide the steps, and add up to steps that nothing slows down.",
            remedies=(m.remedies.default(memory.option),),
        )
