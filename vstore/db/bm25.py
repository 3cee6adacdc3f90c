"""BM25 of any chunk for any terms, from the forward index: the scores FTS5's own bm25() gives, without asking it.

Source: Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond", 2009, with the choices FTS5
makes: k1 = 1.2, b = 0.75, and an IDF of at least 1e-6.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import apsw
import numpy as np

from vstore import config
from vstore.db.connection import run
from vstore.db.failures import decoding
from vstore.db.terms import joined, stem_id
from vstore.types import Term

_K1 = 1.2
_B = 0.75
_SMALLEST_IDF = 1e-6
_AVERAGES = 1  # the row of FTS5's data table that keeps the number of rows and the tokens of each column


@decoding
def score(connection: apsw.Connection, terms: Sequence[Term], chunk_ids: Sequence[int]) -> dict[int, float]:
    """See `Snapshot.bm25`."""
    sql = "SELECT chunk_id, length, head, body FROM chunk_terms WHERE chunk_id IN (SELECT value FROM json_each(?))"
    rows = run(connection, sql, (json.dumps(list(chunk_ids)),))
    if not rows or not terms:
        return {row[0]: 0.0 for row in rows}
    found, lengths, heads, bodies = zip(*rows, strict=True)
    chunks, tokens = totals(connection)
    saturation = _K1 * (1.0 - _B + _B * np.array(lengths) * chunks / tokens)
    scores = np.zeros(len(rows))
    frequencies = config.HEAD_WEIGHT * _frequencies(terms, heads) + _frequencies(terms, bodies)
    for term, frequency in zip(terms, frequencies, strict=True):
        scores += idf(chunks, term.document_frequency) * frequency * (_K1 + 1.0) / (frequency + saturation)
    return dict(zip(found, scores.tolist(), strict=True))


def idf(chunks: int, document_frequency: int) -> float:
    """FTS5's inverse document frequency."""
    value = math.log((chunks - document_frequency + 0.5) / (document_frequency + 0.5))
    return value if value > 0.0 else _SMALLEST_IDF


@decoding
def totals(connection: apsw.Connection) -> tuple[int, int]:
    """Chunks in the keyword index, and tokens in all of them, from the record FTS5 keeps for its own bm25()."""
    rows = run(connection, "SELECT block FROM chunks_fts_data WHERE id = ?", (_AVERAGES,))
    chunks, *tokens = _varints(rows[0][0]) or [0]
    return chunks, sum(tokens)


def _frequencies(terms: Sequence[Term], blobs: Sequence[bytes]) -> np.ndarray:
    """How often each term occurs in each chunk: float64 of shape (terms, chunks)."""
    ids, counts, ends = joined(blobs)
    frequencies = np.zeros((len(terms), len(blobs)))
    for row, term in zip(frequencies, terms, strict=True):
        hits = np.flatnonzero(ids == stem_id(term.stem))
        row[np.searchsorted(ends, hits, side="right")] = counts[hits]
    return frequencies


def _varints(block: bytes) -> list[int]:
    """SQLite's variable-length integers: seven bits a byte, highest first; the top bit says that more follow."""
    values = []
    value = 0
    for byte in block:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            values.append(value)
            value = 0
    return values
