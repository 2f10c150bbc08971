"""What a convolution sees: a kernel by hand on a small picture, its backward pass, fans, initialisation and pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array
from ...core.errors import InputError
from ...core.noise import generator
from ...core.progress import ProgressMessage
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Chart, Check, Formula, Heading, Suggestion, Table, Text
from ...pages.figures import curves, picture_row
from ...pages.numbers import number
from ...parts.initializers import HeNormal, Normal, fans
from ...parts.layers import AveragePool2d, Conv2d, MaxPool2d
from ...parts.layers.convolution import BareKernels
from ...parts.layers.windows import patches
from ...parts.part import Count, ForwardContext, Initializer, Number, Positive
from ..lesson import Lesson

_FORWARD = ForwardContext(training=True)
_STEP = 1e-5
_PICTURES = 8

_Row = Annotated[tuple[Number, ...], Field(min_length=1, max_length=12)]
Matrix = Annotated[tuple[_Row, ...], Field(min_length=1, max_length=12)]
"""Rows of numbers, small enough to be shown."""

# A bright bar, two pixels wide, on a dark ground.
_BAR = ((0.0, 0.0, 1.0, 1.0, 0.0),) * 4 + ((0.0, 0.0, 0.0, 0.0, 0.0),)
_EDGE = ((-1.0, 1.0), (-1.0, 1.0))


class ConvolutionPass(NamedTuple):
    """A convolution forward and backward, its loss ½ Σ (z - t)²: pictures and maps as (height, width)."""

    z: Array
    loss: float
    delta: Array
    W_gradient: Array
    x_gradient: Array


@dataclass(frozen=True)
class ConvolutionLesson(Lesson, kind="convolution"):
    """A convolution of one picture by hand, both ways; what its few weights mean for their start; both poolings.

    The loss is ½ Σ (z - t)² with a target t of 0: it asks the kernel to be silent on this picture.

    Raises InputError for a picture or a kernel whose rows have different lengths, a kernel that is no square, and a
    kernel that leaves fewer than 2 x 2 places.

    Source: Goodfellow, Bengio, Courville 2016, section 9.1 and equations 9.6 and 9.9 to 9.11; He, Zhang, Ren, Sun 2015,
    equation 10.

    Attributes:
        picture: The brightness of each pixel, row by row.
        kernel: The weights of the kernel, row by row.
        learning_rate: The learning rate of the step.
        layers: The number of convolutions in the stack whose start is examined.
        channels: The number of channels of each of them.
        window: The height and width of their kernels.
        seeds: The number of draws of their weights.

    >>> lesson = ConvolutionLesson()
    >>> lesson.forward_backward(lesson.pixels, lesson.weights).z[0].tolist()
    [0.0, 2.0, 0.0, -2.0]
    """

    picture: Matrix = _BAR
    kernel: Matrix = _EDGE
    learning_rate: Positive = 0.02
    layers: Annotated[int, Field(ge=2, le=12, strict=True)] = 8
    channels: Count = 16
    window: Annotated[int, Field(ge=2, le=5, strict=True)] = 3
    seeds: Count = 5

    title = "What a convolution sees"
    subject = "A kernel by hand on a small picture, its backward pass, its fans and their start, and pooling."
    chapter = "Pictures"
    place = 1
    quick: ClassVar[Mapping[str, object]] = {"seeds": 3}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, rows in (("picture", self.picture), ("kernel", self.kernel)):
            if len({len(row) for row in rows}) > 1:
                raise InputError(name, "expected rows of one length, received " + ", ".join(str(len(r)) for r in rows))
        kernel = self.weights.shape
        if kernel[0] != kernel[1]:
            raise InputError("kernel", f"expected as many rows as columns, received {kernel[0]} x {kernel[1]}")
        if min(self.pixels.shape) <= kernel[0]:
            size = " x ".join(map(str, self.pixels.shape))
            raise InputError(
                "kernel", f"expected a kernel smaller than the picture of {size}, received {kernel[0]} rows"
            )

    @property
    def pixels(self) -> Array:
        """The picture (height, width)."""
        return np.array(self.picture)

    @property
    def weights(self) -> Array:
        """The kernel (kernel, kernel)."""
        return np.array(self.kernel)

    @property
    def layer(self) -> Conv2d:
        """The convolution of the engine that computes the numbers of the page."""
        return Conv2d(1, kernel=len(self.kernel), bias=False)

    def forward_backward(self, pixels: Array, weights: Array) -> ConvolutionPass:
        """Both passes of the convolution of a picture (height, width) with a kernel (kernel, kernel)."""
        params = BareKernels(weights[:, :, None, None])
        z, _, cache = self.layer.forward(params, (), pixels[None, :, :, None], _FORWARD)
        x_gradient, grads = self.layer.backward(params, cache, z)
        return ConvolutionPass(
            z[0, :, :, 0], 0.5 * float((z**2).sum()), z[0, :, :, 0], grads.W[:, :, 0, 0], x_gradient[0, :, :, 0]
        )

    def sizes(self, init: Initializer) -> Array:
        """The RMS of z after each convolution of a stack with ReLU, relative to the picture, over all seeds: (layers,).

        No frame of zeros is added, so that each pixel has the whole window below it.
        """
        layer = Conv2d(self.channels, kernel=self.window)
        network = Network([layer, "relu"] * self.layers, init)
        side = self.layers * (self.window - 1) + 4
        pictures = generator(0, "pictures").standard_normal((_PICTURES, side, side, self.channels))
        squares = []
        for seed in range(self.seeds):
            start = network.initialize(seed, pictures.shape[1:])
            outputs = network.forward(start.params, start.states, pictures, _FORWARD).outputs
            squares.append([np.mean(z**2) for z in outputs[::2]])
        return np.sqrt(np.mean(squares, axis=0))

    def blocks(self) -> Iterator[Block | ProgressMessage]:
        yield Text(
            "A dense layer has a weight for each pixel and each unit. A convolution has one small window of weights, "
            "the kernel, and lays it on the picture at each place: it asks the same question everywhere. Its answers, "
            "one for each place, are a picture again, the feature map."
        )
        passed = self.forward_backward(self.pixels, self.weights)
        yield from self._forward(passed)
        yield from self._backward(passed)
        yield from self._moved(passed)
        yield from self._start()
        yield from self._pooling(passed)
        yield Suggestion(
            "a kernel for edges from left to right, of 3 × 3",
            "thalweg lesson convolution --set kernel=[[-1,-1,-1],[0,0,0],[1,1,1]]",
        )
        yield Suggestion(
            "a picture with a diagonal",
            "thalweg lesson convolution --set picture=[[1,0,0,0,0],[0,1,0,0,0],[0,0,1,0,0],[0,0,0,1,0],[0,0,0,0,1]]",
        )
        yield Suggestion("kernels of 5 × 5 in the stack", "thalweg lesson convolution --set window=5")

    def _forward(self, passed: ConvolutionPass) -> Iterator[Block]:
        size = len(self.kernel)
        yield Heading("Forward")
        yield Formula("z(i, j) = Σ W(a, b) x(i + a, j + b),  a and b over the window")
        yield ArrayBlock("x", self.pixels, remark="the picture: 1 is bright")
        yield ArrayBlock(
            "W", self.weights, remark="the kernel: it looks for bright pixels where W > 0, dark ones where W < 0"
        )
        yield ArrayBlock("z", passed.z, "W on x at each place", "the feature map")
        largest = np.abs(passed.z).max()
        yield Chart(
            picture_row(
                [self.pixels, self.weights, passed.z], ["x", "W", "z"], "Picture, kernel, feature map", "value"
            ),
            f"The picture x, the kernel W and the feature map z. Its numbers reach {number(largest)} in size where the "
            "picture has what the kernel looks for.",
        )
        row, column = np.unravel_index(np.abs(passed.z).argmax(), passed.z.shape)
        below = self.pixels[row : row + size, column : column + size]
        places = [(a, b) for a in range(size) for b in range(size)]
        products = [self.weights[place] * below[place] for place in places]
        yield Table(
            f"By hand: the place with the largest answer, row {row + 1} and column {column + 1}",
            ["weight", "W", "pixel below it", "product"],
            [
                [f"W({a + 1}, {b + 1})", self.weights[a, b], below[a, b], product]
                for (a, b), product in zip(places, products, strict=True)
            ],
            total=["sum", "", "", sum(products)],
        )
        yield Check("z at this place is the sum of the products", passed.z[row, column], sum(products), 1e-12)
        yield Text(
            "All places at once are one product of matrices, as in a dense layer: the numbers under the window at each "
            "place are the row of a matrix P x, and the kernel is a column."
        )
        matrix = _patch_matrix(self.pixels, size)
        yield ArrayBlock("P x", matrix, remark="a row for each place, a column for each weight")
        yield Check(
            "z is (P x) times the kernel as a column (largest difference)",
            _largest(matrix @ self.weights.ravel() - passed.z.ravel()),
            0.0,
            1e-12,
        )

    def _backward(self, passed: ConvolutionPass) -> Iterator[Block]:
        size = len(self.kernel)
        yield Heading("Backward")
        yield Text(
            "The loss ½ Σ z² asks the kernel to be silent on this picture, so that delta at each place is its own z. A "
            "weight acts at every place; its gradient is the sum over the places. A pixel lies under several windows; "
            "each of them gives it a share."
        )
        yield Formula(
            "L = ½ Σ z²,  d = dL/dz = z\n"
            "dL/dW(a, b) = Σ d(i, j) x(i + a, j + b):  dL/dW = (P x)ᵀ d\n"
            "dL/dx(k, l) = Σ d(i, j) W(k - i, l - j):  dL/dx = Pᵀ (d Wᵀ)"
        )
        yield ArrayBlock("dL/dW", passed.W_gradient, "(P x)ᵀ d", f"each number is a sum over {passed.z.size} places")
        yield ArrayBlock("dL/dx", passed.x_gradient, "Pᵀ (d Wᵀ)", "how each pixel changes the loss")
        yield Chart(
            picture_row(
                [self.pixels, passed.x_gradient],
                ["x", "dL/dx"],
                "The picture and its gradient",
                "value",
            ),
            "A small step against dL/dx takes the edges out of the picture: this is the saliency of the reports, "
            "before its absolute value.",
        )
        by_differences = self._differences(passed)
        yield Check(
            "dL/dW is (L(W + h) - L(W - h)) / 2h for each weight (largest difference)",
            _largest(passed.W_gradient - by_differences[0]),
            0.0,
            1e-6,
        )
        yield Check(
            "dL/dx is (L(x + h) - L(x - h)) / 2h for each pixel (largest difference)",
            _largest(passed.x_gradient - by_differences[1]),
            0.0,
            1e-6,
        )
        frame = np.pad(passed.delta, size - 1)
        turned = self.weights[::-1, ::-1]
        yield Check(
            "dL/dx is a convolution too: of d, in a frame of zeros, with the kernel turned by half a turn (largest "
            "difference)",
            _largest(passed.x_gradient - (_patch_matrix(frame, size) @ turned.ravel()).reshape(self.pixels.shape)),
            0.0,
            1e-12,
        )
        weights = self.weights - self.learning_rate * passed.W_gradient
        after = self.forward_backward(self.pixels, weights)
        yield ArrayBlock("W after one step", weights, f"W - {number(self.learning_rate)} dL/dW")
        yield Text(f"The loss was {number(passed.loss)}; with the new kernel it is {number(after.loss)}.")
        yield Check("One step of gradient descent lowers the loss", after.loss < passed.loss)

    def _differences(self, passed: ConvolutionPass) -> tuple[Array, Array]:
        """Central differences of the loss by each weight and by each pixel."""

        def slopes(values: Array, which: int) -> Array:
            slope = np.zeros(values.shape)
            for place in np.ndindex(values.shape):
                losses = []
                for sign in (1, -1):
                    moved = values.copy()
                    moved[place] += sign * _STEP
                    pair = (moved, self.weights) if which == 0 else (self.pixels, moved)
                    losses.append(self.forward_backward(*pair).loss)
                slope[place] = (losses[0] - losses[1]) / (2 * _STEP)
            return slope

        return slopes(self.weights, 1), slopes(self.pixels, 0)

    def _moved(self, passed: ConvolutionPass) -> Iterator[Block]:
        yield Heading("A picture that moves")
        moved = self.forward_backward(_down(self.pixels), self.weights).z
        yield Text(
            "Because every place has the same weights, a picture that moves by a pixel moves its feature map by a "
            "pixel. A dense layer would have to learn each position by itself."
        )
        yield Check(
            "The map of the picture moved down by a pixel is the map, moved down (largest difference below row 1)",
            _largest(moved[1:] - passed.z[:-1]),
            0.0,
            1e-12,
        )
        inputs, outputs = self.pixels.size, passed.z.size
        weights = self.weights.size
        yield Table(
            f"Weights of a layer from {inputs} pixels to {outputs} numbers",
            ["layer", "weights", "fan in", "fan out"],
            [
                ["dense", inputs * outputs, *fans((inputs, outputs))],
                ["convolution", weights, *fans((*self.weights.shape, 1, 1))],
            ],
        )

    def _start(self) -> Iterator[Block | ProgressMessage]:
        yield Heading("The start of a convolution")
        yield ProgressMessage(f"{self.layers} convolutions, {self.seeds} draws", None)
        shape = (self.window, self.window, self.channels, self.channels)
        fan_in = fans(shape)[0]
        yield Text(
            "How large the first weights should be follows from the fan in, the number of terms in the sum z: of a "
            f"convolution it is kernel² times the channels, here {self.window} · {self.window} · {self.channels} = "
            f"{fan_in}, and the size of the picture does not enter. {self.layers} convolutions with ReLU, on pictures "
            "of noise, show what a wrong count does."
        )
        yield Formula("He: Var(W) = 2 / (kernel² channels)\nrms z(l + 1) / rms z(l) ≈ √(kernel² channels · Var(W) / 2)")
        starts: dict[str, tuple[Initializer, float]] = {
            "fan in = kernel² channels": (HeNormal(), 1.0),
            "fan in = channels": (Normal(float(np.sqrt(2 / self.channels))), float(self.window)),
            "fan in = pixels of a picture of 28 × 28": (
                Normal(float(np.sqrt(2 / (784 * self.channels)))),
                self.window / 28,
            ),
        }
        sizes = {name: self.sizes(init) for name, (init, _) in starts.items()}
        yield Chart(
            curves(range(1, self.layers + 1), sizes, "Size of z by layer", "convolution", "rms z", log=True),
            "The root mean square of the outputs by convolution. With the right count it stays; with a wrong one it "
            "grows or shrinks by the same factor in each layer.",
        )
        factors = {name: float((size[-1] / size[0]) ** (1 / (self.layers - 1))) for name, size in sizes.items()}
        yield Table(
            "The factor from one convolution to the next",
            ["variance 2 / fan in with", "measured", "by the formula"],
            [[name, factors[name], factor] for name, (_, factor) in starts.items()],
        )
        right, *others = starts
        yield Check("With the right fan in the size stays, to 10 % a convolution", factors[right], 1.0, 0.1)
        for name in others:
            yield Check(
                f"{name}: each convolution multiplies the size by a further factor of {number(starts[name][1], 3)}",
                factors[name] / factors[right],
                starts[name][1],
                1e-9 * starts[name][1],
            )

    def _pooling(self, passed: ConvolutionPass) -> Iterator[Block]:
        yield Heading("Pooling")
        yield Text(
            "A pool keeps one number of each window of the feature map: the largest, or the mean. The map becomes "
            "smaller, and a later convolution sees more of the picture. On the way back the largest number gets all of "
            "delta, because only it decided; the numbers of a mean share it equally."
        )
        yield Formula("max: y = max z under the window;  mean: y = Σ z / 4\ndL/dz: d where z was the largest;  d / 4")
        z = passed.z[None, :, :, None]
        largest, mean = MaxPool2d(2), AveragePool2d(2)
        y, _, winners = largest.forward((), (), z, _FORWARD)
        means, _, cache = mean.forward((), (), z, _FORWARD)
        ones = np.ones_like(y)
        back = largest.backward((), winners, ones)[0][0, :, :, 0]
        shares = mean.backward((), cache, ones)[0][0, :, :, 0]
        yield ArrayBlock("y, max", y[0, :, :, 0], remark="the largest number of each 2 × 2 of z")
        yield ArrayBlock("dL/dz, max", back, remark="for d = 1 at each y")
        yield ArrayBlock("y, mean", means[0, :, :, 0], remark="the mean of each 2 × 2 of z")
        yield ArrayBlock("dL/dz, mean", shares, remark="for d = 1 at each y")
        yield Chart(
            picture_row(
                [passed.z, back, shares],
                ["z", "max", "mean"],
                "Delta through the pools",
                "value",
            ),
            "The feature map z, and what delta reaches of it: one number of each window through the maximum, all four "
            "through the mean.",
        )
        rows, columns = y.shape[1:3]
        windows = back[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
        yield Check(
            "The maximum passes delta to one number of each window",
            (windows > 0).sum(axis=(1, 3)),
            np.ones((rows, columns), int),
        )
        yield Check(
            "Both pools pass on the whole of delta",
            [float(back.sum()), float(shares.sum())],
            [float(ones.sum())] * 2,
            1e-12,
        )


def _patch_matrix(pixels: Array, kernel: int) -> Array:
    """P x: the numbers under the window (places, kernel²)."""
    return patches(pixels[None, :, :, None], kernel, 1).reshape(-1, kernel * kernel)


def _down(pixels: Array) -> Array:
    """The picture moved down by a pixel; the row that comes in is dark."""
    return np.concatenate([np.zeros_like(pixels[:1]), pixels[:-1]])


def _largest(array: Array) -> float:
    return float(np.abs(array).max())
