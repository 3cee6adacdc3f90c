"""Embedding models: registered ones by name, others from a folder. `load` is the way in; nothing here needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vstore.embed.runtime import OnnxEmbedder
    from vstore.embed.sources import Progress

__all__ = ["load"]


def load(
    name_or_path: str,
    *,
    cache_dir: Path | None = None,
    folder: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> OnnxEmbedder:
    """Get a model ready: a registered one, fetched if it is not in the cache, or a sentence-transformers folder.

    `cache_dir` keeps registered models and defaults to the user's setting; `folder` is where they are looked for before
    the network is asked; `threads` None means all cores; `progress` is called with (source, bytes so far, bytes in all)
    during a download. Raises UnknownModelError, ModelUnavailableError, ModelDamagedError, or ModelError for a model
    that cannot be run.
    """
    from vstore import settings
    from vstore.embed.architecture import read_architecture
    from vstore.embed.fetch import fetch
    from vstore.embed.folder import open_folder
    from vstore.embed.model import LocalModel
    from vstore.embed.registry import CONFIG, TOKENIZER, WEIGHTS, find, get
    from vstore.embed.runtime import OnnxEmbedder
    from vstore.paths import expanded

    if find(name_or_path) is None and expanded(name_or_path).is_dir():
        return OnnxEmbedder(open_folder(Path(name_or_path)), threads=threads)
    spec = get(name_or_path)
    cache_dir = settings.load().models if cache_dir is None else cache_dir
    directory = fetch(spec, cache_dir=cache_dir, folder=folder, progress=progress)
    hashes = {file.name: file.sha256 for file in spec.files}
    model = LocalModel(
        name=spec.name,
        weights=directory / WEIGHTS,
        weights_sha256=hashes[WEIGHTS],
        tokenizer=directory / TOKENIZER,
        tokenizer_sha256=hashes[TOKENIZER],
        recipe=spec.recipe,
        architecture=read_architecture(directory / CONFIG),
    )
    return OnnxEmbedder(model, threads=threads)
