"""Hostile caches and links: what lies elsewhere is never run, changed or removed, and nothing hangs."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fields import command, commands, interrupted, whole_run
from trial import Trial

OTHER_USER = 12345
SECRET = b"nobody changes this\n"
PROGRAM = """
import jax
from thalweg.engine.compiled import Compiled, _keep_compiled_programs
_keep_compiled_programs()
print(jax.config.values["jax_compilation_cache_dir"])
"""
LINKED = (
    "run.json",
    "spec.toml",
    "metrics.jsonl",
    "probes.jsonl",
    "result.json",
    "frames.json",
    "frames.safetensors",
    "report.html",
    "checkpoints",
    "checkpoints/final.json",
    "checkpoints/final.safetensors",
)
TARGETS = ("file", "zero", "pipe", "nothing", "itself", "folder", "socket")


def tree(folder: Path) -> dict[str, str]:
    """Every regular file below a folder with its SHA-256, so that any change is seen."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def outside(folder: Path, kind: str, link: Path) -> Path:
    """What a link leads to."""
    place = folder / "outside"
    place.mkdir()
    (place / "secret").write_bytes(SECRET)
    target = place / "target"
    if kind == "file":
        target.write_bytes(SECRET)
    elif kind == "zero":
        return Path("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(target)
    elif kind == "itself":
        return link
    elif kind == "folder":
        shutil.copytree(whole_run() / "checkpoints", target)
    elif kind == "socket":
        # The address of a socket is short, wherever the folder lies.
        before = os.getcwd()
        os.chdir(place)
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind("target")
        os.chdir(before)
    return target


def linked(name: str, kind: str, number: int) -> Callable[[Path], str]:
    """A trial: a file of a run is a link; the run is listed, read, reported and resumed."""

    def run(folder: Path) -> str:
        (folder / "runs").mkdir()
        copy = shutil.copytree(whole_run(), folder / "runs" / "run")
        stopped = interrupted(copy)
        target = outside(folder, kind, copy / name)
        before = tree(folder / "outside")
        for place in (copy / name, stopped / name):
            if place.is_dir():
                shutil.rmtree(place)
            place.unlink(missing_ok=True)
            place.symlink_to(target if kind != "itself" else place)
        tried = [("runs", folder / "runs", "--json")]
        slow = list(commands(copy).values())
        tried += [slow[0], slow[1 + number % 3], ("train", "--resume", stopped, "--quiet")]
        for words in tried:
            code, err = command(*words)
            if code not in (0, 1, 2) or (words[0] == "runs" and code):
                return f"{words[0]}: exit code {code}: {err[-400:]}"
            if tree(folder / "outside") != before:
                return f"{words[0]}: changes what lies outside"
        return ""

    return run


def _mode(mode: int) -> Callable[[Path], None]:
    return lambda path: path.chmod(mode)


def _owner(path: Path) -> None:
    os.chown(path, OTHER_USER, OTHER_USER)


def _link(path: Path) -> None:
    moved = path.rename(path.with_name(f"{path.name}-moved"))
    path.symlink_to(moved)


def _planted(path: Path) -> None:
    (path / "planted").symlink_to("/etc/hostname")


def _planted_by_other(path: Path) -> None:
    (path / "planted").write_bytes(b"")
    _owner(path / "planted")


def _file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(SECRET)


def _pipe(path: Path) -> None:
    shutil.rmtree(path)
    os.mkfifo(path)


def _nothing(path: Path) -> None:
    pass


def hostile(change: Callable[[Path], None], levels: int, variable: str, trusted: bool) -> Callable[[Path], str]:
    """A trial: a folder on the way to the cache is changed, so many levels above the cache itself."""

    def run(folder: Path) -> str:
        import subprocess

        cache = folder / "one" / "two" / "cache" / "compiled"
        cache.mkdir(parents=True)
        for path in (cache, *list(cache.parents)[:3]):
            path.chmod(0o700)
        change([cache, *cache.parents][levels])
        before = tree(folder)
        given = {"THALWEG_CACHE": str(cache.parent)} if variable == "THALWEG_CACHE" else {variable: str(cache)}
        known = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**known, **given}, capture_output=True, timeout=90, check=False
        )
        if done.returncode:
            return f"exit code {done.returncode}: {done.stderr[-400:]!r}"
        used = done.stdout.strip() == str(cache).encode()
        if used != trusted:
            return f"the cache is {'used' if used else 'not used'}: {done.stderr[-300:]!r}"
        if not trusted and b"compiled programs are not kept" not in done.stderr:
            return "nothing is said"
        return "the cache is changed" if tree(folder) != before else ""

    return run


def caches() -> Iterator[Trial]:
    """Hostile caches, and some that can be trusted."""
    changes: list[tuple[str, Callable[[Path], None], range, bool]] = [
        ("its owner's alone", _nothing, range(1), True),
        ("sticky above", _mode(0o1777), range(1, 4), True),
        ("read by all above", _mode(0o755), range(1, 4), True),
        ("mode 0777", _mode(0o777), range(4), False),
        ("mode 0770", _mode(0o770), range(4), False),
        ("mode 0755", _mode(0o755), range(1), False),
        ("mode 0750", _mode(0o750), range(1), False),
        ("a link", _link, range(4), False),
        ("a file", _file, range(2), False),
        ("a pipe", _pipe, range(2), False),
        ("with a link in it", _planted, range(1), False),
    ]
    if os.geteuid() == 0:
        changes += [
            ("of another user", _owner, range(4), False),
            ("with a file of another user in it", _planted_by_other, range(1), False),
        ]
    for name, change, levels, trusted in changes:
        for level in levels:
            for variable in ("THALWEG_CACHE", "JAX_COMPILATION_CACHE_DIR"):
                yield Trial(f"cache {name}, {level} above: {variable}", hostile(change, level, variable, trusted))


def trials() -> list[Trial]:
    """A trial for each hostile cache, and for each file of a run and what it leads to."""
    links = [
        Trial(f"{name} -> {kind}", linked(name, kind, number))
        for number, (name, kind) in enumerate((name, kind) for name in LINKED for kind in TARGETS)
    ]
    return [*caches(), *links]
