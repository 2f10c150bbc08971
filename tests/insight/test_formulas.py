"""Formulas of parts, read from their docstrings."""

from __future__ import annotations

import pytest

from thalweg.insight.formulas import formulas
from thalweg.parts.part import Layer, Loss, Optimizer, Part


@pytest.mark.parametrize("family", [Layer, Loss, Optimizer])
def test_every_part_states_its_formulas(family: type[Part]):
    for kind in set(family.kinds.values()):
        result = formulas(kind)
        if kind.kind != "flatten":
            assert "=" in result.forward or "->" in result.forward, kind
        if family is not Optimizer:
            assert "d" in result.backward, kind
            assert "/d" in result.backward or "'" in result.backward, kind
        assert not any(line.endswith((",", ";")) for line in (result.forward + result.backward).splitlines()), kind
