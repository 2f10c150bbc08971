"""Checks of relations between inputs and targets: rows of two kinds, classes that are one, pairs that tell."""

from __future__ import annotations

from collections.abc import Iterator

from ...pages.numbers import measure_name, measure_value, number, percent
from ..attainable import UncertainScore
from ..findings import Finding
from ..measurements import BEYOND_CHANCE, LEAST_GAP, Measurements
from ..registry import STUCK, check
from ..rows.row_relations import UNIFORM_KURTOSIS, UNIFORM_SIZE
from .row_checks import above

_FEW_INPUTS = 5
# A learner that is right of two classes no more often than this tells nothing of them that matters.
_HARDLY = 0.6


@check(
    code="two-kinds-of-rows",
    stage="before training",
    rank=5,
    meaning="like rows have one of two targets, far apart, as no noise with a single peak gives them",
    advice="an input that tells the kinds apart; check signs, units and the order of columns",
    explains=(STUCK, "data-unlearnable", "memorised", "overfitting", "epochs-too-few", "lr-too-low"),
)
def two_kinds(m: Measurements) -> Iterator[Finding]:
    """Rows of two kinds: a part has another sign, unit or order of columns, or an input that matters is missing."""
    found = m.two_kinds
    if found is None or found.score.value > 1 - LEAST_GAP:
        return
    branches = found.kurtosis + BEYOND_CHANCE * found.error < UNIFORM_KURTOSIS
    turned = found.size.value - BEYOND_CHANCE * found.size.error > UNIFORM_SIZE and above(found.size, found.score)
    if not branches and not turned:
        return
    yield two_kinds.finding(
        severity="warning",
        place="data.target",
        value=found.kurtosis,
        measured=f"inputs tell {m.target_names[found.output]} with R² {number(found.score.value, 2)}, and its distance "
        f"from the mean with R² {number(found.size.value, 2)}; what is left has a kurtosis of "
        f"{number(found.kurtosis, 3)} ± {number(BEYOND_CHANCE * found.error, 2)}",
        normal=f"3 for normal noise; no symmetric noise with a single peak is below {number(UNIFORM_KURTOSIS, 2)}, or "
        f"has a size that inputs tell with more than {number(UNIFORM_SIZE, 2)}",
        sentence="Rows with like inputs have one of two targets: the rows are of two kinds, and nothing in the inputs "
        "says of which.",
    )


@check(
    code="same-classes",
    stage="before training",
    rank=20,
    meaning="inputs tell two classes from all others, and not from each other",
    advice="one name for both",
    explains=(STUCK, "wrong-labels", "memorised", "overfitting"),
)
def one_class(m: Measurements) -> Iterator[Finding]:
    """Two names for one class."""
    found = m.one_class
    if found is None or found.between.value + BEYOND_CHANCE * found.between.error > _HARDLY:
        return
    names = " and ".join(m.target_names[label] for label in found.classes)
    yield one_class.finding(
        severity="warning",
        place="data.target",
        value=found.between.value,
        measured=f"a random forest tells {names} from each other on {percent(found.between.value, 2)} ± "
        f"{percent(BEYOND_CHANCE * found.between.error, 2)} of unseen rows, and both from all others on "
        f"{percent(found.together, 2)} (balanced)",
        normal="classes that differ in something; 50 % between two is chance",
        sentence="The two may be names of one class, such as two spellings.",
    )


@check(code="target-leak", stage="before training")
def telling_pair(m: Measurements) -> Iterator[Finding]:
    """Two inputs that tell the target together. They are suspicious where the others tell a part of it."""
    found = m.telling_pair
    if found is None or m.learned is None or not above(found.pair, found.without):
        return
    # With few inputs, or with others that tell nothing, two are often all that matters.
    known = above(found.without, UncertainScore(m.learned.constant)) and len(m.column_names) >= _FEW_INPUTS
    names = " and ".join(m.column_names[column] for column in found.columns)
    pair, rest = (measure_value(m.learned.measure, one.value, digits=3) for one in (found.pair, found.without))
    how = "a weighted sum" if found.form == "linear" else "a product of powers"
    yield telling_pair.finding(
        severity="warning" if known else "note",
        place=f"columns {names}",
        value=found.pair.value,
        measured=f"{how} of {names} reaches {pair} on unseen rows, all other columns {rest} "
        f"({measure_name(m.learned.measure)})",
        normal="inputs that share what they tell of the target",
        sentence=f"{names} may have been made from the target, and are then missing or wrong where the target is not "
        "known yet.",
    )
