"""Trainers behind one interface: from lessons to a candidate that can be searched, compared and promoted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vstore import config
from vstore.adapter import Adapter
from vstore.calibration import Calibration
from vstore.errors import InputError
from vstore.refine.adapter import Lesson, Recipe, divergences, train
from vstore.refine.calibrate import balanced, in_force, surer
from vstore.refine.evaluate import System
from vstore.refine.guard import folds
from vstore.refine.queries import AskedQuery
from vstore.refine.told import told
from vstore.runs import Learned
from vstore.storage import Index
from vstore.types import Embedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Lessons = Mapping[AskedQuery, Lesson]
    Measure = Callable[[Lessons], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Material:
    """What a trainer may learn from: the queries of the training side of a split, each with its lesson.

    `deadline` is a time of `time.monotonic()` by which it has to be done. In the folder `workplace`, which may not be
    there yet, it may leave what the next night goes on with. `held_out` are digests of the queries that it must not
    have learned from in an earlier night either. `renew` holds the lease, and raises when another run has taken it.
    """

    index: Index
    embedder: Embedder
    lessons: Lessons
    seed: int
    deadline: float
    workplace: Path
    held_out: frozenset[str] = frozenset()
    renew: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What was learned, before anybody knows whether it is any good.

    `divergences` are those of its ranking by meaning from the teacher's, by lesson, and `halfway` those at half its
    step, None where a step cannot be halved. `crossfitted` are those of the queries it learned from, each by another
    one that was trained alike without it, at the whole step and at half of it; None where training is too long for
    that. `promoted` is what serves if it is promoted; `done` is told whether it was, and clears away what is not needed
    any more. `foundation` is the candidate that this one adds judgements to, None for one without. One that is
    `untaught` learned nothing, so that every query is one that it has never seen.
    """

    system: System
    recipe: Mapping[str, Any]
    promoted: Learned | int
    divergences: Measure
    halfway: Measure | None = None
    crossfitted: Callable[[Lessons], tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None
    foundation: Candidate | None = None
    untaught: bool = False
    done: Callable[[bool], None] = field(default=lambda _: None)


def digest(query: AskedQuery) -> str:
    """A query by its sha256, for what lies outside the store."""
    return hashlib.sha256(f"{query.collection}\0{query.text}".encode("utf-8", "surrogatepass")).hexdigest()


class Trainer(Protocol):
    """Makes candidates, those that dare most first; none when there was no time. Raises TrainingError."""

    def __call__(self, material: Material) -> Sequence[Candidate]:
        """Learn from the material, and from nothing else."""


def adapter(material: Material) -> Sequence[Candidate]:
    """A query-side map, trained to rank as hybrid search does; see `refine.adapter`.

    Where queries were judged, there is another one before it, which takes a step of a map trained on judgements as
    well, the longer the more there are, and the weight of keywords under which judged queries gain. After it, where no
    adapter serves yet, comes one without a map: the pull alone, for which nothing has to be learned.
    """
    with material.index.snapshot() as snapshot:
        last = [pull_alone(material.embedder)] if snapshot.adapter is None else []
    return [*_maps(material), *last]


def pull_alone(embedder: Embedder) -> Candidate:
    """An adapter that moves no query before it was searched for, and then towards what came first."""
    nowhere = np.zeros((embedder.dimension, embedder.dimension), dtype=np.float32)
    made = of_adapter(Adapter(nowhere, 0.0, config.PULL_ALONE), {"trainer": "pull"}, embedder)
    return replace(made, halfway=None, crossfitted=None, untaught=True)


def _maps(material: Material) -> Sequence[Candidate]:
    recipe = Recipe()
    lessons = [*material.lessons.values()]
    done = train(lessons, recipe, seed=material.seed, deadline=material.deadline)
    if len(done.losses) < recipe.epochs:
        return []  # what was learned in half the time would be refused, and for the wrong reason
    trained = done.adapter
    made = {"trainer": "adapter", **recipe.to_dict()}
    plain = of_adapter(trained, made, material.embedder)
    taught = [query for query in material.lessons if query.answered]
    return [with_judgements(material, plain, trained, taught), plain] if taught else [plain]


def with_judgements(material: Material, plain: Candidate, trained: Adapter, queries: Sequence[AskedQuery]) -> Candidate:
    """The plain candidate, with what judgements of these queries add to it; the more there are, the less is plain."""
    index, embedder = material.index, material.embedder
    said = told(index, embedder, trained, queries, seed=material.seed, deadline=material.deadline)
    calibration = balanced(
        index,
        embedder,
        lambda snapshot, calibration: snapshot.serving(trained, calibration),
        queries[: config.JUDGED_BALANCED],
        deadline=material.deadline,
    )
    scale = surer(index, embedder, queries[: config.JUDGED_BALANCED], calibration or in_force(index))
    if scale is not None:
        calibration = replace(calibration or in_force(index), hybrid=scale)
    recipe = {
        **plain.recipe,
        "judged_lessons": said.lessons,
        "judged_step": said.step,
        "keywords": calibration.keywords if calibration else None,
        "confidence_shifted": scale is not None,
    }
    return replace(of_adapter(said.adapter, recipe, embedder, calibration), foundation=plain)


def crossfitted(lessons: Lessons, alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Divergences by query, (n,), at a step of alpha and at half of it, of adapters trained on the other folds.

    Near-duplicates share a fold.
    """
    numbers = np.array(folds(list(lessons), config.GATE_FOLDS))
    values = list(lessons.values())
    whole, half = np.empty(len(values)), np.empty(len(values))
    for number in range(config.GATE_FOLDS):
        own, others = np.flatnonzero(numbers == number), np.flatnonzero(numbers != number)
        if len(own):
            taught = train([values[place] for place in others], Recipe()).adapter if len(others) else None
            for found, step in ((whole, alpha), (half, alpha / 2.0)):
                adapter = replace(taught, alpha=step) if taught else None
                found[own] = divergences([values[place] for place in own], adapter)
    return whole, half


def of_adapter(
    adapter: Adapter, recipe: Mapping[str, Any], embedder: Embedder, calibration: Calibration | None = None
) -> Candidate:
    """An adapter, and the calibration that comes with it, as a candidate."""
    half = replace(adapter, alpha=adapter.alpha / 2.0)
    return Candidate(
        system=System(embedder, lambda snapshot: snapshot.serving(adapter, calibration)),
        recipe=recipe,
        promoted=Learned(adapter, recipe, {}, calibration),
        divergences=lambda lessons: divergences([*lessons.values()], adapter),
        halfway=lambda lessons: divergences([*lessons.values()], half),
        crossfitted=lambda lessons: crossfitted(lessons, adapter.alpha),
    )


def encoder(material: Material) -> Sequence[Candidate]:
    """The model itself, trained on mined examples; see `refine.reencode`."""
    from vstore.refine import reencode  # here, because it needs what is above

    return reencode.encoder(material)


TRAINERS: dict[str, Trainer] = {"adapter": adapter, "encoder": encoder}


def trainer(name: str) -> Trainer:
    """A trainer by its name. Raises InputError, and MissingExtraError for one that needs what is not installed."""
    if name not in TRAINERS:
        raise InputError(f"there is no trainer {name!r}; there are {', '.join(TRAINERS)}")
    if name == "encoder":
        from vstore.refine.encoder import require_extra  # before a night is spent on its lessons

        require_extra()
    return TRAINERS[name]
