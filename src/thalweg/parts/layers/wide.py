"""Wide forms of the products of a convolution: those that XLA computes fast on a CPU, in float32.

XLA's convolution is a matrix product whose columns are the channels of its result, and a processor multiplies these in
blocks of many columns. Where a convolution has few channels, or would multiply many zeros, another one has more columns
and the same result.
"""

from __future__ import annotations

from ...core.arrays import Array, namespace
from ...core.functions import convolution, mapped, parts_within
from .windows import places, spread

# Columns that fill the blocks of XLA's convolution, and the outputs of a run at most, which pay also for wider kernels
# where a window has few channels: its pixels cost as much to gather as to multiply. Measured with jax 0.10 on 2 cores
# with AVX-512.
_COLUMNS = 32
_OUTPUTS = 4
_FEW_CHANNELS = 8
# Numbers of the pictures, or of their shares, that are worked off at a time.
MOST_NUMBERS = 2**18


def product(x: Array, W: Array, stride: int, padding: int) -> Array:
    """z (n, rows, columns, width) of pictures x by kernels W, by runs of outputs.

    A run is t neighbouring outputs of a row. Together they depend on the pixels r under `kernel` rows and span =
    stride (t - 1) + kernel columns, and they are one product with a banded matrix, which has the kernels W once for
    each of the t outputs, moved by `stride` columns from output to output, and zeros elsewhere:

        (z_1, ..., z_t) = r T,  r (kernel span channels,),  T (kernel span channels, t width).

    The zeros cost span / kernel times the multiplications.

    Source: the banded matrix of a convolution is in Golub and Van Loan 2013, Matrix computations, section 4.7
    (Toeplitz).

    >>> import jax.numpy
    >>> product(jax.numpy.ones((1, 2, 3, 1)), jax.numpy.ones((2, 2, 1, 1)), 1, 0)[0, :, :, 0].tolist()
    [[4.0, 4.0]]
    """
    xp = namespace(W)
    kernel, _, channels, width = W.shape
    n, *sizes, _ = x.shape
    rows, columns = (places(size + 2 * padding, kernel, stride) for size in sizes)
    length = min(_OUTPUTS, columns)
    if channels >= _FEW_CHANNELS:
        length = min(length, -(-_COLUMNS // width))
    if kernel == 1:
        length = 1  # A window of one pixel shares none with its neighbours.
    bands = [
        xp.pad(W, ((0, 0), (stride * output, stride * (length - 1 - output)), (0, 0), (0, 0)))
        for output in range(length)
    ]
    T = xp.reshape(xp.stack(bands, axis=3), (kernel, -1, channels, length * width))
    # The last run of a row may reach past its end.
    count = -(-columns // length)
    bottom = stride * (rows - 1) + kernel - sizes[0] - padding
    right = stride * (count * length - 1) + kernel - sizes[1] - padding
    z = convolution(x, T, (stride, stride * length), ((padding, bottom), (padding, right)))
    return xp.reshape(z, (n, rows, -1, width))[:, :, :columns]


def input_gradient(delta: Array, W: Array, sizes: tuple[int, int], stride: int, padding: int) -> Array:
    """dL/dx (n, height, width, channels) for delta = dL/dz (n, rows, columns, width) and pictures of these sizes.

    Each line i of the window adds its share, which goes along the rows alone, to row stride r + i of the padded
    picture. The shares of all lines are one convolution with kernel channels columns:

        share_i = d * W_i turned round.

    >>> import jax.numpy
    >>> delta, W = jax.numpy.ones((1, 1, 2, 1)), jax.numpy.ones((2, 2, 1, 1))
    >>> input_gradient(delta, W, (2, 3), 1, 0)[0, :, :, 0].tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    xp = namespace(delta)
    kernel, _, channels, width = W.shape
    turned = xp.reshape(xp.permute_dims(W[:, ::-1], (1, 3, 0, 2)), (1, kernel, width, kernel * channels))
    before = kernel - 1 - padding
    # After the last place of the window there may be pixels that no window reaches.
    after = sizes[1] + kernel - 2 - before - stride * (delta.shape[2] - 1)

    def gradient(delta: Array) -> Array:
        shares = convolution(delta, turned, (1, 1), ((0, 0), (before, after)), spread=(1, stride))
        lines = [shares[..., i * channels : (i + 1) * channels] for i in range(kernel)]
        total = spread(lines, stride, sizes[0] + 2 * padding, axis=1)
        return total[:, padding : padding + sizes[0]]

    numbers = delta.shape[0] * delta.shape[1] * sizes[1] * kernel * channels
    return mapped(gradient, parts_within(delta.shape[0], -(-numbers // MOST_NUMBERS)), delta)
