"""A lock on a folder: who holds it is named, a dead process releases it, and half-written files go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from thalweg.core.errors import InputError
from thalweg.core.locks import LOCK_FILE, is_locked, locked

HOLDER = """
import sys, time
from pathlib import Path
from thalweg.core.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_holder_is_named_and_a_killed_one_releases_it(tmp_path):
    (tmp_path / ".a.json.1.part").write_bytes(b"half")
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]
        (tmp_path / ".b.json.1.part").write_bytes(b"half")
        named = f"another process is writing here: process {process.pid} on "
        with pytest.raises(InputError, match=named), locked(tmp_path):
            pytest.fail("two writers")
        assert is_locked(tmp_path)
        # What the other one is writing stays.
        assert (tmp_path / ".b.json.1.part").exists()
        process.kill()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert not (tmp_path / ".b.json.1.part").exists()
        with pytest.raises(InputError, match=f"process {os.getpid()} on "), locked(tmp_path):
            pytest.fail("two writers")
    with locked(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="links need a right on Windows")
def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "folder" / LOCK_FILE).symlink_to(tmp_path / "mine.txt")
    with pytest.raises(InputError, match="link"), locked(tmp_path / "folder"):
        pytest.fail("followed")
    assert (tmp_path / "mine.txt").read_text() == "mine"
