"""Which embedder serves a store: the caller's, a model by name, or an encoder whose files the store itself has.

The pointer in the file decides, and may move at any time, by any process. So the embedder is chosen for the space that
is active now, asked anew for every search and every ingest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from vstore import config, settings
from vstore.errors import ModelDamagedError, ModelError, SpaceMismatchError
from vstore.search.confidence import FITTED
from vstore.storage import Index
from vstore.types import Embedder, Space

if TYPE_CHECKING:
    from vstore.ingest.pipeline import Model

T = TypeVar("T")


class Serving:
    """The embedder of one open store. Safe to share between threads."""

    def __init__(
        self,
        index: Index,
        given: Embedder | str | None,
        threads: int | None,
        progress: Callable[[str, int, int | None], None] | None,
    ) -> None:
        """The arguments of `Store`; `given` is the base: encoders that were refined from it serve in its place."""
        self._index = index
        self._given = given
        self._threads = threads
        self._progress = progress
        self._lock = threading.Lock()
        self._embedder: Embedder | None = None
        self._chosen_for: str | None = None  # fingerprint of the space that was active then
        self._failure: ModelError | None = None
        self._failed_at = 0.0
        self._model: Model | None = None

    def embedder(self) -> Embedder:
        """The embedder of the active space, loaded at its first use. Raises ModelError when it cannot be had.

        A caller's own that does not fit the store is returned nevertheless: the search or the ingest refuses it.
        """
        return self._embedder_for(self._index.active_space())

    def _embedder_for(self, space: Space | None) -> Embedder:
        wanted = space.fingerprint if space else None
        with self._lock:
            if self._embedder is not None and wanted in (self._chosen_for, self._embedder.fingerprint):
                return self._embedder
            # Asking every source again takes seconds, which not every search of a store without a model shall pay.
            recently = time.monotonic() - self._failed_at < config.MODEL_RETRY_S
            if self._failure is not None and recently and wanted == self._chosen_for:
                raise self._failure.with_traceback(None)  # which would else grow with every search
            self._chosen_for = wanted
            self._embedder = self._failure = None
            try:
                self._embedder = self._choose(space)
            except ModelError as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
            return self._embedder

    def model(self) -> Model:
        """The embedder with its space, made when there is none, and a chunker that knows its window.

        Raises SpaceMismatchError when the store holds vectors of another model, and what `embedder` raises.
        """
        return twice(self._open_model)

    def _open_model(self) -> Model:
        from vstore.ingest.chunk import Chunker  # here, because a search need not load it
        from vstore.ingest.pipeline import Model

        active = self._index.active_space()
        embedder = self._embedder_for(active)
        with self._lock:
            made = self._model
            # A restore may have given the space of the same model another number.
            if made is None or made.embedder is not embedder or made.space != active:
                name = getattr(embedder, "name", type(embedder).__name__)
                fitted = FITTED.get(embedder.fingerprint)
                space = self._index.open_space(embedder.fingerprint, embedder.dimension, name, fitted)
                made = self._model = Model(embedder, space, Chunker(embedder))
            return made

    def load(self, space: Space) -> Embedder:
        """The model of a space of this store, active or not. Raises ModelError, SpaceMismatchError for another one."""
        found = self._from_file(space) if space.encoder is not None else self._base(space)
        space.require(found.fingerprint)
        return found

    def _choose(self, space: Space | None) -> Embedder:
        own = getattr(self._given, "fingerprint", None)
        if space is None or space.encoder is None or own == space.fingerprint or not self._descends():
            return self._base(space)
        return self._from_file(space)

    def _descends(self) -> bool:
        """Whether the active encoder is the caller's model, or was refined from it."""
        if self._given is None:
            return True
        line = self._index.lineage()
        if isinstance(self._given, str):  # by name first, since the base model may not be on this machine
            from vstore.embed import registry

            spec = registry.find(self._given)
            if spec is not None:
                return spec.name in {ancestor.model for ancestor in line}
        return self._base(None).fingerprint in {ancestor.fingerprint for ancestor in line}

    def _base(self, space: Space | None) -> Embedder:
        """The caller's embedder, else the model that the space was made with, else the configured one."""
        if self._given is not None and not isinstance(self._given, str):
            return self._given
        from vstore import embed  # here, because it costs 0.3 s that a keyword search need not pay

        chosen = settings.load()
        name = self._given or (space.model if space else chosen.model)
        return embed.load(name, cache_dir=chosen.models, threads=self._cores(chosen), progress=self._progress)

    def _from_file(self, space: Space) -> Embedder:
        """The encoder that the store has the files of."""
        from vstore.embed import refined

        chosen = settings.load()
        model_id = space.encoder
        records = [record for record in self._index.models() if record.id == model_id]
        if model_id is None or not records or not isinstance(records[0].recipe.get("files"), list):
            raise ModelDamagedError(f"the store does not know the files of {space.model}; see: vstore refine rollback")
        return refined.load(
            space.model,
            space.fingerprint,
            records[0].recipe["files"],
            lambda name: self._index.read_file(model_id, name),
            cache_dir=chosen.models,
            threads=self._cores(chosen),
        )

    def _cores(self, chosen: settings.Settings) -> int | None:
        threads = chosen.threads if self._threads is None else self._threads
        return threads or None


def twice(call: Callable[[], T]) -> T:
    """Call again if the store switched to another model after the embedder was chosen and before it was needed."""
    try:
        return call()
    except SpaceMismatchError:
        return call()
