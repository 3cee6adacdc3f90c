"""From results to what templates draw: bars, lines between rankings, marked words. Pure; lengths in percent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vstore import config

if TYPE_CHECKING:
    from vstore.results import Hit, Results
    from vstore.runs import RunRecord
    from vstore.searches import Latency
    from vstore.types import StoredChunk
    from vstore.ui.ask import Rankings

LEGS = {"lexical": "keywords", "dense": "meaning"}
RAW = {"lexical": "BM25", "dense": "cosine"}
BOUNDS = config.LATENCY_BOUNDS_MS


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One addend of a score. `kind` is the leg, or "stage"; `width` is its share of the largest of all addends."""

    kind: str
    name: str
    points: float
    width: float
    rank: int | None
    raw: str | None
    weight: float | None


def parts_of(hits: Sequence[Hit]) -> dict[int, list[Part]]:
    """The addends of all hits by chunk id, on one scale, so that bars of different hits can be compared."""
    largest = max((abs(part.points) for hit in hits for part in hit.why), default=0.0) or 1.0
    return {
        hit.chunk_id: [
            Part(
                kind=part.source if part.source in LEGS else "stage",
                name=LEGS.get(part.source, part.source),
                points=part.points,
                width=100.0 * abs(part.points) / largest,
                rank=part.rank,
                raw=None if part.raw is None else f"{RAW.get(part.source, 'raw')} {part.raw:.3f}",
                weight=part.weight,
            )
            for part in hit.why
        ]
        for hit in hits
    }


def digits(hits: Sequence[Hit]) -> int:
    """Decimals that tell scores apart: reciprocal ranks are small."""
    return 4 if max((abs(hit.score) for hit in hits), default=1.0) < 0.1 else 3


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text, and whether it is marked."""

    text: str
    marked: bool = False


def excerpt(text: str, words: Iterable[str]) -> list[Span]:
    """The text from shortly before the first of these words on, with all of them marked."""
    pattern = _any_of(words)
    first = pattern.search(text) if pattern else None
    start = max(0, first.start() - config.UI_EXCERPT_CHARS // 4) if first else 0
    start = text.rfind(" ", 0, start) + 1 if start else 0
    cut = text[start : start + config.UI_EXCERPT_CHARS]
    rest = len(text) > start + len(cut)
    if rest and " " in cut:
        cut = cut.rsplit(" ", 1)[0]
    line = f"{'… ' if start else ''}{' '.join(cut.split())}{' …' if rest else ''}"
    return list(marked(line, pattern))


def marked(text: str, pattern: re.Pattern[str] | None) -> list[Span]:
    """The text in stretches, those that match marked."""
    spans, end = [], 0
    for match in pattern.finditer(text) if pattern else ():
        if match.start() > end:
            spans.append(Span(text[end : match.start()]))
        spans.append(Span(match[0], True))
        end = match.end()
    return [*spans, Span(text[end:])] if end < len(text) else spans


def _any_of(words: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted({word for word in words if word}, key=len, reverse=True)
    if not longest_first:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


# --- rankings side by side --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """A chunk's row in one ranking; `width` is its score's share of the first one's."""

    chunk_id: int
    rank: int
    title: str
    score: str
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    """From a row on the left to a row on the right, heights in half rows."""

    chunk_id: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Side:
    """Three rankings side by side, the first rows of each, and lines between the places of one chunk."""

    lexical: list[Place]
    fused: list[Place]
    dense: list[Place]
    from_lexical: list[Line]
    from_dense: list[Line]
    rows: int


def side_by_side(rankings: Rankings, results: Results, rows: int) -> Side:
    """Keywords, fused, meaning: `rows` of each at most."""
    scores = {hit.chunk_id: hit.score for hit in results}
    fused = [chunk_id for chunk_id in rankings.fused[:rows] if chunk_id in scores]
    columns = {
        "lexical": _places(rankings.lexical.chunk_ids[:rows], rankings.lexical.scores, rankings.chunks, 2),
        "fused": _places(fused, [scores[chunk_id] for chunk_id in fused], rankings.chunks, digits(results.hits)),
        "dense": _places(rankings.dense.chunk_ids[:rows], rankings.dense.scores, rankings.chunks, 3),
    }
    middle = {place.chunk_id: place.rank for place in columns["fused"]}
    return Side(
        **columns,
        from_lexical=[
            Line(place.chunk_id, 2 * place.rank - 1, 2 * middle[place.chunk_id] - 1)
            for place in columns["lexical"]
            if place.chunk_id in middle
        ],
        from_dense=[
            Line(place.chunk_id, 2 * middle[place.chunk_id] - 1, 2 * place.rank - 1)
            for place in columns["dense"]
            if place.chunk_id in middle
        ],
        rows=max(map(len, columns.values())),
    )


def _places(ids: Sequence[int], scores: Sequence[float], chunks: Mapping[int, StoredChunk], digits: int) -> list[Place]:
    best = max((abs(score) for score in scores), default=0.0) or 1.0
    return [
        Place(chunk_id, rank, title_of(chunks[chunk_id]), f"{score:.{digits}f}", 100.0 * max(0.0, score) / best)
        for rank, (chunk_id, score) in enumerate(zip(ids, scores, strict=False), start=1)
    ]


def title_of(chunk: StoredChunk | Hit) -> str:
    """What a chunk is called in a list: its heading, else its document's title or uri."""
    return chunk.heading.rsplit(" > ", 1)[-1] or chunk.document.title or chunk.document.uri


# --- times ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stage:
    """How long a stage of one search took, and where its bar begins and how long it is."""

    name: str
    milliseconds: float
    start: float
    width: float
    shade: int


def timeline(timings: Mapping[str, float]) -> list[Stage]:
    """The stages of a search in their order, end to end; what is below a hundredth of a millisecond is left out."""
    total = sum(ms for name, ms in timings.items() if name != "total") or 1.0
    stages: list[Stage] = []
    start = 0.0
    for name, ms in timings.items():
        if name == "total" or ms < BOUNDS[0]:
            continue
        width = 100.0 * ms / total
        stages.append(Stage(name, ms, start, width, len(stages) % 4))
        start += width
    return stages


@dataclass(frozen=True, slots=True)
class Spread:
    """A stage's percentiles, and where they lie on one logarithmic scale for all stages."""

    latency: Latency
    low: float
    middle: float
    high: float


def spreads(latencies: Sequence[Latency]) -> list[Spread]:
    """From the median over p95 to p99 on a scale that holds all stages."""
    import math

    times = [time for latency in latencies for time in (latency.p50, latency.p99)]
    low, high = math.log10(max(min(times, default=1.0), BOUNDS[0])), math.log10(max(times, default=1.0))
    reach = max(high - low, 1e-9)

    def at(milliseconds: float) -> float:
        return 100.0 * (math.log10(max(milliseconds, BOUNDS[0])) - low) / reach

    return [Spread(latency, at(latency.p50), at(latency.p95), at(latency.p99)) for latency in latencies]


# --- refinement -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gain:
    """What judged held-out queries say of a run's candidate: NDCG@10 before and after, the change and its interval.

    `left`, `middle` and `right` are the interval's ends and the change on a scale with 0 at 50.
    """

    name: str
    before: float
    after: float
    low: float
    high: float
    left: float
    middle: float
    right: float

    @property
    def change(self) -> float:
        """After minus before."""
        return self.after - self.before


def gains(runs: Sequence[RunRecord]) -> dict[int, list[Gain]]:
    """By run, for hybrid search and its dense leg, all on one scale; runs without judged queries have none."""
    found = {run.id: [*_figures(run.report)] for run in runs}
    ends = [abs(end) for figures in found.values() for _, each in figures for end in each["interval"]]
    reach = max(ends, default=0.0) or 1.0
    return {number: [_gain(name, each, reach) for name, each in figures] for number, figures in found.items()}


def _figures(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    comparison = report.get("comparison", {})
    names = (("ndcg", "hybrid search"), ("dense_ndcg", "its dense leg"))
    return [(name, comparison[key]) for key, name in names if key in comparison]


def _gain(name: str, figures: Mapping[str, Any], reach: float) -> Gain:
    before, after, (low, high) = figures["before"], figures["after"], figures["interval"]
    left, middle, right = (50.0 + 48.0 * value / reach for value in (low, after - before, high))
    return Gain(name, before, after, low, high, left, middle, right)
