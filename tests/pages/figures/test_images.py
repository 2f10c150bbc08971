"""Images of figures: files drawn by a real browser on a white background, and errors with their fixes."""

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
        pytest.skip("LEFT OUT: Chromium is missing")
    pytest.importorskip("kaleido", reason="LEFT OUT: kaleido is missing")


def animation():
    x = np.linspace(0, 1, 5)
    return boundary_frames([0, 3], x, x, np.stack([x + 0 * x[:, None], x * x[:, None]])[..., None])


@pytest.mark.usefixtures("drawing")
def test_a_png_has_two_pixels_per_unit_and_figures_have_files_of_their_own(tmp_path):
    files = save_images([animation(), learning_rate(HISTORY), learning_rate(HISTORY)], tmp_path / "images")
    names = ["decision-boundary-through-the-training.png", "learning-rate.png", "learning-rate-2.png"]
    assert [file.name for file in files] == names
    assert sorted(file.name for file in (tmp_path / "images").iterdir()) == sorted(names)
    content = files[0].read_bytes()
    assert content.startswith(b"\x89PNG")
    # The slider below the chart is removed, and the margin is the default one.
    layout = animation().layout
    height = layout.height - layout.margin.b + learning_rate(HISTORY).layout.template.layout.margin.b
    # The plane is square: it needs its height, the margins at its sides, and 100 for the scale of its colours.
    margin = learning_rate(HISTORY).layout.template.layout.margin
    width = height - margin.t - margin.b + margin.l + margin.r + 100
    assert struct.unpack(">II", content[16:24]) == (2 * width, 2 * height)
    assert struct.unpack(">I", files[1].read_bytes()[16:20]) == (1800,)


@pytest.mark.usefixtures("drawing")
def test_an_svg_is_on_white_without_a_slider(tmp_path):
    (file,) = save_images([learning_rate(HISTORY)], tmp_path, "svg")
    text = file.read_text()
    assert "Learning rate" in text
    assert "fill: rgb(255, 255, 255)" in text
    assert "slider" not in save_images([animation()], tmp_path, "svg")[0].read_text()


@pytest.mark.usefixtures("drawing")
def test_a_chrome_that_never_answers_is_an_error(tmp_path, monkeypatch):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 300\n")
    silent.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(silent))
    monkeypatch.setattr("thalweg.pages.figures.images._SECONDS", 2.0)
    with pytest.raises(InputError, match="Chrome"):
        save_images([go.Figure()], tmp_path / "images")
    assert not (tmp_path / "images").exists()


@pytest.mark.usefixtures("drawing")
def test_a_missing_chrome_is_an_error_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="Chrome"):
        save_images([go.Figure()], tmp_path / "images")
    assert not (tmp_path / "images").exists()


def test_a_missing_kaleido_is_an_error_with_the_command_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaleido.errors", None)
    with pytest.raises(InputError, match=r"pip install 'thalweg\[image\]'"):
        save_images([go.Figure()], tmp_path)


def test_an_unknown_format_is_an_error(tmp_path):
    with pytest.raises(InputError, match="'jpg'"):
        save_images([], tmp_path, "jpg")
