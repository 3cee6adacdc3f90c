"""How good the default fusion is against what a fixed weight could reach, with its constant fitted elsewhere.

    python bench/fusion.py --data FOLDER --names all --out fusion.json

`calibrated` has one constant that balances the legs. For every collection it is fitted again on all the OTHER
collections (leave one out), and only on their fitting questions: the train or dev split where there is one, else a
seeded half. What is reported comes from the collection's test split, or its other half. Beside it stand both legs,
reciprocal rank fusion with equal weights, with the best single weight for this collection in hindsight, and with the
best weight for each question (an oracle: no rule can know it); then what the fusions gain, as they are shipped, over
the better leg and over equal weights; and how long each of them takes for one question.

Collections whose names differ in a language code only (xquad-en, xquad-de) hold the same questions: they are left out
together and count as one.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Final

from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import Collection, Question, find_collections, halves, load_collection
from bench.provenance import provenance
from bench.scoring import documents_in_order
from vstore import Store, config, settings
from vstore.embed import load
from vstore.metrics import bootstrap_interval, ndcg, paired_randomisation_test
from vstore.search.fuse import FUSIONS, Evidence, Fusion, alone, calibrated, reciprocal_ranks
from vstore.types import Candidate, Embedder

WEIGHTS: Final = tuple(step / 20 for step in range(21))  # of the keyword leg in reciprocal rank fusion
CONSTANTS: Final = tuple(step / 4 for step in range(2, 21))  # of the keyword leg in `calibrated`
FITTING_SPLITS: Final = ("train", "dev")
SEED: Final = 2009
RESAMPLES: Final = 20_000  # sign flips for a p-value: three for each row


@dataclass(frozen=True, slots=True)
class Case:
    """A question, what fusion knows of it, and the documents that its candidates belong to, by chunk id."""

    question: Question
    evidence: Evidence
    documents: Mapping[int, str]

    def ndcg(self, candidates: Sequence[Candidate]) -> float:
        """NDCG@10 of the documents in the order of their best chunk."""
        ranking = list(dict.fromkeys(self.documents[candidate.chunk_id] for candidate in candidates))
        return ndcg(ranking, self.question.judgements, 10)


@dataclass(frozen=True, slots=True)
class Material:
    """One collection: NDCG@10 on the questions a constant may be fitted on, by constant, and the reported questions."""

    name: str
    fitting: Mapping[float, float]
    reported: Sequence[Case]

    @property
    def family(self) -> str:
        """The name without a language code."""
        return re.sub(r"-[a-z]{2}$", "", self.name)

    def scores(self, fusion: Fusion) -> list[float]:
        """NDCG@10 of the reported questions."""
        return [case.ndcg(fusion(case.evidence)) for case in self.reported]


Row = dict[str, float | str]


def main(arguments: list[str] | None = None) -> None:
    """Collect the evidence of every question once, then fit, score and print."""
    options = _parser().parse_args(arguments)
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    materials = [gather(folder, embedder) for folder in find_collections(options.data, options.names)]
    rows = [
        judge(material, [other for other in materials if other.family != material.family]) for material in materials
    ]
    tables = {
        "constant fitted on the others": with_macro([row for row, _ in rows], materials),
        "as shipped": with_macro([row for _, row in rows], materials),
        "time for a question": times(materials),
    }
    for title, table in tables.items():
        print(f"\n{title}\n\n{_markdown(table)}")
    if options.out:
        options.out.write_text(json.dumps({**provenance(), "tables": tables}, indent=1) + "\n", encoding="utf-8")


def gather(folder: Path, embedder: Embedder) -> Material:
    """Ingest a collection and collect what fusion knows of each question's candidates."""
    splits = {path.stem for path in (folder / "qrels").glob("*.tsv")}
    fitting = [load_collection(folder, split) for split in FITTING_SPLITS if split in splits]
    reported = load_collection(folder, "test")
    if not fitting:
        half, reported = halves(reported)
        fitting = [half]
    with (
        tempfile.TemporaryDirectory() as place,
        Store(Path(place) / "bench.db", embedder=embedder, log=False, metrics=False) as store,
    ):
        store.add([reported.corpus])
        fitting_cases = [case for part in fitting for case in _cases(store, part)]
        reported_cases = _cases(store, reported)
    scores = {c: fmean(case.ndcg(_calibrated(case.evidence, c)) for case in fitting_cases) for c in CONSTANTS}
    return Material(folder.name, scores, reported_cases)


def judge(material: Material, others: Sequence[Material]) -> tuple[Row, Row]:
    """Two rows of NDCG@10 over the reported questions: `calibrated` fitted on the others, and fusions as shipped."""
    constant = fit(others)
    fitted = material.scores(partial(_calibrated, constant=constant))
    by_weight = {weight: material.scores(partial(_weighted, lexical_weight=weight)) for weight in WEIGHTS}
    shipped = {name: material.scores(fusion) for name, fusion in FUSIONS.items()}
    lexical, dense, equal = by_weight[1.0], by_weight[0.0], by_weight[0.5]
    better = max(lexical, dense, key=fmean)
    hindsight = max(by_weight, key=lambda weight: fmean(by_weight[weight]))
    low, high = bootstrap_interval(fitted, seed=SEED)
    return {
        "collection": material.name,
        "questions": str(len(fitted)),
        "lexical": fmean(lexical),
        "dense": fmean(dense),
        "RRF .5/.5": fmean(equal),
        "RRF best weight": fmean(by_weight[hindsight]),
        "that weight (dense)": f"{1.0 - hindsight:.2f}",
        "RRF oracle": fmean(max(scores) for scores in zip(*by_weight.values(), strict=True)),
        "calibrated": fmean(fitted),
        "interval": f"[{low:.3f}, {high:.3f}]",
        "constant": f"{constant:g}",
        "against the better leg": _difference(fitted, better),
    }, {
        "collection": material.name,
        **{name: fmean(scores) for name, scores in shipped.items()},
        "calibrated against the better leg": _difference(shipped["calibrated"], better),
        "calibrated against RRF .5/.5": _difference(shipped["calibrated"], equal),
        "rrf against RRF .5/.5": _difference(shipped["rrf"], equal),
    }


def fit(materials: Sequence[Material]) -> float:
    """The constant with the best macro NDCG@10 on the fitting questions; without any, the shipped one."""
    if not materials:
        return config.CALIBRATED_LEXICAL
    return max(
        CONSTANTS, key=lambda constant: _macro([material.fitting[constant] for material in materials], materials)
    )


def with_macro(rows: Sequence[Row], materials: Sequence[Material]) -> list[Row]:
    """The rows, and below them the macro mean of every numeric column."""
    numeric = [column for column, value in rows[0].items() if isinstance(value, float)]
    means = {column: _macro([float(row[column]) for row in rows], materials) for column in numeric}
    return [*rows, {"collection": "macro", **means}]


def times(materials: Sequence[Material]) -> list[Row]:
    """A row for each fusion: the median time it takes, and how many times as long as equal fixed weights take."""
    cases = [case for material in materials for case in material.reported]
    medians = {name: median(_microseconds(fusion, case.evidence) for case in cases) for name, fusion in FUSIONS.items()}
    unit = medians["rrf-fixed"]
    return [
        {"fusion": name, "median, microseconds": f"{taken:.0f}", "against rrf-fixed": f"{taken / unit:.2f}"}
        for name, taken in medians.items()
    ]


def _macro(values: Sequence[float], materials: Sequence[Material]) -> float:
    """The mean with each family counting the same."""
    families: defaultdict[str, list[float]] = defaultdict(list)
    for value, material in zip(values, materials, strict=True):
        families[material.family].append(value)
    return fmean(fmean(of_family) for of_family in families.values())


def _cases(store: Store, collection: Collection) -> list[Case]:
    """Searches for ten results, and what fusion was given in each."""
    given: list[Evidence] = []

    def recorded(evidence: Evidence) -> list[Candidate]:
        given.append(evidence)
        return calibrated(evidence)

    FUSIONS["recorded"] = recorded
    try:
        for question in collection.questions:
            where = None if question.group is None else {"group": question.group}
            store.search(question.text, fusion="recorded", where=where)
    finally:
        del FUSIONS["recorded"]
    corpus = collection.corpus.as_posix()
    chunks = {chunk_id for evidence in given for chunk_id in (*evidence.lexical.chunk_ids, *evidence.dense.chunk_ids)}
    documents = {chunk: documents_in_order([store.get(chunk).document.uri], corpus)[0] for chunk in chunks}
    return [Case(question, evidence, documents) for question, evidence in zip(collection.questions, given, strict=True)]


def _calibrated(evidence: Evidence, constant: float) -> list[Candidate]:
    return calibrated(replace(evidence, balance=constant))


def _weighted(evidence: Evidence, lexical_weight: float) -> list[Candidate]:
    """Reciprocal ranks; with all the weight on one leg, that leg alone."""
    if lexical_weight in (0.0, 1.0):
        return alone(evidence.lexical if lexical_weight else evidence.dense)
    return reciprocal_ranks(evidence, lexical_weight)


def _microseconds(fusion: Fusion, evidence: Evidence) -> float:
    started = time.perf_counter()
    fusion(evidence)
    return (time.perf_counter() - started) * 1e6


def _difference(scores: Sequence[float], others: Sequence[float]) -> str:
    p = paired_randomisation_test(scores, others, seed=SEED, resamples=RESAMPLES)
    return f"{fmean(scores) - fmean(others):+.3f} (p = {p:.2g})"


def _markdown(rows: Sequence[Row]) -> str:
    columns = list(rows[0])
    cells = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *cells])


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["all"], help="collections to measure, or: all")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser


if __name__ == "__main__":
    main()
