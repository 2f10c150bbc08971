"""How often the doctor is right about the faults of fresh/, which its rules were not made from.

    python clinic/fresh_scorecard.py [CASE ...] [--half first|second|healthy] [--confirm] [--seeds N]
                                     [--prove [--minutes M]] [--jobs N] [--cache FOLDER] [--json FILE]

diagnoses the runs that count by fresh/counts.json (made by fresh_counts.py), and prints how often each kind is found,
by half. Without a name all cases are diagnosed; with `--half` those of a half, or the healthy specs alone. With
`--confirm` the doctor may train to confirm what it suspects. `--prove` also tries the remedies for each case and scores
the repaired spec.

found        a finding of severity warning or higher is right: its code, its place or its remedy (fresh/kinds.py)
cause right  the first cause is right
noticed      there is a finding of severity warning or higher
false alarm  such a finding on a base or an unusual healthy spec that learns
repair       part of the gain of the healthy twin that the repaired spec has on the test rows, as the mean of five seeds
             that the proof did not use; if no remedy helps, that of the spec as it is

The intervals are those of Wilson for 95 %. The runs of a kind are alike, so that intervals over runs are too narrow:
the last line of a half counts kinds, each of which is right if more than half of its runs are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from joblib import Parallel, delayed

from fresh.bases import bases
from fresh.gains import WORSE, gain_of, read_counts
from fresh.kinds import Case, is_right
from fresh_counts import parts
from run_cache import CACHE, CachedRun, cached_runs, folders_of
from thalweg import load
from thalweg.core.intervals import wilson
from thalweg.experiments.processes import available_cores
from thalweg.experiments.remedy_trials.prove import prove
from thalweg.spec.spec import Spec
from thalweg.spec.toml import spec_of

# Seeds that no proof uses, which begins at the seed of the run.
FRESH_SEEDS = range(1000, 1005)


class Answer(NamedTuple):
    """The doctor's diagnosis of a run."""

    name: str
    kind: str
    """Kind of the fault; the name of the kind or of the base of a healthy spec."""
    half: str
    seed: int
    found: bool
    right: bool
    """Whether the first cause is right."""
    noticed: bool
    causes: tuple[str, ...]
    """The codes of the causes, the root cause first."""


class Repair(NamedTuple):
    """The repair of a case."""

    name: str
    kind: str
    half: str
    kept: tuple[str, ...]
    """The remedies that help."""
    share: float
    """Part of the healthy twin's gain."""


class _Run(NamedTuple):
    """A run that counts."""

    half: str
    kind: str
    case: Case | None
    """The case; None for a base."""
    run: CachedRun


def runs_that_count(names: Sequence[str], halves: Sequence[str], seeds: int | None) -> list[_Run]:
    """The runs that count of the parts, or of the specs with these names."""
    counts = read_counts()
    cases = parts()
    of_half: dict[str, Mapping[str, Case]] = {half: cases[half] for half in halves}
    specs: dict[str, tuple[str, str, Case | None, Spec]] = {
        name: (half, case.kind.name, case, case.spec) for half in of_half for name, case in of_half[half].items()
    }
    if "healthy" in halves:
        specs |= {name: ("healthy", name, None, spec_of(base.table, name)) for name, base in bases().items()}
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
        half=one.half,
        seed=one.run.seed,
        found=one.case is not None and any(is_right(one.case, finding) for finding in alarms),
        right=one.case is not None and any(is_right(one.case, finding) for finding in first),
        noticed=bool(alarms),
        causes=tuple(cause.finding.code for cause in diagnosis.causes),
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


def repairs(chosen: Iterable[_Run], cache: Path, jobs: int | None, minutes: float, confirm: bool) -> list[Repair]:
    """Repair each case, diagnosed with the first seed with which it counts."""
    first: dict[str, _Run] = {}
    for one in sorted(chosen, key=lambda one: one.run.seed):
        if one.case is not None and one.half != "healthy":
            first.setdefault(one.run.name, one)
    tables = {name: base.table for name, base in bases().items()}
    result = []
    for name, one in first.items():
        assert one.case is not None
        run = load(folders_of([one.run], cache, jobs)[name, one.run.seed])
        remedies = (run.diagnose(confirm=True) if confirm else run.diagnose()).remedies
        kept: tuple[str, ...] = ()
        spec: Spec = run.spec
        if remedies:
            proof = prove(run.spec, remedies, jobs=jobs, minutes=minutes, folder=cache / "proofs" / one.run.key)
            kept, spec = proof.chosen, proof.repaired or spec
        twin = spec_of(tables[one.case.base], one.case.base)
        folders = folders_of(cached_runs({name: spec, "twin": twin}, FRESH_SEEDS), cache, jobs)
        gains = {key: sum(gain_of(folders[key, seed]) for seed in FRESH_SEEDS) for key in (name, "twin")}
        result.append(Repair(name, one.kind, one.half, kept, gains[name] / gains["twin"]))
        print(result[-1], file=sys.stderr, flush=True)
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


def by_kind(given: Sequence[Answer], half: str) -> str:
    """The rates of each kind of a half, of all runs, and of all kinds."""
    kinds = list(dict.fromkeys(one.kind for one in given))
    values = {
        kind: {name: [of(one) for one in given if one.kind == kind] for name, of in _MEASURES.items()} for kind in kinds
    }
    most = {name: [2 * sum(values[kind][name]) > len(values[kind][name]) for kind in kinds] for name in _MEASURES}
    rows = [(kind, *map(rate, values[kind].values())) for kind in kinds]
    rows.append(("all runs", *(rate([of(one) for one in given]) for of in _MEASURES.values())))
    rows.append(("all kinds", *map(rate, most.values())))
    return _table((f"{half} half", *_MEASURES), rows)


def false_alarms(given: Sequence[Answer]) -> str:
    """The rates of bases and of unusual specs, and the names of those with an alarm."""
    names = set(bases())
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
    return _table(("healthy", "false alarms", "of"), rows)


def by_repair(given: Sequence[Repair], half: str) -> str:
    """The repairs of each kind of a half, and how many reach what counts as healthy."""
    rows = [
        (kind, f"{sum(one.share for one in chosen) / len(chosen):.2f}", rate([one.share >= WORSE for one in chosen]))
        for kind, chosen in _grouped(given)
    ]
    rows.append(
        ("all", f"{sum(one.share for one in given) / len(given):.2f}", rate([one.share >= WORSE for one in given]))
    )
    return _table((f"repaired, {half} half", "mean share", "healthy again"), rows)


def _grouped(given: Sequence[Repair]) -> list[tuple[str, list[Repair]]]:
    kinds = dict.fromkeys(one.kind for one in given)
    return [(kind, [one for one in given if one.kind == kind]) for kind in kinds]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(given: Sequence[Answer], repaired: Sequence[Repair]) -> str:
    """All tables as Markdown."""
    tables = []
    for half in ("first", "second"):
        if chosen := [one for one in given if one.half == half]:
            tables.append(by_kind(chosen, half))
        if mended := [one for one in repaired if one.half == half]:
            tables.append(by_repair(mended, half))
    if healthy := [one for one in given if one.half == "healthy"]:
        tables.append(false_alarms(healthy))
    return "\n\n".join(tables)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names of cases [default: all]")
    parser.add_argument("--half", choices=("first", "second", "healthy"), help="a part alone")
    parser.add_argument("--confirm", action="store_true", help="diagnose with trials that confirm the causes")
    parser.add_argument("--prove", action="store_true", help="also try the remedies, and score the repairs")
    parser.add_argument("--minutes", type=float, default=5.0, help="time limit for each case with --prove")
    parser.add_argument("--seeds", type=int, help="number of seeds of each case [default: all that count]")
    parser.add_argument("--jobs", type=int, help="processes [default: one for each core]")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of cached runs")
    parser.add_argument("--json", type=Path, help="a file for all answers")
    options = parser.parse_args()
    halves = (options.half,) if options.half else ("first", "second", "healthy")
    known = {*bases(), *(name for by_name in parts().values() for name in by_name)}
    if unknown := {*options.cases} - known:
        parser.error(f"unknown case: {', '.join(sorted(unknown))}")
    chosen = runs_that_count(options.cases, halves, options.seeds)
    if not chosen:
        parser.error(f"no run of these counts: {', '.join(options.cases) or options.half}")
    given = answers(chosen, options.cache, options.jobs, options.confirm)
    repaired = []
    if options.prove:
        repaired = repairs(chosen, options.cache, options.jobs, options.minutes, options.confirm)
    if options.json:
        content = {"answers": [one._asdict() for one in given], "repairs": [one._asdict() for one in repaired]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    print(report(given, repaired))


if __name__ == "__main__":
    main()
