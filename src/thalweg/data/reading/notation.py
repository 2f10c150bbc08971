"""How text cells are read: which numbers, dates and missing values they stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from ...core.errors import InputError, Problem

if TYPE_CHECKING:
    import polars

# Words that stand for a missing value in any column. The case does not matter, except that "na" is a word.
_MARKS = (
    "",
    "n/a",
    "nan",
    "null",
    "#n/a",
    "<na>",
    "?",
    "nat",
    "#null!",
    "#num!",
    "#div/0!",
    "#value!",
    "#ref!",
    "#name?",
)
# Words that stand for a missing value among numbers or dates, but may be a category among texts.
_NUMBER_MARKS = (*_MARKS, "na", "none", "nil", "-", "--", "---", ".", "..", "n.a.", "missing", "#na", "–", "—")
_TRUE = ("true",)
_FALSE = ("false",)
_SPACES = "[ \u00a0\u2009\u202f]"
CURRENCIES = "$€£¥₹"
Decimal = Literal[".", ","]
Thousands = Literal["", ",", ".", " ", "'"]

_NOTATIONS: tuple[tuple[Decimal, Thousands], ...] = (
    (".", ""),
    (",", ""),
    (".", ","),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
)
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%Y.%m.%d")
_MOMENTS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%d %H:%M:%S%.f%:z",
)
_CLOCKS = ("%H:%M:%S", "%H:%M", "%H.%M.%S")
_LOOKS_LIKE_NUMBERS = r"^[<>~(+\-−]*[$€£¥₹]?\d[\d\s.,'’%$€£¥₹)eE+\-−]*$"
_GROUPED_POINTS = re.compile(r"[+-]?(0|[1-9]\d{0,2}(\.\d{3})*)")
# With at least this part of its values numbers, a column is one of numbers in which some cells are not understood.
_NEARLY_ALL = 0.9
# Fewer different numbers than this may be codes of categories.
_FEW_NUMBERS = 20


class TextOptions(NamedTuple):
    """What the user has said of the notation in a file; None: found from the cells.

    Attributes:
        decimal: the decimal mark of all numbers.
        missing: more words for a missing value.
        day_first: whether 1/2/2000 is in February.
        separator: the separator between cells, which tells decimal commas from thousands where the cells do not.
        types: of some columns, the kind.
    """

    decimal: Decimal | None = None
    missing: tuple[str, ...] = ()
    day_first: bool | None = None
    separator: str = ","
    types: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Reading:
    """How the text cells of one column are read; a column that is not text is unchanged.

    Attributes:
        kind: numbers, dates and times, booleans, or the texts themselves.
        decimal: the decimal mark.
        thousands: the separator between groups of three digits; empty: none.
        affix: a percent sign or currency that each number has; percent divides by 100.
        form: the form of dates and times, as in `strftime`.
        missing: more words for a missing value.

    >>> import polars
    >>> Reading("number", ",", ".").convert(polars.Series("a", ["1.234,5", "n/a"])).to_list()
    [1234.5, None]
    """

    kind: Literal["number", "time", "boolean", "text"] = "text"
    decimal: Decimal = "."
    thousands: Thousands = ""
    affix: str = ""
    form: str = ""
    missing: tuple[str, ...] = ()

    def convert(self, series: polars.Series) -> polars.Series:
        """The values of a text column; missing where a cell is not understood."""
        import polars

        if series.dtype != polars.String:
            return series
        if self.kind == "number":
            numbers = series.cast(polars.Float64, strict=False) if self.is_plain else None
            if numbers is not None and not numbers.null_count() and math.isfinite(numbers.sum()):
                return numbers
        text = without_marks(series, self.missing, self.marks)
        if self.kind == "text":
            return text
        if self.kind == "boolean":
            lower = text.str.to_lowercase()
            return lower.replace_strict({**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}, default=None)
        return _times(text, self.form) if self.kind == "time" else self._numbers(text)

    def check(self, series: polars.Series) -> polars.Series:
        """`convert`, but raises InputError with the first cell that is not understood."""
        import polars

        converted = self.convert(series)
        if series.dtype == polars.String and self.kind != "text":
            marks = without_marks(series, self.missing, _NUMBER_MARKS)
            wrong = (converted.is_null() & marks.is_not_null()).arg_true()
            if len(wrong):
                row = int(wrong[0])
                raise InputError(
                    "table",
                    f"column {series.name!r}: expected {self.in_words}, as in the training, received "
                    f"{_short(series[row])} in row {row + 1} (counted from 1)",
                )
        return converted

    @property
    def marks(self) -> tuple[str, ...]:
        """The usual words for a missing value, in lower case."""
        return _MARKS if self.kind == "text" else _NUMBER_MARKS

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as in Python."""
        return self.decimal == "." and not self.thousands and not self.affix

    @property
    def in_words(self) -> str:
        """What the cells are, for messages."""
        if self.kind != "number":
            return {
                "time": f"dates or times of the form {self.form or 'year-month-day'}",
                "boolean": "true or false",
            }.get(self.kind, "text")
        parts = ["numbers"]
        if self.decimal == ",":
            parts.append("with a decimal comma")
        if self.thousands:
            parts.append(f"with {self.thousands!r} between thousands")
        if self.affix:
            parts.append("in percent" if self.affix == "%" else f"in {self.affix}")
        return " ".join(parts)

    @property
    def pattern(self) -> str:
        """A regular expression of the numbers, for cells without blanks around them."""
        digits = r"\d+"
        if self.thousands:
            group = _SPACES if self.thousands == " " else "['’]" if self.thousands == "'" else re.escape(self.thousands)
            digits = rf"(?:[1-9]\d{{0,2}}(?:{group}\d{{3}})+|\d+)"
        mark = re.escape(self.decimal)
        number = rf"(?:{digits}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?"
        if not self.affix:
            # Infinity is understood, so that it is refused as a number and not taken for a category.
            return rf"^[+\-−]?(?:{number}|(?i:inf(?:inity)?))$"
        number = rf"(?:{digits}(?:{mark}\d*)?|{mark}\d+)"
        sign = re.escape(self.affix)
        if self.affix == "%":
            return rf"^[+\-−]?{number}{_SPACES}?{sign}$"
        return rf"^(?:[+\-−]?{sign}{_SPACES}?[+\-−]?{number}|[+\-−]?{number}{_SPACES}?{sign})$"

    def _numbers(self, text: polars.Series) -> polars.Series:
        import polars

        body = text.set(~text.str.contains(self.pattern).fill_null(False), None)
        if self.affix:
            body = body.str.replace_all(self.affix, "", literal=True)
        body = body.str.replace_all("−", "-", literal=True)
        if self.thousands in ("", " ") or self.affix:
            body = body.str.replace_all(_SPACES, "")
        if self.thousands == "'":
            body = body.str.replace_all("['’]", "")
        elif self.thousands in (",", "."):
            body = body.str.replace_all(self.thousands, "", literal=True)
        body = body.str.replace_all(self.decimal, ".", literal=True).str.strip_prefix("+")
        body = body.str.replace(r"\.($|[eE])", "$1").str.replace(r"^(-?)\.", "${1}0.")
        # A division would round once more.
        return (body + "e-2" if self.affix == "%" else body).cast(polars.Float64, strict=False)


def without_marks(series: polars.Series, missing: Iterable[str], marks: tuple[str, ...]) -> polars.Series:
    """The texts without blanks around them; null where a cell is empty or a mark of a missing value."""
    text = series.str.strip_chars()
    gap = text.str.to_lowercase().is_in(list(marks)) | text.is_in(["NA", *missing])
    return text.set(gap.fill_null(True), None)


def _times(text: polars.Series, form: str) -> polars.Series:
    text = text.set(~text.str.contains(_pattern_of(form)).fill_null(False), None)
    if form in _CLOCKS:
        return text.str.to_time(form, strict=False)
    if form in _MOMENTS:
        return text.str.to_datetime(form, strict=False, time_unit="us")
    return text.str.to_date(form, strict=False)


@lru_cache
def _pattern_of(form: str) -> str:
    """A regular expression of the cells that a form of dates and times may fit."""
    pattern = re.escape(form).replace("%:z", r"[+-]\d{2}:\d{2}").replace(r"%\.f", r"(\.\d{1,9})?")
    for word, digits in (("%Y", "{4}"), ("%y", "{2}"), ("%M", "{2}"), ("%S", "{2}"), ("%[mdH]", "{1,2}")):
        pattern = re.sub(word, r"\\d" + digits, pattern)
    return f"^{pattern}$"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


# Evidence -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """What is known of the cells of a text column, computed piece by piece and merged.

    Attributes:
        rows: number of cells.
        values: cells that are not missing, if the column is one of numbers.
        whole: whether all numbers are whole numbers that a float64 holds exactly.
        grouped: whether some number has groups of three digits behind a comma or a point.
        fits: number of values that each reading understands.
        strangers: of each reading, the row and the text of the first value that it does not understand.
        marks: the words for missing values.
        numbers: different numbers, at most a few more than the codes of categories may be.
        look_alikes: values of digits and signs alone.
    """

    rows: int
    values: int = 0
    whole: bool = True
    grouped: bool = False
    fits: Mapping[Reading, int] = field(default_factory=dict)
    strangers: Mapping[Reading, tuple[int, str]] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    look_alikes: int = 0

    @classmethod
    def of(cls, series: polars.Series, options: TextOptions) -> Evidence:
        """The evidence of some rows of a text column."""
        import polars

        plain = series.cast(polars.Float64, strict=False)
        if not plain.null_count() and len(series) and math.isfinite(plain.sum()) and options.decimal != ",":
            first = series.head(8).to_list()
            if not all(_GROUPED_POINTS.fullmatch(text) for text in first) or not any("." in text for text in first):
                integers = series.cast(polars.Int64, strict=False)
                if not integers.null_count() or any("." in text or "e" in text.lower() for text in first):
                    return cls._of_plain_numbers(series, integers, options)
        return cls._of_text(series, options)

    @classmethod
    def _of_plain_numbers(cls, series: polars.Series, integers: polars.Series, options: TextOptions) -> Evidence:
        rows = len(series)
        points = integers.null_count() > 0
        fits = {reading: 0 if points and reading.decimal != "." else rows for reading in _readings("", options.missing)}
        some = frozenset(series.head(2 * _FEW_NUMBERS).to_list())
        return cls(rows, values=rows, whole=_are_exact(integers), fits=fits, numbers=some)

    @classmethod
    def _of_text(cls, series: polars.Series, options: TextOptions) -> Evidence:
        import polars

        text = without_marks(series, options.missing, _NUMBER_MARKS)
        present = text.is_not_null()
        values = text.filter(present)
        marks = series.filter(~present).drop_nulls().str.strip_chars().unique()
        evidence = cls(len(series), values=len(values), marks=frozenset(marks.to_list()) - {""})
        if not values.str.contains(r"\d").any():
            booleans = values.str.to_lowercase().is_in([*_TRUE, *_FALSE]).sum()
            return replace(evidence, fits={Reading("boolean", missing=options.missing): int(booleans)})
        rows = present.arg_true()
        fits: dict[Reading, int] = {}
        strangers: dict[Reading, tuple[int, str]] = {}
        numbers: frozenset[str] = frozenset()
        readings = _candidates(values, options)
        fit_pattern = _contains(values, [reading.pattern for reading in readings if reading.kind == "number"])
        for reading in readings:
            if reading.kind == "number":
                understood = fit_pattern[reading.pattern]
                if len(numbers) <= _FEW_NUMBERS:
                    numbers |= frozenset(values.filter(understood).unique(maintain_order=True).head(4 * _FEW_NUMBERS))
            else:
                understood = _times(values, reading.form).is_not_null()
            fits[reading] = int(understood.sum())
            if fits[reading] < len(values):
                row = int((~understood).arg_true()[0])
                strangers[reading] = int(rows[row]), values[row]
        return replace(
            evidence,
            whole=_are_exact(values.cast(polars.Int64, strict=False)),
            grouped=bool(values.str.contains(r"^\D*[1-9]\d{0,2}([.,]\d{3})+\D*$").any()),
            fits=fits,
            strangers=strangers,
            numbers=numbers,
            look_alikes=int(values.str.contains(_LOOKS_LIKE_NUMBERS).sum()),
        )

    def merged(self, later: Evidence) -> Evidence:
        """The evidence of these rows and later ones together."""
        readings = [*self.fits, *(reading for reading in later.fits if reading not in self.fits)]
        fits = {reading: self._fit(reading) + later._fit(reading) for reading in readings}
        moved = {reading: (row + self.rows, text) for reading, (row, text) in later.strangers.items()}
        return Evidence(
            rows=self.rows + later.rows,
            values=self.values + later.values,
            whole=self.whole and later.whole,
            grouped=self.grouped or later.grouped,
            fits=fits,
            strangers={**moved, **self.strangers},
            marks=self.marks | later.marks,
            look_alikes=self.look_alikes + later.look_alikes,
            numbers=self.numbers if len(self.numbers) > 4 * _FEW_NUMBERS else self.numbers | later.numbers,
        )

    def _fit(self, reading: Reading) -> int:
        return self.fits.get(reading, 0)


def _are_exact(integers: polars.Series) -> bool:
    """Whether a float64 holds all of the integers exactly; a null is none."""
    return not integers.null_count() and bool(integers.is_between(-(2**53), 2**53, closed="none").all())


@lru_cache
def _readings(affix: str, missing: tuple[str, ...] = ()) -> tuple[Reading, ...]:
    return tuple(Reading("number", decimal, thousands, affix, missing=missing) for decimal, thousands in _NOTATIONS)


NOTATIONS = _readings("")
"""Numbers without a percent sign or currency, in every notation."""


def _candidates(values: polars.Series, options: TextOptions) -> list[Reading]:
    """The readings that may understand some of the values."""
    signs = ("%", *CURRENCIES)
    forms = (*_DATES, *_MOMENTS, *_CLOCKS)
    found = _contains(values, [*map(re.escape, signs), *map(_pattern_of, forms)])
    occurs = {pattern for pattern, fits in found.items() if fits.any()}
    affixes = ["", *(sign for sign in signs if re.escape(sign) in occurs)]
    readings = [reading for affix in affixes for reading in _readings(affix, options.missing)]
    times = [form for form in forms if _pattern_of(form) in occurs]
    return readings + [Reading("time", form=form, missing=options.missing) for form in times]


def _contains(values: polars.Series, patterns: Sequence[str]) -> dict[str, polars.Series]:
    """Which values contain each pattern; all of them by one query, as a query costs more than a few values."""
    import polars

    text = polars.col("text").str
    found = values.to_frame("text").select(text.contains(pattern).alias(str(i)) for i, pattern in enumerate(patterns))
    return dict(zip(patterns, found.get_columns(), strict=True))


# Decision -------------------------------------------------------------------------------------------------------------


class TableReading(NamedTuple):
    """How the text columns of a table are read.

    Attributes:
        readings: of each text column, how its cells are read.
        notes: messages for the user.
        mixed: of columns of texts of which many are numbers, what is not understood.
        duplicated: names that more than one column had.
        keep: columns that are inputs even if they look like identifiers.
    """

    readings: Mapping[str, Reading] = {}
    notes: tuple[str, ...] = ()
    mixed: Mapping[str, str] = {}
    duplicated: frozenset[str] = frozenset()
    keep: tuple[str, ...] = ()


UNREAD = TableReading()
"""The reading of a table without text that was read."""


def read_columns(evidence: Mapping[str, Evidence], options: TextOptions) -> TableReading:
    """How each column is read, from the evidence of all its cells.

    Raises InputError for columns that are numbers but for a few cells that are not understood.
    """
    file_decimal = options.decimal or _decimal_of(evidence.values())
    types = dict(options.types)
    readings: dict[str, Reading] = {}
    notes: list[str] = []
    mixed: dict[str, str] = {}
    problems: list[Problem] = []
    for name, column in evidence.items():
        complete = [reading for reading in column.fits if column.fits[reading] == column.values > 0]
        if options.decimal:
            complete = [
                reading for reading in complete if reading.kind != "number" or reading.decimal == options.decimal
            ]
        wanted = types.get(name)
        if wanted is not None:
            complete = [reading for reading in complete if reading.kind == wanted]
        reading, note = _chosen(complete, column, options, file_decimal)
        readings[name] = reading
        if wanted is not None:
            if column.values and reading.kind != _KINDS[wanted]:
                problems.append(Problem(f"column {name!r}", _unfit(wanted, column, options)))
        elif reading.kind == "text" and (fault := _fault(column, options)):
            best, message = fault
            many = len(column.numbers) > _FEW_NUMBERS
            if many and best >= _NEARLY_ALL * column.values:
                problems.append(Problem(f"column {name!r}", f"{message}; {_REMEDY}"))
            elif 2 * best > column.values:
                note = f"read as text because {message}"
                if many:
                    mixed[name] = message
            elif column.look_alikes >= _NEARLY_ALL * column.values:
                note = f"read as text because {message}"
        words = [note] if note else []
        if said := sorted(_said_marks(column, reading, options)):
            words.append(f"read as missing: {', '.join(map(repr, said))}")
        if words:
            notes.append(f"column {name!r}: {'; '.join(words)}")
    if problems:
        raise InputError("table", problems)
    return TableReading(readings, tuple(notes), mixed)


_REMEDY = (
    "correct or empty these cells, name them as marks of missing values (`missing = [...]` of the source), or leave "
    "the column out (`drop = [...]` of [data])"
)


_KINDS: Mapping[str, Literal["number", "time", "boolean", "text"]] = {
    "category": "text",
    "number": "number",
    "time": "time",
    "boolean": "boolean",
}
"""By the kind of a column, that of its reading."""


def _unfit(wanted: str, column: Evidence, options: TextOptions) -> str:
    """Why a column is not of the kind that the user has said."""
    fault = _fault(replace(column, fits={r: n for r, n in column.fits.items() if r.kind == wanted}), options)
    reason = fault[1] if fault else f"its values are not understood as {Reading(_KINDS[wanted]).in_words}"
    return f"{reason}; {_REMEDY}, or change its kind (`types` of [data])"


def _said_marks(column: Evidence, reading: Reading, options: TextOptions) -> Iterable[str]:
    """The words that are read as missing values and that a user may not expect to be."""
    for mark in column.marks:
        known = mark == "NA" or mark.lower() in _MARKS or mark in options.missing
        if mark.lower() != "nan" and (reading.kind != "text" or known):
            yield mark


def _decimal_of(columns: Iterable[Evidence]) -> Decimal | None:
    """The decimal mark of the columns of which it is certain; None where there is none, or where they differ."""
    found: set[Decimal] = set()
    for column in columns:
        decimals = {r.decimal for r in column.fits if r.kind == "number" and column.fits[r] == column.values > 0}
        if len(decimals) == 1:
            found |= decimals
    return found.pop() if len(found) == 1 else None


def _chosen(
    complete: list[Reading], column: Evidence, options: TextOptions, file_decimal: Decimal | None
) -> tuple[Reading, str]:
    """The reading of a column among those that understand all its values, and a note."""
    text = Reading("text", missing=options.missing)
    if not complete:
        return text, ""
    if complete[0].kind == "boolean":
        return complete[0], ""
    numbers = [reading for reading in complete if reading.kind == "number"]
    if not numbers:
        return _chosen_time(complete, column, options, file_decimal)
    plain = numbers[0]
    decimals = {reading.decimal for reading in numbers}
    if len(decimals) == 1 or not column.grouped:
        return plain, _in_note(plain, column)
    # "1,234" or "1.234": a decimal mark, or one between thousands.
    commas = not (plain.decimal == "." and not plain.thousands)
    decimal = file_decimal or ("," if commas and options.separator == ";" else ".")
    reading = next(reading for reading in numbers if reading.decimal == decimal)
    other = next(reading for reading in numbers if reading.decimal != decimal)
    if options.decimal or (reading.is_plain and options.separator != ";"):
        return reading, _in_note(reading, column)
    note = _in_note(reading, column) or f"read as {reading.in_words} with a decimal point"
    return reading, f"{note}; to have them read as {other.in_words}, set decimal = {other.decimal!r} of the source"


def _in_note(reading: Reading, column: Evidence) -> str:
    return "" if reading.is_plain else f"read as {reading.in_words}{_such_as(reading, column)}"


def _such_as(reading: Reading, column: Evidence) -> str:
    """An example of what a reading makes of a cell."""
    import polars

    signs = reading.decimal + reading.thousands + reading.affix
    for text in sorted(column.numbers, key=lambda text: (-sum(sign in text for sign in set(signs)), text)):
        value = reading.convert(polars.Series([text]))[0]
        if value is not None:
            return f", such as {text!r} = {value:.15g}"
    return ""


def _chosen_time(
    complete: list[Reading], column: Evidence, options: TextOptions, file_decimal: Decimal | None
) -> tuple[Reading, str]:
    forms = [reading.form for reading in complete]
    chosen = complete[0]
    day = next((reading for reading in complete if reading.form.startswith(("%d/", "%d-"))), None)
    month = next((reading for reading in complete if reading.form.startswith("%m")), None)
    if day and month:
        european = options.separator == ";" or file_decimal == "," or "-" in day.form
        chosen = day if (european if options.day_first is None else options.day_first) else month
        note = f"read as dates of the form {chosen.form}"
        if options.day_first is None:
            other = month if chosen is day else day
            note += f"; if they are {other.form}, set day_first = {str(other is day).lower()} of the source"
        return chosen, note
    iso = any(form.startswith("%Y-") or form == "%H:%M:%S" for form in forms)
    return chosen, "" if iso else f"read as {chosen.in_words}"


def _fault(column: Evidence, options: TextOptions) -> tuple[int, str] | None:
    """What the best reading understands of a column of text, and what it does not."""
    fits = {
        reading: count
        for reading, count in column.fits.items()
        if reading in column.strangers and (options.decimal in (None, reading.decimal) or reading.kind != "number")
    }
    if not fits:
        return None
    best = max(fits, key=lambda reading: fits[reading])
    row, text = column.strangers[best]
    wrong = column.values - fits[best]
    what = "times" if best.kind == "time" else best.in_words
    return fits[best], (
        f"{wrong} of {column.values} values are not understood as {what}; the first is {_short(text)} in row {row + 1} "
        "(counted from 1)"
    )
