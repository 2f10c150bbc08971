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
