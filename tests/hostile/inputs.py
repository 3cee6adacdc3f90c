"""Bad inputs as files, each with the outcome that is expected of it, and the run that all of them go through.

All files of a category are in one folder and are added at once, with one ordinary file behind them: whatever one of
them does, the ones after it must go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.material import assert_consistent
from toy import ToyEmbedder

from vstore import Store
from vstore.ingest.report import AddReport
from vstore.ingest.sandbox import Limits, Sandbox

LAST = "zzz-last.txt"  # behind all others in the order of names
SECTIONS = 5_000  # of a document, instead of a hundred times as many
LIMITS = Limits(memory=256 * 2**20, cpu_s=3, wall_s=30)  # so that what hits one does not take the suite's time


@dataclass(frozen=True)
class Kept:
    """The file is stored: its text has `has` and lacks `lacks`, and the document is found by the word `word`."""

    has: str
    lacks: str = "\0"
    word: str = ""


@dataclass(frozen=True)
class Refused:
    """The file is skipped, for a reason that the expression matches."""

    reason: str


@dataclass(frozen=True)
class Bad:
    """A bad file. Its bytes are made when they are needed."""

    name: str
    data: Callable[[], bytes]
    expected: Kept | Refused


@dataclass(frozen=True)
class Run:
    """A store after all files of a category were added."""

    folder: Path
    store: Store
    report: AddReport

    def check(self, bad: Bad) -> None:
        """The outcome that was expected is what came of the file."""
        path = (self.folder / bad.name).resolve()
        reasons = [skipped.reason for skipped in self.report.skipped if skipped.path == path]
        if isinstance(bad.expected, Refused):
            assert len(reasons) == 1, reasons
            assert re.search(bad.expected.reason, reasons[0]), reasons[0]
            assert not [document for document in self.store.documents() if document.uri == path.as_posix()]
            return
        assert reasons == []
        self.check_kept(path.as_posix(), bad.expected)

    def check_kept(self, uri: str, expected: Kept) -> None:
        """The text is there and found again by a word of it."""
        text = self.store.get(uri).text
        assert expected.has in text, text[:200]
        assert expected.lacks not in text
        word = expected.word or re.findall(r"\w+", expected.has)[0]
        hits = self.store.search(word, mode="lexical", where={"@uri": uri})
        assert hits and hits[0].document.uri == uri
        assert text[hits[0].start : hits[0].end] == hits[0].text


def add_all(folder: Path, bads: Sequence[Bad], store_path: Path) -> Run:
    """Add all files of a category, and check what must hold whatever they are."""
    folder.mkdir(exist_ok=True)
    for bad in bads:
        (folder / bad.name).write_bytes(bad.data())
    (folder / LAST).write_text("the lighthouse is the last one")
    store = Store(store_path, ToyEmbedder(16))
    report = store.add(folder)
    assert store.search("lighthouse", mode="lexical")[0].document.uri.endswith(LAST)
    assert report.added + len(report.skipped) == len(bads) + 1
    assert_consistent(store_path)
    return Run(folder, store, report)


class StrictSandbox(Sandbox):
    """With the limits of these tests."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
