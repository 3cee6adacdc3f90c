"""Stores of any size, from real sentences and real embeddings put together anew: seeded, and nothing is embedded twice.

A chunk takes its sentences from two passages of a collection, and its vector is a mean of theirs, so that vectors lie
where the model puts texts, crowded here and sparse there, and go with the words.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.embedders import WindowEmbedder
from bench.large import SENTENCE, WORDS_A_CHUNK
from vstore import Store
from vstore.types import Chunk, Cut, Document, Embedder

if TYPE_CHECKING:
    from vstore.types import FloatArray

GROUPS: Final = 100  # equally frequent values of a field, so that a filter leaves 1%
AT_ONCE: Final = 2_000  # documents handed over at a time
NOISE: Final = 0.1  # length of the random part of a vector, so that no two are the same


@dataclass(frozen=True, slots=True)
class Passages:
    """Texts cut into sentences, and a vector for each text, float32 (n, dimension)."""

    sentences: list[list[str]]
    vectors: FloatArray


def passages(corpora: Sequence[Path], embedder: Embedder) -> Passages:
    """The texts of some corpora that have two sentences or more."""
    found = []
    for corpus in corpora:
        with corpus.open(encoding="utf-8") as lines:
            found += [json.loads(line)["text"] for line in lines]
    cut = [SENTENCE.split(text) for text in found]
    kept = [number for number, sentences in enumerate(cut) if len(sentences) > 1]
    return Passages([cut[number] for number in kept], embedder.embed_documents([found[number] for number in kept]))


def mixed(source: Passages, seed: int) -> Iterator[tuple[str, FloatArray]]:
    """Texts of WORDS_A_CHUNK words and their vectors, without end."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    while True:
        first, second = draw.randrange(len(source.sentences)), draw.randrange(len(source.sentences))
        share = draw.uniform(0.3, 0.7)
        words = [*_some(source.sentences[first], share * WORDS_A_CHUNK, draw)]
        words += _some(source.sentences[second], WORDS_A_CHUNK - len(words), draw)
        noise = rng.normal(size=source.vectors.shape[1:]).astype(np.float32)
        vector = share * source.vectors[first] + (1.0 - share) * source.vectors[second]
        vector = vector / np.linalg.norm(vector) + NOISE * noise / np.linalg.norm(noise)
        yield " ".join(words), np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _some(sentences: Sequence[str], count: float, draw: random.Random) -> list[str]:
    """About so many words of sentences drawn from these."""
    words: list[str] = []
    while len(words) < count:
        words += draw.choice(sentences).split() or ["nothing"]
    return words[: round(count)]


def cut(number: int, text: str) -> Cut:
    """A document of one chunk."""
    key = hashlib.sha256(text.encode()).hexdigest()
    metadata = {"group": number % GROUPS}
    return Document(f"mixed/{number}", text, "", key, metadata=metadata), [Chunk(0, 0, len(text), "", text, key)]


def fill(store: Store, embedder: WindowEmbedder, source: Passages, count: int) -> float:
    """Write so many documents through the door that ingest uses; the seconds that writing took."""
    space = store.index.open_space(embedder.fingerprint, embedder.dimension, embedder.name)
    texts, seconds = mixed(source, seed=count), 0.0
    with store.index.bulk():
        for start in range(0, count, AT_ONCE):
            some = list(itertools.islice(texts, min(AT_ONCE, count - start)))
            cuts = [cut(start + place, text) for place, (text, _) in enumerate(some)]
            vectors = {chunks[0].content_hash: vector for (_, chunks), (_, vector) in zip(cuts, some, strict=True)}
            started = time.perf_counter()
            while cuts:
                del cuts[: len(store.index.write(cuts, vectors, space))]
            seconds += time.perf_counter() - started
    return seconds
