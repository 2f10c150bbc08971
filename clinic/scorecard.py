"""The doctor's scorecard: what it says of runs that went wrong, and of runs that did not.

    python clinic/scorecard.py [CASE ...] [--prove [--minutes M]] [--seeds N] [--jobs N] [--cache FOLDER] [--json FILE]

examines the run of each patient with each of its seeds, the healthy runs that calibration did not see, the injected
faults, and faults with healthy runs of specs that no rule was made from (unseen.py), prints the tables of README.md,
and keeps them in scorecard.json. With cases: those patients alone, and nothing is kept. Runs are trained where the
cache has them not yet: the first time takes an hour, the next ones minutes. The repairs are those of the last --prove.

A patient's run is *ill* where it was published as faulty and did not learn with this seed. It is *healthy* where it
learned, and was published as healthy or as a correction, or has no fault. learns.json says who learned. What is neither
(a faulty network that learned all the same, a correction or a published healthy network that did not) is told apart and
enters no rate.

found        a finding of severity warning or higher has a code among the labelled faults, or of the family of one
noticed      any finding of severity warning or higher
cause right  the first cause's code is among the labelled faults, or of the family of one
main right   the first cause's code is the main labelled fault, or of its family
false alarm  a finding of severity warning or higher on a healthy run
remedy right (--prove) what the proof has repaired comes as far as the labelled correction on the way from the best
             constant answer to what can be done (less 0.05, in the mean over the patient's seeds); where there is no
             correction, it learns in most of its seeds. Where nothing helped, the program stays what it was

A family are codes that name one and the same thing, seen at another stage: FAMILIES.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from joblib import Parallel, delayed

import healthy
import injected
import unseen
from faults import Injected
from learns import SEEDS, SHARE, Outcome, Range, kept
from make_data import make_data
from register import FOLDER, patients
from thalweg import load
from thalweg.experiments.remedy_trials.search import prove
from thalweg.experiments.runner import cores
from thalweg.spec.spec import CompleteSpec
from thalweg.spec.toml import read_spec
from ward import CACHE, Stay, outcomes, stays, trained

RESULTS = Path(__file__).parent / "scorecard.json"
_EXAMPLE, _BASE = "example ", "base "
# As well as the correction is this much less of the way, or more.
MARGIN = 0.05
FAMILIES = (
    {"lr-too-high", "step-too-long"},
    {"lr-too-low", "step-too-short", "epochs-too-few", "decayed-rate"},
    {"vanishing", "blind"},
)


class Card(NamedTuple):
    """What the doctor said of a run: the codes of its causes, the root first, and of all findings above a note.

    `ill` says what the run is: True, False, or None for what is neither.
    """

    name: str
    seed: int
    faults: tuple[str, ...]
    ill: bool | None
    causes: tuple[str, ...]
    alarms: tuple[str, ...]

    @property
    def found(self) -> bool:
        return any(fits(code, self.faults) for code in self.alarms)

    @property
    def noticed(self) -> bool:
        return bool(self.alarms)

    @property
    def right(self) -> bool:
        return any(fits(code, self.faults) for code in self.causes[:1])

    @property
    def main(self) -> bool:
        return any(fits(code, self.faults[:1]) for code in self.causes[:1])


def fits(code: str, faults: Iterable[str]) -> bool:
    """Whether a code is one of the faults, or names the same thing as one of them.

    >>> fits("step-too-long", ["lr-too-high"]), fits("lr-too-low", ["lr-too-high"])
    (True, False)
    """
    return any(code == fault or any({code, fault} <= family for family in FAMILIES) for fault in faults)


Said = tuple[tuple[str, ...], tuple[str, ...]]
"""The codes of the causes, and of the findings above a note."""


def examined(folder: Path) -> Said:
    """What the doctor says of a run that lies in a folder."""
    diagnosis = load(folder).diagnose()
    alarms = dict.fromkeys(finding.code for finding in diagnosis.findings if finding.severity != "note")
    return tuple(cause.finding.code for cause in diagnosis.causes), tuple(alarms)


def examine(folders: Iterable[Path], jobs: int | None = None) -> dict[Path, Said]:
    """What the doctor says of each of the runs; those of the same folder are examined once. Progress goes to stderr."""
    once = list(dict.fromkeys(folders))
    parallel = Parallel(min(jobs or len(cores()), len(once)), return_as="generator")
    found = {}
    for folder, said in zip(once, parallel(delayed(examined)(folder) for folder in once), strict=True):
        found[folder] = said
        print(f"examined: {len(found)} of {len(once)}", end="\r", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


class _Run(NamedTuple):
    """A run that is to be examined: its card without what the doctor says."""

    stay: Stay
    faults: tuple[str, ...]
    ill: bool | None


def _patients(cases: Sequence[str], seeds: int | None) -> Iterator[_Run]:
    known = {patient.name: patient for patient in patients()}
    verdicts = {v.patient.name: v for v in kept() if not cases or {v.patient.name, v.patient.case} & {*cases}}
    for stay in stays({name: read_spec(str(known[name].path)) for name in verdicts}, range(seeds or SEEDS)):
        patient = known[stay.name]
        outcome = {outcome.seed: outcome for outcome in verdicts[stay.name].outcomes}.get(stay.seed)
        if outcome is None:
            continue
        if patient.role == "faulty":
            ill = (None if patient.faults else False) if outcome.learned else True
        else:
            ill = False if outcome.learned else None
        yield _Run(stay, patient.faults, ill)


def _healthy() -> Iterator[_Run]:
    results = json.loads(healthy.RESULTS.read_text())
    specs = {**healthy.examples(), **healthy.grid()}
    chosen = {name: spec for name, spec in specs.items() if results[name]["learned"] and not healthy.calibrates(name)}
    return (_Run(stay, (), False) for stay in stays(chosen))


def _with_faults(cases: Mapping[str, Injected], seeds: Sequence[int]) -> Iterator[_Run]:
    results = json.loads(injected.RESULTS.read_text())
    for stay in stays({name: case.spec for name, case in cases.items()}, seeds):
        if results[stay.name]["seeds"][stay.seed]["counts"]:
            yield _Run(stay, cases[stay.name].faults, True)


def _sound(cache: Path, jobs: int | None, seeds: int | None) -> Iterator[_Run]:
    """The specs that the unseen faults are put into, where they learn."""
    wanted = stays({f"{_BASE}{name}": spec for name, spec in unseen.healthy().items()}, range(seeds or SEEDS))
    found = outcomes(wanted, cache, jobs)
    return (_Run(stay, (), False) for stay in wanted if found[stay.name, stay.seed].learned)


def cards(runs: Iterable[_Run], cache: Path, jobs: int | None) -> list[Card]:
    """What the doctor says of runs."""
    wanted = list(runs)
    folders = trained([run.stay for run in wanted], cache, jobs)
    said = examine(folders.values(), jobs)
    return [
        Card(run.stay.name, run.stay.seed, run.faults, run.ill, *said[folders[run.stay.name, run.stay.seed]])
        for run in wanted
    ]


class Rate(NamedTuple):
    """How many of how many."""

    count: int
    total: int

    def __str__(self) -> str:
        return f"{self.count} of {self.total} ({self.count / self.total:.0%})" if self.total else "-"


def rate(cards: Iterable[Card], says: Callable[[Card], bool]) -> Rate:
    """Of how many cards it is so."""
    answers = [says(card) for card in cards]
    return Rate(sum(answers), len(answers))


class Kind(NamedTuple):
    """How the doctor does on injected faults of a kind: cases, their runs, and rates over the runs."""

    kind: str
    cases: int
    runs: int
    found: int
    noticed: int
    right: int
    main: int


def kinds(cards: Sequence[Card], cases: Mapping[str, Injected]) -> list[Kind]:
    """The injected faults by kind: what they are for. Their single cases are told by nobody."""
    found = []
    for kind in dict.fromkeys(case.kind for case in cases.values()):
        own = [card for card in cards if cases[card.name].kind == kind]
        sums = (sum(getattr(card, name) for card in own) for name in ("found", "noticed", "right", "main"))
        if own:
            found.append(Kind(kind, len({card.name for card in own}), len(own), *sums))
    return found


class Repair(NamedTuple):
    """What the proof made of a patient: the remedies that it kept, and how far that comes, with each seed.

    `shares` are shares of the way from the best constant answer to what can be done, `correction` the mean of those of
    the labelled correction, None where there is none.
    """

    name: str
    kept: tuple[str, ...]
    shares: tuple[float, ...]
    correction: float | None

    @property
    def share(self) -> float:
        """The mean over the seeds."""
        return sum(self.shares) / len(self.shares)

    @property
    def right(self) -> bool:
        """Whether it does as well as the labelled correction; without one, whether it learns in most of its seeds."""
        if self.correction is None:
            return 2 * sum(share >= SHARE for share in self.shares) > len(self.shares)
        return self.share >= self.correction - MARGIN


def repairs(cards: Iterable[Card], cache: Path, jobs: int | None, minutes: float) -> list[Repair]:
    """What the proofs make of the ill patients, by the examination of the first seed with which each is ill."""
    verdicts = {verdict.patient.name: verdict for verdict in kept()}
    first: dict[str, Card] = {}
    for card in sorted(cards, key=lambda card: card.seed):
        if card.ill:
            first.setdefault(card.name, card)
    found = []
    for name, card in sorted(first.items()):
        verdict = verdicts[name]
        twin = verdicts.get(f"{verdict.patient.case}-correction")
        correction = twin and _mean([_share(twin.rows, outcome) for outcome in twin.outcomes])
        labels, spec = _repaired(name, card.seed, cache, jobs, minutes)
        if spec is None:
            shares = tuple(_share(verdict.rows, outcome) for outcome in verdict.outcomes)
        else:
            wanted = stays({name: spec}, [outcome.seed for outcome in verdict.outcomes])
            shares = tuple(_share(verdict.rows, outcome) for outcome in outcomes(wanted, cache, jobs).values())
        found.append(Repair(name, labels, shares, correction))
        print(found[-1], file=sys.stderr, flush=True)
    return found


def _repaired(
    name: str, seed: int, cache: Path, jobs: int | None, minutes: float
) -> tuple[tuple[str, ...], CompleteSpec | None]:
    """The remedies that the proof keeps, and the spec that they make; None where none helps."""
    spec = read_spec(str(FOLDER / f"{name}.toml"))
    stay = stays({name: spec}, [seed])
    run = load(trained(stay, cache, jobs)[name, seed])
    remedies = run.diagnose().remedies
    if not remedies:
        return (), None
    proof = prove(run.spec, remedies, jobs=jobs, minutes=minutes, folder=cache / "proofs" / name)
    return proof.chosen, proof.repaired


def _share(rows: Range, outcome: Outcome) -> float:
    """How far an outcome came; what diverged, or is worse than the constant answer, went nowhere."""
    return 0.0 if outcome.diverged else min(max(rows.share(outcome.score), 0.0), 1.0)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


class Scorecard(NamedTuple):
    """All that was found."""

    patients: list[Card]
    healthy: list[Card]
    injected: list[Kind]
    unseen: list[Kind]
    repairs: list[Repair]

    def described(self) -> dict[str, object]:
        """Itself as JSON holds it."""
        return {name: [entry._asdict() for entry in entries] for name, entries in self._asdict().items()}


def kept_scorecard(file: Path = RESULTS) -> Scorecard:
    """The scorecard that a file holds."""
    told = json.loads(file.read_text())
    return Scorecard(
        [_card(**card) for card in told["patients"]],
        [_card(**card) for card in told["healthy"]],
        [Kind(**kind) for kind in told["injected"]],
        [Kind(**kind) for kind in told["unseen"]],
        [_repair(**repair) for repair in told["repairs"]],
    )


def _card(
    name: str, seed: int, faults: Sequence[str], ill: bool | None, causes: Sequence[str], alarms: Sequence[str]
) -> Card:
    return Card(name, seed, tuple(faults), ill, tuple(causes), tuple(alarms))


def _repair(name: str, kept: Sequence[str], shares: Sequence[float], correction: float | None) -> Repair:
    return Repair(name, tuple(kept), tuple(shares), correction)


def report(card: Scorecard) -> str:
    """The scorecard as Markdown."""
    parts = [summary(card), by_patient(card.patients)]
    if card.repairs:
        parts.append(by_repair(card.repairs))
    if card.injected:
        parts.append(by_kind(card.injected, "injected, by hand"))
    if card.unseen:
        parts.append(by_kind(card.unseen, "injected, unseen"))
    return "\n\n".join(parts)


def summary(card: Scorecard) -> str:
    """The rates, with what is asked for and what is published."""
    ill = [one for one in card.patients if one.ill]
    well = [one for one in card.patients if one.ill is False]
    shipped, bases = ([one for one in card.healthy if one.name.startswith(name)] for name in (_EXAMPLE, _BASE))
    grid = [one for one in card.healthy if one not in shipped + bases]
    rows = [
        _rates("found", ill, lambda c: c.found, "95 %", "92 % (24 of 26), the best of four"),
        _rates("noticed", ill, lambda c: c.noticed, "", ""),
        _rates("cause right", ill, lambda c: c.right, "85 %", "85 % located, 69 % the place of the fix"),
        _rates("main right", ill, lambda c: c.main, "", ""),
        _rates(
            "false alarms: corrections, published healthy", well, lambda c: c.noticed, "5 %", "1 to 4 of 36 (plane)"
        ),
        _rates("false alarms: shipped examples", shipped, lambda c: c.noticed, "5 %", ""),
        _rates(
            "false alarms: healthy grid, the half not calibrated on", grid, lambda c: c.noticed, "5 %", "36 %, 72 %"
        ),
        _rates("false alarms: unseen specs before their faults", bases, lambda c: c.noticed, "5 %", ""),
    ]
    return _table(("", "first seed", "all seeds", "asked for", "published detectors"), rows)


def _rates(
    what: str, cards: Sequence[Card], says: Callable[[Card], bool], asked: str, published: str
) -> tuple[object, ...]:
    first: dict[str, Card] = {}
    for card in sorted(cards, key=lambda card: card.seed):
        first.setdefault(card.name, card)
    return what, rate(first.values(), says), rate(cards, says), asked, published


def by_patient(cards: Sequence[Card]) -> str:
    """A table of those that are ill, one of the healthy ones, and one of the rest."""
    names = dict.fromkeys(card.name for card in sorted(cards, key=lambda card: card.name))
    own = {name: [card for card in cards if card.name == name] for name in names}
    ill, well, rest = [], [], []
    for name in names:
        sick = [card for card in own[name] if card.ill]
        fine = [card for card in own[name] if card.ill is False]
        neither = [card for card in own[name] if card.ill is None]
        labels = ", ".join(own[name][0].faults) or "none"
        if sick:
            counts = (sum(getattr(card, what) for card in sick) for what in ("found", "right", "main"))
            ill.append((name, labels, len(sick), *counts, _first(sick)))
        if fine:
            well.append((name, len(fine), sum(card.noticed for card in fine), _first(fine)))
        if neither:
            rest.append((name, labels, len(neither), sum(card.noticed for card in neither), _first(neither)))
    tables = [
        (("ill", "labelled", "runs", "found", "cause right", "main right", "first cause"), ill),
        (("healthy", "runs", "false alarms", "first cause"), well),
        (("neither", "labelled", "runs", "noticed", "first cause"), rest),
    ]
    return "\n\n".join(_table(head, rows) for head, rows in tables if rows)


def _first(cards: Sequence[Card]) -> str:
    counts = Counter(card.causes[0] if card.causes else "-" for card in cards)
    return ", ".join(f"{code} ({count})" for code, count in counts.most_common())


def by_repair(repairs: Sequence[Repair]) -> str:
    """A table of the proven repairs."""
    rows = [
        (
            repair.name,
            "; ".join(repair.kept) or "nothing helped",
            f"{repair.share:.2f}",
            "-" if repair.correction is None else f"{repair.correction:.2f}",
            "yes" if repair.right else "no",
        )
        for repair in repairs
    ]
    return _table(("repaired", "by", "share of the way", "that of the correction", "right"), rows)


def by_kind(kinds: Sequence[Kind], what: str) -> str:
    """A table of the injected faults."""
    total = Kind("all", *map(sum, zip(*(kind[1:] for kind in kinds), strict=True)))
    rows = [
        (kind.kind, kind.cases, kind.runs, *(Rate(count, kind.runs) for count in kind[3:])) for kind in (*kinds, total)
    ]
    return _table((what, "cases", "runs", "found", "noticed", "cause right", "main right"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="cases or patients; without any, all there is")
    parser.add_argument("--prove", action="store_true", help="also try the remedies, and score what they repair")
    parser.add_argument("--minutes", type=float, default=5.0, help="the time for each proof")
    parser.add_argument("--seeds", type=int, help="the first so many seeds of each; all unless given")
    parser.add_argument("--jobs", type=int, help="processes; one for each core unless given")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where runs are kept")
    parser.add_argument("--json", type=Path, default=RESULTS, help="the file of results")
    words = parser.parse_args()
    unknown = {*words.cases} - {p.case for p in patients()} - {p.name for p in patients()}
    if unknown:
        parser.error(f"no case and no patient is called {', '.join(sorted(unknown))}")
    make_data()
    own, others = injected.injected(), unseen.unseen()
    runs = list(_patients(words.cases, words.seeds))
    if not words.cases:
        runs += [*_healthy(), *_sound(words.cache, words.jobs, words.seeds)]
        runs += [*_with_faults(own, injected.SEEDS[: words.seeds]), *_with_faults(others, unseen.SEEDS)]
    found = cards(runs, words.cache, words.jobs)
    ill = [card for card in found if card.name in {patient.name for patient in patients()}]
    by_hand, not_seen = ([card for card in found if card.name in cases] for cases in (own, others))
    well = [card for card in found if card not in ill + by_hand + not_seen]
    if words.prove:
        proven = repairs(ill, words.cache, words.jobs, words.minutes)
    else:
        proven = kept_scorecard(words.json).repairs if words.json.exists() and not words.cases else []
    whole = Scorecard(ill, well, kinds(by_hand, own), kinds(not_seen, others), proven)
    if not words.cases:
        words.json.write_text(json.dumps(whole.described(), indent=1) + "\n")
    print(report(whole))


if __name__ == "__main__":
    main()
