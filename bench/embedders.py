"""Embedders that stand in front of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vstore.types import Embedder, TokenWindow

if TYPE_CHECKING:
    from vstore.types import FloatArray


class WindowEmbedder(Embedder, TokenWindow, Protocol):
    """An embedder with a name that shows its tokenizer, as those that vstore loads do."""

    @property
    def name(self) -> str:
        """What the model is called."""


class ForwardingEmbedder:
    """Does all that `inner` does."""

    def __init__(self, inner: WindowEmbedder) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        """The inner embedder's."""
        return self._inner.name

    @property
    def model(self) -> Any:
        """The inner embedder's files, for training it on; None when it has none."""
        return getattr(self._inner, "model", None)

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self._inner.dimension

    @property
    def fingerprint(self) -> str:
        """The inner embedder's: the vectors are the same."""
        return self._inner.fingerprint

    @property
    def max_tokens(self) -> int:
        """The inner embedder's window in tokens."""
        return self._inner.max_tokens

    @property
    def tokenizer(self) -> Any:
        """The inner embedder's tokenizer."""
        return self._inner.tokenizer

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """Embed passages: float32, shape (len(texts), dimension)."""
        return self._inner.embed_documents(texts)

    def embed_queries(self, texts: list[str]) -> FloatArray:
        """Embed queries: float32, shape (len(texts), dimension)."""
        return self._inner.embed_queries(texts)


class RecordingEmbedder(ForwardingEmbedder):
    """Keeps the document texts it was given in `texts`."""

    def __init__(self, inner: WindowEmbedder) -> None:
        super().__init__(inner)
        self.texts: list[str] = []

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """Embed passages and keep their texts: float32, shape (len(texts), dimension)."""
        self.texts += texts
        return super().embed_documents(texts)
