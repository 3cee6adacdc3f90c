"""A model as a sentence-transformers folder, which `vstore.embed.folder` and that library both read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.numpy import save_file
from tokenizers import Tokenizer

from vstore.embed.architecture import read_json
from vstore.embed.model import LocalModel
from vstore.embed.registry import CONFIG, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from vstore.types import FloatArray

_LIBRARY = "sentence_transformers.models"
_STAGES = {"Transformer": "", "Pooling": "1_Pooling"}


def write_folder(model: LocalModel, folder: Path, weights: Mapping[str, FloatArray] | None = None) -> None:
    """Write the model to an empty folder, with other weights of the same shapes (by BERT's names) if there are any.

    Tokenizer, pooling, window and prefixes stay those of the model.
    """
    recipe = model.recipe
    (folder / _STAGES["Pooling"]).mkdir(parents=True)
    shutil.copyfile(model.tokenizer, folder / TOKENIZER)
    if weights is None:
        shutil.copyfile(model.weights, folder / WEIGHTS)
    else:
        save_file(dict(weights), folder / WEIGHTS, metadata={"format": "pt"})
    settings = {key: value for key, value in read_json(model.weights.parent / CONFIG).items() if "dtype" not in key}
    stages = [
        {"idx": place, "name": str(place), "path": path, "type": f"{_LIBRARY}.{kind}"}
        for place, (kind, path) in enumerate(_STAGES.items())
    ]
    pooling = {"word_embedding_dimension": model.architecture.hidden}
    pooling |= {"pooling_mode_cls_token": recipe.pooling == "cls", "pooling_mode_mean_tokens": recipe.pooling == "mean"}
    prompts = {"query": recipe.query_prefix, "document": recipe.document_prefix}
    for name, content in (
        (CONFIG, settings),
        ("modules.json", stages),
        (f"{_STAGES['Pooling']}/config.json", pooling),
        ("sentence_bert_config.json", {"max_seq_length": recipe.max_tokens, "do_lower_case": False}),
        ("config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None}),
        ("tokenizer_config.json", _tokenizer_settings(model, settings.get("pad_token_id", 0))),
    ):
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _tokenizer_settings(model: LocalModel, pad: int) -> dict[str, Any]:
    """So that the other library takes tokenizer.json as it is, rather than as it thinks a BERT's should be."""
    token = Tokenizer.from_file(str(model.tokenizer)).id_to_token(pad)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.recipe.max_tokens,
        "pad_token": token,
    }
