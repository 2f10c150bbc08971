"""Write the tables of the docs from the registries of checks and probes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from thalweg.doctor.checks import CHECKS, CODES, ordered_codes
from thalweg.probes.observe import PRESETS, PROBES
from thalweg.watching import checks as _watch_checks  # noqa: F401  (registers the codes of watched trainings)

DOCS = Path(__file__).parent
PAGES = (DOCS / "doctor.md", DOCS / "probes.md", DOCS / "pytorch.md")


def codes_table() -> str:
    """All codes of the doctor, the roots first."""
    rows = []
    for name in ordered_codes():
        stages = dict.fromkeys(check.stage for check in CHECKS if check.code == name) or ("in paired runs",)
        rows.append((f"`{name}`", ", ".join(stages), CODES[name].meaning, CODES[name].advice))
    return _table(("code", "measured", "meaning", "usual remedies"), rows)


def pytorch_table() -> str:
    """The codes that a watched PyTorch training can show, with the line to change."""
    rows = [(f"`{name}`", CODES[name].meaning, CODES[name].pytorch) for name in ordered_codes() if CODES[name].pytorch]
    return _table(("code", "meaning", "line of PyTorch"), rows)


def probes_table(preset: str) -> str:
    """The quantities that a preset adds to those before it."""
    rows = [
        (", ".join(f"`{name}`" for name in probe.names), probe.scope, probe.formula, probe.unit, probe.healthy)
        for probe in PROBES
        if probe.preset == preset
    ]
    return _table(("name", "of", "formula", "unit", "healthy"), rows)


def with_tables(text: str) -> str:
    """A page with new tables between its comments `<!-- table NAME -->` and `<!-- end -->`."""
    tables = {
        "codes": codes_table(),
        "pytorch": pytorch_table(),
        **{preset: probes_table(preset) for preset in PRESETS},
    }
    return re.sub(
        r"(<!-- table (\w+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + tables[match[2]] + match[3],
        text,
        flags=re.DOTALL,
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
        sys.stdout.write(f"{page}\n")
