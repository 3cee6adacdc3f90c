"""Following folders: the store has what the files say, while they change.

    watch -> (notices) -> round: listing -> plan -> intake -> forget

See docs/watch.md for what is promised. A notice only says that it is time to look: what has changed is found by the
walk of an ingest, and what that means is decided in `plan`, by comparing it with what the store has.
"""

from vstore.watch.events import Event
from vstore.watch.follow import watch
from vstore.watch.listing import roots

__all__ = ["Event", "roots", "watch"]
