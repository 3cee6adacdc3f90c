"""Take what a store has elsewhere, as text that other versions and other models can read; see docs/backup.md."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from vstore import atomic
from vstore.errors import InputError
from vstore.ingest.exporting import ExportReport, exported
from vstore.ingest.importing import ImportReport, import_lines
from vstore.paths import belongs_to, expanded

if TYPE_CHECKING:
    from vstore.ingest.report import Progress
    from vstore.store import Store


class Sink(Protocol):
    """Where an export may go: a binary stream, or anything else that takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take some of it, in whole lines."""


def export_to(
    store: Store, target: str | Path | Sink, *, vectors: bool = False, overwrite: bool = False
) -> ExportReport:
    """Write all documents and judgements of a store as JSONL, as they are at one moment, others writing meanwhile.

    `target` is a file's path or a binary stream; a file appears when it is complete. With `vectors` a store with the
    same model need not embed anything again. Raises InputError when the file is there and `overwrite` is false,
    StoreError when it cannot be written.
    """
    report = ExportReport()
    if not isinstance(target, (str, Path)):
        _write(store, target, report, vectors=vectors)
        return report
    path = _elsewhere(store, target)
    with (
        atomic.appearing(path, overwrite=overwrite) as partial,
        atomic.translated(path),
        partial.open("wb") as stream,
    ):
        _write(store, stream, report, vectors=vectors)
    return report


def _write(store: Store, stream: Sink, report: ExportReport, *, vectors: bool) -> None:
    with store.index.snapshot() as snapshot:
        for line in exported(snapshot, report, vectors=vectors):
            stream.write(line)


def import_from(
    store: Store, source: str | Path | BinaryIO, progress: Callable[[Progress], None] | None = None
) -> ImportReport:
    """Put an export's documents and judgements into a store; what is there as it is is not touched.

    `source` is a file's path or a binary stream. Lines that cannot be used are named in the report. Raises InputError
    for what is no export or was made by a later version, and what `Store.add` raises.
    """
    tell = progress or (lambda _: None)
    if not isinstance(source, (str, Path)):
        return import_lines(store.index, store.ingest_model, source, 0, tell)
    path = _elsewhere(store, source)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the path of an export") from error
    with stream:
        return import_lines(store.index, store.ingest_model, stream, os.fstat(stream.fileno()).st_size, tell)


def _elsewhere(store: Store, place: str | Path) -> Path:
    """A path that is none of the store's own files: to open one would drop the locks that SQLite has on it."""
    path = expanded(place)
    if belongs_to(path, store.path):
        raise InputError(f"{path} is the store itself; give the path of an export")
    return path
