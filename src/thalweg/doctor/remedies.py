"""The remedies that checks can suggest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .findings import Remedy


class Remedies(Protocol):
    """Makes remedies for one training. `SpecRemedies` makes changes of a spec."""

    suited_output: str
    """The output activation that suits the task."""

    def output(self) -> Remedy:
        """The output activation and the loss that suit the task."""

    def hidden_units(self, kind: str) -> Remedy:
        """Hidden activations of another kind, with initial weights that suit them."""

    def units_between(self, kind: str) -> Remedy:
        """An activation after each layer with weights that has nothing nonlinear before the next one."""

    def width(self, least: int) -> Remedy:
        """Hidden layers of at least this width."""

    def init(self) -> Remedy:
        """Initial weights that suit the activations."""

    def batch_norm(self) -> Remedy:
        """Batch normalization before each hidden activation."""

    def scale(self) -> Remedy:
        """Standardized inputs; in a regression also standardized targets."""

    def rate(self, factor: float) -> Remedy:
        """The learning rate times `factor`, constant."""

    def default(self, option: str) -> Remedy:
        """An option of the optimizer at its default."""

    def adam(self) -> Remedy:
        """Adam at learning rate 0.001."""

    def longer(self, factor: int) -> Remedy:
        """`factor` times as many epochs."""

    def batch(self, size: int) -> Remedy:
        """Another batch size."""

    def shuffle(self) -> Remedy:
        """Rows shuffled in each epoch."""

    def balanced_order(self) -> Remedy:
        """All classes equally often in each epoch."""

    def dropout(self, rate: float) -> Remedy:
        """Dropout with the given rate."""

    def no_penalty(self) -> Remedy:
        """No penalty on the weights."""

    def best_epoch(self) -> Remedy:
        """The weights of the epoch with the best validation score."""

    def random_split(self) -> Remedy:
        """Validation and test rows drawn at random."""

    def held_out(self, share: float) -> Remedy:
        """A part of the rows for validation."""

    def effective(self, remedies: Sequence[Remedy]) -> tuple[Remedy, ...]:
        """Those that can be carried out and change something, each effect once; none sets a learning rate of 0."""
