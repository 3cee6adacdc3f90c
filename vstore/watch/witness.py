"""Noticing that the store is not the one any more that was being kept up to date."""

from __future__ import annotations

from vstore.errors import StoreError
from vstore.store import Store
from vstore.watch.listing import identity


class Witness:
    """Remembers which file the store is, and the last thing that was done to it."""

    def __init__(self, store: Store, collection: str) -> None:
        self._store = store
        self._collection = collection
        self._file = identity(store.path)
        self._generation = store.index.generation()
        self._is_new = store.index.active_space() is None
        self._last: tuple[str, str | None] | None = None

    def note(self, uri: str, content_hash: str | None) -> None:
        """The store has this document now, or None of it."""
        self._last = uri, content_hash

    def check(self) -> bool:
        """Whether what is known of the store's content has to be found out anew.

        Raises StoreError when the file was replaced or deleted, or its content by that of a time before the last
        change from here: to go on would do again what somebody has just undone.
        """
        if identity(self._store.path) != self._file:
            raise StoreError(
                f"{self._store.path} was replaced or deleted while files were followed; start vstore watch again"
            )
        generation, was_new = self._store.index.generation(), self._is_new
        if generation == self._generation:
            return False
        self._generation = generation
        self._is_new = was_new and self._store.index.active_space() is None
        if self._last is not None and self._last[1] != self._store.index.content_hash(self._collection, self._last[0]):
            raise StoreError(
                f"{self._store.path} was restored to an earlier state while files were followed; start vstore watch "
                "again to bring it up to date with them"
            )
        return not was_new  # the first document brings tables with it
