"""A connection that two threads read one transaction through, as the legs of a search do: they take turns at it.

apsw waits for .3 s by itself, and then refuses a connection that another thread is at work with.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from threading import RLock
from weakref import WeakKeyDictionary

import apsw

_turns: WeakKeyDictionary[apsw.Connection, AbstractContextManager[object]] = WeakKeyDictionary()


def share(connection: apsw.Connection) -> None:
    """From now on it may be asked by several threads."""
    _turns[connection] = RLock()


def turn(connection: apsw.Connection) -> AbstractContextManager[object]:
    """The `with` block in which it is asked for something, and all rows of the answer are fetched."""
    return _turns.get(connection) or nullcontext()


def data_version(connection: apsw.Connection) -> int:
    """A number that is another one at this connection's next transaction when anybody else has written meanwhile."""
    with turn(connection):
        return connection.data_version("main")
