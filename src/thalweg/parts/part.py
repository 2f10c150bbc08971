"""What every part of a network is: a frozen description by its hyper-parameters, checked when it is made.

A part is a frozen dataclass. It belongs to a family (layers, losses, optimizers, schedules, initializers, data sources)
and has a kind, the name by which specs and the shell call it. Wherever a part of a family is wanted, four forms will
do:

    ReLU()                                      the part
    "relu", "dense 128"                         its kind, and its first options in order
    {"kind": "dropout", "rate": 0.2}            a table, as TOML writes it

Parameters (weights) and running values live outside of the parts, in nested NamedTuples.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, get_type_hints

import numpy as np
from pydantic import Discriminator, Field, GetCoreSchemaHandler, Tag, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from ..core.arrays import Array, Tree, map_weights, namespace
from ..core.errors import InputError, Problem, nearest
from ..core.noise import Noise


class Part:
    """Base of all parts. A subclass is a frozen dataclass and names its kind: `class ReLU(Layer, kind="relu")`."""

    kind: ClassVar[str] = ""
    family: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type[Part]]] = {}

    def __init_subclass__(cls, family: str = "", kind: str = "", also: tuple[str, ...] = ()) -> None:
        super().__init_subclass__()
        if family:
            cls.family, cls.kinds = family, {}
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
    def of(cls, value: Any) -> Self:
        """The part that `value` describes: a part of this family, its name, its name with options, or a table.

        Raises InputError with every problem found, each at its place.
        """
        if isinstance(value, cls):
            return value
        table = cls.as_table(value)
        if not cls.family:
            return _from_table(cls, table)
        name = table.pop("kind", cls.kind or None)
        if name is None:
            raise InputError(cls.family, f"needs a kind; {nearest('', cls.kinds)}")
        if not isinstance(name, str) or name not in cls.kinds:
            raise InputError(cls.family, f"unknown {cls.family} {name!r}; {nearest(str(name), cls.kinds)}")
        if not issubclass(cls.kinds[name], cls):
            raise InputError(cls.family, f"expected {cls.kind}, received {name}")
        return _from_table(cls.kinds[name], table)

    @classmethod
    def as_table(cls, value: Any) -> dict[str, Any]:
        """The table of a name with options: `adam 0.01` -> kind = adam, learning_rate = 0.01. Tables stay as they are.

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
                found = f"takes at most {len(names)} options ({', '.join(names)}), received {len(options)}"
                raise InputError(name, found)
            return {"kind": name, **dict(zip(names, map(_number_or_word, options), strict=False))}
        if cls.family:
            raise InputError(cls.family, f"expected a name or a table with its kind, received {value!r}")
        raise InputError(cls.__name__, f"expected a table, received {value!r}")

    def describe(self) -> dict[str, Any]:
        """The table that makes this part again through `of`, in plain numbers, words, lists and tables."""
        table: dict[str, Any] = {"kind": self.kind} if self.kind else {}
        for field in options_of(type(self)):
            value = getattr(self, field.name)
            if value is not None:
                table[field.name] = _plain(value)
        return table

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.of)


def options_of(cls: type[Part]) -> tuple[dataclasses.Field[Any], ...]:
    """The options of a kind of part, in order."""
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        # A part that describes itself in its own way has no shorter form.
        return _brief(value) if value.kind and type(value).describe is Part.describe else value.describe()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _brief(part: Part) -> Any:
    """The shortest form: `dense 128` where the options given are numbers and the first ones, else a table of them."""
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


def _from_table(cls: type[Part], table: dict[str, Any]) -> Any:
    fields = {field.name: field for field in options_of(cls) if field.init}
    label = cls.kind or cls.__name__
    problems = [
        Problem(name, f"unknown option of {label}; {nearest(name, fields) if fields else f'{label} has none'}")
        for name in table
        if name not in fields
    ]
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


def _check(cls: type[Part], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    checked: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in values.items():
        try:
            checked[name] = _adapters(cls)[name].validate_python(
                value.item() if isinstance(value, np.generic) else value
            )
        except ValidationError as error:
            problems += _problems(error, name)
    return checked, problems


def _problems(error: ValidationError, place: str) -> list[Problem]:
    found: list[Problem] = []
    for item in error.errors(include_url=False):
        # Tags of a union are no part of what the user wrote; positions in a list are.
        where = place + "".join(f"[{step}]" for step in item["loc"] if isinstance(step, int))
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, InputError):
            found += [problem.below(where) for problem in cause.problems]
        else:
            message = item["msg"].replace("Input should be", "expected").removeprefix("Value error, ")
            found.append(Problem(where, f"{message}, received {item['input']!r}"))
    return found


# Strict: a whole number is a number, and neither true nor "1" is one.
Count = Annotated[int, Field(ge=1, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Fraction = Annotated[float, Field(ge=0, lt=1, strict=True)]


class Initializer(Part, ABC, family="initializer"):
    """Draws the start values of an array, always with NumPy and in float64, so that no engine changes them."""

    @abstractmethod
    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Start values of that shape."""


class Schedule(Part, ABC, family="schedule"):
    """A number that changes with training: step -> value. Step 0 is the first update."""

    has_durations: ClassVar[bool] = True
    """Whether fields that are texts or None are durations, to be counted in steps before the training."""

    @abstractmethod
    def __call__(self, step: Array) -> Array:
        """The value for the update after `step` updates; `step` is a number or an array of any engine."""


def number_or_other(value: Any) -> str:
    """Which of two tags a value of either kind has: "number", or "other"."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else "other"


Rate = Annotated[
    Annotated[NonNegative, Tag("number")] | Annotated[Schedule, Tag("other")], Discriminator(number_or_other)
]
"""A number of at least 0, or a schedule."""
FractionRate = Annotated[
    Annotated[Fraction, Tag("number")] | Annotated[Schedule, Tag("other")], Discriminator(number_or_other)
]
"""A number of [0, 1), or a schedule."""


def at(rate: Any, step: Array) -> Array:
    """The value of a rate at a step: itself if it is a number, else what its schedule gives."""
    return rate(step) if callable(rate) else rate


class ForwardContext(NamedTuple):
    """How a forward pass is meant: `training` tells layers that behave differently then from when they predict.

    `weight` (n,) are the weights of the samples (None: all 1), for layers that reckon over a whole batch; a row of
    weight 0 is padding. `noise` is where layers that draw random numbers draw them from.
    """

    training: bool
    weight: Array | None = None
    noise: Noise | None = None

    def at(self, index: int) -> ForwardContext:
        """The mode for the layer at that place of a stack, with noise of its own."""
        return self if self.noise is None else ForwardContext(self.training, self.weight, self.noise.at(index))


class InitContext(NamedTuple):
    """What the start values of a layer are drawn with; `following` are the layers that come after it.

    `weights` gives the initializer that suits the layers after the weights; it and `bias` fill what has no own.
    """

    rng: np.random.Generator
    weights: Callable[[Sequence[Layer]], Initializer]
    bias: Initializer
    following: Sequence[Layer] = ()


class MeanField(NamedTuple):
    """How a wide layer with random weights changes a signal, per unit.

    square: mean square of its outputs.
    factor: mean square of dL/d(inputs) divided by that of dL/d(outputs).
    """

    square: float
    factor: float


class Layer(Part, ABC, family="layer"):
    """One map from rows to rows, with the rule that carries dL/d(output) back to dL/d(input).

    Shapes: x (n, width in), y (n, width out), one row a sample.
    """

    transparent: ClassVar[bool] = False
    """Whether the layer only normalises, drops, disturbs or reshapes: the layer after it decides which initializer
    suits the weights before it."""
    has_weights: ClassVar[bool] = False
    """Whether the layer multiplies its input by a matrix that it learns: `weight_matrix`."""
    sums_to_one: ClassVar[bool] = False
    """Whether the outputs of each sample are at least 0 and sum to 1."""
    saturates: ClassVar[bool] = False
    """Whether the layer is elementwise, bounded, and flattens out on both sides, as tanh and sigmoid do."""
    is_identity: ClassVar[bool] = False
    """Whether the outputs are the inputs, unchanged."""
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
    def can_die(self) -> bool:
        """Whether f' is exactly 0 for all inputs on one side and not on the other, as in ReLU."""
        return False

    @property
    def drop_rate(self) -> float:
        """Fraction of the numbers that the layer sets to 0 in each training step."""
        return 0.0

    @property
    def inner(self) -> tuple[Layer, ...]:
        """The layers inside a block, in order; empty for all other layers."""
        return ()

    @property
    def least_batch(self) -> int:
        """The fewest rows of a batch that the layer can be trained with."""
        return 1

    def initialize(self, draw: InitContext, shape: tuple[int, ...]) -> tuple[Tree, Tree, tuple[int, ...]]:
        """(params, state, shape of one output sample) for samples of `shape`."""
        return (), (), shape

    @abstractmethod
    def forward(self, params: Tree, state: Tree, x: Array, mode: ForwardContext) -> tuple[Array, Tree, Tree]:
        """(y, the new state, the cache that `backward` needs)."""

    @abstractmethod
    def backward(self, params: Tree, cache: Tree, delta: Array) -> tuple[Array, Tree]:
        """(dL/dx, gradients in the type of `params`) from delta = dL/dy."""

    def weight_matrix(self, params: Tree) -> Array | None:
        """The matrix W (fan_in, width) of a layer that `has_weights`; None for all other layers."""
        return None

    def mean_field(self, draws: Sequence[Tree], square: float) -> MeanField | None:
        """The theory of a wide layer with random weights, for inputs of mean square `square`; None if there is none.

        `draws` are several independent draws of the layer's parameters.

        Source: Poole et al. 2016; Schoenholz et al. 2017, Deep information propagation, equations 3 and 7.
        """
        return None

    def gradients(self, params: Tree, cache: Tree, delta: Array) -> Tree:
        """The gradients alone, for the lowest layer, where nobody asks for dL/dx."""
        return self.backward(params, cache, delta)[1]

    @abstractmethod
    def jvp(self, params: Tree, cache: Tree, along: Tree, dx: Array | None) -> Array:
        """y' = (∂y/∂params) along + (∂y/∂x) dx: how y moves while the parameters move along `along` and x along dx.

        dx is None where x stays; a layer without parameters is not asked then.
        """

    @abstractmethod
    def backward_jvp(
        self, params: Tree, cache: Tree, along: Tree, dx: Array | None, delta: Array
    ) -> tuple[Array | None, Tree]:
        """How both results of `backward(params, cache, delta)` move along that motion, while delta stays.

        What a delta that moves too adds is `backward` of its own motion, for backward is linear in delta. Where dx is
        None nobody asks for dL/dx, nor for its motion: it is None.
        """


def normalized_weights(weight: Array, total: Array | None = None) -> Array:
    """What share of a weighted mean each sample has: w_i / Σ w, or w_i / `total`; 0 where that sum is 0.

    >>> normalized_weights(np.array([1.0, 0.0, 3.0])).tolist()
    [0.25, 0.0, 0.75]
    """
    xp = namespace(weight)
    total = xp.sum(weight) if total is None else total
    return weight / xp.where(total == 0, xp.ones_like(total), total)


class Loss(Part, ABC, family="loss"):
    """A loss over a batch: its value and its delta = dL/d(outputs) from one function."""

    takes: ClassVar[Literal["values", "probabilities", "logits", "scores"]] = "values"
    """What the outputs are: numbers (regression), probabilities, logits, or scores of which only the sign or the order
    decides (linear units)."""

    def fused_with(self, last: Layer) -> Loss | None:
        """The loss on logits that equals this loss after the layer `last`; None if there is none."""
        return None

    @property
    def threshold(self) -> float:
        """Where a single output, or each of several labels, changes from no to yes."""
        return 0.5

    @abstractmethod
    def terms(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Loss of each sample (n,) and its derivative by the outputs (n, width), for targets of the outputs' shape."""

    @abstractmethod
    def hvp(self, outputs: Array, targets: Array, along: Array) -> Array:
        """How the derivative of `terms` moves while the outputs move along `along`: each sample's Hessian times it.

        (n, width), as outputs and `along`.
        """

    def __call__(
        self, outputs: Array, targets: Array, weight: Array, total: Array | None = None
    ) -> tuple[Array, Array]:
        """(L, dL/d outputs), L the mean of the samples' losses weighted by `weight` (n,); 0 if all weights are 0.

        `total` is the sum of the weights of the whole batch where these samples are a piece of it: then the values of
        the pieces add up to L, and their deltas are those of the whole.
        """
        values, slopes = self.terms(outputs, targets)
        share = normalized_weights(weight, total)
        return namespace(outputs).sum(share * values), share[:, None] * slopes

    def backward_jvp(
        self, outputs: Array, targets: Array, weight: Array, along: Array, total: Array | None = None
    ) -> Array:
        """How delta = dL/d(outputs) of a batch moves while the outputs move along `along`; arguments as in a call."""
        return normalized_weights(weight, total)[:, None] * self.hvp(outputs, targets, along)

    def probabilities(self, outputs: Array) -> Array:
        """The outputs as probabilities, where the loss is taken on logits; else the outputs as they are."""
        return outputs


class Optimizer(Part, ABC, family="optimizer"):
    """A rule that turns gradients into updates; the new parameters are params + updates."""

    learning_rate: Any
    full_batch: ClassVar[bool] = False
    """Whether the rule is meant for the gradient over all training samples."""
    by_element: ClassVar[bool] = True
    """Whether the update of a number depends on its own gradients alone, not on the parameters and what they are."""

    @abstractmethod
    def init(self, params: Tree) -> Tree:
        """The moments before the first update."""

    @abstractmethod
    def update(self, grads: Tree, moments: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        """(updates, new moments) for the update after `step` updates."""

    def decayed(
        self, updates: Tree, params: Tree, step: Array, weight_decay: float | None, biases: bool = False
    ) -> Tree:
        """Decoupled weight decay: Δ - η λ W for the weights, with `biases` for vectors too; None decays nothing.

        Source: Loshchilov and Hutter 2019, algorithm 2.
        """
        if weight_decay is None:
            return updates
        share = at(self.learning_rate, step) * weight_decay
        return map_weights(lambda u, p: u - share * p, updates, params, biases=biases)
