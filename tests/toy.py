"""A deterministic embedder for tests: no model, yet texts that share words are close."""

from __future__ import annotations

import functools
import hashlib
import re
import zlib

import numpy as np


class ToyEmbedder:
    """Sums a fixed random vector for each word; `embedded` keeps every document text that went through it."""

    name = "toy"

    def __init__(self, dimension: int = 64, flavour: str = "plain") -> None:
        self.dimension = dimension
        self.fingerprint = hashlib.sha256(f"{flavour} {dimension}".encode()).hexdigest()
        self.embedded: list[str] = []
        self._flavour = flavour

    def embed_documents(self, texts: list[str]) -> np.ndarray:
        self.embedded += texts
        return self._embed(texts)

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        return self._embed(texts)

    def _embed(self, texts: list[str]) -> np.ndarray:
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or ["(nothing)"]:
                row += _vector(self._flavour, word, self.dimension)
            row /= np.linalg.norm(row)
        return rows


@functools.lru_cache(10_000)
def _vector(flavour: str, word: str, dimension: int) -> np.ndarray:
    seed = zlib.crc32(f"{flavour} {word}".encode("utf-8", "replace"))
    return np.random.default_rng(seed).normal(size=dimension).astype(np.float32)
