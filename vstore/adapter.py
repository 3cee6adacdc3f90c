"""A query-side adapter: a linear map of query vectors that leaves every stored vector as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vstore.errors import InputError

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """`q' = normalise(q + alpha * q @ weights)`: where a query is looked for, while documents stay where they are.

    `weights` are float32 of shape (dimension, dimension); `alpha` is the length of the step, 0 for none at all. Raises
    InputError for weights that are no finite square matrix, and for an alpha that is negative or not finite.
    """

    weights: FloatArray
    alpha: float

    def __post_init__(self) -> None:
        shape = self.weights.shape
        if len(shape) != 2 or shape[0] != shape[1] or not np.isfinite(self.weights).all():
            raise InputError(f"an adapter is a square matrix of finite numbers, not one of shape {shape} or with NaN")
        if not 0.0 <= self.alpha < np.inf:
            raise InputError(f"the step of an adapter is a number from 0 on, not {self.alpha!r}")

    @property
    def dimension(self) -> int:
        """Length of the vectors it maps."""
        return int(self.weights.shape[0])

    def apply(self, vectors: FloatArray) -> FloatArray:
        """Map unit vectors, float32 of shape (dimension,) or (n, dimension), to unit vectors of the same shape.

        A vector that the map takes to nothing stays as it is.
        """
        moved = vectors + np.float32(self.alpha) * (vectors @ self.weights)
        lengths = np.linalg.norm(moved, axis=-1, keepdims=True)
        return np.where(lengths > 0.0, moved / np.where(lengths > 0.0, lengths, 1.0), vectors).astype(np.float32)
