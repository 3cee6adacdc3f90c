"""Sign codes in memory are those of the file, whoever writes to it, and choose as the table would."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import put_vectors, unit_vectors
from db.processes import python
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore import config
from vstore.db.codes import Codes, ResidentCodes, sign_code
from vstore.db.connection import run
from vstore.db.index import SqliteIndex
from vstore.db.snapshot import Resident
from vstore.filters import parse
from vstore.types import Scope, Space

DIMENSION = 70  # two words, the second mostly empty
QUERY = unit_vectors(99, 1, DIMENSION)[0]


@pytest.fixture(autouse=True)
def codes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes are used however few chunks there are, and kept from the first search on."""
    monkeypatch.setattr(config, "EXACT_SCAN_CHUNKS", 0)
    monkeypatch.setattr(config, "CODES_FROM_SEARCH", 1)
    monkeypatch.setattr(config, "CODES_AT_ONCE", 7)


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    with closing(SqliteIndex(path)) as opened:
        write(opened, 0, 20)
        yield opened


def space_of(index: SqliteIndex) -> Space:
    return index.open_space("f" * 64, DIMENSION, "given")


def write(index: SqliteIndex, first: int, end: int) -> None:
    vectors = unit_vectors(1, 100, DIMENSION)
    put_vectors(index, {str(number): vectors[number] for number in range(first, end)}, space_of(index))


def found(index: SqliteIndex) -> tuple[int, ...]:
    with index.snapshot() as snapshot:
        return snapshot.dense(QUERY, Scope(), 100).chunk_ids


def held(index: SqliteIndex) -> Codes:
    """The codes that are in memory."""
    codes = index._resident.codes._codes
    assert codes is not None
    return codes


def nothing(dimension: int) -> Codes:
    """No codes yet, of so many dimensions."""
    words = -(-dimension // 64)
    return Codes(Space(1, "f" * 64, dimension, "given"), np.empty(0, dtype=np.int64), np.empty((words, 0), np.uint64))


def assert_those_of_the_file(index: SqliteIndex) -> None:
    codes = held(index)
    with index.snapshot() as snapshot:
        stored = run(snapshot._connection, f"SELECT chunk_id, code FROM codes_g{codes.space.number} ORDER BY chunk_id")
    assert codes.ids.tolist() == [chunk_id for chunk_id, _ in stored]
    assert [word.tobytes()[:9] for word in codes.words.T.copy()] == [code for _, code in stored]


def test_codes_are_kept_from_the_third_search_on(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CODES_FROM_SEARCH", 3)
    answers = []
    for kept in (False, False, True):
        answers.append(found(index))
        assert (index._resident.codes._codes is not None) == kept
    assert answers[0] == answers[1] == answers[2]


def test_codes_in_a_scope_are_those_of_its_chunks(index: SqliteIndex) -> None:
    put_vectors(index, {"mine": QUERY, "other": -QUERY}, space_of(index), metadata={"mine": True})
    scope = Scope(where=parse({"mine": True}))
    with index.snapshot() as snapshot:
        assert snapshot.dense(QUERY, scope, 10).chunk_ids == (21, 22)
        assert snapshot.dense(QUERY, Scope(), 100).chunk_ids[0] == 21
        assert len(snapshot.dense(QUERY, Scope(), 100)) == 22
        spread = snapshot.background(QUERY, scope)
    assert spread is not None and (spread.mean, spread.deviation) == pytest.approx((0.0, 1.0))  # of 1 and -1
    with index.snapshot() as snapshot:
        assert snapshot.dense(QUERY, Scope(where=parse({"mine": False})), 10).chunk_ids == ()


def test_while_nobody_writes_the_table_is_not_asked_again(index: SqliteIndex) -> None:
    found(index)
    statements: list[str] = []
    with index.snapshot() as snapshot:
        snapshot._connection.exec_trace = lambda cursor, sql, bindings: statements.append(sql) or True
        snapshot.dense(QUERY, Scope(), 10)
        snapshot.background(QUERY, Scope())
        snapshot._connection.exec_trace = None
    assert statements
    assert not [sql for sql in statements if "codes_g" in sql]


@pytest.mark.parametrize("resident_from", [1, config.UNLIMITED])
def test_what_has_expired_or_is_a_draft_is_left_out_without_a_look_at_each_document(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch, resident_from: int
) -> None:
    """For while a long document is written, each search is the first one after a write."""
    monkeypatch.setattr(config, "CODES_FROM_SEARCH", resident_from)
    found(index)
    with index._database.write() as connection:
        run(connection, "UPDATE documents SET expires_at = CASE uri WHEN '3' THEN 0 ELSE 1 END WHERE uri IN ('3', '7')")
        run(connection, "UPDATE documents SET expires_at = 1, pinned = 1 WHERE uri = '9'")
    statements: list[str] = []
    with index.snapshot() as snapshot:
        snapshot._connection.exec_trace = lambda cursor, sql, bindings: statements.append(sql) or True
        dense = snapshot.dense(QUERY, Scope(), 100).chunk_ids
        lexical = snapshot.lexical(snapshot.terms(" ".join(map(str, range(20)))), Scope(), 100).chunk_ids
        snapshot._connection.exec_trace = None
    assert set(dense) == set(lexical) == set(range(1, 21)) - {4, 8}
    assert any("d.expires_at IS NULL" in sql for sql in statements) == (resident_from != 1)


def test_what_this_process_adds_and_forgets_is_seen_by_the_next_search(index: SqliteIndex) -> None:
    found(index)
    write(index, 20, 45)  # more than are read at once
    assert len(found(index)) == 45
    assert_those_of_the_file(index)
    index.forget("default", "3")
    index.forget("default", "44")
    write(index, 45, 47)
    assert len(found(index)) == 45
    assert_those_of_the_file(index)


def test_what_another_process_writes_is_seen_by_the_next_search(index: SqliteIndex, path: Path) -> None:
    before = found(index)
    script = """
import sys
from contextlib import closing
from pathlib import Path
from db.test_codes import write
from vstore.db.index import SqliteIndex
from vstore.db.snapshot import Resident
with closing(SqliteIndex(Path(sys.argv[1]))) as index:
    index.forget("default", "3")
    write(index, 20, 30)
"""
    python(script, path)
    after = found(index)
    assert set(before) - set(after) == {4}
    assert len(after) == 29
    assert_those_of_the_file(index)


@pytest.mark.parametrize("first", [1, config.UNLIMITED])
@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM codes_g1 WHERE chunk_id IN (5, 20)", "UPDATE codes_g1 SET code = x'00' WHERE chunk_id IN (5, 20)"],
)
def test_codes_that_are_missing_or_damaged_lose_no_chunk(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch, damage: str, first: int
) -> None:
    monkeypatch.setattr(config, "CODES_FROM_SEARCH", first)
    intact = found(index)
    with index._database.write() as connection:
        run(connection, damage)
    with closing(SqliteIndex(index.path)) as other:
        assert found(other) == intact
        other.forget("default", "9")
        write(other, 20, 23)
        assert set(found(other)) == set(range(1, 24)) - {10}


def test_while_a_space_is_filled_chunks_without_a_vector_do_not_hide_that_others_went(index: SqliteIndex) -> None:
    """Then as many codes as chunks may be left, and not the same ones."""
    with index._database.write() as connection:
        run(connection, "DELETE FROM codes_g1 WHERE chunk_id = 5")
        run(connection, "DELETE FROM vectors_g1 WHERE chunk_id = 5")
    assert len(found(index)) == 19
    index.forget("default", "9")
    assert set(range(1, 21)) - set(found(index)) == {5, 10}
    assert_those_of_the_file(index)


@given(st.sets(st.integers(0, 39), max_size=40), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_whichever_chunks_go_are_found_without_reading_codes(
    tmp_path_factory: pytest.TempPathFactory, forgotten: set[int], compared: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "CODES_COMPARED", compared)
        patch.setattr(config, "EXACT_SCAN_CHUNKS", 0)
        patch.setattr(config, "CODES_FROM_SEARCH", 1)
        with closing(SqliteIndex(tmp_path_factory.mktemp("gone") / "memory.db")) as index:
            write(index, 0, 40)
            found(index)
            for number in forgotten:
                index.forget("default", str(number))
            patch.setattr(Codes, "joined", lambda codes, rows: pytest.fail("codes were read") if rows else codes)
            assert sorted(found(index)) == [number + 1 for number in range(40) if number not in forgotten]
            assert_those_of_the_file(index)


def test_of_the_sample_only_what_is_new_is_read(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "BACKGROUND_SAMPLE", config.UNLIMITED)

    def vectors_read() -> list[list[int]]:
        read: list[list[int]] = []
        with index.snapshot() as snapshot:
            snapshot._connection.exec_trace = lambda _, sql, bindings: (
                read.append(json.loads(bindings[0])) or True if sql.startswith("SELECT v.vector") else True
            )
            snapshot.background(QUERY, Scope())
            snapshot._connection.exec_trace = None
        return read

    assert vectors_read() == [list(range(1, 21))]
    assert vectors_read() == []
    write(index, 20, 22)
    index.forget("default", "3")
    assert vectors_read() == [[21, 22]]
    assert held(index).sample is not None
    assert held(index).sample[0].tolist() == [1, 2, 3, *range(5, 23)]


def test_only_what_is_new_is_read(index: SqliteIndex) -> None:
    found(index)
    write(index, 20, 21)
    read: list[object] = []
    with index.snapshot() as snapshot:
        connection = snapshot._connection
        connection.exec_trace = lambda cursor, sql, bindings: (
            read.append(bindings) or True if "code FROM" in sql else True
        )
        snapshot.dense(QUERY, Scope(), 10)
        connection.exec_trace = None
    assert read == [(20,), (21,)]  # after the last one that was known, and after the last one that came


def test_a_search_that_began_before_a_write_does_not_see_it(index: SqliteIndex) -> None:
    """Another thread's search loads the new codes meanwhile; what this one sees is still its own snapshot."""
    found(index)
    with index.snapshot() as snapshot:
        snapshot.documents(Scope(), 1)  # the snapshot begins with the first read
        thread = threading.Thread(target=lambda: (write(index, 20, 30), index.forget("default", "0"), found(index)))
        thread.start()
        thread.join()
        assert sorted(snapshot.dense(QUERY, Scope(), 100).chunk_ids) == list(range(1, 21))
    assert sorted(found(index)) == list(range(2, 31))


def test_a_space_that_got_the_number_of_an_erased_one_is_read_anew(index: SqliteIndex) -> None:
    """The chunks are the same, so that nothing but the fingerprint tells that the codes are others."""
    found(index)
    opposite = -unit_vectors(1, 100, DIMENSION)[:20]
    with index._database.write() as connection:
        for number, vector in enumerate(opposite, start=1):
            run(connection, "UPDATE codes_g1 SET code = ? WHERE chunk_id = ?", (sign_code(vector), number))
        run(connection, "UPDATE spaces SET fingerprint = ?", ("e" * 64,))
    found(index)
    assert_those_of_the_file(index)


def test_codes_that_would_take_too_much_memory_stay_in_the_table(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = found(index)
    monkeypatch.setattr(ResidentCodes, "_too_many", lambda *asked: "too many" if asked[-1] > 20 else None)
    write(index, 20, 21)
    index.forget("default", "20")
    assert found(index) == expected
    assert index._resident.codes._codes is not None
    write(index, 20, 21)
    assert len(found(index)) == 21
    assert index._resident.codes._codes is None
    monkeypatch.setattr(ResidentCodes, "_too_many", lambda *_: pytest.fail("asked again, though nobody wrote"))
    assert len(found(index)) == 21


def test_a_chunk_of_384_dimensions_takes_56_bytes() -> None:
    rows = [(number, sign_code(vector)) for number, vector in enumerate(unit_vectors(3, 50, 384))]
    codes = nothing(384).joined(rows)
    assert codes.ids.nbytes + codes.words.nbytes == 50 * 56


def test_the_sample_of_all_chunks_is_the_one_sql_draws(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "BACKGROUND_SAMPLE", 8)
    with index.snapshot() as snapshot:
        kept = snapshot.background(QUERY, Scope())
    monkeypatch.setattr(index, "_resident", Resident())
    monkeypatch.setattr(config, "CODES_FROM_SEARCH", config.UNLIMITED)
    with index.snapshot() as snapshot:
        drawn = snapshot.background(QUERY, Scope())
    assert kept is not None and drawn is not None
    assert (kept.mean, kept.deviation) == pytest.approx((drawn.mean, drawn.deviation), rel=1e-6)


def test_chunks_that_are_all_alike_have_no_spread_whichever_way_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounding of cosines taken for a spread would move every score by it."""
    with closing(SqliteIndex(path)) as index:
        put_vectors(index, {str(number): QUERY for number in range(11)}, space_of(index))
        for first in (config.UNLIMITED, 1):
            monkeypatch.setattr(config, "CODES_FROM_SEARCH", first)
            with index.snapshot() as snapshot:
                for scope in (Scope(), Scope(("default",))):
                    spread = snapshot.background(QUERY, scope)
                    assert spread is not None and spread.deviation == 0.0


@given(
    st.lists(st.tuples(st.integers(1, 60), st.binary(min_size=3, max_size=3)), unique_by=lambda row: row[0]), st.data()
)
@settings(max_examples=60)
def test_codes_put_together_in_any_order_are_sorted_and_choose_alike(
    rows: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    limit = data.draw(st.integers(1, 70))
    code = data.draw(st.binary(min_size=3, max_size=3))
    codes = nothing(24).joined(rows[:cut]).joined(rows[cut:])
    assert codes.ids.tolist() == sorted(chunk_id for chunk_id, _ in rows)

    def differing(row: tuple[int, bytes]) -> tuple[int, int]:
        return (int.from_bytes(row[1], "big") ^ int.from_bytes(code, "big")).bit_count(), row[0]

    expected = [chunk_id for chunk_id, _ in sorted(rows, key=differing)[:limit]]
    assert codes.closest(code, limit).ids.tolist() == sorted(expected)


@pytest.mark.parametrize("forgotten", [[], ["3"], ["3", "4", "19"], ["20"]])
def test_an_older_moment_is_searched_as_it_was_beside_a_newer_one(index: SqliteIndex, forgotten: list[str]) -> None:
    """One chunk more and one less are as many: who still reads the older moment must not take the newer one's codes."""

    def search_later() -> None:
        write(index, 20, 21)
        for uri in forgotten:
            index.forget("default", uri)
        later.extend(found(index))

    before, later = found(index), list[int]()
    with index.snapshot() as snapshot:
        thread = threading.Thread(target=search_later)
        thread.start()
        thread.join()
        assert snapshot.dense(QUERY, Scope(), 100).chunk_ids == before
        background = snapshot.background(QUERY, Scope())
    assert background is not None and background.deviation > 0
    assert len(later) == 21 - len(forgotten)
    assert sorted(found(index)) == sorted(later)
