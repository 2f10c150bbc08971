"""Runs of outputs: the forms in which XLA computes the products of a convolution fast on a CPU, in float32.

A run is t neighbouring outputs of a row. Together they depend on the pixels r under `kernel` rows and span =
stride (t - 1) + kernel columns, and they are one product with a banded matrix T, which has the kernels W once for each
of the t outputs, moved by `stride` columns from output to output, and zeros elsewhere:

    (z_1, ..., z_t) = r T,  r (kernel span channels,),  T (kernel span channels, t width).

The zeros cost span / kernel times the multiplications. A run pays where W has few columns: a processor multiplies them
in blocks, which t width columns fill, and the pixels of a run are copied once instead of once for each output.

Backward, with d = (dL/dz_1, ..., dL/dz_t):  dL/dT = rᵀ d, and dL/dW is the sum of its t bands;  each run adds d Tᵀ to
its pixels.

Source: the banded matrix of a convolution is in Golub and Van Loan 2013, Matrix computations, section 4.7 (Toeplitz).
"""

from __future__ import annotations

from dataclasses import dataclass

from ...core.arrays import Array, namespace
from ...core.functions import convolution, fenced, mapped, parts_within, summed
from .windows import places

# Columns that fill the blocks of XLA's convolution, and of its matrix product; numbers of r that are made at a time.
# Measured with jax 0.10 on 2 cores with AVX-512.
_WIDE_CONVOLUTION = 32
_WIDE_PRODUCT = 64
_MOST_NUMBERS = 2**19


@dataclass(frozen=True)
class Runs:
    """The runs of a convolution of pictures (n, height, width, channels).

    sizes: height and width of the pictures in pixels.
    kernel: rows and columns of the window.
    stride: the step from place to place in pixels.
    padding: width of the frame of zeros in pixels.
    length: t, outputs of a run; the last run of a row may reach past its end.
    """

    sizes: tuple[int, int]
    kernel: int
    stride: int
    padding: int
    length: int

    @property
    def span(self) -> int:
        """Columns under a run."""
        return self.stride * (self.length - 1) + self.kernel

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the outputs."""
        rows, columns = (places(size + 2 * self.padding, self.kernel, self.stride) for size in self.sizes)
        return rows, columns

    @property
    def count(self) -> int:
        """Runs of a row."""
        return -(-self.shape[1] // self.length)

    @property
    def columns(self) -> int:
        """Columns of the padded picture that the runs reach."""
        return self.stride * (self.count * self.length - 1) + self.kernel

    def banded(self, W: Array) -> Array:
        """T (kernel, span, channels, t width) of W (kernel, kernel, channels, width)."""
        xp = namespace(W)
        bands = []
        for output in range(self.length):
            before = self.stride * output
            bands.append(xp.pad(W, ((0, 0), (before, self.span - self.kernel - before), (0, 0), (0, 0))))
        return xp.reshape(xp.stack(bands, axis=3), (self.kernel, self.span, W.shape[2], -1))

    def unbanded(self, T: Array, channels: int) -> Array:
        """The sum of the bands of T (kernel span channels, t width): the transpose of `banded`."""
        bands = namespace(T).reshape(T, (self.kernel, self.span, channels, self.length, -1))
        starts = (self.stride * output for output in range(self.length))
        first, *others = (bands[:, at : at + self.kernel, :, output] for output, at in enumerate(starts))
        return sum(others, first)

    def pixels(self, x: Array) -> Array:
        """r, a row for each run (n rows runs, kernel span channels)."""
        xp = namespace(x)
        channels = x.shape[3]
        rows, step = self.shape[0], self.stride
        # The columns and channels of a line are one axis, whose parts are copied as whole vectors.
        lines = xp.reshape(self._framed(x), (x.shape[0], -1, self.columns * channels))
        runs = []
        for run in range(self.count):
            start = run * self.length * step * channels
            line = lines[:, :, start : start + self.span * channels]
            runs.append(xp.stack([line[:, i : i + step * (rows - 1) + 1 : step] for i in range(self.kernel)], axis=2))
        return xp.reshape(xp.stack(runs, axis=2), (-1, self.kernel * self.span * channels))

    def rows(self, delta: Array) -> Array:
        """d, a row for each run (n rows runs, t width)."""
        xp = namespace(delta)
        missing = self.count * self.length - delta.shape[2]
        if missing:
            delta = xp.pad(delta, ((0, 0), (0, 0), (0, missing), (0, 0)))
        return xp.reshape(delta, (-1, self.length * delta.shape[3]))

    def added(self, shares: Array, channels: int) -> Array:
        """The pictures to which each run adds its share (n rows runs, kernel span channels): the transpose of
        `pixels`."""
        xp = namespace(shares)
        rows, step = self.shape[0], self.stride
        height, width = (size + 2 * self.padding for size in self.sizes)
        shares = xp.reshape(shares, (-1, rows, self.count, self.kernel, self.span * channels))
        # A row of the picture is `step` r + s: neighbouring places of the window are neighbours along r.
        total = xp.zeros((shares.shape[0], -(-height // step) + 1, step, self.columns * channels), dtype=shares.dtype)
        for run in range(self.count):
            start = run * self.length * step * channels
            columns = slice(start, start + self.span * channels)
            for i in range(self.kernel):
                place = (slice(None), slice(i // step, i // step + rows), i % step, columns)
                total = total.at[place].add(shares[:, :, run, i])
        total = xp.reshape(total, (shares.shape[0], -1, self.columns, channels))
        if width > self.columns:
            total = xp.pad(total, ((0, 0), (0, 0), (0, width - self.columns), (0, 0)))
        return total[:, self.padding : height - self.padding, self.padding : width - self.padding]

    def parts(self, samples: int, channels: int) -> int:
        """In how many parts the samples are worked off, so that the pixels of a part take little memory."""
        numbers = samples * self.shape[0] * self.count * self.kernel * self.span * channels
        return parts_within(samples, -(-numbers // _MOST_NUMBERS))

    def _framed(self, x: Array) -> Array:
        """The pictures with their frame of zeros, as wide as the runs reach."""
        width = x.shape[2] + self.padding
        x = namespace(x).pad(
            x,
            ((0, 0), (self.padding, self.padding), (self.padding, max(self.columns - width, 0)), (0, 0)),
        )
        # The compiler would write the frame out anew, with all its cases, for each of the parts that are copied.
        return fenced(x[:, :, : self.columns])


def product(x: Array, W: Array, stride: int, padding: int) -> Array:
    """z (n, rows, columns, width) of pictures x by kernels W: XLA's convolution by the kernels of runs.

    >>> import jax.numpy
    >>> product(jax.numpy.ones((1, 2, 3, 1)), jax.numpy.ones((2, 2, 1, 1)), 1, 0)[0, :, :, 0].tolist()
    [[4.0, 4.0]]
    """
    kernel, width = W.shape[0], W.shape[3]
    runs = _runs(x.shape, kernel, stride, padding, -(-_WIDE_CONVOLUTION // width))
    rows, columns = runs.shape
    # XLA has a slow routine for pictures without any frame: these get one more row of outputs.
    lines = rows + (padding == 0 and kernel > 1)
    bottom = stride * (lines - 1) + kernel - x.shape[1] - padding
    right = runs.columns - x.shape[2] - padding
    z = convolution(
        x,
        runs.banded(W),
        (stride, stride * runs.length),
        ((padding, bottom), (padding, right)),
    )
    return namespace(x).reshape(z, (x.shape[0], lines, -1, width))[:, :rows, :columns]


def weight_gradient(x: Array, delta: Array, kernel: int, stride: int, padding: int) -> Array:
    """dL/dW (kernel, kernel, channels, width) for delta = dL/dz (n, rows, columns, width).

    >>> import jax.numpy
    >>> weight_gradient(jax.numpy.ones((1, 2, 3, 1)), jax.numpy.ones((1, 1, 2, 1)), 2, 1, 0)[:, :, 0, 0].tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    channels, width = x.shape[3], delta.shape[3]
    runs = _runs(x.shape, kernel, stride, padding, -(-_WIDE_PRODUCT // width))
    # The smaller factor is the one to transpose.
    turned = runs.kernel * runs.span * channels > runs.length * width

    def gradient(x: Array, delta: Array) -> Array:
        r, d = runs.pixels(x), runs.rows(delta)
        return d.T @ r if turned else r.T @ d

    T = summed(gradient, runs.parts(x.shape[0], channels), x, delta)
    return runs.unbanded(T.T if turned else T, channels)


def input_gradient(delta: Array, W: Array, sizes: tuple[int, int], stride: int, padding: int) -> Array:
    """dL/dx (n, height, width, channels) for delta = dL/dz (n, rows, columns, width) and pictures of these sizes.

    >>> import jax.numpy
    >>> delta, W = jax.numpy.ones((1, 1, 2, 1)), jax.numpy.ones((2, 2, 1, 1))
    >>> input_gradient(delta, W, (2, 3), 1, 0)[0, :, :, 0].tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    kernel, _, channels, width = W.shape
    runs = _runs((delta.shape[0], *sizes, channels), kernel, stride, padding, -(-_WIDE_PRODUCT // width))
    turned = namespace(W).reshape(runs.banded(W), (-1, runs.length * width)).T

    def gradient(delta: Array) -> Array:
        return runs.added(runs.rows(delta) @ turned, channels)

    return mapped(gradient, runs.parts(delta.shape[0], channels), delta)


def _runs(shape: tuple[int, ...], kernel: int, stride: int, padding: int, length: int) -> Runs:
    """The runs for pictures of a shape. A window of one pixel shares none with its neighbours: its runs have length 1,
    and none is longer than a row."""
    columns = places(shape[2] + 2 * padding, kernel, stride)
    return Runs((shape[1], shape[2]), kernel, stride, padding, min(length, columns) if kernel > 1 else 1)
