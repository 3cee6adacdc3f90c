"""vstore: a local-first memory. One SQLite file, keyword and vector search fused, nothing leaves the machine.

Names are loaded at first use, so that `import vstore` and `vstore --help` cost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vstore.asynchronous import AsyncStore
    from vstore.checks import CheckReport, RepairReport
    from vstore.db.backup import BackupReport
    from vstore.db.restore import RestoreReport, restore
    from vstore.errors import VstoreError
    from vstore.ingest.exporting import ExportReport
    from vstore.ingest.importing import ImportReport
    from vstore.ingest.report import AddReport
    from vstore.judgements import Judgement
    from vstore.maintenance import check, repair
    from vstore.moving import export_to, import_from
    from vstore.results import Explanation, Hit, Results
    from vstore.search.optional import Frequency, History, Recency
    from vstore.search.rerank import Rerank, Scorer
    from vstore.store import Store
    from vstore.types import Embedder

_HOMES = {
    "AddReport": "vstore.ingest.report",
    "AsyncStore": "vstore.asynchronous",
    "BackupReport": "vstore.db.backup",
    "CheckReport": "vstore.checks",
    "Embedder": "vstore.types",
    "Explanation": "vstore.results",
    "ExportReport": "vstore.ingest.exporting",
    "Frequency": "vstore.search.optional",
    "History": "vstore.search.optional",
    "Hit": "vstore.results",
    "ImportReport": "vstore.ingest.importing",
    "Recency": "vstore.search.optional",
    "Judgement": "vstore.judgements",
    "RepairReport": "vstore.checks",
    "Rerank": "vstore.search.rerank",
    "RestoreReport": "vstore.db.restore",
    "Results": "vstore.results",
    "Scorer": "vstore.search.rerank",
    "Store": "vstore.store",
    "VstoreError": "vstore.errors",
    "check": "vstore.maintenance",
    "export_to": "vstore.moving",
    "import_from": "vstore.moving",
    "repair": "vstore.maintenance",
    "restore": "vstore.db.restore",
}

__all__ = [
    "AddReport",
    "AsyncStore",
    "BackupReport",
    "CheckReport",
    "Embedder",
    "Explanation",
    "ExportReport",
    "Frequency",
    "History",
    "Hit",
    "ImportReport",
    "Judgement",
    "Recency",
    "RepairReport",
    "Rerank",
    "RestoreReport",
    "Results",
    "Scorer",
    "Store",
    "VstoreError",
    "check",
    "export_to",
    "import_from",
    "repair",
    "restore",
]


def __getattr__(name: str) -> Any:
    if name == "refine":  # so that vstore.refine.run needs no import of its own
        return import_module("vstore.refine")
    if name not in _HOMES:
        raise AttributeError(f"module 'vstore' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
