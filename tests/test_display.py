import math

import pytest

from thalweg.display import in_words, shown
from thalweg.training import Progress, Training


def progress(step=50, speed=10.0, **record):
    record = {"epoch": 1, "step": step, "learning_rate": 0.01, "loss": 0.25, **record}
    return Progress(Training(epochs=10), 3200, 100, step, 5.0, speed, record, [])


def test_a_line_tells_measures_rate_and_speed():
    assert in_words(progress(accuracy=0.5)) == "loss 0.25  accuracy 0.5  rate 0.01  320 samples/s"


def test_held_out_measures_are_marked_and_their_loss_is_left_to_the_report():
    words = in_words(progress(validation_loss=1.0, validation_r2=0.9, validation_mean_absolute_error=3.0))
    assert words == "loss 0.25  val r2 0.9  val MAE 3  rate 0.01  320 samples/s"


def test_no_speed_is_told_before_it_is_known():
    assert "samples/s" not in in_words(progress(speed=math.nan))


@pytest.mark.parametrize(("speed", "left"), [(10.0, "1:35 left"), (0.1, "2:38:20 left"), (math.nan, "rate 0.01")])
def test_lines_say_what_is_left(speed, left, capsys, monkeypatch):
    monkeypatch.setattr("thalweg.display._LINE_SECONDS", 0.0)
    with shown() as watch:
        watch(progress(speed=speed))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("epoch 1/10  loss 0.25")
    assert said.err.rstrip().endswith(left)


def test_few_lines_and_always_the_last(capsys):
    with shown() as watch:
        for step in range(100, 1001, 100):
            watch(progress(step=step))
    assert capsys.readouterr().err.splitlines() == ["epoch 10/10  loss 0.25  rate 0.01  320 samples/s"]


def test_quiet_is_silent(capsys):
    with shown(quiet=True) as watch:
        watch(progress(step=1000))
    assert capsys.readouterr() == ("", "")
