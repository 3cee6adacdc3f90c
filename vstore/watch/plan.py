"""What is to be done so that the store has what the files say: decided by comparing, without touching anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from vstore import config
from vstore.ingest import media
from vstore.watch.listing import Listing, Stamp


@dataclass(frozen=True, slots=True)
class Refusal:
    """The documents of one root that would be forgotten: `lost` of `known` ones that count, which are too many."""

    root: Path
    uris: tuple[str, ...]
    lost: int
    known: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Files to read, because they are new or have changed; uris to forget; and what would be, were it confirmed."""

    read: dict[Path, Stamp]
    forget: tuple[str, ...]
    refused: tuple[Refusal, ...] = ()

    @property
    def gone(self) -> frozenset[str]:
        """All documents whose files are gone, or do not have them any more."""
        return frozenset((*self.forget, *(uri for refusal in self.refused for uri in refusal.uris)))


def plan(
    known: Mapping[Path, Mapping[str, datetime]],
    listing: Listing,
    read: Mapping[Path, Stamp],
    stale: Collection[str] = (),
    *,
    noticed: datetime,
    excused: Collection[str] = (),
    forget_many: bool = False,
) -> Plan:
    """Compare what the store knows with what there is, and with what was `read` of it.

    `known` are the documents of each root: uri, and when it came in. `stale` are documents that their files, when they
    were read, did not have any more. Of what is in doubt nothing is forgotten. Of a root as much as the guard allows,
    or with `forget_many` all of it; `noticed` says since when something is gone, and `excused` documents do not count,
    for something else has what they have.
    """
    changed = {path: stamp for path, stamp in listing.files.items() if read.get(path) != stamp}
    listed, in_doubt = listing.uris(), listing.in_doubt()
    forget: dict[str, None] = {}
    refused = []
    for root, documents in known.items():
        gone = [uri for uri in documents if _is_gone(uri, listed, stale) and not _is_in_doubt(uri, in_doubt)]
        before = _before(gone, documents, noticed)
        lost = sum(uri in before and uri not in excused for uri in gone)
        if forget_many or not is_too_much(lost, len(before)):
            forget |= dict.fromkeys(gone)
        else:
            refused.append(Refusal(root, tuple(gone), lost, len(before)))
    held = {uri for refusal in refused for uri in refusal.uris}  # of two roots, one within the other, both must agree
    return Plan(changed, tuple(uri for uri in forget if uri not in held), tuple(refused))


def is_too_much(gone: int, known: int) -> bool:
    """Whether to lose so many of the documents of a root looks like an accident."""
    return gone >= config.WATCH_GUARD_DOCUMENTS and gone > config.WATCH_GUARD_SHARE * known


def _before(gone: Sequence[str], documents: Mapping[str, datetime], noticed: datetime) -> frozenset[str]:
    """The documents that there were before the loss.

    What came in later must not make it look small: another disk in the place of the right one brings files of its own.
    """
    if not gone:
        return frozenset()
    latest = max(documents[uri] for uri in gone) + timedelta(seconds=config.WATCH_GUARD_LATER_S)
    return frozenset(uri for uri, came_in in documents.items() if came_in <= min(noticed, latest))


def file_of(uri: str, files: Collection[str] = ()) -> str:
    """The uri of the file that a document came from: for a row of a JSONL file, what stands before `#`.

    One of these `files` if it can be.
    """
    if uri in files:
        return uri
    before = [uri[:position] for position, character in enumerate(uri) if character == "#"]
    rows = (name for name in before if media.media_type(PurePosixPath(name)) == media.ROWS)
    return next((name for name in before if name in files), next(rows, uri))


def _is_gone(uri: str, listed: Collection[str], stale: Collection[str]) -> bool:
    return uri in stale or file_of(uri, listed) not in listed


def _is_in_doubt(uri: str, in_doubt: Collection[str]) -> bool:
    """Whether a document's file, or a folder that it is in, could not be read."""
    name = file_of(uri)
    while name and name not in in_doubt:
        name = name.rpartition("/")[0]
    return name in in_doubt or uri in in_doubt
