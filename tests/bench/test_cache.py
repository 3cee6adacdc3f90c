"""A cached embedder gives the inner embedder's vectors, and asks it for each text once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.cache import CachedEmbedder
from vstore.types import TokenWindow


class HashEmbedder:
    """Vectors derived from the text and its kind; keeps what it was asked to embed."""

    name = "hash"
    max_tokens = 16
    tokenizer: Any = None
    dimension = 8

    def __init__(self, fingerprint: str = "f1") -> None:
        self.fingerprint = fingerprint
        self.asked: list[str] = []

    def embed_documents(self, texts: list[str]) -> NDArray[np.float32]:
        return self._embed("d", texts)

    def embed_queries(self, texts: list[str]) -> NDArray[np.float32]:
        return self._embed("q", texts)

    def _embed(self, kind: str, texts: list[str]) -> NDArray[np.float32]:
        self.asked += texts
        seeds = [f"{self.fingerprint}{kind}{text}".encode("utf-8", "surrogatepass") for text in texts]
        return np.array([np.frombuffer(hashlib.sha256(seed).digest(), np.uint32) for seed in seeds], np.float32)


TEXTS = ["tide", "mill", "tide", "", "Zürich 磨坊", "\ud800"]


def test_vectors_are_the_inner_embedders_in_the_order_of_the_texts(tmp_path: Path) -> None:
    expected = HashEmbedder()
    for _ in range(2):
        cached = CachedEmbedder(HashEmbedder(), tmp_path)
        assert np.array_equal(cached.embed_documents(TEXTS), expected.embed_documents(TEXTS))
        assert np.array_equal(cached.embed_queries(TEXTS), expected.embed_queries(TEXTS))


def test_each_text_is_embedded_once_even_by_a_later_instance(tmp_path: Path) -> None:
    first, second = HashEmbedder(), HashEmbedder()
    CachedEmbedder(first, tmp_path).embed_documents(TEXTS)
    CachedEmbedder(second, tmp_path).embed_documents([*TEXTS, "new"])
    assert first.asked == ["tide", "mill", "", "Zürich 磨坊", "\ud800"]
    assert second.asked == ["new"]


@pytest.mark.parametrize("fingerprint", ["f2", "../f1"])
def test_another_fingerprint_shares_nothing(tmp_path: Path, fingerprint: str) -> None:
    CachedEmbedder(HashEmbedder(), tmp_path / "cache").embed_documents(TEXTS)
    other = HashEmbedder(fingerprint)
    CachedEmbedder(other, tmp_path / "cache").embed_documents(["tide"])
    assert other.asked == ["tide"]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_record_torn_by_a_kill_is_ignored_and_embedded_again(tmp_path: Path) -> None:
    CachedEmbedder(HashEmbedder(), tmp_path).embed_documents(["tide", "mill"])
    (file,) = tmp_path.rglob("*.vectors")
    file.write_bytes(file.read_bytes()[:-1])
    inner = HashEmbedder()
    vectors = CachedEmbedder(inner, tmp_path).embed_documents(["tide", "mill"])
    assert inner.asked == ["mill"]
    assert np.array_equal(vectors, HashEmbedder().embed_documents(["tide", "mill"]))
    again = HashEmbedder()
    CachedEmbedder(again, tmp_path).embed_documents(["tide", "mill"])
    assert again.asked == []


def test_no_texts_give_no_rows(tmp_path: Path) -> None:
    vectors = CachedEmbedder(HashEmbedder(), tmp_path).embed_documents([])
    assert vectors.shape == (0, 8)
    assert vectors.dtype == np.float32


def test_the_window_of_the_inner_embedder_shows(tmp_path: Path) -> None:
    cached = CachedEmbedder(HashEmbedder(), tmp_path)
    assert isinstance(cached, TokenWindow)
    assert (cached.max_tokens, cached.dimension, cached.fingerprint) == (16, 8, "f1")
