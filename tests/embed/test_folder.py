"""Model folders of every layout that can be run, and refusals that say why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed import tiny
from tokenizers import Tokenizer

from vstore import embed
from vstore.embed.folder import open_folder
from vstore.errors import ModelDamagedError, ModelError, UnknownModelError

DENSE = [*tiny.MODULES, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.make_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"embedding_dimension": 8}, "mean"),
    ],
)
def test_pooling_is_read_from_old_and_new_settings(tmp_path: Path, pooling: dict[str, Any], expected: str) -> None:
    assert open_folder(tiny.make_folder(tmp_path / "model", pooling=pooling)).recipe.pooling == expected


@pytest.mark.parametrize(
    ("sentence_bert", "tokenizer", "expected"),
    [
        ({"max_seq_length": 9}, {"model_max_length": 7}, 9),
        ({}, {"model_max_length": 7}, 7),
        ({}, {"model_max_length": 10**30}, tiny.POSITIONS),
        ({"max_seq_length": None}, {}, tiny.POSITIONS),
        ({"max_seq_length": 512}, {}, tiny.POSITIONS),
    ],
)
def test_the_window_is_the_first_one_stated(
    folder: Path, sentence_bert: dict[str, Any], tokenizer: dict[str, Any], expected: int
) -> None:
    tiny.write_json(folder / "sentence_bert_config.json", sentence_bert)
    tiny.write_json(folder / "tokenizer_config.json", tokenizer)
    assert open_folder(folder).recipe.max_tokens == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"prompts": {"query": "q: ", "document": "d: "}}, ("q: ", "d: ")),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, ("q: ", "p: ")),
        ({"prompts": {"usual": "u: "}, "default_prompt_name": "usual"}, ("u: ", "u: ")),
        ({"prompts": {"usual": "u: "}}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_prompts_become_prefixes(folder: Path, config: dict[str, Any], expected: tuple[str, str]) -> None:
    tiny.write_json(folder / "config_sentence_transformers.json", config)
    recipe = open_folder(folder).recipe
    assert (recipe.query_prefix, recipe.document_prefix) == expected


def test_the_layout_with_the_transformer_in_its_own_folder(tmp_path: Path, folder: Path) -> None:
    moved = tmp_path / "moved"
    (moved / "0_Transformer").mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "sentence_bert_config.json"):
        (folder / name).rename(moved / "0_Transformer" / name)
    (folder / "1_Pooling").rename(moved / "1_Pooling")
    tiny.write_json(moved / "modules.json", [tiny.MODULES[0] | {"path": "0_Transformer"}, tiny.MODULES[1]])
    vectors = embed.load(str(moved)).embed_documents(["cat"])
    assert np.abs(vectors[0] - tiny.forward(tiny.weights(), [2, 7, 3], "mean")).max() < 1e-5


def test_a_folder_needs_no_cache(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used where it lies, and nothing is written."""
    monkeypatch.setenv("VSTORE_MODELS", str(tmp_path / "cache"))
    before = sorted(tmp_path.rglob("*"))
    assert embed.load(str(folder)).embed_queries(["cat"]).shape == (1, tiny.HIDDEN)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_normalize_stage_changes_nothing(tmp_path: Path, folder: Path) -> None:
    before = open_folder(folder)
    tiny.write_json(folder / "modules.json", [*tiny.MODULES, {"path": "2_Normalize", "type": "x.Normalize"}])
    assert open_folder(folder).fingerprint == before.fingerprint


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", tiny.CONFIG | {"model_type": "roberta"}, "model_type 'roberta'"),
        ("config.json", {k: v for k, v in tiny.CONFIG.items() if k != "model_type"}, "model_type None"),
        ("config.json", tiny.CONFIG | {"hidden_act": "gelu_new"}, "hidden_act 'gelu_new'"),
        ("config.json", tiny.CONFIG | {"position_embedding_type": "relative_key"}, "relative_key"),
        ("config.json", tiny.CONFIG | {"is_decoder": True}, "is_decoder True"),
        ("modules.json", DENSE, "Transformer, Pooling, Dense"),
        ("modules.json", tiny.MODULES[:1], "the stages Transformer;"),
        ("1_Pooling/config.json", {"pooling_mode": "max"}, "pools by .'max'."),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "one of them"),
        ("1_Pooling/config.json", {"pooling_mode": "mean", "include_prompt": False}, "leaves the prompt out"),
    ],
)
def test_what_cannot_be_run_faithfully_is_refused(folder: Path, file: str, content: Any, message: str) -> None:
    tiny.write_json(folder / file, content)
    with pytest.raises(ModelError, match=message) as caught:
        open_folder(folder)
    assert not isinstance(caught.value, ModelDamagedError)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", [], "not a JSON object"),
        ("config.json", tiny.CONFIG | {"hidden_size": 0}, "hidden_size 0"),
        ("config.json", tiny.CONFIG | {"num_hidden_layers": True}, "num_hidden_layers True"),
        ("config.json", tiny.CONFIG | {"num_attention_heads": 3}, "no multiple"),
        ("config.json", tiny.CONFIG | {"layer_norm_eps": "small"}, "layer_norm_eps 'small'"),
        ("modules.json", {"type": "x"}, "not a list of modules"),
        ("modules.json", [tiny.MODULES[0] | {"path": "../other"}, tiny.MODULES[1]], "outside its folder"),
        ("modules.json", [tiny.MODULES[0] | {"path": "/etc"}, tiny.MODULES[1]], "outside its folder"),
        ("config_sentence_transformers.json", {"prompts": {"query": 3}}, "prompts that are not text"),
        ("1_Pooling/config.json", "mean", "not a JSON object"),
    ],
)
def test_settings_that_make_no_sense_are_damage(folder: Path, file: str, content: Any, message: str) -> None:
    tiny.write_json(folder / file, content)
    with pytest.raises(ModelDamagedError, match=message):
        open_folder(folder)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '"' + "x" * 2**21 + '"'], ids=["cut", "deep", "large"])
def test_json_that_cannot_be_read_is_damage(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelDamagedError, match=r"config\.json"):
        open_folder(folder)


def test_lower_casing_outside_the_tokenizer_is_refused(folder: Path) -> None:
    tiny.write_json(folder / "sentence_bert_config.json", {"do_lower_case": True})
    assert open_folder(folder).recipe.max_tokens == tiny.POSITIONS  # harmless: the tokenizer does it as well
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"lowercase": true', '"lowercase": false'))
    with pytest.raises(ModelError, match="lower-cases outside"):
        open_folder(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "modules.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        open_folder(folder)


def test_the_tokenizer_must_belong_to_the_weights(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["harbour"])
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(ModelDamagedError, match="belongs to another model"):
        embed.load(str(folder))


def test_a_tokenizer_without_special_tokens_is_refused(folder: Path) -> None:
    """An empty text would have no token at all."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tiny.write_json(folder / "tokenizer.json", tokenizer | {"post_processor": None})
    with pytest.raises(ModelDamagedError, match="adds 0 special tokens"):
        embed.load(str(folder))


def test_a_file_that_is_no_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelDamagedError, match="is no tokenizer"):
        embed.load(str(folder))


def test_a_name_that_is_neither_registered_nor_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"all-MiniLM-L6-v2, BAAI/bge-small-en-v1\.5"):
        embed.load(str(tmp_path / "absent"))
