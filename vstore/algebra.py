"""Products of arrays for searches, which wake no threads.

For large arrays the library behind `@` wakes a thread for each core, and each of them spins for 100 ms after its work
is done, which other searches and other programs pay for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def products(rows: FloatArray, vector: FloatArray) -> FloatArray:
    """`rows @ vector`: the inner products of rows, float32 (n, d), with a vector, float32 (d,)."""
    return np.asarray(np.einsum("nd,d->n", rows, vector), dtype=np.float32)


def mapped(vector: FloatArray, matrix: FloatArray) -> FloatArray:
    """`vector @ matrix`, of float32 (d,) and (d, e)."""
    return np.asarray(np.einsum("d,de->e", vector, matrix), dtype=np.float32)
