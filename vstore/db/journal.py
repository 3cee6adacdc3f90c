"""What searches leave behind in the file: counters, histograms of times, slow queries, and a log of queries."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import apsw

from vstore import config
from vstore.db import documents
from vstore.db.analysis import exact, exact_tokenizer
from vstore.db.changes import ONE_DOCUMENT
from vstore.db.clock import to_datetime
from vstore.db.connection import run, trim
from vstore.db.failures import decoding
from vstore.db.vectors import to_blob
from vstore.searches import ERROR, MODE, Asked, Latency, Note, SearchStatistics, SlowQuery, bucket

TABLES = ("answers", "queries", "slow_queries", "search_latencies", "search_counters", "refine_queries")
TEXTS = {
    "queries": "text",
    "slow_queries": "query",
    "feedback": "query",
    "refine_queries": "query",
}  # columns that hold what a user asked


# --- writing ----------------------------------------------------------------------------------------------------------


def record(connection: apsw.Connection, notes: Sequence[Note]) -> None:
    """Add notes, oldest first; the caller holds the write transaction."""
    _add_counters(connection, Counter(name for note in notes for name in note.counters))
    times = ((stage, bucket(ms)) for note in notes for stage, ms in note.timings.items())
    _add_latencies(connection, Counter((stage, upper) for stage, upper in times if upper is not None))
    for note in notes:
        # A chunk that is gone may have been forgotten, and the query shows what was in it.
        if note.asked and _all_there(connection, note.asked.chunk_ids):
            _log(connection, note.at, note.asked)
            if note.slow:
                _add_slow(connection, note.at, note.asked.text, note.timings)
    trim(connection, "queries", "last_asked", config.MAX_LOGGED_QUERIES)
    trim(connection, "slow_queries", "id", config.MAX_SLOW_QUERIES)


def _add_counters(connection: apsw.Connection, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        run(
            connection,
            "INSERT INTO search_counters (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, count),
        )


def _add_latencies(connection: apsw.Connection, counts: Mapping[tuple[str, float], int]) -> None:
    for (stage, upper), count in counts.items():
        run(
            connection,
            "INSERT INTO search_latencies (stage, upper_ms, searches) VALUES (?, ?, ?)"
            " ON CONFLICT (stage, upper_ms) DO UPDATE SET searches = searches + excluded.searches",
            (stage, upper, count),
        )


def _add_slow(connection: apsw.Connection, at: int, text: str, timings: Mapping[str, float]) -> None:
    run(
        connection,
        "INSERT INTO slow_queries (query, asked_at, total_ms, timings) VALUES (?, ?, ?, ?)",
        (text, at, timings["total"], json.dumps(dict(timings))),
    )


def _all_there(connection: apsw.Connection, chunk_ids: Sequence[int]) -> bool:
    sql = "SELECT count(*) FROM chunks WHERE id IN (SELECT value FROM json_each(?))"
    ((found,),) = run(connection, sql, (json.dumps(chunk_ids),))
    return bool(found == len(chunk_ids))


def _log(connection: apsw.Connection, at: int, asked: Asked) -> None:
    """Log a query, or that it was asked again: its answers are the latest ones, its vector the latest there is."""
    ((query,),) = run(
        connection,
        "INSERT INTO queries (text, collection, first_asked, last_asked, times, space, vector)"
        " VALUES (?, ?, ?3, ?3, 1, ?, ?) ON CONFLICT (text, collection) DO UPDATE SET"
        " last_asked = excluded.last_asked, times = times + 1,"
        " space = coalesce(excluded.space, space), vector = coalesce(excluded.vector, vector) RETURNING id",
        (asked.text, asked.collection, at, *_vector(connection, asked)),
    )
    run(connection, "DELETE FROM answers WHERE query = ?", (query,))
    sql = "INSERT INTO answers (query, rank, chunk_id) SELECT ?, key + 1, value FROM json_each(?)"
    run(connection, sql, (query, json.dumps(asked.chunk_ids)))


def _vector(connection: apsw.Connection, asked: Asked) -> tuple[int | None, bytes | None]:
    """The number of the space that the query was embedded in, and its vector as stored; None when there is none."""
    if asked.question is None:
        return None, None
    fingerprint, vector = asked.question
    rows = run(connection, "SELECT number, dimension FROM spaces WHERE fingerprint = ?", (fingerprint,))
    if not rows:
        return None, None
    ((number, dimension),) = rows
    return number, to_blob(vector, dimension)


# --- erasing ----------------------------------------------------------------------------------------------------------


class Mentions:
    """Erases the queries that are part of a document's title or text, also judged ones; takes each apart only once.

    The same words in the same order; case, accents and what stands between the words do not matter.
    """

    def __init__(self) -> None:
        self._phrases: dict[str, tuple[str, frozenset[str]]] = {}  # by query: as `exact` writes it, and its words

    def erase(self, connection: apsw.Connection, collection: str, uri: str) -> None:
        """Those of one document, as long as it is there; the caller holds the write transaction."""
        columns = (f"SELECT {column} FROM {table}" for table, column in TEXTS.items())
        asked = [text for (text,) in run(connection, " UNION ".join(columns))]
        if not asked:
            return
        sql = f"SELECT d.id, d.title FROM documents AS d WHERE {ONE_DOCUMENT}"
        for document_id, title in run(connection, sql, (uri, collection)):
            written = f"{title}\n{documents.text(connection, document_id) or ''}"
            for text in self._mentioned(connection, asked, written):
                for table, column in TEXTS.items():
                    run(connection, f"DELETE FROM {table} WHERE {column} = ?", (text,))

    def _mentioned(self, connection: apsw.Connection, queries: Sequence[str], text: str) -> Iterator[str]:
        """Those that the text has word for word. Few have all their words in it: the others cost next to nothing."""
        by_word = exact_tokenizer(connection)
        written = exact(by_word, text)
        known = set(written.split())
        for query in queries:
            if query not in self._phrases:
                phrase = exact(by_word, query)
                self._phrases[query] = phrase, frozenset(phrase.split())
            phrase, words = self._phrases[query]
            if words and words <= known and phrase in written:
                yield query


def erase(connection: apsw.Connection) -> None:
    """Erase everything that searches have left; the caller holds the write transaction."""
    for table in TABLES:
        run(connection, f"DELETE FROM {table}")


# --- reading ----------------------------------------------------------------------------------------------------------


@decoding
def collect(connection: apsw.Connection) -> SearchStatistics:
    """What the notes so far add up to."""
    counters: dict[str, int] = dict(run(connection, "SELECT name, value FROM search_counters ORDER BY name"))
    ((logged,),) = run(connection, "SELECT count(*) FROM queries")
    slow_queries = run(connection, "SELECT query, asked_at, timings FROM slow_queries ORDER BY id DESC")
    return SearchStatistics(
        searches=counters.get("searches", 0),
        modes=_of_kind(counters, MODE),
        degraded=counters.get("degraded", 0),
        empty=counters.get("empty", 0),
        slow=counters.get("slow", 0),
        errors=_of_kind(counters, ERROR),
        logged=logged,
        latencies=_latencies(connection),
        slow_queries=tuple(SlowQuery(text, to_datetime(at), json.loads(times)) for text, at, times in slow_queries),
    )


def _of_kind(counters: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): value for name, value in counters.items() if name.startswith(prefix)}


def _latencies(connection: apsw.Connection) -> tuple[Latency, ...]:
    histograms: defaultdict[str, dict[float, int]] = defaultdict(dict)
    for stage, upper, searches in run(connection, "SELECT stage, upper_ms, searches FROM search_latencies"):
        histograms[stage][upper] = searches
    latencies = [Latency.of(stage, histogram) for stage, histogram in histograms.items()]
    return tuple(sorted(latencies, key=lambda latency: (latency.stage != "total", -latency.p50, latency.stage)))
