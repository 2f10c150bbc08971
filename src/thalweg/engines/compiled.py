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

from .. import hessian
from ..arrays import Array, Tree
from ..errors import InputError
from ..files import cache_folder
from ..landscapes import Track, Walk, Walkers
from ..observation import Found, alive, observe
from ..parts import Initializer, Part, options_of
from ..probes.presets import Light
from ..step import Batch, Plan, State, batch_at, make_measure, make_slope, make_step, predict
from .surface import loss_at

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


@functools.partial(jax.jit, donate_argnums=1)
def _run(plan: Plan, state: State, data: Batch, rows: Array, start: int, stop: int) -> tuple[State, Tree]:
    step = make_step(plan)
    shapes = jax.eval_shape(lambda s, b: step(s, b)[1], state, jax.eval_shape(batch_at, data, rows, 0))
    reports = jax.tree.map(lambda report: jnp.zeros((len(rows), *report.shape), report.dtype), shapes)
    pack, unpack = _packing(state)

    def body(index: Any, carried: tuple[State, Tree]) -> tuple[State, Tree]:
        packed, reports = carried
        state, report = step(unpack(packed), batch_at(data, rows, index))
        return pack(state), jax.tree.map(lambda all_, one: all_.at[index - start].set(one), reports, report)

    packed, reports = lax.fori_loop(start, stop, body, (pack(state), reports))
    return unpack(packed), reports


@jax.jit
def _measure(plan: Plan, state: State, data: Batch, rows: Array, index: int) -> Tree:
    return make_measure(plan)(state, batch_at(data, rows, index))


@jax.jit
def _slope(plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, Tree]:
    return make_slope(plan)(state, batch_at(data, rows, 0))


@jax.jit
def _losses(
    plan: Plan, state: State, data: Batch, axes: tuple[Tree, ...], places: Array, start: int, stop: int
) -> Array:
    # The rows are one batch, and the places a loop: side by side they would be the same products with more memory.
    def body(index: Any, found: Array) -> Array:
        return found.at[index - start].set(loss_at(plan, state, data, axes, places[index]))

    return lax.fori_loop(start, stop, body, jnp.zeros(len(places), places.dtype))


_predict = jax.jit(predict)
_observe = jax.jit(observe)
_alive = jax.jit(alive)


@jax.jit
def _hessian_product(plan: Plan, state: State, data: Batch, rows: Array, along: Tree) -> Tree:
    return hessian.product(plan, state, batch_at(data, rows, 0), along)


@functools.partial(jax.jit, static_argnames="steps")
def _walk(walk: Walk, x: Array, y: Array, key: Array, steps: int) -> Track:
    def body(walkers: Walkers, step: Any) -> tuple[Walkers, tuple[Array, Array]]:
        walkers = walk.step(walkers, key, step)
        return walkers, walkers.place

    _, places = lax.scan(body, walk.begin(x, y), jnp.arange(steps))
    x, y = (jnp.concatenate([start[None], later]) for start, later in zip((x, y), places, strict=True))
    return Track(x, y, walk.landscape.value(x, y))


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

    def measure(self, plan: Plan, state: State, data: Batch, rows: Array) -> Tree:
        """The scores of every batch, stacked, without learning."""
        plan = _known(plan)
        with self._settings():
            scores = [_measure(plan, state, data, rows, index) for index in range(len(rows))]
        return jax.tree.map(lambda *values: np.stack([np.asarray(value) for value in values]), *scores)

    def slope(self, plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, Tree]:
        """The loss with its penalty over the rows[0], and its gradient."""
        with self._settings():
            return _slope(_known(plan), state, data, rows)

    def losses(
        self, plan: Plan, state: State, data: Batch, axes: tuple[Tree, ...], places: Array, start: int, stop: int
    ) -> np.ndarray:
        """The losses (stop - start,) over all rows at places start to stop: each so far along the axes."""
        with self._settings():
            return np.asarray(_losses(_known(plan), state, data, axes, places, start, stop))[: stop - start]

    def predict(self, network: Any, loss: Any, state: State, x: np.ndarray) -> np.ndarray:
        """Answers for the rows of x."""
        with self._settings():
            return np.asarray(_predict(_known(network), _known(loss), state.params, state.layers, x))

    def observe(self, plan: Plan, probes: Light, state: State, start: Tree, data: Batch, rows: Array) -> Found:
        """What the probes make of the step from `state` on the rows[0], by a program of its own."""
        with self._settings():
            return _observe(_known(plan), _known(probes), state, start, data, rows)

    def alive(self, plan: Plan, state: State, data: Batch, rows: Array) -> tuple[Array, ...]:
        """Which units of each activation let a gradient pass for some of the rows[0]."""
        with self._settings():
            return _alive(_known(plan), state, data, rows)

    def hessian_product(self, plan: Plan, state: State, data: Batch, rows: Array, along: Tree) -> Tree:
        """The Hessian of the loss over the rows[0], times a direction."""
        with self._settings():
            return _hessian_product(_known(plan), state, data, rows, along)

    def walk(self, walk: Walk, starts: np.ndarray, key: np.ndarray, steps: int) -> Track:
        """Where the walks from all starts (n, 2) come to, in one call."""
        x, y, key = self.place((starts[:, 0], starts[:, 1], key))
        with self._settings():
            return self.fetch(_walk(_known(walk), x, y, key, steps))
