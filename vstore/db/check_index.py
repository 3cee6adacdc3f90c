"""Checks of what is derived from the words of chunks: the keyword index and the forward index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import apsw
import numpy as np

from vstore.db import terms
from vstore.db.analysis import extra_text, tokenizer
from vstore.db.check_scan import Fault, Invariant, Scan, Tallies, Tally, stream
from vstore.db.connection import run

KEYWORDS = "chunks_fts"
SHADOWS = ("data", "idx", "docsize", "config")

# --- the keyword index ------------------------------------------------------------------------------------------------


def _ids(scan: Scan) -> Iterator[Fault]:
    sql = "SELECT id FROM chunks AS c WHERE NOT EXISTS (SELECT 1 FROM chunks_fts_docsize WHERE id = c.id)"
    for (chunk_id,) in scan.rows(sql):
        yield Fault("a chunk is not in the keyword index", f"chunk {chunk_id}", True)
    sql = "SELECT id FROM chunks_fts_docsize AS d WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE id = d.id)"
    for (chunk_id,) in scan.rows(sql):
        yield Fault("the keyword index has a chunk that is gone", f"chunk {chunk_id}", True)


def _words(scan: Scan) -> Iterator[Fault]:
    if not in_step(scan.connection):
        yield Fault("what the keyword index has of the chunks is not what they say", mendable=True)


def in_step(connection: apsw.Connection) -> bool:
    """Whether the keyword index has each word of each chunk at its place, and nothing else.

    Only FTS5's integrity-check with a rank of 1 compares the two, and it is a statement that needs a table to be
    written to. So the index is copied into a temporary table, beside a view of the text, and checked there.
    """
    with _copied(connection):
        try:
            run(connection, f"INSERT INTO temp.{KEYWORDS} ({KEYWORDS}, rank) VALUES ('integrity-check', 1)")
        except apsw.CorruptError:
            return False
        except apsw.SQLError as error:
            if "fts5 file format" in str(error):
                return False
            raise
    return True


@contextmanager
def _copied(connection: apsw.Connection) -> Iterator[None]:
    ((sql,),) = run(connection, "SELECT sql FROM main.sqlite_schema WHERE name = ?", (KEYWORDS,))
    run(connection, "CREATE TEMP VIEW chunks_indexed AS SELECT * FROM main.chunks_indexed")
    run(connection, str(sql).replace(KEYWORDS, f"temp.{KEYWORDS}", 1))
    try:
        for shadow in SHADOWS:
            run(connection, f"DELETE FROM temp.{KEYWORDS}_{shadow}")
            run(connection, f"INSERT INTO temp.{KEYWORDS}_{shadow} SELECT * FROM main.{KEYWORDS}_{shadow}")
        yield
    finally:
        run(connection, f"DROP TABLE temp.{KEYWORDS}")
        run(connection, "DROP VIEW temp.chunks_indexed")


def _secure_delete(scan: Scan) -> Iterator[Fault]:
    if run(scan.connection, "SELECT v FROM chunks_fts_config WHERE k = 'secure-delete'") != [(1,)]:
        yield Fault("words of forgotten documents would stay in the keyword index", mendable=True)


# --- the forward index ------------------------------------------------------------------------------------------------


def _forward_ids(scan: Scan) -> Iterator[Fault]:
    sql = "SELECT id FROM chunks AS c WHERE NOT EXISTS (SELECT 1 FROM chunk_terms WHERE chunk_id = c.id)"
    for (chunk_id,) in scan.rows(sql):
        yield Fault("a chunk is not in the forward index", f"chunk {chunk_id}", True)
    sql = "SELECT chunk_id FROM chunk_terms AS t WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE id = t.chunk_id)"
    for (chunk_id,) in scan.rows(sql):
        yield Fault("the forward index has a chunk that is gone", f"chunk {chunk_id}", True)


def _forward(scan: Scan) -> Iterator[Fault]:
    sql = "SELECT chunk_id, ifnull(length, -1), ifnull(head, x''), ifnull(body, x'') FROM chunk_terms"
    for batch in scan.batches(sql):
        for chunk_id in malformed(batch):
            yield Fault("an entry of the forward index is damaged", f"chunk {chunk_id}", True)


def malformed(rows: list[tuple[int, int, bytes, bytes]]) -> list[int]:
    """The chunks whose entries cannot be: blobs that are cut off or not in order, a length that is not their sum."""
    whole = [row for row in rows if len(row[2]) % 5 == 0 and len(row[3]) % 5 == 0]
    broken = [row[0] for row in rows if len(row[2]) % 5 or len(row[3]) % 5]
    if not whole:
        return broken
    ids = np.array([row[0] for row in whole])
    lengths = np.array([row[1] for row in whole])
    (heads, head_sound, capped), (bodies, body_sound, also) = (
        _summed([row[2] for row in whole]),
        _summed([row[3] for row in whole]),
    )
    total = heads + bodies
    fits = np.where(capped | also, total <= lengths, total == lengths)  # a count of 255 may stand for more
    broken += ids[~(fits & head_sound & body_sound)].tolist()
    return broken


def _summed(blobs: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each blob the sum of its counts, whether ids ascend and counts are above 0, whether a count is at its cap."""
    ids, counts, ends = terms.joined(blobs)
    starts = np.concatenate([[0], ends[:-1]])
    begins = np.zeros(len(ids), dtype=bool)
    begins[starts[starts < ends]] = True
    falls = np.concatenate([[False], np.diff(ids.astype(np.int64)) <= 0]) if len(ids) else np.zeros(0, dtype=bool)
    wrong = (falls & ~begins) | (counts == 0)

    def summed(values: np.ndarray) -> np.ndarray:
        running = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        return np.asarray(running[ends] - running[starts])

    return summed(counts), summed(wrong) == 0, summed(counts == 255) > 0


@dataclass(frozen=True, slots=True)
class Words:
    """A chunk with what its words give, and what the file has of that."""

    chunk_id: int
    extra: str
    entry: tuple[int, bytes, bytes]
    kept_extra: str
    kept_entry: tuple[int | None, bytes | None, bytes | None]

    @property
    def is_right(self) -> bool:
        """Whether the file has what the words give."""
        return (self.extra, self.entry) == (self.kept_extra, self.kept_entry)


def words(connection: apsw.Connection, after: int = 0, limit: int = -1) -> Iterator[Words]:
    """The first `limit` chunks (-1: all) with ids above `after` whose documents are there."""
    sql = (
        "SELECT c.id, CAST(d.title AS BLOB), CAST(c.heading AS BLOB), CAST(c.text AS BLOB), CAST(c.extra AS BLOB), "
        "t.length, t.head, t.body FROM chunks AS c JOIN documents AS d ON d.id = c.document_id "
        "LEFT JOIN chunk_terms AS t ON t.chunk_id = c.id WHERE c.id > ? ORDER BY c.id LIMIT ?"
    )
    tokenize = tokenizer(connection)
    for chunk_id, *blobs, length, head, body in stream(connection, sql, after, limit):
        title, heading, text, kept = ((blob or b"").decode("utf-8", "replace") for blob in blobs)
        extra = extra_text(tokenize, "\n".join((title, heading, text)))
        (entry,) = terms.entries(tokenize, [((title, heading), (text, extra))])
        yield Words(chunk_id, extra, entry, kept, (length, head, body))


def _of_words(scan: Scan) -> Tallies:
    found = {name: Tally() for name in ("extra words", "forward words")}
    for chunk in words(scan.connection):
        name = f"chunk {chunk.chunk_id}"
        if chunk.extra != chunk.kept_extra:
            found["extra words"].add(Fault("the further words of a chunk are not what its text gives", name, True))
        if chunk.kept_entry[0] is not None and chunk.kept_entry != chunk.entry:
            found["forward words"].add(Fault("an entry is not what its chunk says", name, True))
    return found


_ANEW = "vstore check --repair makes it anew"
_FTS = (KEYWORDS, *(f"{KEYWORDS}_{shadow}" for shadow in SHADOWS))
_CONTENT = ("chunks", "documents", "chunks_indexed")
INVARIANTS = (
    Invariant(
        "keyword ids",
        "the keyword index has every chunk, and no other",
        _ANEW,
        _ids,
        ("chunks", *_FTS),
        derived=True,
    ),
    Invariant(
        "keyword words",
        "the keyword index has every word of every chunk at its place, and no other",
        _ANEW,
        _words,
        (*_CONTENT, *_FTS),
        deep=True,
        derived=True,
    ),
    Invariant(
        "secure delete",
        "the keyword index keeps nothing of what is forgotten",
        _ANEW,
        _secure_delete,
        _FTS,
        derived=True,
    ),
    Invariant(
        "extra words",
        "the further words of every chunk are what its text gives",
        _ANEW,
        _of_words,
        (*_CONTENT, "chunk_terms"),
        deep=True,
        derived=True,
    ),
    Invariant(
        "forward ids",
        "the forward index has every chunk, and no other",
        _ANEW,
        _forward_ids,
        ("chunks", "chunk_terms"),
        derived=True,
    ),
    Invariant(
        "forward entries",
        "the entries of the forward index are whole",
        _ANEW,
        _forward,
        ("chunk_terms",),
        derived=True,
    ),
    Invariant(
        "forward words",
        "every entry of the forward index is what its chunk says",
        _ANEW,
        _of_words,
        (*_CONTENT, "chunk_terms"),
        deep=True,
        derived=True,
    ),
)
