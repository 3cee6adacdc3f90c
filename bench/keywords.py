"""What it costs to find keyword candidates by a query's rarer terms: NDCG@10 and time against reading every posting.

    python bench/keywords.py --data FOLDER --names scifact wikiqa qmsum --out keywords.json
    python bench/keywords.py --data FOLDER --names all --alone

The documents of all collections lie in one store, which makes it larger and their questions harder than each `--alone`;
of what a question finds only documents of its own collection count, for it was judged for no others. Both ways answer
each question in turn.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

from bench.datasets import Collection, find_collections, fitting_and_reported
from bench.large import SketchEmbedder
from bench.provenance import provenance
from bench.scoring import SEED
from vstore import Store
from vstore.metrics import bootstrap_interval, ndcg
from vstore.types import Scope

DEPTH: Final = 100  # chunks of a keyword ranking that fusion looks at
SPLITS: Final = ("fitting", "reported")

WAYS: Final = {"all": True, "rarest": False}  # whether all postings are read


def both_ways(store: Store, collections: Sequence[Collection]) -> list[dict[str, Any]]:
    """For each question its NDCG@10 and milliseconds by either way, and the share of the first ten that both have."""
    rows = []
    for collection in collections:
        for question in collection.questions:
            row: dict[str, Any] = {"collection": collection.name, "words": len(question.text.split())}
            first = []
            for name, exact in WAYS.items():
                with store.index.snapshot() as snapshot:
                    terms = snapshot.terms(question.text)
                    started = time.perf_counter()
                    ranking = snapshot.lexical(terms, Scope(), DEPTH, exact=exact)
                    row[f"{name} ms"] = 1000.0 * (time.perf_counter() - started)
                    chunks = snapshot.chunks(ranking.chunk_ids)
                first.append(set(ranking.chunk_ids[:10]))
                uris = [chunks[chunk_id].document.uri for chunk_id in ranking.chunk_ids]
                row[f"{name} NDCG"] = ndcg(_own(uris, collection), question.judgements, 10)
            row["shared"] = len(first[0] & first[1]) / max(1, len(first[0]))
            rows.append(row)
    return rows


def _own(uris: Sequence[str], collection: Collection) -> list[str]:
    """The collection's own documents, each at the place of its best chunk."""
    prefix = f"{collection.corpus.as_posix()}#"
    return list(dict.fromkeys(uri.removeprefix(prefix) for uri in uris if uri.startswith(prefix)))


def table(rows: Sequence[dict[str, Any]]) -> None:
    """A line for each collection."""
    columns = ("collection", "questions", "words", "NDCG@10, all", "change", "interval", "shared", "ms, all", "ms")
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for name in dict.fromkeys(row["collection"] for row in rows):
        own = [row for row in rows if row["collection"] == name]
        gains = [row["rarest NDCG"] - row["all NDCG"] for row in own]
        low, high = bootstrap_interval(gains, seed=SEED)
        cells = [name, str(len(own)), f"{median(row['words'] for row in own):.0f}"]
        cells += [f"{fmean(row['all NDCG'] for row in own):.4f}", f"{fmean(gains):+.4f}", f"[{low:+.4f}, {high:+.4f}]"]
        cells += [f"{fmean(row['shared'] for row in own):.3f}"]
        cells += [f"{median(row[key] for row in own):.1f}" for key in ("all ms", "rarest ms")]
        print("| " + " | ".join(cells) + " |", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the JSON file when one is asked for."""
    options = _parser().parse_args(arguments)
    both = [fitting_and_reported(folder) for folder in find_collections(options.data, options.names)]
    collections = [pair[SPLITS.index(options.questions)] for pair in both]
    rows: list[dict[str, Any]] = []
    for some in [[collection] for collection in collections] if options.alone else [collections]:
        with (
            tempfile.TemporaryDirectory(prefix="vstore-bench-") as place,
            Store(Path(place) / "bench.db", SketchEmbedder(), log=False, metrics=False) as store,
        ):
            store.add([collection.corpus for collection in some])
            print(f"{store.stats().chunks:,} chunks", flush=True)
            rows += both_ways(store, some)
    table(rows)
    if options.out:
        options.out.write_text(json.dumps({**provenance(), "rows": rows}) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["all"], help="collections to measure, or: all")
    parser.add_argument("--questions", choices=SPLITS, default="reported", help="which questions (default: reported)")
    parser.add_argument("--alone", action="store_true", help="give each collection a store of its own")
    parser.add_argument("--out", type=Path, help="JSON file for the figures of every question")
    return parser


if __name__ == "__main__":
    main()
