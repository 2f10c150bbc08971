"""XLA through JAX: any range of steps is one loop on the device. Only this folder imports JAX."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jax.experimental.compilation_cache import compilation_cache
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..core.arrays import Array, Tree, TreeT
from ..core.errors import InputError, shortened
from ..core.files import cache_folder
from ..core.memory import release_memory
from ..core.private import private_folder
from ..core.progress import print_line
from ..models.network import Network
from ..parts.part import Part, options_of
from ..parts.settings import Device, EngineName, Precision
from .forked import forked_from_jax
from .step import Batch, Plan, State, StepMetrics, batch_at, make_step
from .structure import Fixed, divided

Args = ParamSpec("Args")
Result = TypeVar("Result")
Value = TypeVar("Value")
PartT = TypeVar("PartT", bound=Part)
CarryT = TypeVar("CarryT", bound=Tree)


def _flatten(part: Part) -> tuple[tuple[object, ...], tuple[tuple[str, ...], Fixed]]:
    """A part as JAX sees it: what its program is given are leaves."""
    given, fixed = divided(part)
    return tuple(given.values()), (tuple(given), fixed)


def _unflatten(cls: type[PartT], names: tuple[tuple[str, ...], Fixed], leaves: tuple[object, ...]) -> PartT:
    # The constructor would check ranges, and a traced number has none.
    part = object.__new__(cls)
    for name, value in (*zip(names[0], leaves, strict=True), *names[1]):
        object.__setattr__(part, name, value)
    return part


_registered: set[type[Part]] = set()


def _known(value: Value) -> Value:
    """The same value, with the class of every part in it registered with JAX."""
    if isinstance(value, Part):
        cls: type[Part] = type(value)
        if cls not in _registered:
            _registered.add(cls)
            jax.tree_util.register_pytree_node(cls, _flatten, functools.partial(_unflatten, cls))
        for field in options_of(cls):
            _known(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            _known(item)
    return value


# Up to this many parameters a step is 5 % faster (measured) with the parameters, and each moment, as one vector.
_FEW_PARAMETERS = 2048


def _packing(network: Network, state: State) -> tuple[Callable[[State], State], Callable[[State], State]]:
    """Functions that pack a state for the loop, and unpack it for a step.

    The arrays of few parameters are carried as one vector: one operation then updates them all, instead of one each.
    """
    vector, unravel = ravel_pytree(state.params)
    if not 0 < vector.size <= _FEW_PARAMETERS:
        return lambda state: state, lambda state: state

    _, unravel_moment = ravel_pytree(network.trained(state.params))
    has_average = state.average != ()

    # A packed state has vectors where a state has trees, so that no type but `Any` fits both ways.
    def changed(state: State, change: Callable[[Any], Any], change_moment: Callable[[Any], Any]) -> State:
        moments = state.moments
        assert isinstance(moments, tuple)
        moments = type(moments)(*map(change_moment, moments)) if moments else ()
        average = change(state.average) if has_average else ()
        return State(change(state.params), state.layers, moments, state.step, state.key, average)

    def as_vector(tree: Tree) -> jax.Array:
        return ravel_pytree(tree)[0]

    return lambda state: changed(state, as_vector, as_vector), lambda state: changed(state, unravel, unravel_moment)


def _looped(
    body: Callable[[CarryT, Array], tuple[CarryT, TreeT]], carry: CarryT, start: Array, stop: Array, size: int
) -> tuple[CarryT, TreeT]:
    """carry, output = body(carry, index) for each index; the outputs in arrays with a first axis of `size`."""
    shapes = jax.eval_shape(lambda carry: body(carry, start)[1], carry)
    outputs = jax.tree.map(lambda output: jnp.zeros((size, *output.shape), output.dtype), shapes)

    def one(index: Array, carried: tuple[CarryT, TreeT]) -> tuple[CarryT, TreeT]:
        carry, outputs = carried
        carry, output = body(carry, index)
        return carry, jax.tree.map(lambda all_, one: all_.at[index - start].set(one), outputs, output)

    return lax.fori_loop(start, stop, one, (carry, outputs))


class _Sharing(NamedTuple):
    """Where the arrays of a training on several devices are."""

    everywhere: NamedSharding
    """A copy on each device: parameters, states, and the rows that batches choose from."""
    by_row: NamedSharding
    """Batches: each device has an equal part of the rows."""
    by_column: NamedSharding
    """The numbers of the rows of each step (steps, batch): each device has those of its part."""


@functools.cache
def _sharing(device: Device | None, count: int) -> _Sharing:
    mesh = Mesh(np.array(jax.devices(device)[:count]), ("rows",))
    specs = (PartitionSpec(), PartitionSpec("rows"), PartitionSpec(None, "rows"))
    return _Sharing(*(NamedSharding(mesh, spec) for spec in specs))


def _run(
    sharing: _Sharing | None, plan: Plan, state: State, data: Batch, rows: Array, start: Array, stop: Array
) -> tuple[State, StepMetrics]:
    step = make_step(plan)
    pack, unpack = _packing(plan.network, state)

    def body(packed: State, index: Array) -> tuple[State, StepMetrics]:
        batch = batch_at(data, rows, index)
        if sharing is None:
            state, metrics = step(unpack(packed), batch)
            return pack(state), metrics
        # Each device has its rows; XLA adds what sums over a batch need: gradients, loss, statistics of the batch.
        batch = lax.with_sharding_constraint(batch, sharing.by_row)
        state, metrics = lax.with_sharding_constraint(step(unpack(packed), batch), sharing.everywhere)
        return pack(state), metrics

    packed, metrics = _looped(body, pack(state), start, stop, len(rows))
    return unpack(packed), metrics


def _run_each(
    plans: Plan, states: State, data: Batch, rows: Array, start: Array, stop: Array
) -> tuple[State, StepMetrics]:
    """`_run` of several trainings of one structure: every array has a first axis over them."""

    def one(plan: Plan, state: State, data: Batch, rows: Array) -> tuple[State, StepMetrics]:
        return _run(None, plan, state, data, rows, start, stop)

    return jax.vmap(one)(plans, states, data, rows)


def _call_each(function: Callable[..., TreeT], members: tuple[object, ...], *args: object) -> TreeT:
    """function(*member, *args) of each member: every array of `members` has a first axis over them."""
    return jax.vmap(lambda member: function(*member, *args))(members)


def _loop(
    function: Callable[..., tuple[CarryT, TreeT]], size: int, carry: CarryT, start: Array, stop: Array, *args: object
) -> tuple[CarryT, TreeT]:
    return _looped(lambda carry, index: function(carry, index, *args), carry, start, stop, size)


def _finite(tree: Tree) -> Array:
    flags = jnp.array([jnp.isfinite(array).all() for array in jax.tree.leaves(tree)])
    return cast(Array, jnp.all(flags))


# A program takes about 5 MB, and a training uses up to ten.
_KEPT_PROGRAMS = 64


@functools.lru_cache(maxsize=_KEPT_PROGRAMS)
def _program(
    function: Callable[..., Result],
    fixed: tuple[Hashable, ...],
    donated: tuple[int, ...],
    structure: jax.tree_util.PyTreeDef,
    *kinds: Hashable,
) -> Callable[..., Result]:
    """function(*fixed, *args, **options), compiled for the leaves of one kind of (args, options).

    The programs that were used last are kept.
    """

    # JAX keeps what it has compiled for as long as the function lives: each program has a function of its own.
    def own(*leaves: object) -> Result:
        args, options = jax.tree.unflatten(structure, leaves)
        return function(*fixed, *args, **options)

    own.__name__ = function.__name__
    of_args, _ = structure.children()
    ends = list(itertools.accumulate((arg.num_leaves for arg in of_args.children()), initial=0))
    given = [leaf for arg in donated for leaf in range(ends[arg], ends[arg + 1])]
    return jax.jit(own, donate_argnums=given, compiler_options=_compiler_options())


@functools.cache
def _compiler_options() -> dict[str, str]:
    """The options of the compiler; none where this version of XLA does not know them.

    XLA has two routines for a convolution on a CPU. By default it uses that of a library, which computes on one core;
    the option makes it use the other one, which computes on all cores. Matrix products still use the library.
    """
    options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


def _on_one_device(leaf: object) -> object:
    """The copy of an array on the first device of this process."""
    return leaf.addressable_data(0) if isinstance(leaf, jax.Array) else leaf


def _kind(leaf: object) -> Hashable:
    """What of a leaf decides which program it needs."""
    return getattr(leaf, "shape", ()), getattr(leaf, "dtype", type(leaf))


@functools.cache
def _keep_compiled_programs() -> None:
    """Keep compiled programs in a folder, so that they outlive the process: the user's cache, or the one that is set.

    What lies in this folder is run. So it is used only where no other user can write to it (`private_folder`); else
    every process compiles again, which is said once.
    """
    given = jax.config.values["jax_compilation_cache_dir"]
    folder = str(given or cache_folder() / "compiled")
    if problem := private_folder(folder):
        fix = "name another folder in " + ("JAX_COMPILATION_CACHE_DIR" if given else "THALWEG_CACHE")
        print_line(f"compiled programs are not kept: {shortened(f'{folder}: {problem}')}; {fix}")
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()
        return
    if given is None:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _on_event(event: str, duration_secs: float, **kwargs: str | int) -> None:
    # The compiler takes ten times the memory of a small program, and the allocator would keep it in every thread's own
    # arena, where a program that runs in another thread cannot use it.
    if event == "/jax/core/compile/backend_compile_duration":
        release_memory()


jax.monitoring.register_event_duration_secs_listener(_on_event)
# On a CPU, JAX would run programs in threads of its own, one of which begins before the one before it has given its
# memory back. Each thread keeps what it has allocated, and a program of many steps gains nothing.
jax.config.update("jax_cpu_enable_async_dispatch", False)


# XLA reads an array in place if it begins at a multiple of this many bytes.
_ALIGNMENT = 64


def _aligned(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy that XLA on a CPU reads in place. NumPy makes it on large pages, ten times as fast as XLA's own copy."""
    memory = np.empty(array.size * dtype.itemsize + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    copy = np.ndarray(array.shape, dtype, memory, begin)
    copy[...] = array
    return copy


@dataclass(frozen=True)
class Compiled:
    """The engine that compiles loops of steps for a CPU or a GPU.

    Attributes:
        precision: the type of its floating-point numbers.
        device: cpu or gpu; by default what JAX prefers.
        devices: how many of them share the rows of each batch; all else is computed on the first one.

    Raises:
        InputError: this machine lacks the devices, or the process was forked after JAX was loaded.
    """

    precision: Precision = "float32"
    device: Device | None = None
    devices: int = 1

    def __post_init__(self) -> None:
        _keep_compiled_programs()
        platform = self._find().platform
        found = len(jax.devices(self.device))
        if found < self.devices:
            fix = f"choose at most --devices {found}"
            if platform == "cpu":
                fix += f", or divide the processor: XLA_FLAGS=--xla_force_host_platform_device_count={self.devices}"
            raise InputError("devices", f"expected {self.devices} devices ({platform}), found {found}; {fix}")

    def _find(self) -> jax.Device:
        if forked_from_jax():
            raise InputError(
                "engine",
                "expected a process that was not forked after JAX was loaded: a compiled program never ends there."
                ' Start processes by "spawn" or by joblib\'s "loky", or choose the eager engine',
            )
        try:
            return jax.local_devices(backend=self.device)[0]
        except RuntimeError as error:
            found = ", ".join(sorted({device.platform for device in jax.devices()}))
            raise InputError(
                "device",
                f"expected a {self.device}, found only: {found}. A GPU needs NVIDIA's driver and"
                " `pip install 'thalweg[cuda]'`; or choose --device cpu",
            ) from error

    @property
    def name(self) -> EngineName:
        """The word for it."""
        return "compiled"

    @property
    def platform(self) -> str:
        """The device: cpu or gpu."""
        return str(self._find().platform)

    @property
    def _sharing(self) -> _Sharing | None:
        return _sharing(self.device, self.devices) if self.devices > 1 else None

    def _execute(
        self,
        function: Callable[..., Result],
        fixed: tuple[Hashable, ...],
        donated: tuple[int, ...],
        *args: object,
        **options: object,
    ) -> Result:
        """function(*fixed, *args, **options) by its program. The memory of the donated arguments is used again."""
        leaves, structure = jax.tree.flatten((_known(args), options))
        if function is not _run and self.devices > 1:
            leaves = [_on_one_device(leaf) for leaf in leaves]
        with self._settings():
            return _program(function, fixed, donated, structure, self, *map(_kind, leaves))(*leaves)

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        with jax.enable_x64(self.precision == "float64"), jax.default_device(self._find()):
            yield

    def place(self, tree: TreeT) -> TreeT:
        """The arrays in the engine's own kind and precision, on its device."""

        def cast(array: Array) -> np.ndarray:
            array = np.asarray(array)
            kinds = {"f": self.precision, "i": "int32", "u": "uint32"}
            return _aligned(array, np.dtype(kinds.get(array.dtype.kind, array.dtype)))

        where = self._find() if self._sharing is None else self._sharing.everywhere
        with self._settings():
            return jax.block_until_ready(jax.device_put(jax.tree.map(cast, tree), where, may_alias=True))

    def fetch(self, tree: TreeT) -> TreeT:
        """The arrays as NumPy arrays that no later step changes."""
        # Copies: later steps reuse the memory of the device.
        return jax.tree.map(np.array, tree)

    def finite(self, tree: Tree) -> bool:
        """Whether no number is NaN or infinite."""
        if self.platform == "cpu":
            # The numbers are in the memory of the process: to look at them, no program needs to be compiled.
            views = (np.from_dlpack(cast(Array, _on_one_device(leaf))) for leaf in jax.tree.leaves(tree))
            return all(bool(np.isfinite(view).all()) for view in views)
        return bool(self._execute(_finite, (), (), tree))

    def agreed(self, number: int) -> int:
        """The number of the first process. See `Engine.agreed`."""
        if self.devices == 1 or jax.process_count() == 1:
            return number
        return int(multihost_utils.broadcast_one_to_all(np.int32(number)))

    def run(
        self, plan: Plan, state: State, data: Batch, rows: Array, start: int, stop: int
    ) -> tuple[State, StepMetrics]:
        """Run the steps from `start` to before `stop`; step k uses the rows `rows[k]`. See `Engine.run`."""
        sharing = self._sharing
        if sharing is not None:
            with self._settings():
                state, data = jax.device_put((state, data), sharing.everywhere)
                rows = jax.device_put(rows, sharing.by_column)
        return self._execute(_run, (sharing,), (1,), plan, state, data, rows, start, stop)

    def stacked(self, trees: Sequence[Value]) -> Value:
        """Trees of one structure as one, placed, whose arrays have a first axis over them; numbers become arrays."""
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *map(_known, trees))
        return cast(Value, self.place(stacked))

    def run_each(
        self, plans: Plan, states: State, data: Batch, rows: Array, start: int, stop: int
    ) -> tuple[State, StepMetrics]:
        """`run` of several trainings as one program: arrays of `stacked`, and rows (trainings, steps, batch size)."""
        return self._execute(_run_each, (), (1,), plans, states, data, rows, start, stop)

    def call_each(self, function: Callable[..., TreeT], members: tuple[object, ...], *args: object) -> TreeT:
        """function(*member, *args) of each member, as one program: `members` are arguments of `stacked`."""
        return self._execute(_call_each, (function,), (), members, *args)

    def finite_each(self, states: State) -> np.ndarray:
        """Whether no number of each state is NaN or infinite (trainings,)."""
        return np.asarray(self.call_each(_finite, (states,)))

    def call(self, function: Callable[Args, Result], *args: Args.args, **options: Args.kwargs) -> Result:
        """The result of a pure function of arrays. See `Engine.call`."""
        return self._execute(function, (), (), *args, **options)

    def loop(
        self,
        function: Callable[Concatenate[CarryT, Array, Args], tuple[CarryT, TreeT]],
        carry: CarryT,
        start: int,
        stop: int,
        size: int,
        *args: Args.args,
        **options: Args.kwargs,
    ) -> tuple[CarryT, TreeT]:
        """The carry and the stacked outputs of a pure function over a range of steps. See `Engine.loop`."""
        return self._execute(_loop, (function, size), (), carry, start, stop, *args)
