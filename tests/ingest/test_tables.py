"""CSV and TSV: delimiter and header are told from the content, a row is a section."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.ingest import tables


def rows(text: str) -> list[str]:
    parsed = tables.parse_csv(text)
    return [parsed.text[section.start : section.end] for section in parsed.sections]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_makes_regular_rows(delimiter: str) -> None:
    other = "|" if delimiter != "|" else ","
    text = f"name{delimiter}city\nAda{other} L{delimiter}London\nBob{delimiter}Bonn\n"
    assert rows(text) == [f"name: Ada{other} L\ncity: London", "name: Bob\ncity: Bonn"]


def test_each_row_is_a_section_of_its_columns() -> None:
    assert rows("name,age,note\nAda,36,\nBob,41,likes tea\n") == [
        "name: Ada\nage: 36",
        "name: Bob\nage: 41\nnote: likes tea",
    ]


def test_quotes_may_hold_delimiters_newlines_and_quotes() -> None:
    assert rows('a,b\n"x, ""y""","line 1\nline 2"\n') == ['a: x, "y"\nb: line 1\nline 2']


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",  # numbers
        "2024-01-01,x\n2024-01-02,y\n",  # a date
        "a,a\nb,c\n",  # not distinct
        "a,\nb,c\n",  # an empty name
        "yes,no\nyes,x\n",  # comes back in its column
        "name,city\n",  # alone
    ],
)
def test_a_first_row_that_cannot_be_a_header_is_a_row(text: str) -> None:
    first = text.split("\n")[0].split(",")
    assert rows(text)[0] == "\n".join(f"column {n}: {cell}" for n, cell in enumerate(first, 1) if cell)


def test_rows_longer_than_the_header_have_numbered_columns() -> None:
    assert rows("a,b\n1,2,3\n4,5\n") == ["a: 1\nb: 2\ncolumn 3: 3", "a: 4\nb: 5"]


def test_what_the_csv_module_cannot_read_is_plain_text() -> None:
    text = "a,b\n" + '"' + "x" * 200_000
    parsed = tables.parse_csv(text)
    assert (parsed.text, parsed.sections) == (text, ())


def test_tsv_takes_tabs_whatever_else_there_is() -> None:
    parsed = tables.parse_tsv("name\tplace\nAda, L\tx,y\n")
    assert parsed.text == "name: Ada, L\nplace: x,y"


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    parsed = tables.parse_csv(text)
    for section in parsed.sections:
        assert parsed.text[section.start : section.end].strip()
