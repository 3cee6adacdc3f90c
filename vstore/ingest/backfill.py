"""A space beside the one that serves: fill it with the vectors of all chunks, catch up, and switch.

While it is filled, documents go on being written to the active space alone. The vectors of what came in meanwhile are
made here, just before the switch, which the index refuses as long as a single chunk lacks its vector. So nobody else
needs the new model, and an interrupted run has lost nothing but the batch at hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from vstore import config
from vstore.errors import IncompleteSpaceError
from vstore.ingest.chunk import Chunker
from vstore.storage import Index
from vstore.types import Embedder, Space, StoredChunk

T = TypeVar("T")
Progress = Callable[[int], None]  # told how many vectors were added since the last time


def fill(
    index: Index,
    space: Space,
    embedder: Embedder,
    *,
    deadline: float | None = None,
    progress: Progress | None = None,
) -> bool:
    """Embed every chunk that has no vector in `space`; False when the deadline came first.

    `deadline` is a time of `time.monotonic()`, looked at between batches of EMBED_CHUNKS. Raises SpaceMismatchError for
    the embedder of another space, NotFoundError when the space is not kept.
    """
    space.require(embedder.fingerprint)
    chunker = Chunker(embedder)
    last = 0  # new chunks have higher ids, so one pass meets all there are at its end
    with index.bulk():
        while window := index.lacking(space, config.WINDOW_CHUNKS, last):
            last = window[-1].id
            for batch, texts in _batches(chunker, window):
                if deadline is not None and time.monotonic() >= deadline:
                    return False
                vectors = embedder.embed_documents(texts)
                added = index.put_vectors(space, dict(zip(batch, vectors, strict=True)))
                if progress is not None:
                    progress(added)
    return True


def _batches(chunker: Chunker, window: list[StoredChunk]) -> list[tuple[list[int], list[str]]]:
    """Ids and texts, those of like length together, as `ingest` embeds them: without padding."""
    texts = {chunk.id: chunker.embedding_text(chunk.document.title, chunk.heading, chunk.text) for chunk in window}
    ids = sorted(texts, key=lambda chunk_id: len(texts[chunk_id]))
    parts = [ids[start : start + config.EMBED_CHUNKS] for start in range(0, len(ids), config.EMBED_CHUNKS)]
    return [(part, [texts[chunk_id] for chunk_id in part]) for part in parts]


def switch(
    index: Index,
    model_id: int,
    embedder: Embedder,
    *,
    deadline: float | None = None,
    progress: Progress | None = None,
) -> bool:
    """Embed what the model's space lacks and let the model serve; False when the deadline came first.

    Raises IncompleteSpaceError when others write faster than this can embed, SWITCH_ATTEMPTS times; the model that
    serves is not touched then.
    """

    def activate() -> bool:
        index.activate(model_id)
        return True

    return caught_up(index, model_id, embedder, activate, deadline=deadline, progress=progress) is not None


def switch_back(
    index: Index, load: Callable[[Space], Embedder], *, deadline: float | None = None, progress: Progress | None = None
) -> int | None:
    """`Index.roll_back`, with the vectors that its space lacks since it served; None when the deadline came first.

    `load` is called for another space than the active one, and gives its model. Raises what it raises, NotFoundError
    without a way back, and IncompleteSpaceError like `switch`.
    """
    model_id = index.way_back()
    space, active = index.space_of(model_id), index.active_space()
    if active is not None and active.number == space.number:
        return index.roll_back()
    return caught_up(index, model_id, load(space), index.roll_back, deadline=deadline, progress=progress)


def caught_up(
    index: Index,
    model_id: int,
    embedder: Embedder,
    move: Callable[[], T],
    *,
    deadline: float | None = None,
    progress: Progress | None = None,
) -> T | None:
    """What `move`, which lets this model serve, returns when no chunk lacks a vector; None if the deadline came first.

    It is called again, SWITCH_ATTEMPTS times at most, when it raises IncompleteSpaceError.
    """
    space = index.space_of(model_id)
    attempt = 1
    while fill(index, space, embedder, deadline=deadline, progress=progress):
        try:
            return move()
        except IncompleteSpaceError:  # documents came in between; they are few, for the last pass was short
            if attempt == config.SWITCH_ATTEMPTS:
                raise
            attempt += 1
    return None
