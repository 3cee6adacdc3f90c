"""The folder of downloaded models: which of its files are intact, and how files get into it.

A file is hashed once; size and modification time are then kept in a marker beside it, and as long as they have not
changed the file is not hashed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

from vstore.config import HASH_BLOCK_BYTES, STALE_FETCH_S
from vstore.embed.registry import ModelFile, ModelSpec

logger = logging.getLogger(__name__)

FileState = Literal["intact", "missing", "damaged"]

MARKER: Final = "verified.json"
_WORK_PREFIX: Final = ".fetch-"


def model_directory(cache_dir: Path, spec: ModelSpec) -> Path:
    """Where a registered model's files are kept."""
    return cache_dir / spec.name.replace("/", "--")


def file_state(directory: Path, file: ModelFile, *, thorough: bool = False) -> FileState:
    """Whether a cached file is what it must be; `thorough` hashes it even if it looks untouched.

    A link is damage: what it points to lies outside the cache and is nobody's to check.
    """
    path = directory / file.name
    try:
        found = path.lstat()
    except FileNotFoundError:
        return "missing"
    if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
        return "damaged"
    seen = {"sha256": file.sha256, "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    if not thorough and _read_marker(directory).get(file.name) == seen:
        return "intact"
    return "intact" if sha256_of(path) == file.sha256 else "damaged"


def mark_verified(directory: Path, files: tuple[ModelFile, ...]) -> None:
    """Note that these files were hashed and found intact."""
    marker = {}
    for file in files:
        found = (directory / file.name).lstat()
        marker[file.name] = {"sha256": file.sha256, "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    if marker == _read_marker(directory):
        return
    try:
        write_atomically(directory / MARKER, json.dumps(marker, indent=1).encode())
    except OSError as error:  # a read-only cache is hashed at each start, but the model works
        logger.info("the marker in %s cannot be written: %s", directory, error)


def unmark(directory: Path) -> None:
    """Have every file hashed at the next look, even if it looks untouched."""
    (directory / MARKER).unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=_WORK_PREFIX) as folder:
        temporary = Path(folder) / path.name
        temporary.write_bytes(content)
        temporary.chmod(0o600)
        temporary.replace(path)


@contextmanager
def work_folder(directory: Path) -> Iterator[Path]:
    """A private folder for downloads on the same file system as `directory`; removed at the end.

    What killed processes have left behind is removed first, once it is older than any download could be.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob(f"{_WORK_PREFIX}*"):
        with suppress(FileNotFoundError):  # its owner, or another process, may be removing it right now
            if time.time() - left.stat().st_mtime > STALE_FETCH_S:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=_WORK_PREFIX, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _read_marker(directory: Path) -> dict[str, Any]:
    path = directory / MARKER
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError:  # half of a marker proves nothing: the files are hashed again
        return {}
    return content if isinstance(content, dict) else {}
