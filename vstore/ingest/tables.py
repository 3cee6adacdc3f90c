"""CSV and TSV: each row is a section of `column: value` lines, so that it is found, and shown, as one."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from vstore.config import MAX_COLUMN_NAME, MAX_COLUMNS, TABLE_SNIFF_ROWS
from vstore.ingest.parsed import Parsed, join_sections

_DELIMITERS = ",;\t|"
_NUMBER_OR_DATE = re.compile(r"[-+]?[$€£]?\d[\d\s.,:/%eE+-]*")


def parse_csv(text: str) -> Parsed:
    """Read a table whose delimiter is the one of `, ; tab |` that gives the most rows the same number of columns.

    A file that the csv module cannot read (a quote that never closes, say) is taken as plain text, and so is one with
    more than MAX_COLUMNS.
    """
    return _parse(text, max(_DELIMITERS, key=lambda delimiter: _regularity(text, delimiter)))


def parse_tsv(text: str) -> Parsed:
    """Read a table with tabs."""
    return _parse(text, "\t")


def render_rows(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Each row below the header as `column: value` lines without empty cells; columns without a name have numbers."""
    rows = iter(rows)
    sample = list(islice(rows, TABLE_SNIFF_ROWS))
    has_header = _has_header(sample)
    header = [name.strip() for name in sample[0]] if has_header else []
    for row in chain(sample[has_header:], rows):
        cells = [
            f"{header[number] if number < len(header) else f'column {number + 1}'}: {cell.strip()}"
            for number, cell in enumerate(row)
            if cell.strip()
        ]
        yield "\n".join(cells)


def _parse(text: str, delimiter: str) -> Parsed:
    try:
        rows = (row for row in map(_narrow, csv.reader(io.StringIO(text), delimiter=delimiter)) if row)
        whole, sections = join_sections(("", row) for row in render_rows(rows))
    except csv.Error:
        return Parsed(text)
    return Parsed(whole, sections=sections) if sections else Parsed(text)


def _narrow(row: list[str]) -> list[str]:
    """The same. Raises csv.Error when it has more than MAX_COLUMNS."""
    if len(row) > MAX_COLUMNS:
        raise csv.Error("too many columns")
    return row


def _regularity(text: str, delimiter: str) -> tuple[int, int]:
    """How many of the first rows have the commonest number of columns, if above one; and that number."""
    rows = islice(csv.reader(io.StringIO(text), delimiter=delimiter), TABLE_SNIFF_ROWS)
    try:
        widths = Counter(len(row) for row in rows if row)
    except csv.Error:
        return 0, 0
    return max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns.

    Its cells must be distinct, short, not empty, neither numbers nor dates, and must not come back below in their
    own column. A table of words alone is ambiguous: as most tables have a header, it counts as having one.
    """
    if len(rows) < 2:
        return False
    names = [cell.strip() for cell in rows[0]]
    if len(set(names)) != len(names) or not all(0 < len(name) <= MAX_COLUMN_NAME for name in names):
        return False
    if any(_NUMBER_OR_DATE.fullmatch(name) for name in names):
        return False
    return not any(name == cell.strip() for row in rows[1:] for name, cell in zip(names, row, strict=False))
