"""The retriever for LlamaIndex."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from llama_index.core.schema import MetadataMode, QueryBundle, TextNode
from toy import ToyEmbedder

from vstore import Store
from vstore.errors import MissingExtraError, QueryError
from vstore.integrations.llama_index import VstoreRetriever

LONG = "\n\n".join(f"Part {part} is about valve V{part}. " + "It goes on and on. " * 40 for part in range(12))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as opened:
        opened.remember(LONG, uri="long", title="Valves", metadata={"year": 2026})
        for number in range(10):
            opened.remember(f"Note {number} is about something else.", metadata={"year": 2019})
        yield opened


def test_a_passage_is_a_node_with_its_place_its_source_and_its_confidence(store: Store) -> None:
    (found,) = VstoreRetriever(store, 1, mode="lexical").retrieve("V7")
    (hit,) = store.search("V7", 1, mode="lexical")
    node = found.node
    assert isinstance(node, TextNode)
    assert (node.node_id, node.ref_doc_id, found.score) == (str(hit.chunk_id), "long", hit.confidence)
    assert node.text == LONG[node.start_char_idx : node.end_char_idx] == hit.text
    assert (node.metadata["year"], node.metadata["source"]) == (2026, "long")
    assert node.metadata["vstore"]["score"] == hit.score
    shown = node.get_content(MetadataMode.LLM)
    assert "title: Valves" in shown
    assert "chunk_id" not in shown


def test_asynchronous_retrieval_finds_the_same_off_the_event_loop(store: Store) -> None:
    threads: list[str] = []

    class Watched(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            threads.append(threading.current_thread().name)
            return super().embed_queries(texts)

    with Store(store.path, Watched()) as watched:
        retriever = VstoreRetriever(watched, 3)
        asynchronous = asyncio.run(retriever.aretrieve("valve V7"))
        assert threads[0].startswith("vstore")
        assert [one.node_id for one in retriever.retrieve("valve V7")] == [one.node_id for one in asynchronous]


def test_filters_and_the_least_confidence_hold(store: Store) -> None:
    nodes = VstoreRetriever(store, 20, where={"year": {"$gte": 2020}}).retrieve(QueryBundle("something else"))
    assert {node.metadata["source"] for node in nodes} == {"long"}
    assert [node.score for node in nodes] == [None] * len(nodes), "nobody fitted a confidence to this model"
    assert VstoreRetriever(store, collection="work").retrieve("valve") == []
    assert VstoreRetriever(store, min_confidence=1.0, mode="lexical").retrieve("valve V7") == []
    with pytest.raises(QueryError, match="no confidence to go by"):
        VstoreRetriever(store, min_confidence=0.5).retrieve("valve")


def test_without_llama_index_the_message_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_index.core.schema", None)
    monkeypatch.delitem(sys.modules, "vstore.integrations.llama_index")
    with pytest.raises(MissingExtraError, match=r"pip install 'vstore\[llama-index\]'"):
        importlib.import_module("vstore.integrations.llama_index")
