"""The adapter's trainer: a query-side linear map that learns to rank as its teacher does, in numpy.

The loss of a query is the Kullback-Leibler divergence from the teacher's distribution over its candidates to
softmax(cosines / temperature), plus an L2 penalty on the matrix; Adam minimises it over small batches.

Sources: Xia, Liu, Wang, Zhang and Li, "Listwise approach to learning to rank", ICML 2008, for the loss; Kingma and Ba,
"Adam: a method for stochastic optimization", ICLR 2015.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vstore import config
from vstore.adapter import Adapter
from vstore.errors import InputError, TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vstore.types import FloatArray

_DECAY_MEAN, _DECAY_SQUARE, _TINY = 0.9, 0.999, 1e-8  # Adam's own defaults


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What one query should find.

    `query` is its vector, float32 (d,); `candidates` are chunks' vectors, float32 (m, d); `target` is the teacher's
    distribution over them, float32 (m,), which sums to 1. `chunk_ids` say which chunks they are, where that matters.
    """

    query: FloatArray
    candidates: FloatArray
    target: FloatArray
    chunk_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. `alpha` and `pull` are the steps that serve (see `Adapter`); training itself takes whole ones."""

    alpha: float = config.ADAPTER_ALPHA
    pull: float = config.ADAPTER_PULL
    temperature: float = config.ADAPTER_TEMPERATURE
    penalty: float = config.ADAPTER_PENALTY
    learning_rate: float = config.ADAPTER_LEARNING_RATE
    epochs: int = config.ADAPTER_EPOCHS
    batch: int = config.ADAPTER_BATCH

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter, and the mean loss of every epoch that was finished."""

    adapter: Adapter
    losses: tuple[float, ...]


def train(
    lessons: Sequence[Lesson], recipe: Recipe | None = None, *, seed: int = 0, deadline: float | None = None
) -> Trained:
    """Train an adapter; equal lessons, recipes and seeds give equal adapters.

    `deadline` is a time of `time.monotonic()` after which no further epoch begins; what was learned by then is
    returned. Raises InputError without lessons or with ones that do not fit together, and TrainingError when
    the loss ceases to be finite, or gets worse than it was at first and than guessing.
    """
    recipe = recipe or Recipe()
    batches = _Batches.of(lessons)
    dimension = batches.queries.shape[1]
    rng = np.random.default_rng(seed)
    weights = np.zeros((dimension, dimension), dtype=np.float32)
    optimiser = _Adam(dimension, recipe.learning_rate)
    losses: list[float] = []
    for _ in range(recipe.epochs):
        if deadline is not None and time.monotonic() >= deadline:
            break
        order = rng.permutation(len(lessons))
        total = 0.0
        for chosen in np.split(order, range(recipe.batch, len(order), recipe.batch)):
            loss, gradient = _loss_and_gradient(weights, *batches.pick(chosen), recipe)
            weights -= optimiser.step(gradient)
            total += loss * len(chosen)
        losses.append(total / len(lessons))
        # Guessing, with equal shares for all candidates, diverges by the logarithm of their number at most.
        guessing = max(losses[0], np.log(batches.targets.shape[1]))
        if not losses[-1] <= guessing or not np.isfinite(weights).all():
            raise TrainingError(
                f"training diverged in epoch {len(losses)} (loss {losses[0]:.3g} at first, now {losses[-1]:.3g}); "
                "the store keeps what it has"
            )
    return Trained(Adapter(weights, recipe.alpha, recipe.pull), tuple(losses))


def loss_and_gradient(weights: FloatArray, lessons: Sequence[Lesson], recipe: Recipe) -> tuple[float, FloatArray]:
    """The mean loss of these lessons for a matrix, and its gradient, float32 (d, d)."""
    return _loss_and_gradient(weights, *_Batches.of(lessons).pick(np.arange(len(lessons))), recipe)


def divergences(
    lessons: Sequence[Lesson], adapter: Adapter | None, recipe: Recipe | None = None
) -> NDArray[np.float64]:
    """How far the ranking by meaning is from the teacher's, by query: Kullback-Leibler divergences, (n,), 0 when equal.

    On lessons that the adapter, as it serves, was not trained with, they show whether there was anything to learn.
    Raises InputError for lessons that do not fit together.
    """
    if not lessons:
        return np.empty(0)
    batches = _Batches.of(lessons)
    units = batches.queries if adapter is None else adapter.apply(batches.queries)
    temperature = (recipe or Recipe()).temperature
    return _divergences(_log_shares(units, batches.candidates, batches.targets, temperature), batches.targets)


def _loss_and_gradient(
    weights: FloatArray, queries: FloatArray, candidates: FloatArray, targets: FloatArray, recipe: Recipe
) -> tuple[float, FloatArray]:
    """For queries (b, d), candidates (b, m, d), and targets (b, m) that are NaN where there is no candidate."""
    moved = queries + queries @ weights
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    units = moved / lengths
    log_shares = _log_shares(units, candidates, targets, recipe.temperature)
    absent = np.isnan(targets)
    pull = np.where(absent, 0.0, np.exp(log_shares) - targets) / (recipe.temperature * len(queries))
    to_units = np.einsum("bm,bmd->bd", pull, candidates)
    to_moved = (to_units - units * (units * to_units).sum(axis=1, keepdims=True)) / lengths  # only the direction counts
    gradient = queries.T @ to_moved + 2.0 * recipe.penalty * weights
    divergence = _divergences(log_shares, targets).mean()
    loss = float(divergence + recipe.penalty * np.sum(np.square(weights)))
    return loss, gradient.astype(np.float32)


def _log_shares(units: FloatArray, candidates: FloatArray, targets: FloatArray, temperature: float) -> FloatArray:
    """The logarithm of softmax(cosines / temperature), (b, m); minus infinity where there is no candidate."""
    logits = np.einsum("bd,bmd->bm", units, candidates) / temperature
    logits = np.where(np.isnan(targets), -np.inf, logits)
    logits -= logits.max(axis=1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), dtype=np.float32)


def _divergences(log_shares: FloatArray, targets: FloatArray) -> NDArray[np.float64]:
    """Kullback-Leibler divergences from the targets, (b,)."""
    known = np.nan_to_num(targets) > 0.0
    logs = np.log(targets, out=np.zeros_like(targets), where=known) - np.where(known, log_shares, 0.0)
    return np.asarray(np.sum(np.where(known, targets, 0.0) * logs, axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Batches:
    """All lessons in arrays: queries (n, d), candidates (n, m, d) and targets (n, m), NaN where there are fewer."""

    queries: FloatArray
    candidates: FloatArray
    targets: FloatArray

    @classmethod
    def of(cls, lessons: Sequence[Lesson]) -> _Batches:
        """Raises InputError without lessons, and when shapes differ or numbers are not finite."""
        if not lessons:
            raise InputError("there is nothing to train on: no query of the log finds anything")
        most, dimension = max(len(lesson.target) for lesson in lessons), lessons[0].query.shape[-1]
        candidates = np.zeros((len(lessons), most, dimension), dtype=np.float32)
        targets = np.full((len(lessons), most), np.nan, dtype=np.float32)
        for row, lesson in enumerate(lessons):
            _check(lesson, dimension)
            candidates[row, : len(lesson.target)] = lesson.candidates
            targets[row, : len(lesson.target)] = lesson.target
        return cls(np.stack([lesson.query for lesson in lessons]), candidates, targets)

    def pick(self, rows: NDArray[np.intp]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Some of them."""
        return self.queries[rows], self.candidates[rows], self.targets[rows]


def _check(lesson: Lesson, dimension: int) -> None:
    query, candidates, target = lesson.query, lesson.candidates, lesson.target
    if query.shape != (dimension,) or candidates.shape != (len(target), dimension) or not len(target):
        raise InputError(
            f"a lesson has a query of shape {query.shape} and candidates of shape {candidates.shape} for "
            f"{len(target)} targets, in {dimension} dimensions"
        )
    if not all(np.isfinite(part).all() for part in (query, candidates, target)):
        raise InputError("a lesson has NaN or infinity in it; nothing can be learned from that")


class _Adam:
    """Adam for one square matrix."""

    def __init__(self, dimension: int, learning_rate: float) -> None:
        self._learning_rate = learning_rate
        self._mean = np.zeros((dimension, dimension), dtype=np.float32)
        self._square = np.zeros_like(self._mean)
        self._steps = 0

    def step(self, gradient: FloatArray) -> FloatArray:
        """What to take off the weights."""
        self._steps += 1
        self._mean += (1.0 - _DECAY_MEAN) * (gradient - self._mean)
        self._square += (1.0 - _DECAY_SQUARE) * (np.square(gradient) - self._square)
        mean = self._mean / (1.0 - _DECAY_MEAN**self._steps)
        square = self._square / (1.0 - _DECAY_SQUARE**self._steps)
        return np.asarray(self._learning_rate * mean / (np.sqrt(square) + _TINY), dtype=np.float32)


def combined(one: Adapter, other: Adapter) -> Adapter:
    """One adapter that takes both steps at once; of the pulls the longer one.

    What judgements taught and what the fused ranking did go well together: the second keeps the first, which has few
    examples, from going astray.
    """
    weights = np.float32(one.alpha) * one.weights + np.float32(other.alpha) * other.weights
    return Adapter(weights, 1.0, max(one.pull, other.pull))
