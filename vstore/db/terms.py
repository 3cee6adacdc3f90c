"""The forward index: which stems a chunk has and how often, as two small blobs beside the chunk.

A blob holds n stem ids (little-endian uint32, ascending) and then n counts (uint8, capped at 255), 5 bytes a distinct
stem. The id is the CRC-32 of the stem: no table of terms is needed, so nothing of a forgotten word stays behind. Two
stems share an id with probability 2.3e-10, which costs a score a little and loses nothing.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import chain, pairwise

import apsw
import numpy as np
from numpy.typing import NDArray

from vstore import config
from vstore.db.analysis import stems
from vstore.db.connection import run, run_many
from vstore.db.failures import decoding
from vstore.types import Term

_ID = np.dtype("<u4")
_BYTES_PER_STEM = 5

Entry = tuple[int, bytes, bytes]  # of a chunk: its length, and the blobs of its head and body columns


class _Ids(dict[str, int]):
    """Ids of stems, made when they are first asked for; a dictionary, for no function is called for those known."""

    def __missing__(self, stem: str) -> int:
        if len(self) >= config.STEM_IDS:
            self.clear()
        self[stem] = number = zlib.crc32(stem.encode("utf-8", "replace"))
        return number


_ids = _Ids()


def stem_id(stem: str) -> int:
    """The 32-bit id under which a stem is kept."""
    return _ids[stem]


def pack(lists: Sequence[Sequence[int]]) -> list[bytes]:
    """A blob for each of these lists of stem ids, in which an id is as often as the stem occurs."""
    sizes = [len(ids) for ids in lists]
    ids = np.fromiter(chain.from_iterable(lists), dtype=np.int64, count=sum(sizes))
    numbers = np.arange(len(lists) + 1) << 32
    keys, counts = np.unique(np.repeat(numbers[:-1], sizes) | ids, return_counts=True)
    distinct, capped = (keys & 0xFFFFFFFF).astype(_ID), np.minimum(counts, 255).astype(np.uint8)
    ends = np.searchsorted(keys, numbers).tolist()
    return [distinct[start:end].tobytes() + capped[start:end].tobytes() for start, end in pairwise(ends)]


def unpack(blob: bytes) -> dict[int, int]:
    """The stem ids of a blob and their counts."""
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


def put(connection: apsw.Connection, chunk_ids: Sequence[int], entries: Sequence[Entry]) -> None:
    """Write the forward index of chunks."""
    sql = "INSERT INTO chunk_terms (chunk_id, length, head, body) VALUES (?, ?, ?, ?)"
    run_many(connection, sql, [(chunk_id, *entry) for chunk_id, entry in zip(chunk_ids, entries, strict=True)])


def entries(tokenize: apsw.FTS5Tokenizer, chunks: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[Entry]:
    """The forward index of chunks, each given by the texts of its head and of its body columns."""
    ids = [_stem_ids(tokenize, texts) for columns in chunks for texts in columns]
    blobs = pack(ids)
    lengths = (len(head) + len(body) for head, body in zip(ids[::2], ids[1::2], strict=True))
    return [*zip(lengths, blobs[::2], blobs[1::2], strict=True)]


def _stem_ids(tokenize: apsw.FTS5Tokenizer, texts: Sequence[str]) -> list[int]:
    return [*map(_ids.__getitem__, chain.from_iterable(stems(tokenize, text) for text in texts if text))]


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
