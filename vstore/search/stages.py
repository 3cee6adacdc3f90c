"""Stages between fusion and the results: pure functions behind one signature; those listed in STAGES are built in.

A stage drops no candidate, so that the list is never shorter for it. It looks at the first POOL_DEPTH candidates
whatever k is, so that up to there a larger k continues the list of a smaller one. The built-in ones only move
candidates back, and act only when the first SHOWN of them need it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from vstore import config
from vstore.storage import Snapshot
from vstore.types import Candidate, PastQuery, Query, StoredChunk

if TYPE_CHECKING:
    from vstore.types import FloatArray


@dataclass(frozen=True, slots=True)
class Facts:
    """What stages may look at: chunks and vectors, float32 (dimension,), of the first candidates, by chunk id.

    Optional stages also look at the query's text, the time, how often each candidate was an answer before, and past
    queries like this one. `remark` says why there was nothing to read for a stage, which then does nothing.
    """

    chunks: Mapping[int, StoredChunk] = field(default_factory=dict)
    vectors: Mapping[int, FloatArray] = field(default_factory=dict)
    query: str = ""
    now: datetime | None = None
    answered: Mapping[int, int] = field(default_factory=dict)
    past: Sequence[PastQuery] = ()
    remark: str | None = None


Step = Callable[[list[Candidate], Facts], list[Candidate]]


@runtime_checkable
class Stage(Protocol):
    """A step that a caller may ask for. It reads its facts itself, so that a search without it reads nothing for it."""

    @property
    def name(self) -> str:
        """The source of the contributions it adds."""

    def read(self, snapshot: Snapshot, query: Query, vector: FloatArray | None, chunk_ids: Sequence[int]) -> Facts:
        """The facts it needs about the first candidates; `vector` is the query's, or None in a search by keywords."""

    def __call__(self, candidates: list[Candidate], facts: Facts) -> list[Candidate]:
        """The candidates, best first again, each score changed by a contribution alone; no one is dropped."""


def crowded(candidates: list[Candidate], facts: Facts) -> bool:
    """Whether there is anything to do, judged by the first SHOWN candidates, the only ones that need facts for it."""
    shown, _ = _split(candidates[: config.SHOWN], facts)
    return bool(_crowding(_documents(shown, facts))) or _dense(_originals(shown, facts), len(shown))


def diversify(candidates: list[Candidate], facts: Facts) -> list[Candidate]:
    """Where a document fills more than DIVERSITY_SHARE of the first places, spread its chunks out by MMR.

    Each place goes to the candidate with the highest lambda * relevance - (1 - lambda) * redundancy. Relevance is the
    score scaled to [0, 1]; redundancy is the highest cosine to a chunk already placed of the same document, if that
    is one of those that crowd, else 0. So no document's best chunk falls behind another document's.

    Source: Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing
    summaries", SIGIR 1998; here within documents only.
    """
    head, rest = _split(candidates, facts)
    documents = _documents(head, facts)
    crowding = _crowding(documents)
    if not crowding or len(set(documents)) == 1:  # no other document waits for a place
        return candidates
    redundant = np.equal.outer(documents, documents) & np.isin(documents, crowding)
    similarity = np.where(redundant, np.maximum(_cosines(head, facts), 0.0), 0.0)
    return [head[place] for place in _mmr(_relevance(head), similarity)] + rest


def collapse(candidates: list[Candidate], facts: Facts) -> list[Candidate]:
    """Where near-copies from other documents take COLLAPSE_SHARE of the first places, move them behind all others.

    Each is listed in the `duplicates` of the best candidate that it is a copy of.
    """
    head, rest = _split(candidates, facts)
    original = _originals(head, facts)
    if not _dense(original, len(head)):
        return candidates
    copies: dict[int, list[int]] = defaultdict(list)
    for place, first in original.items():
        copies[first].append(head[place].chunk_id)
    kept = [
        replace(candidate, duplicates=tuple(copies[place]))
        for place, candidate in enumerate(head)
        if place not in original
    ]
    return kept + rest + [head[place] for place in original]


def _split(candidates: list[Candidate], facts: Facts) -> tuple[list[Candidate], list[Candidate]]:
    """The candidates that there are facts about, and those behind them."""
    depth = len(facts.chunks)
    return candidates[:depth], candidates[depth:]


def _documents(head: Sequence[Candidate], facts: Facts) -> list[int]:
    return [facts.chunks[candidate.chunk_id].document.id for candidate in head]


def _crowding(documents: Sequence[int]) -> list[int]:
    """The documents that fill too many of the first places."""
    shown = documents[: config.SHOWN]
    return [document for document, n in Counter(shown).items() if n > max(1, config.DIVERSITY_SHARE * len(shown))]


def _dense(original: Mapping[int, int], length: int) -> bool:
    """Whether near-copies hold too many of the first places of a list of that length."""
    shown = min(config.SHOWN, length)
    copies = sum(place < shown for place in original)
    return copies > 0 and copies >= config.COLLAPSE_SHARE * shown


def _relevance(head: Sequence[Candidate]) -> FloatArray:
    """Scores scaled to [0, 1], float32 (n,); all 0 where they are the same."""
    scores = np.array([candidate.score for candidate in head])
    width = np.ptp(scores)
    return np.asarray((scores - scores.min()) / (width or 1.0), dtype=np.float32)


def _mmr(relevance: FloatArray, similarity: FloatArray) -> list[int]:
    """All places, float32 (n,) and (n, n), in the order of maximal marginal relevance; ties go to the lower place."""
    redundancy = np.zeros_like(relevance)
    waiting = np.ones(len(relevance), dtype=bool)
    order = []
    for _ in relevance:
        value = config.MMR_LAMBDA * relevance - (1.0 - config.MMR_LAMBDA) * redundancy
        best = int(np.argmax(np.where(waiting, value, -np.inf)))
        waiting[best] = False
        redundancy = np.maximum(redundancy, similarity[best])
        order.append(best)
    return order


def _originals(head: Sequence[Candidate], facts: Facts) -> dict[int, int]:
    """For each place that holds a near-copy, the first place that it is a copy of and that holds none itself.

    Near-copies come from two documents, have nearly the same vector, and differ in no number: records made from one
    form are as close as copies are, and their numbers tell them apart.
    """
    documents = _documents(head, facts)
    near = (_cosines(head, facts) >= config.COPY_COSINE) & np.not_equal.outer(documents, documents)
    numbers = {
        place: _numbers(facts.chunks[head[place].chunk_id]) for place in np.flatnonzero(near.any(axis=1)).tolist()
    }
    original: dict[int, int] = {}
    for place in numbers:
        for earlier in np.flatnonzero(near[place, :place]).tolist():
            if earlier not in original and _agree(numbers[place], numbers[earlier]):
                original[place] = earlier
                break
    return original


def _numbers(chunk: StoredChunk) -> set[str]:
    """All runs of digits in title, heading and text."""
    return set(re.findall(r"\d+", f"{chunk.document.title}\n{chunk.heading}\n{chunk.text}"))


def _agree(numbers: set[str], others: set[str]) -> bool:
    """Whether one has no number that the other lacks; a page number added in a footer makes no difference."""
    return numbers <= others or others <= numbers


def _cosines(head: Sequence[Candidate], facts: Facts) -> FloatArray:
    """Cosines between the candidates, float32 (n, n); 0 for a chunk without a vector."""
    present = [place for place, candidate in enumerate(head) if candidate.chunk_id in facts.vectors]
    cosines = np.zeros((len(head), len(head)), dtype=np.float32)
    if present:
        rows = np.stack([facts.vectors[head[place].chunk_id] for place in present])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        # Row by row: for the whole product a thread of each core is woken, which then spins for 100 ms.
        cosines[np.ix_(present, present)] = np.stack([rows @ row for row in rows])
    return cosines


STAGES: dict[str, Step] = {"diversity": diversify, "collapse": collapse}  # in the order they act
