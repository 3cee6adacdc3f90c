"""Document frequencies in memory: to count the chunks that have a common word takes walking all of its postings.

A chunk is written once and its id never used again, as long as the content is of one generation. So where there are as
many chunks more as there are ids above the highest that was known, none has gone, and the new ones can be counted from
the forward index; otherwise all counts are forgotten, and made again when they are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import apsw

from vstore import config
from vstore.db.connection import generation, run
from vstore.db.terms import holders, stem_id

Counts = dict[str, int]  # chunks that have a stem, by stem
State = tuple[int, int, int]  # the generation of the content, the number of chunks, and the highest id


class ResidentFrequencies:
    """The counts of common stems, for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: State = (0, 0, 0)
        self._counts: Counts = {}

    def read(self, connection: apsw.Connection, chunks: int) -> Counts:
        """What is known as this read transaction sees the file, which has so many chunks; to be added to."""
        ((highest,),) = run(connection, "SELECT ifnull(max(chunk_id), 0) FROM chunk_terms")
        state = generation(connection), chunks, highest
        with self._lock:
            if state != self._state:
                # A copy, because a search that began earlier may add to them meanwhile.
                same = state[0] == self._state[0]
                self._counts = _followed(connection, self._counts.copy(), self._state, chunks) if same else {}
                self._state = state
            return self._counts


def _followed(connection: apsw.Connection, counts: Mapping[str, int], known: State, chunks: int) -> Counts:
    """The counts with those of the chunks that are new; none when others are gone, or counting takes as long."""
    _, before, highest = known
    if not 0 < chunks - before <= config.FREQUENCIES_FOLLOWED:
        return {}
    rows = run(connection, "SELECT head, body FROM chunk_terms WHERE chunk_id > ?", (highest,))
    if len(rows) != chunks - before:
        return {}
    more = holders([stem_id(stem) for stem in counts], rows)
    return {stem: count + more[stem_id(stem)] for stem, count in counts.items()}


def count(connection: apsw.Connection, stem: str, counts: Counts) -> int:
    """The chunks that have a stem; added to the counts when it is common."""
    if stem in counts:
        return counts[stem]
    rows = run(connection, "SELECT doc FROM chunks_vocabulary WHERE term = ?", (stem,))
    frequency = int(rows[0][0]) if rows else 0
    if frequency >= config.FREQUENCY_COMMON:
        counts[stem] = frequency
    return frequency
