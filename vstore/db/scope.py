"""A Scope as SQL, a condition on `d` (documents) and `c` (their chunks) as queries here name them, or as chunk ids.

Documents that have expired are in no scope: `past` is the time up to which they have, see `db/expiry.py`.
"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from weakref import WeakKeyDictionary

import apsw
import numpy as np
from numpy.typing import NDArray

from vstore import config
from vstore.db.connection import run
from vstore.db.expiry import LIVE
from vstore.errors import FilterError
from vstore.filters import DOCUMENT_FIELDS, All, AnyOf, Comparison, Filter, Not, Operator, Scalar
from vstore.types import Scope

COLUMNS = {
    "@uri": "d.uri",
    "@title": "d.title",
    "@media_type": "d.media_type",
    "@created": "d.created_at",
    "@updated": "d.updated_at",
    "@collection": "(SELECT name FROM collections WHERE id = d.collection_id)",
}
SQL_OPERATORS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

Sql = tuple[str, tuple[object, ...]]
Ids = NDArray[np.int64]  # of chunks


class ResidentScopes:
    """Which chunks are in the scopes that were searched last, for as long as nobody writes.

    A filter looks at every document, which takes longer than the rest of a search; agents ask with the same one again
    and again. The key is the compiled condition, for scopes that are equal to Python need not be so to SQL (1 is True).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[apsw.Connection, tuple[int, dict[Sql, Ids]]] = WeakKeyDictionary()

    def read(self, connection: apsw.Connection, scope: Scope, past: int | None = None) -> Ids | None:
        """The ids of the chunks in scope as this read transaction sees them, ascending; None for all there are."""
        compiled = compile_scope(replace(scope, among=None), past)
        ids = self._read(connection, compiled) if compiled else None
        if scope.among is None:
            return ids
        among = np.unique(np.array(scope.among, dtype=np.int64))
        return among if ids is None else among[np.isin(among, ids)]

    def _read(self, connection: apsw.Connection, compiled: Sql) -> Ids:
        version = connection.data_version("main")
        with self._lock:
            known_at, known = self._known.get(connection, (version, {}))
            if known_at != version:
                known = {}
            self._known[connection] = (version, known)
        ids = known.pop(compiled, None)  # and in again, behind those that were asked for before
        known[compiled] = ids = chunks_in(connection, compiled) if ids is None else ids
        while len(known) > 1 and sum(kept.nbytes for kept in known.values()) > config.SCOPES_BYTES:
            del known[next(iter(known))]
        return ids


def chunks_in(connection: apsw.Connection, compiled: Sql) -> Ids:
    """The ids of chunks whose documents pass a condition, ascending, int64 (n,)."""
    condition, values = compiled
    sql = f"SELECT c.id FROM chunks AS c WHERE c.document_id IN (SELECT d.id FROM documents AS d WHERE ({condition}))"
    return np.sort(np.fromiter((row[0] for row in run(connection, sql, values)), dtype=np.int64))


def compile_scope(scope: Scope, past: int | None = None) -> Sql | None:
    """(condition, values) for a WHERE clause, or None when every chunk is in scope.

    Raises FilterError when there are more values than SQLite can bind.
    """
    parts: list[Sql] = [] if past is None else [(LIVE, (past,))]
    if scope.collections:
        marks = ", ".join("?" * len(scope.collections))
        names = f"d.collection_id IN (SELECT id FROM collections WHERE name IN ({marks}))"
        parts.append((names, scope.collections))
    if scope.where is not None:
        parts.append(_compile(scope.where))
    if scope.among is not None:
        parts.append(("c.id IN (SELECT value FROM json_each(?))", (json.dumps(scope.among),)))
    if not parts:
        return None
    condition, values = _join(parts, " AND ", "1")
    if len(values) > config.MAX_FILTER_VALUES:
        raise FilterError(f"the filter has {len(values):,} values; at most {config.MAX_FILTER_VALUES:,} work at once")
    return condition, values


def _compile(node: Filter) -> Sql:
    if isinstance(node, All):
        return _join([_compile(part) for part in node.parts], " AND ", "1")
    if isinstance(node, AnyOf):
        return _join([_compile(part) for part in node.parts], " OR ", "0")
    if isinstance(node, Not):
        sql, values = _compile(node.part)
        return f"NOT ({sql})", values
    return _comparison(node)


def _join(parts: list[Sql], operator: str, empty: str) -> Sql:
    """Joined as a balanced tree: SQLite allows a depth of 1,000, and a chain is as deep as it is long."""
    if not parts:
        return empty, ()
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, left_values = _join(parts[:middle], operator, empty)
    right, right_values = _join(parts[middle:], operator, empty)
    return f"({left}){operator}({right})", left_values + right_values


def _comparison(node: Comparison) -> Sql:
    values = node.value if isinstance(node.value, tuple) else (node.value,)
    if node.field not in DOCUMENT_FIELDS:
        return _metadata(node.field, node.operator, values)
    test = _test(node.operator, len(values))
    if node.field == "@tags":
        return f"EXISTS (SELECT 1 FROM json_each(d.tags) AS j WHERE j.value {test})", values
    return f"{COLUMNS[node.field]} {test}", values


def _test(operator: Operator, n: int) -> str:
    """The right-hand side of a comparison with n values."""
    return f"IN ({', '.join('?' * n)})" if operator == "in" else f"{SQL_OPERATORS[operator]} ?"


def _metadata(field: str, operator: Operator, values: tuple[Scalar, ...]) -> Sql:
    """json_each yields a scalar as one row, a list as one row an item, and nothing for a missing key."""
    path = "$" + "".join(f".{json.dumps(key, ensure_ascii=False)}" for key in field.split("."))
    test, bound = _item_test(operator, values)
    rows = f"SELECT 1 FROM json_each(d.metadata, ?) AS j WHERE {test}"
    found: Sql = f"coalesce(json_type(d.metadata, ?), 'null') <> 'object' AND EXISTS ({rows})", (path, path, *bound)
    missing: Sql = "json_type(d.metadata, ?) IS NULL", (path,)
    return _join([found, missing], " OR ", "0") if None in values else found


def _item_test(operator: Operator, values: tuple[Scalar, ...]) -> Sql:
    """What a row of json_each must be to match one of the values. Numbers, texts, booleans and null never mix."""
    constants = [json.dumps(value) for value in values if value is None or isinstance(value, bool)]
    tests: list[Sql] = [(f"j.type = '{name}'", ()) for name in dict.fromkeys(constants)]
    numbers = tuple(value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool))
    texts = tuple(value for value in values if isinstance(value, str))
    for types, typed in (("'integer', 'real'", numbers), ("'text'", texts)):
        if typed:
            tests.append((f"j.type IN ({types}) AND j.value {_test(operator, len(typed))}", typed))
    return _join(tests, " OR ", "0")
