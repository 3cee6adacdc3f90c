"""A query-side adapter: it moves query vectors, in two steps, and leaves every stored vector as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vstore import config
from vstore.algebra import FloatArray, mapped
from vstore.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """Where a query is looked for, while documents stay where they are.

    Before the search, `q' = normalise(q + alpha * q @ weights)`, with `weights` float32 of shape (dimension,
    dimension). In a hybrid search then `q'' = normalise(q' + pull * m)`, with `m` the mean of the vectors that came
    first, weighted by `shares` of their scores: pseudo-relevance feedback, after Rocchio, "Relevance feedback in
    information retrieval", 1971. A step of 0 is none at all. Raises InputError for weights that are no finite square
    matrix, and for steps that are negative or not finite.
    """

    weights: FloatArray
    alpha: float
    pull: float = 0.0

    def __post_init__(self) -> None:
        shape = self.weights.shape
        if len(shape) != 2 or shape[0] != shape[1] or not np.isfinite(self.weights).all():
            raise InputError(f"an adapter is a square matrix of finite numbers, not one of shape {shape} or with NaN")
        if not (0.0 <= self.alpha < np.inf and 0.0 <= self.pull < np.inf):
            raise InputError(f"the steps of an adapter are numbers from 0 on, not {self.alpha!r} and {self.pull!r}")

    @property
    def dimension(self) -> int:
        """Length of the vectors it maps."""
        return int(self.weights.shape[0])

    def apply(self, vectors: FloatArray) -> FloatArray:
        """q' of unit vectors: float32 of shape (dimension,) or (n, dimension), and so is what comes back.

        A vector that the map takes to nothing stays as it is.
        """
        moved = mapped(vectors, self.weights) if vectors.ndim == 1 else vectors @ self.weights
        return _normalised(vectors + np.float32(self.alpha) * moved, vectors)

    def pulled(self, vector: FloatArray, found: FloatArray, parts: FloatArray) -> FloatArray:
        """q'' of one q', float32 (dimension,), from vectors that came first, (n, dimension), and their parts of 1."""
        return _normalised(vector + np.float32(self.pull) * (parts @ found), vector)


def shares(scores: Sequence[float], temperature: float = config.ADAPTER_TEACHER) -> FloatArray:
    """Fused scores, of whichever fusion, as parts of 1: the softmax of the scores once scaled to [0, 1].

    Float32, of the same length. Where all are the same they share alike.
    """
    array = np.asarray(scores, dtype=np.float64)
    width = np.ptp(array) or 1.0
    parts = np.exp((array - array.max()) / (width * temperature))
    return np.asarray(parts / parts.sum(), dtype=np.float32)


def _normalised(moved: FloatArray, otherwise: FloatArray) -> FloatArray:
    """Rows of length 1, and those of `otherwise` for rows of length 0."""
    lengths = np.linalg.norm(moved, axis=-1, keepdims=True)
    present = lengths > 0.0
    return np.where(present, moved / np.where(present, lengths, 1.0), otherwise).astype(np.float32)
