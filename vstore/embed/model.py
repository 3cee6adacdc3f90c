"""A model whose files are here and checked: what the runtime needs to know, and the identity of its vectors."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vstore.embed.architecture import Architecture
from vstore.embed.registry import Recipe


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this disk. The hashes are sha256 in hexadecimal of the files as they were when checked."""

    name: str
    weights: Path
    weights_sha256: str
    tokenizer: Path
    tokenizer_sha256: str
    recipe: Recipe
    architecture: Architecture

    @property
    def fingerprint(self) -> str:
        """sha256 over all that decides the vectors: equal fingerprints mean comparable vectors."""
        identity = {
            "weights": self.weights_sha256,
            "tokenizer": self.tokenizer_sha256,
            "recipe": asdict(self.recipe),
            "architecture": asdict(self.architecture),
            "normalisation": "l2",
            "dtype": "float32",
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
