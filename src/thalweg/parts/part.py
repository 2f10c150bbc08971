"""The base of all parts: a part is a frozen description by hyper-parameters, checked when it is made.

A part is a frozen dataclass. It belongs to a family (layers, losses, optimizers, schedules, initializers, data sources)
and has a kind, its name in specs and in the shell. A part can be given in any of these forms:

    ReLU()                                      the part
    "relu", "dense 128"                         its kind, and its first options in order
    {"kind": "dropout", "rate": 0.2}            a table, as TOML writes it

Parameters (weights) and running statistics are kept outside the parts, in nested NamedTuples.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, Self, cast, get_type_hints

import numpy as np
from pydantic import Discriminator, Field, GetCoreSchemaHandler, Tag, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeVar

from ..core.arrays import (
    Array,
    Cache,
    LayerState,
    Moments,
    Params,
    Scalar,
    Tree,
    TreeT,
    map_weights,
    namespace,
)
from ..core.bounds import LARGEST_INTEGER
from ..core.errors import InputError, Problem, nearest
from ..core.files import Json, JsonObject
from ..core.memory import check_memory
from ..core.noise import Noise
from ..core.printable import received


class Part:
    """Base of all parts. A subclass is a frozen dataclass and names its kind: `class ReLU(Layer, kind="relu")`."""

    kind: ClassVar[str] = ""
    family: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type[Part]]] = {}
    families: ClassVar[dict[str, type[Part]]] = {}

    def __init_subclass__(cls, family: str = "", kind: str = "", also: tuple[str, ...] = ()) -> None:
        super().__init_subclass__()
        if family:
            cls.family = family
            cls.kinds = {}
            Part.families[family] = cls
        if kind:
            cls.kind = kind
            for name in (kind, *also):
                cls.kinds[name] = cls

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in options_of(type(self))}
        checked, problems = _check(type(self), values)
        if problems:
            raise InputError(type(self).__name__, problems)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, value: object) -> Self:
        """The part that `value` describes: a part of this family, its name, its name with options, or a table.

        Raises InputError with all problems at once, each with its place.
        """
        if isinstance(value, cls):
            return value
        try:
            return cls._of_table(cls.as_table(value))
        except RecursionError:
            raise InputError(cls.family or cls.__name__, "is nested too deeply") from None

    @classmethod
    def _of_table(cls, table: dict[str, Any]) -> Self:
        if not cls.family:
            return _from_table(cls, table)
        name = table.pop("kind", cls.kind or None)
        if name is None:
            raise InputError(cls.family, f"needs a kind; {nearest('', cls.kinds)}")
        if not isinstance(name, str) or name not in cls.kinds:
            raise InputError(cls.family, f"unknown {cls.family} {received(name)}; {nearest(str(name), cls.kinds)}")
        chosen = cls.kinds[name]
        if not issubclass(chosen, cls):
            raise InputError(cls.family, f"expected {cls.kind}, received {name}")
        return _from_table(chosen, table)

    @classmethod
    def as_table(cls, value: object) -> dict[str, Any]:
        """The table of a name with options: `adam 0.01` -> kind = adam, learning_rate = 0.01. A table is copied.

        Raises InputError for anything else, and for more options than the kind has.
        """
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, str) and value.strip() and cls.family:
            name, *options = value.split()
            known = cls.kinds.get(name)
            if known is None or not options:
                return {"kind": name}
            names = [field.name for field in options_of(known)]
            if len(options) > len(names):
                message = f"takes at most {len(names)} options ({', '.join(names)}), received {len(options)}"
                raise InputError(name, message)
            return {"kind": name, **dict(zip(names, map(_number_or_word, options), strict=False))}
        if cls.family:
            raise InputError(cls.family, f"expected a name or a table with its kind, received {received(value)}")
        raise InputError(cls.__name__, f"expected a table, received {received(value)}")

    def describe(self) -> JsonObject:
        """The table from which `of` makes this part again, in plain numbers, strings, lists and tables."""
        table: JsonObject = {"kind": self.kind} if self.kind else {}
        for field in options_of(type(self)):
            value = getattr(self, field.name)
            if value is not None:
                table[field.name] = _plain(value)
        return table

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.of)


PartT = TypeVar("PartT", bound=Part)


def each_part(value: object) -> Iterator[Part]:
    """The parts in a value, a part or a sequence of them, each before those in its options.

    >>> from thalweg.parts.optimizers import Adam
    >>> [part.kind for part in each_part(Adam({"kind": "cosine", "peak": 0.1}))]
    ['adam', 'cosine']
    """
    if isinstance(value, Part):
        yield value
        value = [getattr(value, field.name) for field in options_of(type(value))]
    if isinstance(value, tuple | list):
        for item in value:
            yield from each_part(item)


def options_of(cls: type[Part]) -> tuple[dataclasses.Field[Any], ...]:
    """The options of a kind of part, in order."""
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()


def _plain(value: object) -> Json:
    if isinstance(value, Part):
        # A part with its own `describe` has no shorter form.
        return _brief(value) if value.kind and type(value).describe is Part.describe else value.describe()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return cast(Json, value)


def _brief(part: Part) -> Json:
    """The shortest form: `dense 128` if the options given are numbers and the first ones, else a table of them."""
    fields = options_of(type(part))
    given = {
        field.name: _plain(getattr(part, field.name)) for field in fields if getattr(part, field.name) != field.default
    }
    leading = [field.name for field in fields[: len(given)]]
    if list(given) == leading and all(type(value) in (int, float) for value in given.values()):
        return " ".join([part.kind, *(repr(value) for value in given.values())])
    return {"kind": part.kind, **given}


def _number_or_word(text: str) -> int | float | str:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


_MOST_UNKNOWN = 20


def _from_table(cls: type[PartT], table: Mapping[str, object]) -> PartT:
    fields = {field.name: field for field in options_of(cls) if field.init}
    label = cls.kind or cls.__name__
    unknown = [name for name in table if name not in fields]
    problems = [
        Problem(name, f"unknown option of {label}; {nearest(name, fields) if fields else f'{label} has none'}")
        for name in unknown[:_MOST_UNKNOWN]
    ]
    if rest := unknown[_MOST_UNKNOWN:]:
        problems.append(Problem("", f"{len(rest)} more unknown options of {label}"))
    known = {name: value for name, value in table.items() if name in fields}
    problems += [
        Problem(name, f"is missing: {label} needs it")
        for name, field in fields.items()
        if name not in known and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if problems:
        raise InputError(label, [*problems, *_check(cls, known)[1]])
    return cls(**known)


_ADAPTERS: dict[type[Part], dict[str, TypeAdapter[Any]]] = {}


def _adapters(cls: type[Part]) -> dict[str, TypeAdapter[Any]]:
    if cls not in _ADAPTERS:
        hints = get_type_hints(cls, include_extras=True)
        _ADAPTERS[cls] = {field.name: TypeAdapter(hints[field.name]) for field in options_of(cls)}
    return _ADAPTERS[cls]


def _check(cls: type[Part], values: Mapping[str, object]) -> tuple[dict[str, object], list[Problem]]:
    checked: dict[str, object] = {}
    problems: list[Problem] = []
    for name, value in values.items():
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            problems.append(Problem(name, "expected a whole number of at most 64 bits"))
            continue
        try:
            checked[name] = _adapters(cls)[name].validate_python(
                value.item() if isinstance(value, np.generic) else value
            )
        except ValidationError as error:
            problems += _problems(error, name)
        except UnicodeEncodeError:
            problems.append(Problem(name, f"expected text in UTF-8, received {received(value)}"))
    return checked, problems


def _problems(error: ValidationError, place: str) -> list[Problem]:
    problems: list[Problem] = []
    for item in error.errors(include_url=False):
        # The user wrote positions in a list, but not the tags of a union.
        where = place + "".join(f"[{step}]" for step in item["loc"] if isinstance(step, int))
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, InputError):
            problems += [problem.below(where) for problem in cause.problems]
        else:
            message = item["msg"].replace("Input should be", "expected").removeprefix("Value error, ")
            problems.append(Problem(where, f"{message}, received {received(item['input'])}"))
    return problems


# Strict: an integer is a number, but true and "1" are not.
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Fraction = Annotated[float, Field(ge=0, lt=1, strict=True)]


Trainable = Annotated[
    Annotated[Flag, Tag("flag")] | Annotated[tuple[str, ...], Tag("names")],
    Discriminator(lambda value: "flag" if isinstance(value, bool) else "names"),
]
"""Which parameters of a layer a training changes: all, none, or those of the given names."""


class Initializer(Part, ABC, family="initializer"):
    """Draws the initial values of an array, always with NumPy in float64, so that they do not depend on the engine."""

    @abstractmethod
    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Initial values of that shape."""


class Schedule(Part, ABC, family="schedule"):
    """A number that changes during training: step -> value. Step 0 is the first update."""

    has_durations: ClassVar[bool] = True
    """Whether fields that are strings or None are durations, which are converted to steps before training."""

    @abstractmethod
    def __call__(self, step: Scalar) -> Scalar:
        """The value for the update after `step` updates; `step` is a number or an array of any engine."""


def number_or_other(value: object) -> str:
    """The tag of a value in a union of numbers and something else: "number" or "other"."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else "other"


Rate = Annotated[
    Annotated[NonNegative, Tag("number")] | Annotated[Schedule, Tag("other")], Discriminator(number_or_other)
]
"""A number of at least 0, or a schedule."""
FractionRate = Annotated[
    Annotated[Fraction, Tag("number")] | Annotated[Schedule, Tag("other")], Discriminator(number_or_other)
]
"""A number of [0, 1), or a schedule."""


def at(rate: float | Schedule, step: Scalar) -> Scalar:
    """The value of a rate at a step: the number itself, or the value of the schedule."""
    return rate(step) if callable(rate) else rate


class ForwardContext(NamedTuple):
    """The circumstances of a forward pass.

    training: whether layers behave as in training, rather than as in prediction.
    weight: weights of the samples (n,), for layers with statistics of a batch; 0 is padding. None: all 1.
    noise: the source of random numbers; None: there is none.
    """

    training: bool
    weight: Array | None = None
    noise: Noise | None = None

    def at(self, index: int) -> ForwardContext:
        """The context for the layer at that place of a stack, with separate noise."""
        return self if self.noise is None else ForwardContext(self.training, self.weight, self.noise.at(index))


# Initial values are drawn in float64; there are as many gradients and updates.
_PARAMETER_BYTES = 24


class InitContext(NamedTuple):
    """The means to draw the initial values of a layer.

    rng: the random generator.
    weights: gives the initializer for weights from the layers that follow them; for layers without their own.
    bias: the initializer of biases, for layers without their own.
    following: the layers after this one.
    """

    rng: np.random.Generator
    weights: Callable[[Sequence[Layer]], Initializer]
    bias: Initializer
    following: Sequence[Layer] = ()

    def draw(self, initializer: Initializer, shape: tuple[int, ...]) -> np.ndarray:
        """The initial values of an array. Raises InputError where the machine lacks the memory to train it."""
        check_parameters(math.prod(shape))
        return initializer(self.rng, shape)


def check_parameters(count: int) -> None:
    """Raise InputError where the machine lacks the memory for so many parameters: values, gradients and updates."""
    check_memory("network", _PARAMETER_BYTES * count, "make its layers narrower")


class LocalFactor(NamedTuple):
    """An array that the backward pass of a layer multiplies with delta, under the symbol of the layer's docstring.

    Attributes:
        symbol: its name in the formulas, as `xhat`.
        values: one row a sample, or one array for the whole batch.
        meaning: what it is, in a few words; may be empty.
        in_forward: whether the formula of the forward pass uses it too.
        by_sample: whether it has one row a sample.
    """

    symbol: str
    values: Array
    meaning: str = ""
    in_forward: bool = False
    by_sample: bool = True


class MeanField(NamedTuple):
    """The effect of a wide layer with random weights on a signal, per unit.

    square: mean square of its outputs.
    factor: mean square of dL/d(inputs) divided by that of dL/d(outputs).
    """

    square: float
    factor: float


P = TypeVar("P", bound=Params, default=Any)
S = TypeVar("S", bound=LayerState, default=Any)
C = TypeVar("C", bound=Cache, default=Any)


class Layer(Part, ABC, Generic[P, S, C], family="layer"):
    """A map from rows to rows, with the rule that carries dL/d(output) back to dL/d(input).

    Shapes: x (n, width in), y (n, width out), one row for each sample.

    Its parameters are of type P, its state of type S, and its cache of type C; `()` if it has none. `Layer` alone is
    any layer: a stack hands each layer only the trees that this layer made.

    The facts below describe the layer. Those that are properties may depend on its options, and cannot be read inside a
    compiled step, where options are not numbers.
    """

    input_symbol: ClassVar[str] = "x"
    """The name of the input in the formulas of the docstring."""
    output_symbol: ClassVar[str] = "y"
    """The name of the output in the formulas of the docstring."""
    transparent: ClassVar[bool] = False
    """Whether the layer only normalises, drops, adds noise or reshapes, so that the layer after it decides which
    initializer suits the weights before it."""
    is_feature_map: ClassVar[bool] = False
    """Whether the layer is a fixed map of the inputs, such as a linear unit has below its weights."""
    has_weights: ClassVar[bool] = False
    """Whether the layer multiplies its input by a matrix that it learns: `weight_matrix`."""
    sums_to_one: ClassVar[bool] = False
    """Whether the outputs of each sample are at least 0 and sum to 1."""
    saturates: ClassVar[bool] = False
    """Whether the layer is elementwise, bounded, and flattens out on both sides, as tanh and sigmoid do."""
    is_identity: ClassVar[bool] = False
    """Whether the outputs are the inputs, unchanged."""
    input_axes: ClassVar[int | None] = None
    """Number of axes of the samples that the layer takes: 1 for flat ones, 3 for pictures (height, width, channels);
    None: samples of any shape."""
    random: ClassVar[bool] = False
    """Whether the layer draws random numbers in training."""

    @property
    def suited_initializer(self) -> Initializer | None:
        """The initializer for the weights before this layer; None: the layer asks for no special one."""
        return None

    @property
    def output_range(self) -> tuple[float, float]:
        """The smallest and the largest output, infinite where there is no bound. A bound need not be reached."""
        return -math.inf, math.inf

    @property
    def steepest_slope(self) -> float | None:
        """The largest |f'| of an elementwise layer, infinite where there is no bound; None for all other layers."""
        return None

    @property
    def is_linear(self) -> bool:
        """Whether the trained layer is an affine map of its input: without random numbers, with fixed statistics."""
        return False

    @property
    def can_die(self) -> bool:
        """Whether f' is exactly 0 for all inputs on one side and not on the other, as in ReLU."""
        return False

    @property
    def drop_rate(self) -> float:
        """Fraction of the numbers that the layer sets to 0 in each training step."""
        return 0.0

    @property
    def code_columns(self) -> tuple[int, ...]:
        """The columns of its inputs that are numbers of categories, and not quantities."""
        return ()

    @property
    def inner(self) -> tuple[Layer, ...]:
        """The layers inside a block, in order; empty for all other layers."""
        return ()

    @property
    def least_batch(self) -> int:
        """The fewest rows of a batch that the layer can be trained with."""
        return 1

    def initialize(self, context: InitContext, shape: tuple[int, ...]) -> tuple[P, S, tuple[int, ...]]:
        """(params, state, shape of one output sample) for samples of `shape`."""
        return cast(P, ()), cast(S, ()), shape

    def trained(self, params: P) -> P:
        """What a training changes: parameters or their gradients, with `()` in place of every array that is held."""
        return params

    @abstractmethod
    def forward(self, params: P, state: S, x: Array, context: ForwardContext) -> tuple[Array, S, C]:
        """(y, the new state, the cache for `backward`)."""

    @abstractmethod
    def backward(self, params: P, cache: C, delta: Array) -> tuple[Array, P]:
        """(dL/dx, gradients in the type of `params`) from delta = dL/dy."""

    def gradients(self, params: P, cache: C, delta: Array) -> P:
        """The gradients without dL/dx, which the lowest layer does not need."""
        return self.backward(params, cache, delta)[1]

    def local_factors(self, params: P, cache: C, delta: Array) -> tuple[LocalFactor, ...]:
        """The factors of `backward` besides delta = dL/dy and the parameters, for `thalweg explain`."""
        return ()

    @abstractmethod
    def jvp(self, params: P, cache: C, direction: P, x_dot: Array) -> Array:
        """y_dot = (∂y/∂params) direction + (∂y/∂x) x_dot: the derivative of y along a direction of params and x.

        A layer with parameters also takes None for x_dot: x does not move.
        """

    @abstractmethod
    def backward_jvp(self, params: P, cache: C, direction: P, x_dot: Array, delta: Array) -> tuple[Array | None, P]:
        """The derivative of both results of `backward(params, cache, delta)` along that direction, with delta fixed.

        `backward` is linear in delta: if delta moves too, this adds `backward(params, cache, delta_dot)`. A layer with
        parameters also takes None for x_dot; dL/dx is not needed then, and its derivative is None.
        """

    def weight_matrix(self, params: P) -> Array | None:
        """The matrix W (fan_in, units) of a layer that `has_weights`, a column for each unit; None for all others.

        A unit may meet a part of the inputs alone: a window of a picture, or the inputs of its member of an ensemble.
        """
        return None

    def mean_field(self, draws: Sequence[P], square: float) -> MeanField | None:
        """The theory of a wide layer with random weights, for inputs of mean square `square`; None if there is none.

        `draws` are several independent draws of the layer's parameters.

        Source: Poole et al. 2016; Schoenholz et al. 2017, Deep information propagation, equations 3 and 7.
        """
        return None


def only_trained(params: P, trainable: bool | tuple[str, ...]) -> P:
    """The named parameters of a layer with `()` in place of every array that a training does not change.

    >>> class Line(NamedTuple):
    ...     W: Array
    ...     b: Array
    >>> only_trained(Line(1.0, 2.0), ("W",)), only_trained(Line(1.0, 2.0), False)
    (Line(W=1.0, b=()), Line(W=(), b=()))
    """
    if trainable is True:
        return params
    names = trainable or ()
    kept = [array if name in names else () for name, array in zip(getattr(params, "_fields", ()), params, strict=True)]
    make: Callable[[list[Tree]], Tree] = getattr(params, "_make", tuple)
    return cast(P, make(kept))


def check_trainable(layer: Layer, trainable: bool | tuple[str, ...], params: Sequence[str]) -> None:
    """Raise InputError for a name in `trainable` that is none of the layer's parameters."""
    names = () if isinstance(trainable, bool) else trainable
    unknown = [name for name in names if name not in params]
    if unknown:
        problems = [Problem("trainable", f"unknown parameter {name!r}; {nearest(name, params)}") for name in unknown]
        raise InputError(layer.kind, problems)


def normalized_weights(weight: Array, total: Array | None = None) -> Array:
    """The weight of each sample in a weighted mean: w_i / Σ w, or w_i / `total`; 0 if that sum is 0.

    >>> normalized_weights(np.array([1.0, 0.0, 3.0])).tolist()
    [0.25, 0.0, 0.75]
    """
    xp = namespace(weight)
    total = xp.sum(weight) if total is None else total
    return weight / xp.where(total == 0, xp.ones_like(total), total)


class Loss(Part, ABC, family="loss"):
    """A loss over a batch: one function gives its value and its delta = dL/d(outputs)."""

    @property
    def takes(self) -> Literal["values", "probabilities", "logits", "scores"]:
        """What the outputs are: numbers (regression), probabilities, logits, or scores of which only the sign or the
        order decides (linear units)."""
        return "values"

    @property
    def members(self) -> int:
        """How many predictions of each target the outputs hold, those of each member of an ensemble side by side."""
        return 1

    def fused_with(self, last: Layer) -> Loss | None:
        """The loss on logits that equals this loss after the layer `last`; None if there is none."""
        return None

    @property
    def threshold(self) -> float:
        """The decision threshold of a single output, or of each of several labels."""
        return 0.5

    @abstractmethod
    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Loss of each sample (n,) and its derivative by the outputs (n, width), for targets of the same shape."""

    @abstractmethod
    def hvp(self, outputs: Array, targets: Array, direction: Array) -> Array:
        """Each sample's Hessian by the outputs times a direction: (n, width), like `outputs` and `direction`."""

    def __call__(
        self, outputs: Array, targets: Array, weight: Array, total: Array | None = None
    ) -> tuple[Array, Array]:
        """(L, dL/d outputs) with L the weighted mean of the samples' losses; 0 if all weights are 0.

        Args:
            outputs: outputs of the network (n, width).
            targets: targets of the same shape.
            weight: weights of the samples (n,).
            total: sum of the weights of the whole batch, if these samples are a piece of it: then the values of the
                pieces add up to L, and their deltas are those of the whole batch.
        """
        values, slopes = self.terms(outputs, targets)
        weights = normalized_weights(weight, total)
        return namespace(outputs).sum(weights * values), weights[:, None] * slopes

    def backward_jvp(
        self, outputs: Array, targets: Array, weight: Array, direction: Array, total: Array | None = None
    ) -> Array:
        """The derivative of delta = dL/d(outputs) of a batch along a direction of the outputs; see `__call__`."""
        return normalized_weights(weight, total)[:, None] * self.hvp(outputs, targets, direction)

    def probabilities(self, outputs: Array) -> Array:
        """The outputs as probabilities if the loss takes logits; else the outputs unchanged."""
        return outputs

    def answers(self, outputs: Array) -> Array:
        """What is compared with `threshold`: the outputs (n, K), of an ensemble the mean of its probabilities."""
        return outputs

    @property
    def decision_threshold(self) -> float:
        """`threshold` as a probability if the loss takes logits: predictions above it mean yes."""
        return float(self.probabilities(np.array([[self.threshold]]))[0, 0])

    def chosen_classes(self, predictions: np.ndarray) -> np.ndarray:
        """The numbers (n,) of the most likely classes for predictions (n, K); for K = 1, 1 above the threshold.

        `predictions` are `probabilities` of the outputs.
        """
        if predictions.shape[1] == 1:
            return (predictions[:, 0] > self.decision_threshold).astype(int)
        return predictions.argmax(axis=1)


M = TypeVar("M", bound=Moments, default=Any)


@dataclasses.dataclass(frozen=True)
class Optimizer(Part, ABC, Generic[M], family="optimizer"):
    """A rule that turns gradients into updates; the new parameters are params + updates.

    Its moments are of type M; `()` if it has none.
    """

    learning_rate: float | Schedule
    full_batch: ClassVar[bool] = False
    """Whether the rule is meant for the gradient over all training samples."""
    by_element: ClassVar[bool] = True
    """Whether the update of each number depends on its own gradients only, and not on the parameters."""

    @abstractmethod
    def init(self, params: Params) -> M:
        """The moments before the first update."""

    @abstractmethod
    def update(self, grads: TreeT, moments: M, params: Params, step: Scalar) -> tuple[TreeT, M]:
        """(updates, new moments) for the update after `step` updates."""

    def decayed(
        self, updates: TreeT, params: Params, step: Scalar, weight_decay: float | None, biases: bool = False
    ) -> TreeT:
        """Decoupled weight decay: Δ - η λ W for the weights, with `biases` also for vectors; None: no decay.

        Source: Loshchilov and Hutter 2019, algorithm 2.
        """
        if weight_decay is None:
            return updates
        decay = at(self.learning_rate, step) * weight_decay
        return map_weights(lambda u, p: u - decay * p, updates, params, biases=biases)
