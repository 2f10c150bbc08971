"""When the doctor looks at a live training."""

from __future__ import annotations

import time
from typing import cast

from ...core.files import JsonObject

_LEAST_SECONDS = 2.0


class DoctorsRounds:
    """When the doctor looks at a training: once it has changed, at most every 2 s, with a rest after a long look.

    Attributes:
        wanted: whether the training has changed since the last look began.
        remedies: the changes of the remedies of the last findings, by code.
    """

    def __init__(self) -> None:
        self.wanted = True
        self.remedies: dict[str, list[JsonObject]] = {}
        self._began = self._next = 0.0
        self._looks = False

    @property
    def is_due(self) -> bool:
        """Whether a look can begin."""
        return self.wanted and not self._looks and time.monotonic() >= self._next

    def begin(self) -> None:
        """A look begins."""
        self.wanted = False
        self._looks = True
        self._began = time.monotonic()

    def end(self, message: JsonObject) -> None:
        """A look has ended with a message of findings."""
        findings = cast("list[dict[str, list[dict[str, JsonObject]]]]", message.get("findings", []))
        self.remedies = {
            str(finding["code"]): [remedy["set"] for remedy in finding["remedies"]] for finding in findings
        }
        now = time.monotonic()
        self._next = now + max(_LEAST_SECONDS, now - self._began)
        self._looks = False
