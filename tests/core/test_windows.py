"""A system like Windows, simulated: what it lacks is taken away, and what it refuses is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.core.errors import InputError
from thalweg.core.files import commit, remove

ROOT = Path(__file__).parents[2]

# The standard library comes first: it asks for the system when it is imported.
SYSTEM = r"""
import asyncio, concurrent.futures, contextlib, ctypes, faulthandler, multiprocessing, os, pathlib, selectors, shutil
import signal, subprocess, sys, tempfile, threading, types, uuid
import multiprocessing.resource_tracker, multiprocessing.popen_spawn_posix, multiprocessing.util
import filelock, jax, lazy_loader, numpy, platformdirs, plotly.graph_objects, polars, pydantic, rich.console, sklearn
import typer

LACKS = {
    os: "O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK chown fchmod fork getegid geteuid getgid getuid killpg"
    " nice posix_fallocate posix_spawn pread pwrite sched_getaffinity setsid statvfs sync sysconf uname",
    signal: "SIGALRM SIGHUP SIGKILL SIGPIPE SIGQUIT SIGTSTP SIGUSR1 SIGUSR2 SIGXCPU alarm pthread_sigmask setitimer",
}
for module, names in LACKS.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
sys.platform = "win32"
shutil._use_fd_functions = False

def memory_status(status):
    status._obj.numbers[0] = 8 << 30
    return 1
ctypes.windll = types.SimpleNamespace(kernel32=types.SimpleNamespace(GlobalMemoryStatusEx=memory_status))

@contextlib.contextmanager
def held():
    yield
class FileLock:
    # A lock of Windows needs Windows: this one keeps nobody out.
    def __init__(self, path):
        self.path = path
    def acquire(self, timeout):
        open(self.path, "ab").close()
        return held()
filelock.FileLock = FileLock

opened = os.open
def open_no_folder(path, flags, *args, **options):
    if isinstance(path, (str, pathlib.Path)) and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return opened(path, flags, *args, **options)
os.open = open_no_folder

replaced, seen = os.replace, set()
def replace_once_it_is_closed(source, target):
    if str(target) not in seen:
        seen.add(str(target))
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")
    return replaced(source, target)
os.replace = replace_once_it_is_closed

from thalweg.cli.shell import main
sys.argv = ["thalweg", *sys.argv[1:]]
main()
"""


@pytest.fixture
def shell(tmp_path):
    """Thalweg on a system that lacks what Windows lacks, whose texts are in cp1252 by default."""
    program = tmp_path / "windows.py"
    program.write_text(SYSTEM)

    def run(*words, code=0):
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONIOENCODING": "cp1252:strict",
            "PYTHONUTF8": "0",
            "PYTHONWARNINGS": "error::EncodingWarning:thalweg",
        }
        command = [sys.executable, "-X", "warn_default_encoding", str(program), *words]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)
        out, err = done.stdout.decode("cp1252"), done.stderr.decode("cp1252")
        assert done.returncode == code, err
        assert "Traceback" not in err
        return out, err

    return run


TABLE = "größe,höhe,ziel\n" + "".join(f"{k % 7},{k % 5},{'ja' if k % 7 > 3 else 'nein'}\n" for k in range(60))


@pytest.mark.slow
def test_a_run_is_trained_examined_resumed_and_used(shell, tmp_path):
    table = r"C:\meine daten\neu\tabelle.csv"
    (tmp_path / table).write_text(TABLE, encoding="utf-8")
    shell("train", "--data", table, "--target", "ziel", "--epochs", "2", "--out", "runs/first")
    shell("train", "--resume", "runs/first", "--set", "training.epochs=3", "--accept-changes")
    assert "höhe" in (tmp_path / "runs/first/report.html").read_text(encoding="utf-8")
    out, _ = shell("predict", "runs/first", table)
    assert out.splitlines()[0] == "prediction,p(ja),p(nein)"
    assert len(out.splitlines()) == 61
    shell("report", "runs/first")
    assert "first" in shell("runs", "runs")[0]
    shell("export", "runs/first", "--python", "model.py")
    shell("doctor", "runs/first", "--quick", "--fail-on", "severe")


def test_an_experiment_runs(shell, tmp_path):
    (tmp_path / "sweep.toml").write_text(
        '[data]\nsource = "rings 100"\n[network]\nlayers = ["dense 4", "tanh", "dense 2", "softmax"]\n'
        '[training]\nepochs = 1\nengine = "eager"\n'
        '[vary]\n"optimizer.learning_rate" = [0.1, 0.01]\n[seeds]\ncount = 2\n'
    )
    shell("experiment", "sweep.toml", "--jobs", "1", "--out", "sweep")
    assert len(list((tmp_path / "sweep" / "trials").iterdir())) == 4


def test_a_file_that_another_process_reads_is_written_when_it_is_closed(tmp_path, monkeypatch):
    refused = []
    replace, unlink = os.replace, os.unlink

    def while_it_is_open(change):
        def tried(*paths, **options):
            if len(refused) < 3:
                refused.append(paths)
                raise PermissionError(13, "being used by another process")
            return change(*paths, **options)

        return tried

    monkeypatch.setattr("os.replace", while_it_is_open(replace))
    commit(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert len(refused) == 3
    refused.clear()
    monkeypatch.setattr("os.unlink", while_it_is_open(unlink))
    remove(tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_file_that_stays_open_is_one_message_and_keeps_its_content(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"before")

    def in_use(source, target):
        raise PermissionError(13, "being used by another process")

    monkeypatch.setattr("os.replace", in_use)
    with pytest.raises(InputError, match="being used by another process"):
        commit(tmp_path / "file", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"before"
