"""A night of refinement, in order: gather queries -> split -> lessons -> train -> compare -> decide -> switch or keep.

What serves is not touched before the last step, which is one transaction; a run may be killed at any point.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vstore import config, settings
from vstore.errors import InputError, RefinementOvertakenError
from vstore.ingest.backfill import caught_up
from vstore.refine import corpus
from vstore.refine.adapter import Lesson, divergences
from vstore.refine.decide import Decision, Evidence, decide
from vstore.refine.evaluate import Compared, System, compare, summary
from vstore.refine.guard import Split, distinct, split
from vstore.refine.lease import lease
from vstore.refine.lessons import taught
from vstore.refine.mine import Disagreement, mine
from vstore.refine.queries import AskedQuery, gather, plausible
from vstore.refine.signals import read_queries
from vstore.refine.trainers import Candidate, Material, digest, trainer
from vstore.runs import Conclusion, Learned, RunRecord, SeenQuery
from vstore.searches import LoggedQuery
from vstore.storage import Index, Snapshot
from vstore.store import Store
from vstore.types import Embedder, ModelRecord


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a run was asked to do, kept with its record: `queries` is a file, for the others see `run`."""

    trainer: str = "adapter"
    budget_seconds: float = config.REFINE_BUDGET_S
    seed: int = 0
    queries: str | None = None
    made_up: bool = False

    def __post_init__(self) -> None:
        trainer(self.trainer)
        if not isinstance(self.budget_seconds, int | float) or not 0 < self.budget_seconds < float("inf"):
            raise InputError(f"the budget is a number of seconds, not {self.budget_seconds!r}")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"the seed is a whole number from 0 on, not {self.seed!r}")


def run(
    store: Store | str | Path,
    *,
    trainer: str = "adapter",
    budget_seconds: float = config.REFINE_BUDGET_S,
    queries: str | Path | None = None,
    made_up: bool = False,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> RunRecord:
    """Learn from the store's queries, and switch only if held-out ones say so; the record of the run.

    `trainer` is "adapter" or "encoder"; `queries` is a file of further queries (see `signals.read_queries`); `made_up`
    adds queries made of the corpus to what is learned from (see `refine.corpus`), which real ones judge like the rest.
    The run ends within about `budget_seconds`.

    Raises RefinementBusyError while another run is at work, ModelError without a model, TrainingError when training
    diverges, InputError for a file or an option that cannot be used. Whatever is raised, what served before serves on.
    """
    asked = Configuration(trainer, budget_seconds, seed, str(queries) if queries else None, made_up)
    if isinstance(store, Store):
        return _run(store, asked, progress)
    with Store(store, create=False) as opened:
        return _run(opened, asked, progress)


def _run(store: Store, asked: Configuration, progress: Callable[[str], None]) -> RunRecord:
    queries, notes = plausible(gathered(store, read_queries(asked.queries) if asked.queries else ()))
    with lease(store.index, asdict(asked)) as number:
        _end(store.index, number, _night(store, number, asked, split(queries), notes, progress))
    return next(record for record in store.index.runs() if record.id == number)


@dataclass(frozen=True, slots=True)
class _Night:
    """What came of a night: how it is to be concluded, its candidates, and the one that is to serve, if any."""

    conclusion: Conclusion
    candidates: Sequence[Candidate] = ()
    chosen: Candidate | None = None


def _end(index: Index, number: int, night: _Night) -> None:
    """Conclude the run, and with it the switch; then let every candidate clear away what it left."""
    chosen = night.chosen

    def conclude() -> bool:
        index.conclude_run(number, night.conclusion)
        return True

    try:
        if chosen is not None and isinstance(chosen.promoted, int):
            caught_up(index, chosen.promoted, chosen.system.embedder, conclude)
        else:
            conclude()
    except RefinementOvertakenError as error:
        kept = replace(night.conclusion, status="kept", decision=f"kept what serves: {error}", promoted=None)
        index.conclude_run(number, kept)
        chosen = None
    for candidate in night.candidates:
        candidate.done(candidate is chosen)


def gathered(store: Store, further: Iterable[LoggedQuery] = ()) -> tuple[AskedQuery, ...]:
    """All queries of a store, and further ones, with what was judged of them."""
    store.flush()
    with store.index.snapshot() as snapshot:
        return gather([*snapshot.logged_queries(), *further], snapshot.judgements())


@dataclass(frozen=True, slots=True)
class Status:
    """What serves, how many queries there are on each side and with judgements, and the runs, the newest first."""

    serving: str
    train: int
    held_out: int
    judged: int
    runs: tuple[RunRecord, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {**asdict(self), "runs": [record.to_dict() for record in self.runs]}


def status(store: Store) -> Status:
    """What there is to learn from, and what came of it so far."""
    queries = gathered(store)
    divided = split(queries)
    serving = _active(store.index)
    name = "nothing yet: no document was embedded"
    if serving is not None:
        name = serving.name if serving.kind == "base" else f"{serving.name} with adapter {serving.id}"
    return Status(
        serving=name,
        train=len(divided.train),
        held_out=len(divided.held_out),
        judged=sum(bool(query.judgements) for query in queries),
        runs=tuple(store.index.runs()),
    )


def mined(store: Store, queries: str | Path | None = None) -> list[Disagreement]:
    """What the queries of the training side teach; held-out ones are not even looked at."""
    known, _ = plausible(gathered(store, read_queries(queries) if queries else ()))
    divided = split(known)
    return mine(store.index, store.embedder(), divided.train[: config.MAX_TAUGHT])


def _night(
    store: Store,
    number: int,
    asked: Configuration,
    divided: Split,
    notes: Sequence[str],
    progress: Callable[[str], None],
) -> _Night:
    """All the work; nothing of it is in force yet."""
    began = time.monotonic()

    def until(share: float) -> float:
        return began + share * asked.budget_seconds

    train, held_out = distinct(divided.train)[: config.MAX_TAUGHT], distinct(divided.held_out)[: config.MAX_COMPARED]
    report = _begun(divided, notes)
    if lacking := _lacking(asked.trainer, len(train), len(held_out), "searches add to them, unless the log is off"):
        return _Night(Conclusion("kept", lacking, report))
    index = store.index
    index.watch_queries(number, [query.text for query in held_out])
    embedder, serving = store.embedder(), _active(index)
    progress(f"asking {len(train)} queries to learn from and {len(held_out)} to judge by")
    lessons = taught(index, embedder, train, deadline=until(config.TEACHING_SHARE))
    unseen = taught(index, embedder, held_out, deadline=until(config.UNSEEN_SHARE))
    report |= {"learned_from": len(lessons), "held_out": len(unseen)}
    remedy = "the time was up; give it more" if time.monotonic() >= until(config.TEACHING_SHARE) else "add documents"
    if lacking := _lacking(asked.trainer, len(lessons), len(unseen), remedy):
        return _Night(Conclusion("kept", lacking, report))
    progress(f"training the {asked.trainer} with {len(lessons)} lessons")
    teaching = lessons
    if asked.made_up:
        teaching = _with_made_up(index, embedder, divided, lessons, asked.seed, until(config.TRAINING_SHARE))
        report["made_up"] = len(teaching) - len(lessons)
    material = Material(
        index=index,
        embedder=embedder,
        lessons=teaching,
        seed=asked.seed,
        deadline=until(config.TRAINING_SHARE),
        workplace=_workplace(store),
        held_out=frozenset(digest(query) for query in divided.held_out),
        renew=lambda: index.renew_run(number),
    )
    candidates = trainer(asked.trainer)(material)
    if not candidates:
        sentence = "kept what serves: training needs more time; give it more, or run again to go on"
        return _Night(Conclusion("kept", sentence, report))
    progress("comparing it with what serves now")
    shown = [query for query in held_out if query.judgements]
    shown += [query for query in held_out if not query.judgements][: config.MAX_SHOWN]
    judged = weighed(index, embedder, candidates, lessons, unseen, shown, deadline=until(config.COMPARING_SHARE))
    report |= _weighed_up(judged) | {"seconds": round(time.monotonic() - began, 1)}
    last = _unless_undone(index, judged[-1])
    conclusion = _concluded(last, report, _seen(last, unseen), serving.id if serving else None)
    return _Night(conclusion, candidates, last.candidate if last.decision.promote else None)


def _begun(divided: Split, notes: Sequence[str]) -> dict[str, Any]:
    """What a report says before anything was asked."""
    report: dict[str, Any] = {"queries": len(divided.train) + len(divided.held_out), "notes": list(notes)}
    if len(divided.train) > config.MAX_TAUGHT or len(divided.held_out) > config.MAX_COMPARED:
        most = f"the {config.MAX_TAUGHT:,} asked most often are learned from and {config.MAX_COMPARED:,} judge"
        report["notes"].append(f"there are more queries than a run needs: {most}")
    return report


def _with_made_up(
    index: Index,
    embedder: Embedder,
    divided: Split,
    lessons: Mapping[AskedQuery, Lesson],
    seed: int,
    deadline: float,
) -> dict[AskedQuery, Lesson]:
    """The lessons, and after them those of queries made of the corpus."""
    queries = corpus.made_up(index, divided, config.MADE_UP_QUERIES, seed=seed)
    further = taught(index, embedder, [query for query in queries if query not in lessons], deadline=deadline)
    return {**lessons, **further}


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate, what is known of it, and what that decides."""

    candidate: Candidate
    compared: Sequence[Compared]
    evidence: Evidence
    decision: Decision


def weighed(
    index: Index,
    embedder: Embedder,
    candidates: Sequence[Candidate],
    lessons: Mapping[AskedQuery, Lesson],
    unseen: Mapping[AskedQuery, Lesson],
    shown: Sequence[AskedQuery],
    *,
    deadline: float,
) -> list[Weighed]:
    """Each candidate in turn, until one is promoted. `shown` are the held-out queries that are searched both ways.

    Without the time to search all that are judged nothing is decided: those that are left might be a veto.
    """
    found: list[Weighed] = []
    for candidate in candidates:
        compared = compare(index, System(embedder, _as_it_is), candidate.system, shown, deadline=deadline)
        if found and found[-1].candidate.foundation is candidate:
            evidence = replace(found[-1].evidence, **_of_results(index, candidate, compared))
        else:
            evidence = weigh(index, candidate, lessons, unseen, compared)
        if len(compared) < max(min(len(shown), config.GATE_HELD_OUT), sum(bool(query.judgements) for query in shown)):
            decision = Decision(False, "kept what serves: the time was up before the comparison was done; give it more")
        else:
            decision = decide(evidence)
        found.append(Weighed(candidate, compared, evidence, decision))
        if decision.promote:
            break
    return found


def weigh(
    index: Index,
    candidate: Candidate,
    lessons: Mapping[AskedQuery, Lesson],
    unseen: Mapping[AskedQuery, Lesson],
    compared: Sequence[Compared],
) -> Evidence:
    """All that is known of a candidate; `lessons` are those it was trained with, `unseen` those of held-out queries."""
    with index.snapshot() as snapshot:
        serving = snapshot.adapter
    measured = candidate.foundation or candidate
    return Evidence(
        taught_base=divergences([*lessons.values()], None),
        taught_candidate=measured.divergences(lessons),
        base=divergences([*unseen.values()], None),
        serving=divergences([*unseen.values()], serving),
        candidate=measured.divergences(unseen),
        halfway=measured.halfway(unseen) if measured.halfway else None,
        crossfitted=measured.crossfitted(lessons) if measured.crossfitted else None,
        untaught=candidate.untaught,
        **_of_results(index, candidate, compared),
    )


def _of_results(index: Index, candidate: Candidate, compared: Sequence[Compared]) -> dict[str, Any]:
    """The part of the evidence that comes from results: for all else a candidate is measured by its foundation."""
    active = _active(index)
    return {
        "may_not_lose": candidate.foundation is not None or bool(active and active.recipe.get("judged_lessons")),
        "gains": tuple(each.gain for each in compared if each.gain is not None),
        "changed": sum(each.before.first != each.after.first for each in compared),
        "compared": len(compared),
    }


def _weighed_up(judged: Sequence[Weighed]) -> dict[str, Any]:
    """What a report says of the candidates, and of the results of the last one."""
    tried = [
        {"recipe": dict(each.candidate.recipe), "checks": [check.to_dict() for check in each.decision.checks]}
        for each in judged
    ]
    return {"candidates": tried, "comparison": summary(judged[-1].compared)}


def _unless_undone(index: Index, last: Weighed) -> Weighed:
    """A promotion that somebody rolled back waits until there is clearly more to learn from than there was then."""
    undone = next((model for model in index.models() if model.status == "rolled back"), None)
    if not last.decision.promote or undone is None:
        return last
    with index.snapshot() as snapshot:
        logged, judged = snapshot.logged_queries(), snapshot.judgements()
    asked = sum(query.first_asked is not None and query.first_asked > undone.created_at for query in logged)
    said = sum(judgement.given_at > undone.created_at for judgement in judged)
    wanted = math.ceil(config.UNDONE_NEW * undone.scores.get("learned_from", 0))
    if asked >= wanted or said >= config.GATE_JUDGED:
        return last
    sentence = (
        f"kept what serves: model {undone.id} was rolled back, and there are hardly more queries since ({asked} new "
        f"ones); it takes {wanted}, or {config.GATE_JUDGED} judgements"
    )
    return replace(last, decision=replace(last.decision, promote=False, sentence=sentence))


def _seen(last: Weighed, unseen: Iterable[AskedQuery]) -> tuple[SeenQuery, ...]:
    """The held-out queries with all that was measured with them."""
    pairs = zip(last.evidence.serving.tolist(), last.evidence.candidate.tolist(), strict=True)
    divergence = {query: {"before": old, "after": new} for query, (old, new) in zip(unseen, pairs, strict=True)}
    return tuple(
        SeenQuery(each.query.text, {**each.to_dict(), "divergence": divergence.get(each.query)})
        for each in last.compared
    )


def _concluded(last: Weighed, report: dict[str, Any], seen: tuple[SeenQuery, ...], over: int | None) -> Conclusion:
    if not last.decision.promote:
        return Conclusion("kept", last.decision.sentence, report, seen)
    promoted = last.candidate.promoted
    if isinstance(promoted, Learned):
        checks = [check.to_dict() for check in last.decision.checks]
        scores = {"learned_from": report["learned_from"], "checks": checks, "comparison": report["comparison"]}
        promoted = replace(promoted, scores=scores)
    return Conclusion("promoted", last.decision.sentence, report, seen, promoted, over)


def _as_it_is(snapshot: Snapshot) -> Snapshot:
    return snapshot


def _workplace(store: Store) -> Path:
    """A folder for what a training leaves until it is decided on: one for each store and model."""
    place = f"{store.path.resolve()}\n{store.embedder().fingerprint}"
    return settings.load().models / "training" / hashlib.sha256(place.encode()).hexdigest()[:16]


def _active(index: Index) -> ModelRecord | None:
    return next((model for model in index.models() if model.active), None)


def _lacking(trainer: str, train: int, held_out: int, remedy: str) -> str | None:
    """Why there is too little to learn from or to judge by; None when there is enough for one candidate at least."""
    if train >= config.GATE_TRAIN and held_out >= config.GATE_HELD_OUT:
        return None
    if trainer == "adapter" and train and train + held_out >= config.GATE_TRAIN + config.GATE_HELD_OUT:
        return None  # for the one that learns nothing
    return (
        f"kept what serves: there are {train} queries to learn from and {held_out} to judge by, and it takes "
        f"{config.GATE_TRAIN} and {config.GATE_HELD_OUT}; {remedy}"
    )
