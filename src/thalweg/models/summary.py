"""A network in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..parts.part import Layer, options_of
from .network import Network

# Repeated groups of layers are counted from this many repetitions, up to this length.
_MANY = 3
_LONGEST_GROUP = 6


def layer_in_words(layer: Layer) -> str:
    """`dense 128`, `conv2d 8 3 2`, `dense 128 (bias = false, trainable = W)`, `residual (dense 64, relu)`.

    Numbers stand in the order of the options, up to the last one that is not the default.
    """
    words = [layer.kind]
    numbers: list[tuple[str, bool]] = []
    remarks = []
    if layer.inner:
        words.append(f"({', '.join(map(layer_in_words, layer.inner))})")
    for field in options_of(type(layer)):
        value = getattr(layer, field.name)
        if type(value) in (int, float):
            numbers.append((f"{value:g}", value != field.default))
        elif type(value) is bool and value != field.default:
            remarks.append(f"{field.name} = {str(value).lower()}")
        elif field.name == "trainable" and isinstance(value, tuple):
            remarks.append(f"trainable = {' '.join(value)}")
    told = max((place for place, (_, is_own) in enumerate(numbers, 1) if is_own), default=0)
    words += [number for number, _ in numbers[:told]]
    return " ".join([*words, f"({', '.join(remarks)})"]) if remarks else " ".join(words)


def numbered_layers(network: Network) -> tuple[str, ...]:
    """Each layer in words, numbered from the input; the layers inside a block follow it.

    >>> numbered_layers(Network(["dense 8", {"kind": "residual", "layers": ["relu"]}]))
    ('1: dense 8', '2: residual (relu)', '2.1: relu')
    """
    return tuple(_numbered(network.layers, ""))


def _numbered(layers: Sequence[Layer], block: str) -> Iterator[str]:
    for number, layer in enumerate(layers, 1):
        yield f"{block}{number}: {layer_in_words(layer)}"
        yield from _numbered(layer.inner, f"{block}{number}.")


def network_in_words(network: Network) -> str:
    """`dense 128, relu, dense 10, softmax`; repeated groups are counted.

    >>> network_in_words(Network([*["dense 64", "tanh"] * 30, "dense 10"]))
    '30 x (dense 64, tanh), dense 10'
    """
    words = [layer_in_words(layer) for layer in network.layers]
    groups: list[str] = []
    while words:
        repeats = [(size, _repeats(words, size)) for size in range(1, _LONGEST_GROUP + 1)]
        size, count = max(repeats, key=lambda group: group[0] * group[1] if group[1] >= _MANY else 0)
        if count < _MANY:
            size = count = 1
        group = ", ".join(words[:size])
        groups.append(f"{count} x ({group})" if count > 1 else group)
        words = words[size * count :]
    return ", ".join(groups)


def _repeats(words: list[str], size: int) -> int:
    """How often the first `size` words are repeated at the beginning."""
    count = 1
    while words[count * size : (count + 1) * size] == words[:size]:
        count += 1
    return count
