"""What the suite asks of its machine. Imported before all else: the processes it starts inherit what is set here.

A folder and numbers of threads that a user has set stay. No claim hangs on it: power losses and lying disks are played
by `faults/disk.py`, and what a kill leaves does not depend on the disk.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 2**30  # bytes, ten times what a run has lying about at once


def is_roomy(folder: Path) -> bool:
    """Whether it takes all files of a run, and programs among them may be run."""
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        return False
    return shutil.disk_usage(folder).free >= ROOM and not os.statvfs(folder).f_flag & os.ST_NOEXEC


# Every commit waits until the disk has it, which took the suite as long as all its computing.
if "TMPDIR" not in os.environ and is_roomy(MEMORY):
    os.environ["TMPDIR"] = str(MEMORY)

# Tests run side by side already, and their matrices are small: a second thread for each of those waits more than it
# does, and waits by spinning. Other threads, as those of ONNX Runtime, are not concerned.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Or each of the hundreds of processes that tests start would compile what it imports; git ignores what is written.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
