"""For LlamaIndex: `VstoreRetriever` finds passages as nodes. Needs the extra `llama-index`; see docs/llama-index.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vstore import config
from vstore.errors import MissingExtraError
from vstore.integrations.passages import metadata, passages, text
from vstore.results import Hit
from vstore.store import Store
from vstore.threads import Threads

try:
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
except ImportError as error:
    raise MissingExtraError(f"LlamaIndex needs an extra ({error}): pip install 'vstore[llama-index]'") from error

__all__ = ["VstoreRetriever"]


class VstoreRetriever(BaseRetriever):  # type: ignore[misc]
    """Finds passages: the chunks that `Store.search` returns, each as a TextNode with its chunk id as id.

    The score is the confidence, from 0 to 1; None where nobody has fitted one to the scores of the store's model.
    `min_confidence` leaves out what is less likely to be relevant; `options` are further arguments of `Store.search`.
    Metadata: see `passages.metadata`; what is in `vstore` is not shown to models. Only the text of a query bundle is
    used, for the store embeds it with its own model.
    """

    def __init__(
        self,
        store: Store,
        k: int = config.DEFAULT_K,
        *,
        collection: str | Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        min_confidence: float | None = None,
        callback_manager: CallbackManager | None = None,
        **options: Any,
    ) -> None:
        super().__init__(callback_manager=callback_manager)
        self._store = store
        self._options = {
            "k": k,
            "collection": collection,
            "where": where,
            "min_confidence": min_confidence,
            **options,
        }
        self._threads = Threads()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [_node(hit) for hit in passages(self._store, query_bundle.query_str, **self._options)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await self._threads.call(self._retrieve, query_bundle)


def _node(hit: Hit) -> NodeWithScore:
    place = hit.context or hit
    node = TextNode(
        id_=str(hit.chunk_id),
        text=text(hit),
        metadata=metadata(hit),
        start_char_idx=place.start,
        end_char_idx=place.end,
        excluded_embed_metadata_keys=["vstore"],
        excluded_llm_metadata_keys=["vstore"],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document.uri)},
    )
    return NodeWithScore(node=node, score=hit.confidence)
