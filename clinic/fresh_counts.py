"""Train the faults and healthy specs of fresh/, and find which of them count.

    python clinic/fresh_counts.py [PART ...] [--jobs N] [--cache FOLDER]

trains the bases, the faults and the unusual healthy specs with three seeds each, and writes fresh/counts.json. With
names of parts (first, second, third, fourth, redrawn, pictures, healthy, third-healthy, fourth-healthy,
healthy-pictures) only these are trained, and the others stay as they were. The doctor takes no part in it.

A base learns with a seed if it closes three quarters of the gap between a constant answer and a random forest, both on
the test rows. A case counts with the seeds in which its base learns and it closes less than 80 % of the gap that its
base closes, or wherever its base learns if the fault is one whatever was learned. A healthy spec counts with the seeds
in which its base learns and it closes 80 % of that gap or more.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from fresh.bases import Base, bases
from fresh.first_half import first_half
from fresh.fourth_bases import fourth_bases
from fresh.fourth_healthy import fourth_unusual
from fresh.fourth_part import fourth_part
from fresh.gains import RESULTS, Count, counts_of_base, counts_of_case, read_counts, write_counts
from fresh.healthy import unusual
from fresh.kinds import Case
from fresh.picture_bases import picture_bases
from fresh.picture_part import pictures, unusual_pictures
from fresh.redrawn import redrawn, redrawn_bases
from fresh.second_half import second_half
from fresh.third_bases import third_bases
from fresh.third_healthy import third_unusual
from fresh.third_part import third_part
from run_cache import CACHE, cached_runs, folders_of
from thalweg.spec.toml import spec_of

SEEDS = range(3)
# The parts: the faults, then the unusual healthy specs.
CASES: dict[str, Callable[[], dict[str, Case]]] = {
    "first": first_half,
    "second": second_half,
    "third": third_part,
    "fourth": fourth_part,
    "redrawn": redrawn,
    "pictures": pictures,
    "healthy": unusual,
    "third-healthy": third_unusual,
    "fourth-healthy": fourth_unusual,
    "healthy-pictures": unusual_pictures,
}
# The bases of the parts of healthy specs.
HEALTHY: dict[str, Callable[[], dict[str, Base]]] = {
    "healthy": bases,
    "third-healthy": third_bases,
    "fourth-healthy": fourth_bases,
    "redrawn-healthy": redrawn_bases,
    "healthy-pictures": picture_bases,
}


def all_bases() -> dict[str, Base]:
    """All healthy specs that others are made from, by name."""
    return {name: base for of_part in HEALTHY.values() for name, base in of_part().items()}


def parts() -> dict[str, dict[str, Case]]:
    """The cases of each part by name."""
    return {part: cases() for part, cases in CASES.items()}


def counts(chosen: Collection[str], cache: Path, jobs: int | None) -> dict[str, dict[str, list[Count]]]:
    """The runs of the chosen parts and their bases, trained if the cache does not have them."""
    cases = {part: by_name for part, by_name in parts().items() if part in chosen}
    used = {case.base for by_name in cases.values() for case in by_name.values()}
    healthy = {name: base for name, base in all_bases().items() if name in used}
    specs = {name: spec_of(base.table, name) for name, base in healthy.items()}
    specs |= {name: case.spec for part in cases.values() for name, case in part.items()}
    folders = folders_of(cached_runs(specs, SEEDS), cache, jobs)

    def of(name: str) -> dict[int, Path]:
        return {seed: folders[name, seed] for seed in SEEDS}

    of_bases = {name: counts_of_base(base, of(name)) for name, base in healthy.items()}
    return {"bases": of_bases} | {
        part: {
            name: counts_of_case(case, of(name), of_bases[case.base], ill=part not in HEALTHY)
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
    parser.add_argument("parts", nargs="*", metavar="PART", help="names of parts [default: all]")
    parser.add_argument("--jobs", type=int, help="processes [default: one for each core]")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of cached runs")
    options = parser.parse_args()
    if unknown := {*options.parts} - CASES.keys():
        parser.error(f"unknown part: {', '.join(sorted(unknown))}; expected some of {', '.join(CASES)}")
    found = counts(options.parts or CASES, options.cache, options.jobs)
    kept = read_counts() if options.parts else {}
    write_counts({**kept, **found, "bases": kept.get("bases", {}) | found["bases"]}, RESULTS)
    for part, by_name in found.items():
        print(described(part, by_name))


if __name__ == "__main__":
    main()
