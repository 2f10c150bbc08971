"""The doctor's remedies as lines of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..doctor.findings import Remedy
from .facts import Task

_MODULES = {"relu": "nn.ReLU()", "tanh": "nn.Tanh()", "leaky_relu": "nn.LeakyReLU()"}


@dataclass(frozen=True)
class TorchRemedies:
    """Makes remedies for a watched training: each is a line to write.

    >>> TorchRemedies("regression", "SGD", 0.1).rate(0.1).label
    'torch.optim.SGD(model.parameters(), lr=0.01)'
    """

    task: Task
    """What is trained."""
    optimizer: str
    """The class of the optimizer."""
    learning_rate: float
    """Largest learning rate of the training."""

    @property
    def suited_output(self) -> str:
        """The output activation that suits the task."""
        return {"classification": "softmax", "multilabel": "sigmoid"}.get(self.task, "identity")

    def output(self) -> Remedy:
        """The output and the loss that suit the task."""
        losses = {"classification": "nn.CrossEntropyLoss()", "multilabel": "nn.BCEWithLogitsLoss()"}
        return _line(f"loss_fn = {losses.get(self.task, 'nn.MSELoss()')}  # and nothing after the last nn.Linear")

    def hidden_units(self, kind: str) -> Remedy:
        """Hidden activations of another kind."""
        return _line(f"{_MODULES.get(kind, kind)}  # instead of the hidden activations")

    def units_between(self, kind: str) -> Remedy:
        """An activation between layers with weights."""
        return _line(f"x = torch.{kind}(layer(x))  # or {_MODULES.get(kind, kind)} after each nn.Linear but the last")

    def width(self, least: int) -> Remedy:
        """Hidden layers of at least this width."""
        return _line(f"nn.Linear(..., {least})  # hidden layers of at least this width")

    def init(self) -> Remedy:
        """Initial weights that suit the activations."""
        return _line("nn.init.kaiming_uniform_(layer.weight, nonlinearity='relu')  # or PyTorch's own start")

    def batch_norm(self) -> Remedy:
        """Batch normalization before each hidden activation."""
        return _line("nn.BatchNorm1d(width)  # before each hidden activation; nn.BatchNorm2d after a convolution")

    def scale(self) -> Remedy:
        """Standardized inputs; in a regression also standardized targets."""
        targets = "; y = (y - y_mean) / y_std" if self.task == "regression" else ""
        return _line(f"x = (x - mean) / std{targets}  # mean and std of the training rows")

    def rate(self, factor: float) -> Remedy:
        """The learning rate times `factor`."""
        return _line(f"torch.optim.{self.optimizer}(model.parameters(), lr={factor * self.learning_rate:.1g})")

    def adam(self) -> Remedy:
        """Adam at its usual rate."""
        return _line("torch.optim.Adam(model.parameters(), lr=0.001)")

    def longer(self, factor: int) -> Remedy:
        """`factor` times as many epochs."""
        return _line(f"for epoch in range({factor} * epochs):")

    def batch(self, size: int) -> Remedy:
        """Another batch size."""
        return _line(f"DataLoader(..., batch_size={size})")

    def shuffle(self) -> Remedy:
        """Rows shuffled in each epoch."""
        return _line("DataLoader(..., shuffle=True)")

    def balanced_order(self) -> Remedy:
        """Rare classes that count as much as the others."""
        weights = "pos_weight=(y == 0).sum() / (y == 1).sum()" if self.task == "multilabel" else "weight=1 / counts"
        return _line(
            f"loss_fn = {'nn.BCEWithLogitsLoss' if self.task == 'multilabel' else 'nn.CrossEntropyLoss'}({weights})"
        )

    def dropout(self, rate: float) -> Remedy:
        """Dropout with the given rate."""
        return _line(f"nn.Dropout({rate})  # the part that is dropped, not the part that is kept")

    def no_penalty(self) -> Remedy:
        """No penalty on the weights."""
        return _line("weight_decay=0  # and no penalty in the loss")

    def best_epoch(self) -> Remedy:
        """The weights of the epoch with the best validation score."""
        return _line("torch.save(model.state_dict(), path)  # in each epoch that is the best on the validation rows")

    def random_split(self) -> Remedy:
        """Validation rows drawn at random."""
        return _line("train, validation = torch.utils.data.random_split(dataset, [0.8, 0.2])")

    def held_out(self, share: float) -> Remedy:
        """A part of the rows for validation."""
        shares = f"{1 - share:g}, {share:g}"
        return _line(f"train, validation = torch.utils.data.random_split(dataset, [{shares}])")

    def effective(self, remedies: Sequence[Remedy]) -> tuple[Remedy, ...]:
        """Each line once."""
        return tuple(dict.fromkeys(remedies))


def _line(text: str) -> Remedy:
    return Remedy(text, ())
