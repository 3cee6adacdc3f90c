"""The demonstration questions need what they claim to need, measured with the real model on the whole corpus.

Measured in the store that `vstore demo` leaves: embedding the corpus is most of the time that either takes.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vstore import Store, config
from vstore.results import Results
from vstore.sample import DEMO_QUERIES, DemoQuery, corpus_folder
from vstore.search.fuse import FUSIONS
from vstore.types import Embedder, Mode

# Which legs alone put the answer first.
LEGS: dict[str, set[str]] = {"keywords": {"lexical"}, "meaning": {"dense"}, "both": set()}
BOTH = tuple(query for query in DEMO_QUERIES if query.kind == "both")

# What each leg puts before the answer, as the notes say.
PREFERRED: dict[str, dict[Mode, str]] = {
    "bread from 24-063 tastes bitter": {"lexical": "notes/sieve-test.md", "dense": "howto/rescue-a-sour-loaf.md"},
    "shipment 5512 arrived broken": {"lexical": "notes/shelduck-ring.md", "dense": "letters/carrier-apology.txt"},
    "invoice 3072 paid twice": {"lexical": "notes/mackerel-dinghy.md", "dense": "tickets/tickets.jsonl#T-116"},
}

# Words of the passage that answers, so that the right document does not win for the wrong reason.
PASSAGES: dict[str, str] = {
    "E-4471": "E-4471",
    "pattern 77-3114": "77-3114",
    "unixepoch": "unixepoch",
    "cardiac arrest": "pressing hard in the middle of the chest",
    "newborn infants": "Two girls, Elowen and Maud, born",
    "may we celebrate our marriage with you?": "you may hold the party on the quay",
    "may I take my pets with me?": "Yes, on a lead",
    "bread from 24-063 tastes bitter": "nasty, sharp edge",
    "shipment 5512 arrived broken": "delivered to us broken",
    "invoice 3072 paid twice": "bill 3072",
}


@pytest.fixture(scope="module")
def corpus() -> Iterator[Path]:
    with corpus_folder() as folder:
        yield folder.resolve()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sample")


@pytest.fixture(scope="module")
def demo(home: Path, minilm: Embedder) -> str:
    """What the demo says to somebody who has no store yet."""
    changed = {"VSTORE_CONFIG": str(home / "config.toml"), "XDG_DATA_HOME": str(home / "data")}
    kept = {name: value for name, value in os.environ.items() if name != "VSTORE_DB"}
    done = subprocess.run(
        [sys.executable, "-m", "vstore", "demo"], capture_output=True, text=True, check=False, env=kept | changed
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def store(home: Path, demo: str, corpus: Path, minilm: Embedder) -> Iterator[Store]:
    with Store(home / "data" / "vstore" / "demo.db", minilm, log=False, metrics=False) as store:
        assert not store.add(corpus, collection="demo").skipped, "all of it was taken"
        yield store


def test_demo_shows_that_every_kind_of_query_finds_its_answer(demo: str, home: Path) -> None:
    for kind in ("keywords put the answer first", "meaning puts the answer first", "only both together"):
        assert kind in demo
    answers = [line for line in demo.splitlines() if line.lstrip().startswith("the answer is in ")]
    assert len(answers) >= 8
    assert all(": document number 1, by" in line for line in answers)
    assert str(home / "data" / "vstore" / "demo.db") in demo.splitlines()[-1]


def ranked(results: Results) -> list[str]:
    """The documents found, best first, each once."""
    return list(dict.fromkeys(hit.document.uri for hit in results))


@pytest.mark.parametrize("query", DEMO_QUERIES, ids=lambda query: query.text)
def test_only_the_legs_it_is_about_put_the_answer_first(store: Store, corpus: Path, query: DemoQuery) -> None:
    answer = f"{corpus.as_posix()}/{query.answer}"
    modes: tuple[Mode, ...] = ("dense", "lexical")
    assert {mode for mode in modes if ranked(store.search(query.text, k=1, mode=mode)) == [answer]} == LEGS[query.kind]


@pytest.mark.parametrize("query", DEMO_QUERIES, ids=lambda query: query.text)
def test_the_first_passage_is_the_one_that_answers(store: Store, query: DemoQuery) -> None:
    assert PASSAGES[query.text] in store.search(query.text, k=1)[0].text


@pytest.mark.parametrize("query", BOTH, ids=lambda query: query.text)
def test_each_leg_prefers_the_document_the_note_names_and_has_the_answer_second(
    store: Store, corpus: Path, query: DemoQuery
) -> None:
    for mode, preferred in PREFERRED[query.text].items():
        wanted = [f"{corpus.as_posix()}/{path}" for path in (preferred, query.answer)]
        assert ranked(store.search(query.text, mode=mode))[:2] == wanted


def test_the_default_rule_and_both_reciprocal_rank_rules_are_among_those_tested() -> None:
    assert {config.DEFAULT_FUSION, "rrf", "rrf-fixed"} <= set(FUSIONS)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("query", DEMO_QUERIES, ids=lambda query: query.text)
def test_every_fusion_puts_the_answer_first(store: Store, corpus: Path, query: DemoQuery, fusion: str) -> None:
    found = store.search(query.text, k=1, fusion=fusion)
    assert ranked(found) == [f"{corpus.as_posix()}/{query.answer}"]


@pytest.mark.parametrize("query", BOTH, ids=lambda query: query.text)
def test_calibrated_fusion_decides_clearly_where_it_takes_both(store: Store, query: DemoQuery) -> None:
    """By 2 points: the runner-up would be matched by chance about seven times (e squared) as often."""
    first, *others = store.search(query.text, fusion="calibrated")
    runner_up = next(hit for hit in others if hit.document.uri != first.document.uri)
    assert first.score - runner_up.score > 2.0
