"""Give space back: erase what has expired or serves nobody, merge the keyword index, write the file without free pages.

Each step is made of short transactions but for the last one, and a store that is compacted half is as good as before.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial

import apsw

from vstore import config
from vstore.db import drafts, encoders, expiry, journal
from vstore.db.clock import now
from vstore.db.connection import Database, run
from vstore.errors import StoreBusyError, StoreFullError
from vstore.results import Compacted


def compact(database: Database) -> Compacted:
    """See `Index.compact`."""
    with database.read() as connection:
        before = _bytes(connection)
    expired = _repeat(database, partial(_erase_expired, journal.Mentions()))
    drafts.sweep(database)
    _repeat(database, encoders.sweep)
    _merge_keywords(database)
    remarks = tuple(_rewrite(database))
    with database.read() as connection:
        after = _bytes(connection)
    return Compacted(expired, before, after, remarks)


def _repeat(database: Database, step: Callable[[apsw.Connection], int]) -> int:
    """Take a step in a transaction of its own until there is nothing left to do; what all of them did together."""
    done = 0
    while True:
        with database.write() as connection:
            some = step(connection)
        if not some:
            return done
        done += some


def _erase_expired(mentions: journal.Mentions, connection: apsw.Connection) -> int:
    until = time.monotonic() + config.WRITE_HOLD_S
    erased = 0
    for collection, uri in expiry.expired(connection, now(), config.EXPIRED_AT_ONCE):
        mentions.erase(connection, collection, uri)
        drafts.forget(connection, collection, uri)
        erased += 1
        if time.monotonic() >= until:
            break
    return erased


def _merge_keywords(database: Database) -> None:
    """A negative number of pages begins a merge of all segments, as FTS5's "optimize" makes in one long transaction."""
    pages = -config.MERGED_PAGES

    def merge(connection: apsw.Connection) -> int:
        nonlocal pages
        before = connection.total_changes()
        run(connection, "INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('merge', ?)", (pages,))
        pages = config.MERGED_PAGES
        return int(connection.total_changes() - before > 1)  # one is the command itself

    _repeat(database, merge)


def _rewrite(database: Database) -> Iterator[str]:
    """Write the file without its free pages, if there are enough of them; yields why it was not done.

    Other processes read meanwhile, but cannot write.
    """
    with database.read() as connection:
        ((free,),), ((pages,),) = run(connection, "PRAGMA freelist_count"), run(connection, "PRAGMA page_count")
        needed = config.REWRITE_ROOM * _bytes(connection)
    if free < config.FREE_SHARE * pages:
        return
    there = shutil.disk_usage(database.path.parent).free
    try:
        if there < needed:
            raise StoreFullError(f"that takes {needed / 1e6:,.0f} MB of free space, and there are {there / 1e6:,.0f}")
        database.rewrite()
    except (StoreBusyError, StoreFullError) as error:
        yield f"the file was not made smaller: {error}"


def _bytes(connection: apsw.Connection) -> int:
    """Bytes of the file when the log is empty."""
    ((pages,),), ((size,),) = run(connection, "PRAGMA page_count"), run(connection, "PRAGMA page_size")
    return int(pages) * int(size)
