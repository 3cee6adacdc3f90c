"""Ingest, in order: find -> read -> drop what is unchanged -> cut -> embed -> write.

Reading and cutting run one step ahead in a thread of their own. Each document is written in one transaction, so an
ingest that is interrupted has lost nothing, and the next one goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vstore import config
from vstore.errors import InputError, SpaceMismatchError
from vstore.ingest.ahead import ahead
from vstore.ingest.chunk import Chunker
from vstore.ingest.read import read_file, source_hash
from vstore.ingest.report import AddReport, Progress
from vstore.ingest.walk import Skipped, find_files
from vstore.paths import file_uri
from vstore.storage import Index
from vstore.types import Chunk, Document, Embedder, Space

if TYPE_CHECKING:
    from vstore.types import FloatArray

    Cut = tuple[Document, list[Chunk]]


@dataclass(frozen=True, slots=True)
class Labels:
    """What the caller says about everything of one ingest."""

    collection: str
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """An embedder, the space its vectors live in, and a chunker that knows its window."""

    embedder: Embedder
    space: Space
    chunker: Chunker


@dataclass
class Tally:
    """Counters of one ingest. The reading thread and the writing thread change different ones."""

    started: float = field(default_factory=time.monotonic)
    bytes_total: int = 0
    bytes_passed: int = 0  # of files that need no work, by the reading thread
    chars_done: int = 0  # of documents that were embedded and written, standing for their bytes
    outcomes: dict[str, int] = field(default_factory=lambda: {"added": 0, "updated": 0, "unchanged": 0})
    embedded: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def progress(self) -> Progress:
        """The counters now."""
        done = min(self.bytes_passed + self.chars_done, self.bytes_total)
        return Progress(done, self.bytes_total, sum(self.outcomes.values()), self.embedded)

    def report(self) -> AddReport:
        """The counters at the end."""
        seconds = time.monotonic() - self.started
        return AddReport(**self.outcomes, embedded=self.embedded, skipped=tuple(self.skipped), seconds=seconds)


def add_files(
    index: Index,
    model: Callable[[], Model],
    targets: Iterable[str | Path],
    labels: Labels,
    progress: Callable[[Progress], None],
    own_files: frozenset[Path] = frozenset(),
) -> AddReport:
    """Ingest files, folders and globs. `model` is called when the first new or changed document turns up.

    `own_files` are the storage's, resolved: they are never opened, for that could drop SQLite's locks on them.

    A file that cannot be read or stored is skipped with its reason. Raises NotFoundError for a target that does not
    exist, and whatever `model` raises.
    """
    tally = Tally()
    documents = _read(index, _files(targets, own_files, tally), labels, tally)
    progress(tally.progress())
    with index.bulk():
        for window in _windows(ahead(_cut(index, documents, model, tally))):
            _write(index, model, window, tally, progress)
    tally.bytes_passed = tally.bytes_total
    progress(tally.progress())
    return tally.report()


def add_document(index: Index, model: Callable[[], Model], document: Document) -> AddReport:
    """Ingest one document that was read already. Raises InputError when it cannot be stored."""
    tally = Tally()
    for cut in _cut(index, [document], model, tally):
        _write(index, model, [cut], tally, lambda _: None)
    if tally.skipped:
        raise InputError(tally.skipped[0].reason)
    return tally.report()


def _files(targets: Iterable[str | Path], own_files: frozenset[Path], tally: Tally) -> list[Path]:
    """Every file to read, so that the amount of work is known before it begins."""
    files = []
    for found in find_files(targets):
        if isinstance(found, Skipped):
            tally.skipped.append(found)
        elif found.resolve() in own_files:
            tally.skipped.append(Skipped(found, "the store itself"))
        else:
            files.append(found)
            tally.bytes_total += _size(found)
    return files


def _size(path: Path) -> int:
    """Bytes, for the display of progress alone; 0 for a file that went away, which reading it will report."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(index: Index, files: Iterable[Path], labels: Labels, tally: Tally) -> Iterator[Document]:
    """The documents of all files that are not known to be unchanged before they are parsed."""
    for path in files:
        size = _size(path)
        known = index.content_hash(labels.collection, file_uri(path))
        if known and known == source_hash(path, labels.collection, labels.tags, labels.metadata):
            tally.outcomes["unchanged"] += 1
            tally.bytes_passed += size
        else:
            for found in read_file(path, collection=labels.collection, tags=labels.tags, metadata=labels.metadata):
                if isinstance(found, Skipped):
                    tally.skipped.append(found)
                else:
                    yield found


def _cut(
    index: Index, documents: Iterable[Document], model: Callable[[], Model], tally: Tally
) -> Iterator[tuple[Document, list[Chunk]]]:
    for document in documents:
        if index.content_hash(document.collection, document.uri) == document.content_hash:
            tally.outcomes["unchanged"] += 1
        else:
            yield document, model().chunker.chunk(document)


def _windows(cut: Iterable[Cut]) -> Iterator[list[Cut]]:
    """Group documents until they have WINDOW_CHUNKS chunks between them: enough to sort by length."""
    window: list[Cut] = []
    chunks = 0
    for item in cut:
        window.append(item)
        chunks += len(item[1])
        if chunks >= config.WINDOW_CHUNKS:
            yield window
            window, chunks = [], 0
    if window:
        yield window


def _write(
    index: Index, model: Callable[[], Model], window: list[Cut], tally: Tally, progress: Callable[[Progress], None]
) -> None:
    """Embed and write; what was embedded just before the store switched to another model, again by that one."""
    left = list(window)
    try:
        _embed_and_write(index, model(), left, tally, progress)
    except SpaceMismatchError:
        _embed_and_write(index, model(), left, tally, progress)


def _embed_and_write(
    index: Index, model: Model, window: list[Cut], tally: Tally, progress: Callable[[Progress], None]
) -> None:
    """Embed what no stored vector covers, each text once, and write document by document, each leaving the window."""
    texts: dict[str, str] = {}
    for document, chunks in window:
        known = index.embedded_chunks(document.collection, document.uri)
        for chunk in chunks:
            if chunk.content_hash not in known:
                texts[chunk.content_hash] = model.chunker.embedding_text(document.title, chunk.heading, chunk.text)
    vectors: dict[str, FloatArray] = {}
    hashes = sorted(texts, key=lambda key: len(texts[key]))  # texts of like length share a batch without padding
    chars_after = tally.chars_done + sum(len(document.text) for document, _ in window)
    for start in range(0, len(hashes), config.EMBED_CHUNKS):
        part = hashes[start : start + config.EMBED_CHUNKS]
        vectors |= zip(part, model.embedder.embed_documents([texts[key] for key in part]), strict=True)
        tally.embedded += len(part)
        tally.chars_done = min(tally.chars_done + sum(len(texts[key]) for key in part), chars_after)
        progress(tally.progress())
    while window:
        document, chunks = window[0]
        try:
            outcome = index.write(document, chunks, vectors, model.space)
        except InputError as error:
            tally.skipped.append(Skipped(Path(document.uri), str(error)))
        else:
            tally.outcomes[outcome] += 1
        del window[0]
    tally.chars_done = chars_after
    progress(tally.progress())
