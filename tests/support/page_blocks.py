"""Find the blocks of a page by their kind and by a fragment of their words."""

from __future__ import annotations

import re
import zlib
from base64 import b85decode
from typing import TypeVar

from thalweg.pages.blocks import Check, Formula, Table, Text
from thalweg.pages.page import Page

B = TypeVar("B")


def blocks_of(page: Page, kind: type[B]) -> list[B]:
    return [block for block in page.blocks if isinstance(block, kind)]


def failed(page: Page) -> list[str]:
    """The checks of a page that do not hold, with their numbers."""
    checks = blocks_of(page, Check)
    return [f"{check.says}: {check.measured}, expected {check.expected}" for check in checks if not check.holds]


def check_about(page: Page, words: str) -> Check:
    """The only check that contains these words."""
    (check,) = (check for check in blocks_of(page, Check) if words in check.says)
    return check


def table_of(page: Page, words: str) -> Table:
    """The first table whose caption contains these words."""
    return next(table for table in blocks_of(page, Table) if words in table.caption)


def text_of(page: Page) -> str:
    """All paragraphs and formulas of a page."""
    return "\n".join(block.text for block in page.blocks if isinstance(block, Text | Formula))


def unpacked(page: str) -> str:
    """A page of HTML with what it holds compressed (the library, the charts) as plain scripts."""

    def plain(element: re.Match[str]) -> str:
        content = b85decode(element[2].replace(",", "<"))[: int(element[1])]
        return f"<script>{zlib.decompress(content).decode()}</script>"

    return re.sub(r'<script type="text/plain" [^>]*data-bytes="(\d+)">([^<]*)</script>', plain, page)
