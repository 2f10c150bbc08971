"""Activation and optimizer together: two of each on the same data, with delta by layer over time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from ...core.arrays import Array, rms
from ...core.progress import ProgressMessage
from ...data import Source
from ...pages.blocks import Block, Chart, Check, Suggestion, Table, Text
from ...pages.figures import curves, delta_by_layer
from ...pages.numbers import count_noun, number, percent
from ...parts.part import Count, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ..affine import affine_at
from ..lesson import Lesson
from ..recorded_training import RecordedTraining, classification_rows, record_training

_EARLY_EPOCH = 2
_GUESSING = 0.2
_LEARNED = 0.6


class _Pair(NamedTuple):
    """An activation with an optimizer: its runs, one for each seed, and a recording of the first."""

    runs: list[Run]
    recorded: RecordedTraining

    @property
    def losses(self) -> Array:
        """The training loss by seed and epoch: (seeds, epochs)."""
        return np.array([[record["loss"] for record in run.history] for run in self.runs])

    @property
    def accuracies(self) -> Array:
        """The accuracy on the test rows by seed: (seeds,)."""
        return np.array([run.measures["test"]["accuracy"] for run in self.runs])


@dataclass(frozen=True)
class TerrainLesson(Lesson, kind="terrain"):
    """Sigmoid and ReLU, each with gradient descent and with Adam, on the same rows in the same order.

    Each activation has its suited initialisation, and both optimizers start from the same weights.

    Source: Glorot, Bordes, Bengio 2011 (the terrain); Kingma and Ba 2015, section 2.1 (the vehicle).

    Attributes:
        depth: The number of hidden layers.
        width: The number of units of each hidden layer.
        sgd_rate: The learning rate of gradient descent.
        adam_rate: The learning rate of Adam.
        epochs: The number of epochs.
        seeds: The number of trainings of each pair.
        data: The rows of classes.

    >>> run = TerrainLesson(epochs=1, depth=1).run("relu", "adam", seed=0)
    >>> run.network.layers[1].kind, run.spec.optimizer.kind
    ('relu', 'adam')
    """

    depth: Count = 4
    width: Count = 16
    sgd_rate: Positive = 0.1
    adam_rate: Positive = 0.01
    epochs: Count = 20
    seeds: Count = 3
    data: Source = field(default_factory=lambda: Source.of("digits"))

    title = "Terrain and vehicle"
    subject = "Sigmoid or ReLU, gradient descent or Adam: the effect of each choice on delta and on the loss."
    chapter = "The way down"
    place = 4
    quick: ClassVar[Mapping[str, object]] = {"epochs": 14, "seeds": 1}

    def run(self, activation: str, optimizer: str, seed: int) -> Run:
        """A training of one pair."""
        return run_to_end(Spec.of(self.table(activation, optimizer, seed)))

    @property
    def playground(self) -> Spec:
        return Spec.of(self.table("sigmoid", "sgd", 0))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "The activation shapes the terrain: how much of delta arrives at the first layers. The optimizer is the"
            " vehicle: how well it moves with a small gradient. Four networks that differ only in these two choices"
            f" learn the same data: {self.depth} hidden layers of {self.width} units, {self.epochs} epochs,"
            f" {count_noun(self.seeds, 'seed')}."
        )
        pairs = yield from self._train_pairs()
        yield from self._losses(pairs)
        yield from self._deltas(pairs)
        yield from self._checks(pairs)
        yield Suggestion(
            "ten times the learning rate of gradient descent instead of Adam",
            "thalweg lesson terrain --set sgd_rate=1.0",
        )
        yield Suggestion("one hidden layer: hardly any terrain", "thalweg lesson terrain --set depth=1")
        yield Suggestion("six hidden layers", "thalweg lesson terrain --set depth=6")

    def _train_pairs(self) -> Generator[ProgressMessage, None, dict[str, _Pair]]:
        pairs: dict[str, _Pair] = {}
        choices = [(activation, optimizer) for activation in ("sigmoid", "relu") for optimizer in ("sgd", "adam")]
        for index, (activation, optimizer) in enumerate(choices):
            name = f"{activation} + {optimizer}"
            yield ProgressMessage(f"training {name}", index / len(choices))
            runs = [self.run(activation, optimizer, seed) for seed in range(self.seeds)]
            pairs[name] = _Pair(runs, record_training(self.table(activation, optimizer, 0)))
        return pairs

    def table(self, activation: str, optimizer: str, seed: int) -> dict[str, object]:
        """The spec of one pair."""
        classes = classification_rows(self.data, seed).outputs
        rate = self.adam_rate if optimizer == "adam" else self.sgd_rate
        return {
            "data": {"source": self.data, "validation": 0.0},
            "network": {"layers": [*[f"dense {self.width}", activation] * self.depth, f"dense {classes}", "softmax"]},
            "optimizer": {"kind": optimizer, "learning_rate": rate},
            "training": {"epochs": self.epochs, "seed": seed},
        }

    def _losses(self, pairs: Mapping[str, _Pair]) -> Iterator[Block]:
        early = min(_EARLY_EPOCH, self.epochs)
        yield Table(
            "Mean over the seeds",
            ["pair", f"loss in epoch {early}", f"loss in epoch {self.epochs}", "test accuracy"],
            [
                [name, *pair.losses[:, [early - 1, -1]].mean(axis=0), float(pair.accuracies.mean())]
                for name, pair in pairs.items()
            ],
        )
        ends = {name: pair.losses[:, [0, -1]].mean(axis=0) for name, pair in pairs.items()}
        yield Chart(
            curves(
                np.arange(1, self.epochs + 1),
                {name: pair.losses.mean(axis=0) for name, pair in pairs.items()},
                "Training loss",
                "epoch",
                "loss",
                log=True,
                bands={name: (pair.losses.min(axis=0), pair.losses.max(axis=0)) for name, pair in pairs.items()},
            ),
            "Loss by epoch, mean and range of the seeds. From the first epoch to the last it goes "
            + "; ".join(
                f"from {number(first, 2)} to {number(last, 2)} ({name})" for name, (first, last) in ends.items()
            )
            + ".",
        )

    def _deltas(self, pairs: Mapping[str, _Pair]) -> Iterator[Block]:
        yield Chart(
            delta_by_layer(
                {name: pair.recorded.deltas() for name, pair in pairs.items()},
                range(1, self.depth + 2),
                "Delta by layer during the training",
                next(iter(pairs.values())).recorded.steps,
            ),
            "Layers from the input (bottom) to the output (top), over the steps. Colours that change from bottom to top"
            " show the terrain: delta that is lost on the way. If all layers become dark at once, the rows are"
            " classified correctly.",
        )
        rows = []
        for name, pair in pairs.items():
            first = pair.recorded.traces[0]
            deltas = pair.recorded.deltas()[0]
            rows.append([name, deltas[0], deltas[-1], rms(affine_at(first.grads).W), rms(affine_at(first.updates).W)])
        yield Table(
            "The first step: RMS of delta at the first and the last layer, of dL/dW(1), and of the update of W(1)",
            ["pair", "delta(1)", f"delta({self.depth + 1})", "dL/dW(1)", "ΔW(1)"],
            rows,
        )
        yield Text(
            "Gradient descent moves W(1) in proportion to its gradient, so hardly at all if little of delta arrives."
            " Adam divides by the size of the gradient and takes steps of about the learning rate on either terrain: it"
            " compensates for a small delta, as long as its direction is right."
        )

    def _checks(self, pairs: Mapping[str, _Pair]) -> Iterator[Check]:
        best = float(pairs["sigmoid + sgd"].accuracies.max())
        yield Check(
            f"sigmoid + sgd guesses with every seed: accuracy at most {percent(best, 2)}, below {percent(_GUESSING)}",
            best < _GUESSING,
        )
        for name in ("sigmoid + adam", "relu + sgd", "relu + adam"):
            worst = float(pairs[name].accuracies.min())
            yield Check(
                f"{name} learns with every seed: accuracy at least {percent(worst, 2)}, above {percent(_LEARNED)}",
                worst > _LEARNED,
            )
        early = min(_EARLY_EPOCH, self.epochs) - 1
        others = np.min([pair.losses[:, early] for name, pair in pairs.items() if name != "relu + adam"], axis=0)
        yield Check(
            f"relu + adam has the lowest loss of the four in epoch {early + 1}, with every seed",
            bool((pairs["relu + adam"].losses[:, early] < others).all()),
        )
        first = {kind: pairs[f"{kind} + sgd"].recorded.deltas()[0] for kind in ("sigmoid", "relu")}
        arriving = {kind: float(deltas[0] / deltas[-1]) for kind, deltas in first.items()}
        yield Check(
            f"Before training {number(arriving['sigmoid'], 2)} of delta arrives at the first layer through sigmoids,"
            f" and {number(arriving['relu'], 2)} through ReLU: at least thirty times as much",
            arriving["relu"] > 30 * arriving["sigmoid"],
        )
        yield Check(
            "Adam's first update of W(1) is as large as the learning rate with sigmoid and with ReLU (median of"
            " |ΔW(1)| / η where there is a gradient)",
            np.array([_relative_update(pairs[f"{kind} + adam"].recorded) for kind in ("sigmoid", "relu")]),
            np.ones(2),
            0.01,
        )


def _relative_update(recorded: RecordedTraining) -> float:
    """The median of |ΔW(1)| / η in the first step, over the weights with a gradient."""
    first = recorded.traces[0]
    updates = np.abs(affine_at(first.updates).W[affine_at(first.grads).W != 0])
    return float(np.median(updates)) / float(first.learning_rate) if updates.size else 0.0
