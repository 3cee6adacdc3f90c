"""What must hold of a store's file, found out without any code of vstore: invariants, and its state as plain data."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from faults.disk import SYSTEM

BEHIND = ("", "-wal", "-shm", "-journal")
DRAFT = "(expires_at IS 0 AND NOT pinned)"  # hidden: a part of a document of many chunks, on its way in or out
PROBE = "probe"  # the uri of a document that a check itself puts in

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class State:
    """What a user would say is in the store; no ids, and no times."""

    schema: int
    documents: dict[tuple[str, str], tuple[Any, ...]]  # by collection and uri: facts, text, chunks with their vectors
    feedback: tuple[tuple[Any, ...], ...]
    asked: dict[str, int]  # logged queries, and how often
    counters: dict[str, int]
    models: tuple[tuple[Any, ...], ...]
    active: int | None
    spaces: frozenset[int]  # whose vectors are kept
    files: dict[tuple[int, str], str]  # of encoders: sha256

    def without(self, *uris: str) -> State:
        """The same without some documents."""
        return replace(self, documents={key: value for key, value in self.documents.items() if key[1] not in uris})


def ask(connection: apsw.Connection, sql: str, *values: object) -> Rows:
    return list(connection.execute(sql, values))


def opened(path: Path) -> apsw.Connection:
    """A connection as another program would open one, on the real disk."""
    connection = apsw.Connection(str(path), vfs=SYSTEM)
    connection.set_busy_timeout(2_000)
    connection.execute("PRAGMA synchronous = OFF")  # no power is lost while checks run
    return connection


def problems(path: Path) -> list[str]:
    """Every invariant that the file breaks, with what breaks it; none: all is well."""
    files = (path.with_name(path.name + suffix) for suffix in BEHIND)
    return [*damage(path), *(f"{file.name} is readable by others" for file in files if readable_by_others(file))]


def readable_by_others(file: Path) -> bool:
    return file.exists() and os.name == "posix" and bool(file.stat().st_mode & 0o077)


def damage(path: Path) -> list[str]:
    """What is wrong with the content."""
    try:
        with closing(opened(path)) as connection:
            return [*_broken(connection)]
    except (apsw.Error, UnicodeDecodeError, zlib.error) as error:
        return [f"cannot be read: {type(error).__name__} {error}"]


def _broken(connection: apsw.Connection) -> Iterable[str]:
    if not ask(connection, "SELECT 1 FROM sqlite_schema LIMIT 1"):
        return  # a file that was made, and died before it became a store
    if (found := ask(connection, "PRAGMA integrity_check")) != [("ok",)]:
        yield f"integrity_check: {found[:3]}"
    if found := ask(connection, "PRAGMA foreign_key_check"):
        yield f"foreign keys: {found[:3]}"
    try:
        ask(connection, "INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('integrity-check', 1)")
    except apsw.CorruptError as error:
        yield f"the keyword index: {error}"
    yield from _unequal_ids(connection)
    yield from _damaged_vectors(connection)
    yield from _torn_documents(connection)


def _unequal_ids(connection: apsw.Connection) -> Iterable[str]:
    """Each chunk has its place in all that is derived from it, and nothing else has one."""
    chunks = ask(connection, "SELECT id FROM chunks ORDER BY 1")
    tables = {"chunks_fts_docsize": "id", "chunk_terms": "chunk_id"}
    active = ask(connection, "SELECT m.space FROM active AS a JOIN models AS m ON m.id = a.model")
    for (space,) in active:
        tables |= {f"vectors_g{space}": "chunk_id", f"codes_g{space}": "chunk_id"}
    for table, column in tables.items():
        try:
            ids = ask(connection, f"SELECT {column} FROM {table} ORDER BY 1")
        except apsw.SQLError as error:
            yield str(error)
        else:
            if ids != chunks:
                yield f"{table} has {len(ids)} rows, not those of the {len(chunks)} chunks"
    if chunks and not active:
        yield "there are chunks, and no model serves"


def _damaged_vectors(connection: apsw.Connection) -> Iterable[str]:
    """Checksums, and codes that are the signs of their vectors; in every space, also one that is being filled."""
    for space in _spaces(connection):
        sql = f"SELECT v.chunk_id, v.vector, v.crc32, c.code FROM vectors_g{space} AS v LEFT JOIN codes_g{space} AS c"
        for chunk_id, vector, crc32, code in ask(connection, f"{sql} ON c.chunk_id = v.chunk_id"):
            if zlib.crc32(vector) != crc32:
                yield f"vector {chunk_id} of space {space} does not match its CRC-32"
            elif np.packbits(np.frombuffer(vector, "<f4") > 0, bitorder="little").tobytes() != code:
                yield f"code {chunk_id} of space {space} is not that of its vector"
    for model, weights in ask(connection, "SELECT id, weights FROM models WHERE weights IS NOT NULL"):
        if zlib.crc32(weights[:-4]) != int.from_bytes(weights[-4:], "little"):
            yield f"the weights of model {model} do not match their CRC-32"


def _torn_documents(connection: apsw.Connection) -> Iterable[str]:
    for document, uri, text, draft in ask(connection, f"SELECT id, uri, text, {DRAFT} FROM documents"):
        whole = zlib.decompress(text).decode()
        sql = 'SELECT ordinal, start, "end", text FROM chunks WHERE document_id = ? ORDER BY ordinal'
        chunks = ask(connection, sql, document)
        if not draft and [chunk[0] for chunk in chunks] != list(range(len(chunks))):
            yield f"{uri} has chunks {[chunk[0] for chunk in chunks]}"
        if wrong := [chunk[0] for chunk in chunks if whole[chunk[1] : chunk[2]] != chunk[3]]:
            yield f"{uri} does not have the text of its chunks {wrong}"


def _spaces(connection: apsw.Connection) -> list[int]:
    sql = "SELECT substr(name, 10) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'vectors_g[0-9]*'"
    return sorted(int(number) for (number,) in ask(connection, sql))


# --- state ------------------------------------------------------------------------------------------------------------


def state(path: Path) -> State:
    """What is in the file, which may also be of an earlier schema; one without any tables is empty."""
    with closing(opened(path)) as connection:
        ask(connection, "BEGIN")
        tables = {name for (name,) in ask(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")}

        def rows(table: str, sql: str) -> Rows:
            return ask(connection, sql) if table in tables else []

        files: dict[tuple[int, str], list[bytes]] = {}
        for model, name, content in rows(
            "model_files", "SELECT model, name, content FROM model_files ORDER BY model, name, part"
        ):
            files.setdefault((model, name), []).append(content)
        models = "SELECT id, name, kind, space, parent, status, weights IS NOT NULL FROM models ORDER BY id"
        judged = "SELECT f.query, d.uri, f.grade FROM feedback AS f JOIN documents AS d ON d.id = f.document_id"
        return State(
            schema=ask(connection, "PRAGMA user_version")[0][0],
            documents=_documents(connection) if "documents" in tables else {},
            feedback=tuple(sorted(rows("feedback", judged))),
            asked=dict(rows("queries", "SELECT text, sum(times) FROM queries GROUP BY text")),
            counters=dict(rows("search_counters", "SELECT name, value FROM search_counters")),
            models=tuple(rows("models", models)),
            active=next((model for (model,) in rows("active", "SELECT model FROM active")), None),
            spaces=frozenset(_spaces(connection)),
            files={key: hashlib.sha256(b"".join(parts)).hexdigest() for key, parts in files.items()},
        )


def _documents(connection: apsw.Connection) -> dict[tuple[str, str], tuple[Any, ...]]:
    vectors: dict[int, list[tuple[int, int]]] = {}
    for space in _spaces(connection):
        for chunk_id, crc32 in ask(connection, f"SELECT chunk_id, crc32 FROM vectors_g{space}"):
            vectors.setdefault(chunk_id, []).append((space, crc32))
    chunks: dict[int, list[tuple[Any, ...]]] = {}
    sql = "SELECT document_id, id, ordinal, heading, text, extra, content_hash FROM chunks ORDER BY 1, 3"
    for document_id, chunk_id, *chunk in ask(connection, sql):
        chunks.setdefault(document_id, []).append((*chunk, tuple(vectors.get(chunk_id, ()))))
    sql = (
        "SELECT d.id, c.name, d.uri, d.title, d.media_type, d.content_hash, d.metadata, d.tags, d.expires_at, "
        f"d.pinned, d.text FROM documents AS d JOIN collections AS c ON c.id = d.collection_id WHERE NOT {DRAFT}"
    )
    return {
        (collection, uri): (*facts, zlib.decompress(text).decode(), tuple(chunks.get(document_id, ())))
        for document_id, collection, uri, *facts, text in ask(connection, sql)
    }


def difference(one: State, other: State) -> str:
    """In which parts two states differ, short enough for a report."""
    parts = [name for name in State.__dataclass_fields__ if getattr(one, name) != getattr(other, name)]
    values = ", ".join(f"{name}: {_short(getattr(one, name))} / {_short(getattr(other, name))}" for name in parts)
    return values[:1_000] or "nothing"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(sorted(map(str, value)))
    return str(value)
