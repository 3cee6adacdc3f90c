"""An embedder that keeps its vectors on disk, so that a repeated benchmark does not embed the same texts again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from bench.embedders import ForwardingEmbedder, WindowEmbedder

if TYPE_CHECKING:
    from vstore.types import FloatArray


class CachedEmbedder(ForwardingEmbedder):
    """Embeds like `inner`; what was embedded before under the same fingerprint is read back from `folder`.

    Each instance appends to files of its own, so processes may share the folder, and one that is killed leaves at
    worst a torn last record, which readers ignore.
    """

    def __init__(self, inner: WindowEmbedder, folder: Path) -> None:
        super().__init__(inner)
        record = np.dtype([("key", "u1", 32), ("vector", "<f4", inner.dimension)])
        space = hashlib.sha256(inner.fingerprint.encode()).hexdigest()[:16]
        self._documents = _VectorFolder(folder / space / "documents", record)
        self._queries = _VectorFolder(folder / space / "queries", record)

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """Embed passages: float32, shape (len(texts), dimension)."""
        return self._documents.look_up(texts, super().embed_documents)

    def embed_queries(self, texts: list[str]) -> FloatArray:
        """Embed queries: float32, shape (len(texts), dimension)."""
        return self._queries.look_up(texts, super().embed_queries)


class _VectorFolder:
    """Vectors by the sha256 of their text: fixed-size records, held in memory and appended to one file an instance."""

    def __init__(self, folder: Path, record: np.dtype[np.void]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._record = record
        self._file = folder / f"{uuid4().hex}.vectors"
        self._vectors: dict[bytes, FloatArray] = {}
        for path in folder.glob("*.vectors"):
            whole = path.stat().st_size // record.itemsize
            self._keep(np.fromfile(path, dtype=record, count=whole))

    def look_up(self, texts: list[str], embed: Callable[[list[str]], FloatArray]) -> FloatArray:
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors}
        if missing:
            records = np.empty(len(missing), dtype=self._record)
            records["key"] = np.frombuffer(b"".join(missing), dtype="u1").reshape(-1, 32)
            records["vector"] = embed(list(missing.values()))
            with self._file.open("ab") as file:
                file.write(records.tobytes())
            self._keep(records)
        found = np.empty((len(keys), self._record["vector"].shape[0]), dtype=np.float32)
        for row, key in enumerate(keys):
            found[row] = self._vectors[key]
        return found

    def _keep(self, records: np.ndarray[Any, np.dtype[np.void]]) -> None:
        keys = (key.tobytes() for key in records["key"])
        self._vectors.update(zip(keys, records["vector"], strict=True))
