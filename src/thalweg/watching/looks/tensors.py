"""Statistics of tensors that stay on their device until `fetched` reads all of them at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...probes import quantities as q
from ..roles import SLOPES

# Of parameters with more numbers than this in all a part is read, and of each at least so many.
_READ = 2**16
_LEAST_READ = 256
# Of a larger gradient a fixed sample of this many numbers is kept from before a backward pass.
_SAMPLED = 65_536
# Effective ranks are computed of at most this many units.
_RANK_UNITS = 1024
Fields = dict[str, Any]
"""Fields of a record by name: words, tensors, and numbers in place of tensors once they are fetched."""
_LOW_PRECISION = (torch.float16, torch.bfloat16)


def fetched(tree: Any) -> Any:
    """A tree of dicts and lists with numbers in place of its tensors, by one synchronisation for each device and type.

    Tensors with one number become floats, vectors become tuples of floats. All other values stay as they are. A
    measured NaN becomes infinity, because NaN means that a number was not measured.

    >>> fetched({"rms": torch.tensor(2.0), "rows": [torch.tensor([1.0, 3.0]), "x"]})
    {'rms': 2.0, 'rows': [(1.0, 3.0), 'x']}
    """
    groups: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    _collect(tree, groups)
    values: dict[int, float | tuple[float, ...]] = {}
    for group in groups.values():
        scalars = [tensor for tensor in group if tensor.dim() == 0]
        vectors = [tensor.reshape(-1) for tensor in group if tensor.dim()]
        joined = torch.cat([torch.stack(scalars), *vectors] if scalars else vectors)
        if joined.is_floating_point():
            joined = torch.nan_to_num(joined, nan=math.inf, posinf=math.inf, neginf=-math.inf)
        numbers: list[float] = joined.tolist()
        values |= {id(tensor): float(number) for tensor, number in zip(scalars, numbers, strict=False)}
        start = len(scalars)
        for tensor in group:
            if tensor.dim():
                values[id(tensor)] = tuple(map(float, numbers[start : start + tensor.numel()]))
                start += tensor.numel()
    return _replaced(tree, values)


def _collect(tree: Any, groups: dict[tuple[torch.device, torch.dtype], list[Tensor]]) -> None:
    for value in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(value, Tensor):
            groups.setdefault((value.device, value.dtype), []).append(value)
        elif isinstance(value, dict | list):
            _collect(value, groups)


def _replaced(tree: Any, values: Mapping[int, float | tuple[float, ...]]) -> Any:
    if isinstance(tree, Tensor):
        return values[id(tree)]
    if isinstance(tree, dict):
        return {key: _replaced(value, values) for key, value in tree.items()}
    return [_replaced(value, values) for value in tree] if isinstance(tree, list) else tree


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
    return next(all_tensors(value), None)


def any_tensor(values: Sequence[object]) -> Tensor | None:
    """The first tensor of any type among values, of tuples and dicts too."""
    for value in values:
        if isinstance(value, Tensor):
            return value
        inner = list(value.values()) if isinstance(value, Mapping) else value
        if isinstance(inner, list | tuple) and (found := any_tensor(inner)) is not None:
            return found
    return None


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
    slopes: Any = slope.of_output(outputs)
    weights: Any = even(len(outputs), outputs)
    numbers: Fields = {"dead": q.dead(slopes, weights)}
    if slope.saturates:
        numbers["saturated"] = q.saturated(slopes, slope.steepest, weights)
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

    def read(self, tensors: Mapping[int, Tensor]) -> list[Tensor]:
        """A vector for each device, from the tensors that belong to the parameters; 0 for those without one."""
        return [
            torch.cat([self._part(parameter, tensors.get(id(parameter))) for parameter in group])
            for group in self._groups.values()
        ]

    def norms(self, vectors: Sequence[Tensor]) -> dict[int, Tensor]:
        """The norm of each parameter's part of vectors; for a parameter that is not read whole, an estimate."""
        found: dict[int, Tensor] = {}
        for group, vector in zip(self._groups.values(), vectors, strict=True):
            parts = torch._foreach_norm(vector.split([self._size(parameter) for parameter in group]))
            for parameter, norm in zip(group, parts, strict=True):
                share = parameter.numel() / max(self._size(parameter), 1)
                found[id(parameter)] = norm if share == 1 else norm * math.sqrt(share)
        return found

    def dot(self, vectors: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """The inner product over all parameters, an estimate where some are not read whole."""
        total = torch.zeros(())
        for group, a, b in zip(self._groups.values(), vectors, others, strict=True):
            sizes = [self._size(parameter) for parameter in group]
            if sum(parameter.numel() for parameter in group) == sum(sizes):
                total = total.to(a.device) + torch.dot(a, b)
            else:
                for parameter, x, y in zip(group, a.split(sizes), b.split(sizes), strict=True):
                    total = total.to(a.device) + torch.dot(x, y) * (parameter.numel() / max(len(x), 1))
        return total

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
