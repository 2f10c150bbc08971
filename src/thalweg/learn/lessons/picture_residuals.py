"""Why depth needs residuals: plain and residual networks of convolutions, by depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array, Params, map_arrays, rms
from ...core.noise import generator
from ...core.progress import ProgressMessage
from ...data import Arrays, Data, Dataset, Source
from ...engine.step import Batch, forward_backward, fused
from ...models.network import Network
from ...pages.blocks import Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves
from ...pages.numbers import Share, number
from ...parts.initializers import HeNormal
from ...parts.layers.residual import Branch
from ...parts.losses import CrossEntropy
from ...parts.part import Count, ForwardContext, Positive
from ...runs.run import Run
from ...runs.train import run_to_end
from ...spec.spec import Spec
from ...training.batch_plan import as_batch
from ..lesson import Lesson

_DESIGNS = ("plain", "residual")
_ROWS = 64
_DRAWS = 3
_CLASSES = 10
# Layers before the first block: reshape, convolution, batch normalisation, ReLU; and after the last one.
_STEM = 3
_HEAD = 3

Blocks = Annotated[tuple[Annotated[int, Field(ge=1, le=30, strict=True)], ...], Field(min_length=2)]


class DepthArm(NamedTuple):
    """One of the networks that are compared."""

    design: str
    """"plain" or "residual"."""
    blocks: int
    """Blocks of two convolutions after the first one."""

    @property
    def convolutions(self) -> int:
        """The number of convolutions."""
        return 2 * self.blocks + 1


@dataclass(frozen=True)
class PictureResidualsLesson(Lesson, kind="picture-residuals"):
    """The same convolutions with and without shortcuts, at several depths: training loss, and delta before training.

    Each block has two convolutions with batch normalisation, f, and ends with ReLU: of f(x), or of f(x) + x.

    Source: He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition, sections 3.1 and 4.2;
    Balduzzi et al. 2017, The shattered gradients problem, section 2.

    Attributes:
        depths: The numbers of blocks of the networks.
        samples: The number of digit images.
        channels: The number of channels of each convolution.
        learning_rate: The learning rate of gradient descent.
        epochs: The number of epochs.
        batch_size: The number of images in a batch.
        seeds: The number of trainings of each network.
        noise: The standard deviation of the noise on pixels, which range from 0 to 1.

    >>> PictureResidualsLesson().delta_sizes(DepthArm("residual", 3), seed=0).shape
    (4,)
    """

    depths: Blocks = (1, 5, 11)
    samples: Count = 1797
    channels: Count = 8
    learning_rate: Positive = 0.02
    epochs: Count = 4
    batch_size: Count = 64
    seeds: Count = 2
    noise: Positive = 0.01

    title = "Why depth needs residuals"
    subject = "Convolutions with and without shortcuts by depth: which network cannot even learn its training images."
    chapter = "Pictures"
    place = 2
    quick: ClassVar[Mapping[str, object]] = {"depths": (1, 8), "samples": 900, "epochs": 5, "seeds": 1}

    def network(self, arm: DepthArm) -> Network:
        """The network of one arm."""
        convolution = {"kind": "conv2d", "width": self.channels, "kernel": 3, "padding": 1, "bias": False}
        f: list[object] = [convolution, "batch_norm", "relu", convolution, "batch_norm"]
        block = [{"kind": "residual", "layers": f}, "relu"] if arm.design == "residual" else [*f, "relu"]
        head = ["flatten", f"dense {_CLASSES}", "softmax"]
        return Network([convolution, "batch_norm", "relu", *block * arm.blocks, *head], HeNormal())

    def arms(self) -> list[DepthArm]:
        """All networks, the plain ones first."""
        return [DepthArm(design, blocks) for design in _DESIGNS for blocks in self._depths]

    @property
    def _depths(self) -> list[int]:
        return sorted(set(self.depths))

    @property
    def _data(self) -> Data:
        images = Source.of("digits").load(seed=0)
        assert images.image_shape
        assert images.y is not None
        pictures = np.asarray(images.x[: self.samples]).reshape(-1, *images.image_shape)
        return Data(Arrays(pictures, images.y[: self.samples]), validation=0.0, test=0.2)

    def table(self, arm: DepthArm, seed: int) -> dict[str, object]:
        """The spec of one training."""
        return {
            "data": self._data,
            "network": self.network(arm),
            "optimizer": f"sgd {self.learning_rate}",
            "training": {"epochs": self.epochs, "batch_size": self.batch_size, "seed": seed},
        }

    def delta_sizes(self, arm: DepthArm, seed: int) -> Array:
        """The RMS of delta before training, after the first convolution's ReLU and each block's: (blocks + 1,)."""
        deltas = self._deltas(arm, seed, noise=0.0)
        # The ReLU behind the first convolution, and that at the end of each block.
        ends = np.linspace(_STEM, len(deltas) - _HEAD - 1, arm.blocks + 1).astype(int)
        return np.array([rms(deltas[end]) for end in ends])

    def likeness(self, arm: DepthArm, seed: int) -> float:
        """The mean cosine between dL/dx of an image and that of the image with noise on its pixels, before training."""
        deltas = (np.asarray(self._deltas(arm, seed, noise)[0]) for noise in (0.0, self.noise))
        clean, noisy = (delta.reshape(len(delta), -1) for delta in deltas)
        products = (clean * noisy).sum(axis=1)
        return float(np.mean(products / np.linalg.norm(clean, axis=1) / np.linalg.norm(noisy, axis=1)))

    def _deltas(self, arm: DepthArm, seed: int, noise: float) -> Sequence[Array]:
        """The deltas of the first images; the first entry is dL/dx, as pictures."""
        network, loss = fused(self._for_rows(arm), CrossEntropy())
        start = network.initialize(seed, (self._rows.features,))
        batch = as_batch(self._rows)
        x, y = batch.x[:_ROWS].astype(float), batch.y[:_ROWS]
        x = x + noise * generator(seed, "noise").standard_normal(x.shape)
        weight = np.ones(len(x))
        context = ForwardContext(True, weight)
        return forward_backward(network, loss, start.params, start.states, Batch(x, y, weight), context).deltas

    def difference_of_silent_blocks(self, seed: int) -> float:
        """The largest difference between the outputs of the shallowest residual network and those of the deepest whose
        further blocks have f = 0."""
        shallow, deep = (self._for_rows(DepthArm("residual", blocks)) for blocks in (self._depths[0], self._depths[-1]))
        x = self._rows.x[:_ROWS].astype(float)
        small, large = (network.initialize(seed, x.shape[1:]) for network in (shallow, deep))
        shared = len(shallow.layers) - _HEAD
        further = tuple(_silenced(params) for params in large.params[shared:-_HEAD])
        mixed = (*small.params[:shared], *further, *small.params[-_HEAD:])
        context = ForwardContext(training=True)
        own = shallow.forward(small.params, small.states, x, context).outputs[-1]
        return float(np.abs(deep.forward(mixed, large.states, x, context).outputs[-1] - own).max())

    @cached_property
    def _rows(self) -> Dataset:
        rows = self._data.load(0).train
        assert isinstance(rows, Dataset)
        return rows

    def _for_rows(self, arm: DepthArm) -> Network:
        return self.network(arm).for_pictures(self._rows.image_shape)

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        arms = self.arms()
        runs: dict[DepthArm, list[Run]] = {}
        for index, arm in enumerate(arms):
            yield ProgressMessage(
                f"{arm.design}, {arm.convolutions} convolutions: {self.seeds} trainings", index / len(arms)
            )
            runs[arm] = [run_to_end(Spec.of(self.table(arm, seed))) for seed in range(self.seeds)]
        yield Text(
            "A deeper network can do all that a shallower one does: its further layers need only pass on what they "
            "get. So its training loss should never be worse. Here networks of "
            f"{_listed([arm.convolutions for arm in arms if arm.design == 'plain'])} convolutions of 3 × 3 with "
            f"{self.channels} channels, He's weights and batch normalisation learn {number(self.samples)} images of "
            "digits, once plain and once with a shortcut around every two convolutions."
        )
        yield Formula(
            "plain: y = max(f(x), 0)\nresidual: y = max(f(x) + x, 0)\n"
            "f = convolution, batch normalisation, ReLU, convolution, batch normalisation"
        )
        yield from self._trained(runs)
        yield from self._nothing_to_do()
        yield from self._delta()
        deeper = 2 * self._depths[-1]
        yield Suggestion(
            "a deeper network", f"thalweg lesson picture-residuals --quick --set depths=[1,{min(deeper, 30)}]"
        )
        yield Suggestion("a longer training", f"thalweg lesson picture-residuals --set epochs={5 * self.epochs}")
        yield Suggestion("all of it with vectors instead of pictures", "thalweg lesson vanishing")

    def _trained(self, runs: Mapping[DepthArm, list[Run]]) -> Iterator[Block]:
        yield Heading("After training")
        losses = {arm: np.array([run.history[-1]["loss"] for run in own]) for arm, own in runs.items()}
        mean = {arm: float(values.mean()) for arm, values in losses.items()}
        accuracy = {arm: np.mean([run.measures["test"]["accuracy"] for run in own]) for arm, own in runs.items()}
        yield Table(
            f"Means over the seeds ({self.seeds}) after {self.epochs} epochs",
            ["network", "convolutions", "training loss", "test accuracy"],
            [[arm.design, arm.convolutions, mean[arm], Share(accuracy[arm])] for arm in runs],
        )
        convolutions = [2 * blocks + 1 for blocks in self._depths]
        by_design = {design: [losses[DepthArm(design, blocks)] for blocks in self._depths] for design in _DESIGNS}
        yield Chart(
            curves(
                convolutions,
                {design: [float(values.mean()) for values in own] for design, own in by_design.items()},
                "Training loss by depth",
                "convolutions",
                "training loss",
                log=True,
                bands={
                    design: ([values.min() for values in own], [values.max() for values in own])
                    for design, own in by_design.items()
                },
            ),
            "The training loss by the number of convolutions, mean and range over the seeds. It is the loss of the "
            "images that the networks learn from: a higher one is not overfitting.",
        )
        shallow, deep = self._depths[0], self._depths[-1]
        yield Check(
            f"The plain network of {convolutions[-1]} convolutions has a higher training loss than that of "
            f"{convolutions[0]}",
            mean[DepthArm("plain", deep)] > mean[DepthArm("plain", shallow)],
        )
        yield Check(
            f"The residual network of {convolutions[-1]} convolutions has a lower training loss than that of "
            f"{convolutions[0]}",
            mean[DepthArm("residual", deep)] < mean[DepthArm("residual", shallow)],
        )
        yield Check(
            f"With {convolutions[-1]} convolutions the residual network has the lower training loss, for every seed",
            bool((losses[DepthArm("residual", deep)] < losses[DepthArm("plain", deep)]).all()),
        )

    def _nothing_to_do(self) -> Iterator[Block]:
        yield Heading("A block that does nothing")
        yield Text(
            "To do nothing, a plain block has to learn the identity, with two convolutions and a ReLU between them. A "
            "residual block has to learn f = 0: it starts there if the scale of its last batch normalisation is 0. "
            "Then its outputs are its inputs, which the ReLU below it has made positive, and the deep network is the "
            "shallow one."
        )
        shallow, deep = (2 * blocks + 1 for blocks in (self._depths[0], self._depths[-1]))
        yield Check(
            f"With f = 0 in its further blocks the residual network of {deep} convolutions has the outputs of that of "
            f"{shallow} (largest difference)",
            self.difference_of_silent_blocks(seed=0),
            0.0,
            1e-12,
        )

    def _delta(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("Delta on its way back")
        yield ProgressMessage("delta before training", None)
        yield Formula("plain: dL/dx = (df/dx)ᵀ d\nresidual: dL/dx = (df/dx)ᵀ d + d")
        deepest = self._depths[-1]
        seeds = range(_DRAWS)
        sizes = {
            design: np.mean([self.delta_sizes(DepthArm(design, deepest), seed) for seed in seeds], axis=0)
            for design in _DESIGNS
        }
        yield Chart(
            curves(range(deepest + 1), sizes, "Delta before training, by block", "block", "rms of delta", log=True),
            f"The root mean square of delta, from the first convolution (0) to the last block ({deepest}). Batch "
            "normalisation keeps it from vanishing in both networks: on the way back, from right to left, it grows.",
        )
        yield Check(
            "Delta does not vanish: it is larger at the first convolution than at the last block, in both networks",
            [bool(size[0] > size[-1]) for size in sizes.values()],
            [True, True],
        )
        yield Text(
            "The size of delta is not the reason. Its direction is: without a shortcut it depends on the image so "
            "irregularly that it points elsewhere for an image that is almost the same, and what a step gains for one "
            "is no gain for the other. The figure compares dL/dx of an image with dL/dx of the same image with noise "
            f"of {number(self.noise)} on its pixels, which range from 0 to 1: a cosine of 1 is the same direction, 0 "
            "is no relation."
        )
        likeness = {
            design: [
                np.mean([self.likeness(DepthArm(design, blocks), seed) for seed in seeds]) for blocks in self._depths
            ]
            for design in _DESIGNS
        }
        convolutions = [2 * blocks + 1 for blocks in self._depths]
        yield Chart(
            curves(convolutions, likeness, "Likeness of dL/dx for almost equal images", "convolutions", "mean cosine"),
            f"The mean cosine by the number of convolutions, over the first images ({_ROWS}) and {_DRAWS} draws of "
            f"the weights. With {convolutions[-1]} convolutions it is {number(likeness['plain'][-1], 2)} in the plain "
            f"network and {number(likeness['residual'][-1], 2)} in the residual one.",
        )
        yield Check(
            f"With {convolutions[-1]} convolutions the residual network's cosine is at most half as far from 1 as that "
            "of the plain one",
            1 - likeness["residual"][-1] < (1 - likeness["plain"][-1]) / 2,
        )
        yield Check("The deeper the plain network, the less alike", bool((np.diff(likeness["plain"]) < 0).all()))


def _listed(numbers: Sequence[int]) -> str:
    """Numbers in a sentence."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}"


def _silenced(entry: Params) -> Params:
    """The parameters of a residual block whose last batch normalisation has scale and shift 0; others unchanged."""
    if not isinstance(entry, Branch):
        return entry
    *inner, last = entry.layers
    return entry._replace(layers=(*inner, map_arrays(np.zeros_like, last)))
