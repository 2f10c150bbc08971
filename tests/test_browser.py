"""The report in a real browser: its charts are drawn, nothing is fetched, nothing fails."""

import re
import shutil
import subprocess

import pytest

import thalweg

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="LEFT OUT: no Chromium on this machine to look at the report")


@pytest.mark.parametrize("source", ["digits", "diabetes", "xor"])
def test_the_report_draws_its_charts(source, tmp_path):
    run = thalweg.train(None, source, epochs=3, engine="eager", progress=False)
    page = tmp_path / "report.html"
    page.write_text(run.report())
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=10000"]
    command = [BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    charts = len(re.findall(r'class="plotly-graph-div', run.report()))
    drawn = len(re.findall(r'<svg class="main-svg"[^>]*style="background', done.stdout))
    assert charts >= 2
    assert drawn >= charts
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
