"""The promises of `Store`, on a deterministic embedder."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Store, config
from vstore.embed.runtime import OnnxEmbedder
from vstore.errors import (
    FilterError,
    InputError,
    ModelUnavailableError,
    NotFoundError,
    QueryError,
    SpaceMismatchError,
    StoreError,
    UnknownModelError,
)
from vstore.search.confidence import FITTED
from vstore.search.fuse import FUSIONS
from vstore.serving import Serving

NOTES = {
    "tea.md": "# Tea\n\nGreen tea is brewed at seventy degrees.\n\n## Black\n\nBlack tea takes boiling water.\n",
    "bread.txt": "Sourdough bread rises overnight in a warm kitchen.",
    "tools.csv": "name,price\nhammer,12\nsaw,30\n",
}


ANSWERED = (
    ("The boiler in the cellar was serviced in March by the plumber from Kassel.", "when was the boiler serviced?"),
    ("Invoices are sent to customers on the first working day of every month.", "when do we send invoices?"),
    ("The gateway refuses tokens that are older than fifteen minutes.", "how long are tokens of the gateway valid?"),
    ("Maria is allergic to hazelnuts, so the cake needs almonds instead.", "what is Maria allergic to?"),
)


@pytest.fixture
def embedder() -> ToyEmbedder:
    return ToyEmbedder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text, encoding="utf-8")
    return notes


@pytest.fixture
def store(tmp_path: Path, embedder: ToyEmbedder) -> Store:
    with Store(tmp_path / "memory.db", embedder) as opened:
        yield opened


# --- putting in -------------------------------------------------------------------------------------------------------


def test_a_folder_is_added_and_found(store: Store, folder: Path) -> None:
    report = store.add(folder)
    assert (report.added, report.updated, report.unchanged, report.embedded) == (3, 0, 0, 5)
    hit = store.search("sourdough kitchen", k=1)[0]
    assert hit.document.uri == str(folder / "bread.txt")
    assert hit.text == NOTES["bread.txt"]


def test_a_second_add_embeds_nothing(store: Store, folder: Path, embedder: ToyEmbedder) -> None:
    store.add(folder)
    embedder.embedded.clear()
    report = store.add(folder)
    assert (report.added, report.updated, report.unchanged, report.embedded) == (0, 0, 3, 0)
    assert embedder.embedded == []


def test_a_second_add_does_not_even_load_the_model(tmp_path: Path, folder: Path) -> None:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.add(folder)
    with Store(tmp_path / "memory.db", "no such model") as store:
        assert store.add(folder).unchanged == 3


def test_editing_one_of_many_files_embeds_that_file_alone(store: Store, tmp_path: Path, embedder: ToyEmbedder) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(1000):
        (many / f"{number:04}.txt").write_text(f"This is note number {number}.", encoding="utf-8")
    store.add(many)
    embedder.embedded.clear()
    (many / "0500.txt").write_text("This note is about penguins now.", encoding="utf-8")
    report = store.add(many)
    assert (report.added, report.updated, report.unchanged) == (0, 1, 999)
    assert embedder.embedded == ["0500\nThis note is about penguins now."]
    assert store.search("penguins", k=1)[0].text == "This note is about penguins now."


def test_chunks_that_stay_the_same_keep_their_ids(store: Store, folder: Path, embedder: ToyEmbedder) -> None:
    store.add(folder / "tea.md")
    before = store.search("black boiling water", k=1)[0]
    embedder.embedded.clear()
    (folder / "tea.md").write_text(NOTES["tea.md"].replace("seventy", "eighty"), encoding="utf-8")
    store.add(folder / "tea.md")
    after = store.search("black boiling water", k=1)[0]
    assert after.chunk_id == before.chunk_id
    assert len(embedder.embedded) == 1


def test_an_interrupted_ingest_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(700):
        (many / f"{number:04}.txt").write_text(f"This is note number {number}.", encoding="utf-8")

    class Stopping(ToyEmbedder):
        def embed_documents(self, texts: list[str]) -> np.ndarray:
            if len(self.embedded) > config.WINDOW_CHUNKS:
                raise KeyboardInterrupt
            return super().embed_documents(texts)

    with Store(tmp_path / "memory.db", Stopping()) as store:
        with pytest.raises(KeyboardInterrupt):
            store.add(many)
        written = store.stats().documents
    assert 0 < written < 700
    whole = ToyEmbedder()
    with Store(tmp_path / "memory.db", whole) as store:
        report = store.add(many)
        assert (report.unchanged, report.added) == (written, 700 - written)
        assert len(whole.embedded) == 700 - written
        assert store.stats().documents == 700


def test_what_others_took_away_while_the_rest_was_embedded_is_embedded_again(tmp_path: Path) -> None:
    """The first part has a vector when the second is embedded, and none any more when both are to be written."""
    path = tmp_path / "memory.db"

    class Meddler(ToyEmbedder):
        def embed_documents(self, texts: list[str]) -> np.ndarray:
            if "gamma" in texts[-1] and not meddled:
                meddled.append(path)
                with Store(path, ToyEmbedder()) as other:
                    other.remember("something else", uri="note")
            return super().embed_documents(texts)

    meddled: list[Path] = []
    with Store(path, Meddler()) as store:
        first = "alpha " * 200
        store.remember(f"{first}\n\n{'beta ' * 200}", uri="note")
        store.remember(f"{first}\n\n{'gamma ' * 200}", uri="note")
        assert meddled
        assert {result.text.split()[0] for result in store.search("alpha gamma something")} == {"alpha", "gamma"}


def test_an_ingest_that_fails_leaves_no_thread_behind(tmp_path: Path) -> None:
    """Whoever keeps the exception keeps the frames of both threads' work with it."""

    class Broken(ToyEmbedder):
        def embed_documents(self, texts: list[str]) -> np.ndarray:
            raise RuntimeError("out of order")

    for number in range(100):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    with Store(tmp_path / "memory.db", Broken()) as store, pytest.raises(RuntimeError, match="out of order") as kept:
        store.add(tmp_path)
    assert kept.value.__traceback__ is not None
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vstore-ahead")]


def test_one_bad_file_does_not_stop_the_others(store: Store, folder: Path) -> None:
    (folder / "photo.bin").write_bytes(b"\x00\x01\x02" * 100)
    (folder / "empty.txt").write_bytes(b"")
    report = store.add(folder)
    assert report.added == 3
    assert {skipped.path.name for skipped in report.skipped} == {"photo.bin", "empty.txt"}
    assert all(skipped.reason for skipped in report.skipped)


def test_the_store_does_not_swallow_itself(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("tea", encoding="utf-8")
    report = store.add([tmp_path, store.path])
    assert report.added == 1
    assert {(skipped.path.name, skipped.reason) for skipped in report.skipped} >= {("memory.db", "the store itself")}


def test_a_missing_path_is_an_error_and_nothing_is_written(store: Store, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        store.add([folder, folder / "nowhere.txt"])
    assert store.stats().documents == 0


def test_remembering_twice_keeps_one(store: Store) -> None:
    first = store.remember("We use PKCE.", title="Auth")
    second = store.remember("We use PKCE.", title="Auth")
    assert (first.id, first.uri) == (second.id, second.uri)
    assert store.stats().documents == 1


def test_remembering_under_the_same_uri_replaces(store: Store) -> None:
    store.remember("The code is 1111.", uri="door")
    store.remember("The code is 2222.", uri="door")
    assert [hit.text for hit in store.search("code", mode="lexical")] == ["The code is 2222."]


def test_new_tags_are_kept_without_embedding_again(store: Store, embedder: ToyEmbedder) -> None:
    store.remember("We use PKCE.", title="Auth")
    embedder.embedded.clear()
    store.remember("We use PKCE.", title="Auth", tags=["security"], metadata={"by": "ann"})
    assert embedder.embedded == []
    (document,) = store.documents(tags=["security"])
    assert document.metadata == {"by": "ann"}


@pytest.mark.parametrize("text", ["", "   \n\t", None, 7])
def test_nothing_cannot_be_remembered(store: Store, text: object) -> None:
    with pytest.raises(InputError, match="empty"):
        store.remember(text)


@pytest.mark.parametrize("tags", ["auth", [""], [1], None, 5, iter(["auth"])])
def test_tags_are_a_list_of_names(store: Store, tags: object) -> None:
    """An iterator would be empty when it is looked at again, and the search be one of everything."""
    with pytest.raises(InputError, match="tags are a list"):
        store.remember("text", tags=tags)
    with pytest.raises(InputError, match="tags are a list"):
        store.search("text", tags=tags)


@pytest.mark.parametrize("collection", [5, [5], b"work", iter(["work"])])
def test_collections_are_a_name_or_a_list_of_names(store: Store, collection: object) -> None:
    with pytest.raises(InputError, match="collections are a name or a list of names"):
        store.search("text", collection=collection)
    assert store.search("text", collection=["work", "home"]).hits == ()


def test_what_is_forgotten_as_soon_as_it_is_remembered_is_an_error_of_ours(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Store._find
    monkeypatch.setattr(Store, "_find", lambda self, *names: (self.forget("tea"), original(self, *names))[1])
    with pytest.raises(NotFoundError, match="tea was remembered, and forgotten by somebody else just after"):
        store.remember("green tea", uri="tea")


def test_metadata_that_is_no_json_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="metadata"):
        store.remember("text", metadata={"when": object()})
    assert store.stats().documents == 0


def test_nul_and_lone_surrogates_are_replaced(store: Store) -> None:
    store.remember("before\0after \ud800 end", title="odd \udfff")
    hit = store.search("before after end", k=1)[0]
    assert hit.text == "before\ufffdafter \ufffd end"


def test_file_names_that_are_no_unicode_stay_apart(store: Store, tmp_path: Path) -> None:
    for name, text in ((b"a\xff.txt", "tea one"), (b"a\xfe.txt", "tea two"), (b"a%FF.txt", "tea three")):
        with open(os.path.join(os.fsencode(tmp_path), name), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123 # bytes
            file.write(text)
    assert store.add(tmp_path).added == 3
    assert store.add(tmp_path).unchanged == 3
    assert {hit.text for hit in store.search("tea", mode="lexical")} == {"tea one", "tea two", "tea three"}
    assert store.get(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.txt")).text == "tea one"


@pytest.mark.parametrize("target", ["", "  ", "~nosuchuser/notes"])
def test_a_target_that_is_no_path_is_refused(store: Store, target: str) -> None:
    with pytest.raises((InputError, NotFoundError)):
        store.add(target)
    with pytest.raises((InputError, NotFoundError)):
        store.forget(target)


def test_a_document_of_many_chunks_is_embedded_in_slices(tmp_path: Path) -> None:
    class Counting(ToyEmbedder):
        sizes: list[int] = []  # noqa: RUF012 # of one test

        def embed_documents(self, texts: list[str]) -> np.ndarray:
            self.sizes.append(len(texts))
            return super().embed_documents(texts)

    rows = "".join(f"item {number},{number}\n" for number in range(1000))
    (tmp_path / "table.csv").write_text(f"name,price\n{rows}", encoding="utf-8")
    seen = []
    with Store(tmp_path / "memory.db", Counting()) as store:
        store.add(tmp_path / "table.csv", progress=lambda progress: seen.append(progress.embedded))
        assert store.stats().chunks == 1000
    assert sum(Counting.sizes) == 1000
    assert max(Counting.sizes) == config.EMBED_CHUNKS
    assert len(seen) > 16 and seen == sorted(seen)


def test_progress_ends_at_the_total_and_never_runs_back(store: Store, folder: Path) -> None:
    seen = []
    store.add(folder, progress=seen.append)
    assert [progress.bytes_done for progress in seen] == sorted(progress.bytes_done for progress in seen)
    assert seen[-1].bytes_done == seen[-1].bytes_total == sum(path.stat().st_size for path in folder.iterdir())
    assert (seen[-1].documents, seen[-1].embedded) == (3, 5)


@pytest.mark.parametrize(
    "arguments",
    [{"collection": 5}, {"collection": " "}, {"metadata": [1]}, {"metadata": {1: 2}}, {"title": None}, {"uri": 5}],
)
def test_arguments_of_the_wrong_kind_are_named(store: Store, arguments: dict[str, object]) -> None:
    with pytest.raises(InputError):
        store.remember("text", **arguments)


# --- getting out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -1, 10_001, 2.5, "ten", None, True])
def test_k_is_a_number_of_results(store: Store, k: object) -> None:
    with pytest.raises(QueryError, match="k is the number of results"):
        store.search("tea", k=k)


@pytest.mark.parametrize("query", ["", "  \n", None, 5])
def test_an_empty_query_is_refused(store: Store, query: object) -> None:
    with pytest.raises(QueryError, match="empty"):
        store.search(query)


def test_a_query_of_a_hundred_thousand_characters_is_served_and_a_longer_one_refused(store: Store) -> None:
    store.remember("tea")
    assert len(store.search("tea " * 25_000)) == 1
    with pytest.raises(QueryError, match="shorten it"):
        store.search("x" * 100_001)


def test_unknown_modes_and_fusions_name_the_known_ones(store: Store) -> None:
    with pytest.raises(QueryError, match="hybrid, dense, lexical"):
        store.search("tea", mode="fuzzy")
    for fusion in ("magic", None, ["rrf"]):
        with pytest.raises(QueryError, match="rrf-fixed"):
            store.search("tea", fusion=fusion)


@pytest.mark.parametrize(
    "query",
    ["a-b", "C++", "NEAR(", '"unbalanced', "AND", "col:tea", "tea*", "^tea", "(tea", "\0", "\ud800", "🙂", "。"],
)
@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_search_syntax_in_a_query_is_just_text(store: Store, query: str, mode: str) -> None:
    store.remember("tea and bread")
    assert len(store.search(query, mode=mode)) <= 1


def test_an_empty_store_finds_nothing(store: Store) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        results = store.search("anything", mode=mode)
        assert (len(results), results.confidence, results.answerable, results.remarks) == (0, 0.0, False, ())


def test_a_model_nobody_calibrated_gives_no_confidence_and_says_so(store: Store) -> None:
    store.remember("tea")
    for mode in ("hybrid", "dense"):
        results = store.search("tea", mode=mode)
        assert (results.confidence, results.answerable, results[0].confidence) == (None, None, None)
        assert (
            results.uncalibrated
            == "no confidence, and fusion weighs as for the default model: nothing was fitted to the scores of toy"
        )


def test_keywords_have_a_confidence_with_any_model(store: Store) -> None:
    for text in ("green tea from the hills", "bread and butter", "a boat on the lake", "iron gates"):
        store.remember(text)
    whole, half = (store.search(query, mode="lexical") for query in ("green tea hills", "green quinces abroad"))
    assert whole[0].text == half[0].text
    assert whole[0].confidence > half[0].confidence > 0.0
    assert whole.confidence > half.confidence
    assert whole.to_dict()["hits"][0]["confidence"] == whole[0].confidence


def test_the_default_model_tells_an_answer_from_none(tmp_path: Path, minilm: OnnxEmbedder) -> None:
    texts = [text for text, _ in ANSWERED]
    with Store(tmp_path / "memory.db", minilm) as store:
        for text in texts:
            store.remember(text)
        assert store.stats().space.calibration == FITTED[minilm.fingerprint]
        for _, question in ANSWERED:
            assert store.search(question).answerable, question
        for question in ("who won the chess championship of 1972?", "how deep is the Mariana trench?"):
            results = store.search(question)
            assert not results.answerable, question
            assert results.confidence < min(store.search(question).confidence for _, question in ANSWERED)


def test_filters_hold_in_every_mode(store: Store) -> None:
    for number in range(30):
        store.remember(
            f"tea note {number}", metadata={"year": 2000 + number}, tags=["even"] if number % 2 == 0 else ["odd"]
        )
    for mode in ("hybrid", "dense", "lexical"):
        results = store.search("tea note", k=30, mode=mode, where={"year": {"$gte": 2020}}, tags=["even"])
        assert sorted(hit.document.metadata["year"] for hit in results) == [2020, 2022, 2024, 2026, 2028]


def test_dates_bound_the_time_of_the_last_change(store: Store, tmp_path: Path) -> None:
    for name, year in (("old.txt", 2020), ("new.txt", 2024)):
        path = tmp_path / name
        path.write_text(f"tea of {name}", encoding="utf-8")
        moment = datetime(year, 6, 1, tzinfo=timezone.utc).timestamp()
        os.utime(path, (moment, moment))
        store.add(path)
    assert [hit.document.title for hit in store.search("tea", since="2022-01-01")] == ["new"]
    assert [hit.document.title for hit in store.search("tea", until="2022-01-01")] == ["old"]
    with pytest.raises(FilterError, match="yesterday"):
        store.search("tea", since="yesterday")


def test_collections_are_apart(store: Store) -> None:
    store.remember("tea at work", collection="work", uri="x")
    store.remember("tea at home", collection="home", uri="x")
    assert [hit.text for hit in store.search("tea", collection="home")] == ["tea at home"]
    assert len(store.search("tea", collection=["home", "work"])) == 2
    assert len(store.search("tea", collection="nowhere")) == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.integers(0, 9), min_size=0, max_size=25),
    k=st.integers(1, 40),
    limit=st.integers(0, 9),
    fusion=st.sampled_from(sorted(FUSIONS)),
)
def test_a_search_returns_min_of_k_and_matching(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], k: int, limit: int, fusion: str
) -> None:
    with Store(tmp_path_factory.mktemp("store") / "memory.db", ToyEmbedder()) as store:
        for place, number in enumerate(numbers):
            word = "tea" if number % 2 else "bread"
            store.remember(f"{word} {number}", uri=str(place), metadata={"n": number})
        where = {"n": {"$lt": limit}}
        matching = [number for number in numbers if number < limit]
        with_word = [number for number in matching if number % 2]
        assert len(store.search("tea", k, fusion=fusion, where=where)) == min(k, len(matching))
        assert len(store.search("tea", k, mode="dense", where=where)) == min(k, len(matching))
        assert len(store.search("tea", k, mode="lexical", where=where)) == min(k, len(with_word))


def test_every_score_is_the_sum_of_its_reasons(store: Store, folder: Path) -> None:
    store.add(folder)
    for mode in ("hybrid", "dense", "lexical"):
        for fusion in FUSIONS:
            for hit in store.search("tea water", mode=mode, fusion=fusion):
                assert hit.why
                assert hit.score == pytest.approx(sum(part.points for part in hit.why), abs=1e-12)


def test_codes_that_may_not_be_in_memory_are_read_from_the_file_and_a_remark_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSTORE_CODES_MB", "0")
    for number in range(6):
        store.remember(f"red {number}")
    for _ in range(4):
        assert store.search("red 3").remarks == ()  # so few that their codes are not needed
    monkeypatch.setattr(config, "EXACT_SCAN_CHUNKS", 5)
    store.remember("red 6")
    results = store.search("red 3")
    assert results[0].text == "red 3"
    assert results.remarks == (
        "codes of 7 vectors take 0.0 MiB of memory, and the setting codes_mb allows 0; they are read from the file, "
        "which takes longer",
    )
    assert store.search("red 3", mode="lexical").remarks == ()


def test_an_exact_search_finds_what_short_cuts_miss(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "EXACT_SCAN_CHUNKS", 0)
    monkeypatch.setattr(config, "CODE_CANDIDATES", 1)
    monkeypatch.setattr(config, "CODE_OVERSAMPLING", 0)
    for text in ("one red", "two red", "three red"):
        store.remember(text)
    assert len(store.search("red", mode="dense")) == 1
    assert len(store.search("red", mode="dense", exact=True)) == 3
    with pytest.raises(QueryError, match="exact is True or False, not 'yes'"):
        store.search("red", exact="yes")  # type: ignore[arg-type]


def test_explain_names_the_words_that_were_found(store: Store) -> None:
    store.remember("Running shoes for Zürich")
    hit = store.search("zurich runs hat", k=1, explain=True)[0]
    assert hit.matched == ("zurich", "runs")


def test_get_gives_back_what_was_put_in(store: Store, folder: Path) -> None:
    store.add(folder)
    content = store.get(folder / "tea.md")
    assert content.text == NOTES["tea.md"]
    hit = store.search("black boiling", k=1)[0]
    assert store.get(hit.chunk_id).text == hit.text == content.text[hit.start : hit.end]
    with pytest.raises(NotFoundError, match="no chunk 999"):
        store.get(999)
    with pytest.raises(NotFoundError, match="nothing"):
        store.get("nothing")


def test_forget_takes_a_file_or_a_whole_folder(store: Store, folder: Path) -> None:
    store.add(folder)
    assert [document.title for document in store.forget(folder / "bread.txt")] == ["bread"]
    assert len(store.search("sourdough", mode="lexical")) == 0
    assert len(store.forget(folder)) == 2
    assert (store.stats().documents, store.stats().chunks) == (0, 0)
    with pytest.raises(NotFoundError):
        store.forget(folder)


def test_forget_takes_documents_and_nothing_else_of_the_same_name(store: Store, folder: Path) -> None:
    store.add(folder)
    store.remember("A note of that name.", uri=folder.as_posix())
    note = store.documents(where={"@uri": folder.as_posix()})
    assert store.forget(note).documents == tuple(note)
    assert store.stats().documents == 3
    store.forget(note)  # gone already, and no longer a name for the folder
    assert store.forget([]).documents == ()
    assert store.stats().documents == 3


def test_forget_of_a_folder_spares_its_namesake(store: Store, tmp_path: Path) -> None:
    for name in ("notes", "notes2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"tea in {name}", encoding="utf-8")
        store.add(tmp_path / name)
    store.forget(tmp_path / "notes")
    assert [hit.text for hit in store.search("tea")] == ["tea in notes2"]


# --- models and files -------------------------------------------------------------------------------------------------


def test_a_store_of_another_model_is_refused_and_left_alone(tmp_path: Path) -> None:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("tea")
    with Store(tmp_path / "memory.db", ToyEmbedder(flavour="other")) as store:
        with pytest.raises(SpaceMismatchError, match="vectors of toy"):
            store.search("tea")
        with pytest.raises(SpaceMismatchError, match="vectors of toy"):
            store.remember("bread")
        assert [hit.text for hit in store.search("tea", mode="lexical")] == ["tea"]
        assert store.stats().documents == 1


def test_without_a_model_hybrid_is_served_by_keywords_and_says_so(tmp_path: Path) -> None:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("tea")
    with Store(tmp_path / "memory.db", "no such model") as store:
        results = store.search("tea")
        assert (results.mode, [hit.text for hit in results]) == ("lexical", ["tea"])
        assert "no such model" in results.degraded
        with pytest.raises((UnknownModelError, ModelUnavailableError)):
            store.search("tea", mode="dense")


def test_searches_without_a_model_do_not_grow_with_their_number(tmp_path: Path) -> None:
    def depth(store: Store) -> int:
        with pytest.raises(UnknownModelError) as caught:
            store.search("tea", mode="dense")
        return len(list(traceback.walk_tb(caught.value.__traceback__)))

    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("tea")
    with Store(tmp_path / "memory.db", "no such model") as store:
        assert store.search("tea").degraded
        first = depth(store)
        assert [depth(store) for _ in range(5)] == [first] * 5


def test_a_model_that_cannot_be_had_is_not_asked_for_at_every_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("tea")
    tried = []
    original = Serving._choose
    monkeypatch.setattr(Serving, "_choose", lambda *args: (tried.append(1), original(*args))[1])
    with Store(tmp_path / "memory.db", "no such model") as store:
        for _ in range(3):
            assert store.search("tea").degraded
        assert len(tried) == 1
        monkeypatch.setattr(config, "MODEL_RETRY_S", 0.0)
        assert store.search("tea").degraded
        assert len(tried) == 2


def test_closing_a_store_ends_the_searches_of_other_threads_with_a_clear_error(tmp_path: Path) -> None:
    outcomes: list[object] = []
    store = Store(tmp_path / "memory.db", ToyEmbedder())
    for number in range(200):
        store.remember(f"tea {number}")
    started = threading.Barrier(4)

    def work() -> None:
        started.wait()
        try:
            while True:
                store.search("tea", k=100)
        except StoreError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    store.close()
    for thread in threads:
        thread.join(timeout=30)
    assert len(outcomes) == 3
    assert all("was closed" in str(error) for error in outcomes)


@pytest.mark.parametrize("limit", [0, -1, "x", 10**20, True])
def test_a_limit_is_a_number_of_documents(store: Store, limit: object) -> None:
    with pytest.raises(InputError, match="limit is a number"):
        store.documents(limit=limit)


def test_threads_share_a_store(store: Store) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(15):
                store.remember(f"{name} says tea {number}", uri=f"{name}/{number}")
                assert len(store.search(name, mode="lexical", k=100)) == number + 1
        except BaseException as error:  # noqa: BLE001 # shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "bob", "cy", "di")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.stats().documents == 60


def test_what_threads_keep_in_memory_is_what_a_new_process_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes, frequencies and scopes, while another store adds and forgets."""
    for name, value in (("FREQUENCY_COMMON", 1), ("EXACT_SCAN_CHUNKS", 0), ("CODES_COMPARED", 5)):
        monkeypatch.setattr(config, name, value)
    draw, words, done = random.Random(1), [f"w{number}" for number in range(40)], threading.Event()
    path, filters = tmp_path / "memory.db", (None, {"third": 1}, {"third": {"$lte": 1}})

    def text() -> str:
        return " ".join(draw.sample(words, 6))

    def search_on(store: Store) -> int:
        searches = 0
        while not done.is_set():
            assert len(store.search(text(), k=5, where=filters[searches % 3])) == 5
            searches += 1
        return searches

    toy = ToyEmbedder(16)
    with Store(path, toy) as store, Store(path, toy) as writer, ThreadPoolExecutor(4) as threads:
        for number in range(30):
            writer.remember(text(), uri=f"{number}", metadata={"third": number % 3})
        running = [threads.submit(search_on, store) for _ in range(4)]
        for number in range(30, 70):
            writer.remember(text(), uri=f"{number}", metadata={"third": number % 3})
            if number % 4 == 0:
                writer.forget(f"{number - 20}")
        done.set()
        assert all(each.result() > 0 for each in running)
        with Store(path, toy) as fresh:
            for number in range(12):
                query = text()
                answers = [one.search(query, k=20, where=filters[number % 3]) for one in (store, fresh)]
                (kept, read) = ([(hit.chunk_id, pytest.approx(hit.score)) for hit in answer] for answer in answers)
                assert kept == read


def test_another_process_sees_a_write_at_its_next_search(store: Store) -> None:
    store.remember("tea")
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from toy import ToyEmbedder; from vstore import Store\n"
        "with Store(sys.argv[1], ToyEmbedder()) as store:\n"
        "    store.remember('bread')\n"
        "    print(len(store.search('tea')))\n"
    )
    command = [sys.executable, "-c", code, str(store.path), str(Path(__file__).parent)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "2"
    assert [hit.text for hit in store.search("bread", mode="lexical")] == ["bread"]


def test_metadata_that_is_nested_too_deeply_or_in_itself_is_refused(store: Store) -> None:
    deep: dict[str, object] = {}
    for _ in range(400):
        deep = {"a": deep}
    store.remember("red", metadata=deep)
    for _ in range(2_000):
        deep = {"a": [deep]}
    circle: dict[str, object] = {}
    circle["a"] = circle
    for metadata in (deep, circle):
        with pytest.raises(InputError, match="nested more than 500 levels deep; flatten it"):
            store.remember("blue", metadata=metadata)
    assert store.stats().documents == 1


@pytest.mark.skipif(sys.platform == "win32", reason="names there are always Unicode")
def test_a_folder_names_also_its_files_whose_names_are_no_unicode(tmp_path: Path, embedder: ToyEmbedder) -> None:
    folder = tmp_path / "nötes"
    folder.mkdir()
    (folder / os.fsdecode(b"x\xff.md")).write_text("Pears.")
    (folder / "y.md").write_text("Plums.")
    with Store(tmp_path / "memory.db", embedder) as store:
        store.add(folder)
        assert len(store.find(folder)) == 2
        assert len(store.forget(folder)) == 2
        assert store.documents() == []


def test_documents_that_were_found_are_forgotten_and_those_below_them_are_not(
    tmp_path: Path, embedder: ToyEmbedder
) -> None:
    with Store(tmp_path / "memory.db", embedder) as store:
        store.remember("A folder's note.", uri="/notes")
        store.remember("In the folder.", uri="/notes/a")
        found = store.find("/notes")
        assert [document.uri for document in store.forget(found)] == ["/notes"]
        store.forget(found)
        assert [document.uri for document in store.documents()] == ["/notes/a"]
