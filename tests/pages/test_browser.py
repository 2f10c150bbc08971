"""Pages in a real browser: their charts are drawn, nothing is fetched, nothing fails."""

import re
import shutil
import subprocess

import pytest

import thalweg
from thalweg.learn.catalogue import lesson, site
from thalweg.learn.lessons.gradient_step import GradientStepLesson
from thalweg.learn.lessons.softmax_adam import SoftmaxAdamLesson

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="LEFT OUT: no Chromium on this machine to look at the report")


def opened(page, folder):
    """The page as the browser has it after its scripts have run, and what they complained of."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=10000"]
    command = [BROWSER, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def assert_draws(page, least, folder):
    """The page draws all its charts, of which there are at least so many, and its scripts do not complain."""
    charts = len(re.findall(r'class="plotly-graph-div', page.read_text()))
    seen, console = opened(page, folder)
    drawn = len(re.findall(r'<svg class="main-svg"[^>]*style="background', seen))
    assert charts >= least
    assert drawn >= charts
    assert console == []


@pytest.mark.parametrize("source", ["digits", "diabetes", "xor"])
def test_the_report_draws_its_charts(source, tmp_path):
    run = thalweg.train(None, source, epochs=3, engine="eager", progress=False)
    page = tmp_path / "report.html"
    page.write_text(run.report())
    assert_draws(page, 2, tmp_path)


def test_a_lesson_alone_draws_its_charts(tmp_path):
    page = tmp_path / "lesson.html"
    page.write_text(lesson("gradient-step").report())
    assert_draws(page, 2, tmp_path)


def test_the_site_of_lessons_draws_its_charts_from_the_file_beside(tmp_path, monkeypatch):
    monkeypatch.setattr("thalweg.learn.catalogue.LESSONS", (GradientStepLesson, SoftmaxAdamLesson))
    for file in site(quick=True):
        (tmp_path / file.name).write_text(file.text)
    assert_draws(tmp_path / "gradient-step.html", 2, tmp_path)
    seen, console = opened(tmp_path / "index.html", tmp_path)
    assert "One step of gradient descent" in seen
    assert console == []
