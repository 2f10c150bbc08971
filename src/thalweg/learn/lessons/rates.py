"""Learning rates on the rings: momentum, halving at fixed epochs, and reduction on a plateau, paired by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.intervals import difference
from ...core.progress import ProgressMessage
from ...experiments.prose import difference_cell
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...pages.numbers import number
from ...parts.optimizers import SGD, Momentum
from ...parts.part import Count, Fraction, NonNegative, Optimizer, Positive
from ...parts.schedules import StepDecay
from ...parts.schedules.metric_schedules import ReduceOnPlateau
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ..lesson import Lesson

_LAYERS = ["dense 32", "relu", "dense 16", "relu", "dense 2", "softmax"]
_PLAIN = "no momentum"
_SCALED = "no momentum, η/(1-μ)"
_STEADY = "momentum"
_HALVED = "momentum, halved"
_FIXED = "fixed rate"
_PLATEAU = "reduced on plateau"

Records = Mapping[str, Mapping[str, Array]]
"""By optimizer and measure: the values (seeds, epochs)."""


@dataclass(frozen=True)
class RatesLesson(Lesson, kind="rates"):
    """Momentum and decay on clean rings, a fixed rate against reduction on a plateau on overlapping ones; 2-32-16-2.

    Source: Goodfellow, Bengio, Courville 2016, Deep Learning, sections 8.3.1 and 8.3.2; PyTorch, ReduceLROnPlateau.

    Attributes:
        samples: The number of points.
        noise: The standard deviation of the noise of the clean rings.
        overlap: The same of the overlapping rings.
        rate: The learning rate without momentum, before the first halving, and on the overlapping rings.
        steady_rate: The fixed learning rate with momentum.
        momentum: The momentum μ.
        halved_every: The number of epochs between two halvings.
        patience: The number of epochs without improvement that are tolerated before the rate is reduced.
        epochs: The number of epochs.
        seeds: The number of trainings of each kind.

    >>> losses = RatesLesson(seeds=2, epochs=2).losses(SGD(0.01), noise=0.05)
    >>> {name: values.shape for name, values in losses.items()}
    {'loss': (2, 2), 'validation_loss': (2, 2), 'learning_rate': (2, 2)}
    """

    title = "Rates: momentum, halving, and reduction on a plateau"
    subject = "Three schedules of the learning rate on the rings, and the effect of a plateau; paired seeds."
    chapter = "The way down"
    place = 2
    quick: ClassVar[Mapping[str, object]] = {"seeds": 4}

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

    def losses(self, optimizer: Optimizer, noise: float) -> dict[str, Array]:
        """Train with each seed, and return the losses and the learning rate by epoch, each (seeds, epochs)."""
        sections = self._sections(optimizer, noise)
        training = {"epochs": self.epochs}
        runs = [run_to_end(Spec.of({**sections, "training": {**training, "seed": seed}})) for seed in range(self.seeds)]
        names = ("loss", "validation_loss", "learning_rate")
        return {name: np.array([[record[name] for record in run.history] for run in runs]) for name in names}

    def _sections(self, optimizer: Optimizer, noise: float) -> dict[str, object]:
        rings = {"kind": "rings", "samples": self.samples, "noise": noise}
        return {
            "data": {"source": rings, "validation": 0.2, "test": 0.0},
            "network": {"layers": _LAYERS},
            "optimizer": optimizer,
        }

    def clean(self) -> dict[str, Optimizer]:
        """The optimizers that are compared on the rings that do not overlap."""
        halved = StepDecay(self.rate, factor=0.5, every=f"{self.halved_every} epochs")
        return {
            _PLAIN: SGD(self.rate),
            _SCALED: SGD(self.steady_rate / (1 - self.momentum)),
            _STEADY: Momentum(self.steady_rate, self.momentum),
            _HALVED: Momentum(halved, self.momentum),
        }

    def overlapping(self) -> dict[str, Optimizer]:
        """The optimizers that are compared on the rings that overlap."""
        plateau = ReduceOnPlateau(self.rate, factor=0.5, patience=self.patience)
        return {_FIXED: Momentum(self.rate, self.momentum), _PLATEAU: Momentum(plateau, self.momentum)}

    @property
    def playground(self) -> Spec:
        return Spec.of({**self._sections(self.clean()[_STEADY], self.noise), "training": {"epochs": self.epochs}})

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        records: dict[str, dict[str, Array]] = {}
        plans = [(self.noise, *item) for item in self.clean().items()]
        plans += [(self.overlap, *item) for item in self.overlapping().items()]
        for index, (noise, name, optimizer) in enumerate(plans):
            yield ProgressMessage(f"{name}: {self.seeds} trainings", index / len(plans))
            records[name] = self.losses(optimizer, noise)
        yield Text(
            f"A 2-32-16-2 network learns to separate a disc from the ring around it, in {self.epochs} epochs, with "
            f"{self.seeds} seeds. For each seed all trainings have the same points, initial weights and order of the "
            "rows; only the learning rate differs. Each difference is given with its 95 % interval."
        )
        yield from self._momentum_and_decay({name: records[name] for name in self.clean()})
        yield from self._plateau({name: records[name] for name in self.overlapping()})
        yield Suggestion(
            "the same learning rate with and without momentum",
            f"thalweg lesson rates --set steady_rate={self.rate:g}",
        )
        yield Suggestion("halve later: the steps stay long enough", "thalweg lesson rates --set halved_every=30")
        yield Suggestion("reduce sooner", "thalweg lesson rates --set patience=1")
        yield Suggestion("rings that overlap more", "thalweg lesson rates --set overlap=0.3")

    def _momentum_and_decay(self, records: Records) -> Iterator[Block]:
        yield Heading("Momentum and decay")
        scaled = self.steady_rate / (1 - self.momentum)
        rate = number(self.rate)
        momentum = number(self.momentum)
        yield Formula(
            f"{_PLAIN}: η = {rate};   {_STEADY}: μ = {momentum}, η = {number(self.steady_rate)}\n"
            f"{_HALVED}: μ = {momentum}, η = {rate} · ½^⌊epoch / {self.halved_every}⌋\n"
            f"{_SCALED}: η = {number(self.steady_rate)} / (1 - {momentum}) = {number(scaled, 3)}"
        )
        yield Text(
            "If the gradient keeps its direction, momentum adds up to steps that are 1 / (1 - μ) times as long, so "
            f"η / (1 - μ) is the learning rate to compare with. For {_STEADY} this is {number(scaled, 3)}, "
            f"{number(scaled / self.rate, 3)} times the learning rate of {_PLAIN}. A halved learning rate starts with "
            "long steps, which then become shorter and shorter."
        )
        losses = {name: values["loss"] for name, values in records.items()}
        figure = curves(
            range(1, self.epochs + 1),
            {name: values.mean(axis=0) for name, values in losses.items()},
            "Training loss",
            "epoch",
            "training loss",
            log=True,
            bands={name: (values.min(axis=0), values.max(axis=0)) for name, values in losses.items()},
        )
        yield Chart(figure, "The training loss by epoch: mean and range over the seeds.")
        early = min(self.halved_every, self.epochs)
        yield Table(
            f"Means of {self.seeds} seeds",
            ("optimizer", f"loss after {early} epochs", f"loss after {self.epochs} epochs", "validation loss"),
            [
                (
                    name,
                    float(values["loss"][:, early - 1].mean()),
                    float(values["loss"][:, -1].mean()),
                    float(values["validation_loss"][:, -1].mean()),
                )
                for name, values in records.items()
            ],
        )
        yield from self._loss_differences(losses, early)

    def _loss_differences(self, losses: Mapping[str, Array], early: int) -> Iterator[Block]:
        """The differences of the training loss after `early` epochs and at the end."""
        gain = difference(losses[_STEADY][:, -1], losses[_PLAIN][:, -1])
        against_scaled = difference(losses[_STEADY][:, -1], losses[_SCALED][:, -1])
        halved_early = difference(losses[_HALVED][:, early - 1], losses[_STEADY][:, early - 1])
        halved_late = difference(losses[_HALVED][:, -1], losses[_STEADY][:, -1])
        rows = [
            (f"{_STEADY} - {_PLAIN}", self.epochs, gain),
            (f"{_STEADY} - {_SCALED}", self.epochs, against_scaled),
            (f"{_HALVED} - {_STEADY}", early, halved_early),
            (f"{_HALVED} - {_STEADY}", self.epochs, halved_late),
        ]
        yield Table(
            "Differences of the training loss",
            ("difference", "after epochs", "mean and interval", ""),
            [(name, epochs, difference_cell("loss", change), change.verdict) for name, epochs, change in rows],
        )
        yield Check("Momentum ends with a lower loss than no momentum", gain.verdict, "lower")
        yield Check(
            "The longer steps explain this: without momentum at η / (1 - μ) the loss differs by less than a tenth of "
            "the gain",
            abs(against_scaled.mean) < 0.1 * abs(gain.mean),
        )
        yield Check(
            f"After {early} epochs the learning rate that is halved later is ahead", halved_early.verdict, "lower"
        )
        yield Check(
            "At the end it is behind: on rings that do not overlap shorter steps gain nothing",
            halved_late.verdict,
            "higher",
        )

    def _plateau(self, records: Records) -> Iterator[Block]:
        yield Heading("A fixed rate against reduction on a plateau")
        yield Text(
            f"Here the rings overlap (noise {number(self.overlap)}), so that a loss of 0 is impossible and each batch "
            f"pulls in another direction. A fixed learning rate of {number(self.rate)} keeps shaking the weights. The "
            "other one starts at the same value and is halved whenever the validation loss has not improved for more "
            f"than {self.patience} epochs."
        )
        validation = {name: values["validation_loss"] for name, values in records.items()}
        figure = curves(
            range(2, self.epochs + 1),
            {name: np.abs(np.diff(values, axis=1)).mean(axis=0) for name, values in validation.items()},
            "Change of the validation loss",
            "epoch",
            "change in an epoch",
            log=True,
        )
        yield Chart(figure, "The change of the validation loss from one epoch to the next: mean of the seeds.")
        last = min(10, self.epochs)
        deviations = {name: values[:, -last:].std(axis=1) for name, values in validation.items()}
        yield Table(
            f"Means of {self.seeds} seeds",
            (
                "rate",
                "rate at the end",
                "validation loss at the end",
                f"its standard deviation over the last {last} epochs",
            ),
            [
                (
                    name,
                    float(values["learning_rate"][:, -1].mean()),
                    float(validation[name][:, -1].mean()),
                    float(deviations[name].mean()),
                )
                for name, values in records.items()
            ],
        )
        calmer = difference(deviations[_PLATEAU], deviations[_FIXED])
        better = difference(validation[_PLATEAU][:, -1], validation[_FIXED][:, -1])
        yield Text(
            f"Reduced minus fixed: standard deviation {calmer}, {calmer.verdict}; validation loss at the end {better}, "
            f"{better.verdict}."
        )
        yield Check(
            "Reduction on a plateau calms the end of the training: the validation loss changes less between epochs",
            calmer.verdict,
            "lower",
        )
        final = records[_PLATEAU]["learning_rate"][:, -1]
        yield Check("With every seed the learning rate was reduced", bool((final < 0.9 * self.rate).all()))
