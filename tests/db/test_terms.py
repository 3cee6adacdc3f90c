"""The forward index holds exactly the tokens of the keyword index."""

from __future__ import annotations

import tempfile
import zlib
from collections import Counter
from contextlib import closing
from pathlib import Path

import apsw
from db.material import database, put
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore.db.connection import Database, run
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest
from vstore.db.terms import matched, pack, stem_id, unpack
from vstore.types import Term

ids = st.integers(min_value=0, max_value=2**32 - 1)
words = st.sampled_from(
    ["red", "running", "maxOpenConns", "snake_case", "kebab-case", "itgc索引", "かんじ", "ﬁle", "é", "e\u0301"]
)
texts = st.lists(st.one_of(words, st.text(st.characters(exclude_categories=["Cs"]), max_size=8)), max_size=12).map(
    " ".join
)


@given(st.lists(st.lists(st.one_of(ids, st.integers(0, 3)))))
def test_packing_loses_nothing_and_mixes_nothing(lists: list[list[int]]) -> None:
    blobs = pack(lists)
    assert [unpack(blob) for blob in blobs] == [Counter(one) for one in lists]
    assert [len(blob) for blob in blobs] == [5 * len(set(one)) for one in lists]


def test_a_blob_is_ascending_ids_and_then_their_counts() -> None:
    assert pack([[258, 1, 258, 1, 258], []]) == [bytes([1, 0, 0, 0, 2, 1, 0, 0, 2, 3]), b""]
    assert pack([]) == []


def test_counts_end_at_255() -> None:
    (blob,) = pack([[7] * 256 + [8] * 1_000_000 + [9] * 255])
    assert unpack(blob) == {7: 255, 8: 255, 9: 255}


def test_the_id_of_a_stem_is_its_crc32() -> None:
    assert stem_id("run") == zlib.crc32(b"run")
    assert stem_id("caf\u00e9") == zlib.crc32("caf\u00e9".encode())


@given(st.lists(texts, min_size=1, max_size=5), texts)
@settings(max_examples=40, deadline=None)
def test_lengths_and_counts_are_those_of_the_keyword_index(bodies: list[str], title: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "memory.db")
        with closing(SqliteIndex(path)) as index:
            put(index, "a", *bodies, title=title)
        with closing(Database(path, latest(), create=False)) as opened:
            connection = opened.connection()
            for chunk_id, length, head, body in run(connection, "SELECT chunk_id, length, head, body FROM chunk_terms"):
                ((sizes,),) = run(connection, "SELECT sz FROM chunks_fts_docsize WHERE id = ?", (chunk_id,))
                assert length == sum(varints(sizes))
                assert unpack(head) == indexed(connection, chunk_id, ("title", "heading"))
                assert unpack(body) == indexed(connection, chunk_id, ("text", "extra"))


def varints(blob: bytes) -> list[int]:
    """SQLite's variable-length integers, as far as 3 bytes."""
    numbers, number = [], 0
    for byte in blob:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    return numbers


def indexed(connection: apsw.Connection, chunk_id: int, columns: tuple[str, str]) -> dict[int, int]:
    run(
        connection,
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.instances USING fts5vocab('main', 'chunks_fts', 'instance')",
    )
    sql = "SELECT term FROM temp.instances WHERE doc = ? AND col IN (?, ?)"
    return Counter(stem_id(term) for (term,) in run(connection, sql, (chunk_id, *columns)))


def test_matched_names_the_terms_of_each_chunk_in_the_order_of_the_query(path: Path) -> None:
    with closing(SqliteIndex(path)) as index:
        put(index, "a", "runners run", "nothing", title="Walrus")
    terms = [Term("Walruses", "walru", 2), Term("missing", "miss", 0), Term("running", "run", 1)]
    with closing(database(path)) as opened:
        found = matched(opened.connection(), terms, [2, 1, 99])
    assert found == {1: ("Walruses", "running"), 2: ("Walruses",)}
