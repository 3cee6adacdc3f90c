"""An optional stage that lets a model of the caller's judge the first candidates anew, such as a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from vstore import config
from vstore.errors import InputError
from vstore.search.fuse import best_first
from vstore.search.stages import Facts
from vstore.storage import Snapshot
from vstore.types import Candidate, Contribution, Query, StoredChunk

if TYPE_CHECKING:
    from vstore.types import FloatArray


class Scorer(Protocol):
    """Judges how well texts answer a query. Anything with this method will do."""

    def score(self, query: str, texts: list[str]) -> Sequence[float]:
        """One finite number for each text, higher for a better answer; only their order counts."""


@dataclass(frozen=True, slots=True)
class Rerank:
    """The first `depth` candidates in the order of `scorer` alone; where it finds two equal, fusion decides.

    It reads title, heading and text of each. A candidate's contribution is what takes it from the score it had to that
    of its new place, and places share the range of the old scores evenly: so all stay before those that were not
    judged, scores keep their scale, and it makes no difference how the scorer counts.

    Raises InputError for a depth outside [1, POOL_DEPTH], and in a search when the scorer fails or does not return one
    finite number for each text.

    Source: Nogueira and Cho, "Passage re-ranking with BERT", arXiv 1901.04085, 2019.
    """

    scorer: Scorer
    depth: int = config.RERANK_DEPTH
    name: ClassVar[str] = "rerank"

    def __post_init__(self) -> None:
        if not callable(getattr(self.scorer, "score", None)):
            raise InputError(f"a scorer has a method score(query, texts), and {self.scorer!r} has none; wrap it in one")
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or not 0 < self.depth <= config.POOL_DEPTH:
            raise InputError(f"depth is a number of candidates, from 1 to {config.POOL_DEPTH}, not {self.depth!r}")

    def read(self, snapshot: Snapshot, query: Query, vector: FloatArray | None, chunk_ids: Sequence[int]) -> Facts:
        """The chunks to judge, and the query."""
        return Facts(chunks=snapshot.chunks(chunk_ids[: self.depth]), query=query.text)

    def __call__(self, candidates: list[Candidate], facts: Facts) -> list[Candidate]:
        """See `Stage`."""
        head, rest = candidates[: self.depth], candidates[self.depth :]
        if not head:
            return candidates
        judged = self._judge(facts.query, [_passage(facts.chunks[candidate.chunk_id]) for candidate in head])
        highest, lowest = head[0].score, head[-1].score
        step = (highest - lowest or 1.0) / max(1, len(head) - 1)
        reranked = []
        for rank, place in enumerate(sorted(range(len(head)), key=lambda place: -judged[place]), start=1):
            candidate = head[place]
            points = lowest + step * (len(head) - rank) - candidate.score
            reranked.append(
                replace(candidate, why=(*candidate.why, Contribution(self.name, points, rank, judged[place])))
            )
        return best_first(reranked) + rest

    def _judge(self, query: str, texts: list[str]) -> list[float]:
        """The scorer's numbers, checked."""
        scorer = type(self.scorer).__name__
        try:
            answer = self.scorer.score(query, texts)
        except Exception as error:
            raise InputError(f"the scorer {scorer} failed, so mend it or search without: {error!r}") from error
        try:
            scores = np.asarray(answer, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"the scorer {scorer} must return numbers, one for each text") from error
        if scores.shape != (len(texts),):
            expected = f"one number for each of {len(texts)} texts"
            raise InputError(f"the scorer {scorer} must return {expected}, not an array of shape {scores.shape}")
        if not np.isfinite(scores).all():
            raise InputError(f"the scorer {scorer} returned NaN or infinity; such texts cannot be put in order")
        return [float(score) for score in scores]


def _passage(chunk: StoredChunk) -> str:
    """Title, heading and text, a line each, as far as there are any."""
    return "\n".join(part for part in (chunk.document.title, chunk.heading, chunk.text) if part)
