"""Images of figures: real files by a real browser, whole, on white ground; what is missing is told with its fix."""

from __future__ import annotations

import shutil
import struct
import sys

import numpy as np
import plotly.graph_objects as go
import pytest

from thalweg.core.errors import InputError
from thalweg.pages.figures import boundary_frames, learning_rate, save_images

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HISTORY = [{"epoch": 1, "learning_rate": 0.1}, {"epoch": 2, "learning_rate": 0.2}]


@pytest.fixture
def drawing():
    if BROWSER is None:
        pytest.skip("LEFT OUT: no Chromium on this machine to draw images with")
    pytest.importorskip("kaleido", reason="LEFT OUT: no kaleido on this machine to draw images with")


def film():
    x = np.linspace(0, 1, 5)
    return boundary_frames([0, 3], x, x, np.stack([x + 0 * x[:, None], x * x[:, None]])[..., None])


@pytest.mark.usefixtures("drawing")
def test_a_png_has_two_dots_a_unit_and_no_two_figures_share_a_file(tmp_path):
    files = save_images([film(), learning_rate(HISTORY), learning_rate(HISTORY)], tmp_path / "images")
    names = ["decision-boundary-through-the-training.png", "learning-rate.png", "learning-rate-2.png"]
    assert [file.name for file in files] == names
    assert sorted(file.name for file in (tmp_path / "images").iterdir()) == sorted(names)
    content = files[0].read_bytes()
    assert content.startswith(b"\x89PNG")
    # The slider below the chart is left out, and the margin is that of any chart again.
    layout = film().layout
    height = layout.height - layout.margin.b + learning_rate(HISTORY).layout.template.layout.margin.b
    assert struct.unpack(">II", content[16:24]) == (1800, 2 * height)


@pytest.mark.usefixtures("drawing")
def test_an_svg_has_the_numbers_of_the_chart_on_white(tmp_path):
    (file,) = save_images([learning_rate(HISTORY)], tmp_path, "svg")
    text = file.read_text()
    assert "Learning rate" in text
    assert "fill: rgb(255, 255, 255)" in text
    assert "slider" not in save_images([film()], tmp_path, "svg")[0].read_text()


@pytest.mark.usefixtures("drawing")
def test_a_chrome_that_never_answers_is_not_waited_for(tmp_path, monkeypatch):
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexec sleep 300\n")
    mute.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(mute))
    monkeypatch.setattr("thalweg.pages.figures.images._SECONDS", 2.0)
    with pytest.raises(InputError, match="Chrome"):
        save_images([go.Figure()], tmp_path / "images")
    assert not (tmp_path / "images").exists()


@pytest.mark.usefixtures("drawing")
def test_without_chrome_it_says_so_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="Chrome"):
        save_images([go.Figure()], tmp_path / "images")
    assert not (tmp_path / "images").exists()


def test_without_kaleido_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaleido.errors", None)
    with pytest.raises(InputError, match=r"pip install 'thalweg\[image\]'"):
        save_images([go.Figure()], tmp_path)


def test_another_format_is_refused(tmp_path):
    with pytest.raises(InputError, match="'jpg'"):
        save_images([], tmp_path, "jpg")
