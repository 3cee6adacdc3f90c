"""The tests that LangChain publishes for every vector store and retriever, all of them, none excepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests.retrievers import RetrieversIntegrationTests
from langchain_tests.integration_tests.vectorstores import VectorStoreIntegrationTests
from toy import ToyEmbedder

from vstore import Store
from vstore.integrations.langchain import VstoreRetriever, VstoreVectorStore

pytestmark = pytest.mark.anyio  # for the asynchronous ones; the others take no notice


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class TestWithLangChainEmbeddings(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:
        with VstoreVectorStore(tmp_path / "memory.db", self.get_embeddings(), model="fake") as made:
            yield made


class TestWithTheModelOfTheStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:
        with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
            yield VstoreVectorStore(store)


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def store(self, tmp_path: Path) -> Iterator[None]:
        with Store(tmp_path / "memory.db", ToyEmbedder()) as self.opened:
            for number in range(5):
                self.opened.remember(f"Note {number} says how public clients log in.")
            yield

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return VstoreRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"store": self.opened}

    @property
    def retriever_query_example(self) -> str:
        return "how do public clients log in?"
