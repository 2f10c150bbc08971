"""What reaches the terminal: no text from outside controls it, nothing is lost, in any encoding, on any stream."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import re
import subprocess
import sys
import threading
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest

from thalweg.cli.registry import commands

# OSC with BEL, colors, CR, BS, DEL, C1, writing direction, no width, a line separator, and markup of rich.
HOSTILE = "e\x1b]0;t\x07\x1b[35;41;5mX\rY\x08\x7f\x9b31m\u202eZ\u2066\u200b\u2028[red]m[/red][link=http://x.y]l[/link]"
NOT_UTF_8 = HOSTILE + os.fsdecode(b"\xff")
# The colors and styles that rich writes.
OWN = re.compile(r"\x1b\[[0-9;]*m")
NAMES = [function.__name__.replace("_", "-") for function in commands()]


def controls(text: str) -> set[str]:
    """The characters that a terminal obeys or that hide what a text says, and the sequences of HOSTILE."""
    injected = {sequence for sequence in ("35;41;5m",) if f"\x1b[{sequence}" in text}
    plain = OWN.sub("", text)
    found = {sign for sign in plain if sign != "\n" and unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    return injected | found


def test_what_is_looked_for_is_found():
    assert {"\x1b", "\x07", "\r", "\x08", "\x7f", "\x9b", "\u202e", "\u2066", "\u200b", "\u2028"} <= controls(HOSTILE)
    assert "35;41;5m" in controls(HOSTILE)
    assert controls("\x1b[1mbold\x1b[0m\n") == set()


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    """A folder with a table, a spec, an experiment and a run, full of hostile names, under a hostile name."""
    folder = tmp_path_factory.mktemp("terminal") / NOT_UTF_8.replace("/", "_")
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 2))
    text = io.StringIO()
    writer = csv.writer(text, csv.unix_dialect)
    writer.writerow([f"a{HOSTILE}", f"b{HOSTILE}", f"k{HOSTILE}", f"y{HOSTILE}"])
    for number, (a, b) in enumerate(rows):
        writer.writerow([a, b, f"{HOSTILE}{number % 3}", f"{HOSTILE}{int(a + b > 0)}"])
    table = folder.parent / "table.csv"
    table.write_text(text.getvalue(), encoding="utf-8", newline="")
    target = json.dumps(f"y{HOSTILE}").replace("\x7f", "\\u007f")
    spec = f'[data]\nsource = "{table}"\ntarget = {target}\n[training]\nepochs = 2\nengine = "eager"\n'
    (folder / "spec name.toml").write_text(spec, encoding="utf-8")
    (folder / f"bad{HOSTILE.replace('/', '_')}.toml").write_text(f"{HOSTILE} = [", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def hostile_run(hostile_folder):
    """A run on hostile names, in a folder of a hostile name."""
    from thalweg.runs.train import run_spec
    from thalweg.spec.toml import read_spec

    (spec,) = hostile_folder.glob("spec*.toml")
    folder = hostile_folder / f"run{NOT_UTF_8.replace('/', '_')}"
    run_spec(read_spec(str(spec)), folder)
    return folder


def words_of(function, value):
    """The words that give a hostile value to one parameter of a command after another."""
    name = function.__name__.replace("_", "-")
    yield [name, value]
    yield [name, value, value]
    yield [name, "xor", value, value]
    yield [name, f"--{value}"]
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        options = [
            word
            for item in getattr(parameter.annotation, "__metadata__", ())
            for word in getattr(item, "param_decls", None) or ()
            if word.startswith("--")
        ]
        for option in options:
            yield [name, option.partition("/")[0], value]
            yield [name, "xor", option.partition("/")[0], value]


def quick(words):
    """Whether a command ends at once: it does not train for long because of a value that it takes as it is."""
    return not {"--out", "--page", "--images", "--quiet", "--json", "--all", "--prove"} & set(words[2:-1])


@pytest.mark.parametrize("function", commands(), ids=NAMES)
def test_hostile_words_reach_no_terminal(shell, function, tmp_path):
    for value in (NOT_UTF_8, f"{HOSTILE}.toml={HOSTILE}"):
        for words in filter(quick, words_of(function, value)):
            finished = shell(*words, cwd=tmp_path)
            assert controls(finished.stdout + finished.stderr) == set(), words
            assert finished.returncode in (0, 1, 2), (words, finished.stderr)


@pytest.mark.parametrize("function", commands(), ids=NAMES)
def test_hostile_files_reach_no_terminal(shell, function, monkeypatch, tmp_path, hostile_folder, hostile_run):
    monkeypatch.setenv("FORCE_COLOR", "1")
    name = function.__name__.replace("_", "-")
    spec, bad = sorted(hostile_folder.glob("*.toml"), key=lambda path: path.name != "spec name.toml")
    table = hostile_folder.parent / "table.csv"
    for words in [
        [hostile_run],
        [hostile_run, table],
        [hostile_run, "--json"],
        [hostile_run, "--format", "markdown"],
        [hostile_folder],
        [spec, "--quiet"],
        [bad],
    ]:
        finished = shell(name, *words, cwd=tmp_path)
        assert controls(finished.stdout + finished.stderr) == set(), (name, words)
        assert "Traceback" not in finished.stderr, finished.stderr


def in_process(script, folder, **environment):
    """A line of bash in which $T stands for the command: its exit code and its bytes."""
    script = f"set -o pipefail; T='{sys.executable} -m thalweg'; {script}"
    streams = {"stdin": subprocess.DEVNULL, "capture_output": True}
    return subprocess.run(["bash", "-c", script], cwd=folder, env={**os.environ, **environment}, **streams)


@pytest.mark.parametrize(
    ("script", "code"),
    [("$T lesson >&- 2>&- <&-", 0), ("$T train nothing 2>&-", 2), ("$T lesson | true", 0), ("$T lesson >/dev/full", 2)],
)
def test_streams_that_do_not_work_leave_the_exit_code_alone(script, code, tmp_path):
    finished = in_process(script, tmp_path)
    assert finished.returncode == code, finished.stderr
    assert b"Traceback" not in finished.stderr


def test_output_that_is_ascii_tells_everything(tmp_path):
    finished = in_process("$T train $'\\xce\\xb7\\xff.txt'", tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    assert finished.returncode == 2
    assert b"u03b7" in finished.stderr
    assert b"udcff" in finished.stderr


def test_warnings_and_errors_of_threads_are_one_line(capsys):
    from thalweg.core.streams import shell_streams

    def broken():
        raise ValueError("no\x1b[2J more")

    with shell_streams():
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("overflow\x07\nin detail", RuntimeWarning, stacklevel=1)
        thread = threading.Thread(target=broken)
        thread.start()
        thread.join()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["note: overflow\\x07", "note: ValueError: no\\x1b[2J more"]


def test_a_folder_that_may_not_be_read_is_named(shell, tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    finished = shell("runs", "locked", cwd=tmp_path)
    assert finished.returncode == 2
    assert "locked" in finished.stderr


def test_predictions_that_are_escaped_are_said_to_be(shell, hostile_folder, hostile_run, tmp_path):
    table = hostile_folder.parent / "table.csv"
    finished = shell("predict", hostile_run, table)
    assert finished.returncode == 0, finished.stderr
    assert "--out" in finished.stderr
    shell("predict", hostile_run, table, "--out", tmp_path / "rows.csv")
    assert HOSTILE in (tmp_path / "rows.csv").read_bytes().decode()
