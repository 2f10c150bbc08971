"""The doctor's scorecard: how often its diagnosis of known cases is right, and how often it raises a false alarm.

    python clinic/scorecard.py [CASE ...] [--prove [--minutes M]] [--seeds N] [--jobs N] [--cache FOLDER] [--json FILE]

diagnoses the runs of each case with each of its seeds, the healthy runs that calibration did not use, the injected
faults, and the faults and healthy specs of unseen.py. It prints the tables of README.md and writes scorecard.json. With
cases, only these are diagnosed and no file is written. Runs that the cache does not have are trained: the first time
takes an hour, later ones minutes. The repairs are those of the last call with --prove.

The run of a case is *ill* if the case was published as faulty and the run did not learn. It is *healthy* if it learned,
and the case was published as healthy or as a correction, or has no fault. learns.json says which runs learned. Runs
that are neither (a faulty network that learned, a correction or a published healthy network that did not) are listed
separately and are not part of any rate.

found        a finding of severity warning or higher has one of the labelled faults, or a code of the same family
noticed      there is a finding of severity warning or higher
cause right  the code of the first cause is one of the labelled faults, or of the same family
main right   the code of the first cause is the main labelled fault, or of its family
false alarm  a finding of severity warning or higher on a healthy run
remedy right (--prove) the repaired spec closes as much of the gap between the best constant answer and the attainable
             score as the labelled correction (less 0.05, in the mean over the seeds of the case); if there is no
             correction, it learns in most of its seeds. If no remedy helps, the program counts as it is

A family is a set of codes for one problem, seen at different stages: FAMILIES.
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
from case_index import FOLDER, Case, all_cases, unknown_names
from faults import InjectedFault
from learns import SEEDS, SHARE, Outcome, Range, read_verdicts
from make_data import make_data
from run_cache import CACHE, CachedRun, cached_runs, folders_of, outcomes_of
from thalweg import load
from thalweg.experiments.processes import available_cores
from thalweg.experiments.remedy_trials.prove import prove
from thalweg.experiments.remedy_trials.score import NoScoreError
from thalweg.spec.spec import CompleteSpec
from thalweg.spec.toml import read_spec

RESULTS = Path(__file__).parent / "scorecard.json"
_EXAMPLE = "example "
_BASE = "base "
# A repair counts as good as the correction if it closes at most this much less of the gap.
MARGIN = 0.05
FAMILIES = (
    {"lr-too-high", "step-too-long"},
    {"lr-too-low", "step-too-short", "epochs-too-few", "decayed-rate", "unfinished-warm-up"},
    {"vanishing", "blind"},
)


class Card(NamedTuple):
    """The diagnosis of a run."""

    name: str
    seed: int
    faults: tuple[str, ...]
    """The labelled faults, the main one first."""
    ill: bool | None
    """Whether the run is ill (True), healthy (False) or neither (None)."""
    causes: tuple[str, ...]
    """The codes of the causes, the root cause first."""
    alarms: tuple[str, ...]
    """The codes of all findings of severity warning or higher."""

    @property
    def found(self) -> bool:
        """Whether a finding has one of the labelled faults."""
        return any(fits(code, self.faults) for code in self.alarms)

    @property
    def noticed(self) -> bool:
        """Whether there is a finding of severity warning or higher."""
        return bool(self.alarms)

    @property
    def right(self) -> bool:
        """Whether the first cause is one of the labelled faults."""
        return any(fits(code, self.faults) for code in self.causes[:1])

    @property
    def main(self) -> bool:
        """Whether the first cause is the main labelled fault."""
        return any(fits(code, self.faults[:1]) for code in self.causes[:1])


def fits(code: str, faults: Iterable[str]) -> bool:
    """Whether a code is one of the faults, or of the same family as one of them.

    >>> fits("step-too-long", ["lr-too-high"]), fits("lr-too-low", ["lr-too-high"])
    (True, False)
    """
    return any(code == fault or any({code, fault} <= family for family in FAMILIES) for fault in faults)


class Codes(NamedTuple):
    """The codes in a diagnosis."""

    causes: tuple[str, ...]
    alarms: tuple[str, ...]


def diagnose_folder(folder: Path) -> Codes:
    """Diagnose the run in a folder."""
    diagnosis = load(folder).diagnose()
    alarms = dict.fromkeys(finding.code for finding in diagnosis.findings if finding.severity != "note")
    return Codes(tuple(cause.finding.code for cause in diagnosis.causes), tuple(alarms))


def diagnose(folders: Iterable[Path], jobs: int | None = None) -> dict[Path, Codes]:
    """Diagnose the runs in folders, each folder once. Progress goes to stderr."""
    once = list(dict.fromkeys(folders))
    parallel = Parallel(min(jobs or len(available_cores()), len(once)), return_as="generator")
    diagnoses = {}
    for folder, codes in zip(once, parallel(delayed(diagnose_folder)(folder) for folder in once), strict=True):
        diagnoses[folder] = codes
        print(f"examined: {len(diagnoses)} of {len(once)}", end="\r", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return diagnoses


class _Labelled(NamedTuple):
    """A run with its labels, before its diagnosis."""

    run: CachedRun
    faults: tuple[str, ...]
    ill: bool | None


def _runs_of_cases(names: Sequence[str], seeds: int | None) -> Iterator[_Labelled]:
    cases = {case.name: case for case in all_cases()}
    verdicts = {v.case.name: v for v in read_verdicts() if not names or {v.case.name, v.case.origin} & {*names}}
    for run in cached_runs({name: read_spec(str(cases[name].path)) for name in verdicts}, range(seeds or SEEDS)):
        case = cases[run.name]
        outcome = {outcome.seed: outcome for outcome in verdicts[run.name].outcomes}.get(run.seed)
        if outcome is not None:
            yield _Labelled(run, case.faults, _is_ill(case, outcome.learned))


def _is_ill(case: Case, learned: bool) -> bool | None:
    if case.role != "faulty":
        return False if learned else None
    if not learned:
        return True
    return None if case.faults else False


def _healthy_runs() -> Iterator[_Labelled]:
    results = json.loads(healthy.RESULTS.read_text())
    specs = {**healthy.examples(), **healthy.grid()}
    chosen = {name: spec for name, spec in specs.items() if results[name]["learned"] and not healthy.calibrates(name)}
    return (_Labelled(run, (), False) for run in cached_runs(chosen))


def _runs_with_faults(faults: Mapping[str, InjectedFault], seeds: Sequence[int]) -> Iterator[_Labelled]:
    results = json.loads(injected.RESULTS.read_text())
    for run in cached_runs({name: fault.spec for name, fault in faults.items()}, seeds):
        if results[run.name]["seeds"][run.seed]["counts"]:
            yield _Labelled(run, faults[run.name].faults, True)


def _runs_of_unseen_bases(cache: Path, jobs: int | None, seeds: int | None) -> Iterator[_Labelled]:
    """The runs that learn of the specs that unseen.py puts its faults into."""
    specs = {f"{_BASE}{name}": spec for name, spec in unseen.healthy().items()}
    runs = cached_runs(specs, range(seeds or SEEDS))
    outcomes = outcomes_of(runs, cache, jobs)
    return (_Labelled(run, (), False) for run in runs if outcomes[run.name, run.seed].learned)


def cards(labelled: Iterable[_Labelled], cache: Path, jobs: int | None) -> list[Card]:
    """Diagnose runs."""
    entries = list(labelled)
    folders = folders_of([entry.run for entry in entries], cache, jobs)
    diagnoses = diagnose(folders.values(), jobs)
    result = []
    for run, faults, ill in entries:
        codes = diagnoses[folders[run.name, run.seed]]
        result.append(
            Card(name=run.name, seed=run.seed, faults=faults, ill=ill, causes=codes.causes, alarms=codes.alarms)
        )
    return result


class Rate(NamedTuple):
    """A count out of a total."""

    count: int
    total: int

    def __str__(self) -> str:
        return f"{self.count} of {self.total} ({self.count / self.total:.0%})" if self.total else "-"


def rate(cards: Iterable[Card], holds: Callable[[Card], bool]) -> Rate:
    """The rate of cards for which a predicate holds."""
    answers = [holds(card) for card in cards]
    return Rate(sum(answers), len(answers))


class Kind(NamedTuple):
    """The results for injected faults of a kind."""

    kind: str
    cases: int
    """Number of cases with at least one run that counts."""
    runs: int
    found: int
    """Number of runs, as are the next three."""
    noticed: int
    right: int
    main: int


def kinds(cards: Sequence[Card], cases: Mapping[str, InjectedFault]) -> list[Kind]:
    """The results by kind; those of single cases are not reported, so that no rule is fitted to them."""
    result = []
    for kind in dict.fromkeys(case.kind for case in cases.values()):
        of_kind = [card for card in cards if cases[card.name].kind == kind]
        if of_kind:
            sums = {
                name: sum(getattr(card, name) for card in of_kind) for name in ("found", "noticed", "right", "main")
            }
            result.append(Kind(kind=kind, cases=len({card.name for card in of_kind}), runs=len(of_kind), **sums))
    return result


class Repair(NamedTuple):
    """The result of --prove for a case."""

    name: str
    kept: tuple[str, ...]
    """The remedies that help."""
    shares: tuple[float, ...]
    """By seed: the fraction of the gap between constant and attainable score that the repaired spec closes."""
    correction: float | None
    """The mean of these fractions for the labelled correction; None if there is no correction."""

    @property
    def share(self) -> float:
        """The mean over the seeds."""
        return sum(self.shares) / len(self.shares)

    @property
    def right(self) -> bool:
        """Whether it is as good as the labelled correction; without one, whether it learns in most of its seeds."""
        if self.correction is None:
            return 2 * sum(share >= SHARE for share in self.shares) > len(self.shares)
        return self.share >= self.correction - MARGIN


def repairs(cards: Iterable[Card], cache: Path, jobs: int | None, minutes: float) -> list[Repair]:
    """Repair the ill cases; each is diagnosed with the first seed with which it is ill."""
    verdicts = {verdict.case.name: verdict for verdict in read_verdicts()}
    first: dict[str, Card] = {}
    for card in sorted(cards, key=lambda card: card.seed):
        if card.ill:
            first.setdefault(card.name, card)
    result = []
    for name, card in sorted(first.items()):
        verdict = verdicts[name]
        twin = verdicts.get(f"{verdict.case.origin}-correction")
        correction = twin and _mean([_share(twin.rows, outcome) for outcome in twin.outcomes])
        kept, spec = _repaired(name, card.seed, cache, jobs, minutes)
        outcomes: Iterable[Outcome] = verdict.outcomes
        if spec is not None:
            runs = cached_runs({name: spec}, [outcome.seed for outcome in verdict.outcomes])
            outcomes = outcomes_of(runs, cache, jobs).values()
        shares = tuple(_share(verdict.rows, outcome) for outcome in outcomes)
        result.append(Repair(name=name, kept=kept, shares=shares, correction=correction))
        print(result[-1], file=sys.stderr, flush=True)
    return result


def _repaired(
    name: str, seed: int, cache: Path, jobs: int | None, minutes: float
) -> tuple[tuple[str, ...], CompleteSpec | None]:
    """The remedies that help, and the repaired spec; None if no remedy helps or the rows cannot show it."""
    spec = read_spec(str(FOLDER / f"{name}.toml"))
    run = load(folders_of(cached_runs({name: spec}, [seed]), cache, jobs)[name, seed])
    remedies = run.diagnose().remedies
    if not remedies:
        return (), None
    try:
        proof = prove(run.spec, remedies, jobs=jobs, minutes=minutes, folder=cache / "proofs" / name)
    except NoScoreError:
        return (), None
    return proof.chosen, proof.repaired


def _share(rows: Range, outcome: Outcome) -> float:
    """The fraction of the gap that an outcome closes; 0 if it diverged or is worse than the constant answer."""
    return 0.0 if outcome.diverged else min(max(rows.share(outcome.score), 0.0), 1.0)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


class Scorecard(NamedTuple):
    """All results; the names of the fields are the keys of scorecard.json."""

    patients: list[Card]
    """The runs of the cases."""
    healthy: list[Card]
    """The healthy runs that calibration did not use, and those of the bases of unseen.py."""
    injected: list[Kind]
    """The faults of injected.py."""
    unseen: list[Kind]
    """The faults of unseen.py."""
    repairs: list[Repair]

    def described(self) -> dict[str, object]:
        """The content of scorecard.json."""
        return {name: [entry._asdict() for entry in entries] for name, entries in self._asdict().items()}


def read_scorecard(file: Path = RESULTS) -> Scorecard:
    """Read the scorecard in a file."""
    content = json.loads(file.read_text())
    return Scorecard(
        patients=[_card(**card) for card in content["patients"]],
        healthy=[_card(**card) for card in content["healthy"]],
        injected=[Kind(**kind) for kind in content["injected"]],
        unseen=[Kind(**kind) for kind in content["unseen"]],
        repairs=[_repair(**repair) for repair in content["repairs"]],
    )


def _card(
    name: str, seed: int, faults: Sequence[str], ill: bool | None, causes: Sequence[str], alarms: Sequence[str]
) -> Card:
    return Card(name=name, seed=seed, faults=tuple(faults), ill=ill, causes=tuple(causes), alarms=tuple(alarms))


def _repair(name: str, kept: Sequence[str], shares: Sequence[float], correction: float | None) -> Repair:
    return Repair(name, tuple(kept), tuple(shares), correction)


def report(card: Scorecard) -> str:
    """The scorecard as Markdown."""
    parts = [summary(card), by_case(card.patients)]
    if card.repairs:
        parts.append(by_repair(card.repairs))
    if card.injected:
        parts.append(by_kind(card.injected, "injected, by hand"))
    if card.unseen:
        parts.append(by_kind(card.unseen, "injected, unseen"))
    return "\n\n".join(parts)


def summary(card: Scorecard) -> str:
    """The rates, with the required ones and the published ones of other detectors."""
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
    return _table(("", "first seed", "all seeds", "required", "published detectors"), rows)


def _rates(
    name: str, cards: Sequence[Card], holds: Callable[[Card], bool], required: str, published: str
) -> tuple[object, ...]:
    first: dict[str, Card] = {}
    for card in sorted(cards, key=lambda card: card.seed):
        first.setdefault(card.name, card)
    return name, rate(first.values(), holds), rate(cards, holds), required, published


def by_case(cards: Sequence[Card]) -> str:
    """A table of the ill runs by case, one of the healthy runs, and one of the others."""
    ill_rows = []
    healthy_rows = []
    other_rows = []
    for name in sorted({card.name for card in cards}):
        of_case = [card for card in cards if card.name == name]
        ill = [card for card in of_case if card.ill]
        well = [card for card in of_case if card.ill is False]
        neither = [card for card in of_case if card.ill is None]
        labels = ", ".join(of_case[0].faults) or "none"
        if ill:
            counts = (sum(getattr(card, rate) for card in ill) for rate in ("found", "right", "main"))
            ill_rows.append((name, labels, len(ill), *counts, _first_causes(ill)))
        if well:
            healthy_rows.append((name, len(well), sum(card.noticed for card in well), _first_causes(well)))
        if neither:
            noticed = sum(card.noticed for card in neither)
            other_rows.append((name, labels, len(neither), noticed, _first_causes(neither)))
    tables: list[tuple[Sequence[str], Sequence[Sequence[object]]]] = [
        (("ill", "labelled", "runs", "found", "cause right", "main right", "first cause"), ill_rows),
        (("healthy", "runs", "false alarms", "first cause"), healthy_rows),
        (("neither", "labelled", "runs", "noticed", "first cause"), other_rows),
    ]
    return "\n\n".join(_table(head, rows) for head, rows in tables if rows)


def _first_causes(cards: Sequence[Card]) -> str:
    counts = Counter(card.causes[0] if card.causes else "-" for card in cards)
    return ", ".join(f"{code} ({count})" for code, count in counts.most_common())


def by_repair(repairs: Sequence[Repair]) -> str:
    """A table of the repairs."""
    rows = [
        (
            repair.name,
            "; ".join(repair.kept) or "no remedy helped",
            f"{repair.share:.2f}",
            "-" if repair.correction is None else f"{repair.correction:.2f}",
            "yes" if repair.right else "no",
        )
        for repair in repairs
    ]
    return _table(("repaired", "by", "gap closed", "by the correction", "right"), rows)


def by_kind(kinds: Sequence[Kind], title: str) -> str:
    """A table of the injected faults."""
    total = Kind("all", *map(sum, zip(*(kind[1:] for kind in kinds), strict=True)))
    rows = [
        (kind.kind, kind.cases, kind.runs, *(Rate(count, kind.runs) for count in kind[3:])) for kind in (*kinds, total)
    ]
    return _table((title, "cases", "runs", "found", "noticed", "cause right", "main right"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names or numbers of cases [default: all]")
    parser.add_argument("--prove", action="store_true", help="also try the remedies, and score the repairs")
    parser.add_argument("--minutes", type=float, default=5.0, help="time limit for each case with --prove")
    parser.add_argument("--seeds", type=int, help="number of seeds of each case [default: all]")
    parser.add_argument("--jobs", type=int, help="processes [default: one for each core]")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of cached runs")
    parser.add_argument("--json", type=Path, default=RESULTS, help="the file of results")
    options = parser.parse_args()
    if unknown := unknown_names(options.cases):
        parser.error(f"unknown case: {', '.join(sorted(unknown))}")
    make_data()
    scorecard = _scorecard(options)
    if not options.cases:
        options.json.write_text(json.dumps(scorecard.described(), indent=1) + "\n")
    print(report(scorecard))


def _scorecard(options: argparse.Namespace) -> Scorecard:
    by_hand = injected.injected()
    by_rule = unseen.unseen()
    of_cases = cards(_runs_of_cases(options.cases, options.seeds), options.cache, options.jobs)
    others: list[_Labelled] = []
    if not options.cases:
        others += [*_healthy_runs(), *_runs_of_unseen_bases(options.cache, options.jobs, options.seeds)]
        others += _runs_with_faults(by_hand, injected.SEEDS[: options.seeds])
        others += _runs_with_faults(by_rule, unseen.SEEDS)
    diagnosed = cards(others, options.cache, options.jobs) if others else []
    if options.prove:
        repaired = repairs(of_cases, options.cache, options.jobs, options.minutes)
    elif options.json.exists() and not options.cases:
        repaired = read_scorecard(options.json).repairs
    else:
        repaired = []
    return Scorecard(
        patients=of_cases,
        healthy=[card for card in diagnosed if card.name not in by_hand and card.name not in by_rule],
        injected=kinds([card for card in diagnosed if card.name in by_hand], by_hand),
        unseen=kinds([card for card in diagnosed if card.name in by_rule], by_rule),
        repairs=repaired,
    )


if __name__ == "__main__":
    main()
