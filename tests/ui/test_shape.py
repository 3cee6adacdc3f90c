"""What templates draw, worked out by hand."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from vstore import config
from vstore.results import Hit, Results
from vstore.runs import RunRecord
from vstore.searches import Latency
from vstore.types import Contribution, Ranking, StoredChunk, StoredDocument
from vstore.ui import shape
from vstore.ui.ask import Rankings
from vstore.ui.render import address, milliseconds, page, size
from vstore.ui.shape import Line, Span, excerpt

NOW = datetime(2026, 1, 31, tzinfo=timezone.utc)


def document(title: str) -> StoredDocument:
    return StoredDocument(1, "c", f"uri {title}", title, "text/plain", {}, (), NOW, NOW)


def hit(number: int, *why: Contribution) -> Hit:
    return Hit(number, sum(part.points for part in why), "", "", 0, 0, document(""), why)


def test_bars_of_all_results_are_on_one_scale() -> None:
    parts = shape.parts_of(
        [hit(1, Contribution("lexical", 4.0, 1, 8.0, 0.5), Contribution("dense", -1.0, None, 0.1, 1.0)),
         hit(2, Contribution("recency", 2.0))]
    )  # fmt: skip
    assert [(part.kind, part.name, part.width, part.raw) for part in parts[1]] == [
        ("lexical", "keywords", 100.0, "BM25 8.000"),
        ("dense", "meaning", 25.0, "cosine 0.100"),
    ]
    assert [(part.kind, part.name, part.width, part.raw) for part in parts[2]] == [("stage", "recency", 50.0, None)]


@pytest.mark.parametrize(("score", "decimals"), [(12.3, 3), (0.5, 3), (0.0164, 4)])
def test_scores_have_the_decimals_that_tell_them_apart(score: float, decimals: int) -> None:
    assert shape.digits([hit(1, Contribution("lexical", score))]) == decimals


def test_an_excerpt_begins_shortly_before_the_first_word_and_marks_whole_words() -> None:
    assert excerpt("The Owl, an owlet, owl.", ["owl"]) == [
        Span("The "), Span("Owl", True), Span(", an owlet, "), Span("owl", True), Span("."),
    ]  # fmt: skip
    assert excerpt("nothing\n of  it", []) == [Span("nothing of it")]
    before, after = "a " * 400, " b" * 400
    spans = excerpt(f"{before}needle{after}", ["needle", "need"])
    assert spans[1] == Span("needle", True)
    assert config.UI_EXCERPT_CHARS == 420  # of which a quarter, and what is left of a word, stands before the needle
    assert spans[0].text == "… " + "a " * 53
    assert spans[2].text.endswith(" b …")
    assert len("".join(span.text for span in spans)) <= config.UI_EXCERPT_CHARS + len("…  …")


def test_the_words_of_a_query_are_no_pattern() -> None:
    assert excerpt("a.c abc", ["a.c", "(", ""]) == [Span("a.c", True), Span(" abc")]


def test_lines_lead_from_a_chunks_row_in_each_ranking_to_its_row_among_the_results() -> None:
    chunks = {n: StoredChunk(n, document(f"D{n}"), 0, 0, 1, "A > B" if n == 1 else "", "x") for n in (1, 2, 3, 4)}
    rankings = Rankings(
        Ranking("lexical", (2, 1, 4), (8.0, 4.0, 2.0)), Ranking("dense", (1, 3), (0.8, 0.4)), (1, 2, 3, 4), chunks
    )
    hits = tuple(hit(n, Contribution("lexical", 5.0 - n)) for n in (1, 2, 3))
    side = shape.side_by_side(rankings, Results("q", hits, "hybrid", "calibrated"), 2)
    assert [(place.chunk_id, place.rank, place.title, place.score, place.width) for place in side.lexical] == [
        (2, 1, "D2", "8.00", 100.0),
        (1, 2, "B", "4.00", 50.0),
    ]
    assert [(place.chunk_id, place.score) for place in side.fused] == [(1, "4.000"), (2, "3.000")]
    assert [place.chunk_id for place in side.dense] == [1, 3]
    # The middle of the first row is at height 1 of 4, that of the second at 3.
    assert side.from_lexical == [Line(2, 1, 3), Line(1, 3, 1)]
    assert side.from_dense == [Line(1, 1, 1)]
    assert side.rows == 2


def test_stages_lie_end_to_end() -> None:
    stages = shape.timeline({"embed": 1.0, "idle": 0.005, "dense": 3.0, "total": 5.0})
    found = [(stage.name, round(stage.start, 1), round(stage.width, 1)) for stage in stages]
    assert found == [("embed", 0.0, 25.0), ("dense", 25.0, 74.9)]


def test_percentiles_lie_on_a_logarithmic_scale_of_all_stages() -> None:
    (total, fetch) = shape.spreads(
        [Latency("total", 9, 10.0, 100.0, 1_000.0, 0), Latency("fetch", 9, 1.0, 10.0, 10.0, 0)]
    )
    assert [round(value, 3) for value in (total.low, total.middle, total.high)] == [33.333, 66.667, 100.0]
    assert [round(value, 3) for value in (fetch.low, fetch.middle, fetch.high)] == [0.0, 33.333, 33.333]
    assert shape.spreads([]) == []


def test_intervals_of_all_runs_are_on_one_scale_around_zero() -> None:
    def run(number: int, **comparison: object) -> RunRecord:
        return RunRecord(number, NOW, NOW, "kept", None, {}, {"comparison": comparison}, None)

    found = shape.gains(
        [run(1, ndcg={"before": 0.5, "after": 0.52, "interval": [-0.01, 0.04]}),
         run(2, dense_ndcg={"before": 0.3, "after": 0.3, "interval": [0.0, 0.0]}), run(3)]
    )  # fmt: skip
    ((one,), (two,)) = found[1], found[2]
    assert (one.name, round(one.change, 4), two.name) == ("hybrid search", 0.02, "its dense leg")
    assert [round(value, 3) for value in (one.left, one.middle, one.right)] == [38.0, 74.0, 98.0]
    assert (two.left, two.middle, two.right) == (50.0, 50.0, 50.0)
    assert found[3] == []


def test_numbers_are_shown_with_few_digits() -> None:
    assert [milliseconds(value) for value in (0.123, 4.56, 42.4, 4_200.0)] == ["0.12", "4.6", "42", "4,200"]
    assert [size(count) for count in (12, 4_200, 4_200_000, 4_200_000_000)] == [
        "12 bytes",
        "4.2 KB",
        "4.2 MB",
        "4.2 GB",
    ]


def test_addresses_have_what_was_given_and_nothing_raw() -> None:
    assert address("/", {"q": 'a&b "c"\u202e', "k": "", "tags": None}, again=1) == "/?q=a%26b+%22c%22%E2%80%AE&again=1"
    assert address("/", {"q": ""}) == "/"


def test_a_template_that_lacks_a_value_fails_instead_of_showing_nothing() -> None:
    with pytest.raises(Exception, match="undefined"):
        page("run.html")
