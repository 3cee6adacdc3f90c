"""Confidence: fit it, and see how far it can be believed on collections it was not fitted on.

    python bench/confidence.py --data FOLDER --names scifact cranfield cacm --unseen xquad-de --out results.json

A quarter of each collection's questions lose all their relevant documents before the collection is ingested: what is
left is near the topic and holds no answer. As many questions again come from the other collections: off topic.
Answerable questions weigh one half, the two other kinds a quarter each. Scales are fitted on the train or dev splits
(or a seeded half of the questions), and each collection is judged, on its other questions, by a scale that saw neither
it nor any question of its own. Prints a Markdown table for each mode, and the scale fitted on all collections together.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Final, Literal, get_args

import numpy as np
from platformdirs import user_cache_path
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from bench.cache import CachedEmbedder
from bench.datasets import Question, find_collections, fitting_and_reported
from bench.provenance import provenance
from vstore import Store, config, settings
from vstore.calibration import Scale
from vstore.embed import load
from vstore.search import pipeline
from vstore.search.confidence import features, probability
from vstore.types import Embedder, Mode, Query, Scope

Kind = Literal["answerable", "near", "off"]
WEIGHTS: Final = {"answerable": 0.5, "near": 0.25, "off": 0.25}  # of a collection's questions, by kind
QUESTIONS: Final = 400  # of a collection and part at most, so that the large ones do not take all the time
NEAR_SHARE: Final = 0.25  # of the questions, and of the documents at most that are left out for them
BINS: Final = 10  # of the expected calibration error, equally wide
SEED: Final = 2009


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is asked of a store: what kind it is there, and which collection it comes from."""

    question: Question
    kind: Kind
    origin: str


@dataclass(frozen=True, slots=True)
class Case:
    """The features of the first results of one search, float (n, 2), and which are relevant, bool (n,)."""

    kind: Kind
    origin: str
    text: str
    features: np.ndarray
    relevant: np.ndarray

    @property
    def answerable(self) -> bool:
        """Whether the store holds an answer."""
        return self.kind == "answerable"


Part = Literal["fitting", "reported"]
Cases = dict[Part, dict[Mode, list[Case]]]


def main(arguments: list[str] | None = None) -> None:
    """Collect the features of every question's results once, then fit, judge and print."""
    options = _parser().parse_args(arguments)
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    folders = find_collections(options.data, options.names)
    unseen = find_collections(options.data, options.unseen)
    cases = {folder.name: gather(folder, folders, embedder) for folder in [*folders, *unseen]}
    record = {}
    for mode in get_args(Mode):
        fitted_on = [folder.name for folder in folders]
        rows = [judge(name, {other: cases[other] for other in fitted_on}, cases[name], mode) for name in cases]
        record[mode] = [*rows, _macro(rows[: len(folders)])]
        print(f"\n### {mode}\n\n| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
        for row in record[mode]:
            print(f"| {' | '.join(value if isinstance(value, str) else f'{value:.3f}' for value in row.values())} |")
        scale = fit([case for name in fitted_on for case in weighted(cases[name]["fitting"][mode])], mode)
        print(f"\n{mode}, fitted on all: {asdict(scale)}", flush=True)
    if options.out:
        options.out.write_text(json.dumps({**provenance(), "modes": record}, indent=1) + "\n", encoding="utf-8")


def gather(folder: Path, folders: Sequence[Path], embedder: Embedder) -> Cases:
    """Ingest a collection without the answers to some of its questions, and search it for all of them and more."""
    rng = random.Random(f"{SEED} {folder.name}")
    parts: dict[Part, list[Question]] = {}
    foreign: dict[Part, list[tuple[str, Question]]] = {"fitting": [], "reported": []}
    for part, collection in zip(get_args(Part), fitting_and_reported(folder), strict=True):
        parts[part] = _sample(rng, collection.questions)
    for other in folders:
        if _family(other.name) != _family(folder.name):
            for part, collection in zip(get_args(Part), fitting_and_reported(other), strict=True):
                foreign[part] += [(other.name, question) for question in _sample(rng, collection.questions)]
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    removed, unanswered = _take_away([*parts["fitting"], *parts["reported"]], len(rows))
    with tempfile.TemporaryDirectory() as place, Store(Path(place) / "bench.db", embedder=embedder) as store:
        corpus = Path(place) / "corpus.jsonl"
        kept = [row for row in rows if row["_id"] not in removed]
        corpus.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        store.add([corpus])
        groups = sorted({row["group"] for row in kept if row.get("group")})
        cases: Cases = {}
        for part, questions in parts.items():
            asked = list(_own(questions, removed, unanswered, folder.name))
            count = max(1, sum(one.kind == "near" for one in asked))
            asked += [Asked(_placed(rng, q, groups), "off", origin) for origin, q in rng.sample(foreign[part], count)]
            cases[part] = {mode: list(_searched(store, embedder, mode, asked)) for mode in get_args(Mode)}
    return cases


def judge(name: str, others: dict[str, Cases], cases: Cases, mode: Mode) -> dict[str, float | str]:
    """One row of the table, by a scale fitted on the other collections without this one's questions."""
    reported = weighted(cases["reported"][mode])
    texts = {case.text for case, _ in reported}  # some questions are asked word for word of several documents
    fitting = [
        case
        for other, of_other in others.items()
        if _family(other) != _family(name)
        for case in weighted(
            [
                case
                for case in of_other["fitting"][mode]
                if _family(case.origin) != _family(name) and case.text not in texts
            ]
        )
    ]
    _require_disjoint(fitting, reported)
    cosine_only = fit(fitting, "dense") if mode == "hybrid" else None
    row: dict[str, float | str] = {"collection": name, "questions": str(len(reported))}
    row |= _scores(fit(fitting, mode), reported)
    if cosine_only:
        row |= {f"{measure}, best cosine": value for measure, value in _scores(cosine_only, reported).items()}
    return row


def fit(cases: Sequence[tuple[Case, float]], mode: Mode) -> Scale:
    """Logistic regression of relevance on the features, then of answers on the best result; threshold: best F1."""
    used = {"hybrid": [0, 1], "dense": [0], "lexical": [1]}[mode]
    x = np.concatenate([case.features[:, used] for case, _ in cases])
    relevant = np.concatenate([case.relevant for case, _ in cases])
    share = np.concatenate([np.full(len(case.relevant), weight / len(case.relevant)) for case, weight in cases])
    chunks = LogisticRegression(C=np.inf).fit(x, relevant, sample_weight=share * len(x))
    coefficients = np.zeros(2)
    coefficients[used] = chunks.coef_[0]
    scale = Scale(float(chunks.intercept_[0]), float(coefficients[0]), float(coefficients[1]), 0.0, 1.0, 0.5)
    best = np.array([[_best(scale, case)] for case, _ in cases])
    answerable, weights = _labels(cases)
    searches = LogisticRegression(C=np.inf).fit(best, answerable, sample_weight=weights * len(best))
    found = searches.predict_proba(best)[:, 1]
    thresholds = np.round(np.arange(0.05, 0.96, 0.01), 2)
    threshold = max(thresholds, key=lambda t: f1_score(answerable, found >= t, sample_weight=weights))
    return replace(
        scale,
        best_intercept=float(searches.intercept_[0]),
        best=float(searches.coef_[0, 0]),
        threshold=float(threshold),
    )


def weighted(cases: Sequence[Case]) -> list[tuple[Case, float]]:
    """The cases of one collection with their weights, which add up to 1."""
    counts = {kind: sum(case.kind == kind for case in cases) for kind in WEIGHTS}
    present = sum(weight for kind, weight in WEIGHTS.items() if counts[kind])
    return [(case, WEIGHTS[case.kind] / counts[case.kind] / present) for case in cases]


def _scores(scale: Scale, cases: Sequence[tuple[Case, float]]) -> dict[str, float]:
    answerable, weights = _labels(cases)
    found = np.array([probability(scale.best_intercept + scale.best * _best(scale, case)) for case, _ in cases])
    near = np.array([case.kind != "off" for case, _ in cases])
    off = np.array([case.kind != "near" for case, _ in cases])
    return {
        "AUROC": float(roc_auc_score(answerable, found, sample_weight=weights)),
        "near": float(roc_auc_score(answerable[near], found[near])),
        "off": float(roc_auc_score(answerable[off], found[off])),
        "ECE": _calibration_error(found, answerable, weights),
        "F1": float(f1_score(answerable, found >= scale.threshold, sample_weight=weights)),
    }


def _calibration_error(found: np.ndarray, true: np.ndarray, weights: np.ndarray) -> float:
    """Expected calibration error: the mean gap between what is said and what is so, over BINS of probability."""
    bins = np.minimum((found * BINS).astype(int), BINS - 1)
    gaps = [abs(((found - true) * weights)[bins == number].sum()) for number in range(BINS)]
    return float(sum(gaps) / weights.sum())


def _labels(cases: Sequence[tuple[Case, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each search has an answer, bool (n,), and its weight, float (n,)."""
    return np.array([case.answerable for case, _ in cases]), np.array([weight for _, weight in cases])


def _best(scale: Scale, case: Case) -> float:
    return float(max(scale.intercept + case.features @ (scale.cosine, scale.keywords)))


def _searched(store: Store, embedder: Embedder, mode: Mode, asked: Iterable[Asked]) -> Iterator[Case]:
    """What confidence sees of each question's first results; searches without a result are left out."""
    for one in asked:
        question = one.question
        query = Query(question.text, config.SHOWN, mode, config.DEFAULT_FUSION, _scope(question))
        with store._index.snapshot() as snapshot:
            vector = (embedder.fingerprint, embedder.embed_queries([query.text])[0]) if mode != "lexical" else None
            found = pipeline.find(snapshot, query, vector, {})
            ids = [candidate.chunk_id for candidate in found.candidates[: config.SHOWN]]
            uris = [chunk.document.uri for chunk in map(snapshot.chunks(ids).__getitem__, ids)]
        if ids:
            judgements = {} if one.kind == "off" else question.judgements
            relevant = [judgements.get(uri.rpartition("#")[2], 0) > 0 for uri in uris]
            yield Case(one.kind, one.origin, query.text, np.array(features(found.evidence, ids)), np.array(relevant))


def _scope(question: Question) -> Scope:
    from vstore.filters import conjunction

    return Scope(
        (), conjunction({"group": question.group} if question.group else None, tags=(), since=None, until=None)
    )


def _own(questions: Iterable[Question], removed: set[str], unanswered: set[str], name: str) -> Iterator[Asked]:
    """A collection's own questions; those that lost some answers only stay answerable, the rest is left out."""
    for question in questions:
        relevant = {document for document, grade in question.judgements.items() if grade > 0}
        if question.id in unanswered:
            yield Asked(question, "near", name)
        elif relevant - removed:
            yield Asked(question, "answerable", name)


def _take_away(questions: Sequence[Question], documents: int) -> tuple[set[str], set[str]]:
    """Documents to leave out, and the ids of the questions they were all the answers to: up to NEAR_SHARE of both."""
    removed: set[str] = set()
    unanswered: set[str] = set()
    for question in sorted(questions, key=lambda question: random.Random(f"{SEED} {question.id}").random()):
        relevant = {document for document, grade in question.judgements.items() if grade > 0}
        if len(unanswered) < NEAR_SHARE * len(questions) and len(removed | relevant) <= NEAR_SHARE * documents:
            removed |= relevant
            unanswered.add(question.id)
    return removed, unanswered


def _placed(rng: random.Random, question: Question, groups: Sequence[str]) -> Question:
    """A foreign question, asked of a random group where there are groups."""
    return Question(question.id, question.text, rng.choice(groups) if groups else None, {})


def _sample(rng: random.Random, questions: Sequence[Question]) -> list[Question]:
    return rng.sample(list(questions), min(QUESTIONS, len(questions)))


def _family(name: str) -> str:
    """What the collections in several languages have in common: the same questions."""
    return name.split("-")[0]


def _require_disjoint(fitting: Sequence[tuple[Case, float]], reported: Sequence[tuple[Case, float]]) -> None:
    shared = {case.text for case, _ in fitting} & {case.text for case, _ in reported}
    if shared:
        raise RuntimeError(f"{len(shared)} questions are both fitted on and reported, such as {min(shared)!r}")


def _macro(rows: Sequence[dict[str, float | str]]) -> dict[str, float | str]:
    """The mean of every numeric column, each collection counting the same."""
    means: dict[str, float | str] = {}
    for column, first in rows[0].items():
        means[column] = "" if isinstance(first, str) else fmean(float(row[column]) for row in rows)
    return {**means, "collection": "macro"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["all"], help="collections to fit on and to judge, or: all")
    parser.add_argument("--unseen", nargs="*", default=[], help="collections to judge only, in no mean")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser


if __name__ == "__main__":
    main()
