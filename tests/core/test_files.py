import os

import pytest

from thalweg.core.errors import InputError
from thalweg.core.files import cache_folder, commit, read_bytes, read_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    commit(path, b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        commit(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    commit(path, b"old")

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        commit(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_cache_is_where_the_user_wants_it(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("THALWEG_CACHE")
    assert cache_folder().name == "thalweg"


def test_a_file_is_read_up_to_a_size(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(InputError, match="at most 4 bytes"):
        read_bytes(tmp_path / "file", 4)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="1,099,511,627,776"):
        read_bytes(tmp_path / "sparse", 2**30)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    names = (tmp_path, tmp_path / "pipe", tmp_path / "link", tmp_path / "circle", "/dev/zero", "a\0b", "a" * 5000)
    for name in names:
        with pytest.raises(InputError):
            read_bytes(tmp_path / name, 100)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[" * 10**6, b"1" * 10**5, b'{"a": ' + b"1" * 30 + b"}", b"[" * 100 + b"]" * 100]
)
def test_json_that_cannot_be_read_is_refused_by_name(tmp_path, content):
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_json(tmp_path / "file.json", 10**7)
    assert raised.value.subject == str(tmp_path / "file.json")


def test_a_system_that_opens_no_folders_still_writes(tmp_path, monkeypatch):
    opened = os.open

    def refuse_folders(path, flags, *args, **options):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags, *args, **options)

    monkeypatch.setattr("os.open", refuse_folders)
    commit(tmp_path / "new" / "file", b"content")
    assert (tmp_path / "new" / "file").read_bytes() == b"content"
