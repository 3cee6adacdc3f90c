"""The forward index: which stems a chunk has and how often, as two small blobs beside the chunk.

A blob holds n stem ids (little-endian uint32, ascending) and then n counts (uint8, capped at 255), 5 bytes a distinct
stem. The id is the CRC-32 of the stem: no table of terms is needed, so nothing of a forgotten word stays behind. Two
stems share an id with probability 2.3e-10, which costs a score a little and loses nothing.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain

import apsw
import numpy as np
from numpy.typing import NDArray

from vstore import config
from vstore.db.analysis import stems
from vstore.db.connection import run
from vstore.db.failures import decoding
from vstore.types import Term

_ID = np.dtype("<u4")
_BYTES_PER_STEM = 5


@lru_cache(config.STEM_IDS)
def stem_id(stem: str) -> int:
    """The 32-bit id under which a stem is kept."""
    return zlib.crc32(stem.encode("utf-8", "replace"))


def pack(counts: Mapping[int, int]) -> bytes:
    """Stem ids and their counts as a blob."""
    ids = np.fromiter(counts.keys(), dtype=_ID, count=len(counts))
    capped = np.minimum(np.fromiter(counts.values(), dtype=np.int64, count=len(counts)), 255).astype(np.uint8)
    order = np.argsort(ids)
    return ids[order].tobytes() + capped[order].tobytes()


def unpack(blob: bytes) -> dict[int, int]:
    """The inverse of `pack`, up to the cap on counts."""
    ids, counts, _ = joined([blob])
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


@decoding
def joined(blobs: Sequence[bytes]) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.intp]]:
    """The stem ids and counts of many blobs in a row, and for each blob the place at which the next one begins."""
    sizes = [len(blob) // _BYTES_PER_STEM for blob in blobs]
    ids = b"".join([blob[: 4 * n] for blob, n in zip(blobs, sizes, strict=True)])
    counts = b"".join([blob[4 * n :] for blob, n in zip(blobs, sizes, strict=True)])
    return np.frombuffer(ids, dtype=_ID), np.frombuffer(counts, dtype=np.uint8), np.cumsum(sizes, dtype=np.intp)


def holders(stem_ids: Sequence[int], rows: Sequence[tuple[bytes, bytes]]) -> Counter[int]:
    """How many of these chunks, each given by its head and body, have each of the stems."""
    wanted = np.array(stem_ids, dtype=_ID)
    pairs = []
    for blobs in zip(*rows, strict=True):
        ids, _, ends = joined(blobs)
        hits = np.flatnonzero(np.isin(ids, wanted))
        chunks = np.searchsorted(ends, hits, side="right")
        pairs.append(chunks << 32 | ids[hits])
    once = np.unique(np.concatenate(pairs)) if pairs else np.empty(0, dtype=np.int64)
    return Counter((once & 0xFFFFFFFF).tolist())


def put(
    connection: apsw.Connection, tokenize: apsw.FTS5Tokenizer, chunk_id: int, head: Sequence[str], body: Sequence[str]
) -> None:
    """Write the forward index of one chunk from the texts of its head and body columns."""
    run(
        connection,
        "INSERT INTO chunk_terms (chunk_id, length, head, body) VALUES (?, ?, ?, ?)",
        (chunk_id, *entry(tokenize, head, body)),
    )


def entry(tokenize: apsw.FTS5Tokenizer, head: Sequence[str], body: Sequence[str]) -> tuple[int, bytes, bytes]:
    """The forward index of one chunk: its length, and the blobs of its head and body columns."""
    head_counts, body_counts = _stem_counts(tokenize, head), _stem_counts(tokenize, body)
    return head_counts.total() + body_counts.total(), pack(head_counts), pack(body_counts)


def _stem_counts(tokenize: apsw.FTS5Tokenizer, texts: Sequence[str]) -> Counter[int]:
    return Counter(map(stem_id, chain.from_iterable(stems(tokenize, text) for text in texts)))


@decoding
def matched(connection: apsw.Connection, terms: Sequence[Term], chunk_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """For each chunk the texts of those terms that occur in it, in the order of the terms."""
    found: dict[int, tuple[str, ...]] = {}
    ids = [(term.text, stem_id(term.stem)) for term in terms]
    sql = "SELECT chunk_id, head, body FROM chunk_terms WHERE chunk_id IN (SELECT value FROM json_each(?))"
    for chunk_id, head, body in run(connection, sql, (json.dumps(list(chunk_ids)),)):
        present = unpack(head).keys() | unpack(body).keys()
        found[chunk_id] = tuple(text for text, stem in ids if stem in present)
    return found
