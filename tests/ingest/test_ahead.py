"""Running ahead changes when items are made, and nothing else."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.ingest.ahead import ahead


@given(st.lists(st.integers(), max_size=30), st.integers(1, 12))
def test_items_come_in_their_order(items: list[int], count: int) -> None:
    assert list(ahead(items, count)) == items


def test_an_exception_arrives_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("disk gone")

    items = ahead(broken(), 3)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(items)


def test_it_runs_ahead_but_only_so_far() -> None:
    made = 0

    def counted() -> Iterator[int]:
        nonlocal made
        for number in itertools.count():
            made = number + 1
            yield number

    items = ahead(counted(), 5)
    for _ in range(10):
        next(items)
    items.close()  # waits for the thread
    assert 10 <= made <= 10 + 5 + 1


def test_a_consumer_that_stops_leaves_no_thread_behind() -> None:
    items = ahead(itertools.count(), 3)
    next(items)
    items.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vstore-ahead")]
