"""The runner of the campaign: it counts what went wrong, and says how to try it again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CAMPAIGN = Path(__file__).parent / "campaign"
SAMPLE = """
from trial import Trial

def fail(folder):
    raise ZeroDivisionError

def trials():
    return [Trial("right", lambda folder: ""), Trial("wrong", lambda folder: "lost"), Trial("raises", fail)]
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    for name in ("run.py", "trial.py"):
        shutil.copy(CAMPAIGN / name, folder / name)
    (folder / "sample.py").write_text(SAMPLE)
    return subprocess.run([sys.executable, folder / "run.py", *words], capture_output=True, text=True, timeout=60)


def test_a_wrong_trial_and_one_that_raises_are_counted_and_named(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 1
    assert "1 of     3 right" in done.stdout
    assert "wrong: 2" in done.stdout
    assert "--only sample --trial 1 (wrong)" in done.stdout
    assert "--only sample --trial 2 (raises)" in done.stdout
    assert "ZeroDivisionError" in done.stdout


def test_one_trial_is_tried_again_by_its_number(tmp_path):
    done = run(tmp_path, "--only", "sample", "--trial", "0")
    assert done.returncode == 0
    assert "1 of     1 right" in done.stdout
