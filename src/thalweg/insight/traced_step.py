"""One step of a training with all its numbers, as `thalweg explain` shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import Array, Cache, Grads
from ..core.errors import InputError
from ..core.progress import ProgressMessage, Watch
from ..engine.eager import Eager
from ..engine.step import Plan, State, Trace, pieces
from ..parts.part import Layer, LocalFactor
from ..training.nan_search import Fault
from ..training.replay import StepState, replay, trace_step
from ..training.session import Session


@dataclass(frozen=True, eq=False)
class TracedStep:
    """A step of a training with all its numbers, in float64.

    Attributes:
        session: the training.
        start: the state before the step, and the batch.
        trace: outputs, loss, deltas, gradients and updates.
        caches: by piece of the batch and by layer, what the forward pass leaves for the backward pass.
        end: the state after the step.
        sample: the row of the batch, from 0, that is shown alone; None shows all rows.
    """

    session: Session
    start: StepState
    trace: Trace
    caches: tuple[tuple[Cache, ...], ...]
    end: State
    sample: int | None

    @property
    def plan(self) -> Plan:
        """Network, loss and optimizer; a last activation that is fused with the loss is an identity there."""
        return self.session.plan

    @property
    def fused(self) -> Layer | None:
        """The last activation if it is fused with the loss."""
        last = self.session.spec.network.layers[-1]
        return last if last != self.plan.network.layers[-1] else None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that run, without a last activation that is fused with the loss."""
        layers = self.plan.network.layers
        return layers[:-1] if self.fused else layers

    def shown(self, array: Array) -> np.ndarray:
        """An array with one row a sample: all rows, or the row of `sample`."""
        return array if self.sample is None else array[[self.sample]]

    def factors(self, index: int) -> list[LocalFactor]:
        """The factors that the backward pass of a layer multiplies with delta, over all pieces of the batch."""
        layer = self.layers[index]
        params = self.start.state.params[index]
        deltas = np.split(self.trace.deltas[index], len(self.caches))
        by_piece = [
            layer.local_factors(params, caches[index], delta) for caches, delta in zip(self.caches, deltas, strict=True)
        ]
        return [self._joined(factors) for factors in zip(*by_piece, strict=True)]

    def _joined(self, factors: tuple[LocalFactor, ...]) -> LocalFactor:
        first = factors[0]
        if first.by_sample:
            return first._replace(values=self.shown(np.concatenate([factor.values for factor in factors])))
        if len(factors) == 1:
            return first
        values = np.stack([factor.values for factor in factors])
        return first._replace(values=values, meaning=f"{first.meaning}, one row for each piece of the batch")

    @property
    def used_gradients(self) -> Grads:
        """The gradients that the optimizer gets: of the loss and its penalty, clipped."""
        plan = self.plan
        total = self.trace.batch.weight.sum()
        before = plan.network.trained(self.start.state.params)
        grads = plan.regularization.gradients(self.trace.grads, before, total)
        return plan.clip(grads)[0] if plan.clip else grads


def traced_step(session: Session, step: int, sample: int | None, watch: Watch) -> TracedStep:
    """Train up to a step, counted from 1, on the engine of the spec, and compute that step in float64.

    Raises InputError for a step that the training does not have, a row that the batch does not have, and a training
    that diverges before the step.
    """
    batches = session.batches
    if not 1 <= step <= batches.steps:
        raise InputError(
            "step",
            f"expected one of the {batches.steps} steps of the training, 1 to {batches.steps}, received {step};"
            " more epochs have more steps: --set training.epochs=N",
        )
    if sample is not None and not 0 <= sample < batches.step_rows:
        raise InputError("sample", f"expected a row of the batch, 0 to {batches.step_rows - 1}, received {sample}")
    watch(ProgressMessage(f"training up to step {step}"))
    replayed = replay(session, [step - 1])
    if replayed.fault and replayed.fault.step < step - 1:
        raise _diverged(replayed.fault, step)
    (start,) = replayed.states
    return trace_of(session, start, sample)


def trace_of(session: Session, start: StepState, sample: int | None) -> TracedStep:
    """The step after a known state of a training, computed in float64."""
    state, batch = Eager().place((start.state, start.batch))
    start = start._replace(state=state, batch=batch)
    end, trace = trace_step(session.plan, start)
    with np.errstate(all="ignore"):
        caches = tuple(
            session.plan.network.forward(state.params, state.layers, piece.x, context).caches
            for piece, context in pieces(session.plan, state, batch)
        )
    return TracedStep(session=session, start=start, trace=trace, caches=caches, end=end, sample=sample)


def _diverged(fault: Fault, step: int) -> InputError:
    """The error for a training that diverges before a step."""
    return InputError(
        "step",
        f"the training does not reach step {step}: it diverges at step {fault.step + 1}: {fault.what}; explain that"
        " step or an earlier one, or use a smaller learning rate",
    )
