"""Mining keeps what both rankings vouch for, and of what one of them adds only what is hardly an answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from refine.test_queries import said
from refine.world import TOY, made, questions

from vstore import Store, config
from vstore.refine.mine import Disagreement, mine, rates, rows
from vstore.refine.queries import AskedQuery, gather
from vstore.refine.teacher import as_asked, embedded, searched
from vstore.search.fuse import reciprocal_ranks


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    yield from made(tmp_path_factory.mktemp("mine") / "memory.db", asked=0)


@pytest.fixture(scope="module")
def mined(store: Store) -> list[Disagreement]:
    return mine(store.index, TOY, [AskedQuery(text) for text in questions(40)])


def tops(store: Store, query: AskedQuery) -> tuple[list[int], list[int], list[int]]:
    """The first chunks by meaning and by keywords, and all candidates in the order of the search."""
    (vector,) = embedded(TOY, [query])
    with searched(store.index, TOY, as_asked(query), vector) as (_, found):
        meaning, keywords = (
            [candidate.chunk_id for candidate in reciprocal_ranks(found.evidence, weight)][:10]
            for weight in (0.05, 0.95)
        )
        return meaning, keywords, [candidate.chunk_id for candidate in found.candidates]


def test_positives_are_among_the_first_of_both_rankings_and_of_the_search(
    store: Store, mined: list[Disagreement]
) -> None:
    for each in mined:
        meaning, keywords, fused = tops(store, each.query)
        for chunk in each.positives:
            assert chunk.chunk_id in set(meaning) & set(keywords) & set(fused[: config.MINING_POSITIVE_RANK])
            assert chunk.source == "consensus"
    assert sum(bool(each.positives) for each in mined) > 30


def test_negatives_are_what_only_one_ranking_has_and_no_possible_answers(
    store: Store, mined: list[Disagreement]
) -> None:
    for each in mined:
        meaning, keywords, fused = tops(store, each.query)
        assert len(each.negatives) <= config.MINING_NEGATIVES
        for chunk in each.negatives:
            assert chunk.chunk_id not in (keywords if chunk.source == "meaning" else meaning)
            assert chunk.chunk_id not in fused[: config.MINING_GAP]
            assert chunk.score < config.MINING_BAR
        if each.negatives:
            assert each.positives
    assert {chunk.source for each in mined for chunk in each.negatives} == {"meaning", "keywords"}


def test_a_possible_answer_is_replaced_by_the_next_candidate(
    store: Store, mined: list[Disagreement], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bar nothing passes, there are no negatives; with none, as many as before: refilled, not dropped."""
    assert sum(each.passed_over for each in mined) > 0
    full = [len(each.negatives) for each in mined if each.positives]
    assert sum(count == config.MINING_NEGATIVES for count in full) > 0.8 * len(full)
    monkeypatch.setattr(config, "MINING_BAR", 0.0)
    again = mine(store.index, TOY, [each.query for each in mined])
    assert not any(each.negatives for each in again)


def test_judgements_overrule_both_rankings(store: Store, mined: list[Disagreement]) -> None:
    plain = next(each for each in mined if each.negatives)
    text = plain.query.text
    wrong, right = plain.positives[0].chunk_id, plain.negatives[0].chunk_id
    query = AskedQuery(
        text,
        judgements=tuple(replace(said(text), chunk_id=one, grade=grade) for one, grade in ((wrong, 0.0), (right, 2.0))),
    )
    (judged,) = mine(store.index, TOY, [query])
    assert [(chunk.chunk_id, chunk.source) for chunk in judged.positives] == [(right, "judged")]
    assert (judged.negatives[0].chunk_id, judged.negatives[0].source) == (wrong, "judged")


def test_rates_count_sets_and_first_places_by_collection(store: Store, mined: list[Disagreement]) -> None:
    found = rates(mined)[""]
    sets, firsts = [], []
    for each in mined:
        meaning, keywords, _ = tops(store, each.query)
        sets.append(set(meaning) != set(keywords))
        firsts.append(meaning[0] != keywords[0])
    assert (found.queries, found.sets_differ, found.first_differs) == (
        40, sum(sets) / 40, sum(firsts) / 40,
    )  # fmt: skip
    assert json.loads(json.dumps(found.to_dict()))["queries"] == 40


def test_what_was_mined_can_be_read_with_its_provenance(store: Store, mined: list[Disagreement]) -> None:
    each = next(each for each in mined if each.negatives)
    (row,) = rows(store.index, [each])
    assert json.loads(json.dumps(row)) == row
    assert row["query"] == each.query.text
    for side in ("positives", "negatives"):
        for chunk in row[side]:
            assert store.get(chunk["chunk_id"]).text == chunk["text"]
            assert chunk["ranks"]["fused"] >= 1


def test_a_chunk_that_is_gone_by_then_is_left_out(tmp_path: Path) -> None:
    for store in made(tmp_path / "memory.db", asked=0):
        mined = mine(store.index, TOY, [AskedQuery(text) for text in questions(10)])
        each = next(each for each in mined if each.positives)
        gone = store.get(each.positives[0].chunk_id).document.uri
        store.forget(gone)
        (row,) = rows(store.index, [each])
        assert gone not in [chunk["uri"] for chunk in row["positives"]]
        assert len(row["positives"]) == len(each.positives) - 1


def test_nothing_is_mined_from_queries_that_find_nothing_or_come_too_late(tmp_path: Path) -> None:
    with Store(tmp_path / "empty.db", TOY, log=False, metrics=False) as empty:
        assert mine(empty.index, TOY, [AskedQuery("anything")]) == []
    for store in made(tmp_path / "memory.db", asked=0):
        assert mine(store.index, TOY, gather([]), deadline=None) == []
        assert mine(store.index, TOY, [AskedQuery("amberstone")], deadline=time.monotonic()) == []
