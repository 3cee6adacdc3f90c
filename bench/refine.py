"""What the refinement loop gains and refuses, by the very steps of a night: lessons, training, evidence, decision.

    python bench/refine.py gate --data FOLDER --names all --seeds 5 --out gate.json
    python bench/refine.py feedback --data FOLDER --names all --seeds 5 --out feedback.json
    python bench/refine.py encoder --data FOLDER --names scifact
    python bench/refine.py cost --data FOLDER --names scifact climate-fever-sent qmsum mtragun

`gate`: a log that nobody judged, as in bench/adapter.py: the train or dev split, of which each seed after the first
takes another 80%, or half of the questions, drawn anew for each seed. The log is divided by `refine.guard.split`; the
candidate is trained on one side, the decision rests on the other, and what it is worth is measured on the reported
questions, which neither has seen. Besides the genuine map of a seed there are five sabotaged ones. A `night` is what
comes of the genuine one, and of the pull alone where it is refused.

`feedback`: the same, with the judgements of N questions of the log given as feedback. `encoder`: the model itself.
`cost`: a night with a log of 1,000 questions over 50,000 chunks, put together of the collections' sentences.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import re
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

import numpy as np
from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import Question, find_collections, fitting_and_reported
from bench.large import SketchEmbedder, build
from bench.provenance import provenance
from bench.scoring import SEED, documents_in_order
from vstore import Store, config, settings
from vstore.adapter import Adapter
from vstore.embed import load
from vstore.filters import Filter, parse
from vstore.judgements import Judgement
from vstore.metrics import bootstrap_interval
from vstore.refine import loop
from vstore.refine.adapter import Lesson
from vstore.refine.decide import Decision
from vstore.refine.evaluate import Compared, System, compare
from vstore.refine.guard import Split, distinct, split
from vstore.refine.lessons import taught
from vstore.refine.loop import weighed
from vstore.refine.queries import AskedQuery
from vstore.refine.teacher import as_asked
from vstore.refine.trainers import TRAINERS, Candidate, Material, of_adapter
from vstore.runs import Learned
from vstore.search.pipeline import find
from vstore.types import Embedder, Scope

LOG_SHARE: Final = 0.8  # of a split made for fitting, that a seed after the first takes as its log
HARMFUL: Final = -0.003  # change of the fused NDCG@10 below which a promotion did harm
PROBES: Final = 20  # held-out queries searched to see whether results change at all
NIGHT: Final = "night"
GENUINE: Final = "genuine"
SABOTAGE: Final = ("shuffled teacher", "permuted queries", "random map", "step of 2", "corpus sentences")
NOW: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Asked(AskedQuery):
    """A question of a collection; some are answered from the documents of their group only."""

    where: Filter | None = None

    @property
    def scope(self) -> Scope:
        """Where it looks for answers."""
        return Scope(where=self.where)


@dataclass
class Bench:
    """A collection in a store, with what was asked of it so far, so that no search is made twice."""

    name: str
    store: Store
    embedder: Embedder
    fitting: list[Question]
    reported: list[Question]
    halves: bool
    documents: dict[str, tuple[int, str]]  # id and uri, by the collection's own id
    lessons: dict[str, Lesson | None] = field(default_factory=dict)  # by text

    def split(self, seed: int) -> tuple[list[Question], list[Question]]:
        """The log and the reported questions of a seed."""
        log, reported = self.fitting, self.reported
        rng = np.random.default_rng(seed)
        if seed and self.halves:
            mixed = [*log, *reported]
            order = rng.permutation(len(mixed))
            half = len(mixed) // 2
            return [mixed[place] for place in order[:half]], [mixed[place] for place in order[half:]]
        if seed:
            log = [log[place] for place in rng.permutation(len(log))[: round(LOG_SHARE * len(log))]]
        return log, reported

    def asked(self, question: Question, *, judged: bool = False) -> Asked:
        """The question as refinement sees it, with its judgements if they are given as feedback."""
        text = " ".join(question.text.split())
        where = None if question.group is None else parse({"group": question.group})
        said = self._judgements(text, question) if judged else ()
        return Asked(text, judgements=said, where=where)

    def _judgements(self, text: str, question: Question) -> tuple[Judgement, ...]:
        return tuple(
            Judgement(text, "default", uri, number, None, min(grade, config.MAX_GRADE), NOW)
            for document, grade in question.judgements.items()
            if document in self.documents
            for number, uri in (self.documents[document],)
        )

    def lessons_of(self, queries: Sequence[AskedQuery]) -> dict[AskedQuery, Lesson]:
        """The lessons of these queries, each made once."""
        new = [query for query in queries if query.text not in self.lessons]
        made = {query.text: lesson for query, lesson in taught(self.store.index, self.embedder, new).items()}
        self.lessons |= {query.text: made.get(query.text) for query in new}
        found = {query: self.lessons[query.text] for query in queries}
        return {query: lesson for query, lesson in found.items() if lesson is not None}

    def worth(self, candidate: Candidate, reported: Sequence[Question]) -> list[Compared]:
        """What the candidate changes on the reported questions, as served."""
        serving = System(self.embedder, lambda snapshot: snapshot)
        queries = [self.asked(question, judged=True) for question in reported]
        return compare(self.store.index, serving, candidate.system, queries)


@contextmanager
def opened(folder: Path, embedder: Embedder) -> Iterator[Bench]:
    """A collection, ingested into a temporary store for the length of a `with` block."""
    fitting, reported = fitting_and_reported(folder)
    corpus = reported.corpus.as_posix()
    with (
        tempfile.TemporaryDirectory(prefix="vstore-bench-") as place,
        Store(Path(place) / "bench.db", embedder=embedder, log=False, metrics=False) as store,
    ):
        store.add([reported.corpus])
        with store.index.snapshot() as snapshot:
            stored = snapshot.documents(Scope(), config.UNLIMITED)
        documents = {documents_in_order([found.uri], corpus)[0]: (found.id, found.uri) for found in stored}
        halves = fitting.split == reported.split
        yield Bench(folder.name, store, embedder, list(fitting.questions), list(reported.questions), halves, documents)


# --- candidates -------------------------------------------------------------------------------------------------------


def sabotaged(kind: str, bench: Bench, material: Material, seed: int) -> Candidate:
    """A map of one kind that would do no good, or only by luck."""
    rng = np.random.default_rng([seed, len(kind)])
    lessons, train = list(material.lessons.values()), TRAINERS["adapter"]
    if kind == "shuffled teacher":
        lessons = [replace(lesson, target=rng.permutation(lesson.target)) for lesson in lessons]
    elif kind == "permuted queries":
        order = np.empty(len(lessons), dtype=np.intp)
        drawn = rng.permutation(len(lessons))
        order[drawn] = np.roll(drawn, 1)  # one cycle, so that no query keeps its own answers
        lessons = [replace(lessons[other], query=lesson.query) for other, lesson in zip(order, lessons, strict=True)]
    elif kind == "corpus sentences":
        sentences = corpus_sentences(bench, len(lessons), rng)
        lessons = list(bench.lessons_of(sentences).values())
        material = replace(material, lessons=dict(zip(sentences, lessons, strict=False)))
    candidate, *_ = train(replace(material, lessons=dict(zip(material.lessons, lessons, strict=True))))
    assert isinstance(candidate.promoted, Learned)
    adapter = candidate.promoted.adapter
    if kind == "random map":
        weights = rng.normal(size=adapter.weights.shape).astype(np.float32)
        weights *= np.linalg.norm(adapter.weights) / np.linalg.norm(weights)
        adapter = replace(adapter, weights=weights)
    elif kind == "step of 2":
        adapter = replace(adapter, alpha=2.0)
    return of_adapter(adapter, candidate.recipe, material.embedder)


def corpus_sentences(bench: Bench, count: int, rng: np.random.Generator) -> list[Asked]:
    """Sentences of the documents, as if somebody had asked them."""
    names = sorted(bench.documents)
    found: dict[str, Asked] = {}
    for place in rng.permutation(len(names)):
        content = bench.store.get(bench.documents[names[place]][1])
        sentences = [one for one in re.split(r"(?<=[.!?。])\s+", content.text) if 20 < len(one) < 600]
        if sentences:
            text = " ".join(sentences[rng.integers(len(sentences))].replace('"', " ").split())
            group = content.document.metadata.get("group")
            found[text] = Asked(text, where=None if group is None else parse({"group": group}))
        if len(found) == count:
            break
    return list(found.values())


# --- the gate ---------------------------------------------------------------------------------------------------------


def gate(bench: Bench, seeds: int) -> list[dict[str, Any]]:
    """Every kind of candidate of every seed: was it promoted, and what was it worth (measured where it matters)?"""
    runs: list[dict[str, Any]] = []
    for seed in range(seeds):
        log, reported = bench.split(seed)
        divided = split([bench.asked(question) for question in log])
        of_seed: dict[str, dict[str, Any]] = {}
        for kind in (GENUINE, NIGHT, *SABOTAGE):
            if kind == NIGHT and of_seed[GENUINE]["promoted"]:
                of_seed[NIGHT] = of_seed[GENUINE] | {"kind": NIGHT}
                continue
            decision, candidate = decided(bench, divided, seed, kind)
            run: dict[str, Any] = {
                "collection": bench.name,
                "seed": seed,
                "kind": kind,
                "train": len(divided.train),
                "held_out": len(divided.held_out),
                "promoted": decision.promote,
                "trainer": candidate.recipe["trainer"],
                "refused_by": None if decision.promote else decision.checks[-1].name,
                "figures": {check.name: check.figures for check in decision.checks},
            }
            if decision.promote or kind in (GENUINE, NIGHT):
                run |= worth(bench.worth(candidate, reported))
            of_seed[kind] = run
        runs += of_seed.values()
    return runs


def decided(bench: Bench, divided: Split, seed: int, kind: str) -> tuple[Decision, Candidate]:
    """A night's decision about the candidates of this kind, and the one that it rests on."""
    lessons, unseen = (bench.lessons_of(distinct(side)) for side in (divided.train, divided.held_out))
    deadline, workplace = time.monotonic() + 3600.0, bench.store.path.parent
    material = Material(bench.store.index, bench.embedder, lessons, seed, deadline, workplace)
    shown = divided.held_out[:PROBES]
    if kind in SABOTAGE:
        candidates = [sabotaged(kind, bench, material, seed)]
    else:
        candidates = list(TRAINERS["adapter"](material))[: 1 if kind == GENUINE else None]
    last = weighed(bench.store.index, bench.embedder, candidates, lessons, unseen, shown, deadline=deadline)[-1]
    return last.decision, last.candidate


def worth(compared: Sequence[Compared]) -> dict[str, Any]:
    """The scores before and the gains, by question."""
    rows = [each for each in compared if each.gain is not None]
    return {
        "fused": {each.query.text: (each.before.ndcg, each.gain) for each in rows},
        "dense": {
            each.query.text: (each.before.dense_ndcg, (each.after.dense_ndcg or 0.0) - (each.before.dense_ndcg or 0.0))
            for each in rows
        },
    }


def gate_table(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a collection gains, without a gate and with one: a refused candidate changes nothing."""
    rows = []
    for name in dict.fromkeys(run["collection"] for run in runs):
        maps, nights = (
            [run for run in runs if run["collection"] == name and run["kind"] == kind] for kind in (GENUINE, NIGHT)
        )
        row: dict[str, Any] = {"collection": name, "log": maps[0]["train"] + maps[0]["held_out"]}
        promoted = Counter(run["trainer"] for run in nights if run["promoted"])
        row["maps and pulls promoted"] = f"{promoted['adapter']} and {promoted['pull']} of {len(nights)}"
        for leg in ("fused", "dense"):
            ungated, gated = by_question(maps, leg, gated=False), by_question(nights, leg, gated=True)
            row[leg] = fmean(before for before, _ in ungated.values())
            row[f"{leg}, no gate"] = fmean(gain for _, gain in ungated.values())
            gains = [gain for _, gain in gated.values()]
            row[f"{leg}, gated"] = fmean(gains)
            row[f"{leg} interval"] = bootstrap_interval(gains, seed=SEED)
        row["worst seed"] = min(mean_gain(run) * run["promoted"] for run in nights)
        rows.append(row)
    return rows


def by_question(runs: Sequence[dict[str, Any]], leg: str, *, gated: bool) -> dict[str, tuple[float, float]]:
    """For each question its score before and its mean gain over the runs that report it."""
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        for text, (before, gain) in run[leg].items():
            found[text].append((before, gain if run["promoted"] or not gated else 0.0))
    return {text: (fmean(b for b, _ in pairs), fmean(g for _, g in pairs)) for text, pairs in found.items()}


def mean_gain(run: dict[str, Any]) -> float:
    """The true change of a run, fused."""
    return fmean(gain for _, gain in run["fused"].values())


def sabotage_table(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many of each kind were promoted, useful and harmful ones apart."""
    rows = []
    for kind in (NIGHT, GENUINE, *SABOTAGE):
        of_kind = [run for run in runs if run["kind"] == kind]
        promoted = [run for run in of_kind if run["promoted"]]
        useful = [run for run in of_kind if run.get("fused") and mean_gain(run) > 0.0]
        rows.append(
            {
                "candidates": kind,
                "runs": len(of_kind),
                "promoted": len(promoted),
                "useful ones promoted": f"{sum(run['promoted'] for run in useful)} of {len(useful)}",
                "harmful among promoted": sum(mean_gain(run) < HARMFUL for run in promoted),
            }
        )
    return rows


# --- feedback ---------------------------------------------------------------------------------------------------------

COUNTS: Final = (10, 30, 100, 300)  # judged queries given as feedback
LOSS: Final = -0.01  # change of the fused NDCG@10 below which feedback did harm


def feedback(bench: Bench, seeds: int, numbers: Sequence[int] = COUNTS) -> list[dict[str, Any]]:
    """The judgements of N questions of the log, for every N that it has, and of all where the log is a split."""
    runs = []
    for seed in range(seeds):
        log, reported = bench.split(seed)
        order = np.random.default_rng([seed, 7]).permutation(len(log))
        counts = [count for count in numbers if count <= len(log)]
        for count in [*counts, *([] if bench.halves or seed else [len(log)])]:
            judged = {log[place].id for place in order[:count]}
            divided = split([bench.asked(question, judged=question.id in judged) for question in log])
            runs.append(
                {"collection": bench.name, "seed": seed, "judged": count, **night(bench, divided, reported, seed)}
            )
    return runs


def night(bench: Bench, divided: Split, reported: Sequence[Question], seed: int) -> dict[str, Any]:
    """A night as it is, with its decision, and what it is worth: nothing when it keeps what serves."""
    held_out = distinct(divided.held_out)
    lessons, unseen = bench.lessons_of(distinct(divided.train)), bench.lessons_of(held_out)
    deadline, workplace = time.monotonic() + 3600.0, bench.store.path.parent
    material = Material(bench.store.index, bench.embedder, lessons, seed, deadline, workplace)
    shown = [query for query in held_out if query.judgements]
    shown += [query for query in held_out if not query.judgements][:PROBES]
    candidates = TRAINERS["adapter"](material)
    last = weighed(bench.store.index, bench.embedder, candidates, lessons, unseen, shown, deadline=deadline)[-1]
    decision, candidate = last.decision, last.candidate
    figures = {"promoted": decision.promote, "sentence": decision.sentence, "recipe": dict(candidate.recipe)}
    return {**figures, **worth(bench.worth(candidate, reported))}


def feedback_table(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By collection and number of judged queries, what the decisions gain."""
    rows = []
    for name, count in dict.fromkeys((run["collection"], run["judged"]) for run in runs):
        chosen = [run for run in runs if (run["collection"], run["judged"]) == (name, count)]
        row: dict[str, Any] = {"collection": name, "judged": count, "runs": len(chosen)}
        row["promoted"] = sum(run["promoted"] for run in chosen)
        for leg in ("fused", "dense"):
            gains = by_question(chosen, leg, gated=True)
            row[leg] = fmean(before for before, _ in gains.values())
            row[f"{leg} gain"] = fmean(gain for _, gain in gains.values())
            row[f"{leg} interval"] = bootstrap_interval([gain for _, gain in gains.values()], seed=SEED)
        row["worst seed"] = min(mean_gain(run) * run["promoted"] for run in chosen)
        row["seeds that lose .01"] = sum(mean_gain(run) * run["promoted"] < LOSS for run in chosen)
        rows.append(row)
    return sorted(rows, key=lambda row: row["judged"])


def feedback_report(runs: Sequence[dict[str, Any]]) -> None:
    """The table, and for each number of judged queries the mean over the collections."""
    rows = feedback_table(runs)
    show(rows)
    for count in dict.fromkeys(row["judged"] for row in rows):
        of_count = [row for row in rows if row["judged"] == count]
        if of_count:
            lost, total = sum(row["seeds that lose .01"] for row in of_count), sum(row["runs"] for row in of_count)
            fused, dense = (fmean(row[f"{leg} gain"] for row in of_count) for leg in ("fused", "dense"))
            print(f"{count} judged: {len(of_count)} collections, fused {fused:+.4f}, dense {dense:+.4f}; ", end="")
            print(f"{lost} of {total} runs lose more than .01")


# --- the encoder ------------------------------------------------------------------------------------------------------


def encoder(bench: Bench, seeds: int) -> list[dict[str, Any]]:
    """The model itself, trained on what was mined: without judgements, and with those of the whole log.

    Smaller than by default, so that a CPU is done in half an hour: two negatives, and 128 tokens of each text.
    """
    from vstore.refine.encoder import EncoderRecipe
    from vstore.refine.reencode import encoder as train
    from vstore.refine.reencode import epochs

    log, reported = bench.split(0)
    runs = []
    for judged in (False, True)[:seeds]:
        started = time.monotonic()
        divided = split([bench.asked(question, judged=judged) for question in log])
        held_out = distinct(divided.held_out)
        lessons, unseen = bench.lessons_of(distinct(divided.train)), bench.lessons_of(held_out)
        place = bench.store.path.parent / f"judged {judged}"
        recipe = EncoderRecipe(epochs=epochs(lessons), negatives=2, max_tokens=128)
        (candidate,) = train(Material(bench.store.index, bench.embedder, lessons, 0, started + 1e6, place), recipe)
        seconds = time.monotonic() - started
        shown = [query for query in held_out if query.judgements] or held_out[:PROBES]
        arguments = (bench.store.index, bench.embedder, [candidate], lessons, unseen, shown)
        (last,) = weighed(*arguments, deadline=started + 1e6)
        decision = last.decision
        figures = {check.name: check.figures for check in decision.checks}
        run = {"collection": bench.name, "judged": len(log) if judged else 0, "seed": 0, "promoted": decision.promote}
        run |= {"sentence": decision.sentence, "figures": figures, "recipe": dict(candidate.recipe), "seconds": seconds}
        runs.append({**run, **worth(bench.worth(candidate, reported))})
        candidate.done(False)
    return runs


def encoder_report(runs: Sequence[dict[str, Any]]) -> None:
    """What each gains, whatever was decided, and the decision."""
    rows = []
    for run in runs:
        row = {"collection": run["collection"], "judged": run["judged"], "examples": run["recipe"]["examples"]}
        for leg in ("fused", "dense"):
            gains = [gain for _, gain in run[leg].values()]
            row |= {leg: fmean(before for before, _ in run[leg].values()), f"{leg} change": fmean(gains)}
            row[f"{leg} interval"] = bootstrap_interval(gains, seed=SEED)
        rows.append({**row, "minutes": round(run["seconds"] / 60), "decision": run["sentence"]})
    show(rows)


# --- cost -------------------------------------------------------------------------------------------------------------

CHUNKS: Final = 50_000
LOGGED: Final = 1_000
TIMED: Final = 60  # searches before and after, taken in turn


def cost(folders: Sequence[Path]) -> dict[str, Any]:
    """What a night takes: seconds, memory, bytes of the file, and milliseconds of each later search."""
    sketch = SketchEmbedder()
    corpora = [folder / "corpus.jsonl" for folder in folders]
    lines = [line for folder in folders for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    questions = list(dict.fromkeys(" ".join(json.loads(line)["text"].split()) for line in lines))[:LOGGED]
    with (
        tempfile.TemporaryDirectory(prefix="vstore-bench-") as place,
        Store(Path(place) / "large.db", sketch, log=False, metrics=False) as store,
    ):
        build(store, corpora, CHUNKS)
        chunks = store.stats().chunks
        asked = Path(place) / "asked.txt"
        asked.write_text("\n".join(questions), encoding="utf-8")
        for question in questions[:TIMED]:
            store.search(question)  # warm
        size, memory, embedded = file_size(store), peak_memory(), sketch.embedded
        started = time.monotonic()
        record = loop.run(store, queries=asked)
        seconds = time.monotonic() - started
        grown, more = file_size(store) - size, peak_memory() - memory
        with store.index.snapshot() as snapshot:
            adapter = snapshot.adapter
        return {
            "chunks": chunks,
            "queries": len(questions),
            "seconds": f"{seconds:.0f}",
            "memory, MB more": round(more / 2**20),
            "file, MB more": f"{grown / 2**20:.2f}",
            "chunks embedded": sketch.embedded - embedded,
            "ms a search, before and after": slowdown(store, sketch, adapter, questions[:TIMED]),
            "decision": record.decision,
        }


def slowdown(store: Store, embedder: Embedder, adapter: Adapter | None, questions: Sequence[str]) -> str:
    """Median milliseconds of a search without and with the adapter, each question both ways in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for question in questions:
        query = as_asked(AskedQuery(question))
        vector = embedder.embed_queries([question])[0]
        for found, one in zip(times, (None, adapter), strict=True):
            started = time.perf_counter()
            with store.index.snapshot() as snapshot:
                find(snapshot.serving(one), query, (embedder.fingerprint, vector), {})
            found.append(1000.0 * (time.perf_counter() - started))
    gaps = [after - before for before, after in zip(*times, strict=True)]
    return f"{median(times[0]):.1f}, {median(times[1]):.1f} (median difference {median(gaps):+.1f})"


def file_size(store: Store) -> int:
    """Bytes of the file, with all that was written in it and nothing in the log beside it."""
    with store.index.bulk():
        pass  # which ends with a checkpoint
    return store.path.stat().st_size


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes (on Linux)."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# --- printing ---------------------------------------------------------------------------------------------------------


def show(rows: Sequence[dict[str, Any]]) -> None:
    """A Markdown table."""
    print("| " + " | ".join(rows[0]) + " |")
    print("|---" * len(rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(map(_cell, row.values())) + " |", flush=True)
    print()


def _cell(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{value[0]:+.4f}, {value[1]:+.4f}]"
    return f"{value:+.4f}" if isinstance(value, float) else str(value)


def macro(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The means of all numbers, each collection counting the same."""
    return {
        key: "macro" if key == "collection" else fmean(row[key] for row in rows) if isinstance(value, float) else ""
        for key, value in rows[0].items()
    }


def main(arguments: list[str] | None = None) -> None:
    """Run one part, print its tables, and write the JSON file when one is asked for."""
    options = _parser().parse_args(arguments)
    if options.part == "cost":
        show([cost(find_collections(options.data, options.names))])
        return
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    more = [options.judged] if options.part == "feedback" else []
    runs: list[dict[str, Any]] = []
    for folder in find_collections(options.data, options.names):
        with opened(folder, embedder) as bench:
            runs += PARTS[options.part](bench, options.seeds, *more)
        print(f"{folder.name}: {len(runs)} runs", file=sys.stderr, flush=True)
        if options.out:
            options.out.write_text(json.dumps({**provenance(), "runs": runs}) + "\n", encoding="utf-8")
    REPORTS[options.part](runs)


def gate_report(runs: Sequence[dict[str, Any]]) -> None:
    """What each collection gains, and which candidates were let through."""
    rows = gate_table(runs)
    show([*rows, macro(rows)])
    show(sabotage_table(runs))


PARTS: dict[str, Callable[..., list[dict[str, Any]]]] = {"gate": gate, "feedback": feedback, "encoder": encoder}
REPORTS = {"gate": gate_report, "feedback": feedback_report, "encoder": encoder_report}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "cost"], help="what to measure")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["all"], help="collections to measure, or: all")
    parser.add_argument("--seeds", type=int, default=5, help="logs drawn of each collection (default: 5)")
    parser.add_argument("--judged", type=int, nargs="+", default=COUNTS, help="numbers of judged questions (feedback)")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the runs")
    return parser


if __name__ == "__main__":
    main()
