"""Statistics of tensors that stay on their device until `fetched` reads all of them at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...probes import quantities as q
from ..roles import RANGES, SLOPES

# Of parameters with more numbers than this in all a part is read, and of each at least so many.
_READ = 2**15
_LEAST_READ = 256
# Of a larger gradient a fixed sample of this many numbers is kept from before a backward pass.
_SAMPLED = 65_536
# Effective ranks are computed of at most this many units.
_RANK_UNITS = 1024
Fields = dict[str, Any]
"""Fields of a record by name: words, tensors, and numbers in place of tensors once they are fetched."""
_LOW_PRECISION = (torch.float16, torch.bfloat16)


def fetched(tree: Any) -> Any:
    """Put numbers in the place of all tensors in a tree of dicts and lists, by one synchronisation for each device and
    type. Returns the tree.

    Tensors with one number become floats, vectors become tuples of floats. All other values stay as they are. A
    measured NaN becomes infinity, because NaN means that a number was not measured.

    >>> fetched({"rms": torch.tensor(2.0), "rows": [torch.tensor([1.0, 3.0]), "x"]})
    {'rms': 2.0, 'rows': [(1.0, 3.0), 'x']}
    """
    groups: dict[tuple[torch.device, torch.dtype], list[_Leaf]] = {}
    _collect(tree, groups)
    for group in groups.values():
        scalars = [leaf for leaf in group if not leaf.tensor.dim()]
        vectors = [leaf for leaf in group if leaf.tensor.dim()]
        parts = [torch.stack([leaf.tensor for leaf in scalars])] if scalars else []
        joined = torch.cat([*parts, *(leaf.tensor.reshape(-1) for leaf in vectors)])
        if joined.is_floating_point():
            joined = torch.nan_to_num(joined, nan=math.inf, posinf=math.inf, neginf=-math.inf)
        numbers = list(map(float, joined.tolist()))
        for leaf, number in zip(scalars, numbers, strict=False):
            leaf.branch[leaf.key] = number
        start = len(scalars)
        for branch, key, tensor in vectors:
            end = start + tensor.numel()
            branch[key] = tuple(numbers[start:end])
            start = end
    return tree


class _Leaf(NamedTuple):
    """A tensor and where it stands in a tree."""

    branch: Any
    key: Any
    tensor: Tensor


def _collect(tree: Any, groups: dict[tuple[torch.device, torch.dtype], list[_Leaf]]) -> None:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, Tensor):
            groups.setdefault((value.device, value.dtype), []).append(_Leaf(tree, key, value))
        elif isinstance(value, dict | list):
            _collect(value, groups)


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
    return None if len(found) < 2 or found[1].grad_fn is not None else (found[0], found[1])


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


def rms(values: Tensor) -> Tensor:
    """√(mean v²)."""
    return torch.linalg.vector_norm(values) / math.sqrt(max(values.numel(), 1))


# PyTorch's own deviations and largest absolute values take twenty times as long on a processor.
def difference(values: Tensor, axis: int) -> Tensor:
    """The standard deviation between samples, which lie along `axis`, averaged in squares over everything else."""
    return rms(values - values.mean(axis, keepdim=True))


def mean_and_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of all numbers."""
    mean = values.mean()
    return mean, rms(values - mean)


def column_moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of values (rows, columns)."""
    means = values.mean(0)
    return means, torch.linalg.vector_norm(values - means, dim=0) / math.sqrt(len(values))


def largest(values: Tensor) -> Tensor:
    """The largest absolute value."""
    low, high = torch.aminmax(values)
    return torch.maximum(-low, high)


def by_unit(values: Tensor, axis: int, most: int) -> Tensor:
    """The values as (rows, units), of more than `most` rows an evenly spaced part; `axis` has the units."""
    axis %= values.dim()
    if axis < values.dim() - 1:
        inner = values.flatten(axis + 1)
        every = -(-math.prod(values.shape[:axis]) * inner.shape[-1] // most)
        values = inner[..., ::every].movedim(axis, -1)
    flat = values.reshape(-1, values.shape[-1])
    return flat[:: -(-len(flat) // most)]


def even(rows: int, like: Tensor) -> Tensor:
    """Equal weights of some rows (n,); they sum to 1."""
    return torch.full((rows,), 1 / max(rows, 1), dtype=like.dtype, device=like.device)


def effective_rank(values: Tensor) -> Tensor | float:
    """The effective rank of values (rows, units); NaN for too many units."""
    if values.shape[1] > _RANK_UNITS:
        return math.nan
    return q.effective_rank(values, even(len(values), values))  # type: ignore[arg-type, return-value]


def activity(kind: str, outputs: Tensor) -> dict[str, Tensor]:
    """`dead` and `saturated` of an activation with outputs (rows, units), where its slope is known and can be 0."""
    slope = SLOPES.get(kind)
    if slope is None:
        return {}
    # The slope of all of these is 0 at the ends of their range, and nowhere else.
    low, high = RANGES[kind]
    alive = outputs.amax(0) > low if math.isinf(high) else ((outputs > low) & (outputs < high)).any(0)
    numbers = {"dead": (~alive).float().mean()}
    if slope.saturates:
        numbers["saturated"] = (slope.of_output(outputs) < q.SATURATED * slope.steepest).float().mean()
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


class Vectors:
    """The numbers of some parameters in one vector for each device; of large models an evenly spaced part.

    A number that stands for n is multiplied by √n, so that norms and inner products are estimates of those of all.

    Args:
        parameters: the parameters, each once.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        every = -(-sum(parameter.numel() for parameter in parameters) // _READ)
        self._groups: dict[torch.device, list[Tensor]] = {}
        self._every: dict[int, int] = {}
        for parameter in parameters:
            self._groups.setdefault(parameter.device, []).append(parameter)
            self._every[id(parameter)] = max(1, min(every, parameter.numel() // _LEAST_READ))
        self.keys = tuple(id(parameter) for group in self._groups.values() for parameter in group)
        self._sizes = [[self._size(parameter) for parameter in group] for group in self._groups.values()]
        self._roots = [
            [math.sqrt(parameter.numel() / max(size, 1)) for parameter, size in zip(group, sizes, strict=True)]
            for group, sizes in zip(self._groups.values(), self._sizes, strict=True)
        ]

    def read(self, tensors: Mapping[int, Tensor]) -> list[Tensor]:
        """A vector for each device, from the tensors that belong to the parameters; 0 for those without one."""
        vectors = []
        for group, sizes, roots in zip(self._groups.values(), self._sizes, self._roots, strict=True):
            vector = torch.cat([self._part(parameter, tensors.get(id(parameter))) for parameter in group])
            if any(root != 1 for root in roots):
                torch._foreach_mul_(vector.split(sizes), roots)
            vectors.append(vector)
        return vectors

    def norms(self, vectors: Sequence[Tensor]) -> dict[int, Tensor]:
        """The norm of each parameter's part of vectors."""
        parts = [part for vector, sizes in zip(vectors, self._sizes, strict=True) for part in vector.split(sizes)]
        return dict(zip(self.keys, torch._foreach_norm(parts), strict=True)) if parts else {}

    def dot(self, vectors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
        """The inner product over all parameters, as a term for each device."""
        return [torch.dot(a, b) for a, b in zip(vectors, others, strict=True)]

    def _size(self, parameter: Tensor) -> int:
        return -(-parameter.numel() // self._every[id(parameter)])

    def _part(self, parameter: Tensor, tensor: Tensor | None) -> Tensor:
        if tensor is None or tensor.is_sparse:
            return torch.zeros(self._size(parameter), device=parameter.device)
        every = self._every[id(parameter)]
        flat = tensor.reshape(-1)
        return (flat if every == 1 else flat[::every]).float()


def norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The norm of each tensor."""
    dense = [tensor.coalesce().values() if tensor.is_sparse else tensor for tensor in tensors]
    return list(torch._foreach_norm([tensor.detach() for tensor in dense])) if dense else []


def total(squares: Sequence[Tensor]) -> Tensor | float:
    """√(Σ n²) of some norms; NaN of none."""
    if not squares:
        return math.nan
    device = squares[0].device
    return torch.linalg.vector_norm(torch.stack([norm.to(device, torch.float32) for norm in squares]))
