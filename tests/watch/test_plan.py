"""What is read, forgotten and refused: tables worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from vstore.ingest.walk import Skipped
from vstore.watch.listing import Listing, Stamp
from vstore.watch.plan import Plan, Refusal, file_of, is_too_much, plan

ROOT = Path("/r")
NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
OLD, NEW = Stamp(1, 10, 100, 100), Stamp(1, 11, 200, 200)


def listing(*names: str, skipped: Sequence[str] = (), lost: Sequence[str] = ()) -> Listing:
    return Listing(
        files={Path(name): OLD for name in names},
        skipped=[Skipped(Path(name), "cannot be read") for name in skipped],
        lost=dict.fromkeys(map(Path, lost), "it is gone"),
    )


def ago(uris: Iterable[str], **time: float) -> dict[str, datetime]:
    """Documents that came in that long before NOW."""
    return dict.fromkeys(uris, NOW - timedelta(**time))


def planned(known: dict[Path, dict[str, datetime]], found: Listing, **more: object) -> Plan:
    return plan(known, found, {}, **({"noticed": NOW} | more))  # type: ignore[arg-type]


def forgotten(known: Sequence[str], found: Listing, **more: object) -> tuple[str, ...]:
    return planned({ROOT: ago(known)}, found, **more).forget


def test_what_is_new_or_has_another_stamp_is_read() -> None:
    found = listing("/r/new", "/r/same", "/r/changed")
    read = {Path("/r/same"): OLD, Path("/r/changed"): NEW, Path("/r/gone"): OLD}
    assert list(plan({}, found, read, noticed=NOW).read) == [Path("/r/new"), Path("/r/changed")]


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        (["/r/a", "/r/b"], listing("/r/a"), ("/r/b",)),
        (["/r/a"], listing("/r/a", "/r/new"), ()),
        ([], listing("/r/a"), ()),
        # rows belong to their file; a name with a # that is no row is a name
        (["/r/x.jsonl#1", "/r/x.jsonl#2"], listing("/r/x.jsonl"), ()),
        (["/r/x.jsonl#1", "/r/y.jsonl#1"], listing("/r/x.jsonl"), ("/r/y.jsonl#1",)),
        (["/r/a#b.md", "/r/a#c.md"], listing("/r/a#b.md"), ("/r/a#c.md",)),
        (["/r/x.jsonl#y.jsonl#1"], listing("/r/x.jsonl#y.jsonl"), ()),
        # nothing is known of what could not be read, nor of anything in it; only of that
        (["/r/a", "/r/sub/b", "/r/sub/deep/c"], listing(skipped=["/r/sub"]), ("/r/a",)),
        (["/r/sub", "/r/subway"], listing(skipped=["/r/sub"]), ("/r/subway",)),
        (["/r/x.jsonl#1"], listing(skipped=["/r/x.jsonl"]), ()),
        (["/r/a", "/r/sub/b"], listing(lost=["/r"]), ()),
        (["/r/a", "/r/disk/b"], listing(lost=["/r/disk"]), ("/r/a",)),
        (["bytes:/r/sub/%FF"], listing(skipped=["/r/sub"]), ()),
        (["bytes:/r/%FF"], listing(lost=["/r"]), ()),
        (["bytes:/r/%FF", "bytes:/r/%FE"], listing("/r/\udcff"), ("bytes:/r/%FE",)),
    ],
)
def test_what_is_not_listed_is_forgotten_unless_it_is_in_doubt(
    known: list[str], found: Listing, expected: tuple[str, ...]
) -> None:
    assert forgotten(known, found) == expected


def test_what_a_file_does_not_have_any_more_is_forgotten_unless_the_file_is_in_doubt() -> None:
    known = ["/r/x.jsonl#1", "/r/x.jsonl#2"]
    assert forgotten(known, listing("/r/x.jsonl"), stale=["/r/x.jsonl#2"]) == ("/r/x.jsonl#2",)
    assert forgotten(known, listing(lost=["/r"]), stale=["/r/x.jsonl#2"]) == ()


@pytest.mark.parametrize(
    ("gone", "known", "too_much"),
    [(9, 9, False), (10, 20, False), (10, 19, True), (11, 20, True), (50, 100, False), (51, 100, True), (0, 0, False)],
)
def test_more_than_half_of_a_folder_and_ten_documents_or_more_are_too_much(
    gone: int, known: int, too_much: bool
) -> None:
    assert is_too_much(gone, known) is too_much


def test_too_much_is_refused_for_one_root_and_done_for_the_other() -> None:
    many, few = ago(f"/r/{number}" for number in range(12)), ago(["/s/a", "/s/b"])
    found = planned({ROOT: many, Path("/s"): few}, listing("/r/0", "/s/a"))
    assert found.forget == ("/s/b",)
    assert found.refused == (Refusal(ROOT, tuple(many)[1:], 11, 12),)
    assert found.gone == {"/s/b", *many} - {"/r/0"}
    assert planned({ROOT: many}, listing("/r/0"), forget_many=True).forget == tuple(many)[1:]


def test_what_is_at_another_place_now_does_not_count_as_a_loss() -> None:
    many = ago(f"/r/{number}" for number in range(12))
    found = planned({ROOT: many}, listing("/r/x"), excused=list(many)[:3])
    assert (found.forget, found.refused) == (tuple(many), ())
    assert planned({ROOT: many}, listing("/r/x"), excused=list(many)[:2]).refused


def test_what_came_in_since_does_not_make_a_loss_look_small() -> None:
    old = ago((f"/r/{number}" for number in range(10)), days=30)
    new = ago((f"/r/new{number}" for number in range(100)), minutes=5)
    known = {ROOT: old | new}
    assert planned(known, listing(*new)).refused == (Refusal(ROOT, tuple(old), 10, 10),)  # a day after, at most
    young = ago(old, minutes=10)
    assert planned({ROOT: young | new}, listing(*new)).forget == tuple(young)
    since = NOW - timedelta(minutes=7)
    assert planned({ROOT: young | new}, listing(*new), noticed=since).refused
    beside = ago((f"/r/beside{number}" for number in range(10)), days=29.5)
    assert planned({ROOT: old | new | beside}, listing(*new, *beside)).forget == tuple(old)


def test_a_root_within_another_one_can_refuse_for_both() -> None:
    inner = ago(f"/r/in/{number}" for number in range(10))
    outer = ago(f"/r/{number}" for number in range(20))
    found = planned({ROOT: outer | inner, Path("/r/in"): inner}, listing(*list(outer)[1:]))
    assert found.forget == ("/r/0",)
    assert [refusal.root for refusal in found.refused] == [Path("/r/in")]


@pytest.mark.parametrize(
    ("uri", "files", "file"),
    [
        ("/r/x.jsonl#1", [], "/r/x.jsonl"),
        ("/r/x.ndjson#a#b", [], "/r/x.ndjson"),
        ("/r/a#b.md", [], "/r/a#b.md"),
        ("/r/x.jsonl#y.md", ["/r/x.jsonl", "/r/x.jsonl#y.md"], "/r/x.jsonl#y.md"),
        ("memory:12#3", [], "memory:12#3"),
    ],
)
def test_the_file_of_a_document(uri: str, files: list[str], file: str) -> None:
    assert file_of(uri, files) == file
