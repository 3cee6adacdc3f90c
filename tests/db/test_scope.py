"""SQL decides about every document as the documented meaning of filters does, written down here once more in Python."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from db.material import document, open_space, put, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import config
from vstore.db.index import SqliteIndex
from vstore.errors import FilterError, InputError
from vstore.filters import parse
from vstore.types import Scope

# --- the meaning ------------------------------------------------------------------------------------------------------


def holds(where: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    return all(pair_holds(key, value, fields) for key, value in where.items())


def pair_holds(key: str, value: Any, fields: Mapping[str, Any]) -> bool:
    if key == "$and":
        return all(holds(part, fields) for part in value)
    if key == "$or":
        return any(holds(part, fields) for part in value)
    if key == "$not":
        return not holds(value, fields)
    conditions = value if isinstance(value, Mapping) else {"$eq": value}
    return all(condition_holds(operator, operand, key, fields) for operator, operand in conditions.items())


def condition_holds(operator: str, operand: Any, key: str, fields: Mapping[str, Any]) -> bool:
    if operator == "$not":
        return not pair_holds(key, operand, fields)
    if operator == "$ne":
        return not pair_holds(key, operand, fields)
    if operator == "$in":
        return any(pair_holds(key, one, fields) for one in operand)
    if isinstance(operand, date):
        operand = operand.isoformat()
    stored = look_up(key, fields)
    if stored is None:
        return operand is None
    return any(compares(operator, item, operand) for item in stored)


def look_up(key: str, fields: Mapping[str, Any]) -> list[Any] | None:
    """The values a key stands for: None when it is missing, the items of a list, else one."""
    if key.startswith("@"):
        value = fields[key]
    else:
        value = fields["metadata"]
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return None
            value = value[part]
    return value if isinstance(value, list) else [value]


def compares(operator: str, item: Any, operand: Any) -> bool:
    if kind(item) != kind(operand) or kind(item) == "other":
        return False
    if operator == "$eq":
        return bool(item == operand)
    return bool(
        {"$gt": item > operand, "$gte": item >= operand, "$lt": item < operand, "$lte": item <= operand}[operator]
    )


def kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "constant"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "other"


@pytest.mark.parametrize(
    ("stored", "where", "expected"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (False, True, False),
        ("1", 1, False),
        (1, "1", False),
        ("a", {"$gt": 3}, False),
        (True, {"$gte": 0}, False),
        ("b", {"$gt": "a", "$lte": "b"}, True),
        ("b", {"$ne": "a"}, True),
        ("b", {"$not": {"$gt": "a"}}, False),
        ([1, 2], 2, True),
        ([1, 2], {"$gt": 1, "$lt": 2}, True),  # each condition finds an item of its own
        ([1, 2], {"$ne": 2}, False),
        ([], {"$ne": 2}, True),
        ([], None, False),
        ([None], None, True),
        ([[1]], 1, False),
        (["x", 1], {"$in": [1, 5]}, True),
        ("x", {"$in": []}, False),
        (None, None, True),
        (None, {"$in": [0, None]}, True),
        (0, None, False),
        (0, {"$ne": None}, True),
        ({"b": 1}, 1, False),
        ({"b": 1}, None, False),
        ({"b": None}, None, False),
    ],
)
def test_the_meaning_by_hand(index: SqliteIndex, stored: Any, where: Any, expected: bool) -> None:
    write(index, document("x", "", metadata={"a": stored}), [], {}, open_space(index))
    assert (uris(index, Scope((), parse({"a": where}))) == "x") is expected
    assert holds({"a": where}, {"metadata": {"a": stored}}) is expected


@pytest.mark.parametrize(("where", "expected"), [({"a": None}, True), ({"a": {"$ne": 1}}, True), ({"a": 1}, False)])
def test_a_missing_key_by_hand(index: SqliteIndex, where: dict[str, Any], expected: bool) -> None:
    write(index, document("x", "", metadata={"b": 1}), [], {}, open_space(index))
    assert (uris(index, Scope((), parse(where))) == "x") is expected
    assert holds(where, {"metadata": {"b": 1}}) is expected


# --- random documents against random filters --------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
scalars = st.one_of(
    st.sampled_from([0, 1, 2, 1.0, 1.5, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.1 + 0.2, 1e300, -0.0]),
    st.sampled_from(["", "a", "b", "1", "true", "null", "é", "e\u0301", "a\0b", '"', "\\"]),
    st.booleans(),
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    text,
)
odd_names = st.sampled_from(['ü "q"', "it's", "\\", "[0]", "#", "a b", "$in", "é\n", ""])
names = st.one_of(st.just("a"), st.just("b"), odd_names)  # few, so that filters often meet what is stored
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=5,
)
metadata = st.dictionaries(names, values, max_size=4)
paths = st.lists(names, min_size=1, max_size=3).map(".".join).filter(lambda key: key and not key.startswith("$"))
keys = st.one_of(st.just("a"), st.just("b"), paths)
ordered = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), text, st.sampled_from([0, 1, "a", "b"])
)
condition = st.one_of(
    scalars,
    st.fixed_dictionaries({"$eq": scalars}),
    st.fixed_dictionaries({"$ne": scalars}),
    st.fixed_dictionaries({"$in": st.lists(scalars, max_size=4)}),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ordered, min_size=1),
)
conditions = st.one_of(condition, condition.filter(lambda c: isinstance(c, dict)).map(lambda c: {"$not": c}))
leaves = st.dictionaries(keys, conditions, max_size=2)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=6,
)


@given(st.lists(metadata, min_size=1, max_size=6), st.lists(filters, min_size=1, max_size=20))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([{"a": [None, 1]}, {"a": None}, {"a": {"b": None}}, {}], [{"a": None}, {"a": {"$ne": None}}, {"a.b": None}])
@example([{"a": 2**53 + 1}, {"a": float(2**53)}], [{"a": 2**53}, {"a": {"$gt": float(2**53)}}])
def test_sql_agrees_with_the_meaning(stored: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        space = open_space(index)
        with index.bulk():
            for number, fields in enumerate(stored):
                write(index, document(f"{number}", "", metadata=fields), [], {}, space)
        with index.snapshot() as snapshot:
            for where in asked:
                found = {int(one.uri) for one in snapshot.documents(Scope((), parse(where)), 100)}
                expected = {n for n, fields in enumerate(stored) if holds(where, {"metadata": fields})}
                assert found == expected, where


# --- fields of the document -------------------------------------------------------------------------------------------

CORPUS: list[dict[str, Any]] = [
    {"@uri": "a", "@title": "Ä", "@collection": "x", "@media_type": "text/plain", "@tags": ["red"]},
    {"@uri": "b", "@title": "", "@collection": "x", "@media_type": "text/markdown", "@tags": ["red", "green"]},
    {"@uri": "c", "@title": "a", "@collection": "y", "@media_type": "text/plain", "@tags": []},
    {"@uri": "d", "@title": "it's", "@collection": "z'", "@media_type": "", "@tags": ["red "]},
]


@pytest.fixture(scope="module")
def corpus() -> Iterator[SqliteIndex]:
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        for day, fields in enumerate(CORPUS, start=1):
            put(
                index,
                fields["@uri"],
                "some text",
                title=fields["@title"],
                collection=fields["@collection"],
                media_type=fields["@media_type"],
                tags=tuple(fields["@tags"]),
                metadata={"n": day},
                modified_at=datetime(2026, 1, day, tzinfo=timezone.utc),
            )
        yield index


def uris(index: SqliteIndex, scope: Scope) -> str:
    with index.snapshot() as snapshot:
        return "".join(sorted(one.uri for one in snapshot.documents(scope, 100)))


fields = st.sampled_from(["@uri", "@title", "@collection", "@media_type", "@tags"])
field_texts = st.sampled_from(
    ["", "a", "b", "red", "green", "x", "y", "z'", "Ä", "it's", "text/plain", "text/markdown"]
)
field_conditions = st.one_of(
    field_texts,
    st.fixed_dictionaries({"$in": st.lists(field_texts, max_size=3)}),
    st.dictionaries(st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), field_texts, min_size=1),
)


@given(st.dictionaries(fields, field_conditions, max_size=3), st.booleans())
@settings(deadline=None)
def test_document_fields_are_compared_as_texts(corpus: SqliteIndex, where: dict[str, Any], negated: bool) -> None:
    asked = {"$not": where} if negated else where
    expected = "".join(fields["@uri"] for fields in CORPUS if holds(asked, fields))
    assert uris(corpus, Scope((), parse(asked))) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"@updated": datetime(2026, 1, 2, tzinfo=timezone.utc)}, "b"),
        ({"@updated": "2026-01-02T00:00:00Z"}, "b"),
        ({"@updated": "2026-01-02T01:00:00+01:00"}, "b"),
        ({"@updated": {"$gte": "2026-01-02T00:00:00+00:00", "$lt": "2026-01-04T00:00:00+00:00"}}, "bc"),
        ({"@updated": {"$gt": datetime(2026, 1, 2, tzinfo=timezone.utc).timestamp()}}, "cd"),
        ({"@updated": {"$ne": "2026-01-02T00:00:00Z"}}, "acd"),
        ({"@updated": {"$in": ["2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"]}}, "ad"),
        ({"@created": {"$gt": "2026-01-05T00:00:00Z"}}, "abcd" if datetime.now().year > 2025 else ""),
        ({"@created": {"$gt": 4102444800}}, ""),
    ],
)
def test_times_of_the_document_are_compared_as_moments(
    corpus: SqliteIndex, where: dict[str, Any], expected: str
) -> None:
    assert uris(corpus, Scope((), parse(where))) == expected


def test_collections_limit_the_scope_together_with_the_filter(corpus: SqliteIndex) -> None:
    assert uris(corpus, Scope()) == "abcd"
    assert uris(corpus, Scope(("x",))) == "ab"
    assert uris(corpus, Scope(("x", "z'", "missing"))) == "abd"
    assert uris(corpus, Scope(("missing",))) == ""
    assert uris(corpus, Scope(("x",), parse({"n": {"$gte": 2}}))) == "b"


def test_all_three_ways_to_search_share_one_scope(corpus: SqliteIndex) -> None:
    scope = Scope(("x", "y"), parse({"n": {"$gt": 1}}))
    with corpus.snapshot() as snapshot:
        terms = snapshot.terms("text")
        ids = set(snapshot.lexical(terms, scope, 10).chunk_ids)
        assert ids == {2, 3}
        query = ToyEmbedder(16).embed_queries(["text"])[0]
        assert set(snapshot.dense(query, scope, 10).chunk_ids) == ids
        assert {one.uri for one in snapshot.documents(scope, 10)} == {"b", "c"}


# --- large and impossible filters -------------------------------------------------------------------------------------


def test_thousands_of_values_work_wherever_they_stand(corpus: SqliteIndex) -> None:
    many = list(range(3, 5_000))
    assert uris(corpus, Scope((), parse({"n": {"$in": many}}))) == "cd"
    assert uris(corpus, Scope((), parse({"n": {"$in": [str(number) for number in many] + [2, None]}}))) == "b"
    assert uris(corpus, Scope((), parse({"@uri": {"$in": [*map(str, many), "a"]}}))) == "a"
    assert uris(corpus, Scope((), parse({"@tags": {"$in": [*map(str, many), "green"]}}))) == "b"
    assert uris(corpus, Scope((), parse({"$or": [{"n": number} for number in many]}))) == "cd"
    assert uris(corpus, Scope((), parse({"$and": [{"n": {"$ne": number}} for number in many]}))) == "ab"
    assert uris(corpus, Scope((*map(str, many), "x"))) == "ab"


def test_more_values_than_sqlite_can_bind_are_refused(corpus: SqliteIndex) -> None:
    limit = config.MAX_FILTER_VALUES
    numbers = list(range(limit - 2))  # the name of the field is bound twice
    assert uris(corpus, Scope((), parse({"n": {"$in": numbers}}))) == "abcd"
    with pytest.raises(FilterError, match=r"the filter has 32,001 values; at most 32,000 work at once"):
        uris(corpus, Scope((), parse({"n": {"$in": [*numbers, -1]}})))
    with pytest.raises(FilterError, match=r"has 32,001 values"):
        uris(corpus, Scope(tuple(map(str, range(limit + 1)))))


@pytest.mark.parametrize("join", ["$and", "$or", "$not"])
def test_the_deepest_filter_that_is_allowed_works(corpus: SqliteIndex, join: str) -> None:
    where: dict[str, Any] = {"n": {"$in": [1, "x", None]}}
    for _ in range(config.MAX_FILTER_DEPTH):
        where = {join: where if join == "$not" else [where, {"n": 9}] if join == "$or" else [where]}
    assert uris(corpus, Scope((), parse(where))) == "a"


@pytest.mark.parametrize("where", [{"a": "\ud800"}, {"\ud800": 1}, {"@uri": "\ud800"}])
def test_text_that_is_not_unicode_is_refused(corpus: SqliteIndex, where: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="lone surrogate"):
        uris(corpus, Scope((), parse(where)))


def test_infinity_bounds_every_number(corpus: SqliteIndex) -> None:
    assert uris(corpus, Scope((), parse({"n": {"$lt": math.inf}}))) == "abcd"
    assert uris(corpus, Scope((), parse({"n": {"$lt": -math.inf}}))) == ""
