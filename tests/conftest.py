"""Every test that asks for `on` runs on NumPy, on NumPy with read-only arrays, and on JAX under jit, all in float64."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from thalweg.core.arrays import map_arrays

# pytest's importlib mode puts no folder on the path.
sys.path.append(str(Path(__file__).parent / "support"))


def read_only(tree: Any) -> Any:
    """Copies of the arrays that raise if anybody writes into them."""

    def frozen(array: Any) -> np.ndarray:
        copy = np.array(array)
        copy.flags.writeable = False
        return copy

    return map_arrays(frozen, tree)


def _numpy(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _numpy_read_only(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*read_only(arguments))


# A method of a part is a new object at each call; jax.jit alone would forget what it has compiled for it.
_compiled = functools.lru_cache(maxsize=64)(jax.jit)


def _jax(function: Callable[..., Any], *arguments: Any) -> Any:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, _compiled(function)(*arguments))


@pytest.fixture(params=[_numpy, _numpy_read_only, _jax], ids=["numpy", "read_only", "jax"])
def on(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """on(function, *arrays): the function's result as NumPy arrays, computed on one of the three kinds of arrays."""
    return request.param


@pytest.fixture
def ipython() -> Iterator[None]:
    """A shell of IPython, without a kernel, as long as the test runs."""
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.instance()
    yield
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """shell("train", "xor", cwd=folder): the finished command, run in this process."""
    from shell import Shell

    return Shell(monkeypatch, capsys)


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that every user may read; below pytest's own folders nobody but their user may even look."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def write_protected() -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    """`with write_protected(folder):` nothing below the folder may be written, by root neither."""

    @contextlib.contextmanager
    def protected(folder: Path) -> Iterator[None]:
        user, folders = os.geteuid(), [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        for place in folders:
            place.chmod(0o555)
        # Root may write everywhere; for so long the test is nobody.
        os.seteuid(user or 65534)
        try:
            yield
        finally:
            os.seteuid(user)
            for place in folders:
                place.chmod(0o755)

    return protected


def _mnist() -> Path | None:
    named = [Path(os.environ["THALWEG_DATA"])] if "THALWEG_DATA" in os.environ else []
    roots = [*named, Path(__file__).parents[2] / "shared" / "data"]
    folders = [folder for root in roots for folder in (root, root / "mnist")]
    return next((folder for folder in folders if (folder / "train-images-idx3-ubyte.gz").exists()), None)


@pytest.fixture
def mnist_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the full MNIST, where there is one; the source "mnist" then reads it."""
    folder = _mnist()
    if folder is None:
        pytest.skip("LEFT OUT: no MNIST here; set THALWEG_DATA to the folder of its four files")
    monkeypatch.setenv("THALWEG_DATA", str(folder))
    return folder


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly what this machine could not test."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[-1]) for report in reports if isinstance(report.longrepr, tuple)]
    left_out = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    if any("LEFT OUT" in reason for reason in left_out):
        terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
        for reason, count in left_out.items():
            terminalreporter.line(f"{count} tests: {reason.removeprefix('LEFT OUT: ')}")
