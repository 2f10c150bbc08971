"""The answer key of the ward, written before any check of a watch was: which finding is right for which case.

`CODES` has the codes that answer a kind of fault. `PLACES` has the places that answer a case of the folder whose place
is a module or an object; the others have no place that a watch could name. `RECIPES` are the cases whose fault lies in
the model, the data, the loss or the optimizer, so that they can be written as a recipe; that of the others lies in the
loop or in the evaluation.
"""

from __future__ import annotations

from thalweg.doctor.findings import Finding

from .cases import HEALTHY, Case

CODES = {
    "zero_grad_missing": ("gradients-not-reset",),
    "softmax_before_ce": ("activated-twice",),
    "sigmoid_twice": ("activated-twice",),
    "softmax_one_unit": ("single-softmax",),
    "target_broadcast": ("target-broadcast",),
    "train_not_restored": ("training-in-eval-mode",),
    "eval_missing": ("evaluation-in-train-mode", "statistics-disagree"),
    "layers_unregistered": ("unregistered-layers",),
    "optimizer_params": ("optimizer-parameters",),
    "detached_graph": ("cut-graph",),
    "inputs_unscaled": ("missing-input-scaling",),
    "targets_unscaled": ("missing-target-scaling",),
    "lr_too_high": ("lr-too-high",),
    "lr_too_low": ("lr-too-low",),
    "scheduler_misuse": ("decayed-rate", "unfinished-warm-up"),
    "unshuffled": ("unshuffled",),
    "accumulation_scale": ("unscaled-accumulation",),
    "label_coding": ("label-coding",),
    "nll_without_log": ("log-missing",),
    "init_bad": ("init-too-large", "init-too-small", "init-symmetric", "exploding"),
    "vanishing": ("vanishing",),
    "dying_relu": ("dying-relu", "output-activation"),
    "clip_to_nothing": ("clip-too-strong",),
    "weight_decay_strong": ("regularization-too-strong",),
    "dropout_strong": ("dropout-too-strong",),
    "frozen_parameters": ("frozen-parameters",),
    "xy_misaligned": ("rows-misaligned",),
    "missing_activation": ("linear-stack",),
    "reshape_mix": ("mixed-rows",),
    "rnn_batch_first": ("mixed-rows",),
    "train_test_transform": ("validation-prepared-otherwise",),
    "nan_loss": ("not-finite",),
    "data_mutated": ("data-mutated",),
    "same_batch": ("same-batch",),
    "imbalance": ("imbalance",),
    "loop_break": ("epoch-cut-short",),
    "validation_shift": ("mismatch",),
    "wrong_dim": ("wrong-axis",),
    # The score is computed after the training, where no watch looks: that the training is healthy is the answer.
    "metric_wrong": (),
    # Kinds of the programs of this package.
    "cleared_before_step": ("no-update",),
    "statistics_disagree": ("statistics-disagree",),
}

_OPTIMIZER = ("optimizer", "optimizer.learning_rate")
_LOSS = ("loss", "output")
PLACES: dict[str, tuple[str, ...]] = {
    "A03": (*_OPTIMIZER, "regularization"),
    "A04": _OPTIMIZER,
    "A06": ("lstm",),
    "A07": ("drop",),
    "A08": ("conv", "fc"),
    "A09": ("fc", "optimizer"),
    "A11": _OPTIMIZER,
    "A12": ("b", "output"),
    "A15": ("tok", "pos", "enc", "head"),
    "A16": ("data.inputs", "data.scale", "0"),
    "A17": ("gru", "fc"),
    "A19": ("output", "loss", "q"),
    "A20": ("targets", "loss"),
    "A21": ("loss",),
    "A22": ("data", "data.inputs"),
    "A23": ("hidden", "out"),
    "A24": ("fc3", "output"),
    "A26": ("data.inputs", "data.scale"),
    "A27": _OPTIMIZER,
    "A28": ("act", "output"),
    "A29": ("data.order",),
    "A30": ("clipping", "optimizer"),
    "A33": ("target", "targets"),
    "A34": tuple(str(index) for index in range(17)),
    "A35": _LOSS,
    "A37": ("lstm", "head", "emb"),
    "A38": ("targets", "data.scale"),
    "A39": _LOSS,
    "A42": ("4", *_LOSS),
    "A44": ("data.order",),
    "A46": ("optimizer",),
    "A47": _LOSS,
    "A48": ("5", *_LOSS),
    "A50": ("rest",),
    "A51": ("loss",),
    "A52": ("optimizer",),
    "A53": _OPTIMIZER,
    "A54": _LOSS,
    "A55": ("optimizer",),
    "A57": ("lin1", "lin2", "lin3", "lin4"),
    "A58": ("last", *_LOSS),
    "A60": ("loss",),
    "A63": _OPTIMIZER,
}

RECIPES = (
    "A03", "A07", "A08", "A11", "A16", "A19", "A20", "A23", "A24", "A25", "A26", "A27", "A28", "A29", "A33", "A34",
    "A35", "A38", "A42", "A47", "A48", "A53", "A57", "A58",
)  # fmt: skip


def right_codes(case: Case) -> frozenset[str]:
    """The codes that are a right first answer: those of the kind, and of the kinds that are accepted beside it."""
    kinds = [kind for kind in (case.kind, *case.accepted) if kind != HEALTHY]
    return frozenset(code for kind in kinds for code in CODES[kind])


def healthy_is_right(case: Case) -> bool:
    """Whether "the training itself is healthy" is a true answer."""
    return case.kind == HEALTHY or HEALTHY in case.accepted


def right_places(case: Case) -> tuple[str, ...]:
    """The places that are a right answer; empty for a case without one."""
    return PLACES.get(case.name, case.places)


def is_right_place(case: Case, finding: Finding) -> bool:
    """Whether a finding names a right place, or a module inside of one."""
    first = finding.place.split(" ")[0].removesuffix(",")
    return any(first == place or first.startswith(f"{place}.") for place in right_places(case))
