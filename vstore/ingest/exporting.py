"""Write down what a store has, line by line, so that another one can read it: see docs/backup.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from vstore import config
from vstore.ingest import lines
from vstore.judgements import Judgement
from vstore.storage import Snapshot
from vstore.types import StoredChunk, WholeDocument

if TYPE_CHECKING:
    from vstore.types import FloatArray


@dataclass
class ExportReport:
    """What an export has in it."""

    documents: int = 0
    chunks: int = 0
    judgements: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {"documents": self.documents, "chunks": self.chunks, "judgements": self.judgements}


def exported(snapshot: Snapshot, report: ExportReport, *, vectors: bool = False) -> Iterator[bytes]:
    """The lines of an export: a header, documents, judgements, and a last line that counts them, as `report` does.

    One document at a time is in memory.
    """
    yield lines.encoded(_header(snapshot, vectors=vectors))
    for whole in snapshot.whole_documents():
        report.documents += 1
        report.chunks += len(whole.chunks)
        yield lines.encoded(lines.of_document(whole, _vectors_of(snapshot, whole, vectors=vectors)))
    for judgement in reversed(snapshot.judgements()):  # the oldest first, as they were given
        report.judgements += 1
        yield lines.encoded(lines.of_judgement(judgement, _chunk_of(snapshot, judgement)))
    yield lines.encoded({"type": "end", **report.to_dict()})


def _header(snapshot: Snapshot, *, vectors: bool) -> dict[str, Any]:
    space, statistics = snapshot.space, snapshot.statistics()
    model = {"name": space.model, "fingerprint": space.fingerprint, "dimension": space.dimension} if space else None
    return {
        "format": lines.FORMAT,
        "version": config.EXPORT_VERSION,
        "vstore": version("vstore"),
        "exported_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "documents": statistics.documents - statistics.expired,
        "model": model,
        "vectors": vectors and space is not None,
    }


def _vectors_of(snapshot: Snapshot, whole: WholeDocument, *, vectors: bool) -> list[FloatArray | None]:
    found = snapshot.vectors(whole.chunk_ids) if vectors else {}
    return [found.get(chunk_id) for chunk_id in whole.chunk_ids]


def _chunk_of(snapshot: Snapshot, judgement: Judgement) -> StoredChunk | None:
    if judgement.chunk_id is None:
        return None
    return snapshot.chunks([judgement.chunk_id])[judgement.chunk_id]
