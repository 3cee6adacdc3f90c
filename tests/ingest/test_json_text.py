"""JSON becomes lines that say where each value stands."""

from __future__ import annotations

import json

import pytest

from vstore.ingest import json_text
from vstore.ingest.parsed import Unreadable


def test_an_object_is_a_line_a_leaf() -> None:
    value = {"name": "Ada", "born": {"year": 1815, "city": "London"}, "tags": ["a", "b"], "none": None, "ok": True}
    expected = "name: Ada\nborn.year: 1815\nborn.city: London\ntags: a, b\nok: true"
    assert json_text.parse(json.dumps(value)).text == expected


def test_lists_of_objects_have_indices() -> None:
    assert json_text.render({"x": [{"y": 1}, {"y": 2}]}) == "x[0].y: 1\nx[1].y: 2"


def test_an_array_of_objects_has_a_section_each() -> None:
    parsed = json_text.parse('[{"a": 1}, {"a": 2, "b": "é"}]')
    assert [parsed.text[s.start : s.end] for s in parsed.sections] == ["a: 1", "a: 2\nb: é"]


@pytest.mark.parametrize("text", ["{ // comment\n }", "not json", "[" * 100_000])
def test_what_is_not_json_is_plain_text(text: str) -> None:
    assert json_text.parse(text).text == text


def test_a_lone_surrogate_from_an_escape_is_replaced() -> None:
    assert json_text.parse(r'{"a": "x\ud800"}').text == "a: x\ufffd"


def test_paths_that_repeat_without_bound_are_refused() -> None:
    deep: object = {f"k{i}": 1 for i in range(30_000)}
    with pytest.raises(Unreadable, match="more than"):
        json_text.render({"x" * 1_000: deep})
