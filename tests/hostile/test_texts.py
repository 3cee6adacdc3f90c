"""Texts in all scripts and in none: what is kept is what was given, and a word of it finds it again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from db.material import assert_consistent
from toy import ToyEmbedder

from vstore import Store
from vstore.errors import InputError


@dataclass(frozen=True)
class Case:
    """`text` is stored as it is, or as `stored`; the keyword search for `query` finds it, or (None) nothing can."""

    name: str
    text: str
    query: str | None
    stored: str | None = None


@dataclass(frozen=True)
class Refusal:
    """`text` is refused for a reason that the expression matches."""

    name: str
    text: object
    reason: str


CASES: tuple[Case | Refusal, ...] = (
    Case("composed", "caf\u00e9 harbour", "cafe\u0301"),
    Case("decomposed", "cafe\u0301 harbour", "caf\u00e9"),
    Case("accent-left-out", "r\u00e9sum\u00e9 harbour", "resume"),
    Case("ligature", "\ufb01le harbour", "harbour"),
    Case("full-width", "\uff41\uff42\uff43 harbour", "harbour"),
    Case("turkish-i", "\u0130stanbul \u0131l\u0131k", "\u0130stanbul"),
    Case("sharp-s", "stra\u00dfe", "stra\u00dfe"),
    Case("hebrew", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
    Case(
        "arabic",
        "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
        "\u0645\u0631\u062d\u0628\u0627",
    ),
    Case("both-directions", "abc \u05e9\u05dc\u05d5\u05dd def", "\u05e9\u05dc\u05d5\u05dd"),
    Case("thai", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35"),
    Case("hindi", "\u0928\u092e\u0938\u094d\u0924\u0947 harbour", "harbour"),
    Case("chinese", "\u6e2f\u53e3\u7684\u706f", "\u6e2f\u53e3"),
    Case("japanese", "\u6e2f\u306e\u660e\u304b\u308a", "\u660e\u304b\u308a"),
    Case("hangul-syllables", "\ud56d\uad6c harbour", "\ud56d\uad6c"),
    Case("hangul-letters", "\u1112\u1161\u11bc harbour", "harbour"),
    Case("emoji-family", "\U0001f468\u200d\U0001f469\u200d\U0001f467 harbour", "harbour"),
    Case("flags", "\U0001f1eb\U0001f1f7 harbour", "harbour"),
    Case("emoji-alone", "\U0001f600", None),
    Case("variation-selectors", "harbour\ufe0f \u2764\ufe0f", "harbour"),
    Case("zero-width-space", "harbour\u200blights", None),
    Case("soft-hyphen", "har\u00adbour lights", "lights"),
    Case("byte-order-mark", "\ufeffharbour", None),
    Case("mathematical-letters", "\U0001d4ee\U0001d4ef harbour", "harbour"),
    Case("combining-flood", "h" + "\u0301" * 10_000 + " harbour", "harbour"),
    Case("controls", "harbour\x01\x02\x1b[2J lights", "lights"),
    Case("controls-of-8-bits", "harbour \x80\x9b2J\x9f lights", "lights"),
    Case("nul-first", "\0harbour", "harbour", "\ufffdharbour"),
    Case("nul-within", "harbour\0lights", "lights", "harbour\ufffdlights"),
    Case("nul-last", "harbour\0", "harbour", "harbour\ufffd"),
    Case("high-surrogate", "harbour \ud83d lights", "harbour", "harbour \ufffd lights"),
    Case("low-surrogate", "\ude00 harbour", "harbour", "\ufffd harbour"),
    Case("surrogates-apart", "\ude00\ud83d harbour", "harbour", "\ufffd\ufffd harbour"),
    Case("noncharacters", "harbour \uffff\ufdd0\U0010ffff", "harbour"),
    Case("private-use", "\ue000\uf8ff harbour", "harbour"),
    Case("unassigned", "\u0378 harbour", "harbour"),
    Case("tags", "harbour " + "".join(chr(0xE0000 + ord(letter)) for letter in "hidden"), "harbour"),
    Case("bidi-override", "\u202eruobrah\u202c lights", "lights"),
    Case("one-letter", "x", "x"),
    Case("one-sign", "%", None),
    Case("five-million-letters", "harbour lights " * 1_000 + "x" * 200_000, "lights"),
    Case("one-token", "y" * 300_000, None),
    Case("lines", "\n" * 300_000 + "harbour", "harbour"),
    Case("windows-lines", "harbour\r\nlights\r\n", "lights", "harbour\nlights\n"),
    Case("old-mac-lines", "harbour\rlights", "lights", "harbour\nlights"),
    Case("separators", "harbour\u2028lights\u2029mill\x85end", "lights"),
    Case("quotes", 'harbour \'"`\u201c\u2019 ""', "harbour"),
    Case("sql", "harbour'); DROP TABLE documents;--", "harbour"),
    Case("keyword-syntax", 'NEAR(harbour, 2) AND "x* NOT (', "harbour"),
    Case("placeholders", "harbour %s {0} ${HOME} $(id) `id`", "harbour"),
    Case(
        "noise",
        "harbour " + "".join(map(chr, random.Random(50).choices(range(1, 0xD800), k=3_000))).replace("\r", " "),
        "harbour",
    ),
    Refusal("empty", "", "empty"),
    Refusal("white-space", " \t\r\n\u00a0\u3000", "empty"),
    Refusal("too-long", "a" * 20_000_001, "20,000,001 characters"),
    Refusal("bytes", b"harbour", "empty"),
    Refusal("none", None, "empty"),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("texts") / "m.db", ToyEmbedder(16)) as store:
        yield store


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_text_has_the_outcome_written_beside_it(store: Store, case: Case | Refusal) -> None:
    if isinstance(case, Refusal):
        with pytest.raises(InputError, match=case.reason):
            store.remember(case.text, uri=case.name)  # type: ignore[arg-type]
        assert not [document for document in store.documents() if document.uri == case.name]
        return
    store.remember(case.text, uri=case.name)
    assert store.get(case.name).text == (case.stored or case.text)
    only = {"@uri": case.name}
    if case.query is not None:
        assert [hit.document.uri for hit in store.search(case.query, 1, mode="lexical", where=only)] == [case.name]
    assert store.search(case.text.strip()[:1_000], 1, mode="dense", where=only)[0].document.uri == case.name
    assert_consistent(store.path)
    store.forget(case.name)
    assert_consistent(store.path)
