import os
import stat

import pytest

from thalweg.core.private import private_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the system has no owners")


@pytest.fixture
def cache(tmp_path):
    """A private folder, three levels below one that is private too."""
    tmp_path.chmod(0o700)
    folder = tmp_path / "one" / "two" / "cache"
    assert not private_folder(str(folder))
    return folder


def test_a_folder_is_made_for_the_user_alone_with_all_above_it(cache):
    for folder in (cache, *list(cache.parents)[:2]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (cache / "program").write_bytes(b"")
    assert not private_folder(str(cache))


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o720, 0o702])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_folder_that_others_can_write_to_is_not_private(cache, mode, level):
    [cache, *cache.parents][level].chmod(mode)
    assert private_folder(str(cache))


def test_others_may_read_above_but_not_the_folder(cache):
    cache.parent.chmod(0o755)
    assert not private_folder(str(cache))
    cache.chmod(0o755)
    assert "0755" in private_folder(str(cache))


def test_no_one_can_replace_what_lies_in_a_sticky_folder(cache):
    cache.parent.chmod(0o1777)
    assert not private_folder(str(cache))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_no_part_of_the_path_is_a_link(cache, level):
    folder = [cache, *cache.parents][level]
    folder.symlink_to(folder.rename(folder.with_name("moved")))
    # A link of root is one that the system made, for any other user.
    assert private_folder(str(cache)) == f"{folder} is a symbolic link"


def test_nothing_in_it_is_a_link(cache):
    (cache / "program").symlink_to("/etc/hostname")
    assert "program" in private_folder(str(cache))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_it_belongs_to_the_effective_user(cache, level, monkeypatch):
    if os.geteuid() != 0:
        monkeypatch.setattr("os.geteuid", lambda: 54321)
    else:
        os.chown([cache, *cache.parents][level], 54321, -1)
    assert private_folder(str(cache))


@pytest.mark.parametrize("name", ["gs://bucket/cache", "a\0b", "/dev/null", "/dev/null/cache", "/proc/none/cache"])
def test_what_cannot_be_a_folder_of_the_user_is_said(name):
    assert private_folder(name)


def test_a_link_that_leads_to_itself_ends(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "link")
    assert private_folder(str(tmp_path / "link"))
