"""What remedy trials need of an arm and of its maker, whatever it is that trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, TypeVar

from ..experiment import Trial
from ..variation import Arm, Setting
from .score import Score


class TriedArm(Protocol):
    """An arm that can be tried."""

    @property
    def arm(self) -> Arm:
        """Its settings."""

    @property
    def updates(self) -> int:
        """Number of parameter updates that its training plans."""

    @property
    def changed_settings(self) -> int:
        """Number of settings that it changes."""

    def selects_same_rows(self, other: Self) -> bool:
        """Whether both arms have the same training and held-out rows."""

    def trial(self, seed: int) -> Trial[object]:
        """Its trial with a seed."""


A = TypeVar("A", bound=TriedArm)


class ArmMaker(Protocol[A]):
    """Makes arms."""

    @property
    def score(self) -> Score:
        """What they are scored by."""

    @property
    def unchanged(self) -> A:
        """The arm without changes."""

    def candidate(self, label: str, settings: Sequence[Setting]) -> A:
        """The arm with these settings. Raises InputError where they cannot be tried."""

    def control(self, candidate: A, seed: int, tried: Sequence[A] = ()) -> A | None:
        """A random change of as many settings that plans no more updates; None where none was found."""
