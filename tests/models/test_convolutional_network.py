"""The convolutional network for images."""

import numpy as np
import pytest
from input_errors import input_error

from thalweg.data import Data
from thalweg.models.mlp import Architecture, ConvolutionalNetwork, default_architecture


def images(*shape):
    return Data.of((np.random.default_rng(0).random((20, *shape)), np.arange(20) % 2)).load(0).train


@pytest.mark.parametrize(
    ("shape", "blocks", "last"),
    [((28, 28), 2, 7), ((32, 40, 3), 3, 4), ((64, 64, 3), 4, 4), ((8, 8), 1, 4), ((5, 6), 0, None)],
)
def test_blocks_follow_until_the_shorter_side_has_fewer_than_8_pixels(shape, blocks, last):
    network = ConvolutionalNetwork(4, most_channels=16).for_rows(images(*shape))
    convolutions = [layer for layer in network.layers if layer.kind == "conv2d"]
    assert [layer.width for layer in convolutions] == [4, 8, 16, 16][:blocks]
    shapes = network.layout((int(np.prod(shape)),)).shapes
    pictures = [own for own in shapes if len(own) == 3]
    assert not blocks or pictures[-1][0] == last
    assert shapes[-1] == (2,)


@pytest.mark.parametrize(
    ("shape", "kind"), [((16, 16), "convolutional"), ((15, 40), "mlp"), ((20, 20, 3), "convolutional")]
)
def test_images_of_at_least_16_pixels_are_convolved_where_a_spec_names_no_network(shape, kind):
    assert default_architecture(Data("mnist").source, images(*shape)).kind == kind


def test_rows_of_numbers_are_refused():
    with input_error("convolutional", "images"):
        Architecture.of("convolutional").for_rows(Data("iris").load(0).train)
