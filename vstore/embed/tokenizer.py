"""A model's tokenizer, checked: its file could lengthen texts without bound, or give tokens that there are not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from tokenizers import Tokenizer

from vstore.config import MAX_TEXT_GROWTH, MAX_WORD_CHARS
from vstore.embed.model import LocalModel
from vstore.errors import ModelDamagedError

_PROBE: Final = "A word \u4e2d \U0010fffd"  # with what no vocabulary has


def load_tokenizer(model: LocalModel) -> Tokenizer:
    """The tokenizer, without truncation or padding. Raises ModelDamagedError when it does not fit the model."""
    path = model.tokenizer
    try:
        tokenizer = Tokenizer.from_file(str(path))
        normalizer = json.loads(tokenizer.normalizer.__getstate__()) if tokenizer.normalizer is not None else {}
    except Exception as error:  # the library raises nothing more specific
        raise ModelDamagedError(f"{path} is no tokenizer ({error}); get the model again") from error
    if growth(normalizer) > MAX_TEXT_GROWTH:
        raise ModelDamagedError(f"{path} lengthens texts more than {MAX_TEXT_GROWTH} times; choose another model")
    if getattr(tokenizer.model, "max_input_chars_per_word", 0) > MAX_WORD_CHARS:
        raise ModelDamagedError(f"{path} looks up words of any length, which takes too long; choose another model")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    if tokenizer.get_vocab_size() > model.architecture.vocabulary:
        raise ModelDamagedError(f"{path} has more words than the weights; it belongs to another model")
    if not 0 < special < model.recipe.max_tokens:
        raise ModelDamagedError(
            f"{path} adds {special} special tokens, but BERT needs at least one and has room for "
            f"{model.recipe.max_tokens} tokens; get the model again"
        )
    _try_out(tokenizer, model)
    return tokenizer


def growth(normalizer: Mapping[str, Any]) -> int:
    """How many times longer a normalizer, as its file describes it, may make a text by what it puts in."""
    kind = normalizer.get("type")
    if kind == "Sequence":
        return math.prod(growth(part) for part in normalizer["normalizers"])
    if kind == "Prepend":
        return 1 + len(normalizer["prepend"])
    if kind != "Replace":
        return 1
    replaced = len(normalizer["pattern"].get("String", ""))  # an expression may match nothing, between any two letters
    put_in = len(normalizer["content"])
    return max(1, -(-put_in // replaced)) if replaced else 1 + put_in


def _try_out(tokenizer: Tokenizer, model: LocalModel) -> None:
    """Raise ModelDamagedError when a short text already shows that the tokenizer cannot be used."""
    try:
        ids = tokenizer.encode(_PROBE).ids
    except Exception as error:  # the library raises nothing more specific
        raise ModelDamagedError(f"{model.tokenizer} cannot read a text ({error}); get the model again") from error
    if max(ids) >= model.architecture.vocabulary:
        raise ModelDamagedError(f"{model.tokenizer} gives tokens that the weights do not have; get the model again")
