import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from thalweg.learn.exercises import EXERCISES
from thalweg.learn.exercises.identity_mse import IdentityMSE

WORDS = [sys.executable, "-m", "thalweg", "exercise"]


def exercise(*words):
    return subprocess.run([*WORDS, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def right_numbers(seed=0):
    return {
        letter: repr(task.answer.points[0].right.tolist())
        for letter, task in IdentityMSE(seed=seed).tasks().items()
        if not task.answer.names
    }


def test_the_list_names_every_exercise():
    done = exercise()
    assert done.returncode == 0
    assert all(kind.kind in done.stdout for kind in EXERCISES)
    assert [entry["name"] for entry in json.loads(exercise("--json").stdout)] == [kind.kind for kind in EXERCISES]


def test_a_question_is_shown_and_nothing_is_asked_without_a_terminal():
    done = exercise("identity-mse", "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert "What is δ?" in done.stdout
    assert "y - t\n" not in done.stdout
    assert json.loads(exercise("identity-mse", "--json").stdout)["title"] == IdentityMSE.title


def test_the_solution_is_shown_on_request(tmp_path):
    assert "Typed: `y - t`" in exercise("identity-mse", "--solution").stdout
    page = tmp_path / "solved.html"
    done = exercise("identity-mse", "--solution", "--out", page)
    assert done.stdout == f"{page}\n"
    assert "y - t" in page.read_text()


def test_right_answers_end_with_code_0():
    numbers = right_numbers(seed=2)
    words = [f"--answer={letter}={text}" for letter, text in numbers.items()]
    done = exercise("identity-mse", "--seed", 2, *words, "--answer", "b = y-t")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"({letter}) ✓ right" for letter in (*numbers, "b")]


def test_a_wrong_answer_ends_with_code_1_and_its_hint():
    done = exercise("identity-mse", "--answer", "b=t - y", "--answer", "e=2*(y - t)/K")
    assert done.returncode == 1
    assert done.stdout == "(b) ✗ the sign is reversed\n(e) ✓ right\n"
    assert done.stderr == ""


def test_an_answer_that_cannot_be_read_leaves_the_verdicts_on_the_others():
    done = exercise("identity-mse", "--answer", "b=t - y", "--answer", "c=(", "--answer", "e=2*(y - t)/K")
    assert done.returncode == 2
    assert done.stdout == "(b) ✗ the sign is reversed\n(e) ✓ right\n"
    assert "answer c: " in done.stderr


def test_checks_as_json():
    done = exercise("identity-mse", "--answer", "b=t - y", "--json", "--solution")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["answers"] == {"b": {"answer": "t - y", "right": False, "says": "the sign is reversed"}}
    assert result["right"] is False
    assert result["solution"]["title"] == IdentityMSE.title


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["identity-ms"], "exercise: unknown exercise 'identity-ms'; did you mean 'identity-mse'?"),
        (["identity-mse", "--answer", "b=y -"], "answer b: at the end: cannot be read"),
        (["identity-mse", "--answer", "z=1"], "answer z: identity-mse asks for a, b, c, d, e"),
        (["identity-mse", "--answer", "1"], "--answer: expected letter=answer, as in a=0.5; received '1'"),
        (["identity-mse", "--answer", "a=1", "--answer", "a=2"], "--answer: expected one answer to a, received two"),
        (["identity-mse", "--answer", "a=1", "--out", "x.html"], "--answer: prints its verdicts"),
        (["identity-mse", "--seed", "-1"], "seed: expected greater than or equal to 0, received -1"),
        (["identity-mse", "--format", "pdf"], "--format: expected a form, received 'pdf'"),
        (["--solution"], "exercise: expected the name of an exercise"),
    ],
)
def test_bad_input_is_one_message_and_code_2(words, message):
    done = exercise(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@contextlib.contextmanager
def terminal(*words):
    """The command on a new terminal: its process, and the file that types and reads."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "dumb"}
    with subprocess.Popen([*WORDS, *words], stdin=its, stdout=its, stderr=its, env=environment) as process:
        os.close(its)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def read_until(file, words=None, seconds=120):
    """The output of the terminal until the words appear, or until its last process ends."""
    output = b""
    end = time.monotonic() + seconds
    # Reading from a terminal whose last process has ended fails.
    with contextlib.suppress(OSError):
        while words is None or words.encode() not in output:
            assert select.select([file], [], [], max(0, end - time.monotonic()))[0], output.decode(errors="replace")
            output += os.read(file, 4096)
    return output.decode()


def test_on_a_terminal_the_parts_are_asked_until_they_are_right():
    with terminal("identity-mse") as (process, file):
        assert "Ctrl-D ends" in read_until(file, "(a) What is the output y? ")
        os.write(file, f"{right_numbers()['a']}\n".encode())
        assert "✓ right" in read_until(file, "(b) What is δ? ")
        os.write(file, b"t - y\n")
        assert "✗ the sign is reversed" in read_until(file, "(b) What is δ? ")
        os.write(file, b"y - q\n")
        assert "unknown name; known: y, t" in read_until(file, "(b) What is δ? ")
        os.write(file, b"y - t\n")
        assert "✓ right" in read_until(file, "(c) How large is δ here? ")
        os.write(file, b"\n\n\n")
        read_until(file)
        assert process.wait(timeout=30) == 0


def test_a_wrong_answer_on_a_terminal_is_code_1():
    with terminal("identity-mse") as (process, file):
        read_until(file, "(a) What is the output y? ")
        os.write(file, b"99\n")
        read_until(file, "(a) What is the output y? ")
        os.write(file, b"\x04")
        read_until(file)
        assert process.wait(timeout=30) == 1


def test_ctrl_c_at_a_question_ends_quietly():
    with terminal("identity-mse") as (process, file):
        read_until(file, "(a) What is the output y? ")
        # A signal between the prompt and the reading waits for the next key, as in any Python program.
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        output = read_until(file)
        assert process.wait(timeout=30) == 130
        assert output == "\r\n"
