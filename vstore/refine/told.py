"""What judgements add to an adapter: a second map, trained on the judged queries, and how far to follow it.

The more judged queries there are, the longer the step. Whether all of it is good depends on how far the judgements of
one query speak for another, which differs between collections; from JUDGED_CHECKED lessons on, judged queries that the
map was trained without choose a share of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vstore import config
from vstore.adapter import Adapter
from vstore.refine.adapter import Lesson, Recipe, combined, train
from vstore.refine.evaluate import System, serve
from vstore.refine.guard import folds
from vstore.refine.lessons import judged
from vstore.refine.queries import AskedQuery
from vstore.storage import Index, Snapshot
from vstore.types import Embedder


@dataclass(frozen=True, slots=True)
class Told:
    """An adapter that takes a step of `step`, from 0 to 1, of the map that this many lessons from judgements taught."""

    adapter: Adapter
    lessons: int
    step: float


def told(
    index: Index, embedder: Embedder, trained: Adapter, queries: Sequence[AskedQuery], *, seed: int, deadline: float
) -> Told:
    """The trained adapter, and with it what the judgements of these queries say; as it is when they are too few."""
    found = zip(queries, judged(index, embedder, queries, deadline=deadline), strict=True)
    lessons = {query: lesson for query, lesson in found if lesson is not None}
    if len(lessons) < config.JUDGED_LESSONS:
        return Told(trained, len(lessons), 0.0)
    step = min(config.JUDGED_STEP * math.sqrt(len(lessons)), 1.0)
    if len(lessons) >= config.JUDGED_CHECKED:
        step *= share(index, embedder, trained, lessons, step, seed=seed, deadline=deadline)
    taught = train([*lessons.values()], recipe(len(lessons)), seed=seed, deadline=deadline).adapter
    return Told(followed(trained, taught, step), len(lessons), step)


def recipe(lessons: int) -> Recipe:
    """How to train with so many lessons from judgements."""
    if lessons < config.JUDGED_MANY:
        return Recipe()
    return Recipe(penalty=config.JUDGED_MANY_PENALTY, epochs=config.JUDGED_MANY_EPOCHS)


def followed(trained: Adapter, taught: Adapter, step: float) -> Adapter:
    """Both maps; the longer the step of the one that judgements taught, the less of the other."""
    return combined(replace(trained, alpha=(1.0 - step) * trained.alpha), replace(taught, alpha=step))


def share(
    index: Index,
    embedder: Embedder,
    trained: Adapter,
    lessons: dict[AskedQuery, Lesson],
    step: float,
    *,
    seed: int,
    deadline: float,
) -> float:
    """The one of JUDGED_SHARES under which judged queries rank best, by maps that were trained without them.

    Near-duplicates are left out together. All of the step when the time is up before that is known.
    """
    queries = list(lessons)
    numbers = np.array(folds(queries, config.JUDGED_FOLDS))
    scores = np.zeros(len(config.JUDGED_SHARES))
    for number in range(config.JUDGED_FOLDS):
        others = [lessons[queries[place]] for place in np.flatnonzero(numbers != number)]
        own = [queries[place] for place in np.flatnonzero(numbers == number)]
        if not others:
            continue
        taught = train(others, recipe(len(lessons)), seed=seed, deadline=deadline).adapter
        for place, part in enumerate(config.JUDGED_SHARES):
            if time.monotonic() >= deadline:
                return 1.0
            view = serving(followed(trained, taught, part * step))
            served = serve(index, System(embedder, view), own[: config.JUDGED_BALANCED // config.JUDGED_FOLDS])
            scores[place] += sum(each.ndcg or 0.0 for each in served)
    return config.JUDGED_SHARES[int(scores.argmax())]


def serving(adapter: Adapter) -> Callable[[Snapshot], Snapshot]:
    """The view of a store in which this adapter serves."""
    return lambda snapshot: snapshot.serving(adapter)
