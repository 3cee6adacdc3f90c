"""How much more a match in title or heading should count than one in the text, for keywords.

    python bench/weights.py --data FOLDER --names scifact cranfield cacm --out weights.json

Scores every value on each collection's fitting questions (the train or dev split, else a seeded half) and on the ones
that are reported (the test split, else the other half), by keywords alone and with the default fusion. NDCG@10. Only
collections whose documents have titles can tell the values apart.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Final
from unittest.mock import patch

from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import Collection, Question, find_collections, fitting_and_reported
from bench.provenance import provenance
from bench.scoring import HEAD_CHUNKS, documents_in_order
from vstore import Store, config, settings
from vstore.embed import load
from vstore.metrics import ndcg, paired_randomisation_test
from vstore.types import Embedder, Mode

WEIGHTS: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # of a match in title or heading against one in the text
MODES: Final[tuple[Mode, ...]] = ("lexical", "hybrid")
SEED: Final = 2009

Scores = Mapping[float, Sequence[float]]  # NDCG@10 of every question, by weight
System = tuple[Mode, str]  # how was searched, and whether the questions are for fitting or reported


def main(arguments: list[str] | None = None) -> None:
    """Measure collection by collection, print a line for each mode and set of questions, and the means."""
    options = _parser().parse_args(arguments)
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    rows: list[dict[str, float | str]] = []
    measured: list[dict[System, Scores]] = []
    print(f"| collection | system | questions | {' | '.join(f'{weight:g}' for weight in WEIGHTS)} | best against 1 |")
    print("|---" * (len(WEIGHTS) + 4) + "|")
    for folder in find_collections(options.data, options.names):
        measured.append(measure(folder, embedder))
        rows += _printed(folder.name, measured[-1])
    rows += _printed("macro", {system: macro([scores[system] for scores in measured]) for system in measured[0]})
    if options.out:
        options.out.write_text(json.dumps({**provenance(), "rows": rows}, indent=1) + "\n", encoding="utf-8")


def measure(folder: Path, embedder: Embedder) -> dict[System, Scores]:
    """Every question's score at every weight."""
    uses = dict(zip(("fitting", "reported"), fitting_and_reported(folder), strict=True))
    with tempfile.TemporaryDirectory() as place, Store(Path(place) / "bench.db", embedder=embedder) as store:
        store.add([uses["reported"].corpus])
        return {
            (mode, use): {weight: _scores(store, collection, mode, weight) for weight in WEIGHTS}
            for mode in MODES
            for use, collection in uses.items()
        }


def macro(collections: Sequence[Scores]) -> Scores:
    """All questions together, scaled so that their mean is the mean over the collections, each counting the same."""
    questions = sum(len(scores[1.0]) for scores in collections)
    return {
        weight: [
            score * questions / (len(collections) * len(scores[weight]))
            for scores in collections
            for score in scores[weight]
        ]
        for weight in WEIGHTS
    }


def _scores(store: Store, collection: Collection, mode: Mode, weight: float) -> list[float]:
    with patch.object(config, "HEAD_WEIGHT", weight):
        return [_ndcg(store, collection, question, mode) for question in collection.questions]


def _ndcg(store: Store, collection: Collection, question: Question, mode: Mode) -> float:
    where = None if question.group is None else {"group": question.group}
    results = store.search(question.text, k=HEAD_CHUNKS, mode=mode, where=where)
    ranking = documents_in_order((hit.document.uri for hit in results), collection.corpus.as_posix())
    return ndcg(ranking, question.judgements, 10)


def _printed(name: str, measured: Mapping[System, Scores]) -> list[dict[str, float | str]]:
    rows = [_row(name, f"{mode}, {use}", scores) for (mode, use), scores in measured.items()]
    print("\n".join(map(_line, rows)), flush=True)
    return rows


def _row(name: str, system: str, scores: Scores) -> dict[str, float | str]:
    best = max(WEIGHTS, key=lambda weight: fmean(scores[weight]))
    p = paired_randomisation_test(scores[best], scores[1.0], seed=SEED)
    return {
        "collection": name,
        "system": system,
        "questions": str(len(scores[1.0])),
        **{str(weight): fmean(values) for weight, values in scores.items()},
        "best against 1": "" if best == 1.0 else f"{best:g} (p = {p:.2g})",
    }


def _line(row: Mapping[str, float | str]) -> str:
    return f"| {' | '.join(value if isinstance(value, str) else f'{value:.4f}' for value in row.values())} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", required=True, help="collections to measure, or: all")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser


if __name__ == "__main__":
    main()
