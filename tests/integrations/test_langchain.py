"""What LangChain's own tests do not ask: long documents, filters, confidence, other models, cancelled writes."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings, FakeEmbeddings
from langchain_core.indexing import InMemoryRecordManager, index
from pydantic import ValidationError
from toy import ToyEmbedder

from vstore import Store, check, config
from vstore.errors import (
    FilterError,
    InputError,
    MissingExtraError,
    ModelError,
    QueryError,
    SpaceMismatchError,
    StoreError,
)
from vstore.integrations.langchain import LangChainEmbedder, VstoreRetriever, VstoreVectorStore

LONG = "\n\n".join(f"Part {part} is about valve V{part}. " + "It goes on and on. " * 40 for part in range(12))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as opened:
        yield opened


@pytest.fixture
def vectors(store: Store) -> VstoreVectorStore:
    return VstoreVectorStore(store)


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


# --- the vector store -------------------------------------------------------------------------------------------------


def test_a_document_of_many_chunks_comes_back_whole_and_once(store: Store, vectors: VstoreVectorStore) -> None:
    vectors.add_texts([LONG, "A short note about valve V3."], [{"pages": 9}, {}], ids=["long", "short"])
    assert store.stats().chunks > 12
    found = vectors.similarity_search("valve V3", k=2)
    assert {document.id: document.page_content for document in found} == {
        "long": LONG,
        "short": "A short note about valve V3.",
    }
    assert vectors.get_by_ids(["long"]) == [Document(id="long", page_content=LONG, metadata={"pages": 9})]


def test_k_counts_documents_even_where_one_has_all_the_best_chunks(
    vectors: VstoreVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "POOL_DEPTH", 10)
    crowd = "\n\n".join(f"Valve number {part} leaks. " + "valve leaks " * 75 for part in range(25))
    others = [f"Somewhere a valve of kind {number} leaks, among many other things." for number in range(3)]
    vectors.add_texts([crowd, *others], ids=["crowd", "a", "b", "c"])
    assert set(ids(vectors.similarity_search("valve leaks", k=4))) == {"crowd", "a", "b", "c"}


def test_adding_a_text_again_changes_nothing_and_other_metadata_make_another_document(
    store: Store, vectors: VstoreVectorStore
) -> None:
    first = vectors.add_texts(["The same text."] * 2, [{"page": 1}, {"page": 2}])
    assert vectors.add_texts(["The same text."] * 2, [{"page": 1}, {"page": 2}]) == first
    assert len(set(first)) == store.stats().documents == 2
    assert vectors.add_texts(["A remark."]) == [store.remember("A remark.").uri]


def test_the_last_of_two_documents_with_one_id_stays(vectors: VstoreVectorStore) -> None:
    assert vectors.add_texts(["The old text.", "The new text."], ids=["a", "a"]) == ["a", "a"]
    assert vectors.get_by_ids(["a", "a"]) == [Document(id="a", page_content="The new text.")] * 2


def test_get_by_ids_keeps_the_order_and_leaves_out_what_is_not_there(vectors: VstoreVectorStore) -> None:
    vectors.add_texts(["One.", "Two.", "Three."], ids=["1", "2", "3"])
    assert ids(vectors.get_by_ids(["3", "nobody", "1"])) == ["3", "1"]
    assert vectors.get_by_ids([]) == []


def test_delete_removes_the_named_documents_alone(store: Store, vectors: VstoreVectorStore) -> None:
    """Unlike `Store.forget`, for which a name may be a folder and mean all that is below."""
    here = Path.cwd().as_posix()
    vectors.add_texts(["In a folder.", "At its side."], ids=[f"{here}/notes/a.md", "b"])
    other = VstoreVectorStore(store, collection="other")
    other.add_texts(["Elsewhere."], ids=["b"])
    assert vectors.delete(["notes", here, "nobody", "b"])
    assert [(document.collection, document.uri) for document in store.documents()] == [
        ("other", "b"),
        ("default", f"{here}/notes/a.md"),
    ]
    assert vectors.delete([])
    with pytest.raises(InputError, match="whole collection"):
        vectors.delete()


def test_what_is_deleted_leaves_no_query_behind(store: Store, vectors: VstoreVectorStore) -> None:
    vectors.add_texts(["the launch code is 4471"], ids=["secret"])
    vectors.similarity_search("anything")  # noted in the file at once, as the first search is; the next one waits
    vectors.similarity_search("the launch code is 4471")
    vectors.delete(["secret"])
    store.flush()
    with store.index.snapshot() as snapshot:
        assert [query.text for query in snapshot.logged_queries()] == ["anything"]


def test_what_has_expired_is_not_found_and_is_deleted_nevertheless(
    store: Store, vectors: VstoreVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.remember("A note for today.", uri="today", expires="1d")
    now = time.time_ns()
    monkeypatch.setattr("time.time_ns", lambda: now + 2 * 86_400 * 10**9)
    assert vectors.get_by_ids(["today"]) == vectors.similarity_search("note") == []
    assert store.stats().expired == 1
    vectors.delete(["today"])
    assert store.stats().expired == 0


def test_collections_do_not_see_each_other(store: Store) -> None:
    one, two = VstoreVectorStore(store, collection="one"), VstoreVectorStore(store, collection="two")
    one.add_texts(["A valve."], ids=["a"])
    two.add_texts(["Another valve."], ids=["a"])
    assert [document.page_content for document in one.similarity_search("valve")] == ["A valve."]
    assert [document.page_content for document in two.get_by_ids(["a"])] == ["Another valve."]


def test_filters_are_those_of_vstore(vectors: VstoreVectorStore) -> None:
    vectors.add_texts(
        [f"A valve of {year}." for year in (2019, 2022, 2026)],
        [{"year": year} for year in (2019, 2022, 2026)],
        ids=["old", "middle", "new"],
    )
    assert set(ids(vectors.similarity_search("valve", filter={"year": {"$gte": 2020}}))) == {"middle", "new"}
    retriever = vectors.as_retriever(search_kwargs={"k": 3, "filter": {"year": 2019}})
    assert ids(retriever.invoke("valve")) == ["old"]
    with pytest.raises(FilterError, match="near"):
        vectors.similarity_search("valve", filter={"year": {"$near": 2020}})
    with pytest.raises(TypeError, match="fliter"):
        vectors.similarity_search("valve", fliter={"year": 2019})


def test_nothing_is_written_when_one_of_the_texts_cannot_be(store: Store, vectors: VstoreVectorStore) -> None:
    with pytest.raises(InputError, match=r"plain JSON values.*date"):
        vectors.add_texts(["One.", "Two."], [{}, {"day": date(2026, 1, 1)}])
    with pytest.raises(InputError, match="text is empty"):
        vectors.add_documents([Document(page_content="One."), Document(page_content=" ")])
    with pytest.raises(InputError, match="3 texts came with 2 and 3"):
        vectors.add_texts(["One.", "Two.", "Three."], [{}, {}])
    assert store.stats().documents == 0


def test_relevance_is_confidence_and_refused_where_nobody_fitted_one(vectors: VstoreVectorStore) -> None:
    vectors.add_texts(["The pump leaks at the gasket.", "We met on Friday."], ids=["pump", "meeting"])
    (best, relevance), *_ = vectors.similarity_search_with_relevance_scores("pump gasket", mode="lexical")
    assert (best.id, 0.0 < relevance <= 1.0) == ("pump", True)
    assert vectors.similarity_search_with_relevance_scores("pump", mode="lexical", score_threshold=1.0) == []
    with pytest.raises(QueryError, match="no confidence to go by"):
        vectors.similarity_search_with_relevance_scores("pump gasket")
    (best, score), *_ = vectors.similarity_search_with_score("pump gasket")
    assert (best.id, score > 0) == ("pump", True)


def test_mmr_is_langchains_own_over_the_best_documents(vectors: VstoreVectorStore) -> None:
    texts = ["pump leaks gasket", "pump leaks gasket seal", "pump painted blue yesterday by Jo"]
    vectors.add_texts(texts, ids=["first", "copy", "other"])
    assert ids(vectors.max_marginal_relevance_search("pump leaks gasket", k=2, lambda_mult=1.0)) == ["first", "copy"]
    assert ids(vectors.max_marginal_relevance_search("pump leaks gasket", k=2, lambda_mult=0.2)) == ["first", "other"]
    assert len(vectors.max_marginal_relevance_search("pump leaks gasket", k=3, fetch_k=2)) == 2
    with pytest.raises(QueryError, match="needs vectors"):
        vectors.max_marginal_relevance_search("pump", mode="lexical")
    assert VstoreVectorStore(vectors._store, collection="empty").max_marginal_relevance_search("pump") == []


def test_langchains_index_adds_skips_and_cleans_up(store: Store, vectors: VstoreVectorStore) -> None:
    records = InMemoryRecordManager("vstore")
    records.create_schema()
    notes = [Document(page_content=f"Note {number}.", metadata={"source": f"{number}.md"}) for number in range(3)]
    options: dict[str, Any] = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    assert index(notes, records, vectors, **options)["num_added"] == 3
    again = index(notes[:2], records, vectors, **options)
    assert (again["num_skipped"], again["num_deleted"], store.stats().documents) == (2, 1, 2)


def test_a_document_forgotten_during_a_search_is_left_out(
    store: Store, vectors: VstoreVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors.add_texts(["A valve.", "Another valve."], ids=["a", "b"])
    search = store.search

    def search_and_forget(*given: Any, **options: Any) -> Any:
        results = search(*given, **options)
        store.forget("a")
        return results

    monkeypatch.setattr(store, "search", search_and_forget)
    assert ids(vectors.similarity_search("valve")) == ["b"]


def test_a_cancelled_write_is_waited_for_and_is_there_whole(tmp_path: Path) -> None:
    gate, entered = threading.Event(), threading.Event()

    class Gated(DeterministicFakeEmbedding):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            entered.set()
            assert gate.wait(60)
            return super().embed_documents(texts)

    async def use() -> None:
        with VstoreVectorStore(tmp_path / "memory.db", Gated(size=6), model="fake") as vectors:
            task = asyncio.create_task(vectors.aadd_documents([Document(id="a", page_content=LONG)]))
            while not entered.is_set():
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
            gate.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [document.page_content for document in await vectors.aget_by_ids(["a"])] == [LONG]

    asyncio.run(use())
    assert check(tmp_path / "memory.db", deep=True).ok


def test_a_vector_store_closes_the_store_that_it_opened_and_no_other(store: Store, tmp_path: Path) -> None:
    with VstoreVectorStore(store) as given:
        given.add_texts(["A note."])
    assert store.stats().documents == 1
    with VstoreVectorStore(tmp_path / "own.db", DeterministicFakeEmbedding(size=6), model="fake") as own:
        own.add_texts(["A note."])
    with pytest.raises(StoreError, match="was closed"):
        own.similarity_search("note")
    with pytest.raises(StoreError, match="was closed"):
        asyncio.run(own.asimilarity_search("note"))


# --- Embeddings of LangChain ------------------------------------------------------------------------------------------


class Named(DeterministicFakeEmbedding):
    """Says which model it is, as those of services do; `salt` is the model's weights."""

    model: str = "words-1"
    salt: str = ""

    def embed_query(self, text: str) -> list[float]:
        return super().embed_query(self.salt + text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def opened(path: Path, embeddings: Embeddings, **options: Any) -> VstoreVectorStore:
    return VstoreVectorStore.from_texts(["A valve.", "A pump."], embeddings, ids=["a", "b"], store=path, **options)


def test_the_same_model_opens_a_store_again(tmp_path: Path) -> None:
    opened(tmp_path / "m.db", Named(size=6)).close()
    with opened(tmp_path / "m.db", Named(size=6)) as again:
        assert ids(again.similarity_search("A pump.", k=1)) == ["b"]
        assert isinstance(again.embeddings, Named)


@pytest.mark.parametrize("other", [Named(size=6, model="words-2"), Named(size=12)], ids=["name", "dimension"])
def test_another_model_is_refused(tmp_path: Path, other: Embeddings) -> None:
    opened(tmp_path / "m.db", Named(size=6)).close()
    with pytest.raises(SpaceMismatchError, match="words-1"):
        VstoreVectorStore(tmp_path / "m.db", other)


def test_another_model_behind_the_same_name_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "m.db", Named(size=64)).close()
    with pytest.raises(SpaceMismatchError, match=r"said to be of words-1, which makes others now \(cosine -?0\.\d\d"):
        VstoreVectorStore(tmp_path / "m.db", Named(size=64, salt="retrained "))


def test_a_store_of_vstores_own_model_is_not_opened_with_embeddings(store: Store) -> None:
    store.remember("A note.")
    with pytest.raises(SpaceMismatchError, match="vectors of toy"):
        VstoreVectorStore(store.path, Named(size=64))
    with pytest.raises(InputError, match="has its model already"):
        VstoreVectorStore(store, Named(size=64))


def test_embeddings_without_a_name_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="FakeEmbeddings does not say which model it is"):
        VstoreVectorStore(tmp_path / "m.db", FakeEmbeddings(size=6))
    assert not (tmp_path / "m.db").exists()
    assert LangChainEmbedder(FakeEmbeddings(size=6), "mine").name == "mine"


def test_vectors_are_scaled_to_length_one_and_bad_ones_refused() -> None:
    class Fixed(FakeEmbeddings):
        rows: list[list[float]]

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return self.rows

    assert LangChainEmbedder(Fixed(size=2, rows=[[3.0, 4.0]]), "m").embed_documents(["a"]).tolist() == [
        pytest.approx([0.6, 0.8])
    ]
    for rows in ([[0.0, 0.0]], [[float("nan"), 1.0]], [], [[1.0, 0.0], [1.0]]):
        with pytest.raises(ModelError, match="m "):
            LangChainEmbedder(Fixed(size=2, rows=rows), "m").embed_documents(["a"])


def test_a_service_that_fails_is_a_model_error_and_leaves_keywords(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Flaky(Named):
        up: bool = True

        def embed_query(self, text: str) -> list[float]:
            if not self.up:
                raise ConnectionError("no route to host")
            return super().embed_query(text)

    embeddings = Flaky(size=6)
    with opened(tmp_path / "m.db", embeddings) as vectors:
        embeddings.up = False
        with caplog.at_level(logging.WARNING):
            assert ids(vectors.similarity_search("pump")) == ["b"]
        assert "by keywords only" in caplog.text
        assert "no route to host" in caplog.text
        with pytest.raises(ModelError, match="ConnectionError: no route to host"):
            vectors.similarity_search("pump", mode="dense")
        with pytest.raises(ModelError, match="no route to host"):
            vectors.add_texts(["Another."])


# --- the retriever ----------------------------------------------------------------------------------------------------


def test_the_retriever_finds_passages_and_says_where_they_are(store: Store) -> None:
    store.remember(LONG, uri="long", title="Valves", metadata={"year": 2026})
    (found,) = VstoreRetriever(store=store, k=1, options={"mode": "lexical"}).invoke("V7")
    about = found.metadata["vstore"]
    assert found.page_content == LONG[about["start"] : about["end"]]
    assert "V7" in found.page_content
    assert len(found.page_content) < len(LONG)
    assert found.metadata == {"source": "long", "title": "Valves", "year": 2026, "vstore": about}
    assert found.id == str(about["chunk_id"])
    assert (about["uri"], about["collection"]) == ("long", "default")
    assert 0.0 < about["confidence"] <= 1.0
    assert store.feedback("V7", int(found.id)).grade == 1.0


def test_the_retriever_gives_what_stands_around_a_hit_where_context_is_asked_for(store: Store) -> None:
    store.remember(LONG, uri="long")
    alone, wide = (
        VstoreRetriever(store=store, k=1, options={"mode": "lexical", "context": context}).invoke("V7")[0]
        for context in (0, 1)
    )
    assert alone.page_content in wide.page_content
    assert len(alone.page_content) < len(wide.page_content)
    about = wide.metadata["vstore"]
    assert wide.page_content == LONG[about["start"] : about["end"]]


def test_the_options_of_the_retriever_hold_and_those_of_a_call_go_before(store: Store) -> None:
    for year in (2019, 2022, 2026):
        store.remember(f"A valve of {year}.", metadata={"year": year}, collection="work" if year > 2020 else "home")
    retriever = VstoreRetriever(store=store, k=3, collection="work", where={"year": {"$lt": 2026}})
    assert [one.metadata["year"] for one in retriever.invoke("valve")] == [2022]
    assert [one.metadata["year"] for one in retriever.invoke("valve", where={"year": 2026})] == [2026]
    assert len(retriever.invoke("valve", where=None, collection=None, k=2)) == 2
    assert [one.metadata["year"] for one in asyncio.run(retriever.ainvoke("valve", collection="home"))] == [2019]


def test_the_retriever_leaves_out_what_is_less_sure(store: Store) -> None:
    store.remember("The pump leaks at the gasket.", uri="pump")
    store.remember("We met at the pump.", uri="meeting")
    VstoreVectorStore(store).add_texts([f"Note {number} is about something else." for number in range(10)])
    retriever = VstoreRetriever(store=store, options={"mode": "lexical"})
    everything = retriever.invoke("pump gasket leaks")
    surest = max(one.metadata["vstore"]["confidence"] for one in everything)
    assert len(everything) == 2
    assert [one.metadata["source"] for one in retriever.invoke("pump gasket leaks", min_confidence=surest)] == ["pump"]
    with pytest.raises(QueryError, match="no confidence to go by"):
        retriever.invoke("pump", options={}, min_confidence=0.5)
    with pytest.raises(QueryError, match="from 0 to 1, not 50"):
        retriever.invoke("pump", min_confidence=50)


def test_without_langchain_the_message_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_core.documents", None)
    monkeypatch.delitem(sys.modules, "vstore.integrations.langchain")
    with pytest.raises(MissingExtraError, match=r"pip install 'vstore\[langchain\]'"):
        importlib.import_module("vstore.integrations.langchain")


def test_an_unknown_option_of_a_retriever_is_refused_rather_than_ignored(store: Store) -> None:
    """Or a misspelt filter would filter nothing."""
    with pytest.raises(ValidationError, match="min_confidnce"):
        VstoreRetriever(store=store, min_confidnce=0.9)
