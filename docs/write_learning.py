"""Write the tables of docs/learning.md from the lessons and exercises themselves."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from thalweg.learn.exercise import Exercise
from thalweg.learn.exercises import EXERCISES
from thalweg.learn.lesson import Lesson
from thalweg.learn.lessons import LESSONS

PAGE = Path(__file__).with_name("learning.md")


def table(heading: str, kinds: Sequence[type[Lesson] | type[Exercise]]) -> str:
    """A row for each kind: its name and its subject."""
    return "\n".join([heading, "| --- | --- |", *(f"| `{kind.kind}` | {kind.subject} |" for kind in kinds)])


def written(text: str) -> str:
    """The page with its tables up to date."""
    tables = {
        "lessons": table("| lesson | what it shows |", LESSONS),
        "exercises": table("| exercise | what you practise |", EXERCISES),
    }
    for name, rows in tables.items():
        begin = f"<!-- {name}: written by docs/write_learning.py -->"
        end = f"<!-- end of {name} -->"
        text = re.sub(f"{begin}.*{end}", f"{begin}\n\n{rows}\n\n{end}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
