"""For LangChain: `VstoreRetriever` finds passages, `VstoreVectorStore` keeps documents and gives them back whole.

Needs the extra `langchain`. See docs/langchain.md.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from vstore import arguments, config
from vstore.errors import InputError, MissingExtraError, QueryError
from vstore.ingest.pipeline import add_documents
from vstore.ingest.read import read_text
from vstore.integrations.langchain_embeddings import LangChainEmbedder, check_same
from vstore.integrations.passages import metadata, passages, sure, tell_if_degraded, text
from vstore.results import Hit, Results
from vstore.store import Store
from vstore.threads import Threads
from vstore.types import DEFAULT_COLLECTION, Scope
from vstore.types import Document as OwnDocument

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
    from langchain_core.vectorstores.utils import maximal_marginal_relevance
    from pydantic import ConfigDict
except ImportError as error:
    raise MissingExtraError(f"LangChain needs an extra ({error}): pip install 'vstore[langchain]'") from error

__all__ = ["LangChainEmbedder", "VstoreRetriever", "VstoreVectorStore"]


class VstoreRetriever(BaseRetriever):  # type: ignore[misc]
    """Finds passages: the chunks that `Store.search` returns, each as a Document with its chunk id as id.

    `min_confidence` leaves out what is less likely to be relevant; `options` are further arguments of `Store.search`.
    All but `store` may be given to `invoke` as well, and then hold for that call. (The field `tags` is LangChain's own,
    for its traces; to search by tags, give them in `options`.) Metadata: see `passages.metadata`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    store: Store
    k: int = config.DEFAULT_K
    collection: str | list[str] | None = None
    where: dict[str, Any] | None = None
    min_confidence: float | None = None
    options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it for each object

    _threads: Threads

    def model_post_init(self, context: Any, /) -> None:
        """What pydantic calls when the fields are set."""
        super().model_post_init(context)
        self._threads = Threads()

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **changes: Any
    ) -> list[Document]:
        return self._search(query, **changes)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **changes: Any
    ) -> list[Document]:
        return await self._threads.call(self._search, query, **changes)

    def _search(self, query: str, *, options: Mapping[str, Any] | None = None, **changes: Any) -> list[Document]:
        chosen = {name: getattr(self, name) for name in ("k", "collection", "where", "min_confidence")}
        hits = passages(self.store, query, **{**chosen, **(self.options if options is None else options), **changes})
        return [Document(id=str(hit.chunk_id), page_content=text(hit), metadata=metadata(hit)) for hit in hits]


def _in_thread(method: Callable[..., Any]) -> Callable[..., Any]:
    """The asynchronous twin of a method of a vector store."""

    @functools.wraps(method)
    async def call(self: VstoreVectorStore, *args: Any, **kwargs: Any) -> Any:
        return await self._threads.call(getattr(self, method.__name__), *args, **kwargs)

    return call


class VstoreVectorStore(VectorStore):  # type: ignore[misc]
    """Keeps Documents in one collection of a store: the id is the uri, and a Document comes back as it was added.

    `store` is an open `Store`, or the path of one that is opened here and that `close` closes. `embedding` is for such
    a path: LangChain's Embeddings in place of the store's own model, and `model` says which model they are (see
    `LangChainEmbedder`). Raises SpaceMismatchError when the store's vectors are another model's.

    Options of searches are those of `Store.search`; `filter` is its `where`.
    """

    def __init__(
        self,
        store: Store | str | Path,
        embedding: Embeddings | None = None,
        *,
        model: str | None = None,
        collection: str = DEFAULT_COLLECTION,
    ) -> None:
        self._embeddings = embedding
        self._collection = arguments.collection_name(collection)
        self._threads = Threads()
        self._own = not isinstance(store, Store)
        if isinstance(store, Store):
            if embedding is not None:
                raise InputError("an open Store has its model already; give the path of the store, or no embedding")
            self._store = store
            return
        embedder = None if embedding is None else LangChainEmbedder(embedding, model)
        self._store = Store(store, embedder)
        try:
            if embedder is not None:
                check_same(self._store.index, embedder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Wait for calls that go on in threads, and close the store if it was opened here."""
        self._threads.shut()
        if self._own:
            self._store.close()

    def __enter__(self) -> VstoreVectorStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def embeddings(self) -> Embeddings | None:
        """The Embeddings it was made with; None where the store's own model embeds."""
        return self._embeddings

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **options: Any,
    ) -> VstoreVectorStore:
        """A vector store made with these `options`, `store` among them, and these texts added to what it has."""
        made = cls(embedding=embedding, **options)
        try:
            made.add_texts(texts, metadatas, ids=ids)
        except BaseException:
            made.close()
            raise
        return made

    # --- putting in ---------------------------------------------------------------------------------------------------

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """Add texts, or replace those that have the same id; returns the ids.

        A text without an id gets one that is made of it and its metadata, so that adding it again changes nothing.
        `batch_size` is what LangChain's `index` passes, and without effect: vstore makes batches by itself. Raises
        InputError, before anything is written, for an empty text or metadata that are no JSON.
        """
        texts = list(texts)
        given = list(metadatas or [{}] * len(texts)), list(ids or [None] * len(texts))
        if {len(part) for part in given} != {len(texts)}:
            numbers = " and ".join(str(len(part)) for part in given)
            raise InputError(f"{len(texts)} texts came with {numbers} metadata and ids; give one of each for each text")
        documents = [self._document(*one) for one in zip(texts, *given, strict=True)]
        report = add_documents(self._store.index, self._store.ingest_model, documents)
        if report.skipped:
            raise InputError(f"{report.skipped[0].path} was not added: {report.skipped[0].reason}")
        return [document.uri for document in documents]

    def _document(self, text: str, facts: Mapping[str, Any] | None, uri: str | None) -> OwnDocument:
        facts = arguments.metadata(facts)
        if not uri:  # the same text with other metadata is another document
            uri = arguments.memory_uri(json.dumps(facts, sort_keys=True, default=str) if facts else "", text)
        uri = arguments.memory(text, "", uri)
        return read_text(text, uri=uri, collection=self._collection, metadata=facts)

    def delete(self, ids: Sequence[str] | None = None) -> bool:
        """Remove documents by their ids, with all that `Store.forget` removes; ids that are not there do no harm.

        Raises InputError for None, which would be everything.
        """
        if ids is None:
            raise InputError("name the documents to delete; without ids it would be the whole collection")
        with self._store.index.snapshot() as snapshot:
            found = snapshot.documents(self._named(ids), config.UNLIMITED, expired=True)
        self._store.forget(found)
        return True

    # --- getting out --------------------------------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in this order; those that are not there are left out."""
        found = self._documents(ids)
        return [found[uri] for uri in ids if uri in found]

    def similarity_search(
        self, query: str, k: int = 4, filter: Mapping[str, Any] | None = None, **options: Any
    ) -> list[Document]:
        """The best `min(k, matching)` documents, best first: each stands where its best chunk does."""
        return [document for document, _ in self._found(query, k, filter, options)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Mapping[str, Any] | None = None, **options: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search` with scores: higher is better, and no two queries' scores compare."""
        return [(document, hit.score) for document, hit in self._found(query, k, filter, options)]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, filter: Mapping[str, Any] | None = None, **options: Any
    ) -> list[tuple[Document, float]]:
        """`similarity_search` with confidence, from 0 to 1. Raises QueryError where nobody has fitted one."""
        return [(document, sure(hit)) for document, hit in self._found(query, k, filter, options)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> list[Document]:
        """`k` of the best `fetch_k` documents, chosen by LangChain's own maximal marginal relevance of best chunks.

        Raises QueryError for a search by keywords alone, which has no vectors.
        """
        results, hits = self._search(query, fetch_k, filter, options)
        if hits and results.question is None:
            raise QueryError("maximal marginal relevance needs vectors; search by similarity, or in another mode")
        with self._store.index.snapshot() as snapshot:
            vectors = snapshot.vectors([hit.chunk_id for hit in hits])
        hits = [hit for hit in hits if hit.chunk_id in vectors]
        if not hits or results.question is None:
            return []
        rows = [vectors[hit.chunk_id].tolist() for hit in hits]
        chosen = maximal_marginal_relevance(results.question[1], rows, lambda_mult, k)
        return [document for document, _ in self._whole([hits[place] for place in chosen])]

    def _found(
        self, query: str, k: int, where: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> list[tuple[Document, Hit]]:
        return self._whole(self._search(query, k, where, options)[1])

    def _search(
        self, query: str, k: int, where: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> tuple[Results, list[Hit]]:
        """The best chunk of each of the first `k` documents."""
        depth = config.POOL_DEPTH if 0 < k < config.POOL_DEPTH else k  # what a search looks at anyway
        while True:
            results = self._store.search(query, depth, collection=self._collection, where=where, **options)
            best = {hit.document.uri: hit for hit in reversed(results)}
            if len(best) >= k or len(results) < depth or depth == config.MAX_K:
                tell_if_degraded(results)
                return results, [hit for hit in results if best[hit.document.uri] is hit][:k]
            depth = min(4 * depth, config.MAX_K)

    def _whole(self, hits: Sequence[Hit]) -> list[tuple[Document, Hit]]:
        """The documents of these hits, but those that somebody has forgotten meanwhile."""
        found = self._documents([hit.document.uri for hit in hits])
        return [(found[hit.document.uri], hit) for hit in hits if hit.document.uri in found]

    def _documents(self, ids: Sequence[str]) -> dict[str, Document]:
        with self._store.index.snapshot() as snapshot:
            documents = snapshot.documents(self._named(ids), config.UNLIMITED)
            texts = {document.uri: snapshot.text(document.id) for document in documents}
        return {
            document.uri: Document(id=document.uri, page_content=texts[document.uri], metadata=dict(document.metadata))
            for document in documents
        }

    def _named(self, ids: Sequence[str]) -> Scope:
        return arguments.scope(self._collection, {"@uri": {"$in": list(ids)}})

    # --- the same, asynchronously -------------------------------------------------------------------------------------

    aadd_texts = _in_thread(add_texts)
    adelete = _in_thread(delete)
    aget_by_ids = _in_thread(get_by_ids)
    asimilarity_search = _in_thread(similarity_search)
    asimilarity_search_with_score = _in_thread(similarity_search_with_score)
    _asimilarity_search_with_relevance_scores = _in_thread(_similarity_search_with_relevance_scores)
    amax_marginal_relevance_search = _in_thread(max_marginal_relevance_search)
