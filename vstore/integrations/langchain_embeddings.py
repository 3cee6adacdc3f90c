"""LangChain's Embeddings as an embedder of vstore, and whether they are those that a store was made with.

They do not say which model they are, so the caller does, and what the store holds is asked whether that is true.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vstore import config
from vstore.errors import InputError, ModelError, SpaceMismatchError
from vstore.ingest.chunk import Chunker
from vstore.storage import Index
from vstore.types import Scope

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from vstore.types import FloatArray

T = TypeVar("T")
TOLD = ("model", "model_name", "model_id")  # where Embeddings of the common packages have the name of their model


class LangChainEmbedder:
    """Embeds with a LangChain Embeddings object. Vectors are scaled to length 1.

    `model` names the model, with all that decides what its vectors are, such as its revision; None takes the name that
    the object has in an attribute `model`, `model_name` or `model_id`. Name and dimension make the fingerprint.
    Raises InputError when there is no name; whatever the object raises becomes a ModelError.
    """

    def __init__(self, embeddings: Embeddings, model: str | None = None) -> None:
        found = [model, *(getattr(embeddings, name, None) for name in TOLD)]
        names = [name for name in found if isinstance(name, str) and name]
        if not names:
            raise InputError(
                f"{type(embeddings).__name__} does not say which model it is; say so: model='its name and revision'"
            )
        self.name = names[0]
        self.embeddings = embeddings

    @cached_property
    def dimension(self) -> int:
        """Length of every vector, as the object makes them: a text is embedded to find out."""
        return int(self.embed_queries(["dimension"]).shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over the model's name and dimension."""
        return hashlib.sha256(f"langchain\0{self.name}\0{self.dimension}".encode()).hexdigest()

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """Embed passages: float32, shape (len(texts), dimension), rows of length 1."""
        return self._rows(lambda: self.embeddings.embed_documents(texts))

    def embed_queries(self, texts: list[str]) -> FloatArray:
        """Embed queries: float32, shape (len(texts), dimension), rows of length 1."""
        return self._rows(lambda: [self.embeddings.embed_query(text) for text in texts])

    def _rows(self, embed: Callable[[], Any]) -> FloatArray:
        try:
            rows = np.asarray(embed(), dtype=np.float32)
        except Exception as error:  # a service may fail in any way
            raise ModelError(f"{self.name} could not embed: {type(error).__name__}: {error}") from error
        lengths = np.linalg.norm(rows, axis=-1, keepdims=True) if rows.ndim == 2 else np.zeros(1)
        if not np.all(np.isfinite(lengths) & (lengths > 0)):
            raise ModelError(f"{self.name} returned no vectors, or some that are zero or not finite; use another model")
        scaled: FloatArray = rows / lengths
        return scaled


def check_same(index: Index, embedder: LangChainEmbedder) -> None:
    """Raise SpaceMismatchError when a store's vectors are another model's, by name or because they differ.

    The first chunk of the last document is embedded again to compare; an empty store has nothing to compare with.
    """
    space = index.active_space()
    if space is None:
        return
    space.require(embedder.fingerprint)
    with index.snapshot() as snapshot:
        last = snapshot.documents(Scope(), 1)
        chunks = snapshot.chunks(snapshot.chunk_ids(last[0].id)[:1] if last else ())
        vectors = snapshot.vectors(list(chunks))
    chunker = Chunker(embedder)
    for chunk_id, vector in vectors.items():
        chunk = chunks[chunk_id]
        (made,) = embedder.embed_documents([chunker.embedding_text(chunk.document.title, chunk.heading, chunk.text)])
        cosine = float(made @ vector)
        if cosine < config.SAME_MODEL_COSINE:
            raise SpaceMismatchError(
                f"this store's vectors are said to be of {embedder.name}, which makes others now (cosine {cosine:.2f} "
                "for the same text); open the store with the model it was made with, or begin a new one"
            )
