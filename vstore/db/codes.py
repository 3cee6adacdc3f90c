"""Sign codes in memory: a process that goes on searching need not read their table each time.

They are loaded at the CODES_FROM_SEARCH-th search, never changed, and swapped whole. Whether they are still the file's
is asked in each search's own read transaction. A connection whose data version has not moved since it last knew has
nothing to ask. Otherwise new rows are read: a chunk comes with its code, is written once, and its id never used again,
so where there are as many chunks more as there are new rows, that is all that happened. Where it is not, some have
gone, and are searched for by halves. Codes that are missing or damaged are made of the vectors.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import apsw
import numpy as np
from numpy.typing import NDArray

from vstore import config, settings
from vstore.algebra import products
from vstore.db.connection import generation, run
from vstore.db.scope import Ids
from vstore.errors import ConfigError

if TYPE_CHECKING:
    from vstore.types import FloatArray, Space

_WORD = np.dtype("<u8")
# Multiplying ids by a large odd number scatters them over 32 bits; as SQL and as numpy, which must agree.
_FACTOR, _MASK = 2654435761, 4294967295
SCATTERED = f"(chunk_id * {_FACTOR}) & {_MASK}"


def scattered(ids: Ids) -> Ids:
    """Ids spread over 32 bits, as SCATTERED does in SQL: int64, of the same length."""
    return (ids * _FACTOR) & _MASK


def sampled(ids: Ids) -> Ids:
    """About BACKGROUND_SAMPLE of these ids: those whose scattered ids lie below a bound, which is a random sample."""
    return ids[scattered(ids) < sampled_below(len(ids))]


def sampled_below(count: int) -> int:
    """The bound for scattered ids, which are below 2 ** 32, that leaves about BACKGROUND_SAMPLE of so many."""
    return round(min(1.0, config.BACKGROUND_SAMPLE / max(1, count)) * 2**32)


def sign_code(vector: FloatArray) -> bytes:
    """One bit a dimension, set where the component is positive, padded to whole bytes."""
    return sign_codes(np.asarray(vector)[np.newaxis])[0]


def sign_codes(rows: FloatArray) -> list[bytes]:
    """The sign codes of many vectors, (n, dimension)."""
    return [code.tobytes() for code in np.packbits(rows > 0, axis=1, bitorder="little")]


def code_bytes(space: Space) -> int:
    """Bytes of a code."""
    return -(-space.dimension // 8)


@dataclass(eq=False)
class Codes:
    """The codes of one space: `ids`, ascending, (n,), and `words`, uint64 (words of a code, n).

    `sample` are ids, ascending, and vectors of chunks that stand for all of them, float32 (about 512, dimension), as
    they were last read: maybe for codes that these came from. None before that. `complete` says whether all chunks had
    a code; while a space is being filled they do not.
    """

    space: Space
    ids: Ids
    words: NDArray[np.uint64]
    sample: tuple[Ids, FloatArray] | None = None
    complete: bool = True

    @cached_property
    def sampled(self) -> Ids:
        """The ids of the chunks that stand for all of them."""
        return sampled(self.ids)

    def closest(self, code: bytes, limit: int, scope: Ids | None = None) -> Codes:
        """Those of the chunks in scope (None: all) that have the most signs in common with this one, `limit` of them.

        Where there are too many alike, the lowest ids.
        """
        (query,) = _words([code]).T
        places, distances = None, np.bitwise_count(self.words ^ query[:, None]).sum(axis=0, dtype=np.uint32)
        if scope is not None:
            places = np.flatnonzero(np.isin(self.ids, scope))
            distances = distances[places]
        up_to = np.cumsum(np.bincount(distances))  # codes at each distance or less
        edge = int(np.searchsorted(up_to, limit))
        kept = distances < edge
        kept[np.flatnonzero(distances == edge)[: limit - np.count_nonzero(kept)]] = True
        chosen = np.flatnonzero(kept) if places is None else places[kept]
        return Codes(self.space, self.ids[chosen], self.words[:, chosen])

    def likeliest(self, vector: FloatArray, limit: int) -> Ids:
        """The chunks, `limit` of them, whose signs agree with the components of a vector that weigh most.

        A vector is compared as it is with what is left of the others, which tells them apart better than its own signs
        do: Gordo and Perronnin, "Asymmetric distances for binary embeddings", CVPR 2011.
        """
        if len(self.ids) <= limit:
            return self.ids
        rows = np.ascontiguousarray(self.words.T).view(np.uint8)
        agreement = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), config.CODES_UNPACKED):
            some = slice(start, start + config.CODES_UNPACKED)
            signs = np.unpackbits(rows[some], axis=1, count=len(vector), bitorder="little").astype(np.float32)
            agreement[some] = products(signs, vector)
        return self.ids[np.argsort(-agreement, kind="stable")[:limit]]

    def without(self, chunk_ids: Ids) -> Codes:
        """The rest of them."""
        kept = ~np.isin(self.ids, chunk_ids)
        return Codes(self.space, self.ids[kept], self.words[:, kept], self.sample)

    def joined(self, rows: Sequence[tuple[int, bytes]]) -> Codes:
        """Together with further rows of the table."""
        if not rows:
            return self
        ids = np.concatenate([self.ids, np.array([chunk_id for chunk_id, _ in rows], dtype=np.int64)])
        new = _words([code for _, code in rows])
        words = np.concatenate([self.words, new], axis=1) if len(self.ids) else new
        if (np.diff(ids) < 0).any():
            order = np.argsort(ids)
            ids, words = ids[order], np.ascontiguousarray(words[:, order])
        return Codes(self.space, ids, words, self.sample)


class ResidentCodes:
    """The codes of the space that is searched, for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._searches = 0
        self._codes: Codes | None = None
        self._generation = 0  # of the content that they are of
        self.remark: str | None = None  # why they are not kept, when there are too many
        self._versions: WeakKeyDictionary[apsw.Connection, int] = WeakKeyDictionary()  # at which it has those codes

    def read(self, connection: apsw.Connection, space: Space, chunks: int) -> Codes | None:
        """The codes as this read transaction sees them, which sees so many chunks, each with a vector in the space.

        None as long as it is not worth while to keep them.
        """
        with self._lock:  # so that of many threads one loads
            self._searches += 1
            if self._searches < config.CODES_FROM_SEARCH:
                return None
            version, codes = connection.data_version("main"), self._codes
            known = self._versions.get(connection) == version
            content = self._generation if known else generation(connection)
            is_other = codes is not None and codes.space.fingerprint != space.fingerprint  # the number may be the same
            if is_other or content != self._generation:
                codes, known = None, False
            if known:  # also that they are too many
                return codes
            self.remark = self._too_many(space, chunks)
            codes = None if self.remark else _current(connection, codes or empty(space), chunks)
            if codes is not self._codes or content != self._generation:
                self._codes, self._generation = codes, content
                self._versions.clear()
            self._versions[connection] = version
            return codes

    def _too_many(self, space: Space, chunks: int) -> str | None:
        """Why the codes of so many chunks are not kept in memory; None when they are, or are not needed."""
        if chunks <= config.EXACT_SCAN_CHUNKS:
            return None
        needed = chunks * (8 + len(empty(space).words) * _WORD.itemsize) / 2**20
        if needed <= self._allowed:
            return None
        return (
            f"codes of {chunks:,} vectors take {needed:,.1f} MiB of memory, and the setting codes_mb allows "
            f"{self._allowed}; they are read from the file, which takes longer"
        )

    @cached_property
    def _allowed(self) -> int:
        """MiB, as set when a process first needs to know."""
        try:
            return settings.load().codes_mb
        except ConfigError:  # whatever else needs the settings reports it
            return config.CODES_MB


def empty(space: Space) -> Codes:
    """None yet."""
    words = -(-space.dimension // (8 * _WORD.itemsize))
    return Codes(space, np.empty(0, dtype=np.int64), np.empty((words, 0), dtype=_WORD))


def _current(connection: apsw.Connection, codes: Codes, chunks: int) -> Codes:
    """The codes of the table, of which these were there before."""
    table = f"codes_g{codes.space.number}"
    was_complete, codes = codes.complete, _appended(connection, _not_later(connection, codes, table), table)
    if was_complete:
        if len(codes.ids) != chunks:
            codes = codes.without(_gone(connection, table, codes.ids))
        if len(codes.ids) == chunks:
            return codes
    present = np.fromiter((row[0] for row in run(connection, "SELECT id FROM chunks")), dtype=np.int64)
    codes = codes.without(np.setdiff1d(codes.ids, present, assume_unique=True))
    missing = np.setdiff1d(present, codes.ids, assume_unique=True)
    for start in range(0, len(missing), config.CODES_AT_ONCE):
        codes = codes.joined(_made(connection, codes.space, missing[start : start + config.CODES_AT_ONCE]))
    return replace(codes, complete=len(codes.ids) == chunks)


def _not_later(connection: apsw.Connection, codes: Codes, table: str) -> Codes:
    """Without those that came in later: another thread's search may have been of a later moment than this one's."""
    ((last,),) = run(connection, f"SELECT ifnull(max(chunk_id), 0) FROM {table}")
    return codes.without(codes.ids[codes.ids > last]) if len(codes.ids) and codes.ids[-1] > last else codes


def _made(connection: apsw.Connection, space: Space, ids: Ids) -> list[tuple[int, bytes]]:
    """The codes of these chunks: those of the table, or, where these are missing or damaged, of the vectors."""
    sql = (
        "SELECT v.chunk_id, c.code, CASE length(c.code) WHEN ?1 THEN NULL ELSE v.vector END "
        f"FROM vectors_g{space.number} AS v LEFT JOIN codes_g{space.number} AS c ON c.chunk_id = v.chunk_id "
        "WHERE v.chunk_id IN (SELECT value FROM json_each(?2))"
    )
    rows = run(connection, sql, (code_bytes(space), json.dumps(ids.tolist())))
    return [(id_, code if vector is None else sign_code(np.frombuffer(vector, "<f4"))) for id_, code, vector in rows]


def _gone(connection: apsw.Connection, table: str, ids: Ids) -> Ids:
    """Those of these ids, ascending, that the table has no longer, where it has no others between the first and last.

    Counting the rows in a range says whether any of them is gone, and costs a tenth of reading them.
    """
    if not len(ids):
        return ids
    within, ends = f"FROM {table} WHERE chunk_id BETWEEN ? AND ?", (int(ids[0]), int(ids[-1]))
    if len(ids) <= config.CODES_COMPARED:
        return np.setdiff1d(ids, np.array(run(connection, f"SELECT chunk_id {within}", ends), dtype=np.int64))
    if run(connection, f"SELECT count(*) {within}", ends) == [(len(ids),)]:
        return ids[:0]
    middle = len(ids) // 2
    return np.concatenate([_gone(connection, table, half) for half in (ids[:middle], ids[middle:])])


def _appended(connection: apsw.Connection, codes: Codes, table: str) -> Codes:
    """With the rows that came after them, but damaged ones."""
    sql = f"SELECT chunk_id, code FROM {table} WHERE chunk_id > ? ORDER BY chunk_id LIMIT {config.CODES_AT_ONCE}"
    last = int(codes.ids[-1]) if len(codes.ids) else 0
    while rows := run(connection, sql, (last,)):
        codes = codes.joined([row for row in rows if len(row[1]) == code_bytes(codes.space)])
        last = rows[-1][0]
    return codes


def _words(codes: Sequence[bytes]) -> NDArray[np.uint64]:
    """Codes, padded to whole words, as columns: uint64 of shape (words of a code, n)."""
    width = -(-len(codes[0]) // _WORD.itemsize) * _WORD.itemsize
    padded = b"".join(codes) if width == len(codes[0]) else b"".join([code.ljust(width, b"\0") for code in codes])
    return np.ascontiguousarray(np.frombuffer(padded, dtype=_WORD).reshape(len(codes), -1).T)
