"""How often the doctor is right about PyTorch programs that it watches.

    python clinic/torch_scorecard.py [CASE ...] [--cases FOLDER] [--mnist FOLDER] [--set NAME]
                                     [--seeds N] [--jobs N] [--json FILE]

runs each program (faulty, its corrected twin, healthy) with `thalweg.watch`, and compares the diagnosis with the answer
key (`torch_ward/answers.py`). The watch gets the model, the optimizer, the loss function and what the loop tells it:
not the file, nor which version runs. The sets are folder, injected, healthy, unseen and sealed; without `--set` the
first three are run: the doctor had not seen the other two when they were scored, once.

found           a finding of severity warning or higher has a right code; for a fault of the evaluation alone also that
                nothing is found
first cause     the first cause has a right code
place           the first finding of a right code names a right place, of the cases that have one
false alarm     a finding of severity warning or higher on a corrected twin or a healthy program
switched off    a watch that met an error of its own

The intervals are those of Wilson for 95 %. Seeds of a case are alike, so cases count beside runs: a case is right if
more than half of its runs are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from joblib import Parallel, delayed

from thalweg.core.intervals import wilson
from torch_ward import healthy, injected, sealed, unseen
from torch_ward.answers import healthy_is_right, is_right_place, right_codes, right_places
from torch_ward.cases import HEALTHY, Case, cases_of, read_cases

FOLDER = Path(__file__).parent
CASES = FOLDER.parents[1] / "shared" / "torch-cases"
SETS = {"injected": injected, "sealed": sealed, "healthy": healthy, "unseen": unseen}


class Answer(NamedTuple):
    """The diagnosis of one run."""

    set: str
    name: str
    kind: str
    fixed: bool
    seed: int
    first: str
    """Code and place of the first cause; empty for a healthy training."""
    codes: tuple[str, ...]
    """Codes of the findings above a note."""
    found: bool
    cause: bool
    place: bool | None
    """None for a case without a place."""
    alarm: bool
    switched_off: tuple[str, ...]
    """Errors inside of the watch."""

    @property
    def faulty(self) -> bool:
        """Whether the program had its fault."""
        return self.kind != HEALTHY and not self.fixed


def examined(set_name: str, case: Case, fixed: bool, seed: int) -> Answer:
    """Run a program, watched, and compare the diagnosis with the key."""
    import thalweg

    watches: list[thalweg.Watch] = []

    def watch(*parts: object) -> thalweg.Watch:
        watches.append(thalweg.watch(*parts))
        return watches[-1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case.load()(fixed, seed, watch)
        diagnosis = watches[0].diagnose()
    faults = tuple(watches[0].training.faults)
    right = right_codes(case)
    above = [finding for finding in diagnosis.findings if finding.severity != "note"]
    hits = [finding for finding in above if finding.code in right]
    first = diagnosis.causes[0].finding if diagnosis.causes else None
    sound = diagnosis.healthy and healthy_is_right(case)
    return Answer(
        set=set_name,
        name=case.name,
        kind=case.kind,
        fixed=fixed,
        seed=seed,
        first=f"{first.code} at {first.place}" if first else "",
        codes=tuple(dict.fromkeys(finding.code for finding in above)),
        found=bool(hits) or sound,
        cause=(first is not None and first.code in right) or sound,
        place=any(is_right_place(case, finding) for finding in hits[:1]) if right_places(case) else None,
        alarm=bool(above),
        switched_off=faults,
    )


def report(answers: Sequence[Answer]) -> str:
    """The shares with their intervals, by set and kind."""
    lines: list[str] = []
    for name in dict.fromkeys(answer.set for answer in answers):
        mine = [answer for answer in answers if answer.set == name]
        faulty = [answer for answer in mine if answer.faulty]
        sound = [answer for answer in mine if not answer.faulty]
        lines += [f"{name}: {len(faulty)} faulty and {len(sound)} sound runs"]
        if faulty:
            lines += [
                f"  found           {_share(faulty, lambda answer: answer.found)}",
                f"  first cause     {_share(faulty, lambda answer: answer.cause)}",
                f"  place           {_share([a for a in faulty if a.place is not None], lambda a: bool(a.place))}",
            ]
        lines += [f"  false alarms    {_share(sound, lambda answer: answer.alarm)}"]
        lines += [f"  switched off    {sum(bool(answer.switched_off) for answer in mine)} of {len(mine)}"]
        for kind in sorted({answer.kind for answer in faulty}):
            same = [answer for answer in faulty if answer.kind == kind]
            twins = [answer for answer in sound if answer.kind == kind]
            right = sum(answer.cause for answer in same)
            alarms = sum(answer.alarm for answer in twins)
            lines += [
                f"    {kind:22} found {sum(a.found for a in same)}/{len(same)}  cause {right}/{len(same)}"
                f"  alarms on twins {alarms}/{len(twins)}"
            ]
    return "\n".join(lines)


def _share(answers: Sequence[Answer], sign: Callable[[Answer], bool]) -> str:
    """A share of runs with its interval, and of cases."""
    right = sum(map(sign, answers))
    low, high = wilson(right, len(answers)) if answers else (0.0, 1.0)
    cases: dict[tuple[str, bool], list[bool]] = {}
    for answer in answers:
        cases.setdefault((answer.name, answer.fixed), []).append(sign(answer))
    most = sum(sum(signs) > len(signs) / 2 for signs in cases.values())
    whole = max(len(answers), 1)
    return f"{right}/{len(answers)} = {right / whole:.0%} [{low:.0%}, {high:.0%}]; cases {most}/{len(cases)}"


def selected(sets: Iterable[str], folder: Path, names: Sequence[str]) -> list[tuple[str, Case]]:
    """The cases of these sets, by name if names are given. A folder that is missing is said to be missing."""
    cases: list[tuple[str, Case]] = []
    for name in sets:
        if name != "folder":
            cases += [(name, case) for case in cases_of(SETS[name])]
        elif folder.is_dir():
            cases += [(name, case) for case in read_cases(folder)]
        else:
            sys.stderr.write(f"SKIPPED: the folder of PyTorch programs is missing: {folder} (--cases FOLDER)\n")
    return [(name, case) for name, case in cases if not names or case.name in names]


def main() -> None:
    """Run the programs, print the shares, and write all answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--cases", dest="folder", type=Path, default=CASES)
    parser.add_argument("--mnist", type=Path, default=Path(os.environ.get("THALWEG_DATA", "data")) / "mnist")
    parser.add_argument("--set", choices=["folder", *SETS], action="append")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path, default=FOLDER / "torch_scorecard.json")
    arguments = parser.parse_args()
    os.environ.setdefault("MNIST_DIR", str(arguments.mnist))
    cases = selected(arguments.set or ["folder", "injected", "healthy"], arguments.folder, arguments.cases)
    runs = Parallel(n_jobs=arguments.jobs, return_as="generator")(
        delayed(examined)(name, case, fixed, seed)
        for seed in range(arguments.seeds)
        for name, case in cases
        for fixed in case.versions
    )
    answers: list[Answer] = []
    for answer in runs:
        answers.append(answer)
        right = answer.cause if answer.faulty else not answer.alarm
        sys.stdout.write(
            f"{'  ' if right else '! '}{answer.name:24} {answer.kind:20} {'twin ' if not answer.faulty else ''}"
            f"{answer.first or 'healthy'} {'' if right else answer.codes}{answer.switched_off or ''}\n"
        )
        sys.stdout.flush()
        # Hours of runs are not lost where one is stopped.
        whole = {"report": report(answers).splitlines(), "answers": [answer._asdict() for answer in answers]}
        arguments.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(report(answers) + "\n")


if __name__ == "__main__":
    main()
