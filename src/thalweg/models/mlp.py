"""Architectures: networks described by their widths and their activation; the data decide the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from ..core.errors import InputError
from ..data import Dataset, RowSource, Scale, Source, Task
from ..parts.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    MaxPool2d,
    MemberDense,
    OneHot,
    Periodic,
    ReLU,
    Scaling,
    Sigmoid,
    SmoothClip,
    Softmax,
)
from ..parts.layers.members import Members
from ..parts.losses import MemberLoss
from ..parts.optimizers import Adam, AdamW
from ..parts.part import Count, Fraction, Initializer, Layer, Loss, NonNegative, Optimizer, Part, options_of
from ..parts.schedules import Cosine
from ..parts.settings import BATCH_SIZE
from .network import Network

# A picture of fewer pixels on its shorter side is not pooled again.
_LEAST_SIDE = 8
# Of more numbers none is embedded: on the development tables with 38 and 49 of them embeddings take 60 % of the time,
# and only the first is better with them.
_MOST_EMBEDDED = 48
# From this shorter side on, at least two blocks of the convolutional network fit.
_LEAST_SIDE_OF_DEFAULT = 2 * _LEAST_SIDE

_OUTPUTS: dict[Task, tuple[Layer, ...]] = {
    "classification": (Softmax(),),
    "multilabel": (Sigmoid(),),
    "regression": (),
}


class Architecture(Part, ABC, family="architecture"):
    """A network that is described by a few options and suits itself to the rows that it is to learn."""

    @classmethod
    def as_table(cls, value: object) -> dict[str, Any]:
        """The table of an architecture; options without a kind are those of the first one that has them all."""
        table = super().as_table(value)
        return (
            table
            if cls.kind or "kind" in table
            else {"kind": cls.kind_with(table) or MultiLayerPerceptron.kind, **table}
        )

    @classmethod
    def kind_with(cls, options: Iterable[str]) -> str | None:
        """The kind of the first architecture that has all these options; None where none has them.

        >>> [Architecture.kind_with(options) for options in (["hidden"], ["members", "hidden"], ["layers"])]
        ['mlp', 'table', None]
        """
        fields = {kind: {field.name for field in options_of(part)} for kind, part in cls.kinds.items()}
        return next((kind for kind, names in fields.items() if names.issuperset(options)), None)

    @property
    def scale(self) -> Scale | None:
        """How it wants its inputs scaled; None: as the source does."""
        return None

    @property
    def codes_above(self) -> int | None:
        """Columns with more categories become numbers of categories, for an embedding layer; None: no columns do."""
        return None

    @abstractmethod
    def for_rows(self, data: RowSource) -> Network:
        """The network for these training rows."""

    def loss_of(self, loss: Loss) -> Loss:
        """The loss of the whole network where `loss` is that of an ordinary one."""
        return loss

    def optimizer(self) -> Optimizer:
        """The optimizer that suits it."""
        return Adam()

    @property
    def batch_size(self) -> int:
        """Rows in a batch."""
        return BATCH_SIZE

    @property
    def updates(self) -> int | None:
        """Updates by its own optimizer where the number of epochs is "auto"; None: as many as the rows need."""
        return None


@dataclass(frozen=True)
class MultiLayerPerceptron(Architecture, kind="mlp"):
    """Hidden layers with one activation, and the output layer of the task: `network = "mlp"` in a spec.

    hidden: width of each hidden layer.
    activation: the layer after each hidden layer.
    normalization: "batch_norm" or "layer_norm" before each activation; None: no normalisation.
    dropout: fraction of units dropped after each activation; None: no dropout.
    init: initializer of the weights, as in `Network`.

    A comparison can vary each of them: `network.hidden = [[64], [64, 64]]`, `network.activation = ["relu", "tanh"]`.

    >>> [layer.kind for layer in MultiLayerPerceptron((8,), "tanh").network(3, "classification").layers]
    ['dense', 'tanh', 'dense', 'softmax']
    """

    hidden: tuple[Count, ...] = (64, 32)
    activation: Layer = ReLU()
    normalization: Layer | None = None
    dropout: Fraction | None = None
    init: Initializer | None = None

    @property
    def hidden_layers(self) -> tuple[Layer, ...]:
        """All layers except those of the output."""
        after = [self.normalization, self.activation, None if self.dropout is None else Dropout(self.dropout)]
        layers: list[Layer] = []
        for width in self.hidden:
            layers += [Dense(width), *(layer for layer in after if layer is not None)]
        return tuple(layers)

    def for_rows(self, data: RowSource) -> Network:
        return self.network(data.outputs, data.task)

    def network(self, outputs: int, task: Task) -> Network:
        """The network for a task with `outputs` classes, labels or targets."""
        return Network((*self.hidden_layers, Dense(outputs), *_OUTPUTS[task]), self.init)


@dataclass(frozen=True)
class ConvolutionalNetwork(Architecture, kind="convolutional"):
    """The network for images: `network = "convolutional"` in a spec.

    Blocks of convolution (3 x 3), batch normalisation, activation and pooling (2 x 2) follow one another until the
    picture has fewer than 8 pixels on its shorter side, each block with twice as many channels as the one before;
    then dropout and the output layer of the task.

    channels: channels of the first block.
    most_channels: channels that no block exceeds.
    activation: the layer after each normalisation.
    dropout: fraction of the features dropped before the output layer; 0: none.

    Raises InputError for rows that are no images.

    Source: Simonyan and Zisserman 2015, Very deep convolutional networks, section 2; Ioffe and Szegedy 2015, Batch
    normalization.

    >>> from thalweg.data import Data
    >>> network = ConvolutionalNetwork(4).for_rows(Data("digits").load(0).train)
    >>> [layer.kind for layer in network.layers]
    ['reshape', 'conv2d', 'batch_norm', 'relu', 'max_pool2d', 'flatten', 'dropout', 'dense', 'softmax']
    """

    channels: Count = 16
    most_channels: Count = 128
    activation: Layer = ReLU()
    dropout: Fraction = 0.25

    def for_rows(self, data: RowSource) -> Network:
        if data.image_shape is None:
            raise InputError(self.kind, "expected images, received rows of numbers; take the network mlp or table")
        layers: list[Layer] = []
        channels, side = self.channels, min(data.image_shape[:2])
        while side >= _LEAST_SIDE:
            width = min(channels, self.most_channels)
            layers += [Conv2d(width, 3, padding=1, bias=False), BatchNorm(), self.activation, MaxPool2d(2)]
            channels, side = 2 * channels, side // 2
        output = (Dense(data.outputs), *_OUTPUTS[data.task])
        after = (Dropout(self.dropout),) if self.dropout else ()
        return Network((*layers, Flatten(), *after, *output)).for_pictures(data.image_shape)


@dataclass(frozen=True)
class TableNetwork(Architecture, kind="table"):
    """The network for tables: `network = "table"` in a spec.

    Inputs are scaled by median and quartiles (`scale = "robust"`), clipped smoothly, and multiplied by a learned scale
    each; each number of more than two values becomes periodic functions of itself beside it; each category is an input,
    or has a learned vector where a column has many of them; hidden layers follow. With several members, as many
    networks that share the embeddings train at once, each on its own loss, and predict by the mean of their
    probabilities or values.

    hidden: width of each hidden layer.
    members: networks of the ensemble.
    activation: the layer after each hidden layer.
    embedding: functions of each number of more than two values beside it; 0, or with more than 48 such numbers: none.
    vectors_above: a column of text with more categories than this has a learned vector for each category; with fewer,
        each category is an input.
    category_width: numbers of these vectors.
    dropout: fraction of units dropped after each activation; 0: none.
    weight_decay: of the weights, each step.
    updates: updates of a training whose number of epochs is "auto", in at most 256 epochs, until the rate has fallen
        to 0.

    Source: Holzmüller, Grinsztajn, Steinwart 2024, Better by default (RealMLP); Gorishniy, Rubachev, Babenko 2022, On
    embeddings for numerical features; Gorishniy, Kotelnikov, Babenko 2024, TabM.

    >>> from thalweg.data import Data
    >>> network = TableNetwork((8,), members=2).for_rows(Data("iris").load(0).train)
    >>> [layer.kind for layer in network.layers]
    ['smooth_clip', 'scaling', 'periodic', 'dense', 'relu', 'member_dense']
    """

    hidden: tuple[Count, ...] = (64, 64)
    members: Members = 4
    activation: Layer = ReLU()
    embedding: Annotated[int, Field(ge=0, le=1024, strict=True)] = 4
    vectors_above: Count = 100
    category_width: Count = 16
    dropout: Fraction = 0.0
    weight_decay: NonNegative = 0.01
    updates: Count = 800
    init: Initializer | None = None

    @property
    def scale(self) -> Scale:
        """By median and quartiles."""
        return "robust"

    @property
    def codes_above(self) -> int:
        """All but two categories are codes: its first layers make inputs of them."""
        return 2

    def for_rows(self, data: RowSource) -> Network:
        # What categories become comes after all other inputs.
        coded = tuple(place for place, _ in data.codes)
        columns = _shifted(_many_valued(data), coded)
        layers = [*self._of_categories(data.codes), SmoothClip(), Scaling()]
        if self.embedding and 0 < len(columns) <= _MOST_EMBEDDED:
            layers.append(Periodic(self.embedding, columns=columns))
        after = (self.activation, *([Dropout(self.dropout)] if self.dropout else []))
        for place, width in enumerate(self.hidden):
            layers += [self._dense(width, place), *after]
        layers.append(self._dense(data.outputs, len(self.hidden)))
        if self.members == 1:
            layers += _OUTPUTS[data.task]
        return Network(layers, self.init)

    def _of_categories(self, codes: tuple[tuple[int, int], ...]) -> list[Layer]:
        """The layers that make inputs of codes, given by their places and sizes."""
        wide = [(place, size) for place, size in codes if size > self.vectors_above + 1]
        narrow = [(place, size) for place, size in codes if size <= self.vectors_above + 1]
        layers: list[Layer] = []
        if wide:
            places, sizes = zip(*wide, strict=True)
            layers.append(Embedding(places, tuple(map(_power_of_two, sizes)), self.category_width))
        if narrow:
            places, sizes = zip(*narrow, strict=True)
            layers.append(OneHot(_shifted(places, [place for place, _ in wide]), tuple(map(_rounded, sizes))))
        return layers

    def _dense(self, width: int, place: int) -> Layer:
        """The dense layer of each member. All see the same inputs, so that their first layers are one, side by side."""
        return MemberDense(width, self.members) if place and self.members > 1 else Dense(self.members * width)

    def loss_of(self, loss: Loss) -> Loss:
        if self.members == 1 or isinstance(loss, MemberLoss):
            return loss
        on_logits: Loss | None = loss
        if loss.takes == "probabilities":
            # Members end with logits: the loss is that on probabilities with the activation before it.
            on_logits = loss.fused_with(Softmax()) or loss.fused_with(Sigmoid())
        if on_logits is None:
            fix = 'take "softmax_cross_entropy", or network = { kind = "table", members = 1 }'
            found = f"expected a loss on logits, received {loss.kind}, which takes probabilities"
            raise InputError("loss", f"{found}; {fix}")
        return MemberLoss(self.members, on_logits)

    def optimizer(self) -> Optimizer:
        return AdamW(Cosine(0.004), weight_decay=self.weight_decay)

    @property
    def batch_size(self) -> int:
        return 128


def _shifted(places: Sequence[int], gone: Sequence[int]) -> tuple[int, ...]:
    """The places of columns once others before them are gone.

    >>> _shifted((0, 3, 5), (1, 4))
    (0, 2, 3)
    """
    return tuple(place - sum(other < place for other in gone) for place in places)


# Sizes are rounded up: a few categories more or less, as in other rows of a table, need no new program.


def _power_of_two(size: int) -> int:
    """The next power of two: rows of a table of vectors that no code names take no time."""
    return 1 << (size - 1).bit_length()


def _rounded(size: int) -> int:
    """The next power of two up to 16, then at most a quarter more.

    >>> [_rounded(size) for size in (3, 9, 17, 33, 100)]
    [4, 16, 20, 40, 112]
    """
    power = _power_of_two(size)
    step = power if power <= 16 else power // 8
    return -(-size // step) * step


def _many_valued(data: RowSource) -> tuple[int, ...]:
    """The columns of numbers that have more than two values: of two, every function is a linear one.

    Rows that stream are not counted: all their numbers may have more.
    """
    columns = tuple(range(data.features)) if data.numbers is None else data.numbers
    if not isinstance(data, Dataset):
        return columns
    differs = (data.x != data.x.min(axis=0)) & (data.x != data.x.max(axis=0))
    return tuple(column for column in columns if differs[:, column].any())


def default_architecture(source: Source, rows: RowSource | None = None) -> Architecture:
    """The architecture where a spec names none.

    That for tables; the convolutional one for images of at least 16 x 16 pixels; else a multi-layer perceptron. The
    last two take the same inputs, so that the choice between them can wait for the rows.

    >>> from thalweg.data import Data
    >>> [default_architecture(Data(source).source).kind for source in ("iris", "digits")]
    ['table', 'mlp']
    """
    if source.is_table:
        return TableNetwork()
    shape = rows.image_shape if rows else None
    return ConvolutionalNetwork() if shape and min(shape[:2]) >= _LEAST_SIDE_OF_DEFAULT else MultiLayerPerceptron()
