"""A search wakes no threads of the algebra library, which would spin long after it has ended."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BLAS_THREADS = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"}
PRELUDE = """
import time
import numpy as np
from vstore.adapter import Adapter
from vstore.db.codes import Codes
from vstore.db.vectors import background
from vstore.search.stages import Facts, _cosines
from vstore.types import Candidate, Space

rng = np.random.default_rng(1)
rows = rng.normal(size=(3_000, 1_024)).astype(np.float32)
space = Space(1, "f" * 64, 1_024, "given")
words = rng.integers(0, 2**63, size=(16, 3_000), dtype=np.uint64)
"""
CALLS = {
    "codes": "Codes(space, np.arange(3_000), words).likeliest(rows[0], 500)",
    "adapter": "Adapter(rows[:1_024], 0.5).apply(rows[0])",
    "background": "background(rows[:600], rows[0])",
    "crowding": "_cosines([Candidate(n, ()) for n in range(100)], Facts(vectors=dict(enumerate(rows[:100]))))",
}


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="on one core there are no threads to wake")
@pytest.mark.parametrize("part", CALLS)
def test_after_a_part_of_a_search_the_process_rests(part: str) -> None:
    """A spinning thread burns some 100 ms of the .3 s; a machine that is busy otherwise makes that less, not more."""
    watched = (
        f"{PRELUDE}{CALLS[part]}\nbegan = time.process_time()\ntime.sleep(0.3)\nprint(time.process_time() - began)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in BLAS_THREADS}
    done = subprocess.run([sys.executable, "-c", watched], env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.03
