"""The recorder of one step: hooks that measure the forward and the backward pass, and are gone after the step."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils.hooks import RemovableHandle

from ..facts import Role, Task, WatchedLoss
from ..roles import LOSSES, activation_of, activation_of_operation, role_of
from . import tensors as t
from .batches import input_statistics, quick_score, target_statistics
from .graph import RESHAPES, Path, path_from, path_to, shape_of
from .loss_input import last_activation, statistics, under_loss
from .structure import watched_modules

# Roles whose outputs are measured; the others only pass numbers on.
_MEASURED: frozenset[Role] = frozenset(
    {"dense", "conv", "recurrent", "attention", "embedding", "norm", "activation", "softmax"}
)
_WEIGHTED: frozenset[Role] = frozenset({"dense", "conv", "recurrent", "attention", "embedding"})
# At most this many rows are read for the effective rank, and for dead and saturated units; positions of a picture and
# steps in time are rows.
_RANK_ROWS = 512
_ACTIVITY_ROWS = 4096
Guard = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Wraps a hook, so that an error inside of it never reaches the training."""


class Recorder:
    """Measures one step of a model while the user's own code runs it.

    Each pass with a graph is measured until a backward pass begins; further passes of the same step (gradient
    accumulation) are only counted.

    Args:
        model: the eager module whose names are the places.
        root: the module that the user calls; the model itself, or what wraps it.
        loss: what is known of the loss.
        guard: wraps each hook.
        ranks: whether effective ranks are measured, which take the most time.
    """

    def __init__(self, model: nn.Module, root: nn.Module, loss: WatchedLoss, guard: Guard, ranks: bool = True) -> None:
        self._ranks = ranks
        self.model = model
        self.root = root
        self.loss = loss
        self._guard = guard
        self._forward_handles: list[RemovableHandle] = []
        self._handles: list[RemovableHandle] = []
        self._thread = 0
        self.parameters = dict(model.named_parameters())
        self._trainable = {name: parameter for name, parameter in self.parameters.items() if parameter.requires_grad}
        for name, parameter in self._trainable.items():
            self._handles.append(parameter.register_post_accumulate_grad_hook(guard(self._accumulated(name))))
        self._forget()

    def _forget(self) -> None:
        """Nothing was seen yet."""
        self.without_graph: set[str] = set()
        self.modules: list[tuple[str, nn.Module]] = []
        self._targets: Tensor | None = None
        self._batch: t.Fields | None = None
        self._forwards = 0
        self._begun = False
        self._times: Counter[str] = Counter()
        self._losses = 0
        self._facts: t.Fields = {}
        self._loss_input: t.Fields | None = None
        self._places: list[t.Fields] = []
        self._uses: dict[str, int] = {}
        self._known: dict[Node, str] = {}
        self._axes: dict[str, int] = {}
        self._outputs: list[tuple[Tensor, Node | None]] = []
        self._output: Tensor | None = None
        self._output_node: Node | None = None
        self.taken: t.Taken | None = None
        self._stale: dict[str, t.SpacedNumbers] = {}
        self._fresh: list[Tensor] = []
        self._raw: dict[str, Tensor] = {}
        self._squares: dict[str, list[t.Scaled]] = {}

    # Life -------------------------------------------------------------------------------------------------------------

    def begin_forward(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """A pass with a graph begins: the modules are hooked until it ends."""
        if self._times and all(self._trainable[name].grad is None for name in self._times):
            # What came before was for another optimizer: its gradients are gone.
            self._forget()
        self._forwards += 1
        if self._forward_handles:
            return
        if not self._begun:
            self._hook_modules(args, kwargs)
        # The last of the hooks: it takes the others off, among them that of a root with parameters of its own.
        end = self._guard(self._end_forward)
        self._forward_handles.append(self.root.register_forward_hook(end, always_call=True))

    def _hook_modules(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        self._thread = threading.get_ident()
        self._uses = {}
        inputs = t.any_tensor([*args, *kwargs.values()])
        # The first layer reads them next, and finds them in the caches.
        self._batch = None if inputs is None else _statistics_of_inputs(inputs)
        self._targets = None
        self._facts["root_training"] = self.root.training
        self.modules = list(watched_modules(self.model))
        for name, module in self.modules:
            hook = self._guard(self._module_hook(name))
            self._forward_handles.append(module.register_forward_hook(hook, with_kwargs=True))

    @property
    def reached(self) -> Collection[str]:
        """The parameters that backward has reached."""
        return self._times

    @property
    def has_seen(self) -> bool:
        """Whether it has seen anything of the step."""
        return bool(self._places)

    def remove(self) -> None:
        """Take all hooks off."""
        for handle in (*self._forward_handles, *self._handles):
            handle.remove()
        self._forward_handles.clear()
        self._handles.clear()

    # Forward ----------------------------------------------------------------------------------------------------------

    def _module_hook(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Sequence[object], kwargs: Mapping[str, object], output: object) -> None:
            if threading.get_ident() != self._thread:
                return
            y = t.first_tensor(output)
            if not torch.is_grad_enabled():
                self.without_graph.add(name)
            elif y is not None:
                with _without_autocast(y):
                    given = [*args, *kwargs.values()] if kwargs or len(args) != 1 else args[0]
                    self._add(name, module, t.first_tensor(given), y)

        return hook

    def _add(self, name: str, module: nn.Module, inputs: Tensor | None, y: Tensor) -> None:
        uses = self._uses[name] = self._uses.get(name, 0) + 1
        place = name if uses == 1 else f"{name} ({uses})"
        role = role_of(module)
        path = Path((), (), ()) if inputs is None else path_to(inputs, self._known)
        if inputs is not None and role == "activation" and inputs.grad_fn is y.grad_fn is not None:
            # It works in place, so that its input is its output by now. A dropout of nothing returns its input too.
            path = path._replace(operations=path.operations[1:])
        elif inputs is not None:
            self._add_function(place, name, inputs, path)
        axis = self._axis(module, role, y, path)
        time_first = role in ("recurrent", "attention") and getattr(module, "batch_first", True) is False
        fields: t.Fields = {
            "place": place,
            "pass": self._forwards,
            "module": name,
            "role": role,
            "activation": activation_of(module),
            "shape": tuple(y.shape),
            "units": y.shape[axis] if y.dim() else 1,
            "evaluating": not module.training,
            "input_shape": tuple(inputs.shape) if inputs is not None else (),
            "operations": path.operations,
            "follows": path.follows,
            "input_has_graph": inputs.requires_grad if inputs is not None else None,
            "output_has_graph": y.requires_grad,
            "time_first": time_first and y.dim() == 3,
        }
        if role in _MEASURED or next(module.parameters(recurse=False), None) is not None:
            fields |= _measured(y, axis, role, fields["activation"], 1 if fields["time_first"] else 0)
            if self._ranks and "difference" in fields:
                fields["rank_terms"] = t.rank_terms(t.by_unit(t.exact(y), axis, _RANK_ROWS))
            self._watch_delta(y, fields, self._noise_source(module, role, inputs, y, place))
        self._places.append(fields)
        self._remember(y, place, axis)

    def _remember(self, y: Tensor, place: str, axis: int) -> None:
        if y.grad_fn is not None:
            self._known[y.grad_fn] = place
        self._axes[place] = axis

    def _add_function(self, place: str, name: str, inputs: Tensor, path: Path) -> None:
        """An activation that was called as a function is seen in the input of the module that follows."""
        kinds = [activation_of_operation(word) for word in path.operations if word not in RESHAPES]
        if not kinds or not kinds[0]:
            return
        axis = self._axes.get(path.follows[0], -1) if path.follows and not RESHAPES & {*path.operations} else -1
        fields: t.Fields = {
            "place": f"{kinds[0]} before {place}",
            "pass": self._forwards,
            "module": name,
            "role": "softmax" if "softmax" in kinds[0] else "activation",
            "activation": kinds[0],
            "shape": tuple(inputs.shape),
            "units": inputs.shape[axis] if inputs.dim() else 1,
            "follows": path.follows,
            "input_has_graph": inputs.requires_grad,
            "output_has_graph": inputs.requires_grad,
        }
        fields |= _measured(inputs, axis, "activation", kinds[0], 0)
        self._watch_delta(inputs, fields, None)
        self._places.append(fields)

    def _axis(self, module: nn.Module, role: Role, y: Tensor, path: Path) -> int:
        """The axis of the units."""
        if role == "conv":
            return y.dim() - 1 - len(getattr(module, "kernel_size", ()))
        if role == "norm":
            # Batch and group normalization have a number for each channel, layer normalization for each feature.
            return -1 if hasattr(module, "normalized_shape") or y.dim() < 2 else 1
        if role in ("activation", "dropout", "pooling", "softmax") and path.follows and y.dim() > 2:
            return self._axes.get(path.follows[0], 1)
        return 1 if y.dim() > 3 and role == "activation" else -1

    def _noise_source(
        self, module: nn.Module, role: Role, inputs: Tensor | None, y: Tensor, place: str
    ) -> Callable[[Tensor], None] | None:
        """For a dense layer on rows of features: what remembers the squares of the gradients of single rows."""
        # The attribute of a parametrized weight computes it, and may change the module.
        weight = module._parameters.get("weight")
        is_plain = role == "dense" and inputs is not None and inputs.dim() == 2 and y.dim() == 2
        if not is_plain or weight is None or not weight.requires_grad or inputs is None:
            return None
        x = t.exact(inputs)
        bias = module._parameters.get("bias") is not None

        def measure(delta: Tensor) -> None:
            self._squares[place] = t.squared_gradients(x, delta, bias)

        return measure

    def _end_forward(self, module: nn.Module, args: object, output: object) -> None:
        for handle in self._forward_handles:
            handle.remove()
        self._forward_handles.clear()
        for y in t.all_tensors(output):
            if y.requires_grad:
                self._handles.append(y.register_hook(self._guard(lambda gradient: self._begin_backward())))
        if not self._begun and (outputs := [(y.detach(), y.grad_fn) for y in t.all_tensors(output)]):
            self._outputs = outputs
            self._output, self._output_node = outputs[0]

    # Loss -------------------------------------------------------------------------------------------------------------

    def add_loss(self, args: Sequence[object], output: object) -> None:
        """The loss module was called with a graph."""
        if not isinstance(output, Tensor) or not output.requires_grad:
            return
        self._losses += 1
        first = not self._begun
        if first:
            self._choose_output(output)
        if first and (pair := t.outputs_and_targets(args)) is not None:
            with _without_autocast(output):
                self._add_exact_loss_input(*pair)
        if first and output.dim() == 0:
            self._facts["loss"] = output.detach()
        # A loss of another model says nothing of this one's gradients.
        leads_here = self._output_node is not None and bool(path_to(output, {self._output_node: ""}).follows)

        def hook(gradient: Tensor) -> None:
            if not self._begun and gradient.numel() == 1:
                self._facts["loss_scale"] = gradient.detach().reshape(())
            if leads_here:
                self._begin_backward()

        self._handles.append(output.register_hook(self._guard(hook)))

    def _choose_output(self, loss: Tensor, targets: Tensor | None = None) -> None:
        """Take the first of the model's outputs that a loss depends on, of the shape of the targets if there is one;
        unless one is chosen."""
        nodes = {node: str(index) for index, (_, node) in enumerate(self._outputs) if node is not None}
        used = sorted(map(int, path_to(loss, nodes).follows))
        if self.taken is None and used:
            shape = None if targets is None else targets.shape
            self.taken = t.Taken(next((index for index in used if self._outputs[index][0].shape == shape), used[0]))
            self._output, self._output_node = self._outputs[self.taken.number]

    def _add_exact_loss_input(self, outputs: Tensor, targets: Tensor) -> None:
        """What a loss module was seen to take."""
        self.taken = self.taken and self.taken._replace(as_targets=outputs.shape == targets.shape)
        meaning = LOSSES.get(self.loss.kind)
        elementwise = meaning is not None and meaning.elementwise
        sees = self._output_node is not None and bool(path_to(outputs, {self._output_node: "output"}).follows)
        self._set_loss_input(
            outputs,
            targets,
            {
                "broadcast": elementwise and outputs.shape != targets.shape,
                "from_seen_output": sees,
                **self._last_operations(outputs.grad_fn),
            },
        )

    def add_step(self, inputs: object, targets: object, loss: object) -> None:
        """What the user tells of the step, after it."""
        x, y = t.any_tensor([inputs]), t.any_tensor([targets])
        if self._batch is None and x is not None:
            self._batch = _statistics_of_inputs(x)
        path = None
        if isinstance(loss, Tensor) and loss.numel() == 1:
            told = loss.detach().reshape(())
            if self._losses == 1 and "loss" in self._facts:
                self._facts["loss_added"] = told - self._facts["loss"]
            self._facts["loss"] = told
            self._choose_output(loss, y)
            if self._output_node is not None:
                path = path_to(loss, {self._output_node: "output"})
                self._facts["loss_operations"] = path.operations
        if y is None:
            return
        if self._targets is None:
            self._targets = y.detach()
        if self._loss_input is None and self._output is not None:
            with _without_autocast(self._output):
                self._add_told_loss_input(self._output, y, path)

    def _add_told_loss_input(self, outputs: Tensor, targets: Tensor, path: Path | None) -> None:
        """The output of the model and the user's targets: what a loss function got, but for what the loop did."""
        fields: t.Fields = {"broadcast": False}
        if path is not None:
            # An operation between outputs and loss that has the shape of both together has compared all pairs. A loss
            # of another forward pass does not lead to these outputs.
            pairs = _together(outputs.shape, targets.shape)
            below = under_loss(path.nodes, self.loss.kind) or self._output_node
            fields = {
                "broadcast": bool(path.follows) and any(shape_of(node) == pairs for node in path.nodes),
                "from_seen_output": bool(path.follows),
                **self._last_operations(below),
            }
        as_targets = targets.is_floating_point() and not fields["broadcast"]
        self.taken = self.taken and self.taken._replace(as_targets=as_targets)
        self._set_loss_input(outputs, targets, fields)

    def _last_operations(self, node: Node | None) -> t.Fields:
        """What was done to the outputs of the last modules."""
        path = path_from(node, self._known)
        return {"operations": path.operations, "follows": path.follows, **last_activation(node, self._known)}

    def _set_loss_input(self, outputs: Tensor, targets: Tensor, fields: t.Fields) -> None:
        self._targets = targets.detach()
        self._loss_input = statistics(outputs, targets) | fields
        task: Task = self.loss.task or ("regression" if targets.is_floating_point() else "classification")
        threshold = 0.5 if self.loss.takes == "probabilities" else 0.0
        self._facts["score"] = quick_score(outputs, targets, task, threshold)

    # Backward ---------------------------------------------------------------------------------------------------------

    def _begin_backward(self) -> None:
        if self._begun:
            return
        self._begun = True
        stale = {name: p.grad for name, p in self._trainable.items() if p.grad is not None}
        self._facts["stale"] = t.total(t.norms(list(stale.values()))) if stale else 0.0
        self._stale = {name: t.spaced(grad) for name, grad in stale.items() if not grad.is_sparse}

    @property
    def backwards(self) -> int:
        """Number of backward passes so far: each adds to the gradient of a parameter once."""
        return max(self._times.values(), default=int(self._begun))

    def _watch_delta(self, y: Tensor, fields: t.Fields, noise: Callable[[Tensor], None] | None) -> None:
        if not y.requires_grad:
            return

        def hook(gradient: Tensor) -> None:
            if "delta" not in fields:
                delta = t.exact(gradient)
                fields["delta"] = t.rms(delta)
                if noise is not None:
                    noise(delta)

        self._handles.append(y.register_hook(self._guard(hook)))

    def _accumulated(self, name: str) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            self._begin_backward()
            self._times[name] += 1
            gradient = parameter.grad
            if gradient is None or gradient.is_sparse:
                return
            self._raw[name] = torch.linalg.vector_norm(gradient.detach())
            if self._times[name] == 1 and name in self._stale:
                self._fresh.append(t.spaced(gradient).norm_of_difference(self._stale.pop(name)))

        return hook

    # Result -----------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def finished(self) -> t.Fields:
        """The fields of `Look` that this recorder knows, numbers as tensors; `stale`, `fresh`, `squares` and `raw` are
        what its ratios are made of."""
        facts = dict(self._facts)
        if self._batch is not None:
            facts["batch"] = self._batch | target_statistics(self._targets)
        return facts | {
            "fresh": t.total(self._fresh),
            "raw": self._raw,
            "squares": self._squares,
            "loss_input": self._loss_input,
            "backwards": self.backwards,
            "forwards": self._forwards,
            "places": self._used_places(),
        }

    def _used_places(self) -> list[t.Fields]:
        """The places of the passes that backward went through; a pass whose loss was thrown away is left out."""
        used = {fields["pass"] for fields in self._places if "delta" in fields}
        kept = [fields for fields in self._places if fields["pass"] in used] if used else self._places
        first = min((fields["pass"] for fields in kept), default=0)
        for fields in kept:
            fields["pass_number"] = number = fields.pop("pass") - first + 1
            if number > 1:
                fields["place"] += f" (pass {number})"
        return kept


def _measured(y: Tensor, axis: int, role: Role, activation: str, sample_axis: int) -> t.Fields:
    v = t.exact(y)
    if not v.numel() or not v.dim():
        return {}
    found: t.Fields = {"rms": t.rms(v)}
    if role in _WEIGHTED:
        if v.shape[min(sample_axis, v.dim() - 1)] > 1:
            found["difference"] = t.difference(v, sample_axis)
    elif activation:
        found |= t.activity(activation, t.by_unit(v, axis, _ACTIVITY_ROWS))
    return found


@torch.no_grad()
def _statistics_of_inputs(inputs: Tensor) -> t.Fields:
    with _without_autocast(inputs):
        return input_statistics(inputs)


def _without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager[object]:
    """Statistics of a tensor are computed in the precision of its numbers."""
    device = tensor.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else contextlib.nullcontext()


def _together(one: torch.Size, other: torch.Size) -> tuple[int, ...] | None:
    """The shape that an operation of single numbers has on tensors of two shapes, where it has more of them than each;
    else None."""
    try:
        shape = tuple(torch.broadcast_shapes(one, other))
    except RuntimeError:
        return None
    return shape if math.prod(shape) > max(one.numel(), other.numel()) else None
