"""A worksheet: text, formulas, numbers, tables and figures, worked out one after another, and told in four forms."""

from .blocks import Block, Chart, Claim, Formula, Heading, Numbers, Table, Text, Try, Working, Worksheet
from .forms import FORMS, form_of
from .html import Link, as_html, as_section
from .json import as_json
from .markdown import as_markdown
from .numerals import number
from .text import as_text, show

__all__ = [
    "FORMS",
    "Block",
    "Chart",
    "Claim",
    "Formula",
    "Heading",
    "Link",
    "Numbers",
    "Table",
    "Text",
    "Try",
    "Working",
    "Worksheet",
    "as_html",
    "as_json",
    "as_markdown",
    "as_section",
    "as_text",
    "form_of",
    "number",
    "show",
]
