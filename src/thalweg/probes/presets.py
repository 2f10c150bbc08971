"""How much of a training is looked at, and how often: the `probes` of a spec."""

from __future__ import annotations

from dataclasses import dataclass

from ..parts import Count, Part

_OBSERVATIONS, _RAREST = 64, 20


class Probes(Part, family="probes"):
    """How much of a training is recorded beside its loss. No preset changes the training, not by a bit."""


@dataclass(frozen=True)
class Off(Probes, kind="off"):
    """Nothing is looked at.

    >>> Probes.of("off")
    Off()
    """


@dataclass(frozen=True)
class Light(Probes, kind="light"):
    """Outputs, deltas, gradients, weights and updates of each layer, before every `every`-th step.

    Without `every` a training is looked at about 64 times: before every 20th step or less often, but at least 20 times
    where it has as many steps.

    >>> Probes.of("light 50").cadence(steps=10_000), Light().cadence(steps=2_345), Light().cadence(steps=100)
    (50, 36, 5)
    """

    every: Count | None = None

    def cadence(self, steps: int) -> int:
        """How many steps lie between two looks, in a training of that many."""
        return self.every or max(1, steps // _OBSERVATIONS, min(_RAREST, steps // _RAREST))


@dataclass(frozen=True)
class Standard(Light, kind="standard"):
    """What `light` records, histograms, effective ranks, directions, the noise of the gradient, the step lengths.

    At the end of the training also the units that are dead on all training rows.

    >>> Probes.of("standard 10").every
    10
    """


@dataclass(frozen=True)
class Full(Standard, kind="full"):
    """What `standard` records, and at every fifth look the sharpness of the loss and the units dead on all rows.

    Sharpness: the largest eigenvalue and the trace of the Hessian, to be set beside 2 / learning rate.

    >>> isinstance(Full(), Standard)
    True
    """
