"""JSON, notebooks, JSONL and tables that stretch their formats."""

from __future__ import annotations

import base64
import json
import random

import pytest
from hostile.inputs import Bad, Kept, Refused, Run

NOISE = base64.b64encode(random.Random(9).randbytes(3_000)).decode()


def text(name: str, content: str, expected: Kept | Refused) -> Bad:
    return Bad(name, content.encode, expected)


def rows(name: str, *lines: str, reason: str) -> Bad:
    """A JSONL file with nothing usable in it."""
    return text(f"{name}.jsonl", "\n".join(lines), Refused(reason))


CASES = (
    text("deep.json", "[" * 100_000 + '"harbour"', Kept("harbour")),
    text("deep-objects.json", '{"a":' * 900 + '"harbour"' + "}" * 900, Kept("harbour", word="harbour")),
    text("same-keys.json", '{"a": "mill", "a": "harbour"}', Kept("a: harbour", lacks="mill", word="harbour")),
    text("not-numbers.json", '{"a": NaN, "b": -Infinity, "c": "harbour"}', Kept("c: harbour", word="harbour")),
    text("huge-number.json", '{"a": ' + "9" * 5_000 + ', "b": "harbour"}', Kept("harbour")),
    text("nul.json", '{"a": "harbour\\u0000lights"}', Kept("harbour\ufffdlights", word="harbour")),
    text("surrogates.json", '{"\\ud800": "harbour \\udfff"}', Kept("harbour \ufffd", word="harbour")),
    text("cut.json", '{"a": "harbour', Kept('{"a": "harbour', word="harbour")),
    Bad("mark.json", lambda: b'\xef\xbb\xbf{"a": "harbour"}', Kept("a: harbour", word="harbour")),
    text(
        "long-key.json", json.dumps({"k" * 100_000: dict.fromkeys(map(str, range(1_000)), 1)}), Refused("^more than 20")
    ),
    text("empty.json", "[[], {}, null, [[[]]]]", Refused("^empty$")),
    text(
        "notebook.ipynb",
        json.dumps({"cells": [{"source": ["harbour"], "outputs": [{"data": {"image/png": NOISE}}]}]}),
        Kept("harbour"),
    ),
    text("columns.csv", "harbour," * 20_001, Kept("harbour,harbour", word="harbour")),
    text("wide.csv", "harbour," * 2_000 + "\n" + "mill," * 2_000, Kept("mill")),
    text("open-quote.csv", 'a,b\n"harbour,' + "x," * 20_000, Kept("harbour")),
    text("formulas.csv", "name,value\n=cmd|' /C calc'!A0,harbour", Kept("harbour")),
    text("one-cell-rows.csv", "a\n" * 500 + "harbour\n", Kept("harbour")),
    text("too-many-rows.tsv", "a\tb\n" * 5_002, Refused("^more than 5,000 sections$")),
    Bad("nul.csv", lambda: b"a,b\n1,\0", Refused("^binary$")),
    text("quotes.csv", '"' * 20_000 + "\nharbour,mill", Kept("harbour")),
    rows("no-object", "[1]", reason="line 1: not a JSON object"),
    rows("no-json", "{", reason="line 1: not JSON"),
    rows("no-text", '{"id": 1}', reason="line 1: no text"),
    rows("number-as-text", '{"text": 5}', reason="line 1: its text is not a string"),
    rows("list-as-id", '{"id": [], "text": "a"}', reason="line 1: its id is neither"),
    rows("true-as-id", '{"id": true, "text": "a"}', reason="line 1: its id is neither"),
    rows("deep-row", "[" * 100_000, reason="line 1: not JSON"),
    rows("huge-number", '{"text": "a", "n": ' + "9" * 5_000 + "}", reason="line 1: not JSON"),
    rows("too-long-a-text", '{"text": "' + "a" * 20_000_001 + '"}', reason="line 1: more than 20,000,000"),
)


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_bad_data_have_the_outcome_written_beside_them(run: Run, bad: Bad) -> None:
    run.check(bad)
