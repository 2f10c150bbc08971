"""Suspects of a network: every part that a plain network for these rows would not have, or would have more of.

A part is compared with its neighbours, a map of the inputs and a unit of the output with plain units, and the whole
with the network that a spec has by default: `MultiLayerPerceptron`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ...core.files import Json
from ...models.mlp import MultiLayerPerceptron
from ...models.network import Network
from ...pages.numbers import count_noun
from ...parts.layers import Activation
from ...parts.part import Layer
from ..findings import Remedy
from ..registry import SETTING
from .suspect import Suspect, larger, part

_PLAIN = MultiLayerPerceptron()
_UNIT = _PLAIN.activation.kind
_LEAST = min(_PLAIN.hidden)
_AMPLE = max(_PLAIN.hidden)
# A layer of fewer units than this fraction of both neighbours is narrow, and is made as wide as the narrower of them.
_NARROW = 1 / 4
_LAYERS = "network.layers"
_TOO_NARROW = "too-narrow"


def of_network(network: Network, widths: Sequence[int]) -> Iterator[Suspect]:
    """The suspects among the parts of a network, those that a change takes away before those that it makes up for.

    Args:
        network: the network.
        widths: the number of inputs, and the width of the network after each layer.
    """
    layers = network.layers
    yield from _superfluous(layers)
    yield from _narrow(layers, widths)
    yield from _other_units(layers)
    yield from _bare(layers)
    yield from _maps(layers, widths)
    yield from _larger(layers, widths)


def _superfluous(layers: Sequence[Layer]) -> Iterator[Suspect]:
    """Layers that only normalise, drop, add noise or reshape, and activations of what no layer with weights has made.

    Several of one kind are taken away all together, as they are mostly put in, and one at a time.
    """
    superfluous = [
        index
        for index, layer in enumerate(layers)
        if layer.transparent or (_acts([layer]) and not _weighted(layers[:index]))
    ]
    kinds: dict[str, list[int]] = {}
    for index in superfluous:
        kinds.setdefault(layers[index].kind, []).append(index)
    for kind, places in kinds.items():
        if len(places) > 1:
            yield _without(layers, places, f"any {kind}")
        for index in places:
            yield _without(layers, [index], f"{kind} (layer {index + 1})")


def _without(layers: Sequence[Layer], places: Sequence[int], words: str) -> Suspect:
    left = _described(layer for index, layer in enumerate(layers) if index not in places)
    code = "dropout-too-strong" if layers[places[0]].drop_rate else SETTING
    return part(_path(places[0]), Remedy(f"the network without {words}", ((_LAYERS, left),)), code)


def _narrow(layers: Sequence[Layer], widths: Sequence[int]) -> Iterator[Suspect]:
    """Layers that are far narrower than those before and behind them."""
    weighted = _weighted(layers)
    for before, index, after in zip([-1, *weighted], weighted, weighted[1:], strict=False):
        beside = min(widths[before + 1], widths[after + 1])
        if widths[index + 1] < max(_NARROW * beside, 2):
            wide = max(beside, 8)
            label = f"{count_noun(wide, 'unit')} in layer {index + 1}"
            yield part(_path(index), Remedy(label, ((f"{_path(index)}.width", wide),)), _TOO_NARROW)


def _other_units(layers: Sequence[Layer]) -> Iterator[Suspect]:
    """Hidden units of another kind than most of the others, or of a kind that only an output has."""
    hidden = [index for index, layer in enumerate(layers[:-1]) if _acts([layer])]
    kinds = Counter(layers[index].kind for index in hidden)
    if len(kinds) > 1:
        usual = kinds.most_common(1)[0][0]
        for index in hidden:
            if layers[index].kind != usual:
                remedy = Remedy(f"{usual} in layer {index + 1}", ((_path(index), usual),))
                yield part(_path(index), remedy)
    of_output = [index for index in range(_output(layers)) if layers[index].sums_to_one]
    if of_output:
        label = f"{_UNIT} in place of each hidden {layers[of_output[0]].kind}"
        yield part(_path(of_output[0]), Remedy(label, tuple((_path(index), _UNIT) for index in of_output)))


def _bare(layers: Sequence[Layer]) -> Iterator[Suspect]:
    """Layers with weights without anything nonlinear before the next ones."""
    bare = [index for index, after in itertools.pairwise(_weighted(layers)) if not _acts(layers[index:after])]
    if bare:
        described: list[Json] = []
        for index, layer in enumerate(layers):
            if not (layer.is_identity and index - 1 in bare):
                described += [layer.describe(), _UNIT] if index in bare else [layer.describe()]
        remedy = Remedy(f"{_UNIT} after each hidden layer", ((_LAYERS, described),))
        yield part(_path(bare[0]), remedy, "linear-stack")


def _maps(layers: Sequence[Layer], widths: Sequence[int]) -> Iterator[Suspect]:
    """Fixed maps of the inputs, each against as many plain units."""
    for index, layer in enumerate(layers):
        if layer.is_feature_map:
            width = min(widths[index + 1], _AMPLE)
            plain: list[Json] = [f"dense {width}", _UNIT]
            changed: list[Json] = [*_described(layers[:index]), *plain, *_described(layers[index + 1 :])]
            label = f"{width} {_UNIT} units in place of {layer.kind} (layer {index + 1})"
            yield part(_path(index), Remedy(label, ((_LAYERS, changed),)))


def _larger(layers: Sequence[Layer], widths: Sequence[int]) -> Iterator[Suspect]:
    """Wider layers, one more layer, and the network that a spec has by default, with the outputs of this one."""
    output = _output(layers)
    hidden = layers[:output]
    narrow = [index for index in _weighted(hidden) if widths[index + 1] < _LEAST]
    if narrow:
        place = _path(narrow[0]) if len(narrow) == 1 else _LAYERS
        wider = tuple((f"{_path(index)}.width", _AMPLE) for index in narrow)
        yield larger(place, Remedy(f"hidden layers of at least {_AMPLE} units", wider), _TOO_NARROW, 0)
    deeper: list[Json] = [*_described(hidden), f"dense {_AMPLE}", _UNIT, *_described(layers[output:])]
    label = f"one more hidden layer, of {_AMPLE} {_UNIT} units"
    yield larger(_LAYERS, Remedy(label, ((_LAYERS, deeper),)), _TOO_NARROW, 1)
    prepared = itertools.takewhile(lambda layer: layer.transparent and not layer.random, hidden)
    plain = [*prepared, *_PLAIN.hidden_layers, *layers[output:]]
    if plain != list(layers):
        units = " and ".join(map(str, _PLAIN.hidden))
        remedy = Remedy(f"plain hidden layers of {units} {_UNIT} units", ((_LAYERS, _described(plain)),))
        yield larger(_LAYERS, remedy, SETTING, 2)


def _weighted(layers: Sequence[Layer]) -> list[int]:
    return [index for index, layer in enumerate(layers) if layer.has_weights]


def _output(layers: Sequence[Layer]) -> int:
    """The position of the last layer with weights: what stands before it is hidden."""
    return max(_weighted(layers), default=len(layers))


def _acts(layers: Iterable[Layer]) -> bool:
    return any(isinstance(layer, Activation) and not layer.is_identity for layer in layers)


def _described(layers: Iterable[Layer]) -> list[Json]:
    return [layer.describe() for layer in layers]


def _path(index: int) -> str:
    return f"{_LAYERS}.{index}"
