"""What each optional stage does to search quality: default hybrid search with and without it, on the same questions.

    python bench/stages.py --data FOLDER --names scifact cranfield --sentences cranfield --out stages.json

- recency: the collections have no dates, so every document gets an age drawn from a year by seed. It shows what recency
  costs where age says nothing; what it gains where age does, no such collection can show.
- frequency, history: other questions are asked first and logged with their answers, as a store does: those of the train
  and dev splits, or a seeded half of the questions where there are none. The reported ones are the others.
- rerank: stands for a cross-encoder, with scorers that need no further model. One is BM25 with the candidates as the
  whole collection. The other is the highest cosine of the question to a sentence of the text, from the store's own
  model; it embeds some hundred sentences a question, so it is measured on a seeded sample of the questions of the
  collections named in --sentences.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import math
import random
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import fmean, median
from typing import Final

from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import Collection, Question, find_collections, halves, load_collection
from bench.provenance import provenance
from bench.scoring import HEAD_CHUNKS, SEED, documents_in_order
from vstore import Frequency, History, Recency, Rerank, Results, Store, config, settings
from vstore.db.clock import from_datetime
from vstore.db.connection import Database, run
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest
from vstore.db.vectors import to_blob
from vstore.embed import load
from vstore.filters import conjunction
from vstore.metrics import bootstrap_interval, ndcg
from vstore.search.pipeline import search
from vstore.search.stages import Stage
from vstore.types import Embedder, Query, Scope

LOGGED_SPLITS: Final = ("train", "dev")
NOW: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
OLDEST_DAYS: Final = 365.0
SAMPLE: Final = 40  # questions a collection for the scorer that embeds sentences


@dataclass(frozen=True, slots=True)
class Row:
    """One stage on one collection: NDCG@10 without and with it, and the mean difference with its 95% interval."""

    collection: str
    stage: str
    questions: int
    logged: int
    default: float
    staged: float
    difference: float
    low: float
    high: float
    changed: int
    milliseconds: float


class Bm25:
    """BM25 of a text with the texts given as the whole collection: no stems, no stop words, no lengths but theirs."""

    def score(self, query: str, texts: list[str]) -> list[float]:
        """One score for each text."""
        bags = [Counter(_words(text)) for text in texts]
        lengths = [bag.total() for bag in bags]
        mean = fmean(lengths) or 1.0
        idf = {}
        for word in set(_words(query)):
            n = sum(word in bag for bag in bags)
            idf[word] = math.log(1.0 + (len(bags) - n + 0.5) / (n + 0.5))
        return [
            sum(w * bag[word] * 2.2 / (bag[word] + 1.2 * (0.25 + 0.75 * length / mean)) for word, w in idf.items())
            for bag, length in zip(bags, lengths, strict=True)
        ]


class Sentences:
    """The highest cosine of the question to a sentence of a text."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def score(self, query: str, texts: list[str]) -> list[float]:
        """One cosine for each text."""
        parts = [[part for part in re.split(r"(?<=[.!?])\s+|\n", text) if part.strip()] or [text] for text in texts]
        vectors = self._embedder.embed_documents([part for many in parts for part in many])
        cosines = iter((vectors @ self._embedder.embed_queries([query])[0]).tolist())
        return [max(next(cosines) for _ in many) for many in parts]


def main(arguments: list[str] | None = None) -> None:
    """Measure every stage on every collection and print the table."""
    options = _parser().parse_args(arguments)
    model = load(settings.DEFAULT_MODEL)
    embedder = CachedEmbedder(model, options.cache)
    rows: list[Row] = []
    print("| collection | questions | logged | stage | default | with it | difference | changed | ms |")
    print(f"|{'---|' * 9}")
    for folder in find_collections(options.data, options.names):
        sentences = Sentences(model) if folder.name in options.sentences else None
        for row in measure(folder, embedder, sentences):
            rows.append(row)
            print(_line(row), flush=True)
    for stage in dict.fromkeys(row.stage for row in rows):
        mine = [row for row in rows if row.stage == stage]
        means = [fmean(getattr(row, column) for row in mine) for column in ("default", "staged", "difference")]
        cells = f"{means[0]:.3f} | {means[1]:.3f} | {means[2]:+.4f}"
        print(f"| macro of {len(mine)} | | | {stage} | {cells} | | |")
    if options.out:
        record = {**provenance(), "rows": [asdict(row) for row in rows]}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(folder: Path, embedder: Embedder, sentences: Sentences | None) -> Iterator[Row]:
    """Ingest a collection, let its documents age, log its other questions, and try one stage after the other."""
    asked, reported = divide(folder)
    with tempfile.TemporaryDirectory(prefix="vstore-bench-") as place:
        path = Path(place) / "bench.db"
        with Store(path, embedder=embedder, log=False, metrics=False) as store:
            store.add([reported.corpus])
        with closing(SqliteIndex(path, create=False)) as index:
            searcher = Searcher(index, embedder, reported)
            answers = {question.text: searcher.search(question) for question in asked}
            prepare(path, embedder, answers)
            for name, stage in STAGES.items():
                yield searcher.compare(name, stage, reported.questions, len(answers))
            if sentences:
                sample = random.Random(SEED).sample(reported.questions, min(SAMPLE, len(reported.questions)))
                yield searcher.compare("rerank by sentences", Rerank(sentences), sample, len(answers))


def divide(folder: Path) -> tuple[list[Question], Collection]:
    """The questions to log, none of which has the text of one that is reported, and the collection to report."""
    splits = {path.stem for path in (folder / "qrels").glob("*.tsv")}
    logged = [load_collection(folder, split) for split in LOGGED_SPLITS if split in splits]
    reported = load_collection(folder, "test")
    asked = [question for part in logged for question in part.questions]
    if not logged:
        half, reported = halves(reported)
        asked = list(half.questions)
    texts = {question.text for question in reported.questions}
    return [question for question in asked if question.text not in texts], reported


def prepare(path: Path, embedder: Embedder, answers: Mapping[str, Results]) -> None:
    """Give every document an age, and write the log that a store which answered like this would have."""
    ages = random.Random(SEED)
    vectors = embedder.embed_queries(list(answers))
    with closing(Database(path, latest(), create=False)) as database, database.write() as connection:
        for (document,) in run(connection, "SELECT id FROM documents ORDER BY id"):
            updated_at = from_datetime(NOW - timedelta(days=ages.uniform(0.0, OLDEST_DAYS)))
            run(connection, "UPDATE documents SET updated_at = ? WHERE id = ?", (updated_at, document))
        for number, (text, vector) in enumerate(zip(answers, vectors, strict=True), start=1):
            sql = "INSERT INTO queries VALUES (?, ?, '', 0, 0, 1, (SELECT max(number) FROM spaces), ?)"
            run(connection, sql, (number, text, to_blob(vector, embedder.dimension)))
            for rank, hit in enumerate(answers[text][: config.SHOWN], start=1):
                run(connection, "INSERT INTO answers VALUES (?, ?, ?)", (number, rank, hit.chunk_id))


class Searcher:
    """Searches a collection in a store, below `Store`, so that nothing else is logged."""

    def __init__(self, index: SqliteIndex, embedder: Embedder, collection: Collection) -> None:
        self._index = index
        self._embedder = embedder
        self._collection = collection
        self._default: dict[str, list[str]] = {}

    def search(self, question: Question, stages: Sequence[Stage] = ()) -> Results:
        """The first candidates. Raises RuntimeError when something was not done as asked."""
        scope = Scope((), conjunction(None if question.group is None else {"group": question.group}))
        query = Query(question.text, HEAD_CHUNKS, "hybrid", config.DEFAULT_FUSION, scope)
        results = search(self._index, lambda: self._embedder, replace(query, optional=tuple(stages)))
        if results.degraded or results.remarks:
            raise RuntimeError(f"{question.id}: {results.degraded or results.remarks}")
        return results

    def compare(self, name: str, stage: Stage, questions: Sequence[Question], logged: int) -> Row:
        """Default search against default search with the stage."""
        default, staged, changed, milliseconds = [], [], 0, []
        for question in questions:
            if question.id not in self._default:
                self._default[question.id] = self._documents(self.search(question))
            results = self.search(question, [stage])
            before, after = self._default[question.id], self._documents(results)
            default.append(ndcg(before, question.judgements, 10))
            staged.append(ndcg(after, question.judgements, 10))
            changed += before[:10] != after[:10]
            milliseconds.append(results.timings["optional"])
        differences = [new - old for new, old in zip(staged, default, strict=True)]
        interval = bootstrap_interval(differences, seed=SEED)
        means = fmean(default), fmean(staged), fmean(differences), *interval
        return Row(self._collection.name, name, len(questions), logged, *means, changed, median(milliseconds))

    def _documents(self, results: Results) -> list[str]:
        return documents_in_order((hit.document.uri for hit in results), self._collection.corpus.as_posix())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _line(row: Row) -> str:
    scores = f"{row.default:.3f} | {row.staged:.3f} | {row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]"
    return (
        f"| {row.collection} | {row.questions} | {row.logged} | {row.stage} | {scores} "
        f"| {row.changed} | {row.milliseconds:.1f} |"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["all"], help="collections to measure, or: all")
    parser.add_argument("--sentences", nargs="*", default=[], help="collections to embed sentences of")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser


STAGES: Final[dict[str, Stage]] = {
    "recency": Recency(now=NOW),
    "frequency": Frequency(),
    "history": History(),
    "rerank by BM25": Rerank(Bm25()),
}

if __name__ == "__main__":
    main()
