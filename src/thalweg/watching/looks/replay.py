"""Steps that are repeated on a copy of the model: nothing of the user's is touched, and random states are put back."""

from __future__ import annotations

import contextlib
import copy
import math
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..facts import WatchedLoss
from .recorder import Guard, Recorder
from .structure import eager
from .tensors import all_tensors, norms

# The loss of a replay may differ from that of the loop by this part: the loop may be in low precision.
_ALIKE = 0.02
# Of several losses the one of the loop is no further from it than this part.
_NEAR = 0.1


class RandomState(NamedTuple):
    """The random states of Python, NumPy and PyTorch."""

    python: Any
    numpy: Any
    cpu: Tensor
    devices: list[Tensor]

    @classmethod
    def now(cls) -> RandomState:
        """The states as they are."""
        numpy = sys.modules["numpy"].random.get_state()
        # Asking CUDA for its state would start CUDA in processes that do not use it.
        devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return cls(random.getstate(), numpy, torch.get_rng_state(), devices)

    def put_back(self) -> None:
        """Set the states to these."""
        random.setstate(self.python)
        sys.modules["numpy"].random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.devices:
            torch.cuda.set_rng_state_all(self.devices)


@contextlib.contextmanager
def kept_random_state() -> Iterator[None]:
    """Whatever is drawn inside, the random states are afterwards as before."""
    before = RandomState.now()
    try:
        yield
    finally:
        before.put_back()


class Snapshot(NamedTuple):
    """A copy of a model with the parameters that a step started from."""

    model: nn.Module
    loss: Callable[..., Any]
    random: RandomState | None
    """The random states when the forward pass of the step began; None: not known."""

    @classmethod
    def of(cls, model: nn.Module, loss: Callable[..., Any], state: RandomState | None) -> Snapshot:
        """Copy the eager modules of a model, and its loss where that is a module.

        Raises:
            Exception: where the model cannot be copied.
        """
        twin = copy.deepcopy(eager(model))
        for module in twin.modules():
            module._compiled_call_impl = None
            for name, child in module.named_children():
                module._modules[name] = eager(child)
        twin.zero_grad(set_to_none=True)
        return cls(twin, copy.deepcopy(loss) if isinstance(loss, nn.Module) else loss, state)

    @contextlib.contextmanager
    def _from_its_start(self) -> Iterator[None]:
        with kept_random_state():
            if self.random is not None:
                self.random.put_back()
            yield

    def _loss_of(self, outputs: object, targets: object, seen_loss: float) -> tuple[object, Tensor]:
        """What the loss takes of the outputs, and the loss: in the form in which it is nearest to that of the loop.

        The loop may take one of several outputs, or put it into the shape of the targets. Where no form is near, as of
        a loop that adds a penalty, the last one that the loss takes says least that is wrong: equal shapes.
        """
        forms = [outputs]
        for output in all_tensors(outputs):
            if output is not outputs:
                forms.append(output)
            if isinstance(targets, Tensor) and output.shape != targets.shape and output.numel() == targets.numel():
                forms.append(output.reshape(targets.shape))
        found: list[tuple[object, Tensor]] = []
        problem: Exception | None = None
        for form in forms:
            try:
                with warnings.catch_warnings():
                    # PyTorch warns of shapes that differ.
                    warnings.simplefilter("ignore")
                    found.append((form, self.loss(form, targets)))
            except Exception as error:
                problem = problem or error
        if not found:
            raise problem or TypeError("no outputs")
        if not math.isfinite(seen_loss):
            return found[0]
        near = min(found, key=lambda pair: abs(float(pair[1].detach()) - seen_loss))
        return near if _is_near(near[1], seen_loss, _NEAR) else found[-1]

    def recorded(
        self,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        targets: object,
        seen_loss: float,
        loss: WatchedLoss,
        guard: Guard,
    ) -> Recorder:
        """Repeat the step under a recorder. Raises what the model or the loss raises.

        Args:
            args, kwargs: what the model got.
            targets: what the loss got.
            seen_loss: the loss of the loop; NaN: not known.
            loss: what is known of the loss.
            guard: wraps each hook.
        """
        recorder = Recorder(self.model, self.model, loss, guard)
        try:
            with self._from_its_start(), torch.enable_grad():
                recorder.begin_forward(args, kwargs)
                outputs = self.model(*args, **kwargs)
                given, value = self._loss_of(outputs, targets, seen_loss)
                recorder.add_loss((given, targets), value)
                value.backward()
                recorder.add_step(args, targets, value)
        finally:
            recorder.remove()
        return recorder

    def curvature(
        self, args: Sequence[object], kwargs: Mapping[str, object], targets: object, seen_loss: float
    ) -> float:
        """gᵀHg / |g|², the curvature of the loss along its gradient; NaN where the loop computes another loss.

        Kernels without a second derivative are replaced by those that have one.

        Args:
            args, kwargs: what the model got.
            targets: what the loss got.
            seen_loss: the loss of the loop; NaN: not known.
        """
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        kernels = sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False)
        with self._from_its_start(), torch.enable_grad(), kernels[0], kernels[1]:
            _, value = self._loss_of(self.model(*args, **kwargs), targets, seen_loss)
            if math.isfinite(seen_loss) and not _is_near(value, seen_loss, _ALIKE):
                return math.nan
            gradients = torch.autograd.grad(value, parameters, create_graph=True, allow_unused=True)
            pairs = [(p, g) for p, g in zip(parameters, gradients, strict=True) if g is not None and g.requires_grad]
            given = [g.detach() for _, g in pairs]
            # The product of the Hessian and the gradient.
            products = torch.autograd.grad([g for _, g in pairs], [p for p, _ in pairs], given, allow_unused=True)
            along = [(g * h).sum() for g, h in zip(given, products, strict=True) if h is not None]
        square = sum(float(norm) ** 2 for norm in norms(given))
        return float(torch.stack(along).sum().detach()) / square if along and square > 0 else math.nan


def _is_near(loss: Tensor, seen: float, part: float) -> bool:
    return abs(float(loss.detach()) - seen) <= part * max(abs(seen), part)
