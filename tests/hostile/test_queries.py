"""Queries: none of them is syntax, none takes long, and each finds what its words are in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from db.material import assert_consistent
from toy import ToyEmbedder

from vstore import Store
from vstore.errors import QueryError

TEXTS = {
    "harbour": "the harbour master keeps a C++ compiler near column a-b, don't ask",
    "operators": "AND OR NOT NEAR are words as well",
    "chinese": "\u6e2f\u53e3\u7684\u706f\u5f88\u4eae",
    "price": "it costs $5 or 100% of #tag at a.b/c",
    "nothing": "oak trees grow slowly",
}


@dataclass(frozen=True)
class Case:
    """The first hit of a keyword search for `query`; "" if no document has its words; None if the query is refused."""

    query: str
    first: str | None = ""


NOISE = random.Random(60)
CASES = (
    *(Case(query, None) for query in ("", " ", "\t\r\n", "\u00a0\u2003\u3000", "x" * 100_001, "harbour " * 12_501)),
    *(Case(word, "operators") for word in ("AND", "OR", "NOT", "NEAR", "AND OR NOT", "NOT NOT")),
    *(Case(f"harbour {word} master", "harbour") for word in ("AND", "OR", "NOT", "NEAR", "+", "-", "^", "|", "&&")),
    *(Case(f"{sign}harbour", "harbour") for sign in "\"^*-+({[:~\\/%_;!?@=<>'`$"),
    *(Case(f"harbour{sign}", "harbour") for sign in '"*:^)]}'),
    *(
        Case(sign)
        for sign in ('"', '""', "*", "-", "(", ")", "()", "%", "_", "?", "\\", ";--", "\0", "\u200b", "\U0001f600")
    ),
    Case("(" * 1_000 + "harbour" + ")" * 1_000, "harbour"),
    Case("(" * 1_000 + "harbour", "harbour"),
    Case("NOT " * 257 + "harbour", "operators"),
    Case('"harbour master"', "harbour"),
    Case('"master harbour"', "harbour"),
    Case('harbour"master"keeps', "harbour"),
    Case('""" harbour """', "harbour"),
    Case("NEAR(harbour master, 5)", "harbour"),
    Case("NEAR(harbour", "harbour"),
    Case("title:harbour", "harbour"),
    Case("{title text} : harbour", "harbour"),
    Case("- text : harbour", "harbour"),
    Case("chunks_fts MATCH 'harbour'", "harbour"),
    Case("harb*"),
    Case("a-b", "harbour"),
    Case("C++ compiler", "harbour"),
    Case("don't", "harbour"),
    Case("$5 100% #tag", "price"),
    Case("tag a.b/c", "price"),
    Case("harbour'; DROP TABLE documents; --", "harbour"),
    Case("' OR 1=1 --", "operators"),
    Case("harbour\0master", "harbour"),
    Case("\ud800 harbour \udfff", "harbour"),
    Case("\u202eharbour\u202c", "harbour"),
    Case("harbour" + "\U000e0041" * 50, "harbour"),
    Case("\u6e2f\u53e3", "chinese"),
    Case("\u706f\u5f88\u4eae", "chinese"),
    Case("HARBOUR", "harbour"),
    Case("harbour " * 6_000, "harbour"),
    Case(" ".join(f"word{number}" for number in range(3_000)) + " harbour", "harbour"),
    Case('"' + "harbour " * 5_000 + '"', "harbour"),
    Case("z" * 100_000),
    Case("harbour " + "\u0301" * 50_000, "harbour"),
    Case('"' * 50_000 + "harbour", "harbour"),
    Case("%s %n {} {0} harbour", "harbour"),
    *(Case("".join(map(chr, NOISE.choices(range(0x2500, 0x2BFF), k=200))) + " harbour", "harbour") for _ in range(5)),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("queries") / "m.db"
    with Store(path, ToyEmbedder(16), log=True) as store:
        for uri, text in TEXTS.items():
            store.remember(text, uri=uri)
        yield store
        assert {document.uri for document in store.documents()} == set(TEXTS)
        assert_consistent(path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case.query[:30]) + f"-{len(case.query)}")
def test_a_bad_query_has_the_outcome_written_beside_it(store: Store, case: Case) -> None:
    if case.first is None:
        for mode in ("lexical", "dense", "hybrid"):
            with pytest.raises(QueryError):
                store.search(case.query, mode=mode)  # type: ignore[arg-type]
        return
    found = [hit.document.uri for hit in store.search(case.query, mode="lexical")]
    assert found[:1] == ([case.first] if case.first else [])
    for mode in ("dense", "hybrid"):
        assert len(store.search(case.query, mode=mode, explain=True)) >= len(found)
