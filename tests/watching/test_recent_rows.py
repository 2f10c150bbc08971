"""The latest rows of a training that a watch keeps."""

from __future__ import annotations

import weakref

import pytest

torch = pytest.importorskip("torch", reason="LEFT OUT: watching PyTorch; make torch installs it")

from thalweg.watching.looks.recent_rows import RecentRows, as_call  # noqa: E402


@pytest.mark.parametrize(("size", "kept"), [(64, 8), (100, 6), (512, 1), (2000, 1), (1, 512)])
def test_the_latest_batches_that_hold_512_rows_are_kept(size: int, kept: int) -> None:
    rows = RecentRows()
    number = 3 * kept + 5
    for batch in range(number):
        rows.add(as_call(torch.full((size, 1), float(batch))), torch.full((size,), batch))
    joined = rows.joined()
    assert joined is not None
    x, y = joined
    assert y.unique().tolist() == list(range(number - kept, number))
    assert isinstance(x, torch.Tensor)
    assert (x[:, 0] == y).all()


def test_no_more_than_half_as_many_batches_more_are_alive() -> None:
    rows, alive, most = RecentRows(), [], 0
    for _ in range(100):
        x = torch.zeros(64, 1)
        alive.append(weakref.ref(x))
        rows.add(as_call(x), torch.zeros(64))
        del x
        most = max(most, sum(reference() is not None for reference in alive))
    assert most <= 13


def test_a_batch_without_rows_is_not_kept() -> None:
    rows = RecentRows()
    rows.add(as_call(torch.zeros(3)), torch.tensor(1.0))
    assert rows.last is None
    assert rows.joined() is None
    rows.add(as_call((torch.zeros(3, 2), torch.ones(3))), torch.zeros(3))
    rows.add(as_call({"x": torch.zeros(3, 2)}), torch.ones(3))
    assert rows.last is not None
    inputs, targets = rows.last
    assert isinstance(inputs, dict)
    assert targets.tolist() == [1.0] * 3
