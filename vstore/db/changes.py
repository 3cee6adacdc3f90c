"""What makes a new version of a document out of the stored one: which chunks are kept, added and removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import apsw

from vstore.db import vectors
from vstore.db.clock import now
from vstore.db.connection import run
from vstore.db.expiry import LIVE
from vstore.errors import VectorMissingError
from vstore.types import Chunk, Document, Space, WriteOutcome

if TYPE_CHECKING:
    from vstore.types import FloatArray

ONE_DOCUMENT = "d.uri = ? AND d.collection_id = (SELECT id FROM collections WHERE name = ?)"


@dataclass(frozen=True)
class Version:
    """What tells one version of a document in the file from the others, without its chunks; all None and 0 for none."""

    document_id: int | None = None
    content_hash: str | None = None
    title: str | None = None
    last: int | None = None  # of the ids of its chunks, none of which is ever used again
    count: int = 0  # of its chunks

    @classmethod
    def of(cls, connection: apsw.Connection, collection: str, uri: str) -> Version:
        """The version that is there, which may be none."""
        # One that has expired has no hash, so that whoever puts in the same again gets it back.
        hash_ = f"CASE WHEN {LIVE} THEN d.content_hash END"
        sql = (
            f"SELECT d.id, {hash_}, d.title, max(c.id), count(c.id) FROM documents AS d "
            f"LEFT JOIN chunks AS c ON c.document_id = d.id WHERE {ONE_DOCUMENT} GROUP BY d.id"
        )
        rows = run(connection, sql, (now(), uri, collection))
        return cls(*rows[0]) if rows else cls()


@dataclass
class Stored:
    """A version of a document that is in the file, with its chunks."""

    version: Version
    # (content hash, heading, text) -> ids: the hash alone sees only as much of a long heading as the embedder does
    chunks: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    by_hash: dict[str, int] = field(default_factory=dict)  # one chunk for each hash
    places: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # ordinal, start and end of each chunk

    @classmethod
    def load(cls, connection: apsw.Connection, version: Version) -> Stored:
        """The chunks of a version, of which there are none where it is none."""
        stored = cls(version)
        columns = 'id, ordinal, start, "end", content_hash, heading, text'
        sql = f"SELECT {columns} FROM chunks WHERE document_id = ? ORDER BY ordinal"
        for chunk_id, ordinal, start, end, *key in run(connection, sql, (version.document_id,)):
            stored.chunks.setdefault(tuple(key), []).append(chunk_id)
            stored.by_hash.setdefault(key[0], chunk_id)
            stored.places[chunk_id] = ordinal, start, end
        return stored

    def match(self, title: str, chunks: Sequence[Chunk]) -> tuple[list[tuple[int, Chunk]], list[Chunk], list[int]]:
        """What a new version keeps of the chunks, with their ids; what it adds; and the ids of what it has no more."""
        kept, added = [], []
        left = {key: list(ids) for key, ids in self.chunks.items()}
        for chunk in chunks:
            ids = left.get((chunk.content_hash, chunk.heading, chunk.text))
            if ids and title == self.version.title:
                kept.append((ids.pop(0), chunk))
            else:
                added.append(chunk)
        return kept, added, [chunk_id for ids in left.values() for chunk_id in ids]


@dataclass(frozen=True)
class Change:
    """What makes a new version of a document out of the stored one, if there is any."""

    document: Document
    chunks: Sequence[Chunk]  # all of the new version
    old: Stored
    kept: list[tuple[int, Chunk]]  # chunks that are there already, with their ids
    added: list[Chunk]
    removed: list[int]  # ids of chunks that the new version does not have

    @classmethod
    def of(cls, connection: apsw.Connection, version: Version, document: Document, chunks: Sequence[Chunk]) -> Change:
        """The change of the version that this transaction sees."""
        old = Stored.load(connection, version)
        return cls(document, chunks, old, *old.match(document.title, chunks))

    def again(self, connection: apsw.Connection) -> Change:
        """The change as another transaction sees it: the same, unless somebody wrote the document in between."""
        version = Version.of(connection, self.document.collection, self.document.uri)
        return self if version == self.old.version else Change.of(connection, version, self.document, self.chunks)

    def with_nothing_kept(self) -> Change:
        """The same new version, of chunks that are all written anew."""
        return replace(self, kept=[], added=list(self.chunks), removed=[*self.removed, *(id_ for id_, _ in self.kept)])

    @property
    def outcome(self) -> WriteOutcome:
        """What making it comes to."""
        old = self.old.version.content_hash
        if old is None:
            return "added"
        return "unchanged" if old == self.document.content_hash else "updated"

    @property
    def moved(self) -> list[tuple[int, Chunk]]:
        """What is kept, but in another place."""
        places = self.old.places
        return [(id_, chunk) for id_, chunk in self.kept if places[id_] != (chunk.ordinal, chunk.start, chunk.end)]

    @property
    def size(self) -> int:
        """How many chunks have to be written or removed."""
        return 0 if self.outcome == "unchanged" else len(self.added) + len(self.removed)

    @property
    def placed(self) -> int:
        """How many chunks are given another document or another place when the new version is shown."""
        return self.size + len(self.moved)

    def vector(
        self, connection: apsw.Connection, space: Space, chunk: Chunk, new_vectors: Mapping[str, FloatArray]
    ) -> FloatArray:
        """The vector of a chunk that is added: a new one, or that of an old chunk with the same hash."""
        vector = new_vectors.get(chunk.content_hash)
        if vector is None and (same := self.old.by_hash.get(chunk.content_hash)) is not None:
            vector = vectors.get(connection, space, same)
        if vector is None:
            raise VectorMissingError(
                f"chunk {chunk.ordinal} of {self.document.uri} came without a vector, for the document was changed by "
                "somebody else meanwhile; add it again"
            )
        return vector
