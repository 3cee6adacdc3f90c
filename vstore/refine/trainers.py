"""Trainers behind one interface: from lessons to a candidate that can be searched, compared and promoted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from vstore.adapter import Adapter
from vstore.errors import InputError
from vstore.refine.adapter import Lesson, Recipe, divergences, train
from vstore.refine.evaluate import System
from vstore.refine.queries import AskedQuery
from vstore.runs import Learned
from vstore.storage import Index
from vstore.types import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Measure = Callable[[Sequence[Lesson]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Material:
    """What a trainer may learn from: the queries of the training side of a split, each with its lesson.

    `deadline` is a time of `time.monotonic()` by which it has to be done.
    """

    index: Index
    embedder: Embedder
    lessons: Mapping[AskedQuery, Lesson]
    seed: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """What was learned, before anybody knows whether it is any good.

    `divergences` are those of its ranking by meaning from the teacher's, by lesson, and `halfway` those at half its
    step, None where a step cannot be halved. `promoted` is what serves if it is promoted, `discard` clears away what
    is left of it if it is not.
    """

    system: System
    recipe: Mapping[str, Any]
    promoted: Learned | int
    divergences: Measure
    halfway: Measure | None = None
    notes: tuple[str, ...] = ()
    discard: Callable[[], None] = field(default=lambda: None)


class Trainer(Protocol):
    """Makes a candidate. Raises TrainingError when training diverges."""

    def __call__(self, material: Material) -> Candidate:
        """Learn from the material, and from nothing else."""


def adapter(material: Material) -> Candidate:
    """A query-side map, trained to rank as hybrid search does; see `refine.adapter`."""
    recipe = Recipe()
    trained = train([*material.lessons.values()], recipe, seed=material.seed, deadline=material.deadline)
    return of_adapter(trained.adapter, {"trainer": "adapter", **recipe.to_dict()}, material.embedder)


def of_adapter(adapter: Adapter, recipe: Mapping[str, Any], embedder: Embedder) -> Candidate:
    """An adapter as a candidate."""
    half = replace(adapter, alpha=adapter.alpha / 2.0)
    return Candidate(
        system=System(embedder, lambda snapshot: snapshot.serving(adapter)),
        recipe=recipe,
        promoted=Learned(adapter, recipe, {}),
        divergences=lambda lessons: divergences(lessons, adapter),
        halfway=lambda lessons: divergences(lessons, half),
    )


TRAINERS: dict[str, Trainer] = {"adapter": adapter}


def trainer(name: str) -> Trainer:
    """A trainer by its name. Raises InputError."""
    if name not in TRAINERS:
        raise InputError(f"there is no trainer {name!r}; there are {', '.join(TRAINERS)}")
    return TRAINERS[name]
