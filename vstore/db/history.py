"""What the query log knows: its queries, how often a chunk was an answer, and past queries that resemble a new one.

The last two leave out the text that is being asked, so that asking again does not confirm what was answered before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import apsw

from vstore import config
from vstore.db.analysis import exact, exact_tokenizer
from vstore.db.clock import to_datetime
from vstore.db.connection import run
from vstore.db.failures import decoding
from vstore.db.scope import compile_scope
from vstore.db.vectors import to_blob
from vstore.searches import LoggedQuery
from vstore.types import PastQuery, Scope, Space

if TYPE_CHECKING:
    from vstore.types import FloatArray

_ANOTHER = "q.id NOT IN (SELECT value FROM json_each(?))"


@decoding
def logged_queries(connection: apsw.Connection) -> list[LoggedQuery]:
    """See `Snapshot.logged_queries`."""
    sql = (
        "SELECT text, collection, times, first_asked, last_asked FROM queries ORDER BY last_asked DESC, id DESC LIMIT ?"
    )
    rows = run(connection, sql, (config.MAX_LOGGED_QUERIES,))
    return [
        LoggedQuery(text, collection, times, to_datetime(first), to_datetime(last))
        for text, collection, times, first, last in rows
    ]


def answered(connection: apsw.Connection, chunk_ids: Sequence[int], text: str) -> dict[int, int]:
    """See `Snapshot.answered`."""
    sql = (
        "SELECT a.chunk_id, sum(q.times) FROM answers AS a JOIN queries AS q ON q.id = a.query "
        f"WHERE a.chunk_id IN (SELECT value FROM json_each(?)) AND {_ANOTHER} GROUP BY a.chunk_id"
    )
    return dict(run(connection, sql, (json.dumps(list(chunk_ids)), _same(connection, text))))


def past_queries(
    connection: apsw.Connection, space: Space, vector: FloatArray, text: str, scope: Scope, past: int | None = None
) -> list[PastQuery]:
    """See `Snapshot.past_queries`; the HISTORY_QUERIES closest, best first, of those that have an answer in scope."""
    condition, values = compile_scope(scope, past) or ("1", ())
    tables = "answers AS a JOIN chunks AS c ON c.id = a.chunk_id JOIN documents AS d ON d.id = c.document_id"
    in_scope = f"{tables} WHERE a.query = near.id AND ({condition})"
    others = (
        "SELECT q.id, 1.0 - vec_distance_cosine(q.vector, ?) AS cosine FROM queries AS q "
        f"WHERE q.space = ? AND {_ANOTHER}"
    )
    closest = (
        f"SELECT near.id, near.cosine FROM ({others}) AS near WHERE near.cosine >= ? "
        f"AND EXISTS (SELECT 1 FROM {in_scope}) ORDER BY near.cosine DESC, near.id LIMIT ?"
    )
    sql = (
        f"SELECT near.id, near.cosine, a.chunk_id, a.rank FROM ({closest}) AS near, {in_scope} "
        "ORDER BY near.cosine DESC, near.id, a.rank"
    )
    query = (to_blob(vector, space.dimension), space.number, _same(connection, text))
    bound = (*query, config.HISTORY_COSINE, *values, config.HISTORY_QUERIES, *values)
    cosines: dict[int, float] = {}
    answers: dict[int, dict[int, int]] = {}
    for number, cosine, chunk_id, rank in run(connection, sql, bound):
        cosines[number] = cosine
        answers.setdefault(number, {})[chunk_id] = rank
    return [PastQuery(cosine, answers[number]) for number, cosine in cosines.items()]


def _same(connection: apsw.Connection, text: str) -> str:
    """The ids, as JSON, of the logged queries that are this text: the same words in the same order, as far as kept."""
    by_word = exact_tokenizer(connection)
    wanted = exact(by_word, text[: config.MAX_LOGGED_CHARS])
    logged = run(connection, "SELECT id, text FROM queries")
    return json.dumps([number for number, query in logged if exact(by_word, query) == wanted])
