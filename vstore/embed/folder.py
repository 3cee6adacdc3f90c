"""Model folders as sentence-transformers saves them: read in place, or refused with the reason.

The layout is that of sentence-transformers 2 to 6: modules.json lists the stages, each with its own settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from vstore.config import MAX_TOKENIZER_BYTES
from vstore.embed.architecture import Architecture, read_architecture, read_json
from vstore.embed.cache import sha256_of
from vstore.embed.model import LocalModel
from vstore.embed.registry import CONFIG, TOKENIZER, WEIGHTS, Pooling, Recipe
from vstore.embed.weights import check_size
from vstore.errors import ModelDamagedError, ModelError
from vstore.paths import expanded

_LEGACY_POOLING = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
_PIPELINES = (("Transformer", "Pooling"), ("Transformer", "Pooling", "Normalize"))


def open_folder(folder: Path, hashes: Mapping[str, str] | None = None) -> LocalModel:
    """Check a folder and hash its weights and tokenizer, unless `hashes` has their sha256 by name.

    Vectors are always normalised, with or without a Normalize stage. Raises ModelError when the model cannot be run
    faithfully, ModelDamagedError when files are missing or make no sense.
    """
    folder, hashes = expanded(folder), hashes or {}
    transformer, pooling = _stages(folder)
    architecture = read_architecture(transformer / CONFIG)
    weights, tokenizer = transformer / WEIGHTS, transformer / TOKENIZER
    if not weights.is_file():
        raise ModelError(f"{transformer} has no {WEIGHTS}; save the model in the safetensors format, in one file")
    check_size(weights)
    if not tokenizer.is_file() or tokenizer.stat().st_size > MAX_TOKENIZER_BYTES:
        raise ModelError(f"{transformer} has no usable {TOKENIZER}; save the model with a fast tokenizer")
    _refuse_lowercasing(transformer)
    query_prefix, document_prefix = _prompts(folder)
    recipe = Recipe(_pooling(pooling / CONFIG), _max_tokens(transformer, architecture), query_prefix, document_prefix)
    return LocalModel(
        name=str(folder),
        weights=weights,
        weights_sha256=hashes.get(WEIGHTS) or sha256_of(weights),
        tokenizer=tokenizer,
        tokenizer_sha256=hashes.get(TOKENIZER) or sha256_of(tokenizer),
        recipe=recipe,
        architecture=architecture,
    )


def _stages(folder: Path) -> tuple[Path, Path]:
    """The folders of the transformer and of the pooling stage."""
    if not (folder / "modules.json").is_file():
        raise ModelError(f"{folder} is not a sentence-transformers folder: it has no modules.json")
    modules = read_json(folder / "modules.json")
    try:
        kinds = tuple(module["type"].rsplit(".", 1)[-1] for module in modules)
        paths = [PurePosixPath(module["path"]) for module in modules]
    except (TypeError, KeyError, AttributeError) as error:
        raise ModelDamagedError(f"{folder / 'modules.json'} is not a list of modules; get the folder again") from error
    if kinds not in _PIPELINES:
        raise ModelError(f"{folder} has the stages {', '.join(kinds)}; only Transformer, Pooling, Normalize can be run")
    if any(path.is_absolute() or ".." in path.parts for path in paths):
        raise ModelDamagedError(f"{folder / 'modules.json'} points outside its folder; get the folder again")
    return folder / paths[0], folder / paths[1]


def _pooling(path: Path) -> Pooling:
    config = _settings(path)
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [key for key, active in config.items() if key.startswith("pooling_mode_") and active is True]
        modes = [_LEGACY_POOLING.get(key, key) for key in modes] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if modes == ["mean"] or modes == ["cls"]:
        if config.get("include_prompt", True) is not True and modes == ["mean"]:
            raise ModelError(f"{path} leaves the prompt out of the mean, which cannot be done; choose another model")
        return "mean" if modes == ["mean"] else "cls"
    raise ModelError(f"{path} pools by {modes}; only mean and cls can be run, one of them")


def _max_tokens(transformer: Path, architecture: Architecture) -> int:
    """The window: sentence-transformers' own setting, else the tokenizer's, and never more than there are positions."""
    candidates = [
        _settings(transformer / "sentence_bert_config.json", optional=True).get("max_seq_length"),
        _settings(transformer / "tokenizer_config.json", optional=True).get("model_max_length"),
    ]
    stated = next((value for value in candidates if isinstance(value, int) and value > 0), architecture.positions)
    return min(stated, architecture.positions)


def _refuse_lowercasing(transformer: Path) -> None:
    """The setting lower-cases text before the tokenizer does its own; harmless only if the tokenizer does so too."""
    if _settings(transformer / "sentence_bert_config.json", optional=True).get("do_lower_case") is not True:
        return
    try:
        normalizer = json.loads((transformer / TOKENIZER).read_bytes())["normalizer"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelDamagedError(f"{transformer / TOKENIZER} makes no sense; get the model folder again") from error
    if not isinstance(normalizer, dict) or normalizer.get("lowercase") is not True:
        raise ModelError(f"{transformer} lower-cases outside its tokenizer, which cannot be done; choose another model")


def _prompts(folder: Path) -> tuple[str, str]:
    """The prefixes of queries and of documents, under the names sentence-transformers gives them."""
    config = _settings(folder / "config_sentence_transformers.json", optional=True)
    prompts: dict[str, str] = config.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ModelDamagedError(f"{folder} has prompts that are not text; get the model folder again")
    usual = prompts.get(str(config.get("default_prompt_name")), "")
    document = next((prompts[name] for name in ("document", "passage", "corpus") if name in prompts), usual)
    return prompts.get("query", usual), document


def _settings(path: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and not path.is_file():
        return {}
    config = read_json(path)
    if not isinstance(config, dict):
        raise ModelDamagedError(f"{path} is not a JSON object; get the model folder again")
    return config
