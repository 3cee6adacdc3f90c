"""What pages show beside results: a chunk within its document, and what refinement did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vstore import config
from vstore.errors import NotFoundError

if TYPE_CHECKING:
    from vstore.runs import RunRecord
    from vstore.storage import Snapshot
    from vstore.store import Store
    from vstore.types import StoredChunk


@dataclass(frozen=True, slots=True)
class Around:
    """A chunk with what stands before and after it; `start` and `end` say which characters of `length` these are."""

    chunk: StoredChunk
    before: str
    text: str
    after: str
    start: int
    end: int
    length: int


def around(snapshot: Snapshot, number: int) -> Around:
    """A chunk in its document, of which UI_TEXT_CHARS at most are shown. Raises NotFoundError."""
    chunk = snapshot.chunks([number]).get(number)
    whole = snapshot.text(chunk.document.id) if chunk else None
    if chunk is None or whole is None:
        raise NotFoundError(f"there is no chunk {number}; it may have been forgotten or replaced")
    spare = max(0, config.UI_TEXT_CHARS - (chunk.end - chunk.start)) // 2
    start, end = max(0, chunk.start - spare), min(len(whole), chunk.end + spare)
    before, text, after = whole[start : chunk.start], whole[chunk.start : chunk.end], whole[chunk.end : end]
    return Around(chunk, before, text, after, start, end, len(whole))


def learning(store: Store) -> dict[str, Any]:
    """What serves and what there is to learn from (`status`), and the models there were."""
    from vstore.refine import loop  # here, because it loads numpy

    return {"status": loop.status(store), "models": store.models()}


def run_of(store: Store, number: int) -> RunRecord:
    """One run. Raises NotFoundError."""
    from vstore.refine.report import find_run

    return find_run(store.index, number)
