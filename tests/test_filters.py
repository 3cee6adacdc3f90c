"""A mapping becomes the tree it means, and whatever it cannot mean is refused with a reason."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore import config
from vstore.errors import FilterError
from vstore.filters import All, AnyOf, Comparison, Not, conjunction, conjuncts, joined, parse, to_milliseconds

EQ_1 = Comparison("a", "eq", 1)


@pytest.mark.parametrize(
    ("where", "tree"),
    [
        ({}, All(())),
        ({"a": 1}, EQ_1),
        ({"a": {"$eq": 1}}, EQ_1),
        ({"a": 1, "b": None}, All((EQ_1, Comparison("b", "eq", None)))),
        ({"a": {"$gte": 1, "$lt": 2.5}}, All((Comparison("a", "gte", 1), Comparison("a", "lt", 2.5)))),
        ({"a": {"$ne": 1}}, Not(EQ_1)),
        ({"a": {"$not": {"$gt": 1, "$lte": 2}}}, Not(All((Comparison("a", "gt", 1), Comparison("a", "lte", 2))))),
        ({"a": {"$in": [1, "x", None]}}, Comparison("a", "in", (1, "x", None))),
        ({"a": {"$in": ()}}, Comparison("a", "in", ())),
        ({"$or": [{"a": 1}, {"$not": {"a": True}}]}, AnyOf((EQ_1, Not(Comparison("a", "eq", True))))),
        ({"$and": [{"a": 1}]}, All((EQ_1,))),
        ({"$or": []}, AnyOf(())),
        ({"a.b.c": "x"}, Comparison("a.b.c", "eq", "x")),
        ({"@tags": "auth"}, Comparison("@tags", "eq", "auth")),
        ({"@uri": {"$ne": "x"}}, Not(Comparison("@uri", "eq", "x"))),
        ({"a": date(2026, 1, 31)}, Comparison("a", "eq", "2026-01-31")),
        ({"a": {"$gt": datetime(2026, 1, 31, 12)}}, Comparison("a", "gt", "2026-01-31T12:00:00")),
        ({"@created": {"$lt": "1970-01-01T00:00:01Z"}}, Comparison("@created", "lt", 1000)),
        ({"@updated": {"$in": [1, 2.5]}}, Comparison("@updated", "in", (1000, 2500))),
        ({"a": 2**63 - 1}, Comparison("a", "eq", 2**63 - 1)),
    ],
)
def test_a_mapping_becomes_the_tree_it_means(where: dict[str, Any], tree: object) -> None:
    assert parse(where) == tree


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ([("a", 1)], r"a filter is a mapping such as \{'project': 'gateway'\}, not list"),
        ("a = 1", "a filter is a mapping .*, not str"),
        ({1: 2}, r"filter keys are field names or \$-operators, not 1"),
        ({"": 2}, r"filter keys are field names or \$-operators, not ''"),
        ({"$and": {"a": 1}}, r"\$and takes a list of filters, not \{'a': 1\}"),
        ({"$or": "ab"}, r"\$or takes a list of filters, not 'ab'"),
        ({"$or": [1]}, "a filter is a mapping .*, not int"),
        ({"$not": [{"a": 1}]}, "a filter is a mapping .*, not list"),
        ({"$nor": []}, r"unknown operator \$nor; a filter joins with \$and, \$or, \$not and compares with"),
        ({"$gt": 3}, r"unknown operator \$gt; a filter joins with"),
        ({"@author": "x"}, "unknown document field @author; there are @collection, @uri, @title"),
        ({"a": {}}, r"the condition on a is empty; write \{'a': \{'\$eq': value\}\}"),
        ({"a": {"b": 1}}, r"unknown operator b on a; there are \$eq, \$ne, \$in, \$gt, \$gte, \$lt, \$lte and \$not"),
        ({"a": {"$regex": "x"}}, r"unknown operator \$regex on a; there are"),
        ({"a": {"$not": 3}}, r"\$not on a takes a condition such as \{'\$gt': 3\}, not 3"),
        ({"a": {"$in": "abc"}}, r"\$in on a takes a list of values, not 'abc'"),
        ({"a": {"$in": 3}}, r"\$in on a takes a list of values, not 3"),
        ({"a": {"$gt": None}}, r"\$gt on a needs a number, a text or a date, not None"),
        ({"a": {"$lte": True}}, r"\$lte on a needs a number, a text or a date, not True"),
        ({"a": [1, 2]}, "a is compared with texts, numbers, booleans, None or dates, not list"),
        ({"a": {"$in": [[1]]}}, "a is compared with .*, not list"),
        ({"a": b"x"}, "a is compared with .*, not bytes"),
        ({"a": float("nan")}, "NaN on a equals nothing; filter by a number"),
        ({"a": 2**63}, "9223372036854775808 on a does not fit 64 bits"),
        ({"a": -(2**63) - 1}, "-9223372036854775809 on a does not fit 64 bits"),
        ({"@uri": 3}, "@uri is a text and is compared with one, not with 3"),
        ({"@tags": None}, "@tags is a text and is compared with one, not with None"),
        ({"@title": {"$in": ["x", True]}}, "@title is a text and is compared with one, not with True"),
        ({"@created": None}, "a date is written 2026-01-31 or .*, not None"),
        ({"@updated": {"$gt": "soon"}}, "a date is written 2026-01-31 or 2026-01-31T12:00:00.01:00, not 'soon'"),
    ],
)
def test_what_a_filter_cannot_mean_is_refused(where: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message) as caught:
        parse(where)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["$and", "$not", "field"])
def test_filters_may_be_nested_only_so_deep(kind: str) -> None:
    def nested(levels: int) -> dict[str, Any]:
        where: dict[str, Any] = {"$gt": 3} if kind == "field" else {"a": 1}
        for _ in range(levels):
            where = {"$and": [where]} if kind == "$and" else {"$not": where}
        return {"a": where} if kind == "field" else where

    parse(nested(config.MAX_FILTER_DEPTH))
    for levels in (config.MAX_FILTER_DEPTH + 1, 100_000):
        with pytest.raises(FilterError, match="nested deeper than 32 levels; flatten it"):
            parse(nested(levels))


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (0, 0),
        (1.2345, 1234),
        (-1, -1000),
        ("1970-01-01T00:00:00+00:00", 0),
        ("1970-01-01T00:00:00Z", 0),
        (" 1970-01-01T01:00:00+01:00 ", 0),
        (datetime(1970, 1, 2, tzinfo=timezone.utc), 86_400_000),
        (datetime(1970, 1, 1, 0, 0, 0, 7000, tzinfo=timezone(timedelta(hours=-1))), 3_600_007),
    ],
)
def test_times_by_hand(value: Any, milliseconds: int) -> None:
    assert to_milliseconds(value) == milliseconds


def test_times_without_a_zone_are_local() -> None:
    local = datetime(2026, 1, 31).astimezone()
    expected = round(local.timestamp() * 1000)
    for same in ("2026-01-31", "2026-01-31T00:00:00", date(2026, 1, 31), datetime(2026, 1, 31), local):
        assert to_milliseconds(same) == expected


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "2026-13-01", "31.01.2026", True, None, [2026], float("nan"), float("inf"), 1e20, 10**400],
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(FilterError, match=r"is not a date between|a date is written 2026-01-31"):
        to_milliseconds(value)


@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(timezone.utc)))
def test_a_moment_means_the_same_as_datetime_as_text_and_as_seconds(moment: datetime) -> None:
    expected = to_milliseconds(moment)
    assert to_milliseconds(moment.isoformat()) == expected
    assert abs(to_milliseconds(moment.timestamp()) - expected) <= 1


# --- the filter of a search -------------------------------------------------------------------------------------------


def test_without_a_condition_there_is_no_filter() -> None:
    assert conjunction(None) is None
    assert conjunction({}) is None


def test_where_tags_and_the_span_must_all_hold() -> None:
    assert conjunction({"a": 1}) == EQ_1
    assert conjunction(None, tags=["x"]) == Comparison("@tags", "eq", "x")
    assert conjunction(None, since=0) == Comparison("@updated", "gte", 0)
    assert conjunction({"a": 1}, tags=["x", "y"], since=1, until="1970-01-01T00:00:02Z") == All(
        (
            EQ_1,
            Comparison("@tags", "eq", "x"),
            Comparison("@tags", "eq", "y"),
            Comparison("@updated", "gte", 1000),
            Comparison("@updated", "lt", 2000),
        )
    )


@pytest.mark.parametrize(
    "arguments", [{"since": "soon"}, {"until": []}, {"tags": [1]}, {"where": ["a"]}, {"where": "a"}, {"where": []}]
)
def test_bad_conditions_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(FilterError):
        conjunction(**({"where": None} | arguments))


def test_a_filter_comes_apart_into_the_conditions_that_must_all_hold() -> None:
    where = {"a": 1, "b": {"$gt": 2, "$not": {"$gt": 5}}, "$and": [{"c": 3}, {"$and": [{"d": 4, "$or": [{"e": 5}]}]}]}
    parts = [{"a": 1}, {"b": {"$gt": 2}}, {"b": {"$not": {"$gt": 5}}}, {"c": 3}, {"d": 4}, {"$or": [{"e": 5}]}]
    assert conjuncts(where) == parts
    assert joined(parts) == {"$and": parts}
    assert conjuncts(joined(parts)) == parts
    assert (joined([{"a": 1}]), joined([]), conjuncts(None)) == ({"a": 1}, None, [])
    assert [parse(part) for part in parts[:2]] == [EQ_1, Comparison("b", "gt", 2)]
