"""The other pages: a chunk in its document, refinement, health, latency; what others wrote is text on all of them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from toy import ToyEmbedder
from ui.asking import Client
from ui.conftest import BIRDS, served

from vstore import Store
from vstore.db.connection import connect, run
from vstore.maintenance import check
from vstore.runs import Conclusion
from vstore.searches import Asked, Note
from vstore.ui.render import moment
from vstore.ui.serve import shown

CHUNK = r'<mark id="chunk"[^>]*>(.*?)</mark>'
CHECKS = r'<li class="[\w-]+"><span class="status">([\w ]+)</span> <b>([\w ]+)</b>'


def figures(page: Any) -> dict[str, str]:
    """The figures of a page by their names."""
    found = re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", page.text, re.DOTALL)
    return {name: re.sub(r"<[^>]*>", "", value) for name, value in found}


# --- a chunk ----------------------------------------------------------------------------------------------------------


def test_a_chunk_stands_marked_in_the_whole_text_of_its_document(tmp_path: Path, settings_of_nobody: None) -> None:
    text = "\n\n".join(f"# Part {number}\n\n" + f"word{number} " * 150 for number in range(5)) + "\n  end\t."
    with Store(tmp_path / "m.db", ToyEmbedder()) as store, shown(store) as url:
        store.remember(text, title="Long", uri="long", media_type="text/markdown", metadata={"a": {"b": [1]}})
        hit = store.search("word3", k=1)[0]
        page = Client(url).get(f"/chunk/{hit.chunk_id}", q="word3")
        assert page.all(CHUNK) == [hit.text]
        (whole,) = page.all(r'<div class="text" dir="auto">(.*?)</div>')
        assert re.sub(r"<[^>]*>", "", whole) == store.get("long").text
        assert {"long", "Part 3", "text/markdown", '{"b": [1]}'} <= {
            *figures(page).values(),
            *page.all(r"<dd[^>]*>(.*?)</dd>"),
        }
        (back,) = page.all(r'class="back"><a href="([^"]*)"')
        assert back == f"/?q=word3&again=1#hit-{hit.chunk_id}"


def test_of_a_very_long_document_what_is_around_the_chunk_is_shown(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vstore.config.UI_TEXT_CHARS", len(BIRDS["kite"]) - 10)
    page = client.get("/chunk/1")
    assert page.all(CHUNK) == [BIRDS["kite"]]  # a chunk is never cut
    monkeypatch.undo()
    assert "The document is long" not in client.get("/chunk/1").words


def test_the_shown_part_of_a_document_is_said(
    tmp_path: Path, settings_of_nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vstore.config.UI_TEXT_CHARS", 2_000)
    with Store(tmp_path / "m.db", ToyEmbedder()) as store, shown(store) as url:
        store.remember("\n\n".join(f"word{number} " * 100 for number in range(20)), uri="long")
        hit = store.search("word10", k=1)[0]
        page = Client(url).get(f"/chunk/{hit.chunk_id}")
        whole = store.get("long").text
        spare = (2_000 - len(hit.text)) // 2
        start, end = hit.start - spare, hit.end + spare
        assert f"its characters {start:,} to {end:,} of {len(whole):,}" in page.words
        (part,) = page.all(r'<div class="text" dir="auto">(.*?)</div>')
        assert re.sub(r"<[^>]*>", "", part) == whole[start:end]


def test_a_time_that_the_machine_s_own_clock_has_not_is_shown_as_it_is(
    tmp_path: Path, settings_of_nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment(datetime(9999, 12, 31, 23, 59, tzinfo=timezone.utc)) == "9999-12-31 23:59"
        assert moment(datetime(2026, 1, 1, 23, 0, tzinfo=timezone.utc)) == "2026-01-02 08:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("number", ["99", "0", "9" * 18, "9" * 40, "9" * 5_000])
def test_a_chunk_that_is_not_there_is_a_404(client: Client, number: str) -> None:
    page = client.get(f"/chunk/{number}")
    assert page.status == 404
    (line,) = page.all(r'role="alert">(.*?)</p>')
    assert line.startswith("there is no ")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/none", 404), ("GET", "/chunk/x", 404), ("POST", "/latency", 405)]
)
def test_what_is_no_page_is_said(client: Client, method: str, path: str, status: int) -> None:
    page = client.get(path) if method == "GET" else client.post(path)
    assert page.status == status
    assert "see the links above" in page.words


# --- what others wrote ------------------------------------------------------------------------------------------------

# a script, an attribute's end, a template's syntax; clear the screen, turn the direction, hide text, end a line
NASTY = (
    "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> {{ 7 * 191 }} "
    "\x1b[2J \u202efdp\u2066 \U000e0041 \u200b \u2028"
)
STEERING = "\x1b\u202e\u2066\U000e0041\u200b\u2028"


def slow(text: str) -> Note:
    """A search of 2026-01-31 that took 1.5 seconds, nearly all of it for embedding."""
    asked, timings = Asked(text, "", ()), {"total": 1_500.0, "embed": 1_490.0, "fetch": 0.5}
    return Note(1_769_860_800_000, ("searches", "mode:hybrid", "slow"), timings, asked, slow=True)


@pytest.fixture
def hostile(tmp_path: Path, settings_of_nobody: None) -> Any:
    """A store whose every text is nasty: uri, title, heading, text, tags, metadata, collection, model, query, run."""
    embedder = ToyEmbedder()
    embedder.name = f"toy {NASTY}"
    with Store(tmp_path / "m.db", embedder) as store:
        store.remember(
            f"# head {NASTY}\nwords {NASTY}", title=f"title {NASTY}", uri=f"uri {NASTY}", collection=f"c {NASTY}",
            tags=[f"t {NASTY}"], metadata={f"k {NASTY}": f"v {NASTY}", "deep": {NASTY: [NASTY]}},
            media_type="text/markdown",
        )  # fmt: skip
        number = store.index.begin_run({"trainer": NASTY, NASTY: NASTY})
        check = {"name": NASTY, "passed": False, "sentence": NASTY, "figures": {}}
        report = {"queries": 3, "notes": [NASTY], "candidates": [{"recipe": {"trainer": NASTY}, "checks": [check]}]}
        store.index.conclude_run(number, Conclusion("kept", f"kept: {NASTY}", report))
        store.index.record([slow(f"query {NASTY}")])
        with shown(store) as url:
            yield Client(url)


@pytest.mark.usefixtures("settings_of_nobody")
def test_what_others_wrote_is_text_on_every_page(hostile: Client) -> None:
    for path, fields, status in (
        ("/", {"q": f"words {NASTY}", "tags": f"t {NASTY}"}, 200),
        ("/", {"q": f"words {NASTY}", "mode": "lexical"}, 200),
        ("/", {"collection": NASTY}, 200),
        ("/", {"q": "words", "where": "{" + NASTY}, 400),
        ("/chunk/1", {"q": f"words {NASTY}"}, 200),
        ("/refinement", {}, 200),
        ("/refinement/1", {}, 200),
        ("/latency", {}, 200),
        ("/health", {}, 200),
        ("/%3Cscript%3Ealert(1)%3C/script%3E", {}, 404),
    ):
        page = hostile.get(path, **fields)
        assert page.status == status, path
        assert "<script>" not in page.text and "<img" not in page.text, path
        assert "1337" not in page.text, path  # 7 * 191
        assert not set(STEERING) & set(page.text), path
        for tag in re.findall(r"<[^>]*>", page.text):
            assert "alert" not in re.sub(r'"[^"]*"', "", tag), path  # in no tag but inside of quotes
        if path.startswith(("/chunk", "/refinement", "/latency")) or "tags" in fields:
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text, path
            assert "\ufffd[2J \ufffdfdp\ufffd" in page.text, path


# --- refinement -------------------------------------------------------------------------------------------------------


def test_runs_show_what_was_tried_and_the_held_out_figures_with_their_intervals(own: tuple[Store, Client]) -> None:
    store, client = own
    checks = [
        {"name": "enough", "passed": True, "sentence": "40 queries to learn from", "figures": {}},
        {"name": "judged", "passed": False, "sentence": "they lose", "figures": {"gain": -0.0211}},
    ]
    report = {
        "queries": 60, "learned_from": 40, "held_out": 20, "notes": ["one was set aside"],
        "candidates": [{"recipe": {"trainer": "adapter", "judged_lessons": 30}, "checks": checks}],
        "comparison": {"judged": 12, "ndcg": {"before": 0.6123, "after": 0.5912, "interval": [-0.05, 0.0102]}},
    }  # fmt: skip
    store.index.conclude_run(
        store.index.begin_run({"trainer": "adapter", "seed": 3}),
        Conclusion("kept", "kept what serves: they lose", report),
    )
    store.index.conclude_run(store.index.begin_run({"trainer": "adapter"}), Conclusion("failed", "the disk is full"))
    page = client.get("/refinement")
    assert figures(page)["serves"] == "toy"
    assert page.words.index("Run 2 failed") < page.words.index("Run 1 kept")
    assert "adapter, learned from 40, judged by 20 held out kept what serves: they lose" in page.words
    assert "NDCG@10 0.612 → 0.591 -0.0211 [-0.0500, +0.0102]" in page.words
    assert re.search(r"1 · toy \S+ \S+ serves", page.words)
    one = client.get("/refinement/1")
    assert "Tried: adapter with judgements" in one.words
    assert one.all(CHECKS) == [("yes", "enough"), ("no", "judged")]
    assert "hybrid search 0.6123 → 0.5912 -0.0211 [-0.0500, +0.0102]" in one.words
    assert "one was set aside" in one.words and figures(one)["seed"] == "3"
    assert "the disk is full" in client.get("/refinement/2").words
    assert client.get("/refinement/3").status == 404


def test_a_store_that_was_never_refined_says_what_to_do(client: Client) -> None:
    page = client.get("/refinement")
    assert "None yet. Begin one with vstore refine run" in page.words


# --- health and latency -----------------------------------------------------------------------------------------------


def test_health_counts_and_checks_every_invariant_when_asked(own: tuple[Store, Client]) -> None:
    store, client = own
    page = client.get("/health")
    assert page.all(CHECKS) == []
    shown = figures(page)
    assert (shown["documents"], shown["chunks"], shown["without a vector"]) == ("5", "5", "0")
    assert (shown["schema"], shown["expired, not yet erased"]) == (str(store.stats().schema), "0")
    checked = client.post("/health")

    report = check(store.path)
    assert dict((name, status) for status, name in checked.all(CHECKS)) == {
        one.name: one.status for one in report.checks
    }
    assert (
        f"The file is sound: {sum(one.status == 'ok' for one in report.checks)} ok, 0 warning, 0 failed"
        in checked.words
    )


def test_a_damaged_file_is_shown_with_what_is_wrong_first(own: tuple[Store, Client]) -> None:
    store, client = own
    connection = connect(store.path)
    run(connection, "DELETE FROM codes_g1 WHERE 1")
    connection.close()
    page = client.post("/health")
    assert "The file is not sound" in page.words
    assert page.all(CHECKS)[0] == ("failed", "code ids")


def test_latency_shows_the_counts_the_percentiles_and_the_slow_queries(
    own: tuple[Store, Client],
) -> None:
    store, client = own
    assert "No search was noted yet" in client.get("/latency").words
    client.get("/", q="red")
    store.search("blue", mode="lexical")
    page = client.get("/latency")
    found = store.search_stats()
    assert {"searches": "2", "hybrid": "1", "lexical": "1", "queries logged": "2"}.items() <= figures(page).items()
    assert page.all(r'<th scope="row">(\w+)</th>') == [latency.stage for latency in found.latencies]
    assert "None, or none noted" in page.words
    store.index.record([slow("why so slow?")])
    page = client.get("/latency")
    assert re.search(r"1,500 ms 2026-01-\d\d \S+ why so slow\? embed 1,490$", page.words)
    assert page.all(r'<a href="([^"]*)"[^>]*>why so slow') == ["/?q=why+so+slow%3F"]


def test_a_read_only_page_searches_has_no_buttons_and_writes_nothing(tmp_path: Path, settings_of_nobody: None) -> None:
    path = tmp_path / "birds.db"
    with served(path) as (store, client):
        store.feedback("red", 1, relevant=False)
    before = path.read_bytes()
    with served(path, read_only=True) as (_, client):
        page = client.get("/", q="red")
        assert page.status == 200 and "read only" in page.words
        assert "marked not useful" in page.words
        for answer in (page, client.get("/chunk/1", q="red")):
            assert 'name="verdict"' not in answer.text
        assert client.post("/feedback?q=red", chunk=1, verdict="useful").status == 404
        for tab in ("/refinement", "/latency", "/health"):
            assert client.get(tab).status == 200
        assert client.post("/health").status == 200
    assert path.read_bytes() == before
