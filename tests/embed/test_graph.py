"""The fused graph computes what BERT is defined to compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from embed import tiny

from vstore import embed
from vstore.embed.graph import build_graph

TEXTS = ["the cat sat on the mats", "", "a dog", "the dog sat on a cat : the cat sat", "unknown words"]
# By hand from tiny.WORDS: [CLS] = 2, [SEP] = 3, words by their place, unknown ones 1.
IDS = [
    [2, 6, 7, 8, 9, 6, 10, 11, 3],
    [2, 3],
    [2, 12, 13, 3],
    [2, 6, 13, 8, 9, 12, 7, 5, 6, 7, 8, 3],
    [2, 1, 1, 3],
]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_graph_equals_bert_written_out_in_numpy(tmp_path: Path, pooling: str) -> None:
    """Texts of all lengths go through in one padded batch, so the attention mask is proven too."""
    folder = tiny.make_folder(tmp_path / "model", pooling={"pooling_mode": pooling})
    vectors = embed.load(str(folder), cache_dir=tmp_path / "cache").embed_documents(TEXTS)
    expected = np.array([tiny.forward(tiny.weights(), ids, pooling) for ids in IDS])
    assert np.abs(vectors - expected).max() < 1e-5


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_half_precision_weights_are_widened(tmp_path: Path, kind: str) -> None:
    rounded = {}
    for name, tensor in tiny.weights().items():
        if kind == "F16":
            rounded[name] = tensor.astype(np.float16).astype(np.float32)
        else:
            rounded[name] = ((tensor.view(np.uint32) >> 16) << 16).view(np.float32)
    folder = tiny.make_folder(tmp_path / "model", kind=kind)
    vectors = embed.load(str(folder), cache_dir=tmp_path / "cache").embed_documents(TEXTS)
    expected = np.array([tiny.forward(rounded, ids, "mean") for ids in IDS])
    assert np.abs(vectors - expected).max() < 1e-5


def test_a_converted_graph_is_kept_and_a_damaged_one_is_written_again(tmp_path: Path) -> None:
    folder, cache = tiny.make_folder(tmp_path / "model"), tmp_path / "cache"
    first = embed.load(str(folder), cache_dir=cache).embed_documents(TEXTS)
    (kept,) = (cache / "graphs").iterdir()
    content = kept.read_bytes()

    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert (embed.load(str(folder), cache_dir=cache).embed_documents(TEXTS) == first).all()
    assert kept.read_bytes() == content

    kept.write_bytes(b"")
    assert (embed.load(str(folder), cache_dir=cache).embed_documents(TEXTS) == first).all()
    assert kept.read_bytes() == content


def test_a_cache_that_cannot_be_written_does_not_stop_the_model(tmp_path: Path) -> None:
    folder, blocked = tiny.make_folder(tmp_path / "model"), tmp_path / "cache"
    blocked.write_text("a file where the folder should be")
    vectors = embed.load(str(folder), cache_dir=blocked).embed_documents(TEXTS)
    assert vectors.shape == (5, tiny.HIDDEN)


def test_the_graph_holds_no_weights(tmp_path: Path) -> None:
    """It stays small whatever the model's size: the word embeddings here would have 400 MB."""
    folder = tiny.make_folder(tmp_path / "model")
    model = embed.load(str(folder), cache_dir=tmp_path / "cache")
    graph = build_graph(model._model.architecture, "mean", {"embeddings.word": (100_000, 1_000)})
    assert len(graph) < 10_000
