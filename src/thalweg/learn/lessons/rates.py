"""Learning rates on the rings: momentum, halving by the clock, and reduction on a plateau, paired by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ...core.intervals import difference
from ...core.progress import ProgressMessage
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...parts.metric_schedules import ReduceOnPlateau
from ...parts.optimizers import SGD, Momentum
from ...parts.part import Count, Fraction, NonNegative, Optimizer, Positive
from ...parts.schedules import StepDecay
from ...runs.train import run_to_end
from ...spec.spec import Spec
from .lesson import Lesson

_LAYERS = ["dense 32", "relu", "dense 16", "relu", "dense 2", "softmax"]
_PLAIN, _SAME, _STEADY, _HALVED = "no momentum", "no momentum, η/(1-μ)", "momentum", "momentum, halved"
_FIXED, _PLATEAU = "fixed rate", "reduced on plateau"

Records = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Rates(Lesson, kind="rates"):
    """Momentum and decay on clean rings, a fixed rate against reduction on plateau on overlapping ones; 2-32-16-2.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, sections 8.3.1 and 8.3.2; PyTorch, ReduceLROnPlateau.

    >>> losses = Rates(seeds=2, epochs=2).losses(SGD(0.01), noise=0.05)
    >>> {name: values.shape for name, values in losses.items()}
    {'loss': (2, 2), 'validation_loss': (2, 2), 'learning_rate': (2, 2)}
    """

    title = "Rates: momentum, halving, and reduction on a plateau"
    subject = "Three ways to run the learning rate on the rings, and what a plateau does to it; paired seeds."
    quick: ClassVar[Mapping[str, Any]] = {"seeds": 4}

    samples: Count = 1000
    noise: NonNegative = 0.05
    overlap: NonNegative = 0.2
    rate: Positive = 0.01
    steady_rate: Positive = 0.005
    momentum: Fraction = 0.9
    halved_every: Count = 10
    patience: Count = 3
    epochs: Annotated[int, Field(ge=2, strict=True)] = 60
    seeds: Annotated[int, Field(ge=2, strict=True)] = 8

    def losses(self, optimizer: Optimizer, noise: float) -> dict[str, np.ndarray]:
        """The records (seeds, epochs) of a training for each seed: the losses, and the rate."""
        rings = {"kind": "rings", "samples": self.samples, "noise": noise}
        sections = {
            "data": {"source": rings, "validation": 0.2, "test": 0.0},
            "network": {"layers": _LAYERS},
            "optimizer": optimizer,
        }
        training = {"epochs": self.epochs}
        runs = [run_to_end(Spec.of({**sections, "training": {**training, "seed": seed}})) for seed in range(self.seeds)]
        names = ("loss", "validation_loss", "learning_rate")
        return {name: np.array([[record[name] for record in run.history] for run in runs]) for name in names}

    def clean(self) -> dict[str, Optimizer]:
        """What is compared on the rings that do not overlap."""
        halved = StepDecay(self.rate, factor=0.5, every=f"{self.halved_every} epochs")
        return {
            _PLAIN: SGD(self.rate),
            _SAME: SGD(self.steady_rate / (1 - self.momentum)),
            _STEADY: Momentum(self.steady_rate, self.momentum),
            _HALVED: Momentum(halved, self.momentum),
        }

    def overlapping(self) -> dict[str, Optimizer]:
        """What is compared on the rings that overlap."""
        plateau = ReduceOnPlateau(self.rate, factor=0.5, patience=self.patience)
        return {_FIXED: Momentum(self.rate, self.momentum), _PLATEAU: Momentum(plateau, self.momentum)}

    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The page."""
        found: dict[str, dict[str, np.ndarray]] = {}
        plans = [(self.noise, *item) for item in self.clean().items()]
        plans += [(self.overlap, *item) for item in self.overlapping().items()]
        for number, (noise, name, optimizer) in enumerate(plans):
            yield ProgressMessage(f"{name}: {self.seeds} trainings", number / len(plans))
            found[name] = self.losses(optimizer, noise)
        yield Text(
            f"A 2-32-16-2 network learns to tell a disc from the ring around it, {self.epochs} epochs long, with "
            f"{self.seeds} seeds. For each seed all have the same points, weights and order of the rows; only the rate "
            "is another. A difference is told with the interval that holds its mean with a probability of 95 %."
        )
        yield from self._momentum_and_decay({name: found[name] for name in self.clean()})
        yield from self._plateau({name: found[name] for name in self.overlapping()})
        yield Suggestion(
            "the same rate with and without momentum", f"thalweg lesson rates --set steady_rate={self.rate:g}"
        )
        yield Suggestion("halve later: the steps stay long enough", "thalweg lesson rates --set halved_every=30")
        yield Suggestion("reduce sooner", "thalweg lesson rates --set patience=1")
        yield Suggestion("rings that overlap more", "thalweg lesson rates --set overlap=0.3")

    def _momentum_and_decay(self, found: Records) -> Iterator[Block]:
        yield Heading("Momentum and decay")
        steady, plain = self.steady_rate / (1 - self.momentum), self.rate
        yield Formula(
            f"{_PLAIN}: η = {plain:g};   {_STEADY}: μ = {self.momentum:g}, η = {self.steady_rate:g}\n"
            f"{_HALVED}: μ = {self.momentum:g}, η = {plain:g} · ½^⌊epoch / {self.halved_every}⌋\n"
            f"{_SAME}: η = {self.steady_rate:g} / (1 - {self.momentum:g}) = {steady:.3g}"
        )
        yield Text(
            "Where the gradient keeps its direction, momentum adds up to steps 1 / (1 - μ) times as long: η / (1 - μ) "
            f"is the rate to compare with. For {_STEADY} that is {steady:.3g}, {steady / plain:.3g} times the rate of "
            f"{_PLAIN}. A halved rate has a long first part and then shorter and shorter steps."
        )
        losses = {name: values["loss"] for name, values in found.items()}
        means = {name: values.mean(axis=0) for name, values in losses.items()}
        bands = {name: (values.min(axis=0), values.max(axis=0)) for name, values in losses.items()}
        epochs = range(1, self.epochs + 1)
        figure = curves(epochs, means, "Training loss", "epoch", "training loss", log=True, bands=bands)
        yield Chart(figure, "The training loss by epoch: mean and range over the seeds.")
        early = min(self.halved_every, self.epochs) - 1
        columns = ("rate", f"loss after {early + 1} epochs", f"loss after {self.epochs} epochs", "validation loss")
        kept = {name: (v["loss"][:, early], v["loss"][:, -1], v["validation_loss"][:, -1]) for name, v in found.items()}
        rows = [(name, *(float(values.mean()) for values in each)) for name, each in kept.items()]
        yield Table(f"Means of {self.seeds} seeds", columns, rows)
        gain = difference(losses[_STEADY][:, -1], losses[_PLAIN][:, -1])
        same = difference(losses[_STEADY][:, -1], losses[_SAME][:, -1])
        ahead = difference(losses[_HALVED][:, early], losses[_STEADY][:, early])
        behind = difference(losses[_HALVED][:, -1], losses[_STEADY][:, -1])
        told = [
            (f"{_STEADY} - {_PLAIN}", self.epochs, str(gain), gain.verdict),
            (f"{_STEADY} - {_SAME}", self.epochs, str(same), same.verdict),
            (f"{_HALVED} - {_STEADY}", early + 1, str(ahead), ahead.verdict),
            (f"{_HALVED} - {_STEADY}", self.epochs, str(behind), behind.verdict),
        ]
        yield Table("Differences of the training loss", ("difference", "after epochs", "mean and interval", ""), told)
        yield Check("Momentum ends with a lower loss than no momentum", gain.verdict, "lower")
        says = (
            "That is the longer step: without momentum at η / (1 - μ) the loss differs by less than a tenth of the gain"
        )
        yield Check(says, abs(same.mean) < 0.1 * abs(gain.mean))
        yield Check(f"After {early + 1} epochs the rate that will be halved is ahead", ahead.verdict, "lower")
        says = "At the end it is behind: on rings that do not overlap nothing is gained by shorter steps"
        yield Check(says, behind.verdict, "higher")

    def _plateau(self, found: Records) -> Iterator[Block]:
        yield Heading("A fixed rate against reduction on a plateau")
        yield Text(
            f"Here the rings overlap (noise {self.overlap:g}), so that no loss of 0 is to be had and each batch pulls "
            f"elsewhere. A fixed rate of {self.rate:g} goes on shaking the weights. The other one starts at the same "
            f"rate and is halved whenever the validation loss has not become better for more than {self.patience} "
            "epochs."
        )
        held_out = {name: values["validation_loss"] for name, values in found.items()}
        moved = {name: np.abs(np.diff(values, axis=1)).mean(axis=0) for name, values in held_out.items()}
        epochs = range(2, self.epochs + 1)
        figure = curves(epochs, moved, "How far the validation loss moves", "epoch", "change in an epoch", log=True)
        yield Chart(figure, "How far the validation loss moves from one epoch to the next: mean of the seeds.")
        last = min(10, self.epochs)
        shake = {name: values[:, -last:].std(axis=1) for name, values in held_out.items()}
        columns = (
            "rate",
            "rate at the end",
            "validation loss at the end",
            f"its deviation over the last {last} epochs",
        )
        rows = [
            (
                name,
                float(found[name]["learning_rate"][:, -1].mean()),
                float(held_out[name][:, -1].mean()),
                float(shake[name].mean()),
            )
            for name in found
        ]
        yield Table(f"Means of {self.seeds} seeds", columns, rows)
        calmer = difference(shake[_PLATEAU], shake[_FIXED])
        better = difference(held_out[_PLATEAU][:, -1], held_out[_FIXED][:, -1])
        yield Text(
            f"Reduced minus fixed: deviation {calmer}, {calmer.verdict}; validation loss at the end {better}, "
            f"{better.verdict}."
        )
        says = "Reduction on plateau calms the end of the training: the validation loss moves less from epoch to epoch"
        yield Check(says, calmer.verdict, "lower")
        reduced = found[_PLATEAU]["learning_rate"][:, -1]
        yield Check("With every seed the rate has been reduced", bool((reduced < 0.9 * self.rate).all()))
