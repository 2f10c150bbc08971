import ctypes
from pathlib import Path

import pytest

from thalweg.core import memory
from thalweg.core.errors import InputError


def test_the_machine_has_some_memory_and_a_container_less(tmp_path, monkeypatch):
    total = memory.machine_memory.__wrapped__()
    assert 10**7 < total < 10**15
    (tmp_path / "max").write_text("1000\n")
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path / "max")
    assert memory.machine_memory.__wrapped__() == 1000
    (tmp_path / "max").write_text("max\n")
    assert memory.machine_memory.__wrapped__() >= total


@pytest.mark.parametrize("needed", [10**18, pytest.param(10**400, id="long")])
def test_what_the_machine_cannot_hold_is_refused_by_a_number(needed):
    memory.check_memory("network", 1000, "")
    with pytest.raises(InputError) as raised:
        memory.check_memory("network", needed, "make it narrower")
    assert ("1,000,000,000 GB" if needed == 10**18 else "10^391 GB") in str(raised.value)
    assert str(raised.value).endswith("make it narrower")


def test_memory_that_is_free_goes_back_to_the_system():
    libc = ctypes.CDLL(None) if Path("/proc/self/statm").exists() else None
    if not hasattr(libc, "malloc_trim"):
        pytest.skip("needs an allocator that can give memory back: glibc's")
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1])

    size, count = 2**16, 1000
    blocks = [libc.malloc(size) for _ in range(count)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    # A block in use at the end keeps the allocator from giving back what lies before it by itself.
    for block in blocks[:-1]:
        libc.free(block)
    before = pages()
    memory.release_memory()
    assert before - pages() > size * count / 4096 / 2
    libc.free(blocks[-1])
