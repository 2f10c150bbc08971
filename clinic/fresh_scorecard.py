"""How often the doctor is right about the faults of fresh/, which its rules were not made from.

    python clinic/fresh_scorecard.py [CASE ...] [--part PART] [--confirm] [--seeds N] [--repair | --prove [--minutes M]]
                                     [--jobs N] [--cache FOLDER] [--json FILE]

diagnoses the runs that count by fresh/counts.json (made by fresh_counts.py), and prints how often each kind is found,
by part. Without a name all cases are diagnosed; with `--part` those of a part: first, second, third, fourth, redrawn
or pictures, which have faults, healthy, third-healthy, fourth-healthy, redrawn-healthy or healthy-pictures, which have
the bases of these parts and unusual specs made from them. With `--confirm` the doctor may train to confirm what it
suspects. `--repair` also scores the change that a confirmed diagnosis proposes; `--prove` tries the remedies for each
case and scores the repair of the proof instead.

found        a finding of severity warning or higher is right: its code, its place or its remedy (fresh/kinds.py)
cause right  the first cause is right
noticed      there is a finding of severity warning or higher
false alarm  such a finding on a base or an unusual healthy spec that learns
closed       the part of the gap between a case and its healthy twin that the repaired spec closes: gains on the test
             rows as means of five seeds that no diagnosis and no proof used; 0 where there is no repair. Cases with no
             gap in these seeds are left out

The intervals are those of Wilson for 95 %, of Student for means. The runs of a kind are alike, so that intervals over
runs are too narrow: the last line of a part counts kinds, each of which is right if more than half of its runs are.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from fresh.gains import WORSE, gain_of, read_counts
from fresh.kinds import Case, is_right
from fresh_counts import CASES, HEALTHY, all_bases, parts
from run_cache import CACHE, CachedRun, cached_runs, folders_of
from thalweg import load
from thalweg.core.intervals import mean_interval, wilson
from thalweg.experiments.processes import available_cores
from thalweg.experiments.remedy_trials.prove import prove
from thalweg.spec.edit import changed
from thalweg.spec.spec import Spec
from thalweg.spec.toml import spec_of

PARTS = tuple(dict.fromkeys([*CASES, *HEALTHY]))
# Seeds that no diagnosis and no proof uses, which begin at the seed of the run.
FRESH_SEEDS = range(1000, 1005)
# The part of the gap that a good repair closes.
CLOSED = 0.9


class Answer(NamedTuple):
    """The doctor's diagnosis of a run."""

    name: str
    kind: str
    """Kind of the fault; the name of the kind or of the base of a healthy spec."""
    part: str
    seed: int
    found: bool
    right: bool
    """Whether the first cause is right."""
    noticed: bool
    causes: tuple[str, ...]
    """The codes of the causes, the root cause first."""
    repair: tuple[tuple[str, Any], ...] = ()
    """The changes that a confirmed diagnosis proposes."""


class Repair(NamedTuple):
    """The repair of a case."""

    name: str
    kind: str
    part: str
    by: tuple[str, ...]
    """What is changed: the paths that a diagnosis proposes, or the remedies that a proof keeps."""
    of_spec: bool
    """Whether the fault is one of the spec, which a change of the spec can undo; else it is one of the rows."""
    gains: tuple[float, float, float]
    """The gains of the case, of the repaired spec and of the healthy twin."""

    @property
    def closed(self) -> float:
        """The part of the gap between the case and its twin that the repair closes."""
        ill, repaired, healthy = self.gains
        return (repaired - ill) / (healthy - ill)


class _Run(NamedTuple):
    """A run that counts."""

    part: str
    kind: str
    case: Case | None
    """The case; None for a base."""
    run: CachedRun


def runs_that_count(names: Sequence[str], chosen_parts: Sequence[str], seeds: int | None) -> list[_Run]:
    """The runs that count of some parts, or of the specs with these names."""
    counts = read_counts()
    cases = parts()
    specs: dict[str, tuple[str, str, Case | None, Spec]] = {
        name: (part, case.kind.name, case, case.spec)
        for part in chosen_parts
        for name, case in cases.get(part, {}).items()
    }
    specs |= {
        name: (part, name, None, spec_of(base.table, name))
        for part in chosen_parts
        for name, base in (HEALTHY[part]() if part in HEALTHY else {}).items()
    }
    chosen = {name: entry for name, entry in specs.items() if not names or name in names}
    counted = {
        (name, one.seed)
        for by_name in counts.values()
        for name, by_seed in by_name.items()
        for one in [one for one in by_seed if one.counts][:seeds]
    }
    every = sorted({seed for _, seed in counted})
    runs = cached_runs({name: entry[3] for name, entry in chosen.items()}, every)
    return [_Run(*chosen[run.name][:3], run) for run in runs if (run.name, run.seed) in counted]


def answer(one: _Run, folder: Path, confirm: bool) -> Answer:
    """Diagnose a run."""
    run = load(folder)
    diagnosis = run.diagnose(confirm=True) if confirm else run.diagnose()
    alarms = [finding for finding in diagnosis.findings if finding.severity != "note"]
    first = [cause.finding for cause in diagnosis.causes[:1]]
    return Answer(
        name=one.run.name,
        kind=one.kind,
        part=one.part,
        seed=one.run.seed,
        found=one.case is not None and any(is_right(one.case, finding) for finding in alarms),
        right=one.case is not None and any(is_right(one.case, finding) for finding in first),
        noticed=bool(alarms),
        causes=tuple(cause.finding.code for cause in diagnosis.causes),
        repair=tuple(diagnosis.repair.changes) if diagnosis.repair else (),
    )


def answers(chosen: Sequence[_Run], cache: Path, jobs: int | None, confirm: bool) -> list[Answer]:
    """Diagnose runs; progress goes to stderr."""
    folders = folders_of([one.run for one in chosen], cache, jobs)
    parallel = Parallel(min(jobs or len(available_cores()), len(chosen)), return_as="generator")
    tasks = (delayed(answer)(one, folders[one.run.name, one.run.seed], confirm) for one in chosen)
    result = []
    for one in parallel(tasks):
        result.append(one)
        print(f"examined: {len(result)} of {len(chosen)}", end="\r", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return result


def one_of_each_kind(chosen: Iterable[_Run], seed: int) -> list[_Run]:
    """A run of each kind, drawn at random."""
    drawn = sorted(chosen, key=lambda one: one.run.name)
    random.Random(seed).shuffle(drawn)
    first: dict[str, _Run] = {}
    for one in drawn:
        first.setdefault(one.kind, one)
    return list(first.values())


class _Repaired(NamedTuple):
    """A repaired spec, and what was changed."""

    spec: Spec
    by: tuple[str, ...]


def first_runs(chosen: Iterable[_Run]) -> dict[str, _Run]:
    """The run of each faulty case with the first seed with which it counts."""
    first: dict[str, _Run] = {}
    for one in sorted(chosen, key=lambda one: one.run.seed):
        if one.part not in HEALTHY:
            first.setdefault(one.run.name, one)
    return first


def proposed(first: Mapping[str, _Run], given: Iterable[Answer]) -> dict[str, _Repaired]:
    """The repaired spec of each case whose diagnosis proposes a change."""
    runs = {(one.run.name, one.run.seed): one.run for one in first.values()}
    return {
        one.name: _Repaired(changed(run.spec, one.repair), tuple(path for path, _ in one.repair))
        for one in given
        if one.repair and (run := runs.get((one.name, one.seed)))
    }


def proved(
    first: Mapping[str, _Run], cache: Path, jobs: int | None, minutes: float, confirm: bool
) -> dict[str, _Repaired]:
    """The repaired spec of each case for which the proof keeps remedies."""
    result = {}
    for name, one in first.items():
        run = load(folders_of([one.run], cache, jobs)[name, one.run.seed])
        remedies = (run.diagnose(confirm=True) if confirm else run.diagnose()).remedies
        if not remedies:
            continue
        proof = prove(run.spec, remedies, jobs=jobs, minutes=minutes, folder=cache / "proofs" / one.run.key)
        if proof.repaired:
            result[name] = _Repaired(proof.repaired, proof.chosen)
    return result


def repairs(
    first: Mapping[str, _Run], repaired: Mapping[str, _Repaired], cache: Path, jobs: int | None
) -> list[Repair]:
    """The gains of each case, repaired, and of its twin."""
    cases = {name: one.case for name, one in first.items() if one.case}
    bases = {name: base for name, base in all_bases().items() if name in {case.base for case in cases.values()}}
    specs: dict[str, Spec] = {name: case.spec for name, case in cases.items()}
    specs |= {name: spec_of(base.table, name) for name, base in bases.items()}
    specs |= {f"repaired {name}": entry.spec for name, entry in repaired.items()}
    folders = folders_of(cached_runs(specs, FRESH_SEEDS), cache, jobs)
    gains = {name: float(np.mean([gain_of(folders[name, seed]) for seed in FRESH_SEEDS])) for name in specs}
    result = []
    for name, case in cases.items():
        ill, healthy = gains[name], gains[case.base]
        if ill >= WORSE * healthy:
            continue
        mended = gains.get(f"repaired {name}", ill)
        by = repaired[name].by if name in repaired else ()
        of_spec = case.table["data"]["source"] == bases[case.base].table["data"]["source"]
        result.append(Repair(name, case.kind.name, first[name].part, by, of_spec, (ill, mended, healthy)))
    return result


# Tables. ----------------------------------------------------------------------------------------------------------


def rate(values: Sequence[bool]) -> str:
    """A count with its share and interval."""
    if not values:
        return "-"
    low, high = wilson(sum(values), len(values))
    return f"{sum(values)} of {len(values)} ({sum(values) / len(values):.0%}, {low:.0%} to {high:.0%})"


_MEASURES: dict[str, Callable[[Answer], bool]] = {
    "found": lambda one: one.found,
    "cause right": lambda one: one.right,
    "noticed": lambda one: one.noticed,
}


def by_kind(given: Sequence[Answer], part: str) -> str:
    """The rates of each kind of a part, of all runs, and of all kinds."""
    kinds = list(dict.fromkeys(one.kind for one in given))
    values = {
        kind: {name: [of(one) for one in given if one.kind == kind] for name, of in _MEASURES.items()} for kind in kinds
    }
    most = {name: [2 * sum(values[kind][name]) > len(values[kind][name]) for kind in kinds] for name in _MEASURES}
    rows = [(kind, *map(rate, values[kind].values())) for kind in kinds]
    rows.append(("all runs", *(rate([of(one) for one in given]) for of in _MEASURES.values())))
    rows.append(("all kinds", *map(rate, most.values())))
    return _table((f"{part} part", *_MEASURES), rows)


def false_alarms(given: Sequence[Answer], part: str) -> str:
    """The rates of bases and of unusual specs, and the names of those with an alarm."""
    names = HEALTHY[part]().keys()
    rows = [
        (
            title,
            rate([one.noticed for one in chosen]),
            "; ".join(dict.fromkeys(one.name for one in chosen if one.noticed)),
        )
        for title, chosen in (
            ("bases", [one for one in given if one.name in names]),
            ("unusual", [one for one in given if one.name not in names]),
        )
    ]
    return _table((part, "false alarms", "of"), rows)


def by_repair(given: Sequence[Repair], part: str) -> str:
    """The part of the gap that the repairs of each kind close, and how many close nearly all of it."""
    kinds = dict.fromkeys(one.kind for one in given)
    rows = [_closed(kind, [one for one in given if one.kind == kind]) for kind in kinds]
    rows.append(_closed("all with a wrong spec", [one for one in given if one.of_spec]))
    rows.append(_closed("all", given))
    return _table((f"repaired, {part} part", "mean closed", f"closed to {CLOSED:.0%}"), rows)


def _closed(title: str, given: Sequence[Repair]) -> tuple[str, str, str]:
    closed = [one.closed for one in given]
    mean = f"{np.mean(closed):.2f}" if closed else "-"
    if len(closed) > 1:
        low, high = mean_interval(np.array(closed))
        mean += f" ({low:.2f} to {high:.2f})"
    return title, mean, rate([one >= CLOSED for one in closed])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(given: Sequence[Answer], repaired: Sequence[Repair]) -> str:
    """All tables as Markdown."""
    tables = []
    for part in PARTS:
        answers_of_part = [one for one in given if one.part == part]
        if answers_of_part:
            tables.append((false_alarms if part in HEALTHY else by_kind)(answers_of_part, part))
        if mended := [one for one in repaired if one.part == part]:
            tables.append(by_repair(mended, part))
    return "\n\n".join(tables)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names of cases [default: all]")
    parser.add_argument("--part", choices=PARTS, help="a part alone")
    parser.add_argument("--confirm", action="store_true", help="diagnose with trials that confirm the causes")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--repair", action="store_true", help="also score what a confirmed diagnosis proposes")
    how.add_argument("--prove", action="store_true", help="also try the remedies, and score the repairs")
    parser.add_argument("--minutes", type=float, default=5.0, help="time limit for each case with --prove")
    parser.add_argument("--seeds", type=int, help="number of seeds of each case [default: all that count]")
    parser.add_argument("--draw", type=int, metavar="SEED", help="one run of each kind, drawn at random")
    parser.add_argument("--jobs", type=int, help="processes [default: one for each core]")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of cached runs")
    parser.add_argument("--json", type=Path, help="a file for all answers")
    options = parser.parse_args()
    if options.repair and not options.confirm:
        parser.error("--repair needs --confirm: a diagnosis proposes only what it has confirmed")
    cases = parts()
    known = {*all_bases(), *(name for by_name in cases.values() for name in by_name)}
    if unknown := {*options.cases} - known:
        parser.error(f"unknown case: {', '.join(sorted(unknown))}")
    chosen = runs_that_count(options.cases, [options.part] if options.part else PARTS, options.seeds)
    if not chosen:
        parser.error(f"no run of these counts: {', '.join(options.cases) or options.part}")
    if options.draw is not None:
        chosen = one_of_each_kind(chosen, options.draw)
    given = answers(chosen, options.cache, options.jobs, options.confirm)
    first = first_runs(chosen)
    repaired = []
    if options.repair:
        repaired = repairs(first, proposed(first, given), options.cache, options.jobs)
    if options.prove:
        mended = proved(first, options.cache, options.jobs, options.minutes, options.confirm)
        repaired = repairs(first, mended, options.cache, options.jobs)
    if options.json:
        content = {
            "answers": [one._asdict() for one in given],
            "repairs": [{**one._asdict(), "closed": one.closed} for one in repaired],
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    print(report(given, repaired))


if __name__ == "__main__":
    main()
