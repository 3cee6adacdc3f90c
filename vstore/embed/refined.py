"""Encoders whose files come out of a store: written to the models folder, checked, and opened like any model folder.

The store's file has all that is needed; the copy on the disk is a cache, so that the runtime can map the weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from vstore.config import MAX_WEIGHTS_BYTES, MODEL_PART_BYTES
from vstore.embed import cache
from vstore.embed.registry import ModelFile
from vstore.errors import ModelDamagedError, ModelUnavailableError

if TYPE_CHECKING:
    from vstore.embed.runtime import OnnxEmbedder

FOLDER: Final = "refined"  # in the models folder
_WAY_BACK: Final = "go back to the model before with: vstore refine rollback"

Read = Callable[[str], Iterable[bytes]]  # the parts of a file by its name


def describe(folder: Path) -> list[dict[str, Any]]:
    """Name, sha256 and size of every file of a model folder: what `load` needs to know, ready for `json.dumps`."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        asdict(ModelFile(path.relative_to(folder).as_posix(), cache.sha256_of(path), path.stat().st_size))
        for path in paths
    ]


def parts(path: Path) -> Iterator[bytes]:
    """A file in parts of MODEL_PART_BYTES."""
    with path.open("rb") as file:
        while part := file.read(MODEL_PART_BYTES):
            yield part


def load(
    name: str,
    fingerprint: str,
    files: Iterable[Mapping[str, Any]],
    read: Read,
    *,
    cache_dir: Path,
    threads: int | None = None,
) -> OnnxEmbedder:
    """The encoder with this fingerprint, its `files` as `describe` gave them.

    Raises ModelDamagedError when its bytes are not what they were, ModelUnavailableError when they cannot be written.
    """
    from vstore.embed.folder import open_folder
    from vstore.embed.runtime import OnnxEmbedder

    if not re.fullmatch("[0-9a-f]{64}", fingerprint):
        raise ModelDamagedError(f"the fingerprint of {name} makes no sense; {_WAY_BACK}")
    known = tuple(_described(name, file) for file in files)
    directory = cache_dir / FOLDER / fingerprint
    try:
        _materialise(name, known, read, directory)
        model = open_folder(directory, {PurePosixPath(file.name).name: file.sha256 for file in known})
    except OSError as error:
        raise ModelUnavailableError(
            f"{name} cannot be written to {directory} ({error}); set VSTORE_MODELS to a folder you may write"
        ) from error
    if model.fingerprint != fingerprint:
        raise ModelDamagedError(f"{name} is not the model that made the store's vectors; {_WAY_BACK}")
    return OnnxEmbedder(replace(model, name=name), threads=threads)


def _described(name: str, file: Mapping[str, Any]) -> ModelFile:
    try:
        found = ModelFile(str(file["name"]), str(file["sha256"]), int(file["size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDamagedError(
            f"what the store knows about the files of {name} makes no sense; {_WAY_BACK}"
        ) from error
    path = PurePosixPath(found.name)
    if path.is_absolute() or ".." in path.parts or not path.parts or not 0 <= found.size <= MAX_WEIGHTS_BYTES:
        raise ModelDamagedError(f"{name} has a file {found.name!r}, which cannot be; {_WAY_BACK}")
    return found


def _materialise(name: str, files: tuple[ModelFile, ...], read: Read, directory: Path) -> None:
    """Write what is missing or damaged. A file gets its name only when its hash is right, as for downloads."""
    wanted = [file for file in files if cache.file_state(directory, file) != "intact"]
    with cache.work_folder(directory) as work:
        for number, file in enumerate(wanted):
            copy = work / str(number)
            size = 0
            with copy.open("wb") as target:
                for part in read(file.name):
                    size += target.write(part)
                    if size > file.size:
                        break
            if size != file.size or cache.sha256_of(copy) != file.sha256:
                raise ModelDamagedError(f"{file.name} of {name} is damaged in the store; {_WAY_BACK}")
            copy.chmod(0o600)
            (directory / file.name).parent.mkdir(parents=True, exist_ok=True)
            copy.replace(directory / file.name)
    cache.mark_verified(directory, files)
