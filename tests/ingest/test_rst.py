"""reStructuredText: underlines, and overlines with them, make headings; their order makes levels."""

from __future__ import annotations

from vstore.ingest import rst


def outline(text: str) -> tuple[str, list[tuple[str, str]]]:
    parsed = rst.parse(text)
    return parsed.title, [(s.heading, parsed.text[s.start : s.end].strip()) for s in parsed.sections]


def test_levels_follow_the_order_of_first_use() -> None:
    text = "=====\nTitle\n=====\nintro\n\nPart\n====\na\n\nSub\n---\nb\n\nNext\n====\nc\n"
    assert outline(text) == ("Title", [("", "intro"), ("Part", "a"), ("Part > Sub", "b"), ("Next", "c")])


def test_short_underlines_rules_and_literal_blocks_make_no_headings() -> None:
    for text in ("A long title\n---\nx", "para\n\n----\n\npara", "::\n\n    Title\n    =====\n", "x\n.\n"):
        assert outline(text) == ("", []), text


def test_an_underline_serves_one_heading_only() -> None:
    assert outline("A\n==\n==\nb")[1] == [("", "==\nb")]
