"""Arguments of every call that nobody can mean: each raises its error, and the store stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from db.material import assert_consistent
from toy import ToyEmbedder

from vstore import Store
from vstore.errors import FilterError, InputError, NotFoundError, QueryError, VstoreError


@dataclass(frozen=True)
class Case:
    """A call and the error it raises; None for one that is odd but means something: it returns."""

    name: str
    call: Callable[[Store], object]
    error: type[VstoreError] | None


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["a"] = value
    return value


def ks(*values: Any) -> Iterator[Case]:
    for k in values:
        yield Case(f"k-{k!r}", lambda store, k=k: store.search("harbour", k), QueryError)


def options(error: type[VstoreError] | None, **given: list[Any]) -> Iterator[Case]:
    for name, values in given.items():
        for value in values:
            yield Case(
                f"search-{name}-{str(value)[:60]!r}",
                lambda store, n=name, v=value: store.search("harbour", **{n: v}),
                error,
            )


def metadata(name: str, value: Any, error: type[VstoreError] | None = InputError) -> Case:
    return Case(f"metadata-{name}", lambda store: store.remember(f"text {name}", uri="x", metadata=value), error)


def remember(error: type[VstoreError] | None, **given: list[Any]) -> Iterator[Case]:
    for name, values in given.items():
        for value in values:
            yield Case(
                f"remember-{name}-{value!r:.40}", lambda store, n=name, v=value: store.remember("mill", **{n: v}), error
            )


DEEP_FILTER: dict[str, Any] = {"a": 1}
for _ in range(40):
    DEEP_FILTER = {"$not": DEEP_FILTER}
CASES = (
    *ks(0, -1, 10_001, 1e9, 2.0, "3", None, True, float("nan"), 2**63),
    *options(QueryError, mode=["x", 5, None], fusion=["x"], context=[-1, "x", 101, 1.5], context_tokens=[0, -5]),
    *options(QueryError, stages=[[5], "x"], exact=["x"]),
    *options(InputError, collection=[5, [5], "\ud800"], tags=["x", [1], [""], ["\ud800"]]),
    *options(FilterError, since=["x", "2024-02-31", 1e20, float("nan"), True, "9999-99-99"], until=[b"x", -1e18]),
    *options(FilterError, where=[5, [1], {"a": {"$gt": None}}, {"a": {"$regex": "x"}}, {"@x": 1}, {"$x": 1}, {"": 1}]),
    *options(FilterError, where=[{"a": {}}, {"a": [1]}, {"$and": 5}, {"$or": {"a": 1}}, {"a": 10**30}, {1: 1}]),
    *options(FilterError, where=[DEEP_FILTER, {"a": {"$in": "x"}}, {"a": {"$in": [1] * 40_000}}, {"@created": "x"}]),
    *options(InputError, where=[{"a": "\ud800"}, {"\ud800": 1}]),
    *options(None, where=[{"a'; DROP TABLE documents;--": 1}, {'"': 1}, {"a.b[0]": 1}, {"a\0": 1}, {"k" * 10_000: 1}]),
    *options(None, where=[{"a": float("inf")}, {"$or": []}, {"$and": []}, {"a": {"$not": {"$eq": None}}}]),
    *options(None, k=[1, 10_000], collection=["", "none", []], tags=[["t"] * 1_000], since=["0001-01-02"]),
    metadata("deep", nested(2_000)),
    metadata("circular", circular()),
    metadata("set", {"a": {1}}),
    metadata("bytes", {"a": b"x"}),
    metadata("nan", {"a": float("nan")}),
    metadata("huge-number", {"a": 10**5_000}),
    metadata("number-as-key", {1: 2}),
    metadata("list", [1]),
    metadata("surrogate", {"a": "\ud800"}),
    metadata("many-keys", {f"k{number}": number for number in range(5_000)}, None),
    metadata("megabyte", {"k": "x" * 10**6}, None),
    metadata("100-deep", nested(100), None),
    *remember(InputError, title=[5, None, b"x"], uri=[5, b"x"], collection=["", " ", None, 5, "\ud800"]),
    *remember(
        InputError, tags=["x", [1], [None], [""], 5, ["\ud800"]], media_type=[5, None], expires=["x", "99999999d"]
    ),
    *remember(None, title=["t" * 10**6, "\ud800", "a\nb"], uri=["u" * 100_000, "\ud800", "a\0b"], media_type=["x/y"]),
    *remember(None, tags=[[f"t{number}" for number in range(3_000)]], collection=["c" * 10_000, "a\0b", "../x"]),
    *(
        Case(f"get-{n!r:.20}", lambda store, n=n: store.get(n), NotFoundError)
        for n in (0, -1, 2**63, "/none", "#", None)
    ),
    *(Case(f"get-{n!r:.20}", lambda store, n=n: store.get(n), InputError) for n in ("", " ", "x\0", "\ud800")),
    *(Case(f"forget-{n!r:.20}", lambda store, n=n: store.forget(n), NotFoundError) for n in ("*", "%", "/", "none")),
    *(Case(f"forget-{n!r:.20}", lambda store, n=n: store.forget(n), InputError) for n in (None, 5, ["bay.txt"], b"a")),
    *(Case(f"limit-{n!r}", lambda store, n=n: store.documents(limit=n), InputError) for n in (0, -1, 2**63, None, "5")),
    *(
        Case(f"grade-{n!r}", lambda store, n=n: store.feedback("q", "kept", grade=n), InputError)
        for n in (-1, 4, 1e9, "x")
    ),
    *(
        Case(f"grade-{n!r}", lambda store, n=n: store.feedback("q", "kept", grade=n), InputError)
        for n in (float("nan"),)
    ),
    *(Case(f"judged-{n!r}", lambda store, n=n: store.feedback(n, "kept"), VstoreError) for n in ("", " ", None, 5)),
    *(
        Case(f"target-{n!r}", lambda store, n=n: store.feedback("q", n), VstoreError)
        for n in (0, -1, 2**63, "none", "")
    ),
    Case("add-nothing", lambda store: store.add([]), None),
    Case("add-number", lambda store: store.add([5]), VstoreError),  # type: ignore[list-item]
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("arguments") / "m.db"
    with Store(path, ToyEmbedder(16)) as store:
        store.remember("harbour lights", uri="kept")
        yield store
        assert_consistent(path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_argument_has_the_outcome_written_beside_it(store: Store, case: Case) -> None:
    before = len(store.documents())
    if case.error is None:
        case.call(store)
    else:
        with pytest.raises(case.error) as caught:
            case.call(store)
        assert "\n" not in str(caught.value)
        assert len(store.documents()) == before
    assert store.get("kept").text == "harbour lights"
    assert "kept" in [hit.document.uri for hit in store.search("harbour", mode="lexical")]
