"""A store that has some of everything, and the ways in which its file is damaged on purpose.

Each damage is done over a connection of its own without SQLite's defences, while nobody has the file open.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw
import numpy as np
from toy import ToyEmbedder

from vstore import Store
from vstore.adapter import Adapter
from vstore.db.connection import run
from vstore.db.index import SqliteIndex
from vstore.ingest.backfill import fill

DIMENSION = 24
EMBEDDER = ToyEmbedder(DIMENSION)
NEXT = ToyEmbedder(DIMENSION, "next")
WEIGHTS = b"weights" * 300
FILES = [{"name": "model", "sha256": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(WEIGHTS)}]
QUERIES = ("green tea", "maxOpenConns", "索引测试", "limits of pools", "coffee beans", "what is in the middle?")


def build(path: Path) -> None:
    """Documents of several kinds, one forgotten, queries, judgements, two adapters, an encoder being filled."""
    with Store(path, EMBEDDER, log=True, metrics=True) as store:
        store.remember("Green tea at seventy degrees.", title="Tea", uri="tea", tags=["drink"], metadata={"year": 2020})
        store.remember("Black coffee, freshly ground.", title="Coffee", uri="coffee", collection="kitchen")
        store.remember("数据库的索引测试通过了。Größe ﬁle naïve.", title="索引", uri="cjk")
        body = "\n\n".join(f"## Part {n}\n\nThe pool of maxOpenConns number {n} has limits. " * 20 for n in range(6))
        store.remember(f"# Pools\n\n{body}", title="Pools", uri="pools", media_type="text/markdown")
        for number in range(40):
            store.remember(f"Note {number} about coffee, beans and pool {number % 7}.", uri=f"note {number}")
        store.remember("The secret of the middle.", uri="secret")
        store.forget("secret")
        for query in QUERIES:
            store.search(query)
        store.feedback("green tea", "tea")
        store.feedback("limits of pools", store.search("limits of pools")[0].chunk_id)
    with closing(SqliteIndex(path)) as index:
        for seed in (1, 2):
            weights = np.random.default_rng(seed).normal(0, 0.05, (DIMENSION, DIMENSION)).astype(np.float32)
            index.activate(index.save_adapter(Adapter(weights, 0.5), {"seed": seed}, {}))
        model_id = index.begin_encoder(NEXT.fingerprint, DIMENSION, {"files": FILES})
        index.save_file(model_id, "model", [WEIGHTS[:1000], WEIGHTS[1000:2000], WEIGHTS[2000:]])
        fill(index, index.space_of(model_id), NEXT)
        index.complete_encoder(model_id, {})
    with Store(path, EMBEDDER) as store:
        store.remember("This came in while the other space was there.", uri="late")


def execute(*statements: str) -> Callable[[Path], None]:
    """A damage done by SQL."""

    def damage(path: Path) -> None:
        connection = apsw.Connection(str(path))
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        try:
            run(connection, "PRAGMA ignore_check_constraints = ON")
            run(connection, "PRAGMA secure_delete = ON")
            run(connection, "BEGIN IMMEDIATE")
            changes = connection.total_changes()
            for statement in statements:
                run(connection, statement)
            schema = any(statement.startswith(("DROP", "CREATE")) for statement in statements)
            assert schema or connection.total_changes() > changes, "the damage hit nothing"
            run(connection, "COMMIT")
        finally:
            connection.close()

    return damage


def change(
    table: str, column: str, id_: str, how: Callable[[bytes], bytes], **more: Callable[[bytes], int]
) -> Callable[[Path], None]:
    """A damage of one blob; `more` are further columns made of the new one."""

    def damage(path: Path) -> None:
        connection = apsw.Connection(str(path))
        try:
            ((blob,),) = run(connection, f"SELECT {column} FROM {table} WHERE {id_}")
            new = how(blob)
            assert new != blob
            run(connection, f"UPDATE {table} SET {column} = ? WHERE {id_}", (new,))
            for other, value in more.items():
                run(connection, f"UPDATE {table} SET {other} = ? WHERE {id_}", (value(new),))
        finally:
            connection.close()

    return damage


def flip(at: int) -> Callable[[bytes], bytes]:
    """Turn a byte around."""
    return lambda blob: blob[:at] + bytes([blob[at] ^ 0xFF]) + blob[at + 1 :]


def put(part: bytes, at: int) -> Callable[[bytes], bytes]:
    return lambda blob: blob[:at] + part + blob[at + len(part) :]


def zero_page(table: str) -> Callable[[Path], None]:
    """Overwrite the last page that belongs to a table with zeros."""

    def damage(path: Path) -> None:
        connection = apsw.Connection(str(path))
        ((page, size),) = run(
            connection, "SELECT max(pageno), max(pgsize) FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)
        )
        ((page_size,),) = run(connection, "PRAGMA page_size")
        connection.close()
        assert size and page
        content = path.read_bytes()
        start = (page - 1) * page_size
        path.write_bytes(content[:start] + bytes(page_size) + content[start + page_size :])

    return damage


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@dataclass(frozen=True)
class Damage:
    """What is done to the file, the check that must see it, and what a repair can do about it."""

    does: Callable[[Path], None]
    seen_by: str
    mended: bool = True
    deep: bool = False  # whether only a deep check sees it

    def __call__(self, path: Path) -> None:
        self.does(path)


DELETE_FTS = (
    "INSERT INTO chunks_fts (chunks_fts, rowid, title, heading, text, extra) "
    "SELECT 'delete', * FROM chunks_indexed WHERE id = 9"
)
PARTS = "SELECT id FROM chunks WHERE document_id = (SELECT id FROM documents WHERE uri = 'pools')"
SOME_PART = f"({PARTS} ORDER BY id LIMIT 1 OFFSET 2)"
REMOVE_CHUNK = (
    "INSERT INTO chunks_fts (chunks_fts, rowid, title, heading, text, extra) "
    f"SELECT 'delete', * FROM chunks_indexed WHERE id = {SOME_PART}",
    *(f"DELETE FROM {table} WHERE chunk_id = {SOME_PART}" for table in ("answers", "chunk_terms")),
    *(f"DELETE FROM {table}_g{n} WHERE chunk_id = {SOME_PART}" for table in ("vectors", "codes") for n in (1, 2)),
    f"UPDATE feedback SET chunk_id = NULL WHERE chunk_id = {SOME_PART}",
    f"DELETE FROM chunks WHERE id = {SOME_PART}",
)
CRC = zlib.crc32
TEXT_OF_TEA = "(SELECT id FROM documents WHERE uri = 'tea')"

DAMAGES = {
    # the keyword index
    "an index row missing": Damage(execute(DELETE_FTS), "keyword ids"),
    "an index row too many": Damage(
        execute("INSERT INTO chunks_fts (rowid, title, heading, text, extra) VALUES (999, '', '', 'zebra', '')"),
        "keyword ids",
    ),
    "a row of other words": Damage(
        execute(
            DELETE_FTS, "INSERT INTO chunks_fts (rowid, title, heading, text, extra) VALUES (9, 'a', 'b', 'zebra', '')"
        ),
        "keyword words",
        deep=True,
    ),
    "a segment zeroed": Damage(
        execute("UPDATE chunks_fts_data SET block = zeroblob(length(block)) WHERE id > 10"), "keyword structure"
    ),
    "a segment gone": Damage(execute("DELETE FROM chunks_fts_data WHERE id > 10"), "keyword structure"),
    "a byte of a segment": Damage(
        change("chunks_fts_data", "block", "id = (SELECT max(id) FROM chunks_fts_data)", flip(40)),
        "keyword words",
        deep=True,
    ),
    "a size of a row": Damage(
        execute("UPDATE chunks_fts_docsize SET sz = x'01010101' WHERE id = 9"), "keyword words", deep=True
    ),
    "the averages": Damage(
        execute("UPDATE chunks_fts_data SET block = x'00' WHERE id = 1"), "keyword words", deep=True
    ),
    "a shadow table gone": Damage(execute("DROP TABLE chunks_fts_config"), "tables"),
    "another file format": Damage(
        execute("UPDATE chunks_fts_config SET v = 9 WHERE k = 'version'"), "keyword structure"
    ),
    "secure delete off": Damage(
        execute("INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('secure-delete', 0)"), "secure delete"
    ),
    # the forward index and extra
    "a forward entry missing": Damage(execute("DELETE FROM chunk_terms WHERE chunk_id = 9"), "forward ids"),
    "a forward entry of no chunk": Damage(
        execute("INSERT INTO chunk_terms SELECT 999, length, head, body FROM chunk_terms WHERE chunk_id = 9"),
        "forward ids",
    ),
    "a forward length": Damage(
        execute("UPDATE chunk_terms SET length = length + 1 WHERE chunk_id = 9"), "forward entries"
    ),
    "a forward entry cut off": Damage(
        execute("UPDATE chunk_terms SET body = substr(body, 2) WHERE chunk_id = 9"), "forward entries"
    ),
    "a forward count": Damage(
        change("chunk_terms", "body", "chunk_id = 9", lambda blob: blob[:-1] + b"\x02"), "forward entries"
    ),
    "a forward stem": Damage(
        change("chunk_terms", "body", "chunk_id = 9", put(b"\0\0\0\0", 0)), "forward words", deep=True
    ),
    "extra words": Damage(execute("UPDATE chunks SET extra = 'zebra' WHERE id = 9"), "extra words", deep=True),
    # vectors and codes
    "a byte of a vector": Damage(change("vectors_g1", "vector", "chunk_id = 9", flip(5)), "vectors"),
    "a checksum": Damage(execute("UPDATE vectors_g1 SET crc32 = crc32 + 1 WHERE chunk_id = 9"), "vectors"),
    "a vector with NaN": Damage(
        change("vectors_g1", "vector", "chunk_id = 9", put(np.float32("nan").tobytes(), 8), crc32=CRC), "vectors"
    ),
    "a vector of zeros": Damage(
        change("vectors_g1", "vector", "chunk_id = 9", lambda blob: bytes(len(blob)), crc32=CRC), "vectors"
    ),
    "a vector too short": Damage(
        change("vectors_g1", "vector", "chunk_id = 9", lambda blob: blob[:-4], crc32=CRC), "vectors"
    ),
    "a vector missing": Damage(execute("DELETE FROM vectors_g1 WHERE chunk_id = 9"), "vector ids"),
    "a vector and its code missing": Damage(
        execute("DELETE FROM vectors_g1 WHERE chunk_id = 9", "DELETE FROM codes_g1 WHERE chunk_id = 9"), "vector ids"
    ),
    "a vector of no chunk": Damage(
        execute("INSERT INTO vectors_g1 SELECT 999, vector, crc32 FROM vectors_g1 WHERE chunk_id = 9"), "vector ids"
    ),
    "a vector beside, damaged": Damage(change("vectors_g2", "vector", "chunk_id = 9", flip(5)), "vectors"),
    "all vectors gone": Damage(execute("DROP TABLE vectors_g1"), "tables"),
    "a code missing": Damage(execute("DELETE FROM codes_g1 WHERE chunk_id = 9"), "code ids"),
    "a code of no chunk": Damage(
        execute("INSERT INTO codes_g1 SELECT 999, code FROM codes_g1 WHERE chunk_id = 9"), "code ids"
    ),
    "a bit of a code": Damage(change("codes_g1", "code", "chunk_id = 9", flip(0)), "codes"),
    "a code too short": Damage(change("codes_g1", "code", "chunk_id = 9", lambda blob: blob[1:]), "codes"),
    # models
    "a byte of an adapter": Damage(change("models", "weights", "id = 2", flip(30)), "adapters"),
    "the pointer to nowhere": Damage(execute("UPDATE active SET model = 99"), "active model"),
    "no pointer": Damage(execute("DELETE FROM active"), "active model"),
    "a calibration": Damage(
        execute("UPDATE spaces SET calibration = '{}' WHERE number = 1"), "active model", mended=False
    ),
    "an adapter that serves without weights": Damage(
        execute("UPDATE models SET weights = NULL WHERE id = (SELECT model FROM active)"), "active model"
    ),
    "a part of an encoder": Damage(execute("DELETE FROM model_files WHERE part = 1"), "encoder files", mended=False),
    "the end of an encoder": Damage(execute("DELETE FROM model_files WHERE part = 2"), "encoder files", mended=False),
    "a byte of an encoder": Damage(
        change("model_files", "content", "part = 1", flip(10)), "encoder files", mended=False, deep=True
    ),
    # what was put in
    "the text of a chunk": Damage(
        execute(f"UPDATE chunks SET text = 'Grey' || substr(text, 5) WHERE id = {SOME_PART}"), "chunk texts"
    ),
    "the text of a chunk, no UTF-8": Damage(
        execute(
            f"UPDATE chunks SET text = CAST(x'41ff' || CAST(substr(text, 3) AS BLOB) AS TEXT) WHERE id = {SOME_PART}"
        ),
        "chunk texts",
    ),
    "the end of a chunk": Damage(
        execute(f'UPDATE chunks SET "end" = "end" - 1 WHERE id = {SOME_PART}'), "chunk texts", mended=False
    ),
    "the text of a document": Damage(
        change("documents", "text", "uri = 'pools'", flip(60)), "document texts", mended=False
    ),
    "another text of a document": Damage(
        change("documents", "text", "uri = 'tea'", lambda _: zlib.compress(b"Green tea at eighty degrees...")),
        "chunk texts",
        mended=False,
    ),
    "a chunk lost": Damage(execute(*REMOVE_CHUNK), "chunk order", mended=False),
    "a chunk misnumbered": Damage(
        execute(f"UPDATE chunks SET ordinal = 77 WHERE document_id = {TEXT_OF_TEA}"), "chunk order"
    ),
    "a hash": Damage(
        execute("UPDATE chunks SET content_hash = upper(content_hash) WHERE id = 9"),
        "chunk hashes",
        mended=False,
        deep=True,
    ),
    "broken metadata": Damage(
        execute(f"UPDATE documents SET metadata = '{{\"year\": ' WHERE id = {TEXT_OF_TEA}"), "json", mended=False
    ),
    "tags of another kind": Damage(execute("UPDATE documents SET tags = '{}' WHERE id = 1"), "json", mended=False),
    "a broken recipe": Damage(execute("UPDATE models SET scores = '[' WHERE id = 1"), "json", mended=False),
    "a time": Damage(execute("UPDATE documents SET updated_at = 1 << 60 WHERE id = 1"), "numbers", mended=False),
    "the vector of a logged query": Damage(execute("UPDATE queries SET vector = x'00' WHERE id = 1"), "logged queries"),
    "an answer that is gone": Damage(
        execute("UPDATE answers SET chunk_id = 999 WHERE rank = 1 AND query = 1"), "references"
    ),
    "a judgement of a chunk that is gone": Damage(
        execute("UPDATE feedback SET chunk_id = 999 WHERE chunk_id IS NOT NULL"), "references"
    ),
    "a document that is gone": Damage(execute("DELETE FROM documents WHERE uri = 'tea'"), "references", mended=False),
    # the file
    "a trigger": Damage(
        execute("CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM chunks; END"), "additions", mended=False
    ),
    "an index gone": Damage(execute("DROP INDEX documents_uri"), "tables"),
    "a table gone": Damage(execute("DROP TABLE slow_queries"), "tables", mended=False),
    "a page of documents": Damage(zero_page("documents"), "pages", mended=False),
    "a page of vectors": Damage(zero_page("vectors_g1"), "pages", mended=False),
    "a page of vectors beside": Damage(zero_page("vectors_g2"), "pages", mended=False),
    "a page of codes": Damage(zero_page("codes_g1"), "pages", mended=False),
    "a page of the keyword index": Damage(zero_page("chunks_fts_data"), "pages", mended=False),
    "a page of the forward index": Damage(zero_page("chunk_terms"), "pages", mended=False),
    "a page of an index": Damage(zero_page("sqlite_autoindex_chunks_1"), "pages", mended=False),
    "a page of chunks": Damage(zero_page("chunks"), "pages", mended=False),
    "half of the file": Damage(cut_off, "header", mended=False),
    "the header": Damage(
        lambda path: path.write_bytes(b"x" * 100 + path.read_bytes()[100:]) and None, "header", mended=False
    ),
    "no bytes": Damage(lambda path: path.write_bytes(b"") and None, "header", mended=False),
    "another application": Damage(
        execute("PRAGMA application_id = 7", "UPDATE documents SET pinned = 0"), "header", mended=False
    ),
    "a newer schema": Damage(
        execute("PRAGMA user_version = 9999", "UPDATE documents SET pinned = 0"), "header", mended=False
    ),
}
