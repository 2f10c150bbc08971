"""Results that outlive the process: equal arguments compute once, anything else computes again."""

import os
import stat

import numpy as np
import pytest

from thalweg.core import private as module
from thalweg.core.private import remembered

calls = []


@remembered
def doubled(x: np.ndarray, word: str = "") -> np.ndarray:
    calls.append(word)
    return 2 * x


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    calls.clear()
    module._folder.cache_clear()
    yield tmp_path / "cache" / "results"
    module._folder.cache_clear()


def test_equal_arguments_compute_once_and_give_the_same_array():
    x = np.arange(6.0).reshape(2, 3)
    first, again = doubled(x), doubled(x.copy(order="F"))
    assert len(calls) == 1
    assert again.dtype == first.dtype
    np.testing.assert_array_equal(again, 2 * x)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    "other",
    [
        (np.arange(6.0),),
        (np.arange(6.0).reshape(2, 3).astype("float32"),),
        (np.array([[0.0, 1, 2], [3, 4, 5 + 1e-12]]),),
        (np.arange(6.0).reshape(2, 3), "word"),
    ],
    ids=["shape", "type", "value", "option"],
)
def test_other_arguments_compute_again(other):
    doubled(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(doubled(*other), 2 * other[0])
    assert len(calls) == 2


def test_another_function_with_the_same_arguments_computes_its_own():
    @remembered
    def tripled(x: np.ndarray) -> np.ndarray:
        return 3 * x

    x = np.ones(3)
    assert doubled(x).tolist() == [2.0] * 3
    assert tripled(x).tolist() == [3.0] * 3


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00 broken", bytes(200)])
def test_a_damaged_file_computes_again_and_is_mended(folder, content):
    doubled(np.ones(3))
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert doubled(np.ones(3)).tolist() == [2.0] * 3
    assert len(calls) == 2
    doubled(np.ones(3))
    assert len(calls) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no owners of files")
def test_a_folder_that_others_can_change_is_neither_read_nor_written(folder):
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    doubled(np.ones(3))
    doubled(np.ones(3))
    assert len(calls) == 2
    assert not list(folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777


def test_a_pickle_in_the_folder_is_never_loaded(folder):
    doubled(np.ones(3))
    (file,) = folder.iterdir()
    np.save(file, np.array([print, "code"], dtype=object), allow_pickle=True)
    assert doubled(np.ones(3)).tolist() == [2.0] * 3


def test_what_was_not_used_for_longest_goes_where_the_folder_is_full(folder, monkeypatch):
    for number in range(4):
        doubled(np.full(100, float(number)))
    # The first one was used last.
    for age, file in enumerate(sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)):
        os.utime(file, (1000 - 10 * age, 1000 - 10 * age))
    monkeypatch.setattr(module, "_MOST_BYTES", 2 * 1000)
    module._folder.cache_clear()
    calls.clear()
    doubled(np.full(100, 0.0))
    assert not calls
    doubled(np.full(100, 3.0))
    assert len(calls) == 1
