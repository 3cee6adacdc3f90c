"""Quoted phrases: which chunks hold them word for word.

The keyword index finds the chunks that have all the words, in any order and stemmed; those are then read and compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from vstore.db.analysis import exact, exact_tokenizer, spaced, tokens
from vstore.db.connection import run
from vstore.db.frequencies import Counts
from vstore.db.lexical import counted, match, searched
from vstore.db.scope import compile_scope
from vstore.types import Scope


def holding(
    connection: apsw.Connection,
    tokenize: apsw.FTS5Tokenizer,
    phrases: Sequence[str],
    scope: Scope,
    counts: Counts,
    past: int | None = None,
) -> tuple[int, ...]:
    """See `Snapshot.holding`."""
    terms = counted(connection, tokens(tokenize, " ".join(spaced(phrase) for phrase in phrases)), counts)
    if not terms or not all(term.document_frequency for term in terms):
        return ()
    by_word = exact_tokenizer(connection)
    wanted = {exact(by_word, phrase) for phrase in phrases}

    def holds(*columns: object) -> bool:
        written = "\n".join(exact(by_word, str(column)) for column in columns)
        return all(phrase in written for phrase in wanted)

    # Called by SQLite, so that the texts of a common word's chunks are not all in memory at once.
    connection.create_scalar_function("holds", holds, 3)
    condition, values = compile_scope(scope, past) or ("1", ())
    sql = (
        "SELECT c.id FROM chunks_fts AS f JOIN chunks AS c ON c.id = f.rowid "
        "JOIN documents AS d ON d.id = c.document_id "
        f"WHERE f.chunks_fts MATCH ? AND ({condition}) AND holds(d.title, c.heading, c.text) ORDER BY c.id"
    )
    return tuple(row[0] for row in run(connection, sql, (match(searched(terms), "AND"), *values)))
