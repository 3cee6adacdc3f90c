"""Many processes use one store while a killer ends one of them every moment; then everything is checked.

    python tests/faults/soak.py --seconds 600 --seed 1

Two search; one writes documents, one forgets them, one switches adapters, one makes backups. Each notes in a file of
its own what it began, and what was acknowledged or found, with the time of the machine's one monotonic clock. From
these notes follows what every search had to find, and what may be in the store at the end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
import traceback
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if __name__ == "__main__":  # as a command it finds the tests' own modules by itself
    sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.checks import problems, state
from faults.operations import adapter, store

from vstore import Store, config
from vstore.db.connection import Database
from vstore.errors import NotFoundError, StoreBusyError
from vstore.maintenance import check

DOCUMENTS = 60
FORGOTTEN = 40  # of them; the others are always there
IN_PARTS = 3  # chunks; documents with more, which are half of them, are written in parts
ANEW = 6  # chunks; a version that moves more takes the place of the old one whole
WAL_BOUND = 16 * 2**20  # bytes, twice of what starts a checkpoint
KILL_S = 0.7  # seconds between two kills
SLOPE_BOUND = 1.0  # MB a minute that a reader may grow, measured over SLOPE_S or more
SLOPE_S = 120.0
BEGIN_S = 60.0  # seconds that a busy machine gets until everybody has done something
WORDS = ("harbour", "granite", "resin", "lantern", "canvas", "copper", "barley", "willow")
MARK = re.compile(r"doc(\d+)v(\d+)")


# --- what the processes do --------------------------------------------------------------------------------------------


class Notes:
    """One process's file of notes: each line is there whole or not at all, whenever the process is killed."""

    def __init__(self, folder: Path, role: str) -> None:
        path = folder / f"{whose(role, os.getpid())}.jsonl"
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def put(self, kind: str, **facts: Any) -> None:
        os.write(self._file, json.dumps({"kind": kind, "at": time.monotonic(), **facts}).encode() + b"\n")

    @contextmanager
    def change(self, document: int, version: int | None) -> Iterator[None]:
        """Something is written (or, without a version, forgotten): begun, and acknowledged."""
        self.put("begin", document=document, version=version)
        yield
        self.put("end", document=document, version=version)


def whose(role: str, process: int) -> str:
    return f"{role.replace(' ', '-')}-{process}"


def body(document: int, version: int) -> str:
    draw = random.Random(f"{document} {version}")
    # Sentences, which are not divided between chunks.
    return " ".join(f"Name{document} doc{document}v{version} {draw.choice(WORDS)}." for _ in range(40 + version % 120))


def read(opened_store: Store, notes: Notes, draw: random.Random) -> None:
    """Search in one of many ways; what is found belongs to one moment."""
    one = draw.randrange(DOCUMENTS)
    query = draw.choice([f"name{one}", *WORDS])
    mode = "lexical" if query.startswith("name") else draw.choice(["hybrid", "dense", "lexical"])
    begun = time.monotonic()
    results = opened_store.search(query, 10, mode=mode, diversity=False, collapse=False)
    found: dict[int, int] = {}
    for hit in results:
        document, version = map(int, MARK.search(hit.text).groups())  # type: ignore[union-attr]
        if hit.text not in body(document, version) or hit.document.uri != f"document {document}":
            notes.put("wrong", what=f"{hit.document.uri} with the text {hit.text[:60]!r}")
        if found.setdefault(document, version) != version:
            notes.put("wrong", what=f"document {document} in versions {version} and {found[document]} in one search")
    if mode == "dense" and len(results) != 10:
        notes.put("wrong", what=f"{len(results)} results of 10 in a dense search")
    wanted = {} if mode != "lexical" or query in WORDS else {"wanted": one}
    notes.put("search", begun=begun, found=list(found.items()), **wanted)


def write(opened_store: Store, notes: Notes, draw: random.Random) -> None:
    document, version = draw.randrange(DOCUMENTS), time.monotonic_ns()
    with notes.change(document, version), suppress(NotFoundError):  # which says that it was forgotten at once
        opened_store.remember(body(document, version), uri=f"document {document}")


def forget(opened_store: Store, notes: Notes, draw: random.Random) -> None:
    document = draw.randrange(FORGOTTEN)
    with notes.change(document, None):
        try:
            opened_store.forget(f"document {document}")
        except NotFoundError:
            return
    time.sleep(draw.uniform(0, 0.05))  # or there would be little left to find


def switch(opened_store: Store, notes: Notes, draw: random.Random) -> None:
    index = opened_store.index
    if draw.random() < 0.7:
        index.activate(index.save_adapter(adapter(draw.randrange(1_000)), {}, {}))
    else:
        with index.snapshot() as snapshot:
            if snapshot.adapter is None:
                return
        index.roll_back()
    notes.put("switch")
    time.sleep(draw.uniform(0, 0.1))


def back_up(opened_store: Store, notes: Notes, draw: random.Random) -> None:
    copy = opened_store.path.with_name(f"backup-{os.getpid()}.db")
    opened_store.backup(copy)
    for problem in problems(copy):
        notes.put("wrong", what=f"a backup: {problem}")
    copy.unlink()
    notes.put("backup")
    time.sleep(draw.uniform(0, 0.2))


ROLES: dict[str, Callable[[Store, Notes, random.Random], None]] = {
    "reader": read,
    "second reader": read,
    "writer": write,
    "forgetter": forget,
    "switcher": switch,
    "backup": back_up,
}
DONE = ("search", "end", "switch", "backup")  # what they note when something is done
SPARED = "reader"  # so that its memory can be watched


def work(role: str, path: Path, notes_in: Path, seed: int, stop: Path) -> None:
    """Do one thing again and again until told to stop, or killed."""
    notes, draw = Notes(notes_in, role), random.Random(seed)
    note_locks(notes)
    config.WRITTEN_AT_ONCE = IN_PARTS  # type: ignore[misc]
    config.PLACED_AT_ONCE = ANEW  # type: ignore[misc]
    try:
        with store(path, log="reader" in role) as opened_store:
            second = 0
            while not stop.exists():
                try:
                    ROLES[role](opened_store, notes, draw)
                except StoreBusyError:
                    notes.put("busy", role=role)
                if role == SPARED and int(time.monotonic()) != second:
                    second = int(time.monotonic())
                    notes.put("memory", mb=resident())
    except Exception:  # noqa: BLE001 - whatever escapes is the finding
        notes.put("wrong", what=f"{role}: {traceback.format_exc()}")


def note_locks(notes: Notes) -> None:
    """Note how long the write lock is waited for, and held."""
    usual = Database.write

    @contextmanager
    def timed(database: Database) -> Iterator[Any]:
        asked = time.monotonic()
        with usual(database) as connection:
            got = time.monotonic()
            yield connection
        notes.put("lock", waited=got - asked, held=time.monotonic() - got)

    Database.write = timed  # type: ignore[method-assign]


def resident() -> float:
    """Resident memory of this process in MB, 0 where that is not known."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except FileNotFoundError:
        return 0.0


# --- the killer -------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What was seen and measured."""

    kills: int = 0
    log_bytes: int = 0  # of the write-ahead log, at its largest
    wrong: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    waited_ms: tuple[float, float, float] = (0, 0, 0)  # median, 99th percentile, longest
    held_ms: tuple[float, float, float] = (0, 0, 0)
    slope: float | None = None  # MB a minute


def soak(folder: Path, seconds: float, seed: int, kill_s: float = KILL_S) -> Report:
    """Run it in an empty folder."""
    path, notes_in, stop = folder / "memory.db", folder / "notes", folder / "stop"
    notes_in.mkdir()
    notes = Notes(notes_in, "killer")
    prepare(path, notes)
    here = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
    if hasattr(os, "fork"):
        here.set_forkserver_preload(["faults.soak"])
    draw, report = random.Random(seed), Report()

    def begin(role: str) -> Any:
        process = here.Process(target=work, args=(role, path, notes_in, draw.randrange(2**32), stop))
        process.start()
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for the server, which imports once for all
        running = {role: begin(role) for role in ROLES}
    wait(lambda: not lacking(notes_in))
    log, end = path.with_name(path.name + "-wal"), time.monotonic() + seconds
    next_kill = time.monotonic() + kill_s
    while time.monotonic() < end:
        time.sleep(0.02)
        report.log_bytes = max(report.log_bytes, log.stat().st_size if log.exists() else 0)
        if time.monotonic() >= next_kill:
            next_kill += kill_s * draw.uniform(0.5, 1.5)
            role = draw.choice([role for role in ROLES if role != SPARED])
            running[role].kill()
            running[role].join()
            notes.put("killed", whom=whose(role, running[role].pid))
            report.kills += 1
            running[role] = begin(role)
    stop.touch()
    for role, process in running.items():
        process.join(30)
        if process.exitcode != 0:
            process.kill()
            report.wrong.append(f"{role} did not end by itself: {process.exitcode}")
    judge(path, gathered(notes_in), report)
    return report


def wait(done: Callable[[], bool]) -> None:
    """Until everybody has done something, as long as a busy machine may need."""
    until = time.monotonic() + BEGIN_S
    while not done() and time.monotonic() < until:
        time.sleep(0.05)


def lacking(notes_in: Path) -> list[str]:
    """What nobody has done so far."""
    notes = "".join(file.read_text() for file in notes_in.iterdir())
    return [kind for kind in DONE if f'"kind": "{kind}"' not in notes]


def prepare(path: Path, notes: Notes) -> None:
    with store(path) as opened_store, opened_store.index.bulk():
        for document in range(DOCUMENTS):
            with notes.change(document, version := time.monotonic_ns()):
                opened_store.remember(body(document, version), uri=f"document {document}")


def gathered(notes_in: Path) -> list[dict[str, Any]]:
    """All notes in the order of time, each with the process that made it."""
    found = [
        {"process": file.stem, **json.loads(line)}
        for file in notes_in.iterdir()
        for line in file.read_text().splitlines()
    ]
    return sorted(found, key=lambda note: note["at"])


# --- what must have been so -------------------------------------------------------------------------------------------


@dataclass
class Change:
    """A version that was written, or None that was forgotten; done from `ended` on, or never if not acknowledged."""

    version: int | None
    began: float
    ended: float = float("inf")
    acknowledged: bool = False


class History:
    """All changes of one document."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def settle(self) -> None:
        """Find out from when on each version cannot be there any more: a later change has been acknowledged."""
        done = sorted((change for change in self.changes if change.acknowledged), key=lambda one: one.began)
        self._begins = [change.began for change in done]
        self._over = [float("inf")] * (len(done) + 1)
        for place in range(len(done) - 1, -1, -1):
            self._over[place] = min(self._over[place + 1], done[place].ended)
        self.by_version = {change.version: change for change in self.changes if change.version is not None}

    def over(self, change: Change) -> float:
        """When something that began after this had ended was acknowledged."""
        return self._over[bisect_right(self._begins, change.ended)]

    def possible(self, begun: float, ended: float) -> set[int | None]:
        """What a look between two times may have seen."""
        return {change.version for change in self.changes if change.began <= ended and self.over(change) >= begun}


def judge(path: Path, notes: list[dict[str, Any]], report: Report) -> None:
    histories = told(notes)
    report.wrong += [note["what"] for note in notes if note["kind"] == "wrong"]
    report.wrong += problems(path)
    report.wrong += [f"check: {failed.name}: {failed.found}" for failed in check(path, deep=True).failed]
    report.wrong += [f"at the end: {what}" for what in disagreements(path, histories)]
    for note in notes:
        if note["kind"] == "search":
            report.wrong += misread(note, histories)
    for kind in (*DONE, "busy", "lock"):
        report.counts[kind] = sum(note["kind"] == kind for note in notes)
    locks = [note for note in notes if note["kind"] == "lock"]
    report.waited_ms, report.held_ms = (percentiles([note[name] for note in locks]) for name in ("waited", "held"))
    if report.log_bytes > WAL_BOUND:
        report.wrong.append(f"the log grew to {report.log_bytes:,} bytes")
    report.slope = slope([(note["at"], note["mb"]) for note in notes if note["kind"] == "memory" and note["mb"]])
    if report.slope is not None and report.slope > SLOPE_BOUND:
        report.wrong.append(f"a reader grew by {report.slope:.2f} MB a minute")


def told(notes: list[dict[str, Any]]) -> dict[int, History]:
    """The history of each document, from what was begun and what was acknowledged."""
    histories: dict[int, History] = defaultdict(History)
    begun: dict[str, Change] = {}
    for note in notes:
        if note["kind"] == "begin":
            begun[note["process"]] = Change(note["version"], note["at"])
            histories[note["document"]].changes.append(begun[note["process"]])
        elif note["kind"] == "end":
            begun[note["process"]].ended, begun[note["process"]].acknowledged = note["at"], True
        elif note["kind"] == "killed" and note["whom"] in begun and not begun[note["whom"]].acknowledged:
            begun[note["whom"]].ended = note["at"]
    for history in histories.values():
        history.settle()
    return histories


def disagreements(path: Path, histories: dict[int, History]) -> Iterator[str]:
    texts = {uri: facts[-2] for (_, uri), facts in state(path).documents.items()}
    for document, history in histories.items():
        text = texts.get(f"document {document}")
        found = int(MARK.search(text).group(2)) if text else None  # type: ignore[union-attr]
        if found not in history.possible(float("inf"), float("inf")):
            yield f"document {document} is {found}, which was replaced, forgotten or never written"
        elif found is not None and text != body(document, found):
            yield f"document {document} has not the text that it was given"


def misread(search: dict[str, Any], histories: dict[int, History]) -> Iterator[str]:
    begun, ended = search["begun"], search["at"]
    found = dict(search["found"])
    for document, version in found.items():
        change = histories[document].by_version.get(version)
        if change is None or change.began > ended:
            yield f"a search found document {document} in a version that nobody had written"
        elif histories[document].over(change) < begun:
            yield f"a search found document {document} in a version that was gone {begun - change.ended:.3f} s before"
    wanted = search.get("wanted")
    if wanted is not None and wanted not in found and None not in histories[wanted].possible(begun, ended):
        yield f"a search for document {wanted}, which was there all the time, did not find it"


def percentiles(seconds: list[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum, in milliseconds."""
    if not seconds:
        return 0.0, 0.0, 0.0
    middle, high, top = np.percentile(seconds, [50, 99, 100]) * 1000
    return float(middle), float(high), float(top)


def slope(points: list[tuple[float, float]]) -> float | None:
    """MB a minute over the second half, by least squares; None for a run too short to tell."""
    points = sorted(points)[len(points) // 2 :]
    if len(points) < 2 or points[-1][0] - points[0][0] < SLOPE_S / 2:
        return None
    at, mb = np.array(points).T
    return float(np.polyfit(at - at[0], mb, 1)[0] * 60)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=600.0)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), chosen.seconds, chosen.seed)
    counts = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
    print(f"{chosen.seconds:.0f} s, seed {chosen.seed}: {report.kills} kills; {counts}")
    print(f"log at most {report.log_bytes / 2**20:.1f} MB", end="")
    for what, (middle, high, top) in (("waited for", report.waited_ms), ("held", report.held_ms)):
        print(f"; write lock {what}: median {middle:.1f} ms, p99 {high:.1f} ms, longest {top:.0f} ms", end="")
    print("" if report.slope is None else f"; a reader grows {report.slope:+.2f} MB a minute")
    print(f"{len(report.wrong)} violations")
    for what in report.wrong[:50]:
        print(what)
    return bool(report.wrong)


if __name__ == "__main__":
    sys.exit(main())
