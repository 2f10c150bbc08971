"""Checks of the shape of the network: what its layers can represent, whatever their weights are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...pages.numbers import count_noun, measure_name, measure_value, number
from ..attainable import standard_error
from ..findings import Finding, Severity
from ..measurements import LEARNED, LayerFacts, Measurements
from ..registry import STUCK, check


@check(
    code="linear-stack",
    stage="before training",
    rank=205,
    meaning="layers with weights have nothing nonlinear between them and act as a single one",
    advice="relu or tanh between them",
    explains=(STUCK,),
    pytorch="`torch.relu(layer(x))` between the layers",
)
def linear_stack(m: Measurements) -> Iterator[Finding]:
    """Layers with weights without anything nonlinear between them."""
    stack = max(_linear_stacks(m.layers), key=len, default=())
    if not stack:
        return
    whole = m.is_line
    yield linear_stack.finding(
        severity=_severity_of_line(m) if whole else m.severity(),
        place=f"{stack[0].place} to {stack[-1].place}",
        value=float(len(stack)),
        measured=f"{count_noun(len(stack), 'layer')} with weights and nothing nonlinear between them"
        + (_beyond_line(m) if whole else ""),
        normal="an activation between layers with weights: a product of matrices is one matrix",
        sentence="The whole network is a straight line, however many layers it has."
        if whole
        else "These layers together do no more than a single one.",
        remedies=(m.remedies.units_between("relu"), m.remedies.units_between("tanh")),
    )


def _linear_stacks(layers: Sequence[LayerFacts]) -> Iterator[tuple[LayerFacts, ...]]:
    """Groups of two or more layers with weights that have only linear layers between them."""
    stack: tuple[LayerFacts, ...] = ()
    for layer in layers:
        if not layer.is_linear:
            stack = ()
        elif layer.weighted:
            stack = (layer,) if layer.beside else (*stack, layer)
            if len(stack) > 1:
                yield stack


def _severity_of_line(m: Measurements) -> Severity:
    """Nothing but another network can get beyond the line, so it is a note only where the line is all there is."""
    if m.learned is None:
        return "warning"
    if not m.line_falls_short:
        return "note"
    return "severe" if m.only_line or not m.closed_gap(m.enough) else "warning"


def _beyond_line(m: Measurements) -> str:
    """What a line can reach and what is attainable, in words."""
    if m.learned is None:
        return ""
    line, attainable = (
        measure_value(m.learned.measure, value, digits=3) for value in (m.learned.line, m.learned.attainable)
    )
    return f"; the best straight line has {line}, and {attainable} is attainable ({measure_name(m.learned.measure)})"


@check(
    code="too-narrow",
    stage="at the start",
    rank=195,
    meaning="the hidden layers have too few units for what must pass them, or are too few",
    advice="wider hidden layers, or one more",
    explains=(STUCK, "epochs-too-few"),
)
def narrow_layer(m: Measurements) -> Iterator[Finding]:
    """A hidden layer narrower than in healthy networks, where a wider network fits the rows and this one does not."""
    if m.learns or (trial := m.widening) is None:
        return
    # The network itself closes less than two thirds of the gap, with any steps.
    fits = trial.loss <= (1 - LEARNED) * m.constant_loss
    if fits or not trial.wide_loss < trial.loss / 2:
        return
    yield narrow_layer.finding(
        severity=m.severity(),
        place=trial.place,
        value=float(trial.width),
        measured=f"{count_noun(trial.width, 'unit')}: the loss of {count_noun(trial.rows, 'row')} ends at "
        f"{number(trial.loss, 3)} or more after {trial.steps} steps of Adam from several starts, and at "
        f"{number(trial.wide_loss, 3)} with at least {trial.wide} units in each hidden layer",
        normal="hidden layers that are wide enough for the outputs: more units do not halve the loss",
        sentence="Everything that the outputs need passes this layer, and its units are too few for it.",
        remedies=(m.remedies.width(trial.wide),),
    )


@check(
    code="linear-fit",
    stage="during training",
    rank=365,
    meaning="the network is no better than a straight line, although more is attainable",
    advice="the remedies for its cause",
    group=STUCK,
    explained_by=("linear-stack",),
)
def linear_fit(m: Measurements) -> Iterator[Finding]:
    """A network with activations that acts as a straight line."""
    # Below the line by more than chance, or with a line that is a constant, there is more to it.
    if m.learned is None or not m.only_line or m.is_line:
        return
    error = standard_error(m.learned.line, m.rows, m.learned.measure)
    if m.learned.score < m.learned.line - error or m.learned.line < m.learned.constant + error:
        return
    score, line = (measure_value(m.learned.measure, value, digits=3) for value in (m.learned.score, m.learned.line))
    attainable = measure_value(m.learned.measure, m.learned.attainable, digits=3)
    yield linear_fit.finding(
        severity=m.severity(),
        place="network",
        value=m.learned.score - m.learned.line,
        measured=f"{score}; the best straight line has {line} ({measure_name(m.learned.measure)})",
        normal=f"more than a line: {attainable} is attainable on these rows",
        sentence="The hidden layers add nothing to a straight line.",
        remedies=(
            *((m.remedies.no_penalty(),) if m.decays else ()),
            m.remedies.longer(10),
            m.remedies.hidden_units("relu"),
            m.remedies.adam(),
        ),
    )
