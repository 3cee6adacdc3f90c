"""A store that is opened to be read only: it searches, and not a byte is written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from db.material import database, rows
from db.processes import python
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main
from vstore.db.connection import run
from vstore.errors import NotAStoreError, NotFoundError, StoreError

TOY = ToyEmbedder(16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "memory.db"
    with Store(file, TOY) as store:
        for number in range(30):
            store.remember(f"red kite number{number}", uri=f"{number}", tags=["bird"])
    return file


def ids(store: Store) -> list[int]:
    return [hit.chunk_id for hit in store.search("kite number7", k=5, tags=["bird"])]


def test_it_searches_as_ever_and_writes_nothing_not_even_what_was_asked(path: Path) -> None:
    before = path.read_bytes()
    with Store(path, TOY, read_only=True, log=True, metrics=True) as store:
        found = [ids(store) for _ in range(5)]
        assert store.get("7").text == "red kite number7"
        assert store.search_stats().searches == 0
    assert path.read_bytes() == before
    with Store(path, TOY) as store:
        assert found == [ids(store)] * 5


WRITES: dict[str, Callable[[Store], Any]] = {
    "remember": lambda store: store.remember("new"),
    "add": lambda store: store.add(__file__),
    "forget": lambda store: store.forget("7"),
    "keep": lambda store: store.keep("7", expires="1d"),
    "compact": lambda store: store.compact(),
    "feedback": lambda store: store.feedback("kite", "7"),
    "erase_searches": lambda store: store.erase_searches(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_would_write_says_why_it_cannot(path: Path, write: Callable[[Store], Any]) -> None:
    before = path.read_bytes()
    with (
        Store(path, TOY, read_only=True) as store,
        pytest.raises(StoreError, match=re.escape(f"{path} was opened to be read only; open it without read_only")),
    ):
        write(store)
    assert path.read_bytes() == before


def test_it_sees_what_others_write(path: Path) -> None:
    with Store(path, TOY, read_only=True) as reader, Store(path, TOY) as writer:
        for _ in range(4):
            ids(reader)
        writer.remember("blue whale", uri="whale")
        assert [hit.document.uri for hit in reader.search("whale", k=1)] == ["whale"]


def test_a_store_on_a_medium_that_nobody_can_write_to_is_read_without_a_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser may write everywhere, so that what `access` answers stands in for such a medium."""
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with Store(path, TOY, read_only=True) as store:
        assert len(ids(store)) == 5
        assert not path.with_name("memory.db-shm").exists()


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Store(tmp_path / "none.db", TOY, read_only=True)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "empty.db").touch()
    with pytest.raises(NotAStoreError, match="is empty"):
        Store(tmp_path / "empty.db", TOY, read_only=True)
    assert (tmp_path / "empty.db").read_bytes() == b""


def test_an_older_schema_is_not_brought_up_to_date(path: Path) -> None:
    opened = database(path)
    with opened.write() as connection:
        run(connection, "PRAGMA user_version = 3")
    opened.close()
    with pytest.raises(StoreError, match=r"has schema 3, and this vstore reads \d+; open it once without read_only"):
        Store(path, TOY, read_only=True)
    ask = "import apsw, sys; print(*apsw.Connection(sys.argv[1]).execute('PRAGMA user_version'))"
    assert python(ask, path) == "(3,)"


def test_the_command_line_has_it_for_every_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_CONFIG", str(path.with_name("config.toml")))
    before = path.read_bytes()
    options = ["--db", str(path), "--read-only"]
    assert "red kite number7" in CliRunner().invoke(main, [*options, "search", "number7", "--mode", "lexical"]).stdout
    refused = CliRunner().invoke(main, [*options, "forget", "7"])
    assert refused.exit_code == 1 and "opened to be read only" in refused.stderr
    assert path.read_bytes() == before
    assert rows(path, "SELECT count(*) FROM documents") == [(30,)]
