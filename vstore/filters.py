"""Filters: from the mapping a caller writes to a tree that storage can compile.

    {"project": "gateway", "year": {"$gte": 2020}}          every pair must hold
    {"$or": [{"lang": "de"}, {"$not": {"lang": "en"}}]}
    {"@tags": "auth", "@updated": {"$gte": "2026-01-01"}}    `@` names a field of the document itself

A plain name is a metadata key; dots reach into nested objects. A list in the metadata matches when any of its items
does. `$ne` is the negation of `$eq`, so a missing key is "not equal" to every value but None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any, Literal, TypeAlias

from vstore import config
from vstore.errors import FilterError

Operator = Literal["eq", "in", "gt", "gte", "lt", "lte"]
Scalar: TypeAlias = "str | int | float | bool | None"

DOCUMENT_FIELDS = ("@collection", "@uri", "@title", "@media_type", "@tags", "@created", "@updated")
TIME_FIELDS = ("@created", "@updated")
_EXPRESSION = re.compile(r"([^=<>!]+)(>=|<=|!=|=|>|<)(.*)", re.DOTALL)
_WRITTEN = {"=": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
OPERATORS = ("$eq", "$ne", "$in", "$gt", "$gte", "$lt", "$lte")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field against one value (against several for `in`). Times are UTC milliseconds since 1970."""

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Every part must hold; with no part everything passes."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part must hold; with no part nothing passes."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part must not hold."""

    part: Filter


Filter: TypeAlias = "Comparison | All | AnyOf | Not"


def parse(where: Mapping[str, Any], depth: int = 0) -> Filter:
    """Turn a mapping into a filter tree. Raises FilterError for anything it cannot mean."""
    if not isinstance(where, Mapping):
        raise FilterError(f"a filter is a mapping such as {{'project': 'gateway'}}, not {type(where).__name__}")
    _check_depth(depth)
    parts = tuple(_pair(key, value, depth) for key, value in where.items())
    return parts[0] if len(parts) == 1 else All(parts)


def _check_depth(depth: int) -> None:
    if depth > config.MAX_FILTER_DEPTH:
        raise FilterError(f"the filter is nested deeper than {config.MAX_FILTER_DEPTH} levels; flatten it")


def _pair(key: object, value: Any, depth: int) -> Filter:
    if not isinstance(key, str) or not key:
        raise FilterError(f"filter keys are field names or $-operators, not {key!r}")
    if key in ("$and", "$or"):
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise FilterError(f"{key} takes a list of filters, not {value!r}")
        parts = tuple(parse(part, depth + 1) for part in value)
        return All(parts) if key == "$and" else AnyOf(parts)
    if key == "$not":
        return Not(parse(value, depth + 1))
    if key.startswith("$"):
        raise FilterError(f"unknown operator {key}; a filter joins with $and, $or, $not and compares with {OPERATORS}")
    if key.startswith("@") and key not in DOCUMENT_FIELDS:
        raise FilterError(f"unknown document field {key}; there are {', '.join(DOCUMENT_FIELDS)}")
    if isinstance(value, Mapping):
        return _conditions(key, value, depth)
    return _compare(key, "$eq", value)


def _conditions(field: str, conditions: Mapping[str, Any], depth: int) -> Filter:
    """`{"$gte": 3, "$lt": 9}` for one field."""
    _check_depth(depth)
    if not conditions:
        raise FilterError(f"the condition on {field} is empty; write {{'{field}': {{'$eq': value}}}}")
    parts: list[Filter] = []
    for operator, value in conditions.items():
        if operator == "$not":
            if not isinstance(value, Mapping):
                raise FilterError(f"$not on {field} takes a condition such as {{'$gt': 3}}, not {value!r}")
            parts.append(Not(_conditions(field, value, depth + 1)))
        else:
            parts.append(_compare(field, operator, value))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _compare(field: str, operator: str, value: Any) -> Filter:
    if operator not in OPERATORS:
        raise FilterError(f"unknown operator {operator} on {field}; there are {', '.join(OPERATORS)} and $not")
    if operator == "$ne":
        return Not(_compare(field, "$eq", value))
    if operator == "$in":
        if not isinstance(value, (list, tuple, set, frozenset)):
            raise FilterError(f"$in on {field} takes a list of values, not {value!r}")
        return Comparison(field, "in", tuple(_scalar(field, item) for item in value))
    scalar = _scalar(field, value)
    if operator != "$eq" and (scalar is None or isinstance(scalar, bool)):
        raise FilterError(f"{operator} on {field} needs a number, a text or a date, not {value!r}")
    names: dict[str, Operator] = {"$eq": "eq", "$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
    return Comparison(field, names[operator], scalar)


def _scalar(field: str, value: Any) -> Scalar:
    if field in TIME_FIELDS:
        return to_milliseconds(value)
    if field in DOCUMENT_FIELDS and not isinstance(value, str):
        raise FilterError(f"{field} is a text and is compared with one, not with {value!r}")
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, float) and value != value:
        raise FilterError(f"NaN on {field} equals nothing; filter by a number")
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise FilterError(f"{value} on {field} does not fit 64 bits, so no stored number can equal it")
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise FilterError(f"{field} is compared with texts, numbers, booleans, None or dates, not {type(value).__name__}")


def to_milliseconds(value: Any) -> int:
    """A datetime, a date, ISO 8601 text or seconds since 1970, as UTC milliseconds since 1970.

    Times without a zone are taken as local. Raises FilterError for anything else.
    """
    if isinstance(value, str):
        value = _from_text(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    try:
        seconds = value.timestamp() if isinstance(value, datetime) else value
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
            datetime.fromtimestamp(seconds, timezone.utc)
            return round(seconds * 1000)
    except (OverflowError, ValueError, OSError) as error:
        raise FilterError(f"{value!r} is not a date between the years 1 and 9999") from error
    raise FilterError(f"a date is written 2026-01-31 or 2026-01-31T12:00:00+01:00, not {value!r}")


def _from_text(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise FilterError(f"a date is written 2026-01-31 or 2026-01-31T12:00:00+01:00, not {text!r}") from error


def conjunction(
    where: Mapping[str, Any] | None,
    *,
    tags: Sequence[str] = (),
    since: Any = None,
    until: Any = None,
) -> Filter | None:
    """The filter of a search: `where`, all of the tags, and a span `[since, until)` of `@updated`; None when empty."""
    parts: list[Filter] = [parse(where)] if where not in (None, {}) else []
    parts += [parse({"@tags": tag}) for tag in tags]
    if since is not None:
        parts.append(Comparison("@updated", "gte", to_milliseconds(since)))
    if until is not None:
        parts.append(Comparison("@updated", "lt", to_milliseconds(until)))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def conjuncts(where: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The conditions that must all hold, each a filter of its own: `$and` and several operators on a field apart."""
    parts: list[dict[str, Any]] = []
    for key, value in (where or {}).items():
        if key == "$and":
            parts += [part for inner in value for part in conjuncts(inner)]
        elif isinstance(value, Mapping) and not key.startswith("$"):
            parts += [{key: {operator: operand}} for operator, operand in value.items()]
        else:
            parts.append({key: value})
    return parts


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """One filter for which all of the parts must hold: the inverse of `conjuncts`; None without a part."""
    if len(parts) <= 1:
        return dict(parts[0]) if parts else None
    return {"$and": [dict(part) for part in parts]}


def written(text: str) -> dict[str, Any]:
    """A filter as people write it: `year>=2020`, `project=gateway`, or the whole as a JSON object.

    Raises FilterError for a text that is neither.
    """
    if text.lstrip().startswith("{"):
        try:
            return dict(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise FilterError(f"{text!r} is not JSON: {error}") from error
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise FilterError(f"{text!r} is neither like year>=2020 nor a JSON object")
    field, operator, operand = match.groups()
    return {field.strip(): {_WRITTEN[operator]: literal(operand)}}


def literal(text: str) -> Any:
    """A number, true, false, null or a quoted text as JSON has them; anything else is text as it stands."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()
    return value
