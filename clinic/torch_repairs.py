"""How often the repair that `thalweg.prove` chooses mends a PyTorch program.

    python clinic/torch_repairs.py [CASE ...] [--cases FOLDER] [--mnist FOLDER] [--minutes N] [--jobs N] [--json FILE]

proves a repair of each program of the folder that is written as a recipe (`torch_ward/as_recipe.py`), and scores it
with fresh seeds beside the corrected twin and beside random changes of equal cost (`torch_ward/repairs.py`). A repair
that closes at least 90 % of the gap to the twin is right.

The file is written after each program, and programs that it holds are not proven again, unless they are named: a run
that was stopped goes on where it was. MINUTES limit each proof.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from joblib import Parallel, delayed

from torch_scorecard import CASES, selected
from torch_ward.answers import RECIPES
from torch_ward.cases import Case
from torch_ward.repairs import Repaired, read_repairs, repaired, repairs_report, write_repairs

FOLDER = Path(__file__).parent


def prove_repairs(cases: Iterable[Case], minutes: float, jobs: int, path: Path) -> list[Repaired]:
    """Prove repairs of these cases, and write each into the file as soon as it is found; return all of the file."""
    found = {one.name: one for one in read_repairs(path)}
    work = (delayed(repaired)(case, minutes) for case in cases)
    for one in Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
        found[one.name] = one
        write_repairs(path, found.values())
        sys.stdout.write(f"{one.line}\n")
        sys.stdout.flush()
    return sorted(found.values())


def main() -> None:
    """Prove the repairs that are missing, and print the shares of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CASE")
    parser.add_argument("--cases", type=Path, default=CASES)
    parser.add_argument("--mnist", type=Path, default=Path(os.environ.get("THALWEG_DATA", "data")) / "mnist")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path, default=FOLDER / "torch_repairs.json")
    arguments = parser.parse_args()
    os.environ.setdefault("MNIST_DIR", str(arguments.mnist))
    unknown = set(arguments.names) - set(RECIPES)
    if unknown:
        parser.error(f"not written as a recipe: {', '.join(sorted(unknown))}; recipes are {', '.join(RECIPES)}")
    if arguments.minutes <= 0:
        parser.error(f"--minutes must be positive, received {arguments.minutes:g}")
    known = {one.name for one in read_repairs(arguments.json)}
    names = arguments.names or [name for name in RECIPES if name not in known]
    cases = [case for _, case in selected(["folder"], arguments.cases, names)] if names else []
    found = prove_repairs(cases, arguments.minutes, arguments.jobs, arguments.json)
    sys.stdout.write("\n".join(repairs_report(found)) + "\n")


if __name__ == "__main__":
    main()
