"""The demonstration questions need what they claim to need, measured with the real model on the whole corpus."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vstore import Store
from vstore.results import Results
from vstore.sample import DEMO_QUERIES, DemoQuery, corpus_folder
from vstore.search.fuse import FUSIONS
from vstore.types import Embedder, Mode

# Which legs alone put the answer first.
LEGS: dict[str, set[str]] = {"keywords": {"lexical"}, "meaning": {"dense"}, "both": set()}


@pytest.fixture(scope="module")
def corpus() -> Iterator[Path]:
    with corpus_folder() as folder:
        yield folder.resolve()


@pytest.fixture(scope="module")
def store(corpus: Path, minilm: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("sample") / "sample.db", minilm) as store:
        report = store.add(corpus)
        assert not report.skipped
        yield store


def uris(results: Results) -> list[str]:
    return [hit.document.uri for hit in results]


@pytest.mark.parametrize("query", DEMO_QUERIES, ids=lambda query: query.text)
def test_only_the_legs_it_is_about_put_the_answer_first(store: Store, corpus: Path, query: DemoQuery) -> None:
    answer = f"{corpus.as_posix()}/{query.answer}"
    modes: tuple[Mode, ...] = ("dense", "lexical")
    assert {mode for mode in modes if uris(store.search(query.text, k=1, mode=mode)) == [answer]} == LEGS[query.kind]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("query", DEMO_QUERIES, ids=lambda query: query.text)
def test_fusion_puts_the_answer_first(store: Store, corpus: Path, query: DemoQuery, fusion: str) -> None:
    found = store.search(query.text, k=1, fusion=fusion)
    assert uris(found) == [f"{corpus.as_posix()}/{query.answer}"]
