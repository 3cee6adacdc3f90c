"""Optional stages add to scores what they say they add, by as much as the scores are apart, and drop nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from db.material import rows
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Frequency, History, Hit, Recency, Rerank, Results, Store, config
from vstore.db.connection import Database, run
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest
from vstore.errors import InputError, ModelDamagedError, QueryError, StoreDamagedError
from vstore.filters import conjunction
from vstore.search import pipeline
from vstore.search.confidence import FITTED
from vstore.search.fuse import FUSIONS
from vstore.search.optional import spread
from vstore.search.stages import Facts, Stage
from vstore.types import Candidate, Contribution, Embedder, Mode, PastQuery, Query, Scope, StoredChunk, StoredDocument

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
LATER = datetime(2100, 1, 1, tzinfo=timezone.utc)  # after anything these tests write
TOY = ToyEmbedder()


def ranked(*scores: float) -> list[Candidate]:
    """Candidates with the chunk ids 1, 2, 3 ..."""
    return [Candidate(number, (Contribution("dense", score),)) for number, score in enumerate(scores, start=1)]


def aged(*days: float) -> Facts:
    """Chunks 1, 2, 3 ... of documents that changed so many days ago."""
    chunks = {}
    for number, age in enumerate(days, start=1):
        changed = NOW - timedelta(days=age)
        document = StoredDocument(number, "default", "", "", "text/plain", {}, (), NOW, changed)
        chunks[number] = StoredChunk(number, document, 0, 0, 0, "", "")
    return Facts(chunks=chunks, now=NOW)


def scores(candidates: list[Candidate]) -> dict[int, float]:
    """In the order of the candidates."""
    return {candidate.chunk_id: candidate.score for candidate in candidates}


# --- how much a stage can change --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([9.0, 8.0, 6.0], 3.0),
        ([20.0 - place for place in range(15)], 9.0),
        ([5.0] * 10 + [4.0, 3.0], 2.0),
        ([5.0, 5.0], 1.0),
        ([], 1.0),
    ],
    ids=["to the last", "to the tenth", "the first ten are alike", "all are alike", "none"],
)
def test_the_spread_is_the_distance_of_the_first_from_the_tenth(given: list[float], expected: float) -> None:
    assert spread(ranked(*given)) == expected


@pytest.mark.parametrize("scale", [1.0, 0.001, 1000.0])
def test_a_stage_decides_alike_whatever_the_scale_of_the_fusion(scale: float) -> None:
    staged = Recency()(ranked(*(scale * score for score in (10.0, 9.9, 6.0))), aged(300.0, 0.0, 0.0))
    assert list(scores(staged)) == [2, 1, 3]


# --- recency ----------------------------------------------------------------------------------------------------------


def test_recency_halves_with_every_half_life() -> None:
    """Scores 2 apart and a weight of 0.5 leave 1 point to gain."""
    staged = Recency(half_life_days=30, weight=0.5)(ranked(10.0, 9.0, 8.0), aged(60.0, 30.0, 0.0))
    assert scores(staged) == {1: 10.25, 2: 9.5, 3: 9.0}
    assert staged[0].why == (Contribution("dense", 10.0), Contribution("recency", 0.25, raw=0.25, weight=1.0))


def test_documents_from_the_future_are_as_new_as_can_be() -> None:
    assert scores(Recency(weight=1.0)(ranked(2.0, 1.0), aged(0.0, -5.0))) == {1: 3.0, 2: 2.0}


@pytest.mark.parametrize("days", [0, -1, math.nan, math.inf, True, "30"])
def test_a_half_life_that_makes_no_sense_is_refused(days: float) -> None:
    with pytest.raises(InputError, match="half_life_days is a number above 0"):
        Recency(half_life_days=days)


@pytest.mark.parametrize("stage", [Recency, Frequency, History])
def test_a_weight_that_makes_no_sense_is_refused(stage: type[Frequency]) -> None:
    with pytest.raises(InputError, match="weight is a number above 0"):
        stage(weight=0)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="now is a datetime, not '2026'"):
        Recency(now="2026")  # type: ignore[arg-type]  # the mistake under test


# --- frequency --------------------------------------------------------------------------------------------------------


def test_frequency_adds_the_logarithm_of_how_often_as_a_share_of_the_most() -> None:
    """log(1 + 1) is half of log(1 + 3)."""
    staged = Frequency(weight=0.5)(ranked(10.0, 9.0, 8.0), Facts(answered={2: 3, 3: 1}))
    assert scores(staged) == {1: 10.0, 2: 10.0, 3: 8.5}
    assert [part.source for part in staged[0].why] == ["dense"]
    assert staged[1].why[-1] == Contribution("frequency", 1.0, raw=3, weight=1.0)


def test_what_was_never_found_before_changes_nothing() -> None:
    assert Frequency()(ranked(2.0, 1.0), Facts()) == ranked(2.0, 1.0)


# --- history ----------------------------------------------------------------------------------------------------------


def test_answers_of_past_queries_gain_by_cosine_and_rank() -> None:
    """Chunk 3 was second to one past query (0.8 / 2) and first to another (0.75)."""
    past = [PastQuery(0.8, {2: 1, 3: 2}), PastQuery(0.75, {3: 1})]
    staged = History(weight=0.5)(ranked(10.0, 9.0, 8.0), Facts(past=past))
    assert scores(staged) == {1: 10.0, 2: 9.8, 3: 8.75}


def test_a_chunk_that_was_no_candidate_is_recalled_and_starts_level_with_the_last() -> None:
    staged = History(weight=0.5)(ranked(10.0, 9.0, 8.0), Facts(past=[PastQuery(0.8, {7: 2})]))
    assert scores(staged) == {1: 10.0, 2: 9.0, 7: 8.4, 3: 8.0}
    assert staged[2].why == (Contribution("recall", 8.0), Contribution("history", 0.4, raw=0.4, weight=1.0))


def test_a_candidate_from_behind_is_lifted_and_not_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "POOL_DEPTH", 2)
    staged = History(weight=1.0)(ranked(10.0, 9.0, 8.0, 7.0), Facts(past=[PastQuery(0.5, {4: 1})]))
    assert scores(staged) == {1: 10.0, 4: 9.5, 2: 9.0, 3: 8.0}
    assert [part.source for part in staged[1].why] == ["dense", "recall", "history"]


def test_without_candidates_past_answers_are_all_there_is() -> None:
    assert scores(History(weight=1.0)([], Facts(past=[PastQuery(0.9, {5: 1})]))) == {5: 0.9}


@given(
    st.lists(st.integers(0, 9).map(float), max_size=8).map(lambda some: sorted(some, reverse=True)),
    st.sampled_from(["recency", "frequency", "history"]),
    st.data(),
)
def test_a_stage_adds_to_scores_and_leaves_those_behind_where_they_are(
    some: list[float], name: str, data: st.DataObject
) -> None:
    candidates = ranked(*some)
    ids = st.integers(1, 8)
    facts = {
        "recency": aged(*(data.draw(st.integers(0, 90)) for _ in candidates[:5])),
        "frequency": Facts(answered=data.draw(st.dictionaries(ids, st.integers(1, 9)))),
        "history": Facts(past=[PastQuery(0.8, data.draw(st.dictionaries(ids, st.integers(1, 9))))]),
    }
    stages: dict[str, Stage] = {"recency": Recency(), "frequency": Frequency(), "history": History()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "POOL_DEPTH", 5)
        staged = stages[name](list(candidates), facts[name])
    before = {candidate.chunk_id: candidate.why for candidate in candidates}
    assert before.keys() <= scores(staged).keys()
    assert len(scores(staged)) == len(staged)
    for candidate in staged:
        assert candidate.why[: len(before.get(candidate.chunk_id, ()))] == before.get(candidate.chunk_id, ())
        assert candidate.score >= sum(part.points for part in before.get(candidate.chunk_id, ()))
    moved = [candidate for candidate in staged if len(candidate.why) == 1 and candidate in candidates[5:]]
    assert moved == staged[len(staged) - len(moved) :] == [one for one in candidates[5:] if one in moved]
    head = staged[: len(staged) - len(moved)]
    assert all((-a.score, a.chunk_id) < (-b.score, b.chunk_id) for a, b in pairwise(head))


# --- with a store -----------------------------------------------------------------------------------------------------

COLOURS = ["red", "green", "blue", "yellow", "black", "white"]


class Shortest:
    """Likes short texts."""

    def score(self, query: str, texts: list[str]) -> list[float]:
        return [-float(len(text)) for text in texts]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "memory.db"
    fill(place)
    return place


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    with closing(SqliteIndex(path)) as opened:
        yield opened


def fill(path: Path) -> None:
    """Documents 1 to 12, chunks of the same numbers."""
    with Store(path, TOY) as store:
        for number in range(1, 13):
            words = " ".join(COLOURS[: 1 + number % 6])
            store.remember(f"{words} number {number}", uri=str(number), metadata={"even": number % 2 == 0})


def log(path: Path, text: str, answers: list[int], times: int = 1, vector: bool = True) -> None:
    """Write what the query log keeps of a query."""
    blob = TOY.embed_queries([text])[0].astype("<f4").tobytes() if vector else None
    with closing(Database(path, latest(), create=False)) as database, database.write() as connection:
        sql = (
            "INSERT INTO queries (text, collection, first_asked, last_asked, times, space, vector) "
            "VALUES (?, '', 0, 0, ?, ?, ?) RETURNING id"
        )
        ((query,),) = run(connection, sql, (text, times, 1 if vector else None, blob))
        for rank, chunk_id in enumerate(answers, start=1):
            run(connection, "INSERT INTO answers (query, rank, chunk_id) VALUES (?, ?, ?)", (query, rank, chunk_id))


def search(index: SqliteIndex, text: str, *stages: Stage, k: int = 10, mode: Mode = "hybrid") -> Results:
    query = Query(text, k, mode, config.DEFAULT_FUSION)
    return pipeline.search(index, lambda: TOY, replace(query, optional=tuple(stages)))


def ids(results: Results) -> list[int]:
    return [hit.chunk_id for hit in results]


def test_answers_are_counted_over_all_other_queries(path: Path, index: SqliteIndex) -> None:
    log(path, "red", [1, 2], times=3)
    log(path, "Green paint", [2, 3])
    log(path, "no answer", [])
    with index.snapshot() as snapshot:
        assert snapshot.answered([1, 2, 4], "else") == {1: 3, 2: 4}
        assert snapshot.answered([1, 2, 3], " green PAINT ") == {1: 3, 2: 3}
        assert snapshot.answered([], "else") == {}


@pytest.mark.parametrize(
    ("logged", "again"),
    [
        ("Äpfel ÉTÉ", "äpfel  été"),
        ('"green" paint', "green paint"),
        ("tea " * 500, "tea " * 5_000),
        ("C++, tea?", "c++ tea"),
    ],
    ids=["case", "quotes", "cut in the log", "signs"],
)
def test_a_query_asked_again_is_no_other_one(path: Path, index: SqliteIndex, logged: str, again: str) -> None:
    log(path, logged, [1])
    vector = TOY.embed_queries([logged])[0]
    with index.snapshot() as snapshot:
        assert snapshot.answered([1], "something else") == {1: 1}
        assert len(snapshot.past_queries(vector, "something else", Scope())) == 1
        assert snapshot.answered([1], again) == {}
        assert snapshot.past_queries(vector, again, Scope()) == []


def test_past_queries_are_close_and_other_and_answered_in_scope(path: Path, index: SqliteIndex) -> None:
    log(path, "red green blue yellow", [1, 2, 4])
    log(path, "Red Green Blue", [5])
    log(path, "seven brown foxes", [6])
    log(path, "red green blue black", [7], vector=False)
    vector = TOY.embed_queries(["red green blue"])[0]
    cosine = float(vector @ TOY.embed_queries(["red green blue yellow"])[0])
    assert cosine > config.HISTORY_COSINE
    with index.snapshot() as snapshot:
        (found,) = snapshot.past_queries(vector, "red green blue", Scope())
        assert found.cosine == pytest.approx(cosine, abs=1e-5)
        assert found.answers == {1: 1, 2: 2, 4: 3}
        assert snapshot.past_queries(vector, "red green blue", Scope(("default",))) == [found]
        assert snapshot.past_queries(vector, "red green blue", Scope(("another",))) == []


def test_only_the_closest_past_queries_count(path: Path, index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "HISTORY_QUERIES", 2)
    monkeypatch.setattr(config, "HISTORY_COSINE", 0.3)
    for number, text in enumerate(["red blue black white", "red blue black", "red blue"], start=1):
        log(path, text, [number])
    with index.snapshot() as snapshot:
        found = snapshot.past_queries(TOY.embed_queries(["red"])[0], "red", Scope())
    assert [list(past.answers) for past in found] == [[3], [2]]
    assert found[0].cosine > found[1].cosine


def test_a_past_query_without_an_answer_in_scope_takes_no_place(
    path: Path, index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "HISTORY_QUERIES", 1)
    monkeypatch.setattr(config, "HISTORY_COSINE", 0.3)
    log(path, "red blue", [1, 3])
    log(path, "red blue black", [3, 4])
    even = Scope((), conjunction({"even": True}))
    with index.snapshot() as snapshot:
        (found,) = snapshot.past_queries(TOY.embed_queries(["red"])[0], "red", even)
    assert found.answers == {4: 2}


def test_an_empty_store_has_no_past(tmp_path: Path) -> None:
    with closing(SqliteIndex(tmp_path / "new.db")) as index:
        assert ids(search(index, "red", History(), Frequency(), Recency(), Rerank(Shortest()))) == []


def test_the_same_query_again_does_not_confirm_itself(path: Path, index: SqliteIndex) -> None:
    before = search(index, "red number")
    log(path, "red number", ids(before)[::-1], times=50)
    for stage in (History(), Frequency()):
        assert search(index, "red number", stage).hits == before.hits


def test_another_query_of_like_meaning_brings_its_answers(path: Path, index: SqliteIndex) -> None:
    before = search(index, "red green blue", k=12)
    last = ids(before)[-1]
    log(path, "red green blue yellow", [last])
    after = search(index, "red green blue", History(weight=9.0), k=12)
    assert ids(after)[0] == last
    assert after[0].why[-1].source == "history"
    assert ids(after)[1:] == ids(before)[:-1]


def test_a_chunk_out_of_scope_is_not_recalled(path: Path, index: SqliteIndex) -> None:
    odd = rows(path, "SELECT id FROM chunks WHERE text LIKE '% 7'")[0][0]
    log(path, "red green blue yellow", [odd])
    with Store(path, TOY) as store:
        everything = store.search("red green blue", stages=[History()])
        even = store.search("red green blue", where={"even": True}, stages=[History()])
    assert "history" in {part.source for hit in everything for part in hit.why}
    assert odd not in ids(even)
    assert "history" not in {part.source for hit in even for part in hit.why}


def test_history_says_when_there_is_no_vector_to_compare(path: Path, index: SqliteIndex) -> None:
    log(path, "red green blue yellow", [9])
    lexical = search(index, "red green blue", History(), mode="lexical")
    plain = search(index, "red green blue", mode="lexical")
    assert [(hit.chunk_id, hit.score) for hit in lexical] == [(hit.chunk_id, hit.score) for hit in plain]
    assert lexical.remarks == ("history did nothing: without a vector this query cannot be compared with past ones",)
    assert search(index, "red green blue", History()).remarks == ()


def test_history_says_so_too_when_the_model_fails(index: SqliteIndex) -> None:
    def missing() -> Embedder:
        raise ModelDamagedError("its weights make no sense")

    query = Query("red", 5, "hybrid", config.DEFAULT_FUSION)
    results = pipeline.search(index, missing, replace(query, optional=(History(),)))
    assert results.degraded is not None
    assert len(results.remarks) == 1


def test_a_search_without_stages_reads_nothing_for_them(path: Path, index: SqliteIndex) -> None:
    with closing(Database(path, latest(), create=False)) as database, database.write() as connection:
        run(connection, "DROP TABLE answers")
    assert len(search(index, "red")) == 10
    assert "optional" not in search(index, "red").timings
    with pytest.raises(StoreDamagedError, match="answers"):
        search(index, "red", Frequency())


def test_recency_takes_the_present_when_it_is_told_no_time(index: SqliteIndex) -> None:
    """Written a moment ago, every document has nearly all there is to gain; a year from now hardly any of it."""

    def gained(*hits: Hit) -> list[float]:
        return [part.raw for hit in hits for part in hit.why if part.source == "recency" and part.raw is not None]

    assert min(gained(*search(index, "red", Recency(half_life_days=1)))) > 0.99
    later = datetime.now(timezone.utc) + timedelta(days=365)
    assert max(gained(*search(index, "red", Recency(half_life_days=1, now=later)))) < 1e-9


@pytest.mark.parametrize("stages", ["recency", [Recency], ["recency"], Recency()])
def test_what_is_no_stage_is_refused(path: Path, stages: list[Stage]) -> None:
    with Store(path, TOY) as store, pytest.raises(QueryError, match="stage"):
        store.search("red", stages=stages)


recency = Recency(half_life_days=10_000, now=LATER)
optional = st.permutations([recency, Frequency(), History(), Rerank(Shortest(), depth=5)])


@settings(max_examples=30, deadline=None)
@given(
    optional, st.integers(0, 4), st.sampled_from(sorted(FUSIONS)), st.integers(1, 12), st.sampled_from(pipeline.MODES)
)
def test_with_any_stages_scores_are_sums_and_lists_as_long_as_ever(
    stages: list[Stage], number: int, fusion: str, k: int, mode: Mode
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "memory.db"
        fill(path)
        log(path, "red green blue yellow", [9, 3, 1])
        log(path, "black", [3], times=4)
        with closing(SqliteIndex(path)) as index:

            def ask(k: int, *stages: Stage) -> Results:
                query = Query("red green blue", k, mode, fusion)
                return pipeline.search(index, lambda: TOY, replace(query, optional=tuple(stages)))

            plain, whole, part = ask(12), ask(12, *stages[:number]), ask(k, *stages[:number])
    assert sorted(ids(plain)) == sorted(ids(whole))
    assert part.hits == whole.hits[:k]
    for hit in whole:
        assert hit.score == math.fsum(part.points for part in hit.why)
    assert np.all(np.diff([hit.score for hit in whole]) <= 0.0)
    fused = {hit.chunk_id: hit.why for hit in plain}
    assert all(hit.why[: len(fused[hit.chunk_id])] == fused[hit.chunk_id] for hit in whole)


def test_what_history_recalls_is_judged_by_its_own_scores_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "POOL_DEPTH", 2)
    embedder = ToyEmbedder()
    monkeypatch.setitem(FITTED, embedder.fingerprint, FITTED[config.DEFAULT_MODEL_FINGERPRINT])
    with Store(tmp_path / "memory.db", embedder) as store:
        for number in range(20):
            store.remember(f"alpha filler{number}")
            store.remember(f"delta delta filler{number}")
        store.search("alpha beta gamma delta")
        store.search_stats()  # which writes the log
        alone = {hit.chunk_id: hit.confidence for hit in store.search("alpha beta gamma", 40)}
        staged = store.search("alpha beta gamma", 8, stages=[History()])
    recalled = [hit for hit in staged[2:] if any(part.source == "recall" for part in hit.why)]
    assert recalled
    assert [hit.confidence for hit in staged] == pytest.approx([alone[hit.chunk_id] for hit in staged])
