"""Scopes in memory are those of the file, whoever writes to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from db.material import put

from vstore import config
from vstore.db.index import SqliteIndex
from vstore.filters import parse
from vstore.types import Scope

ODD = Scope(where=parse({"odd": True}))


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    """Chunks 1 to 6, one a document; those of odd number say so."""
    with closing(SqliteIndex(path)) as opened:
        for number in range(1, 7):
            put(opened, f"{number}", "red", metadata={"odd": bool(number % 2), "n": number})
        yield opened


def found(index: SqliteIndex, scope: Scope = ODD) -> list[int]:
    with index.snapshot() as snapshot:
        return sorted(snapshot.lexical(snapshot.terms("red"), scope, 10).chunk_ids)


def statements(index: SqliteIndex, scope: Scope = ODD) -> list[str]:
    """What a search asks of the table of documents."""
    asked: list[str] = []
    with index.snapshot() as snapshot:
        snapshot._connection.exec_trace = lambda _, sql, __: asked.append(sql) or True
        snapshot.lexical(snapshot.terms("red"), scope, 10)
        snapshot._connection.exec_trace = None
    return [sql for sql in asked if "documents" in sql]


def test_a_filter_that_is_asked_for_again_does_not_look_at_the_documents(index: SqliteIndex) -> None:
    assert len(statements(index)) == 1
    assert statements(index) == []
    assert found(index) == [1, 3, 5]


def test_whoever_writes_is_heard(index: SqliteIndex, path: Path) -> None:
    assert found(index) == [1, 3, 5]
    put(index, "7", "red", metadata={"odd": True})
    assert found(index) == [1, 3, 5, 7]
    with closing(SqliteIndex(path)) as other:
        put(other, "3", "red", version="2", metadata={"odd": False})
    assert found(index) == [1, 5, 7]


def test_filters_that_are_equal_to_python_alone_are_kept_apart(index: SqliteIndex) -> None:
    put(index, "one", "red", metadata={"odd": 1})
    assert found(index, Scope(where=parse({"odd": True}))) == [1, 3, 5]
    assert found(index, Scope(where=parse({"odd": 1}))) == [7]


def test_chunks_may_be_named_besides_a_filter(index: SqliteIndex) -> None:
    assert found(index, Scope(where=ODD.where, among=(5, 4, 3, 3, 99))) == [3, 5]
    assert found(index, Scope(among=(4, 2))) == [2, 4]
    assert found(index, Scope(among=())) == []


def test_the_scopes_that_were_asked_for_first_go_when_they_are_too_many(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "SCOPES_BYTES", 8 * 5)  # five ids
    low, high = (Scope(where=parse({"n": {bound: 3}})) for bound in ("$lte", "$gt"))
    assert [len(statements(index, scope)) for scope in (low, high, high, low, ODD, ODD)] == [1, 1, 0, 1, 1, 0]
