"""What a query-side adapter gains in dense and hybrid search, trained on a log of questions that nobody judged.

    python bench/adapter.py --data FOLDER --names all --seeds 5 --out adapter.json

The log is the train or dev split and the reported questions are the test split; each seed after the first takes another
80% of the log. Where there is only a test split, each seed halves it anew (the first by the CRC-32 of the ids): one
half is the log, the other is reported. Every figure is NDCG@10 of searches as they are served: of the default hybrid
search (`fused`), of its dense leg, and of a dense search (`dense mode`), each with the adapter against without. A
question reported under several seeds counts once, with its mean gain, in the interval (95%, paired bootstrap).
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import Collection, Question, find_collections, fitting_and_reported
from bench.provenance import provenance
from bench.scoring import HEAD_CHUNKS, SEED, documents_in_order
from vstore import Store, config, settings
from vstore.adapter import Adapter
from vstore.db.index import SqliteIndex
from vstore.embed import load
from vstore.filters import parse
from vstore.metrics import bootstrap_interval, ndcg
from vstore.refine.adapter import Lesson, Recipe, train
from vstore.refine.lessons import distilled
from vstore.search.pipeline import find
from vstore.search.stages import STAGES
from vstore.types import Embedder, Mode, Query, Scope

LOG_SHARE: Final = 0.8  # of a split made for fitting, that a seed after the first takes as its log
WAYS: Final = ("fused", "dense leg", "dense mode")

Scores = dict[str, float]  # NDCG@10 of one question, by way


class Material:
    """A collection in a store, with the lessons of all questions that may be logged."""

    def __init__(self, index: SqliteIndex, embedder: Embedder, fitting: Collection, reported: Collection) -> None:
        self.fitting = {question.id: question for question in fitting.questions}
        self.reported = {question.id: question for question in reported.questions}
        self.halves = fitting.split == reported.split
        self._index, self._embedder = index, embedder
        with index.snapshot() as snapshot:
            self._document = {
                chunk_id: documents_in_order([document.uri], reported.corpus.as_posix())[0]
                for document in snapshot.documents(Scope(), config.UNLIMITED)
                for chunk_id in snapshot.chunk_ids(document.id)
            }
        logged = self.all if self.halves else self.fitting.values()
        self.lessons = {question.id: lesson for question in logged for lesson in self._lessons(question)}
        self._base: dict[str, Scores] = {}

    @property
    def all(self) -> list[Question]:
        """The questions of both parts."""
        return [*self.fitting.values(), *self.reported.values()]

    def split(self, seed: int) -> tuple[list[Question], list[Question]]:
        """The log and the reported questions of a seed."""
        log, reported = list(self.fitting.values()), list(self.reported.values())
        rng = np.random.default_rng(seed)
        if seed and self.halves:
            mixed = [self.all[place] for place in rng.permutation(len(self.all))]
            return mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
        if seed:
            log = [log[place] for place in rng.permutation(len(log))[: round(LOG_SHARE * len(log))]]
        return log, reported

    def base(self, question: Question) -> Scores:
        """Its scores without an adapter."""
        if question.id not in self._base:
            self._base[question.id] = self.scores(question, None)
        return self._base[question.id]

    def scores(self, question: Question, adapter: Adapter | None) -> Scores:
        """What the search that is served finds, as if this adapter were the active one."""
        vector = self._embedder.embed_queries([question.text])[0]
        with self._index.snapshot() as snapshot:
            view = snapshot.serving(adapter)
            modes: tuple[Mode, ...] = ("hybrid", "dense")
            hybrid, dense = (
                find(view, _query(question, mode), (self._embedder.fingerprint, vector), {}) for mode in modes
            )
        rankings = [
            [candidate.chunk_id for candidate in hybrid.candidates],
            hybrid.evidence.dense.chunk_ids,
            [candidate.chunk_id for candidate in dense.candidates],
        ]
        return {way: self._ndcg(question, ranking) for way, ranking in zip(WAYS, rankings, strict=True)}

    def _ndcg(self, question: Question, chunk_ids: Sequence[int]) -> float:
        documents = dict.fromkeys(self._document[chunk_id] for chunk_id in chunk_ids[:HEAD_CHUNKS])
        return ndcg(list(documents), question.judgements, 10)

    def _lessons(self, question: Question) -> list[Lesson]:
        (lesson,) = distilled(self._index, self._embedder, [_query(question, "hybrid")])
        return [lesson] if lesson else []


def main(arguments: list[str] | None = None) -> None:
    """Measure every collection, print the table, and write the JSON file when one is asked for."""
    options = _parser().parse_args(arguments)
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    recipe = Recipe(alpha=options.alpha, pull=options.pull)
    rows = []
    for folder in find_collections(options.data, options.names):
        with open_material(folder, embedder) as material:
            rows.append({"collection": folder.name, **measure(material, recipe, options.seeds)})
        if len(rows) == 1:
            print(_line(list(rows[0])) + "\n" + _line("---" for _ in rows[0]))
        print(_line(map(_cell, rows[-1].values())), flush=True)
    print(_line(map(_cell, macro(rows).values())))
    if options.out:
        record = {**provenance(), "recipe": recipe.to_dict(), "seeds": options.seeds, "rows": rows}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(material: Material, recipe: Recipe, seeds: int) -> dict[str, Any]:
    """One row: sizes, scores before and after, gains with their intervals, and the seconds that training took."""
    gains: defaultdict[str, list[Scores]] = defaultdict(list)
    by_seed: list[float] = []
    seconds: list[float] = []
    for seed in range(seeds):
        log, reported = material.split(seed)
        started = time.perf_counter()
        lessons = [material.lessons[question.id] for question in log if question.id in material.lessons]
        adapter = train(lessons, recipe, seed=seed).adapter
        seconds.append(time.perf_counter() - started)
        for question in reported:
            before, after = material.base(question), material.scores(question, adapter)
            gains[question.id].append({way: after[way] - before[way] for way in WAYS})
        by_seed.append(fmean(gains[question.id][-1]["fused"] for question in reported))
    row: dict[str, Any] = {"log": len(material.split(0)[0]), "questions": len(gains)}
    for way in WAYS:
        means = [fmean(gain[way] for gain in of_query) for of_query in gains.values()]
        base = fmean(
            scores[way] for scores in (material.base(question) for question in material.all if question.id in gains)
        )
        row |= {way: base, f"{way} gain": fmean(means), f"{way} interval": bootstrap_interval(means, seed=SEED)}
    return {**row, "worst seed, fused": min(by_seed), "training, s": fmean(seconds)}


@contextmanager
def open_material(folder: Path, embedder: Embedder) -> Iterator[Material]:
    """A collection, ingested into a temporary store for the length of a `with` block."""
    fitting, reported = fitting_and_reported(folder)
    with tempfile.TemporaryDirectory(prefix="vstore-bench-") as place:
        path = Path(place) / "bench.db"
        with Store(path, embedder=embedder, log=False, metrics=False) as store:
            store.add([reported.corpus])
        with closing(SqliteIndex(path)) as index:
            yield Material(index, embedder, fitting, reported)


def macro(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means of all numbers, each collection counting the same."""
    means = {column: fmean(row[column] for row in rows) for column, cell in rows[0].items() if isinstance(cell, float)}
    return {column: means.get(column, "") for column in rows[0]} | {"collection": "macro"}


def _query(question: Question, mode: Mode) -> Query:
    where = None if question.group is None else parse({"group": question.group})
    return Query(question.text, HEAD_CHUNKS, mode, config.DEFAULT_FUSION, Scope(where=where), tuple(STAGES))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{value[0]:+.4f}, {value[1]:+.4f}]"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["all"], help="collections to measure, or: all")
    parser.add_argument("--seeds", type=int, default=5, help="logs drawn of each collection (default: 5)")
    parser.add_argument("--alpha", type=float, default=config.ADAPTER_ALPHA, help="step of the trained map")
    parser.add_argument("--pull", type=float, default=config.ADAPTER_PULL, help="step towards what came first")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser


if __name__ == "__main__":
    main()
