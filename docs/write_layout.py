"""Write the table of folders in docs/design.md: their order in tests/test_architecture.py, their docstrings."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DESIGN = ROOT / "docs" / "design.md"
BEGIN = "<!-- folders: written by docs/write_layout.py -->"
END = "<!-- end of folders -->"


def folders() -> list[str]:
    """The folders of the package in their order."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    assigned = [
        node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FOLDERS"
    ]
    return ast.literal_eval(assigned[0].value)


def table() -> str:
    """The table of folders, each with the first sentence of its docstring and its modules."""
    lines = ["| folder | holds | modules |", "| --- | --- | --- |"]
    for name in folders():
        folder = ROOT / "src" / "thalweg" / name
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        modules = sorted(path.stem for path in folder.glob("[!_]*.py"))
        inner = sorted(f"{path.name}/" for path in folder.iterdir() if (path / "__init__.py").is_file())
        first = " ".join(docstring.split("\n\n")[0].split())
        lines.append(f"| `{name}/` | {first} | {' '.join([*inner, *modules])} |")
    return "\n".join(lines)


def written(text: str) -> str:
    """The design with the table as it is now."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", f"{BEGIN}\n\n{table()}\n\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    DESIGN.write_text(written(DESIGN.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{DESIGN}\n")
