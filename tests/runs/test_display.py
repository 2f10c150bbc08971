import dataclasses
import io
import math
import time

import pytest

import thalweg
from thalweg.core.progress import ProgressMessage, working
from thalweg.parts.settings import Training
from thalweg.runs.display import in_words, shown
from thalweg.training.callbacks import Progress


def progress(step=50, speed=10.0, **record):
    record = {"epoch": 1, "step": step, "learning_rate": 0.01, "loss": 0.25, **record}
    return Progress(Training(epochs=10), 3200, 100, step, 5.0, speed, record, [])


def test_a_line_tells_measures_rate_and_speed():
    assert in_words(progress(accuracy=0.5)) == "loss 0.25  accuracy 50\u202f%  rate 0.01  320 samples/s"


def test_held_out_measures_are_marked_and_their_loss_is_left_to_the_report():
    words = in_words(progress(validation_loss=1.0, validation_r2=0.9, validation_mean_absolute_error=3.0))
    assert words == "loss 0.25  val r2 0.9  val MAE 3  rate 0.01  320 samples/s"


def test_no_speed_is_told_before_it_is_known():
    assert "samples/s" not in in_words(progress(speed=math.nan))


@pytest.mark.parametrize(("speed", "left"), [(10.0, "1:35 left"), (0.1, "2:38:20 left"), (math.nan, "rate 0.01")])
def test_lines_say_what_is_left(speed, left, capsys, monkeypatch):
    monkeypatch.setattr("thalweg.runs.display.LINE_SECONDS", 0.0)
    with shown() as watch:
        watch.on_progress(progress(speed=speed))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("epoch 1/10  loss 0.25")
    assert said.err.rstrip().endswith(left)


def test_few_lines_and_always_the_last(capsys):
    with shown() as watch:
        for step in range(100, 1001, 100):
            watch.on_progress(progress(step=step))
    assert capsys.readouterr().err.splitlines() == ["epoch 10/10  loss 0.25  rate 0.01  320 samples/s"]


def test_quiet_is_silent(capsys):
    with shown(quiet=True) as watch:
        watch.on_progress(progress(step=1000))
    assert capsys.readouterr() == ("", "")


def test_of_a_worksheet_in_the_making_few_lines_are_told(capsys):
    with working() as watch:
        for k in range(100):
            watch(ProgressMessage(f"training {k} of 100", k / 100))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "training 0 of 100 (0%)\n"


def test_of_a_worksheet_in_the_making_nothing_is_told_when_quiet(capsys):
    with working(quiet=True) as watch:
        watch(ProgressMessage("training"))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_status_line_tells_what_is_computed_and_goes_away(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with working() as watch:
        watch(ProgressMessage("training [2] of 8", 0.25))
        time.sleep(0.3)
    assert "training [2] of 8 (25%)" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_results_are_short_in_an_interpreter():
    run = thalweg.train(["dense 4", "tanh", "dense 2", "softmax"], "rings", progress=False, epochs=2)
    shown = [repr(run), repr(run.observations), repr(run.diagnose())]
    assert all(len(text.splitlines()) <= 3 and len(text) < 600 for text in shown)
    assert run.diagnose().verdict in shown[2]
    assert "\x1b" not in repr(dataclasses.replace(run, outcome="\x1b[31m"))
