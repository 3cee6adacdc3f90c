"""Embedding: faithful to the reference, in the given order, whatever the text."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from embed import tiny
from hypothesis import given
from hypothesis import strategies as st

from vstore import embed
from vstore.config import BATCH_TOKENS
from vstore.embed.runtime import OnnxEmbedder, pack
from vstore.errors import ModelDamagedError
from vstore.types import TokenWindow

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def small(tmp_path: Path) -> OnnxEmbedder:
    folder = tiny.make_folder(tmp_path / "model", prompts={"query": "query: ", "passage": "the "})
    return embed.load(str(folder))


def test_fifty_texts_get_the_vectors_of_sentence_transformers(minilm: OnnxEmbedder) -> None:
    """Short and long texts, code, many scripts, control characters; tools/make_reference_embeddings.py made them."""
    texts = json.loads((DATA / "reference_texts.json").read_text(encoding="utf-8"))
    with np.load(DATA / "reference_embeddings.npz") as reference:
        expected = reference["vectors"]
    assert len(texts) == 50
    vectors = minilm.embed_documents(texts)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - expected).max() <= 1e-5


def test_one_thread_gives_the_same_vectors(minilm: OnnxEmbedder) -> None:
    text = ["Slack water is at noon."]
    assert (
        np.abs(embed.load("all-MiniLM-L6-v2", threads=1).embed_queries(text) - minilm.embed_queries(text)).max() < 1e-6
    )


def test_a_vector_does_not_depend_on_its_neighbours(minilm: OnnxEmbedder) -> None:
    texts = ["tide " * (7 * n % 40) + f"berth {n}" for n in range(30)]
    together = minilm.embed_documents(texts)
    alone = np.concatenate([minilm.embed_documents([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-6
    assert (together @ alone.T).argmax(axis=1).tolist() == list(range(30))


def test_no_text_gives_no_rows(small: OnnxEmbedder) -> None:
    assert small.embed_documents([]).shape == (0, tiny.HIDDEN)
    assert small.embed_queries([]).dtype == np.float32


@pytest.mark.parametrize(
    "text", ["", "\x00", "cat\x00dog", "\ud800", "cat \udfff \ud83d\ude00", "\u200b", "\U0010ffff"]
)
def test_odd_text_gets_a_unit_vector(small: OnnxEmbedder, text: str) -> None:
    (vector,) = small.embed_documents([text])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_lone_surrogates_count_as_unreadable_characters(small: OnnxEmbedder) -> None:
    assert (small.embed_documents(["the \ud800 cat"]) == small.embed_documents(["the \ufffd cat"])).all()


def test_prefixes_come_before_queries_and_documents(small: OnnxEmbedder) -> None:
    # By hand: "query: cat" is [CLS] query : cat [SEP], "the cat" is [CLS] the cat [SEP].
    assert np.abs(small.embed_queries(["cat"])[0] - tiny.forward(tiny.weights(), [2, 4, 5, 7, 3], "mean")).max() < 1e-5
    assert np.abs(small.embed_documents(["cat"])[0] - tiny.forward(tiny.weights(), [2, 6, 7, 3], "mean")).max() < 1e-5


def test_a_query_asked_again_is_not_embedded_again_and_nobody_can_spoil_it(
    small: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = small.embed_queries(["cats sleep"])
    expected = first.copy()
    first *= 0.0
    monkeypatch.setattr(small, "_embed", lambda prefix, texts: pytest.fail("embedded again"))
    assert np.array_equal(small.embed_queries(["cats sleep"]), expected)


def test_what_is_beyond_the_window_is_not_read(small: OnnxEmbedder) -> None:
    """The window is 12 tokens: [CLS], the prefix, nine words, [SEP]."""
    assert small.max_tokens == 12
    expected = tiny.forward(tiny.weights(), [2, 6, *[7] * 9, 3], "mean")
    assert np.abs(small.embed_documents(["cat " * 9 + "dog " * 500])[0] - expected).max() < 1e-5


def test_the_public_tokenizer_neither_truncates_nor_pads(small: OnnxEmbedder) -> None:
    assert isinstance(small, TokenWindow)
    assert [len(encoding) for encoding in small.tokenizer.encode_batch(["cat " * 500, "cat"])] == [502, 3]


def test_threads_may_share_an_embedder(small: OnnxEmbedder) -> None:
    texts = [f"the {'cat ' * (n % 7)}" for n in range(64)]
    expected = small.embed_documents(texts)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: small.embed_documents([text])[0], texts))
    assert np.abs(np.array(found) - expected).max() < 1e-6


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 3_000))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = pack(lengths, budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= budget


def test_rows_of_similar_length_share_a_batch() -> None:
    # Longest first; 5 + 5 fill a budget of 10, 4 + 3 padded to 4 + 4 leave no room for another 4.
    assert pack([1, 5, 3, 5, 4], 10) == [[1, 3], [4, 2], [0]]
    assert pack([300], 100) == [[0]]


def test_a_batch_never_exceeds_the_budget_with_the_default_window(minilm: OnnxEmbedder) -> None:
    assert minilm.max_tokens <= BATCH_TOKENS


def test_the_fingerprint_changes_with_all_that_changes_vectors(tmp_path: Path) -> None:
    variants = {
        "same": {},
        "weights": {"tensors": tiny.weights(seed=1)},
        "pooling": {"pooling": {"pooling_mode": "cls"}},
        "prompt": {"prompts": {"query": "query: "}},
        "epsilon": {"config": {"layer_norm_eps": 1e-6}},
        "window": {"config": {"max_position_embeddings": tiny.POSITIONS}},
    }
    prints = {}
    for name, changes in variants.items():
        folder = tiny.make_folder(tmp_path / name, **changes)  # a mixed dict
        if name == "window":
            tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": 11})
        prints[name] = embed.load(str(folder)).fingerprint
    assert len(set(prints.values())) == len(variants)
    again = tiny.make_folder(tmp_path / "again")
    assert embed.load(str(again)).fingerprint == prints["same"]


def test_weights_without_a_direction_are_refused(tmp_path: Path) -> None:
    zeros = {name: np.zeros_like(tensor) for name, tensor in tiny.weights().items()}
    model = embed.load(str(tiny.make_folder(tmp_path / "model", tensors=zeros)))
    with pytest.raises(ModelDamagedError, match="without a direction"):
        model.embed_documents(["cat"])
