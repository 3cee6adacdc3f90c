"""Large stores are made of the texts and vectors they come from, and all peers search the same."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from toy import ToyEmbedder

from bench.latency import questions
from bench.mixed import GROUPS, fill, mixed, passages
from bench.peers import Peer, Plain, Vstore, built, installed
from vstore import Store

TOY = ToyEmbedder(32)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Passages of three sentences each, about one animal."""
    path = tmp_path / "corpus.jsonl"
    rows = [" ".join(f"The {animal} {verb}s here." for verb in ("eat", "sleep", "run")) for animal in ("ox", "emu")]
    path.write_text("".join(json.dumps({"_id": str(n), "text": text}) + "\n" for n, text in enumerate(rows)))
    return path


def test_a_mixed_text_has_the_words_of_two_passages_and_a_vector_between_theirs(corpus: Path) -> None:
    source = passages([corpus], TOY)
    ox, emu = source.vectors
    for text, vector in itertools.islice(mixed(source, seed=1), 20):
        assert len(text.split()) == 130
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)
        assert set(text.split()) <= set(["The", "ox", "emu", "eats", "sleeps", "runs", "here."])
        if "ox" in text and "emu" in text:
            assert min(vector @ ox, vector @ emu) > ox @ emu  # nearer to both than they are to each other
    first, again = (next(mixed(source, seed=1)) for _ in range(2))
    assert first[0] == again[0]


def test_a_store_is_filled_with_as_many_chunks_one_in_a_hundred_of_a_group(corpus: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "memory.db", TOY, log=False, metrics=False) as store:
        fill(store, TOY, passages([corpus], TOY), 2 * GROUPS + 1)
        assert store.stats().chunks == 2 * GROUPS + 1
        assert len(store.search("ox", k=100, where={"group": 0})) == 3
        assert len(store.search("ox", k=100, where={"group": 7})) == 2


def test_no_question_is_asked_twice(tmp_path: Path) -> None:
    texts = [f"question {n} " + " ".join(f"w{n}x{m}" for m in range(n % 2 * 10)) for n in range(200)]
    for name, rows in (("queries", texts), ("corpus", [" ".join(f"p{n}x{m}" for m in range(200)) for n in range(20)])):
        lines = [json.dumps({"_id": str(n), "text": text}) for n, text in enumerate(rows)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    asked = questions([tmp_path], 10)
    assert {len(text.split()) for text in asked.mean} == {12}
    assert {len(text.split()) for text in asked.long} == {190}
    for some in (asked.short, asked.mean, asked.long):
        assert len(set(some)) == len(some)
    with pytest.raises(SystemExit, match="too few for 1000 a kind"):
        questions([tmp_path], 1000)


def test_peers_find_the_text_that_was_asked_for() -> None:
    texts = ["the red fox", "a green frog", "some blue fish"]
    peers: list[Peer] = [Vstore(TOY), Plain()]
    assert [peer.name for peer in installed(TOY)[:2]] == [peer.name for peer in peers]
    with built(peers, [("", text) for text in texts], TOY.embed_documents(texts)) as costs:
        for row, text in enumerate(texts):
            assert [peer.search(text, lambda text: TOY.embed_queries([text])[0])[0] for peer in peers] == [row, row]
    assert all(seconds > 0.0 and megabytes > 0.0 for seconds, megabytes in costs.values())
