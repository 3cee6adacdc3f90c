"""The keyword leg: terms of a query, their document frequencies, and BM25 over FTS5.

A query is never handed to FTS5 as it is: it is cut into terms by the index's own tokenizer, and each is quoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Literal

import apsw
import numpy as np

from vstore import config
from vstore.db import bm25, frequencies
from vstore.db.analysis import Token, query_text, tokens
from vstore.db.connection import run
from vstore.db.scope import Ids
from vstore.types import Ranking, Term

_SCORED = np.dtype([("chunk_id", np.int64), ("score", np.float64)])


def terms(
    connection: apsw.Connection, tokenize: apsw.FTS5Tokenizer, text: str, counts: frequencies.Counts
) -> tuple[Term, ...]:
    """The distinct terms of a text with the number of chunks that have them; see `Snapshot.terms`."""
    return counted(connection, tokens(tokenize, query_text(text)), counts)


def counted(connection: apsw.Connection, tokens: Iterable[Token], counts: frequencies.Counts) -> tuple[Term, ...]:
    """The distinct tokens with the number of chunks that have them."""
    distinct: dict[str, str] = {}
    for token in tokens:
        distinct.setdefault(token.stem, token.text)
    return tuple(Term(text, stem, frequencies.count(connection, stem, counts)) for stem, text in distinct.items())


def rank(
    connection: apsw.Connection, terms: Sequence[Term], scope: Ids | None, limit: int, *, exact: bool = False
) -> Ranking:
    """The `limit` best chunks in scope (None: all) that have at least one of the terms, by BM25 (k1 1.2, b 0.75).

    Where there are many postings, the rarer terms find candidates, and the forward index scores these by all terms: the
    division into essential terms and others of Turtle and Flood, "Query evaluation: strategies and optimizations",
    Information Processing & Management 31(6), 1995, but with a bound on the postings read instead of one on the scores
    missed. Below KEYWORD_EXACT postings nothing is missed. Nor is it in a narrow scope, of which all chunks are scored,
    nor in an `exact` search.
    """
    wanted = searched(terms)
    if exact or sum(term.document_frequency for term in wanted) <= config.KEYWORD_EXACT:
        return walk(connection, wanted, scope, limit)
    if scope is not None and len(scope) <= config.KEYWORD_SCOPE:
        return scored(connection, wanted, scope.tolist(), limit)
    count = max(limit, config.KEYWORD_CANDIDATES)
    chunks, _ = bm25.totals(connection)
    spare = max(config.KEYWORD_LISTED, config.KEYWORD_LISTED_SHARE * chunks)
    candidates = likeliest(connection, rarest(connection, wanted, scope, limit, spare), scope, count)
    if candidates is None:
        spare = max(config.KEYWORD_POSTINGS, config.KEYWORD_SHARE * chunks)
        essential = rarest(connection, wanted, scope, limit, spare)
        if len(essential) == len(wanted):
            return walk(connection, wanted, scope, limit)
        candidates = walk(connection, essential, scope, count).chunk_ids
    if len(candidates) < limit:
        return walk(connection, wanted, scope, limit)
    return scored(connection, wanted, candidates, limit)


def likeliest(
    connection: apsw.Connection, terms: Sequence[Term], scope: Ids | None, count: int
) -> tuple[int, ...] | None:
    """The chunks in scope (None: all) whose terms weigh most together, by IDF: `count` and those like the last.

    To list the chunks of a term takes FTS5 an eighth of the time of a bm25() for each. None where more than
    KEYWORD_ALIKE have the same terms as the last, so that only their frequencies tell which are better.
    """
    if len(terms) == 1 and terms[0].document_frequency > config.KEYWORD_ALIKE:
        return None  # without listing them: a common word may be in every chunk
    chunks, _ = bm25.totals(connection)
    lists = [holders(connection, term, scope) for term in terms]
    idfs = [bm25.idf(chunks, term.document_frequency) for term in terms]
    listed, weights = np.concatenate(lists), np.repeat(idfs, [len(holding) for holding in lists])
    order = np.argsort(listed, kind="stable")  # which merges lists that are ascending each, in half of unique's time
    listed, weights = listed[order], weights[order]
    begins = np.diff(listed, prepend=-1) > 0
    ids = listed[begins]
    # Chunks with the same terms get the very same sum, for it is added up in the order of the terms.
    sums = np.bincount(np.cumsum(begins) - 1, weights=weights)
    if len(ids) > count:
        last = np.partition(sums, len(ids) - count)[len(ids) - count]
        if np.count_nonzero(sums == last) > config.KEYWORD_ALIKE:
            return None
        ids = ids[sums >= last]
    return tuple(ids.tolist())


def holders(connection: apsw.Connection, term: Term, scope: Ids | None) -> Ids:
    """The chunks in scope (None: all) that have a term, ascending."""
    # In one string, for a row each would take four times as long.
    sql = "SELECT group_concat(rowid) FROM chunks_fts WHERE chunks_fts MATCH ?"
    listed = np.fromstring(run(connection, sql, (match([term], "OR"),))[0][0] or "", dtype=np.int64, sep=",")
    return listed if scope is None else listed[np.isin(listed, scope)]


def scored(connection: apsw.Connection, terms: Sequence[Term], chunk_ids: Sequence[int], limit: int) -> Ranking:
    """The `limit` best of these chunks by all of the terms, from the forward index; those with none are left out."""
    scores = bm25.score(connection, terms, chunk_ids)
    matching = [chunk_id for chunk_id, score in scores.items() if score > 0.0]
    best = sorted(matching, key=lambda chunk_id: (-scores[chunk_id], chunk_id))[:limit]
    return Ranking("lexical", tuple(best), tuple(scores[chunk_id] for chunk_id in best))


def walk(connection: apsw.Connection, terms: Sequence[Term], scope: Ids | None, limit: int) -> Ranking:
    """The `limit` best chunks in scope by FTS5's bm25, which reads every posting of every term."""
    if not terms:
        return Ranking("lexical")
    weights = f"{config.HEAD_WEIGHT}, {config.HEAD_WEIGHT}, 1.0, 1.0"
    sql = f"SELECT rowid, -bm25(chunks_fts, {weights}) AS score FROM chunks_fts WHERE chunks_fts MATCH ?"
    if scope is None:
        rows = run(connection, f"{sql} ORDER BY score DESC, rowid LIMIT ?", (match(terms, "OR"), limit))
        return Ranking("lexical", tuple(row[0] for row in rows), tuple(row[1] for row in rows))
    found = np.fromiter(connection.execute(sql, (match(terms, "OR"),)), dtype=_SCORED)
    found = found[np.isin(found["chunk_id"], scope)]
    best = found[np.lexsort((found["chunk_id"], -found["score"]))[:limit]]
    return Ranking("lexical", tuple(best["chunk_id"].tolist()), tuple(best["score"].tolist()))


def rarest(
    connection: apsw.Connection, terms: Sequence[Term], scope: Ids | None, limit: int, spare: float
) -> Sequence[Term]:
    """Of the terms, which come rarest first, those that have up to `spare` postings together.

    A term that goes beyond that is among them where those before it do not have `limit` postings, or, by the scope's
    share of all chunks, should not have so many in scope.
    """
    chunks, _ = bm25.totals(connection)
    share = 1.0 if scope is None else len(scope) / max(1, chunks)
    read = pairwise(accumulate((term.document_frequency for term in terms), initial=0))
    return [term for term, (before, after) in zip(terms, read, strict=True) if after <= spare or before * share < limit]


def searched(terms: Sequence[Term]) -> list[Term]:
    """The terms that are searched for: the rarest of those that occur at all."""
    known = [term for term in terms if term.document_frequency]
    return sorted(known, key=lambda term: term.document_frequency)[: config.MAX_QUERY_TERMS]


def match(terms: Sequence[Term], operator: Literal["AND", "OR"]) -> str:
    """The terms as an FTS5 query that asks for all of them, or for any."""
    return f" {operator} ".join('"' + term.text.replace('"', '""') + '"' for term in terms)
