"""Ingest, in order: find -> read -> drop what is unchanged -> cut -> embed -> write.

Reading and cutting run ahead in a thread of their own, and embedding in another, while this one writes. A document is
written whole or not at all, so an ingest that is interrupted has lost nothing, and the next one goes on where it
stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vstore import arguments, config
from vstore.addresses import is_address, uris
from vstore.errors import InputError, ModelError, SpaceMismatchError, VectorMissingError
from vstore.ingest.ahead import ahead
from vstore.ingest.chunk import Chunker
from vstore.ingest.read import read_file, read_page, source_hash
from vstore.ingest.report import AddReport, Progress, Tally, Told
from vstore.ingest.sandbox import Sandbox
from vstore.ingest.walk import Skipped, find_files
from vstore.paths import belongs_to, resolved_uri
from vstore.storage import Index
from vstore.types import Cut, Document, Embedder, Space, StoredDocument

if TYPE_CHECKING:
    from vstore.ingest.web_fetch import Fetcher
    from vstore.types import FloatArray


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


MayRead = Callable[[Path], str | None]  # asked of a file that was found: why it is skipped, or None
MayReplace = Callable[[StoredDocument], str | None]  # asked of what a new document would replace, as `MayRead`


def add_files(
    index: Index,
    model: Callable[[], Model],
    targets: Iterable[str | Path],
    labels: Labels,
    progress: Callable[[Progress], None],
    own: Path,
    *,
    allow_private: bool = False,
    may_read: MayRead = lambda _: None,
    may_replace: MayReplace | None = None,
) -> AddReport:
    """Ingest files, folders and globs, then web addresses. `model` is called when the first new document turns up.

    `own` is the storage's own file: it and those beside it are never opened, for that could drop SQLite's locks.
    `allow_private` as in `Fetcher`. `may_read` is asked of every file that was found, by its path without links, and
    `may_replace` of what is stored under a document's collection and uri, expired or not.

    What cannot be read or stored is skipped with its reason. Raises NotFoundError for a file or folder that does not
    exist, and whatever `model` raises.
    """
    tally = Tally()
    names = list(targets)
    files = _files([name for name in names if not is_address(name)], own, may_read, tally)
    pages = _distinct([str(name) for name in names if is_address(name)], tally)
    _read_and_ingest(
        index, model, files, pages, labels, tally, progress, allow_private=allow_private, may_replace=may_replace
    )
    return tally.report()


@dataclass(frozen=True, slots=True)
class Ready:
    """Vectors that need not be made, by chunk hash, of the model with this fingerprint; they go when they are used."""

    fingerprint: str
    vectors: dict[str, FloatArray]


NOTHING_READY: Final = Ready("", {})


def ingest(
    index: Index,
    model: Callable[[], Model],
    documents: Iterable[Cut],
    tally: Tally,
    progress: Callable[[Progress], None],
    *,
    ready: Ready = NOTHING_READY,
    abandon: Callable[[], None] = lambda: None,
) -> None:
    """Embed and write documents while the next ones are cut. Raises whatever `documents` and `model` raise.

    `abandon` is called first when this ends in any way, so that nobody waits for a document that is still being read.
    """
    progress(tally.progress())
    with (
        index.bulk(),
        closing(ahead(documents, config.READ_AHEAD)) as cuts,
        closing(ahead(_embedded(index, model, _windows(cuts), ready), config.EMBED_AHEAD, abandon)) as steps,
    ):
        for step in steps:
            _follow(index, model, step, tally, progress)
    tally.bytes_passed = tally.bytes_total
    progress(tally.progress())


def add_found(
    index: Index,
    model: Callable[[], Model],
    files: Sequence[Path],
    labels: Labels,
    progress: Callable[[Progress], None],
    told: Told,
    ready: Ready,
) -> AddReport:
    """Ingest files that were found already (`find_below`), none of them the storage's own; as `add_files` otherwise.

    `told` is called for each document that is in the store now, from two threads.
    """
    tally = Tally(told=told, bytes_total=sum(map(_size, files)))
    _read_and_ingest(index, model, files, (), labels, tally, progress, ready=ready)
    return tally.report()


def _read_and_ingest(
    index: Index,
    model: Callable[[], Model],
    files: Iterable[Path],
    pages: Sequence[str],
    labels: Labels,
    tally: Tally,
    progress: Callable[[Progress], None],
    *,
    ready: Ready = NOTHING_READY,
    allow_private: bool = False,
    may_replace: MayReplace | None = None,
) -> None:
    with ExitStack() as open_parts:
        sandbox = open_parts.enter_context(Sandbox())
        documents = _read(index, files, sandbox, labels, tally)
        if pages:
            from vstore.ingest.web_fetch import Fetcher  # here, for nothing of the network is loaded without an address

            fetcher = open_parts.enter_context(closing(Fetcher(allow_private=allow_private)))
            documents = chain(documents, _fetched(pages, fetcher, sandbox, labels, tally))
        cuts = _cut(index, documents, model, tally, may_replace)
        ingest(index, model, cuts, tally, progress, ready=ready, abandon=open_parts.close)


def add_document(index: Index, model: Callable[[], Model], document: Document) -> AddReport:
    """Ingest one document that was read already. Raises InputError when it cannot be stored."""
    tally = Tally()
    for cut in _cut(index, [document], model, tally):
        for step in _embedded(index, model, [[cut]]):
            _follow(index, model, step, tally, lambda _: None)
    if tally.skipped:
        raise InputError(tally.skipped[0].reason)
    return tally.report()


def add_documents(index: Index, model: Callable[[], Model], documents: Iterable[Document]) -> AddReport:
    """Ingest documents that were read already; those that cannot be stored are skipped and named in the report."""
    tally = Tally()
    ingest(index, model, _cut(index, documents, model, tally), tally, lambda _: None)
    return tally.report()


def _files(targets: Iterable[str | Path], own: Path, may_read: MayRead, tally: Tally) -> list[Path]:
    """Every file to read, so that the amount of work is known before it begins."""
    files = []
    for found in find_files(targets):
        if isinstance(found, Skipped):
            tally.skipped.append(found)
        elif belongs_to(found.resolve(), own):
            tally.skipped.append(Skipped(found, "the store itself"))
        elif reason := may_read(found):
            tally.skipped.append(Skipped(found, reason))
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


def _read(index: Index, files: Iterable[Path], sandbox: Sandbox, labels: Labels, tally: Tally) -> Iterator[Document]:
    """The documents of all files that are not known to be unchanged before they are parsed."""
    for path in files:
        size = _size(path)
        uri = resolved_uri(path)  # as it was found: a folder on the way may be a link by now
        known = index.content_hash(labels.collection, uri)
        if known and known == source_hash(path, labels.collection, labels.tags, labels.metadata):
            tally.unchanged(uri, known)
            tally.bytes_passed += size
        else:
            for found in read_file(path, sandbox, labels.collection, labels.tags, labels.metadata):
                if isinstance(found, Skipped):
                    tally.skipped.append(found)
                else:
                    yield found


def _distinct(names: Iterable[str], tally: Tally) -> list[str]:
    """Web addresses, each once however it is written."""
    pages = list({[*uris(name)][-1]: name for name in names}.values())
    tally.bytes_total += config.WEB_PAGE_BYTES * len(pages)
    return pages


def _fetched(
    pages: Iterable[str], fetcher: Fetcher, sandbox: Sandbox, labels: Labels, tally: Tally
) -> Iterator[Document]:
    """The documents at all web addresses, one after the other."""
    for name in pages:
        found = read_page(name, fetcher, sandbox, labels.collection, labels.tags, labels.metadata)
        tally.bytes_passed += config.WEB_PAGE_BYTES
        if isinstance(found, Skipped):
            tally.skipped.append(found)
        else:
            yield found


def _cut(
    index: Index,
    documents: Iterable[Document],
    model: Callable[[], Model],
    tally: Tally,
    may_replace: MayReplace | None = None,
) -> Iterator[Cut]:
    for document in documents:
        if may_replace and (reason := _kept(index, document, may_replace)):
            tally.count(document, InputError(reason))
        elif index.content_hash(document.collection, document.uri) == document.content_hash:
            tally.unchanged(document.uri, document.content_hash)
        else:
            yield document, model().chunker.chunk(document)


def _kept(index: Index, document: Document, may_replace: MayReplace) -> str | None:
    """Why what is stored under the name of a document stays, or None."""
    scope = arguments.scope(document.collection, {"@uri": document.uri})
    with index.snapshot() as snapshot:
        there = snapshot.documents(scope, 1, expired=True)
    return may_replace(there[0]) if there else None


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


@dataclass(frozen=True, slots=True)
class Part:
    """A sign of life: so many more chunks were embedded, and with them so many characters of their window by now."""

    chunks: int
    chars: int


@dataclass(frozen=True, slots=True)
class Window:
    """Documents that are ready to be written: with vectors, by chunk hash, for all that the store has none of."""

    cuts: list[Cut]
    vectors: dict[str, FloatArray]
    space: Space

    @property
    def chars(self) -> int:
        """Characters of the documents."""
        return sum(len(document.text) for document, _ in self.cuts)


def _embedded(
    index: Index, model: Callable[[], Model], windows: Iterable[list[Cut]], ready: Ready = NOTHING_READY
) -> Iterator[Part | Window]:
    """Each window, after the parts in which it was embedded: what no vector covers that is there, each text once."""
    for cuts in windows:
        made = model()
        window = Window(cuts, {}, made.space)
        texts: dict[str, str] = {}
        known = index.embedded_chunks([(document.collection, document.uri) for document, _ in cuts])
        for (document, chunks), stored in zip(cuts, known, strict=True):
            for chunk in chunks:
                vector = ready.vectors.pop(chunk.content_hash, None)
                if vector is not None and ready.fingerprint == made.space.fingerprint:
                    window.vectors[chunk.content_hash] = vector
                elif chunk.content_hash not in stored and chunk.content_hash not in window.vectors:
                    texts[chunk.content_hash] = made.chunker.embedding_text(document.title, chunk.heading, chunk.text)
        hashes = sorted(texts, key=lambda key: len(texts[key]))  # texts of like length share a batch without padding
        chars = 0
        for start in range(0, len(hashes), config.EMBED_CHUNKS):
            some = hashes[start : start + config.EMBED_CHUNKS]
            vectors = made.embedder.embed_documents([texts[key] for key in some])
            if len(vectors) != len(some):
                raise ModelError(f"the embedder returned {len(vectors)} vectors for {len(some)} texts; use another one")
            window.vectors.update(zip(some, vectors, strict=True))
            chars += sum(len(texts[key]) for key in some)
            yield Part(len(some), min(chars, window.chars))
        yield window


def _follow(
    index: Index, model: Callable[[], Model], step: Part | Window, tally: Tally, progress: Callable[[Progress], None]
) -> None:
    """Count what was embedded, write what is ready, and tell how far it is."""
    if isinstance(step, Part):
        tally.embedded += step.chunks
        tally.chars_embedded = step.chars
    else:
        _write(index, model, step, tally)
        tally.chars_written += step.chars
        tally.chars_embedded = 0
    progress(tally.progress())


def _write(index: Index, model: Callable[[], Model], window: Window, tally: Tally, *, again: bool = True) -> None:
    """Write a window, and `again` what the store changed for meanwhile: the model, or a document of the same name."""
    left = list(window.cuts)
    while left:
        try:
            outcomes = index.write(left, window.vectors, window.space)
        except SpaceMismatchError:
            if not again:
                raise
            _write_again(index, model, left, tally)
            return
        for cut, outcome in zip(left, outcomes, strict=False):
            if again and isinstance(outcome, VectorMissingError):
                _write_again(index, model, [cut], tally)
            else:
                tally.count(cut[0], outcome)
        del left[: len(outcomes)]


def _write_again(index: Index, model: Callable[[], Model], cuts: list[Cut], tally: Tally) -> None:
    for step in _embedded(index, model, [cuts]):
        if isinstance(step, Part):
            tally.embedded += step.chunks
        else:
            _write(index, model, step, tally, again=False)
