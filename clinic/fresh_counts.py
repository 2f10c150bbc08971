"""Train the faults and healthy specs of fresh/, and find which of them count.

    python clinic/fresh_counts.py [--jobs N] [--cache FOLDER]

trains the bases, both halves of the faults and the unusual healthy specs with three seeds each, and writes
fresh/counts.json. The doctor takes no part in it.

A base learns with a seed if it closes three quarters of the gap between a constant answer and a random forest, both on
the test rows. A case counts with the seeds in which its base learns and it closes less than 80 % of the gap that its
base closes, or wherever its base learns if the fault is one whatever was learned. A healthy spec counts with the seeds
in which its base learns and it closes 80 % of that gap or more.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from fresh.bases import bases
from fresh.first_half import first_half
from fresh.gains import RESULTS, Count, counts_of_base, counts_of_case, write_counts
from fresh.healthy import unusual
from fresh.kinds import Case
from fresh.second_half import second_half
from run_cache import CACHE, cached_runs, folders_of
from thalweg.spec.toml import spec_of

SEEDS = range(3)


def parts() -> dict[str, dict[str, Case]]:
    """The cases of each part: the two halves of the faults, and the unusual healthy specs."""
    return {"first": first_half(), "second": second_half(), "healthy": unusual()}


def counts(cache: Path, jobs: int | None) -> dict[str, dict[str, list[Count]]]:
    """The runs of all bases and cases, trained if the cache does not have them."""
    healthy = bases()
    cases = parts()
    specs = {name: spec_of(base.table, name) for name, base in healthy.items()}
    specs |= {name: case.spec for part in cases.values() for name, case in part.items()}
    folders = folders_of(cached_runs(specs, SEEDS), cache, jobs)

    def of(name: str) -> dict[int, Path]:
        return {seed: folders[name, seed] for seed in SEEDS}

    of_bases = {name: counts_of_base(base, of(name)) for name, base in healthy.items()}
    return {"bases": of_bases} | {
        part: {
            name: counts_of_case(case, of(name), of_bases[case.base], ill=part != "healthy")
            for name, case in by_name.items()
        }
        for part, by_name in cases.items()
    }


def described(part: str, by_name: Mapping[str, list[Count]]) -> str:
    """The numbers of specs and runs that count."""
    names = [name for name, runs in by_name.items() if any(run.counts for run in runs)]
    runs = sum(run.counts for runs in by_name.values() for run in runs)
    return f"{part}: {len(names)} of {len(by_name)} specs count, with {runs} runs"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="processes [default: one for each core]")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of cached runs")
    options = parser.parse_args()
    found = counts(options.cache, options.jobs)
    write_counts(found, RESULTS)
    for part, by_name in found.items():
        print(described(part, by_name))


if __name__ == "__main__":
    main()
