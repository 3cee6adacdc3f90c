"""Reading files that are new or have changed, with a word on each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING

from vstore import arguments, config
from vstore.errors import StoreBusyError
from vstore.ingest import media
from vstore.ingest.parsed import EMPTY
from vstore.ingest.pipeline import NOTHING_READY, Labels, Ready, add_found
from vstore.paths import resolved_uri
from vstore.store import Store
from vstore.types import StoredDocument
from vstore.watch.events import Event
from vstore.watch.plan import file_of
from vstore.watch.witness import Witness

if TYPE_CHECKING:
    from vstore.types import FloatArray


class Intake:
    """Puts files into one collection of a store."""

    def __init__(self, store: Store, labels: Labels, witness: Witness) -> None:
        self.stale: set[str] = set()  # documents that their files, when they were read, did not have any more
        self._store = store
        self._labels = labels
        self._witness = witness

    def documents(self, path: Path) -> list[StoredDocument]:
        """What the store has of a file, or of all below a folder, also what has expired."""
        uri = resolved_uri(path)
        scope = arguments.scope(self._labels.collection, {"$or": [{"@uri": uri}, arguments.below(uri)]})
        with self._store.index.snapshot() as snapshot:
            return snapshot.documents(scope, config.UNLIMITED, expired=True)

    def read(self, files: Sequence[Path], ready: Ready) -> Iterator[Event]:
        """Read files, and say what came of each. Raises StoreBusyError after what was written before that."""
        paths = {resolved_uri(path): path for path in files}
        found: dict[str, str] = {}  # uri of a document: what came of it

        def told(uri: str, content_hash: str, outcome: str) -> None:
            found[uri] = outcome
            self._witness.note(uri, content_hash)

        skipped: dict[str, list[str]] = {}  # uri of a file: reasons
        failure = None
        try:
            store = self._store
            report = add_found(store.index, store.ingest_model, files, self._labels, lambda _: None, told, ready)
        except StoreBusyError as error:
            failure = error
        else:
            for item in report.skipped:
                skipped.setdefault(file_of(resolved_uri(Path(item.path)), paths), []).append(item.reason)
        older = self._older(paths, found, skipped) if failure is None else set()
        yield from _changes(paths, found, older)
        for uri, reasons in skipped.items():
            if lexists(paths[uri]):  # else it will be missed in the next round
                more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
                yield Event("skipped", paths[uri], reasons[0] + more)
        if failure is not None:
            raise failure

    def _older(
        self, paths: Mapping[str, Path], found: Collection[str], skipped: Mapping[str, Sequence[str]]
    ) -> set[str]:
        """The files of which the store has documents that were not found in them: rows, or the text of an empty file.

        They are noted as stale, unless a part of the file could not be read, which may still have them.
        """
        older = set()
        for uri, path in paths.items():
            reasons = set(skipped.get(uri, ()))
            if media.media_type(path) != media.ROWS and reasons != {EMPTY}:
                continue
            missing = {document.uri for document in self.documents(path)} - set(found)
            missing = {one for one in missing if one == uri or not lexists(one)}  # the name of a file may have a #
            if missing:
                older.add(uri)
                self.stale |= missing if reasons <= {EMPTY} else set()
        return older

    def vectors_of(self, documents: Sequence[StoredDocument]) -> Ready:
        """The vectors of documents that are about to be forgotten: files that were moved need not be embedded again."""
        if not documents:
            return NOTHING_READY
        model = self._store.ingest_model()
        vectors: dict[str, FloatArray] = {}
        with self._store.index.snapshot() as snapshot:
            if snapshot.space != model.space:
                return NOTHING_READY
            for document in documents:
                ids = snapshot.chunk_ids(document.id)
                if len(vectors) + len(ids) > config.WATCH_REUSED_CHUNKS:
                    break
                chunks = snapshot.chunks(ids)
                for id_, vector in snapshot.vectors([*chunks]).items():
                    chunk = chunks[id_]
                    vectors[model.chunker.content_hash(document.title, chunk.heading, chunk.text)] = vector
        return Ready(model.space.fingerprint, vectors)


def _changes(paths: Mapping[str, Path], found: Mapping[str, str], older: Collection[str]) -> Iterator[Event]:
    """An event for each file of which something was written: added when all that is stored of it is new."""
    outcomes: dict[str, list[str]] = {}
    for uri, outcome in found.items():
        outcomes.setdefault(file_of(uri, paths), []).append(outcome)
    for file, many in outcomes.items():
        changed = [outcome for outcome in many if outcome != "unchanged"]
        if changed:
            is_new = file not in older and all(outcome == "added" for outcome in many)
            yield Event("added" if is_new else "updated", paths[file], documents=len(changed))
