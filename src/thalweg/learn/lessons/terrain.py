"""Terrain and vehicle together: two activations and two optimizers on the same data, with delta by layer over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ...core.arrays import rms
from ...core.progress import ProgressMessage
from ...data import Source
from ...pages.blocks import Block, Chart, Check, Suggestion, Table, Text
from ...pages.figures import curves, delta_by_layer
from ...parts.part import Count, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from .deltas import Watched, classes_of, watched
from .lesson import Lesson

_EARLY = 2
_GUESSING, _LEARNT = 0.2, 0.6


class _Pair(NamedTuple):
    """An activation with an optimizer: its runs, one a seed, and the first of them watched."""

    runs: list[Run]
    watched: Watched

    @property
    def losses(self) -> np.ndarray:
        """The training loss by seed and epoch: (seeds, epochs)."""
        return np.array([[record["loss"] for record in run.history] for run in self.runs])

    @property
    def right(self) -> np.ndarray:
        """The share of the test rows told right, by seed."""
        return np.array([run.measures["test"]["accuracy"] for run in self.runs])


@dataclass(frozen=True)
class Terrain(Lesson, kind="terrain"):
    """Sigmoid and ReLU, each with gradient descent and with Adam, on the same rows in the same order.

    `depth` hidden layers of `width` units, each activation with the start made for it, both optimizers from the same
    weights; `seeds` trainings of each pair.

    Source: Glorot, Bordes, Bengio 2011 (the terrain); Kingma and Ba 2015, section 2.1 (the vehicle).

    >>> run = Terrain(epochs=1, depth=1).run("relu", "adam", seed=0)
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
    subject = "Sigmoid or ReLU, gradient descent or Adam: what each of the two choices does to delta and to the loss."
    quick: ClassVar[Mapping[str, Any]] = {"epochs": 14, "seeds": 1}

    def run(self, activation: str, optimizer: str, seed: int) -> Run:
        """A training of one pair."""
        return run_to_end(Spec.of(self.table(activation, optimizer, seed)))

    def tell(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "The activation shapes the terrain: how much of delta arrives at the first layers. The optimizer is the"
            " vehicle: what it makes of a small gradient. Four networks that differ in these two choices alone learn"
            f" the same data: {self.depth} hidden layers of {self.width} units, {self.epochs} epochs, {self.seeds}"
            f" {'seed' if self.seeds == 1 else 'seeds'}."
        )
        pairs: dict[str, _Pair] = {}
        names = [(activation, optimizer) for activation in ("sigmoid", "relu") for optimizer in ("sgd", "adam")]
        for place, (activation, optimizer) in enumerate(names):
            name = f"{activation} + {optimizer}"
            yield ProgressMessage(f"training {name}", place / len(names))
            runs = [self.run(activation, optimizer, seed) for seed in range(self.seeds)]
            pairs[name] = _Pair(runs, watched(self.table(activation, optimizer, 0)))
        yield from self._losses(pairs)
        yield from self._deltas(pairs)
        yield from self._claims(pairs)
        yield Suggestion(
            "ten times the rate of gradient descent, in place of Adam", "thalweg lesson terrain --set sgd_rate=1.0"
        )
        yield Suggestion("one hidden layer: no terrain to speak of", "thalweg lesson terrain --set depth=1")
        yield Suggestion("six hidden layers", "thalweg lesson terrain --set depth=6")

    def table(self, activation: str, optimizer: str, seed: int) -> dict[str, Any]:
        """The spec of one pair."""
        classes = classes_of(self.data, seed).outputs
        rate = self.adam_rate if optimizer == "adam" else self.sgd_rate
        return {
            "data": {"source": self.data, "validation": 0.0},
            "network": {"layers": [*[f"dense {self.width}", activation] * self.depth, f"dense {classes}", "softmax"]},
            "optimizer": {"kind": optimizer, "learning_rate": rate},
            "training": {"epochs": self.epochs, "seed": seed},
        }

    def _losses(self, pairs: Mapping[str, _Pair]) -> Iterator[Block]:
        early = min(_EARLY, self.epochs)
        ends = {name: pair.losses[:, [0, -1]].mean(axis=0) for name, pair in pairs.items()}
        yield Table(
            "Mean over the seeds",
            ["pair", f"loss in epoch {early}", f"loss in epoch {self.epochs}", "test rows right"],
            [
                [name, *pair.losses[:, [early - 1, -1]].mean(axis=0), float(pair.right.mean())]
                for name, pair in pairs.items()
            ],
        )
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
            "Loss by epoch, mean of the seeds and the range that they span. From the first epoch to the last it goes "
            + "; ".join(f"from {low:.2g} to {high:.2g} ({name})" for name, (low, high) in ends.items())
            + ".",
        )

    def _deltas(self, pairs: Mapping[str, _Pair]) -> Iterator[Block]:
        yield Chart(
            delta_by_layer(
                {name: pair.watched.deltas() for name, pair in pairs.items()},
                range(1, self.depth + 2),
                "Delta by layer over the training",
                next(iter(pairs.values())).watched.steps,
            ),
            "Layers from the input (below) to the output (above), over the steps. A slope of colour from below to above"
            " is terrain: delta that is lost on the way. Where all layers grow dark at once the rows are told right.",
        )
        rows = []
        for name, pair in pairs.items():
            first = pair.watched.traces[0]
            deltas, update = pair.watched.deltas()[0], first.updates[0].W
            rows.append([name, deltas[0], deltas[-1], rms(first.grads[0].W), rms(update)])
        yield Table(
            "The first step: rms of delta at the first and the last layer, of dL/dW(1), and of the update of W(1)",
            ["pair", "delta(1)", f"delta({self.depth + 1})", "dL/dW(1)", "ΔW(1)"],
            rows,
        )
        yield Text(
            "Gradient descent moves W(1) in proportion to its gradient: where little of delta arrives, hardly at all."
            " Adam divides by the size of the gradient and takes steps of about the learning rate on either terrain: it"
            " makes up for a small delta, as long as its direction is right."
        )

    def _claims(self, pairs: Mapping[str, _Pair]) -> Iterator[Block]:
        stuck = float(pairs["sigmoid + sgd"].right.max())
        yield Check(
            f"sigmoid + sgd guesses with every seed: at most {stuck:.0%} right, below {_GUESSING:.0%}",
            stuck < _GUESSING,
        )
        for name in ("sigmoid + adam", "relu + sgd", "relu + adam"):
            least = float(pairs[name].right.min())
            yield Check(
                f"{name} learns with every seed: at least {least:.0%} right, above {_LEARNT:.0%}", least > _LEARNT
            )
        early = min(_EARLY, self.epochs) - 1
        others = np.min([pair.losses[:, early] for name, pair in pairs.items() if name != "relu + adam"], axis=0)
        yield Check(
            f"relu + adam has the lowest loss of the four in epoch {early + 1}, with every seed",
            bool((pairs["relu + adam"].losses[:, early] < others).all()),
        )
        starts = {name: pair.watched.deltas()[0] for name, pair in pairs.items()}
        left = {kind: float(starts[f"{kind} + sgd"][0] / starts[f"{kind} + sgd"][-1]) for kind in ("sigmoid", "relu")}
        yield Check(
            f"Before training {left['sigmoid']:.1e} of delta arrives at the first layer through sigmoids, and"
            f" {left['relu']:.1e} through ReLU: at least thirty times as much",
            left["relu"] > 30 * left["sigmoid"],
        )
        yield Check(
            "Adam's first update of W(1) is as large as the learning rate under sigmoid and under ReLU (median of"
            " |ΔW(1)| / η where there is a gradient)",
            np.array([self._stride(pairs[f"{kind} + adam"].watched) for kind in ("sigmoid", "relu")]),
            np.ones(2),
            0.01,
        )

    def _stride(self, seen: Watched) -> float:
        first = seen.traces[0]
        strides = np.abs(first.updates[0].W[first.grads[0].W != 0])
        return float(np.median(strides)) / float(first.learning_rate) if strides.size else 0.0
