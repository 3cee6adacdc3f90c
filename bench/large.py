"""A large store of real sentences put together anew, for measuring cost: seeded, and embedded without a model."""

from __future__ import annotations

import hashlib
import json
import random
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from vstore import Store

if TYPE_CHECKING:
    from vstore.types import FloatArray

WORDS_A_CHUNK: Final = 130  # few enough for one chunk of 1,000 characters
SENTENCE = re.compile(r"(?<=[.!?])\s+")


class SketchEmbedder:
    """Unit vectors from a fixed random direction for each word: texts that share words are close, and it is fast."""

    name = "sketch"

    def __init__(self, dimension: int = 384) -> None:
        self.dimension = dimension
        self.fingerprint = hashlib.sha256(f"sketch {dimension}".encode()).hexdigest()
        self.embedded = 0
        self._table = np.random.default_rng(384).normal(size=(2**16, dimension)).astype(np.float32)

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """Embed passages: float32, shape (len(texts), dimension); counted in `embedded`."""
        self.embedded += len(texts)
        return self.embed_queries(texts)

    def embed_queries(self, texts: list[str]) -> FloatArray:
        """Embed queries: float32, shape (len(texts), dimension)."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            words = {zlib.crc32(word.encode()) % 2**16 for word in text.lower().split()} or {0}
            row += self._table[list(words)].sum(axis=0)
            row /= np.linalg.norm(row)
        return rows


def sentences(corpora: list[Path]) -> list[str]:
    """The sentences of some corpora, those of 5 to 60 words."""
    found = []
    for corpus in corpora:
        with corpus.open(encoding="utf-8") as lines:
            for line in lines:
                found += [one for one in SENTENCE.split(json.loads(line)["text"]) if 5 <= len(one.split()) <= 60]
    return found


def texts(corpora: list[Path], count: int, seed: int = 0) -> Iterator[str]:
    """`count` texts of about WORDS_A_CHUNK words, of sentences drawn at random."""
    pool, draw = sentences(corpora), random.Random(seed)
    for _ in range(count):
        words: list[str] = []
        while len(words) < WORDS_A_CHUNK:
            words += draw.choice(pool).split()
        yield " ".join(words[:WORDS_A_CHUNK])


def build(store: Store, corpora: list[Path], count: int) -> None:
    """Fill a store with that many documents, nearly all of one chunk."""
    folder = store.path.parent / "large"
    folder.mkdir()
    corpus = folder / "corpus.jsonl"
    with corpus.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts(corpora, count)):
            file.write(json.dumps({"_id": str(number), "text": text}) + "\n")
    store.add([corpus])
