"""Search quality on collections with human judgements: NDCG@10, recall@100 and MRR of every way to search.

    python bench/collections.py --data FOLDER --names scifact cranfield --out results.json
    python bench/collections.py --data FOLDER --names all --fusion rrf-fixed

Documents go in and results come out through the public API. A document counts at the place of its best chunk. Prints
a Markdown table with 95% bootstrap intervals over the queries; --out keeps the figures of every query.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import Collection, find_collections, load_collection
from bench.provenance import provenance
from bench.scoring import (
    CHUNKS,
    DOCUMENTS,
    HEAD_CHUNKS,
    MEASURES,
    Comparison,
    Summary,
    System,
    Verdict,
    judge,
    score_system,
)
from vstore import Store, settings
from vstore.embed import load
from vstore.search.fuse import FUSIONS
from vstore.types import Embedder


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one collection showed: the verdict on every system, and why documents were skipped, if any were."""

    collection: Collection
    documents: int
    skipped: tuple[str, ...]
    verdicts: Mapping[System, Verdict]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the JSON file when one is asked for."""
    options = _parser().parse_args(arguments)
    embedder = CachedEmbedder(load(options.model), options.cache)
    systems = [System("lexical"), System("dense"), *(System("hybrid", fusion) for fusion in options.fusion)]
    outcomes = []
    print("\n".join(table_head()))
    for folder in find_collections(options.data, options.names):
        outcome = measure(load_collection(folder, options.split), embedder, systems)
        print("\n".join(table_rows(outcome)), flush=True)
        outcomes.append(outcome)
    if options.out:
        record = {
            **provenance(),
            "configuration": _configuration(options.split, embedder),
            "collections": {outcome.collection.name: _figures(outcome) for outcome in outcomes},
        }
        options.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def measure(collection: Collection, embedder: Embedder, systems: Iterable[System]) -> Outcome:
    """Ingest the collection into a temporary store and score every system on it."""
    with (
        tempfile.TemporaryDirectory(prefix="vstore-bench-") as folder,
        Store(Path(folder) / "bench.db", embedder=embedder, log=False, metrics=False) as store,
    ):
        report = store.add([collection.corpus])
        scores = {system: score_system(store, collection, system) for system in systems}
    skipped = tuple(skip.reason for skip in report.skipped)
    return Outcome(collection, report.added, skipped, judge(scores))


def table_head() -> list[str]:
    """The first two lines of the Markdown table."""
    columns = ["collection", "queries", "system", *MEASURES, "NDCG@10 against the better leg"]
    return [_row(columns), _row("---" for _ in columns)]


def table_rows(outcome: Outcome) -> Iterator[str]:
    """One line for each system, with intervals, and for hybrids the difference to the better leg with its p-value."""
    for system, verdict in outcome.verdicts.items():
        cells = (_interval(verdict.summary[measure]) for measure in MEASURES)
        gain = _difference(verdict.gain) if verdict.gain else ""
        yield _row([outcome.collection.name, str(len(verdict.queries)), system.name, *cells, gain])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _interval(summary: Summary) -> str:
    return f"{summary.mean:.3f} [{summary.low:.3f}, {summary.high:.3f}]"


def _difference(comparison: Comparison) -> str:
    return f"{comparison.difference:+.3f} ({comparison.leg}, p = {comparison.p:.2g})"


def _figures(outcome: Outcome) -> dict[str, Any]:
    systems = {system.name: asdict(verdict) for system, verdict in outcome.verdicts.items()}
    return {"documents": outcome.documents, "skipped": outcome.skipped, "systems": systems}


def _configuration(split: str, embedder: CachedEmbedder) -> dict[str, Any]:
    return {
        "split": split,
        "model": embedder.name,
        "fingerprint": embedder.fingerprint,
        "chunks_per_search": {"NDCG@10 and MRR": HEAD_CHUNKS, "recall@100": CHUNKS},
        "documents_per_ranking": DOCUMENTS,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", required=True, help="collections to measure, or: all")
    parser.add_argument("--split", default="test", help="file of judgements to use (default: test)")
    parser.add_argument("--model", default=settings.DEFAULT_MODEL, help="name or folder of the embedding model")
    parser.add_argument("--fusion", nargs="+", choices=FUSIONS, default=list(FUSIONS), help="default: all there are")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the figures of every query")
    return parser


if __name__ == "__main__":
    main()
