"""What sign codes miss and what they cost: the dense leg with them against the exact scan, on real embeddings.

    python bench/codes.py --data FOLDER --names all

Every question of a collection is ranked both ways, with the vectors that the shipped candidates leave to be compared.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
from pathlib import Path
from statistics import fmean
from typing import Any, Final
from unittest.mock import patch

from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import find_collections
from bench.refine import Bench, opened, show
from vstore import config, settings
from vstore.embed import load
from vstore.types import Scope

DEPTHS: Final = (10, 100)
QUESTIONS: Final = 300  # of a collection, at most


def measure(bench: Bench) -> dict[str, Any]:
    """Mean recall of the exact scan's first 10 and 100, and the worst of the first 10."""
    questions = [*bench.reported, *bench.fitting][:QUESTIONS]
    recall: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
    with patch.object(config, "EXACT_SCAN_CHUNKS", 0), patch.object(config, "CODES_FROM_SEARCH", 1):
        for question in questions:
            vector = bench.embedder.embed_queries([question.text])[0]
            with bench.store.index.snapshot() as snapshot:
                for depth in DEPTHS:
                    exact = snapshot.dense(vector, Scope(), depth, exact=True).chunk_ids
                    found = snapshot.dense(vector, Scope(), depth).chunk_ids
                    recall[depth].append(len({*exact} & {*found}) / len(exact))
    chunks = bench.store.stats().chunks
    return {
        "collection": bench.name,
        "chunks": chunks,
        "questions": len(questions),
        **{f"recall@{depth}": f"{fmean(recall[depth]):.4f}" for depth in DEPTHS},
        "worst recall@10": f"{min(recall[10]):.1f}",
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["all"], help="collections to measure, or: all")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    options = parser.parse_args(arguments)
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    rows = []
    for folder in find_collections(options.data, options.names):
        with opened(folder, embedder) as bench:
            rows.append(measure(bench))
            show(rows[-1:])
    show(rows)


if __name__ == "__main__":
    main()
