"""One round: look, compare, read what is new or changed, and forget what is gone. In this order.

So a file that was moved is in the store at its new place before it is forgotten at the old one. Nothing is read that is
still being written, and nothing forgotten while more of it is being removed: then another round is due.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

from vstore import config
from vstore.errors import StoreBusyError
from vstore.ingest.pipeline import NOTHING_READY, Labels, Ready
from vstore.ingest.walk import Skipped
from vstore.paths import resolved_uri
from vstore.store import Store
from vstore.types import StoredDocument
from vstore.watch.events import Event
from vstore.watch.intake import Intake
from vstore.watch.listing import Identity, Listing, Stamp, identity, look
from vstore.watch.plan import Plan, Refusal, file_of, plan
from vstore.watch.settling import Files, Losses
from vstore.watch.witness import Witness

Known = Mapping[Path, Mapping[str, StoredDocument]]  # the documents of each root, by uri


class Synchroniser:
    """Keeps the documents of one collection below some roots what the files there are."""

    def __init__(
        self,
        store: Store,
        roots: Sequence[Path],
        labels: Labels,
        stop: threading.Event,
        *,
        forget_many: bool = False,
    ) -> None:
        self.listing = Listing()
        self.compared_s = 0.0  # seconds that it took last to look and to compare
        self._store = store
        self.roots = roots
        self._labels = labels
        self._stop = stop
        self._forget_many = forget_many
        self._witness = Witness(store, labels.collection)
        self._intake = Intake(store, labels, self._witness)
        self._read: dict[Path, Stamp] = {}  # files as they were when they were read
        self._owes = True  # a comparison with what the store has, because something may be gone
        self._files = Files()
        self._losses = Losses()
        self._noticed: datetime | None = None  # since when something is gone that is not forgotten
        self._trusted: dict[Path, Identity] = {}  # roots as they were when something was in them
        self._named: frozenset[Skipped] = frozenset()  # that were told
        self._refused: tuple[Refusal, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether something has still to come to rest, so that another round is due soon."""
        return self._files.pending or self._owes

    def needs_a_look(self) -> bool:
        """Whether something is different that gives no notice: a root, or the store. Raises as `Witness.check` does."""
        try:
            if self._witness.check():
                self._read.clear()
                return True
        except StoreBusyError:
            return True
        return bool(self.listing.lost) or any(identity(root) != self.listing.identities[root] for root in self.roots)

    def round(self, *, everything: bool = False) -> Iterator[Event]:
        """Do what can be done now; with `everything`, also what gave no sign of a change.

        Raises StoreBusyError when others write for too long; the next round goes on from there. Raises StoreError when
        the store was replaced, and what an ingest raises.
        """
        if self._witness.check():
            self._read.clear()
            everything = True
        before, started = self.listing, time.monotonic()
        self.listing = look(self.roots, self._store.path)
        self._read = {path: stamp for path, stamp in self._read.items() if path in self.listing.files}
        self._owes |= everything or self._may_lose(before)
        known = self._known() if self._owes else {}
        self._distrust_bare_roots(known)
        stale = len(self._intake.stale)
        planned = self._plan(known)
        if planned.gone and self._noticed is None:
            self._noticed = datetime.now(timezone.utc)
        self.compared_s = time.monotonic() - started
        yield from self._tell_what_is_unusable(before)
        is_quiet = self._losses.at_rest(planned.gone, time.monotonic())
        rested = self._files.at_rest(planned.read, time.monotonic(), time.time())
        yield from self._take_in(rested, known, planned.gone)
        self._owes |= len(self._intake.stale) > stale
        if known and is_quiet and not self._files.pending and len(self._intake.stale) == stale:
            yield from self._forget(known, planned)

    # --- what there is ------------------------------------------------------------------------------------------------

    def _known(self) -> Known:
        """The documents of each root, by uri."""
        return {root: {document.uri: document for document in self._intake.documents(root)} for root in self.roots}

    def _may_lose(self, before: Listing) -> bool:
        """Whether the store may have documents whose files are gone."""
        now = self.listing
        is_doubted = now.in_doubt() != before.in_doubt()
        return is_doubted or bool(now.bare or self._intake.stale or before.files.keys() - now.files.keys())

    def _plan(self, known: Known, excused: Collection[str] = ()) -> Plan:
        came_in = {
            root: {uri: document.created_at for uri, document in documents.items()} for root, documents in known.items()
        }
        return plan(
            came_in,
            self.listing,
            self._read,
            self._intake.stale,
            noticed=self._noticed or datetime.now(timezone.utc),
            excused=excused,
            forget_many=self._forget_many,
        )

    def _distrust_bare_roots(self, known: Known) -> None:
        """Without what was mounted there, a folder is empty. It was emptied if it is still the same folder."""
        listing = self.listing
        for root in listing.bare:
            if known.get(root) and self._trusted.get(root) != listing.identities[root]:
                listing.lost[root] = "nothing is in it, as in the place of a disk that is not there"
        for root, which in listing.identities.items():
            if root not in listing.bare and root not in listing.lost:
                self._trusted[root] = which

    def _tell_what_is_unusable(self, before: Listing) -> Iterator[Event]:
        for root, reason in self.listing.lost.items():
            if before.lost.get(root) != reason:
                advice = f"what is stored of it is kept until it is back; to remove that: vstore forget {root}"
                yield Event("waiting", root, f"{reason}; {advice}")
        for root in before.lost:
            if root not in self.listing.lost:
                yield Event("back", root)
        named, self._named = self._named, frozenset(self.listing.skipped)
        yield from (
            Event("skipped", Path(item.path), item.reason) for item in self.listing.skipped if item not in named
        )

    # --- what is done -------------------------------------------------------------------------------------------------

    def _take_in(self, rested: Mapping[Path, Stamp], known: Known, lost: Collection[str]) -> Iterator[Event]:
        ready = self._vectors_of(lost, known, rested)
        left = iter(rested.items())
        while (batch := dict(islice(left, config.WATCH_FILES))) and not self._stop.is_set():
            yield from self._intake.read([*batch], ready)
            self._read |= batch

    def _vectors_of(self, lost: Collection[str], known: Known, rested: Collection[Path]) -> Ready:
        """Vectors of what is gone, if there are files that the store does not know: they may have been moved."""
        documents = _by_uri(known)
        if not lost or all(resolved_uri(path) in documents for path in rested):
            return NOTHING_READY
        return self._intake.vectors_of([documents[uri] for uri in lost])

    def _forget(self, known: Known, planned: Plan) -> Iterator[Event]:
        if planned.refused:
            planned = self._plan(known, excused=self._moved(planned))
        documents = _by_uri(known)
        doomed = [documents[uri] for uri in planned.forget]
        if doomed and not self._stop.is_set():
            self._store.forget(doomed)
            self._witness.note(doomed[-1].uri, None)
            yield from _forgotten(planned.forget, self.listing.uris())
        for refusal in planned.refused:
            if refusal not in self._refused:
                yield Event("refused", refusal.root, _advice(refusal), len(refusal.uris))
        self._refused = planned.refused
        self._noticed = self._noticed if planned.refused else None
        self._intake.stale.clear()
        self._owes = False

    def _moved(self, planned: Plan) -> set[str]:
        """Those of the documents that must not be forgotten which are the same as one at another place."""
        # None, of a file that the store has nothing of, is no content that two could have in common.
        here = {self._hash(uri) for uri in self.listing.uris()} - {None}
        return {uri for refusal in planned.refused for uri in refusal.uris if self._hash(uri) in here}

    def _hash(self, uri: str) -> str | None:
        return self._store.index.content_hash(self._labels.collection, uri)


def _by_uri(known: Known) -> dict[str, StoredDocument]:
    return {uri: document for of_root in known.values() for uri, document in of_root.items()}


def _forgotten(uris: Collection[str], listed: Collection[str]) -> Iterator[Event]:
    """An event for each file, with the number of its documents that are gone."""
    counts: dict[str, int] = {}
    for uri in uris:
        file = file_of(uri, listed)
        counts[file] = counts.get(file, 0) + 1
    for file, count in counts.items():
        if file in listed:
            yield Event("updated", Path(file), "what it does not have any more is forgotten", count)
        else:
            yield Event("forgotten", Path(file), "", count)


def _advice(refusal: Refusal) -> str:
    return (
        f"{refusal.lost:,} of the {refusal.known:,} documents stored of it would be forgotten, for their files "
        "are gone or left out now; if that is right, start again with --forget-many"
    )
