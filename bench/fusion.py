"""How good the default fusion is against what a fixed weight could reach, with its constant fitted elsewhere.

    python bench/fusion.py --data FOLDER --names all --out fusion.json

`calibrated` has one constant, the weight of the keyword leg. For every collection it is fitted again on all the OTHER
collections (leave one out), and only on their fitting questions: the train or dev split where there is one, else a
seeded half. What is reported comes from the collection's test split, or its other half. Beside it stand both legs,
reciprocal rank fusion with equal weights, with the best single weight for this collection in hindsight, and with the
best weight for each question (an oracle: no rule can know it).
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Final

from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import Collection, Question, find_collections, load_collection
from bench.provenance import provenance
from bench.scoring import CHUNKS, documents_in_order
from vstore import Store, config, settings
from vstore.embed import load
from vstore.metrics import bootstrap_interval, ndcg
from vstore.types import Embedder

WEIGHTS: Final = tuple(step / 20 for step in range(21))  # of the dense leg in reciprocal rank fusion
CONSTANTS: Final = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 7.0)  # of the keyword leg in `calibrated`
FITTING_SPLITS: Final = ("train", "dev")
SEED: Final = 2009


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk both legs have scored: points in `calibrated` by leg, and its rank in each leg that offered it."""

    document: str
    points: Mapping[str, float]
    ranks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Case:
    """A question with its candidates."""

    question: Question
    candidates: Sequence[Candidate]

    def ndcg(self, score: Callable[[Candidate], float]) -> float:
        """NDCG@10 of the documents in the order of their best chunk."""
        best_first = sorted(self.candidates, key=lambda candidate: -score(candidate))
        return ndcg(list(dict.fromkeys(candidate.document for candidate in best_first)), self.question.judgements, 10)


@dataclass(frozen=True, slots=True)
class Material:
    """One collection: the cases a constant may be fitted on, and those that are reported."""

    name: str
    fitting: Sequence[Case]
    reported: Sequence[Case]


def main(arguments: list[str] | None = None) -> None:
    """Collect the evidence of every question once, then fit, score and print."""
    options = _parser().parse_args(arguments)
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    materials = [gather(folder, embedder) for folder in find_collections(options.data, options.names)]
    rows = [judge(material, [other for other in materials if other is not material]) for material in materials]
    columns = list(rows[0])
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in [*rows, macro(rows)]:
        print(f"| {' | '.join(value if isinstance(value, str) else f'{value:.3f}' for value in row.values())} |")
    if options.out:
        options.out.write_text(json.dumps({**provenance(), "rows": rows}, indent=1) + "\n", encoding="utf-8")


def gather(folder: Path, embedder: Embedder) -> Material:
    """Ingest a collection and collect what `calibrated` knows of each question's candidates."""
    splits = {path.stem for path in (folder / "qrels").glob("*.tsv")}
    fitting = [load_collection(folder, split) for split in FITTING_SPLITS if split in splits]
    reported = load_collection(folder, "test")
    if not fitting:
        fitting = [_half(reported, 0)]
        reported = _half(reported, 1)
    with (
        tempfile.TemporaryDirectory() as place,
        Store(Path(place) / "bench.db", embedder=embedder, log=False, metrics=False) as store,
    ):
        store.add([reported.corpus])
        cases = [[_case(store, part, question) for question in part.questions] for part in [*fitting, reported]]
    return Material(folder.name, [case for part in cases[:-1] for case in part], cases[-1])


def judge(material: Material, others: Sequence[Material]) -> dict[str, float | str]:
    """One row of the table; every score is NDCG@10 over the reported questions."""
    constant = max(CONSTANTS, key=lambda constant: _fitting_score(others, constant))
    cases = material.reported
    fitted = [case.ndcg(_calibrated(constant)) for case in cases]
    by_weight = {weight: [case.ndcg(_rrf(weight)) for case in cases] for weight in WEIGHTS}
    low, high = bootstrap_interval(fitted, seed=SEED)
    hindsight = max(by_weight, key=lambda weight: fmean(by_weight[weight]))
    return {
        "collection": material.name,
        "questions": str(len(cases)),
        "lexical": fmean(by_weight[0.0]),
        "dense": fmean(by_weight[1.0]),
        "RRF .5/.5": fmean(by_weight[0.5]),
        "RRF best weight": fmean(by_weight[hindsight]),
        "that weight (dense)": f"{hindsight:.2f}",
        "RRF oracle": fmean(max(scores) for scores in zip(*by_weight.values(), strict=True)),
        "calibrated as shipped": fmean(case.ndcg(_calibrated(config.CALIBRATED_LEXICAL)) for case in cases),
        "calibrated, constant from the others": fmean(fitted),
        "interval": f"[{low:.3f}, {high:.3f}]",
        "constant": f"{constant:g}",
    }


def macro(rows: Sequence[Mapping[str, float | str]]) -> dict[str, float | str]:
    """The mean of every numeric column, each collection counting the same."""
    means: dict[str, float | str] = {}
    for column, first in rows[0].items():
        means[column] = "" if isinstance(first, str) else fmean(float(row[column]) for row in rows)
    return {**means, "collection": "macro"}


def _case(store: Store, collection: Collection, question: Question) -> Case:
    where = None if question.group is None else {"group": question.group}
    results = store.search(question.text, k=CHUNKS, fusion="calibrated", where=where)
    documents = [documents_in_order([hit.document.uri], collection.corpus.as_posix())[0] for hit in results]
    candidates = []
    for document, hit in zip(documents, results, strict=True):
        points = {part.source: part.points for part in hit.why}
        ranks = {part.source: part.rank for part in hit.why if part.rank and part.rank <= config.POOL_DEPTH}
        if ranks:  # what a search for ten results would have among its candidates
            candidates.append(Candidate(document, points, ranks))
    return Case(question, candidates)


def _half(collection: Collection, half: int) -> Collection:
    """The questions whose id's CRC-32 is even (0) or odd (1)."""
    questions = tuple(question for question in collection.questions if zlib.crc32(question.id.encode()) % 2 == half)
    return replace(collection, questions=questions)


def _fitting_score(materials: Sequence[Material], constant: float) -> float:
    """Macro NDCG@10 on the fitting questions."""
    return fmean(fmean(case.ndcg(_calibrated(constant)) for case in material.fitting) for material in materials)


def _calibrated(constant: float) -> Callable[[Candidate], float]:
    factor = constant / config.CALIBRATED_LEXICAL
    return lambda candidate: candidate.points.get("dense", 0.0) + factor * candidate.points.get("lexical", 0.0)


def _rrf(dense_weight: float) -> Callable[[Candidate], float]:
    weights = {"lexical": 1.0 - dense_weight, "dense": dense_weight}
    return lambda candidate: sum(weights[leg] / (config.RRF_K + rank) for leg, rank in candidate.ranks.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["all"], help="collections to measure, or: all")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser


if __name__ == "__main__":
    main()
