"""Which networks can be run faithfully: the original BERT encoder and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vstore.config import MAX_CONFIG_BYTES
from vstore.errors import ModelDamagedError, ModelError

# What config.json must say, where it says anything: other values mean other arithmetic.
_REQUIRED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
_SIZES = {
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "hidden": "hidden_size",
    "intermediate": "intermediate_size",
    "positions": "max_position_embeddings",
    "token_types": "type_vocab_size",
    "vocabulary": "vocab_size",
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes of a BERT encoder (Devlin et al., NAACL 2019); `epsilon` is that of its layer normalisation."""

    layers: int
    heads: int
    hidden: int
    intermediate: int
    positions: int
    token_types: int
    vocabulary: int
    epsilon: float


def read_json(path: Path) -> Any:
    """A small JSON file. Raises ModelDamagedError when it is missing, too large or not JSON."""
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ModelDamagedError(f"{path} is no file; get the model folder again")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ModelDamagedError(f"{path} is larger than {MAX_CONFIG_BYTES:,} bytes; get the model folder again")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelDamagedError(f"{path} cannot be read ({error}); get the model folder again") from error


def read_architecture(path: Path) -> Architecture:
    """The architecture in a config.json.

    Raises ModelError when the network is not one that can be run faithfully, ModelDamagedError when the file makes
    no sense.
    """
    config = read_json(path)
    if not isinstance(config, dict):
        raise ModelDamagedError(f"{path} is not a JSON object; get the model folder again")
    for key, wanted in _REQUIRED.items():
        if config.get(key, wanted) != wanted or (key == "model_type" and key not in config):
            found = config.get(key)
            raise ModelError(f"{path} has {key} {found!r}, but only {wanted!r} can be run; choose another model")
    sizes: dict[str, int] = {}
    for name, key in _SIZES.items():
        value = config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelDamagedError(f"{path} has {key} {value!r}, which is not a size; get the model folder again")
        sizes[name] = value
    epsilon = config.get("layer_norm_eps", 1e-12)
    if not isinstance(epsilon, float) or not 0 < epsilon < 1:
        raise ModelDamagedError(f"{path} has layer_norm_eps {epsilon!r}; get the model folder again")
    architecture = Architecture(**sizes, epsilon=epsilon)
    if architecture.hidden % architecture.heads:
        raise ModelDamagedError(f"{path}: hidden_size is no multiple of num_attention_heads; get the folder again")
    return architecture
