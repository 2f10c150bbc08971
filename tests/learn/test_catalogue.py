"""Every lesson: its checks hold, its page can be rendered in all forms, its suggestions are valid commands."""

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
from page_blocks import blocks_of, failed

from thalweg.cli.shell import main
from thalweg.core.errors import InputError
from thalweg.learn.catalogue import INDEX, chapters, lesson, lesson_names, settings_of, site
from thalweg.learn.lesson import DEEPEST_SHOWN, Lesson
from thalweg.learn.lessons.gradient_step import GradientStepLesson
from thalweg.learn.lessons.mnist import MnistLesson
from thalweg.learn.lessons.softmax_adam import SoftmaxAdamLesson
from thalweg.pages.blocks import ArrayBlock, Chart, Check, Suggestion, Table
from thalweg.pages.html import LIBRARY
from thalweg.pages.page import FORMS, Page
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec
from thalweg.training.session import Session

NAMES = lesson_names()
# Even their quick forms take more than five seconds.
LONG = ("picture-residuals", "rates")


def assert_complete(page: Page) -> None:
    """What must be true of the page of every lesson."""
    assert blocks_of(page, Check)
    assert not failed(page)
    assert blocks_of(page, Chart)
    assert blocks_of(page, ArrayBlock) or blocks_of(page, Table)
    assert all(len(row) == len(table.columns) for table in blocks_of(page, Table) for row in table.rows)
    for form in FORMS:
        rendered = page.render(form)
        assert page.title in (json.loads(rendered)["title"] if form == "json" else rendered)


def assert_valid(command: str) -> None:
    """The command names a lesson, its parameters and values that it accepts."""
    program, verb, *words = shlex.split(command)
    assert program == "thalweg"
    assignments = [value for option, value in pairwise(words) if option == "--set"]
    given = {word for word in words if word.startswith("--")}
    if verb == "lesson":
        assert given <= {"--set", "--quick", "--out"}, command
        lesson(words[0], settings_of(assignments), "--quick" in given)
    elif verb in ("train", "explain", "lr-range"):
        read_spec(words[0], assignments)
    elif verb == "playground":
        assert words[0] == "--lesson"
        assert lesson(words[1]).playground
    else:
        assert verb == "exercise", command


def test_every_lesson_is_in_the_catalogue_once():
    assert sorted(NAMES) == sorted(Lesson.kinds)


def test_the_lessons_come_in_the_order_of_teaching():
    order = {
        "One unit": ["perceptron", "adaline", "gradient-step"],
        "More than a line": ["xor-features", "xor-relu", "rings"],
        "Outputs and losses": ["pairings", "softmax-adam", "iteration"],
        "The flow of delta": ["vanishing", "exploding", "dead-relu", "initialisation"],
        "The way down": ["optimizers", "rates", "sample-order", "terrain"],
        "Pictures": ["convolution", "picture-residuals"],
        "At full size": ["mnist"],
    }
    assert list(chapters()) == list(order)
    for chapter, kinds in chapters().items():
        # A new lesson may stand anywhere between these.
        assert [kind.kind for kind in kinds if kind.kind in order[chapter]] == order[chapter]


def test_no_two_lessons_have_the_same_place():
    places = [(kind.chapter, kind.place) for kinds in chapters().values() for kind in kinds]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in NAMES]
)
def test_a_lesson_in_its_quick_form(name):
    page = lesson(name, quick=True).page()
    assert_complete(page)
    commands = [suggestion.command for suggestion in blocks_of(page, Suggestion) if suggestion.command]
    assert len(commands) >= 2
    for command in commands:
        assert_valid(command)


@pytest.mark.parametrize("name", [name for name in NAMES if lesson(name, quick=True).playground])
def test_the_training_of_a_lesson_in_the_playground_can_be_written_drawn_and_trained(name):
    spec = lesson(name, quick=True).playground
    assert Spec.of(json.loads(json.dumps(spec.describe()))) == spec
    session = Session.load(spec)
    session.check()
    widths = [layer.width for layer in session.spec.network.layers if layer.has_weights]
    assert len(widths) <= DEEPEST_SHOWN + 1
    assert max(widths) <= 64


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_in_its_default_form(name, request):
    if getattr(lesson(name), "data", "") == "mnist":
        request.getfixturevalue("mnist_folder")
    assert_complete(lesson(name).page())


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_has_title_subject_and_quick_form(name):
    kind = type(lesson(name))
    assert kind.title
    assert kind.subject
    assert not kind.title.endswith(".")
    assert set(kind.quick) <= set(lesson(name).describe())


@pytest.mark.parametrize("name", [name for name in NAMES if lesson(name).quick])
def test_settings_take_precedence_over_the_quick_form(name):
    default = lesson(name)
    for parameter, value in default.quick.items():
        short = dataclasses.replace(default, **{parameter: value})
        usual = getattr(default, parameter)
        assert getattr(lesson(name, quick=True), parameter) == getattr(short, parameter)
        assert getattr(lesson(name, {parameter: usual}, quick=True), parameter) == usual


def test_assignments_are_read_as_toml():
    assert settings_of(["a=0.5", "b=[1, 2]", "c=relu", "d='x=y'"]) == {"a": 0.5, "b": [1, 2], "c": "relu", "d": "x=y"}


@pytest.mark.parametrize("assignment", ["rate", "=0.5", " =1"])
def test_a_setting_without_name_or_value_is_an_error(assignment):
    with pytest.raises(InputError, match="parameter=value") as error:
        settings_of([assignment])
    assert error.value.subject == "--set"


def test_the_site_links_every_page_and_counts_the_checks_that_hold(monkeypatch):
    shown = (GradientStepLesson.kind, SoftmaxAdamLesson.kind)
    monkeypatch.setattr("thalweg.learn.catalogue.LESSONS", (GradientStepLesson, SoftmaxAdamLesson))
    monkeypatch.setattr(GradientStepLesson, "chapter", "By <hand>")
    messages = []
    files = {file.name: file.text for file in site(quick=True, watch=messages.append)}
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
    counts = [len(blocks_of(lesson(name, quick=True).page(), Check)) for name in shown]
    assert all(f"All {count} " in files[INDEX] for count in [sum(counts), *counts])
    fractions = [message.fraction for message in messages]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction < 1 for fraction in fractions)


# --- the command


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


def test_the_command_lists_the_lessons(thalweg):
    done = thalweg("lesson", "--json")
    assert [row["name"] for row in json.loads(done.stdout)] == NAMES
    listed = thalweg("lesson").stdout
    assert all(name in listed for name in NAMES)
    assert all(chapter in listed for chapter in chapters())


def test_the_command_shows_a_lesson_with_changed_parameters(thalweg):
    done = thalweg("lesson", "gradient-step", "--set", "learning_rate=0.05", "--set", "count=40", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "learning_rate = 0.05, count = 40" in " ".join(done.stdout.split())
    # The numbers follow the parameter, and a check of the default numbers fails.
    assert "✗ After the step w = 1.4" in done.stdout
    assert "measured (1.2, 0.1)" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["--json"], "{\n"),
        (["--format", "markdown"], "# One step of"),
        (["--format", "html"], "<!doctype html>"),
    ],
)
def test_the_command_prints_every_form(words, begins, thalweg):
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
    ("words", "message"),
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
def test_bad_input_is_one_message_and_exit_code_2(words, message, tmp_path, monkeypatch, thalweg):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    done = thalweg("lesson", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("thalweg: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "site").exists()


def test_a_lesson_without_its_data_is_left_out_of_the_site_with_a_reason(monkeypatch, tmp_path, capsys):
    def without_data(self):
        raise InputError("mnist", "is not here")

    monkeypatch.setattr("thalweg.learn.catalogue.LESSONS", (GradientStepLesson, MnistLesson))
    monkeypatch.setattr(MnistLesson, "blocks", without_data)
    monkeypatch.setattr("sys.argv", ["thalweg", "lesson", "--all", "--out", str(tmp_path), "--quiet"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    printed = capsys.readouterr()
    assert printed.err == "thalweg: left out (mnist): mnist: is not here\n"
    index, page = ((tmp_path / name).read_text() for name in (INDEX, "mnist.html"))
    assert "mnist: is not here" not in index
    assert "mnist: is not here" in page
    assert re.search(r"All \d+ ", index)


def test_ctrl_c_in_a_training_ends_the_lesson_and_writes_nothing(tmp_path):
    words = ["lesson", "rings", "--set", "epochs=100000", "--out", str(tmp_path / "rings.html")]
    with subprocess.Popen([sys.executable, "-m", "thalweg", *words], stderr=subprocess.PIPE, text=True) as running:
        # The first line says that the training has begun.
        assert running.stderr.readline()
        time.sleep(1.0)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())
