"""Processes that share a store, and are killed, neither lose nor see what they should not."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.operations import store
from faults.soak import DONE, Report, body, judge, soak


def test_five_seconds_of_six_processes_and_a_killer(tmp_path: Path) -> None:
    report = soak(tmp_path, seconds=5.0, seed=1, kill_s=0.6)
    assert report.wrong == []
    assert report.kills >= 5
    assert min(report.counts[kind] for kind in DONE) > 0


def note(kind: str, at: float, process: str = "writer-1", **facts: object) -> dict[str, object]:
    return {"kind": kind, "at": at, "process": process, **facts}


WRITTEN = [
    note("begin", 1.0, document=1, version=10),
    note("end", 2.0, document=1, version=10),
    note("begin", 3.0, document=1, version=20),
    note("end", 4.0, document=1, version=20),
]


def search(begun: float, ended: float, found: list[tuple[int, int]]) -> dict[str, object]:
    return note("search", ended, "reader-1", begun=begun, found=found, wanted=1)


@pytest.mark.parametrize(
    ("searched", "wrong"),
    [
        (search(2.5, 2.9, [(1, 10)]), None),
        (search(2.5, 3.5, [(1, 20)]), None),  # while it was written: the old or the new one
        (search(3.5, 3.9, [(1, 10)]), None),
        (search(4.5, 4.9, [(1, 20)]), None),
        (search(4.5, 4.9, [(1, 10)]), "in a version that was gone"),
        (search(2.5, 2.9, [(1, 20)]), "in a version that nobody had written"),
        (search(2.5, 2.9, [(1, 30)]), "in a version that nobody had written"),
        (search(2.5, 2.9, []), "which was there all the time, did not find it"),
    ],
)
def test_what_a_search_may_have_found_follows_from_the_notes(
    path: Path, searched: dict[str, object], wrong: str | None
) -> None:
    with store(path) as opened:
        opened.remember(body(1, 20), uri="document 1")
    report = Report()
    judge(path, [*WRITTEN, searched], report)
    assert len(report.wrong) == (wrong is not None)
    assert all(str(wrong) in what for what in report.wrong)


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ([], ["at the end: document 1 is 10, which was replaced, forgotten or never written"]),
        ([note("begin", 5.0, document=1, version=10)], []),  # begun again, and whether it was done nobody knows
        (
            [note("begin", 0.5, "writer-2", document=1, version=10), note("killed", 0.7, whom="writer-2")],
            ["at the end"],
        ),
    ],
)
def test_what_may_be_there_at_the_end_follows_from_the_notes(
    path: Path, more: list[dict[str, object]], wrong: list[str]
) -> None:
    with store(path) as opened:
        opened.remember(body(1, 10), uri="document 1")
    report = Report()
    judge(path, sorted([*WRITTEN, *more], key=lambda one: float(str(one["at"]))), report)
    assert len(report.wrong) == len(wrong)
    assert all(expected in what for expected, what in zip(wrong, report.wrong, strict=True))
