"""Checks of what was put in, the documents and their chunks, and of the values of all other rows."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import apsw
import numpy as np

from vstore import config
from vstore.db.check_scan import Fault, Invariant, Scan, Tallies, Tally, stream
from vstore.db.expiry import DRAFT

# --- documents and chunks ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk as the file has it; texts that are no UTF-8 are None."""

    id: int
    ordinal: int
    start: int
    end: int
    heading: str | None
    text: str | None
    content_hash: str | None


@dataclass(slots=True)
class Whole:
    """A document with its chunks in their order; `text` is None when it cannot be read."""

    id: int
    uri: str
    title: str | None
    text: str | None
    pieces: list[Piece]
    draft: bool  # that is not whole yet, or not any more: see db/drafts.py

    def cut(self, piece: Piece) -> str | None:
        """What the document's text has at the place of a chunk; None when there is no such place."""
        if self.text is None or not 0 <= piece.start < piece.end <= len(self.text):
            return None
        return self.text[piece.start : piece.end]

    @property
    def gaps(self) -> list[str]:
        """The text before, between and behind the chunks, in the order of their places."""
        assert self.text is not None
        at, found = 0, []
        for piece in sorted(self.pieces, key=lambda piece: (piece.start, piece.end)):
            found.append(self.text[at : piece.start])
            at = piece.end
        return [*found, self.text[at:]]


def wholes(connection: apsw.Connection, document_id: int | None = None) -> Iterator[Whole]:
    """Every document, or this one, with its chunks."""
    documents = (
        f"SELECT id, CAST(uri AS BLOB), CAST(title AS BLOB), text, expires_at IS {DRAFT} AND NOT pinned FROM documents "
        f"{'' if document_id is None else 'WHERE id = ?'} ORDER BY id"
    )
    chunks = (
        'SELECT id, ifnull(ordinal, -1), ifnull(start, -1), ifnull("end", -1), '
        "CAST(heading AS BLOB), CAST(text AS BLOB), CAST(content_hash AS BLOB) "
        "FROM chunks WHERE document_id = ? ORDER BY ordinal"
    )
    for id_, uri, title, text, draft in stream(connection, documents, *(() if document_id is None else (document_id,))):
        pieces = [
            Piece(*place, *(_decoded(part) for part in parts))
            for *place, parts in ((*row[:4], row[4:]) for row in stream(connection, chunks, id_))
        ]
        names = _decoded(uri) or f"document {id_}", _decoded(title)
        yield Whole(id_, *names, _unpacked(text), pieces, bool(draft))


def _decoded(blob: bytes | None) -> str | None:
    """A text, None when it is none; NULL, which no column may hold, is what is left of some damaged rows."""
    try:
        return blob.decode("utf-8") if blob is not None else None
    except UnicodeDecodeError:
        return None


def _unpacked(blob: bytes | None) -> str | None:
    try:
        return _decoded(zlib.decompress(blob)) if blob is not None else None
    except zlib.error:
        return None


class Witness:
    """Says by a chunk's hash whether a text was that chunk's.

    The hash was made of the text with what stood before it when it was embedded (see `Chunker.embedding_text`): the
    title, which may have lost its end, and the heading path, which may have lost its beginning, by a model's own
    tokens. Without that model every place is tried, the likely ones first: CHECK_PREFIXES for a chunk, until
    CHECK_PREFIXES_IN_VAIN were tried for chunks that none fits.
    """

    def __init__(self) -> None:
        self._left = config.CHECK_PREFIXES_IN_VAIN
        # Of the last that was proven, for the next chunk mostly has the same ones: title and heading, and what was seen
        self._names = self._seen = ("", "")

    def proves(self, whole: Whole, piece: Piece, text: str | None) -> bool:
        """Whether this was the chunk's text, under this title and heading."""
        if text is None or whole.title is None or piece.heading is None:
            return False
        names, encoded = (whole.title, piece.heading), text.encode()
        tried = 0
        for seen in islice(self._trimmed(*names), 2 + max(0, min(config.CHECK_PREFIXES, self._left))):
            prefix = "".join(f"{part}\n" for part in seen if part).encode()
            if hashlib.sha256(prefix + encoded).hexdigest() == piece.content_hash:
                self._names, self._seen = names, seen
                return True
            tried += 1
        self._left -= tried
        return False

    def _trimmed(self, title: str, heading: str) -> Iterator[tuple[str, str]]:
        """Title and heading as they are, then with either cut, then with both."""
        if self._names == (title, heading):
            yield self._seen
        yield title, heading
        titles = [title[:end].strip() for end in range(len(title), -1, -1)]
        headings = [heading[start:].strip() for start in range(len(heading) + 1)]
        yield from ((title, path) for path in headings)
        yield from ((name, heading) for name in titles)
        if self._names[0] == title:
            yield from ((self._seen[0], path) for path in headings)
        yield from ((name, path) for path in headings for name in titles)


def _of_documents(scan: Scan) -> Tallies:
    found = {name: Tally() for name in ("document texts", "chunk texts", "chunk order", "chunk hashes")}
    witness = Witness()
    for whole in wholes(scan.connection):
        if whole.text is None:
            found["document texts"].add(Fault("the text of a document cannot be unpacked", whole.uri))
        else:
            for name, fault in _of_chunks(whole, witness, hashes=scan.deep):
                found[name].add(fault)
        if not whole.draft and [piece.ordinal for piece in whole.pieces] != list(range(len(whole.pieces))):
            certain = renumbered(whole) is not None
            what = "chunks are numbered wrongly" if certain else "chunks are missing, or numbered wrongly"
            found["chunk order"].add(Fault(what, whole.uri, certain))
    return found


def _of_chunks(whole: Whole, witness: Witness, *, hashes: bool) -> Iterator[tuple[str, Fault]]:
    """The faults of the chunks of a document whose text can be read."""
    for piece in whole.pieces:
        cut = whole.cut(piece)
        if cut == piece.text is not None:
            if hashes and not witness.proves(whole, piece, cut):
                what = "title, heading or hash of a chunk is not what it was"
                yield "chunk hashes", Fault(what, f"chunk {piece.id} of {whole.uri}")
            continue
        name = f"chunk {piece.id} of {whole.uri}"
        if witness.proves(whole, piece, cut):
            yield "chunk texts", Fault("a chunk's text is damaged, its document's is not", name, True)
        elif witness.proves(whole, piece, piece.text):
            yield "chunk texts", Fault("a document's text, or the place of a chunk in it, is damaged", name)
        else:
            what = "a chunk is not what its document has at that place, and nothing says which is right"
            yield "chunk texts", Fault(what, name)


def suspects(connection: apsw.Connection) -> set[int]:
    """The chunks whose hash does not say that title, heading and text are what they were: nothing is made of them."""
    witness = Witness()
    return {
        piece.id
        for whole in wholes(connection)
        for piece in whole.pieces
        if not witness.proves(whole, piece, piece.text)
    }


def renumbered(whole: Whole) -> list[Piece] | None:
    """The chunks in the order that their ordinals should have, None when a chunk may be missing."""
    if whole.text is None or any(whole.cut(piece) != piece.text for piece in whole.pieces):
        return None
    if any(gap.strip() for gap in whole.gaps):
        return None
    return sorted(whole.pieces, key=lambda piece: piece.start)


# --- values of rows ---------------------------------------------------------------------------------------------------

# JSON that the schema has a constraint for, looked at in SQL; no number of documents has to fit in memory.
_CONSTRAINED = (("documents", "metadata", "object"), ("documents", "tags", "array"))
_DICTIONARIES: Mapping[str, tuple[str, ...]] = {
    "spaces": ("calibration",),
    "models": ("recipe", "scores", "calibration"),
    "slow_queries": ("timings",),
    "refine_runs": ("configuration", "report"),
    "refine_queries": ("figures",),
}
_TIMES = (
    ("collections", "created_at"),
    ("documents", "created_at"),
    ("documents", "updated_at"),
    ("documents", "expires_at"),
    ("spaces", "created_at"),
    ("models", "created_at"),
    ("queries", "first_asked"),
    ("queries", "last_asked"),
    ("feedback", "given_at"),
    ("refine_runs", "started_at"),
    ("refine_runs", "finished_at"),
    ("refine_runs", "lease_until"),
    ("slow_queries", "asked_at"),
)
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # the years 1 and 9999, all that Python's datetime has
_RANGES = (("feedback", "grade", 0, 3), ("queries", "times", 1, 2**62), ("documents", "pinned", 0, 1))


def _json(scan: Scan) -> Iterator[Fault]:
    for table, column, kind in _CONSTRAINED:
        sound = f"CASE WHEN json_valid({column}) THEN json_type({column}) = ? ELSE 0 END"
        for (rowid,) in scan.rows(f"SELECT id FROM {table} WHERE NOT {sound}", kind):
            yield Fault(f"{table}.{column} is no JSON {kind}", f"{table} {rowid}")
    for table, columns in _DICTIONARIES.items():
        for column in sorted(scan.columns(table).intersection(columns)):
            sql = f"SELECT rowid, CAST({column} AS BLOB) FROM {table} WHERE {column} IS NOT NULL"
            for rowid, value in scan.rows(sql):
                if not _is_dictionary(value):
                    yield Fault(f"{table}.{column} is no JSON object", f"{table} {rowid}")


def _is_dictionary(value: bytes) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


def _times(scan: Scan) -> Iterator[Fault]:
    for table, column in _TIMES:
        if column in scan.columns(table):
            sql = f"SELECT rowid FROM {table} WHERE {column} NOT BETWEEN ? AND ?"
            for (rowid,) in scan.rows(sql, _FIRST_MS, _LAST_MS):
                yield Fault(f"{table}.{column} is no time", f"{table} {rowid}")
    for table, column, least, most in _RANGES:
        if column in scan.columns(table):
            for (rowid,) in scan.rows(f"SELECT rowid FROM {table} WHERE {column} NOT BETWEEN ? AND ?", least, most):
                yield Fault(f"{table}.{column} is out of range", f"{table} {rowid}")


def _queries(scan: Scan) -> Iterator[Fault]:
    for query_id in damaged_queries(scan):
        yield Fault("the vector of a logged query is damaged", f"queries {query_id}", mendable=True)


def damaged_queries(scan: Scan) -> Iterator[int]:
    """The logged queries whose vectors are of no use, by id."""
    if "vector" not in scan.columns("queries"):
        return
    sql = (
        "SELECT q.id, q.vector, s.dimension FROM queries AS q LEFT JOIN spaces AS s ON s.number = q.space "
        "WHERE q.vector IS NOT NULL OR q.space IS NOT NULL"
    )
    for id_, vector, dimension in scan.rows(sql):
        if dimension is None or vector is None or len(vector) != 4 * dimension or not _finite(vector):
            yield id_


def _finite(blob: bytes) -> bool:
    return bool(np.isfinite(np.frombuffer(blob, dtype="<f4")).all())


_AGAIN = "the text is lost here: restore a backup, or forget these documents and add their sources again"
INVARIANTS = (
    Invariant(
        "document texts", "the text of every document can be unpacked", _AGAIN, _of_documents, ("documents", "chunks")
    ),
    Invariant(
        "chunk texts",
        "every chunk is what its document's text has at its place",
        "restore a backup, or forget these documents and add their sources again",
        _of_documents,
        ("documents", "chunks"),
    ),
    Invariant(
        "chunk order",
        "the chunks of every document are numbered from 0 on without a gap",
        "restore a backup, or forget these documents and add their sources again",
        _of_documents,
        ("documents", "chunks"),
    ),
    Invariant(
        "chunk hashes",
        "every chunk's hash is that of its title, heading and text",
        "forget these documents and add their sources again",
        _of_documents,
        ("documents", "chunks"),
        deep=True,
    ),
    Invariant(
        "json",
        "metadata, tags, recipes, figures and the like are JSON of the right kind",
        "forget these documents and add them again; for other rows restore a backup",
        _json,
        ("documents",),
    ),
    Invariant(
        "numbers",
        "times are times, grades are grades",
        "forget these documents and add them again; for other rows restore a backup",
        _times,
        ("documents", "queries", "feedback"),
    ),
    Invariant(
        "logged queries",
        "the vectors of logged queries belong to a space and are whole",
        "erase the log: vstore stats --search --reset",
        _queries,
        ("queries", "spaces"),
        derived=True,
    ),
)
