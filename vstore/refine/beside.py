"""A trained encoder beside the model that serves: its files go into the store, and a space is made for its vectors.

`vstore.ingest.backfill` then fills that space and switches to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vstore.embed.folder import open_folder
from vstore.embed.refined import describe, parts
from vstore.storage import Index


def begin(index: Index, folder: Path, recipe: Mapping[str, Any]) -> int:
    """Keep the encoder in `folder` in the store, and make its space; the model's id. Called again, it goes on.

    `recipe` is kept as JSON, together with name, size and sha256 of every file. Raises ModelError for a folder that
    cannot be used, and what `Index.begin_encoder` raises.
    """
    model = open_folder(folder)
    files = describe(folder)

    def begun() -> int:
        return index.begin_encoder(model.fingerprint, model.architecture.hidden, {**recipe, "files": files})

    model_id = begun()
    if _files(index, model_id) != files:  # written by another version of a library, though the vectors are the same
        index.discard_encoder(model_id)
        model_id = begun()
    for file in files:
        digest = hashlib.sha256()
        for part in index.read_file(model_id, file["name"]):
            digest.update(part)
        if digest.hexdigest() != file["sha256"]:
            index.save_file(model_id, file["name"], parts(folder / file["name"]))
    return model_id


def _files(index: Index, model_id: int) -> Any:
    """What the store knows about the files of a model."""
    return next(record.recipe.get("files") for record in index.models() if record.id == model_id)
