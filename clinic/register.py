"""Who is in the clinic: the specs of `patients/`, with what the lines at the head of each file tell of them.

# XOR by two layers of sigmoid units. ...         what it is, in a sentence or two
#
# case: 31556268                                  number of the question, or name of the network
# role: faulty                                    or correction (of the case's faulty program), or healthy
# faults: loss, lr-too-low                        codes, the first the main one (README.md says what they mean)
# record: 5 seeds: loss 0.494 to 0.500            what an independent emulation of Keras found
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "patients"
NONE = "none"


@dataclass(frozen=True)
class Patient:
    """One spec and its head; `facts` are the lines `key: value`."""

    path: Path
    about: str
    facts: dict[str, str]

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.stem

    @property
    def case(self) -> str:
        """What a faulty program and its correction have in common."""
        return self.facts["case"]

    @property
    def role(self) -> str:
        """How it was published: faulty, correction or healthy."""
        return self.facts["role"]

    @property
    def faults(self) -> tuple[str, ...]:
        """The codes of its labelled faults, the main one first; empty where it has none."""
        codes = tuple(self.facts["faults"].split(", "))
        return () if codes == (NONE,) else codes


def read_patient(path: Path) -> Patient:
    """The patient that a spec file describes."""
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
    return Patient(path, " ".join(line.removeprefix("# ") for line in about.splitlines()), facts)


def patients() -> list[Patient]:
    """All patients, by name."""
    return [read_patient(path) for path in sorted(FOLDER.glob("*.toml"))]
