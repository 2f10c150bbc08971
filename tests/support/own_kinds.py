"""Parts that a test defines are known in this test alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from thalweg.parts.part import Part


@contextmanager
def forgotten_kinds() -> Iterator[None]:
    """Forget, at the end, the kinds of parts that were defined meanwhile."""
    before = {name: dict(family.kinds) for name, family in Part.families.items()}
    try:
        yield
    finally:
        for name, family in Part.families.items():
            for kind in family.kinds.keys() - before.get(name, {}).keys():
                del family.kinds[kind]
