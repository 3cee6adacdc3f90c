"""The speed report says what was timed."""

from __future__ import annotations

from bench.ingest import Turns, report


def test_the_ratio_is_taken_turn_by_turn_and_its_median_decides() -> None:
    turns = Turns(documents=50, chunks=100, ingest=[2.0, 2.0, 4.0], embed=[1.0, 1.9, 3.7])
    assert turns.ratios == [0.5, 0.95, 0.925]
    lines = report(turns).splitlines()
    assert lines[0] == "50 documents, 100 chunks, 3 repetitions in turns"
    assert lines[4] == "| ingest | 25.0 | 50.0 | 25.0-50.0 |"
    assert lines[5] == "| embedder alone | 26.3 | 52.6 | 27.0-100.0 |"
    assert lines[-1] == "ratio: median 0.925, 0.500 to 0.950; target 0.95 missed"
    assert report(Turns(1, 1, [1.0], [0.96])).endswith("target 0.95 reached")
