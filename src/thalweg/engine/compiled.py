"""XLA through JAX: any stretch of steps is one loop on the device. Nothing outside of this folder imports JAX."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from ..core.arrays import Array, Tree
from ..core.errors import InputError
from ..core.files import cache_folder
from ..parts.part import Initializer, Part, options_of
from .step import Batch, Plan, State, batch_at, make_step

_Fixed = tuple[tuple[str, Any], ...]


def _flatten(part: Any) -> tuple[tuple[Any, ...], tuple[tuple[str, ...], _Fixed]]:
    """Numbers with a fraction, and parts, are leaves: changing them compiles nothing. The rest shapes the program."""
    leaves: dict[str, Any] = {}
    fixed: list[tuple[str, Any]] = []
    for field in options_of(type(part)):
        value = getattr(part, field.name)
        if isinstance(value, int | str | None):
            fixed.append((field.name, value))
        elif isinstance(value, Initializer):
            # It has done its work before the first step, and must not make another program.
            fixed.append((field.name, None))
        else:
            leaves[field.name] = value
    return tuple(leaves.values()), (tuple(leaves), tuple(fixed))


def _unflatten(cls: type[Part], names: tuple[tuple[str, ...], _Fixed], leaves: Any) -> Part:
    # Not through the constructor: it checks ranges, and a traced number has none.
    part = object.__new__(cls)
    for name, value in (*zip(names[0], leaves, strict=True), *names[1]):
        object.__setattr__(part, name, value)
    return part


_registered: set[type[Part]] = set()


def _known(value: Any) -> Any:
    """The same parts, each class of them made known to JAX."""
    if isinstance(value, Part):
        cls = type(value)
        if cls not in _registered:
            _registered.add(cls)
            jax.tree_util.register_pytree_node(cls, _flatten, functools.partial(_unflatten, cls))
        for field in options_of(cls):
            _known(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            _known(item)
    return value


# Up to this many parameters a step takes less time with the parameters, and each moment, as one vector (measured: 5 %).
_FEW_PARAMETERS = 2048


def _packing(state: State) -> tuple[Callable[[State], State], Callable[[State], State]]:
    """How a state is carried through the loop, and how it is taken apart again for a step.

    The arrays of few parameters are carried as one vector: one operation then updates them all, instead of one each.
    """
    vector, apart = ravel_pytree(state.params)
    if not 0 < vector.size <= _FEW_PARAMETERS:
        return lambda state: state, lambda state: state

    has_average = state.average != ()

    def changed(state: State, change: Callable[[Tree], Tree]) -> State:
        moments = type(state.moments)(*map(change, state.moments)) if state.moments else ()
        average = change(state.average) if has_average else ()
        return state._replace(params=change(state.params), moments=moments, average=average)

    def pack(state: State) -> State:
        return changed(state, lambda tree: ravel_pytree(tree)[0])

    def unpack(state: State) -> State:
        return changed(state, apart)

    return pack, unpack


def _looped(body: Callable[[Tree, Any], Any], carry: Tree, start: Any, stop: Any, size: int) -> Any:
    """carry, output = body(carry, index) for each index; the outputs in arrays with a first axis of `size`."""
    shapes = jax.eval_shape(lambda carry: body(carry, start)[1], carry)
    outputs = jax.tree.map(lambda output: jnp.zeros((size, *output.shape), output.dtype), shapes)

    def one(index: Any, carried: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        carry, outputs = carried
        carry, output = body(carry, index)
        return carry, jax.tree.map(lambda all_, one: all_.at[index - start].set(one), outputs, output)

    return lax.fori_loop(start, stop, one, (carry, outputs))


@functools.partial(jax.jit, donate_argnums=1)
def _run(plan: Plan, state: State, data: Batch, rows: Array, start: int, stop: int) -> tuple[State, Tree]:
    step = make_step(plan)
    pack, unpack = _packing(state)

    def body(packed: State, index: Any) -> tuple[State, Tree]:
        state, report = step(unpack(packed), batch_at(data, rows, index))
        return pack(state), report

    packed, reports = _looped(body, pack(state), start, stop, len(rows))
    return unpack(packed), reports


@functools.partial(jax.jit, static_argnums=(0, 1))
def _loop(function: Callable[..., Any], size: int, carry: Tree, start: int, stop: int, *args: Any) -> Any:
    return _looped(lambda carry, index: function(carry, index, *args), carry, start, stop, size)


# A function's program is compiled once for each shape of its arguments; a second wrapper would compile it again.
_jitted = functools.cache(jax.jit)


@jax.jit
def _finite(tree: Tree) -> Any:
    return jnp.all(jnp.array([jnp.isfinite(array).all() for array in jax.tree.leaves(tree)]))


def _keep_compiled_programs() -> None:
    """Compiled programs outlive the process, in the user's own cache folder; a folder that the user set up stays."""
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    folder = cache_folder() / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError:
        # Without the cache every process compiles anew; that is slower and nothing else.
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


# Where an array has to begin for XLA to read it where it is.
_ALIGNMENT = 64


def _aligned(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """A copy that a CPU's XLA takes as it is: NumPy makes it on large pages, ten times as fast as XLA its own."""
    memory = np.empty(array.size * dtype.itemsize + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    copy = np.ndarray(array.shape, dtype, memory, begin)
    copy[...] = array
    return copy


@dataclass(frozen=True)
class Compiled:
    """The engine that compiles the whole epoch for a CPU or a GPU. Raises InputError where there is no such device."""

    precision: Literal["float32", "float64"] = "float32"
    device: Literal["cpu", "gpu"] | None = None

    def __post_init__(self) -> None:
        _keep_compiled_programs()
        self._find()

    def _find(self) -> Any:
        try:
            return jax.devices(self.device)[0]
        except RuntimeError as error:
            found = ", ".join(sorted({device.platform for device in jax.devices()}))
            raise InputError(
                "device",
                f"expected a {self.device}, found only: {found}. A GPU needs NVIDIA's driver and"
                " `pip install 'thalweg[cuda]'`; or choose --device cpu",
            ) from error

    @property
    def platform(self) -> str:
        """What it runs on: cpu or gpu."""
        return str(self._find().platform)

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        with jax.enable_x64(self.precision == "float64"), jax.default_device(self._find()):
            yield

    def place(self, tree: Tree) -> Tree:
        """The arrays on the device, in this engine's precision; whole numbers as 32 bits."""

        def cast(array: Any) -> np.ndarray:
            array = np.asarray(array)
            kinds = {"f": self.precision, "i": "int32", "u": "uint32"}
            return _aligned(array, np.dtype(kinds.get(array.dtype.kind, array.dtype)))

        with self._settings():
            return jax.block_until_ready(jax.device_put(jax.tree.map(cast, tree), self._find(), may_alias=True))

    def fetch(self, tree: Tree) -> Tree:
        """The arrays as NumPy arrays of their own: later steps, which reuse the device's memory, do not reach them."""
        return jax.tree.map(np.array, tree)

    def finite(self, tree: Tree) -> bool:
        """Whether no number is NaN or infinite."""
        with self._settings():
            return bool(_finite(tree))

    def run(self, plan: Plan, state: State, data: Batch, rows: Array, start: int, stop: int) -> tuple[State, Tree]:
        """Steps start to stop of `rows` (steps, batch size): the new state, which uses up the old; the reports."""
        with self._settings():
            return _run(_known(plan), state, data, rows, start, stop)

    def call(self, function: Callable[..., Tree], *args: Any) -> Tree:
        """function(*args) as a program of its own."""
        with self._settings():
            return _jitted(function)(*map(_known, args))

    def loop(self, function: Callable[..., Any], carry: Tree, start: int, stop: int, size: int, *args: Any) -> Any:
        """carry, output = function(carry, index, *args) from start to stop, as one loop on the device."""
        with self._settings():
            return _loop(function, size, carry, start, stop, *map(_known, args))
