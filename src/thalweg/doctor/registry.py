"""The registry of checks and finding codes.

The decorator `check` registers a check with its code. The order of the causes, the explanation graph and the table of
codes in docs/doctor.md are made from these registrations, so a new check needs its decorated function and its test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from .findings import Finding, Remedy, Severity, Stage
from .measurements import Measurements

Group = Literal["", "stuck", "unstable"]
STUCK: Group = "stuck"
"""Symptoms of a loss that does not fall."""
UNSTABLE: Group = "unstable"
"""Symptoms of numbers or steps out of their normal range."""

SPOILED = "spoiled-rows"
"""The code of training rows with a fault that other rows show: no score on the training rows judges beside it."""

_Function = Callable[[Measurements], Iterator[Finding]]


class Code(NamedTuple):
    """A finding code with its place among the causes."""

    name: str
    """The code itself."""
    rank: int
    """Position among the causes; a code explains only codes of higher rank, and lower ranks are listed first."""
    meaning: str
    """What the code means, for the table in docs/doctor.md."""
    advice: str
    """The usual remedies, for the same table."""
    group: Group
    """The group of symptoms that the code belongs to; empty for none."""
    explains: tuple[str, ...]
    """Codes and groups of codes that this code explains."""
    explained_by: tuple[str, ...]
    """Further codes that explain this code."""
    pytorch: str = ""
    """The line of PyTorch to change, for the table in docs/pytorch.md; empty for what no watched training shows."""


class RegisteredCheck:
    """A registered check: a function from measurements to findings of one code."""

    def __init__(self, function: _Function, code: str, stage: Stage) -> None:
        self.function = function
        self.code = code
        self.stage = stage
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__

    def __call__(self, measurements: Measurements) -> Iterator[Finding]:
        """Yield the findings."""
        return self.function(measurements)

    def finding(
        self,
        *,
        severity: Severity,
        place: str,
        value: float,
        measured: str,
        normal: str,
        sentence: str,
        remedies: Iterable[Remedy] = (),
    ) -> Finding:
        """A finding with the code and the stage of this check; the arguments are the fields of `Finding`."""
        return Finding(
            code=self.code,
            stage=self.stage,
            severity=severity,
            place=place,
            value=value,
            measured=measured,
            normal=normal,
            sentence=sentence,
            remedies=tuple(remedies),
        )


CODES: dict[str, Code] = {}
"""All codes by name, in the order of registration; `ordered_codes` sorts them by rank."""
CHECKS: list[RegisteredCheck] = []
"""All checks in the order in which they run."""


def check(
    *,
    code: str,
    stage: Stage,
    rank: int | None = None,
    meaning: str = "",
    advice: str = "",
    group: Group = "",
    explains: Iterable[str] = (),
    explained_by: Iterable[str] = (),
    pytorch: str = "",
) -> Callable[[_Function], RegisteredCheck]:
    """Register a check.

    The first check of a code registers the code with `rank` and `meaning`; further checks of the same code give only
    `code` and `stage`.

    Args:
        code: the code of the findings.
        stage: the stage of the training that the check looks at.
        rank: the position of the code among the causes (see `Code`).
        meaning: one line for the table of codes.
        advice: the usual remedies, for the same table.
        group: the group of symptoms that the code belongs to.
        explains: codes and groups that this code explains.
        explained_by: codes that explain this one; use it to leave the registrations of those codes as they are.
        pytorch: the line of PyTorch to change, for the table in docs/pytorch.md.

    Raises:
        ValueError: if a code is registered twice, or not at all.
    """
    if rank is not None:
        if code in CODES:
            raise ValueError(f"code {code!r} is registered twice")
        CODES[code] = Code(
            name=code,
            rank=rank,
            meaning=meaning,
            advice=advice,
            group=group,
            explains=tuple(explains),
            explained_by=tuple(explained_by),
            pytorch=pytorch,
        )
    elif code not in CODES:
        raise ValueError(f"code {code!r} is not registered: pass rank and meaning")

    def register(function: _Function) -> RegisteredCheck:
        registered = RegisteredCheck(function, code, stage)
        CHECKS.append(registered)
        return registered

    return register


PLACES = {
    "data": 31,
    "data.scale": 35,
    "network": 44,
    "init": 49,
    "loss": 53,
    "regularization": 60,
    "training": 65,
    "stopping": 66,
    "optimizer.learning_rate": 71,
    "optimizer.": 105,
    "training.precision": 106,
    "training.batch_size": 198,
    "optimizer": 199,
    "training.epochs": 200,
}
"""The ranks of the places of a spec, on the scale of the codes: from the beginning of a training to its end.

The longest beginning of a path counts; `optimizer.` are the options of the optimizer, `optimizer` is the choice of one.
Initial weights and biases have the rank `init`, wherever they are. Codes and places are in one order: rows, their
scale, network, initial weights, loss, regularization, training, optimizer, length, and what shows only on other rows.
"""
_INITIAL = ("init", "bias_init")


def rank_of_place(path: str) -> int:
    """The rank of a path of a spec among the causes.

    >>> rank_of_place("optimizer"), rank_of_place("optimizer.epsilon"), rank_of_place("network.layers.0.width")
    (199, 105, 44)
    >>> rank_of_place("network.layers.0.init") == rank_of_place("network.bias_init") == PLACES["init"]
    True
    """
    if path.rpartition(".")[2] in _INITIAL:
        return PLACES["init"]
    return PLACES[max((place for place in PLACES if path.startswith(place)), key=len)]


SETTING = "setting"
"""The code of a setting or a part that no check names, and without which the network learns."""
CODES[SETTING] = Code(
    name=SETTING,
    rank=77,
    meaning="a setting or a part without which the network learns: found by paired runs, whatever it is",
    advice="its default",
    group="",
    explains=(STUCK, UNSTABLE),
    explained_by=(),
)


def ordered_codes() -> tuple[str, ...]:
    """All codes by rank, the roots first."""
    return tuple(sorted(CODES, key=lambda name: CODES[name].rank))


def explanation_graph() -> dict[str, frozenset[str]]:
    """For each code the codes that it explains directly.

    A group means those of its members that have a higher rank than the code that explains them.
    """
    graph: dict[str, set[str]] = {}
    for name, code in CODES.items():
        graph[name] = {entry for entry in code.explains if entry in CODES}
        graph[name] |= {
            other.name for other in CODES.values() if other.group in code.explains and other.rank > code.rank
        }
    for name, code in CODES.items():
        for cause in code.explained_by:
            graph[cause].add(name)
    return {name: frozenset(explained) for name, explained in graph.items()}
