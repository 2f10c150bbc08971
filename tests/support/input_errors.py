"""An InputError is asserted by its subject and the facts in its message, not by its sentences."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from thalweg.core.errors import InputError


@contextmanager
def input_error(subject: str, *facts: str) -> Iterator[None]:
    """Expect an InputError with this subject whose message has all of these facts: places, names, numbers."""
    with pytest.raises(InputError) as raised:
        yield
    assert raised.value.subject == subject
    for fact in facts:
        assert fact in str(raised.value)
