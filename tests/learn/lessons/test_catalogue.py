"""Every lesson is walked: its claims hold, its page can be told in all forms, what it says to try can be tried."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest

from thalweg.cli.shell import main
from thalweg.core.errors import InputError
from thalweg.learn.lessons import catalogue as shelf
from thalweg.learn.lessons.catalogue import INDEX, chapters, lesson, lesson_names, settings_of, site
from thalweg.learn.lessons.lesson import Lesson
from thalweg.learn.lessons.mnist import Mnist
from thalweg.pages.blocks import ArrayBlock, Chart, Check, Suggestion, Table
from thalweg.pages.html import LIBRARY
from thalweg.pages.page import FORMS, Page
from thalweg.spec.toml import read_spec

NAMES = lesson_names()


def blocks(sheet: Page, kind: type) -> list:
    return [block for block in sheet.blocks if isinstance(block, kind)]


def check(sheet: Page) -> None:
    """What must be true of the page of every lesson."""
    claims = blocks(sheet, Check)
    failed = [f"{claim.says}: {claim.measured}, expected {claim.expected}" for claim in claims if not claim.holds]
    assert claims
    assert not failed, failed
    assert blocks(sheet, Chart)
    assert blocks(sheet, ArrayBlock) or blocks(sheet, Table)
    assert all(len(row) == len(table.columns) for table in blocks(sheet, Table) for row in table.rows)
    for form in FORMS:
        told = sheet.render(form)
        assert sheet.title in (json.loads(told)["title"] if form == "json" else told)


def check_command(command: str) -> None:
    """The command is one that the shell takes: its lesson, its parameters and their values are there."""
    program, verb, *words = shlex.split(command)
    assert program == "thalweg"
    assignments = [value for option, value in pairwise(words) if option == "--set"]
    given = {word for word in words if word.startswith("--")}
    if verb == "lesson":
        assert given <= {"--set", "--quick", "--out"}, command
        lesson(words[0], settings_of(assignments), "--quick" in given)
    elif verb in ("train", "explain", "lr-range"):
        read_spec(words[0], assignments)
    else:
        assert verb == "exercise", command


def test_every_lesson_stands_on_the_shelf_once():
    ours = {name for name, kind in Lesson.kinds.items() if kind.__module__.startswith("thalweg.lessons.")}
    assert sorted(NAMES) == sorted(ours)


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_in_its_quick_form(name):
    sheet = lesson(name, quick=True).page()
    check(sheet)
    tries = blocks(sheet, Suggestion)
    assert len([block for block in tries if block.command]) >= 2
    for block in tries:
        if block.command:
            check_command(block.command)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_in_its_default_form(name, request):
    if getattr(lesson(name), "data", "") == "mnist":
        request.getfixturevalue("mnist_folder")
    check(lesson(name).page())


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_says_what_it_is(name):
    kind = type(lesson(name))
    assert kind.title
    assert kind.subject
    assert not kind.title.endswith(".")
    assert set(kind.quick) <= set(lesson(name).describe())


@pytest.mark.parametrize("name", [name for name in NAMES if lesson(name).quick])
def test_what_is_set_goes_before_the_quick_form(name):
    default = lesson(name)
    for parameter, value in default.quick.items():
        short, usual = dataclasses.replace(default, **{parameter: value}), getattr(default, parameter)
        assert getattr(lesson(name, quick=True), parameter) == getattr(short, parameter)
        assert getattr(lesson(name, {parameter: usual}, quick=True), parameter) == usual


def test_assignments_are_read_as_toml():
    assert settings_of(["a=0.5", "b=[1, 2]", "c=relu", "d='x=y'"]) == {"a": 0.5, "b": [1, 2], "c": "relu", "d": "x=y"}


@pytest.mark.parametrize("assignment", ["rate", "=0.5", " =1"])
def test_what_is_no_assignment_is_an_error(assignment):
    with pytest.raises(InputError, match="parameter=value"):
        settings_of([assignment])


def test_the_site_links_every_page_and_tells_whether_the_claims_hold(monkeypatch):
    shown = ("gradient-step", "softmax-adam")
    monkeypatch.setattr("thalweg.learn.lessons.catalogue._CHAPTERS", {"By <hand>": shown})
    heard = []
    files = {file.name: file.text for file in site(quick=True, watch=heard.append)}
    assert list(files) == [LIBRARY, "gradient-step.html", "softmax-adam.html", INDEX]
    for name, text in files.items():
        if name.endswith(".html"):
            for address in re.findall(r'<a href="([^"#]+)"', text):
                assert address in files, (name, address)
    assert set(re.findall(r'<a href="([^"]+)"', files[INDEX])) == {f"{name}.html" for name in shown}
    assert 'rel="next"' in files["gradient-step.html"]
    assert 'rel="prev"' not in files["gradient-step.html"]
    assert 'rel="prev"' in files["softmax-adam.html"]
    assert 'rel="next"' not in files["softmax-adam.html"]
    assert "By &lt;hand&gt;" in files[INDEX]
    claims = [len(blocks(lesson(name, quick=True).page(), Check)) for name in shown]
    assert f"All {sum(claims)} claims hold." in files[INDEX]
    assert all(f"✓ All {count} claims hold." in files[INDEX] for count in claims)
    shares = [now.share for now in heard]
    assert shares == sorted(shares)
    assert all(0 <= share < 1 for share in shares)


# --- the shell


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def thalweg(monkeypatch, capsys) -> Callable[..., Done]:
    def run(*words) -> Done:
        monkeypatch.setattr("sys.argv", ["thalweg", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return Done(end.value.code or 0, *capsys.readouterr())

    return run


def test_the_shell_lists_the_lessons(thalweg):
    done = thalweg("lesson", "--json")
    assert [row["name"] for row in json.loads(done.stdout)] == NAMES
    listed = thalweg("lesson").stdout
    assert all(name in listed for name in NAMES)
    assert all(chapter in listed for chapter in chapters())


def test_the_shell_tells_a_lesson_with_changed_parameters(thalweg):
    done = thalweg("lesson", "gradient-step", "--set", "learning_rate=0.05", "--set", "count=40", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "learning_rate = 0.05, count = 40" in " ".join(done.stdout.split())
    # The numbers follow the parameter, and a claim about the default says that it does not hold here.
    assert "✗ After the step w = 1.4 and b = 0.2" in done.stdout
    assert "does not hold here: measured (1.2, 0.1)" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["--json"], "{\n"),
        (["--format", "markdown"], "# One step of"),
        (["--format", "html"], "<!doctype html>"),
    ],
)
def test_the_shell_prints_every_form(words, begins, thalweg):
    done = thalweg("lesson", "gradient-step", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(begins)


@pytest.mark.parametrize(
    ("file", "begins"), [("a.html", "<!doctype html>"), ("new/a.md", "# "), ("a.json", "{"), ("a.txt", "One step")]
)
def test_the_suffix_of_the_file_names_the_form(file, begins, tmp_path, thalweg):
    done = thalweg("lesson", "gradient-step", "--out", tmp_path / file)
    assert done.stdout.strip() == str(tmp_path / file)
    assert (tmp_path / file).read_text().startswith(begins)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gradien-step"], "did you mean 'gradient-step'"),
        (["gradient-step", "--set", "learning_rat=1"], "did you mean 'learning_rate'"),
        (["gradient-step", "--set", "learning_rate=fast"], "learning_rate: expected"),
        (["gradient-step", "--set", "learning_rate"], "parameter=value"),
        (["gradient-step", "--out", "page.pdf"], ".html"),
        (["gradient-step", "--format", "pdf"], "--format"),
        (["gradient-step", "--format", "html", "--out", "."], "expected a file"),
        (["gradient-step", "--out", "file/page.html"], "file/page.html: cannot be written"),
        (["--quick", "--out", "page.html"], "expected the name of a lesson"),
        (["--all"], "--out site"),
        (["--all", "--out", "file"], "expected a folder"),
        (["--all", "--out", "site", "--json"], "HTML"),
        (["gradient-step", "--all", "--out", "site"], "takes no name"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(words, said, tmp_path, monkeypatch, thalweg):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    done = thalweg("lesson", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("thalweg: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "site").exists()


def test_a_lesson_without_its_data_leaves_the_others_and_a_page_that_says_why(monkeypatch, tmp_path, capsys):
    def without_data(self):
        raise InputError("mnist", "is not here")

    monkeypatch.setattr(shelf, "_CHAPTERS", {"Two": ("gradient-step", "mnist")})
    monkeypatch.setattr(Mnist, "tell", without_data)
    monkeypatch.setattr("sys.argv", ["thalweg", "lesson", "--all", "--out", str(tmp_path), "--quiet"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    told = capsys.readouterr()
    assert told.err == "thalweg: left out: mnist: mnist: is not here\n"
    index, page = ((tmp_path / name).read_text() for name in (INDEX, "mnist.html"))
    assert "can not be worked out here: mnist: is not here." in index
    assert "can not be worked out here: mnist: is not here." in page
    assert re.search(r"All \d+ claims hold", index)


def test_ctrl_c_in_a_training_ends_the_lesson_and_writes_nothing(tmp_path):
    words = ["lesson", "rings", "--set", "epochs=100000", "--out", str(tmp_path / "rings.html")]
    with subprocess.Popen([sys.executable, "-m", "thalweg", *words], stderr=subprocess.PIPE, text=True) as running:
        # The first line says that the training begins; the signal is to meet it.
        assert running.stderr.readline()
        time.sleep(1.0)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())
