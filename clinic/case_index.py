"""The cases of the clinic: the specs in `patients/`, with the facts in the comment at the head of each file.

# XOR by two layers of sigmoid units. ...         description, in a sentence or two
#
# case: 31556268                                  number of the question, or name of the network
# role: faulty                                    or correction (of the faulty program of the case), or healthy
# faults: loss, lr-too-low                        codes, the main one first (README.md explains them)
# record: 5 seeds: loss 0.494 to 0.500            result of an independent emulation of Keras
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "patients"
NONE = "none"


@dataclass(frozen=True)
class Case:
    """A spec with the facts at its head."""

    path: Path
    about: str
    """Description of the program or network."""
    facts: dict[str, str]
    """The lines `key: value` of the head."""

    @property
    def name(self) -> str:
        """The name of the file, without its suffix."""
        return self.path.stem

    @property
    def origin(self) -> str:
        """Number of the question, or name of the network: a faulty program and its correction share it."""
        return self.facts["case"]

    @property
    def role(self) -> str:
        """The published role: faulty, correction or healthy."""
        return self.facts["role"]

    @property
    def faults(self) -> tuple[str, ...]:
        """The codes of the labelled faults, the main one first; empty if there are none."""
        codes = tuple(self.facts["faults"].split(", "))
        return () if codes == (NONE,) else codes


def read_case(path: Path) -> Case:
    """Read the case that a spec file describes."""
    head = path.read_text().partition("\n\n")[0]
    about, _, rest = head.partition("\n#\n")
    facts: dict[str, str] = {}
    key = ""
    for line in rest.splitlines():
        text = line.removeprefix("# ")
        if text.startswith(" "):
            facts[key] += " " + text.strip()
        else:
            key, _, facts[key] = text.partition(": ")
    return Case(path, " ".join(line.removeprefix("# ") for line in about.splitlines()), facts)


def all_cases() -> list[Case]:
    """All cases, sorted by name."""
    return [read_case(path) for path in sorted(FOLDER.glob("*.toml"))]


def unknown_names(names: list[str]) -> set[str]:
    """The names that are neither the name of a case nor an origin."""
    known = all_cases()
    return {*names} - {case.name for case in known} - {case.origin for case in known}
