"""The page of results: what a search found, by which rankings, and what people say of it."""

from __future__ import annotations

import html
import re
import threading
from typing import Any

import pytest
from ui.asking import Answer, Client

from vstore import Store
from vstore.errors import ModelUnavailableError, StoreBusyError
from vstore.search import pipeline

HITS = r'<li id="hit-(\d+)"'


def hits(answer: Answer) -> list[int]:
    return [int(number) for number in answer.all(HITS)]


def column(answer: Answer, leg: str) -> list[int]:
    """The chunks of one of the rankings side by side."""
    (section,) = re.findall(rf'<section class="column {leg}">(.*?)</section>', answer.text, re.DOTALL)
    return [int(number) for number in re.findall(r'<li data-chunk="(\d+)"', section)]


def pressed(answer: Answer) -> list[tuple[str, str]]:
    """The buttons of the first result that are pressed, by verdict."""
    return re.findall(r'value="(useful|not useful)" aria-pressed="(true|false)"', answer.text)[:2]


def test_results_are_those_of_the_store_with_all_that_their_scores_are_made_of(shared: tuple[Store, Client]) -> None:
    store, client = shared
    answer, expected = client.get("/", q="red fish"), store.search("red fish")
    assert answer.status == 200
    assert hits(answer) == [hit.chunk_id for hit in expected]
    assert f"{len(expected)} results in" in answer.words
    for hit in expected:
        assert f"{hit.score:.3f}" in answer.words
        for part in hit.why:
            raw = {"lexical": "BM25", "dense": "cosine"}[part.source]
            rank = f"#{part.rank} " if part.rank else ""
            assert f"{part.points:+.3f} {rank}{raw} {part.raw:.3f} \u00d7 {part.weight:.3f}" in answer.words


def test_the_rankings_side_by_side_are_those_that_were_fused(shared: tuple[Store, Client]) -> None:
    store, client = shared
    answer, expected = client.get("/", q="red fish", k=3), store.search("red fish", k=3)
    assert column(answer, "fused") == hits(answer) == [hit.chunk_id for hit in expected]
    for leg in ("lexical", "dense"):
        alone = store.search("red fish", k=3, mode=leg, diversity=False, collapse=False)
        assert column(answer, leg) == [hit.chunk_id for hit in alone]
        for hit in expected:
            rank = next((part.rank for part in hit.why if part.source == leg), None)
            if rank is not None and rank <= 3:
                assert column(answer, leg)[rank - 1] == hit.chunk_id
    shown = set(column(answer, "lexical")) & set(column(answer, "fused"))
    lines = re.search(r'<svg class="lines lexical".*?</svg>', answer.text, re.DOTALL).group()
    assert {int(number) for number in re.findall(r'data-chunk="(\d+)"', lines)} == shown


@pytest.mark.parametrize(("mode", "said"), [("lexical", "keywords alone"), ("dense", "meaning alone")])
def test_one_leg_alone_has_nothing_beside_it(shared: tuple[Store, Client], mode: Any, said: str) -> None:
    store, client = shared
    answer = client.get("/", q="red fish", mode=mode)
    assert hits(answer) == [hit.chunk_id for hit in store.search("red fish", mode=mode)]
    assert said in answer.words and "side by side" not in answer.words


FILTERS = [
    ({"collection": "things"}, {"collection": "things"}, 1),
    ({"tags": "t0"}, {"tags": ["t0"]}, 2),
    ({"tags": "t0, t1"}, {"tags": ["t0", "t1"]}, 0),
    ({"where": "year>=2022"}, {"where": {"year": {"$gte": 2022}}}, 2),
    ({"where": "year>=2021\nyear<2023\n"}, {"where": {"year": {"$gte": 2021, "$lt": 2023}}}, 2),
    ({"where": '{"year": {"$in": [2020]}}'}, {"where": {"year": 2020}}, 1),
    ({"since": "2100-01-01"}, {"since": "2100-01-01"}, 0),
    ({"until": "2100-01-01"}, {"until": "2100-01-01"}, 5),
    ({"k": "2"}, {"k": 2}, 2),
    ({"fusion": "rrf"}, {"fusion": "rrf"}, 5),
]


@pytest.mark.parametrize(("fields", "options", "count"), FILTERS)
def test_fields_of_the_form_narrow_the_search(
    shared: tuple[Store, Client], fields: dict[str, str], options: dict[str, Any], count: int
) -> None:
    store, client = shared
    answer = client.get("/", q="red", **fields)
    assert hits(answer) == [hit.chunk_id for hit in store.search("red", **options)]
    assert len(hits(answer)) == count


def test_the_form_keeps_what_was_asked(client: Client) -> None:
    asked = {"q": 'a "red" <one>', "mode": "lexical", "k": "3", "collection": "birds", "where": "year>=2020\nyear<2023",
             "tags": "t0, t1", "since": "2020-01-01", "until": "2100-01-01", "fusion": "rrf"}  # fmt: skip
    answer = client.get("/", **asked)
    assert answer.status == 200
    kept = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"(?: checked)?', answer.text))
    (where,), (fusion,) = answer.all(r"<textarea[^>]*>(.*?)</textarea>"), answer.all(r"<option selected>(.*?)</option>")
    (mode,) = answer.all(r'name="mode" value="(\w+)" checked')
    form = {name: html.unescape(kept[name]) for name in ("q", "k", "collection", "tags", "since", "until")}
    assert form | {"where": where, "fusion": fusion, "mode": mode} == asked


def test_nothing_found_is_said(client: Client) -> None:
    answer = client.get("/", q="quux", mode="lexical")
    assert answer.status == 200
    assert "Nothing found" in answer.words


def test_words_that_tell_texts_apart_are_marked_and_no_others(client: Client) -> None:
    answer = client.get("/", q="the owl", mode="lexical", k=1)
    assert answer.all(r"<mark>(.*?)</mark>") == ["owl"]


ERRORS = [
    ({"q": "red", "where": "nonsense"}, "'nonsense' is neither like year>=2020 nor a JSON object"),
    ({"q": "red", "where": '{"a": {"$no": 1}}'}, "unknown operator $no"),
    ({"q": "red", "k": "0"}, "k is the number of results, from 1 to 10,000, not 0"),
    ({"q": "red", "k": "many"}, "k is the number of results, from 1 to 10,000, not 'many'"),
    ({"q": "red", "k": "9" * 5000}, "k is the number of results"),
    ({"q": "red", "mode": "psychic"}, "mode is one of hybrid, dense, lexical, not 'psychic'"),
    ({"q": "red", "fusion": "cold"}, "fusion is one of"),
    ({"q": "red", "since": "tomorrow"}, "a date is written 2026-01-31"),
]


@pytest.mark.parametrize(("fields", "sentence"), ERRORS)
def test_what_cannot_be_asked_is_said_in_a_line_and_the_form_is_kept(
    client: Client, fields: dict[str, str], sentence: str
) -> None:
    answer = client.get("/", **fields)
    assert answer.status == 400
    (line,) = answer.all(r'role="alert">(.*?)</p>')
    assert sentence in line and "\n" not in line
    assert 'name="q" type="search" value="red"' in answer.text


def test_a_search_is_noted_once_however_many_rankings_are_shown(own: tuple[Store, Client]) -> None:
    store, client = own
    client.get("/", q="red fish")
    client.get("/", q="red fish", again=1)
    assert store.search_stats().searches == 1
    with store.index.snapshot() as snapshot:
        assert [(query.text, query.times) for query in snapshot.logged_queries()] == [("red fish", 1)]


def test_a_search_is_in_the_file_when_its_page_was_sent(
    own: tuple[Store, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, client = own
    flush, flushed = store.flush, threading.Event()

    def noting() -> None:
        flush()
        flushed.set()

    monkeypatch.setattr(store, "flush", noting)
    client.get("/", q="red fish")
    assert flushed.wait(30)
    assert store.index.search_statistics().searches == 1  # of the file, without what is in memory


def test_a_mark_is_kept_shown_and_changed(own: tuple[Store, Client]) -> None:
    store, client = own
    number = hits(client.get("/", q="red fish"))[0]
    for verdict, grade in (("useful", 1.0), ("not useful", 0.0)):
        answer = client.post("/feedback?q=red+fish&k=7", chunk=number, verdict=verdict)
        assert (answer.status, answer.headers["location"]) == (303, f"/?q=red+fish&k=7&again=1#hit-{number}")
        assert [(one.query, one.chunk_id, one.grade) for one in store.judgements()] == [("red fish", number, grade)]
        shown = client.get(answer.headers["location"].split("#")[0])
        assert hits(shown)[0] == number
        assert pressed(shown) == [("useful", str(grade > 0).lower()), ("not useful", str(grade <= 0).lower())]
    assert pressed(client.get(f"/chunk/{number}", q="red fish"))[1] == ("not useful", "true")
    assert pressed(client.get("/", q="another question")) == [("useful", "false"), ("not useful", "false")]


def test_a_script_gets_the_grade_and_the_error_as_json(own: tuple[Store, Client]) -> None:
    store, client = own
    answer = client.post("/feedback?q=red", accept="application/json", chunk=1, verdict="useful")
    assert (answer.status, answer.text) == (200, '{"chunk":1,"grade":1.0}')
    answer = client.post("/feedback?q=red", accept="application/json", chunk=99, verdict="useful")
    assert answer.status == 404
    assert answer.text == '{"error":"there is no chunk 99; it may have been forgotten or replaced"}'
    assert len(store.judgements()) == 1


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/feedback?q=", {"chunk": "1", "verdict": "useful"}),
        ("/feedback?q=red", {"chunk": "1", "verdict": "great"}),
        ("/feedback?q=red", {"chunk": "-1", "verdict": "useful"}),
        ("/feedback?q=red", {"chunk": "9" * 30, "verdict": "useful"}),
        ("/feedback?q=red", {}),
        ("/feedback?q=red", {str(number): "x" for number in range(1000)}),
    ],
)
def test_what_is_no_judgement_is_refused(shared: tuple[Store, Client], path: str, form: dict[str, str]) -> None:
    store, client = shared
    assert client.post(path, **form).status == 400
    assert store.judgements() == []


def test_a_judgement_is_about_the_query_to_the_letter(own: tuple[Store, Client]) -> None:
    store, client = own
    query = 'a\u200bb "quoted" & <i> \u05e9 +%41\u202e'
    answer = client.get("/", q=query)
    (action, *_) = answer.all(r'class="feedback" method="post" action="([^"]*)"')
    client.post(action, chunk=hits(answer)[0], verdict="useful")
    assert [judgement.query for judgement in store.judgements()] == [query]


def test_errors_of_the_store_have_their_status_and_the_server_goes_on(
    own: tuple[Store, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, client = own

    def busy(*_: object, **__: object) -> None:
        raise StoreBusyError("somebody else writes; try again")

    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(store, "feedback", busy)
    answer = client.post("/feedback?q=red", chunk=1, verdict="useful")
    assert (answer.status, answer.all(r'role="alert">(.*?)</p>')) == (503, ["somebody else writes; try again"])
    monkeypatch.setattr(store, "feedback", bug)
    answer = client.post("/feedback?q=red", chunk=1, verdict="useful")
    assert answer.status == 500
    assert "ZeroDivisionError" in answer.words and "secret detail" not in answer.words
    assert client.get("/", q="red").status == 200


def test_nobody_waits_for_the_search_of_another(own: tuple[Store, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = own
    begun, go_on, search = threading.Event(), threading.Event(), pipeline.search

    def slow(*arguments: Any, **options: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return search(*arguments, **options)

    monkeypatch.setattr("vstore.search.pipeline.search", slow)
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.append(client.get("/", q="red")))
    waiting.start()
    assert begun.wait(30)
    assert client.get("/health").status == 200
    assert not answers
    go_on.set()
    waiting.join()
    assert answers[0].status == 200


def test_a_search_without_a_model_says_so(own: tuple[Store, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    store, client = own

    def unavailable() -> None:
        raise ModelUnavailableError("no network")

    monkeypatch.setattr(store._serving, "embedder", unavailable)
    answer = client.get("/", q="red")
    assert answer.status == 200
    assert "searched by keywords only, without a model: no network" in answer.words
    dense = client.get("/", q="red", mode="dense")
    assert (dense.status, "no network" in dense.words) == (503, True)
