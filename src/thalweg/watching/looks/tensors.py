"""Statistics of tensors that stay on their device until `fetched` reads all of them at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...probes import quantities as q
from ..roles import RANGES, SLOPES

# Of parameters with more numbers than this in all a part is read, and of each at least so many, in runs of neighbours:
# a cache line has 16 numbers, and costs as much to read as one of them.
_READ = 2**14
_LEAST_READ = 256
_RUN = 16
# Of a larger gradient a fixed sample of this many numbers is kept from before a backward pass.
_SAMPLED = 65_536
# Effective ranks are computed of at most this many units.
_RANK_UNITS = 1024
Fields = dict[str, Any]
"""Fields of a record by name: words, tensors, and numbers in place of tensors once they are fetched."""
# Most of what stands in a tree.
_PLAIN = frozenset({str, int, bool, float, tuple, type(None)})
_LOW_PRECISION = (torch.float16, torch.bfloat16)


class Scaled(NamedTuple):
    """A number that is the product of one on a device, and one that is known already.

    The product is worked out when the number is fetched: on tensors of single numbers it takes five operations.
    """

    number: Tensor
    factor: float

    def __float__(self) -> float:
        return float(self.number) * self.factor


def fetched(tree: Any) -> Any:
    """Put numbers in the place of all tensors in a tree of dicts and lists, by one synchronisation for each device and
    type. Returns the tree.

    Tensors with one number become floats, vectors become tuples of floats. All other values stay as they are. A
    measured NaN becomes infinity, because NaN means that a number was not measured.

    >>> fetched({"rms": Scaled(torch.tensor(2.0), 0.5), "rows": [torch.tensor([1.0, 3.0]), "x"]})
    {'rms': 1.0, 'rows': [(1.0, 3.0), 'x']}
    """
    elsewhere: list[_Leaf] = []
    _put_numbers(tree, elsewhere)
    groups: dict[tuple[torch.device, torch.dtype], list[_Leaf]] = {}
    for leaf in elsewhere:
        groups.setdefault((leaf.tensor.device, leaf.tensor.dtype), []).append(leaf)
    for group in groups.values():
        numbers = iter(torch.cat([leaf.tensor.reshape(-1) for leaf in group]).tolist())
        for branch, key, tensor, factor in group:
            own = list(islice(numbers, tensor.numel()))
            branch[key] = _measured_numbers(own) if tensor.dim() else _measured_number(own[0]) * factor
    return tree


class _Leaf(NamedTuple):
    """A tensor on another device than the processor, and where it stands in a tree."""

    branch: Any
    key: Any
    tensor: Tensor
    factor: float


def _put_numbers(tree: Any, elsewhere: list[_Leaf]) -> None:
    """Put the numbers of the tensors on the processor into a tree, and collect the other ones."""
    for key, value in tree.items() if type(tree) is dict else enumerate(tree):
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind is dict or kind is list:
            _put_numbers(value, elsewhere)
        elif kind is Scaled or isinstance(value, Tensor):
            tensor, factor = value if kind is Scaled else (value, 1.0)
            if not tensor.is_cpu:
                elsewhere.append(_Leaf(tree, key, tensor, factor))
            elif tensor.dim():
                tree[key] = _measured_numbers(tensor.reshape(-1).tolist())
            else:
                tree[key] = _measured_number(tensor.item()) * factor


def _measured_number(number: float) -> float:
    return math.inf if math.isnan(number) else float(number)


def _measured_numbers(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(_measured_number if math.isnan(sum(numbers)) else float, numbers))


def all_tensors(value: object) -> Iterator[Tensor]:
    """The floating tensors in the output of a module: a tensor, or those in a tuple, list, dict or data class."""
    items: Sequence[object] = ()
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        # Models that return a loss and logits in a dict mean the logits by their output.
        items = [value["logits"]] if "logits" in value else list(value.values())
    elif isinstance(value, list | tuple):
        items = value
    elif hasattr(value, "__dataclass_fields__"):
        items = list(vars(value).values())
    for item in items:
        yield from all_tensors(item)


def first_tensor(value: object) -> Tensor | None:
    """The first of them; None if there is none."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value
    return next(all_tensors(value), None)


class Taken(NamedTuple):
    """What a loss takes of what a model returns.

    >>> x = torch.ones(3, 1)
    >>> [tuple(Taken(1, True).of((x, x[:, :0], "x"), torch.ones(size)).shape) for size in (0, 3)]
    [(0,), (3, 0)]
    """

    number: int = 0
    """Which of the tensors."""
    as_targets: bool = False
    """Whether the loss gets it in the shape of the targets."""

    def of(self, outputs: object, targets: Tensor) -> Tensor | None:
        """That tensor in that shape; the first one where there are fewer, as of a model that returns less in evaluation
        mode; None where there is none."""
        found = tuple(all_tensors(outputs))
        if not found:
            return None
        output = found[self.number if self.number < len(found) else 0]
        return output.reshape(targets.shape) if self.as_targets and output.numel() == targets.numel() else output


def any_tensor(values: Sequence[object]) -> Tensor | None:
    """The first tensor of any type among values, of tuples and dicts too."""
    for value in values:
        if isinstance(value, Tensor):
            return value
        inner = list(value.values()) if isinstance(value, Mapping) else value
        if isinstance(inner, list | tuple) and (found := any_tensor(inner)) is not None:
            return found
    return None


def outputs_and_targets(given: Sequence[object]) -> tuple[Tensor, Tensor] | None:
    """What a loss got as outputs and as targets; None where it got only one tensor, or two that both have a graph:
    such a loss compares outputs with each other.

    >>> z = torch.ones(2, requires_grad=True) * 2
    >>> outputs_and_targets([z, torch.zeros(2)]) is not None, outputs_and_targets([z, z * 3])
    (True, None)
    """
    found = [value for value in given if isinstance(value, Tensor)]
    # Asking for the node of a tensor makes an object.
    if len(found) < 2 or (found[1].requires_grad and found[1].grad_fn is not None):
        return None
    return found[0], found[1]


def copied(value: object) -> Any:
    """A copy of a tensor, or of the tensors in a tuple, list or dict: what a model does to it in place is lost with it.

    >>> x = torch.zeros(2)
    >>> copied({"x": (x, 3)})["x"][0].add_(1), x
    (tensor([1., 1.]), tensor([0., 0.]))
    """
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    if type(value) is tuple:
        return tuple(map(copied, value))
    return list(map(copied, value)) if type(value) is list else value


def exact(tensor: Tensor) -> Tensor:
    """The numbers without their graph, in at least single precision."""
    values = tensor.detach()
    return values.float() if values.dtype in _LOW_PRECISION or not values.is_floating_point() else values


def rms(values: Tensor) -> Scaled:
    """√(mean v²)."""
    return Scaled(torch.linalg.vector_norm(values), 1 / math.sqrt(max(values.numel(), 1)))


def centred(values: Tensor, axis: int) -> Tensor:
    """The values without their mean along an axis."""
    return torch.sub(values, values.sum(axis, keepdim=True), alpha=1 / max(values.size(axis), 1))


# PyTorch's own deviations take twenty times as long on a processor.
def difference(values: Tensor, axis: int) -> Scaled:
    """The standard deviation between samples, which lie along `axis`, averaged in squares over everything else."""
    return rms(centred(values, axis))


def mean_and_deviation(values: Tensor) -> tuple[Scaled, Scaled]:
    """Mean and standard deviation of all numbers."""
    total, part = values.sum(), 1 / max(values.numel(), 1)
    return Scaled(total, part), rms(torch.sub(values, total, alpha=part))


def column_moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of values (rows, columns)."""
    means = values.mean(0)
    return means, torch.linalg.vector_norm(values - means, dim=0) / math.sqrt(len(values))


def by_unit(values: Tensor, axis: int, most: int) -> Tensor:
    """The values as (rows, units), of more than `most` rows an evenly spaced part; `axis` has the units."""
    axis %= values.dim()
    if axis < values.dim() - 1:
        inner = values.flatten(axis + 1)
        every = -(-math.prod(values.shape[:axis]) * inner.shape[-1] // most)
        values = inner[..., ::every].movedim(axis, -1)
    flat = values.reshape(-1, values.shape[-1])
    every = -(-len(flat) // most)
    return flat if every == 1 else flat[::every]


def rank_terms(values: Tensor) -> list[Tensor]:
    """What `effective_rank` is made of, for values (rows, units): the norms of the values, of the values without their
    means, and of the matrix of their products. Empty for too many units."""
    if values.shape[1] > _RANK_UNITS:
        return []
    rest = centred(values, 0)
    # Both products have the same eigenvalues except for zeros; the smaller one is cheaper.
    product = rest @ rest.T if len(rest) < rest.shape[1] else rest.T @ rest
    return list(torch._foreach_norm([values, rest, product]))


def effective_rank(terms: Sequence[float]) -> float:
    """(Σλ)² / Σλ², λ the eigenvalues of the covariance of the units; NaN of values that are all the same, but for
    rounding. See `probes.quantities.effective_rank`, which has it for rows of any weight.

    >>> line = rank_terms(torch.tensor([[1.0, 2], [2, 4], [3, 6]]))
    >>> round(effective_rank([float(term) for term in line]), 4)
    1.0
    """
    size, rest, product = terms or (0.0, 0.0, 0.0)
    is_spread = rest > q.ROUNDED * torch.finfo(torch.float32).eps * size
    return (rest**2 / product) ** 2 if is_spread and product > 0 else math.nan


def share(signs: Tensor) -> Scaled:
    """The part of some signs that is true."""
    return Scaled(torch.count_nonzero(signs), 1 / max(signs.numel(), 1))


def squared_gradients(x: Tensor, delta: Tensor, bias: bool) -> list[Scaled]:
    """The mean square of the gradients of single rows, over all parameters of a dense layer, as roots of its terms.

    Row i of n has the gradient x_i ⊗ d_i for W and d_i for b, d_i = n delta_i. So the mean square is
    n Σ |x_i|² |delta_i|², and n Σ |delta_i|² for the bias: `probes.quantities.gradient_variance` has it for rows of any
    weight.

    Args:
        x: the inputs (n, features).
        delta: the gradient by the outputs (n, units).
        bias: whether the layer has a bias.

    >>> x, delta = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.5], [-0.5]])
    >>> [round(float(root) ** 2, 4) for root in squared_gradients(x, delta, True)]
    [5.0, 1.0]
    """
    sizes = torch.linalg.vector_norm(delta, dim=1)
    by_weight = sizes * torch.linalg.vector_norm(x, dim=1)
    roots = torch._foreach_norm([by_weight, sizes] if bias else [by_weight])
    return [Scaled(root, math.sqrt(len(x))) for root in roots]


def activity(kind: str, outputs: Tensor) -> dict[str, Scaled]:
    """`dead` and `saturated` of an activation with outputs (rows, units), where its slope is known and can be 0."""
    slope = SLOPES.get(kind)
    if slope is None:
        return {}
    # The slope of all of these is 0 at the ends of their range, and nowhere else.
    low, high = RANGES[kind]
    dead = outputs.amax(0) <= low if math.isinf(high) else ((outputs <= low) | (outputs >= high)).all(0)
    numbers = {"dead": share(dead)}
    if slope.saturates:
        numbers["saturated"] = share(slope.of_output(outputs) < q.SATURATED * slope.steepest)
    return numbers


class SpacedNumbers(NamedTuple):
    """A fixed sample of the numbers of a tensor, and how many numbers each of them stands for."""

    values: Tensor
    share: float

    def norm_of_difference(self, other: SpacedNumbers) -> Tensor:
        """An estimate of |a - b| from the samples of both; exact for tensors that are read whole."""
        return torch.linalg.vector_norm(self.values - other.values) * math.sqrt(self.share)


def spaced(tensor: Tensor) -> SpacedNumbers:
    """A copy of evenly spaced numbers of a tensor."""
    flat = tensor.detach().reshape(-1)
    every = max(1, -(-flat.numel() // _SAMPLED))
    return SpacedNumbers(flat[::every].clone(), flat.numel() / max(-(-flat.numel() // every), 1))


class _Runs(NamedTuple):
    """Evenly spaced runs of the numbers of a parameter."""

    key: int
    """The identity of the parameter."""
    number: int
    length: int
    period: int
    size: int
    """How many numbers they have in all."""
    share: float
    """How many numbers of the parameter each of them stands for."""
    root: float
    """√share"""
    device: torch.device

    @classmethod
    def of(cls, parameter: Tensor, every: int) -> _Runs:
        """About one of `every` numbers of a parameter, and of each unit a run: a step of an embedding changes some."""
        count = parameter.numel()
        every = max(1, min(every, count // _LEAST_READ))
        unit = count // max(len(parameter), 1) if parameter.dim() else 1
        length = 1 if every == 1 else max(1, min(_RUN, unit // every))
        number = count // (every * length)
        size = number * length
        share = count / max(size, 1)
        return cls(id(parameter), number, length, every * length, size, share, math.sqrt(share), parameter.device)

    def read(self, tensor: Tensor | None) -> Tensor:
        """The numbers (size,) of a tensor that belongs to the parameter; zeros of one that is sparse, or of none."""
        if tensor is None or tensor.is_sparse:
            return torch.zeros(self.size, device=self.device)
        flat = tensor.reshape(-1)
        if self.period == 1:
            return flat
        return flat.as_strided((self.number, self.length), (self.period, 1)).reshape(-1)


class Vectors:
    """The numbers of some parameters in one vector for each device; of large models evenly spaced runs of them.

    Norms and inner products of such vectors are estimates of those of all numbers.

    Args:
        parameters: the parameters, each once.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        every = -(-sum(parameter.numel() for parameter in parameters) // _READ)
        # They are kept, so that no other object gets the identity of one of them.
        self._parameters = tuple(parameters)
        self._runs: dict[torch.device, list[_Runs]] = {}
        for parameter in parameters:
            self._runs.setdefault(parameter.device, []).append(_Runs.of(parameter, every))
        # How many numbers each number of a vector stands for.
        self._weights = [
            torch.cat([torch.full((runs.size,), runs.share, device=device) for runs in group])
            for device, group in self._runs.items()
        ]

    def read(self, tensors: Mapping[int, Tensor]) -> list[Tensor]:
        """A vector for each device, from the tensors that belong to the parameters; 0 for those without one."""
        return [
            torch.cat(
                [runs.read(tensors.get(runs.key)) for runs in group], out=torch.empty(len(weights), device=device)
            )
            for (device, group), weights in zip(self._runs.items(), self._weights, strict=True)
        ]

    def norms(self, vectors: Sequence[Tensor]) -> dict[int, Scaled]:
        """The norm of each parameter's part of vectors."""
        found: dict[int, Scaled] = {}
        for vector, group in zip(vectors, self._runs.values(), strict=True):
            norms = torch._foreach_norm(vector.split([runs.size for runs in group]))
            found |= {runs.key: Scaled(norm, runs.root) for runs, norm in zip(group, norms, strict=True)}
        return found

    def dot(self, vectors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
        """The inner product over all parameters, as a term for each device."""
        return [torch.dot(a * weights, b) for weights, a, b in zip(self._weights, vectors, others, strict=True)]


@torch.no_grad()
def norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The norm of each tensor."""
    dense = [tensor.coalesce().values() if tensor.is_sparse else tensor for tensor in tensors]
    return list(torch._foreach_norm(dense)) if dense else []


def total(squares: Sequence[Tensor]) -> Tensor | float:
    """√(Σ n²) of some norms; NaN of none."""
    if not squares:
        return math.nan
    device = squares[0].device
    return torch.linalg.vector_norm(torch.stack([norm.to(device, torch.float32) for norm in squares]))
