"""The registered models are complete, and reading the registry costs nothing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from vstore.embed import registry
from vstore.errors import UnknownModelError


def test_models_are_found_by_name_and_alias() -> None:
    assert registry.find("all-MiniLM-L6-v2") is registry.MINILM
    assert registry.find("sentence-transformers/all-MiniLM-L6-v2") is registry.MINILM
    assert registry.get("bge-small-en-v1.5") is registry.BGE_SMALL
    assert registry.find("all-minilm") is None
    with pytest.raises(UnknownModelError, match="all-minilm"):
        registry.get("all-minilm")


def test_names_are_unambiguous() -> None:
    names = [name for spec in registry.MODELS for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("spec", registry.MODELS, ids=lambda spec: spec.name)
def test_every_file_is_pinned(spec: registry.ModelSpec) -> None:
    assert {file.name for file in spec.files} == {registry.CONFIG, registry.TOKENIZER, registry.WEIGHTS}
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size > 0 for file in spec.files)
    assert re.fullmatch("[0-9a-f]{40}", spec.revision)


def test_nothing_heavy_is_imported_to_list_models() -> None:
    code = """
import sys
import vstore.cli.models, vstore.embed, vstore.embed.cache, vstore.embed.registry
heavy = {"numpy", "onnx", "onnxruntime", "tokenizers", "safetensors", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
