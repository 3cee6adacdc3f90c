"""Stages move candidates back where the first places are crowded, and drop none."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Store
from vstore.embed.runtime import OnnxEmbedder
from vstore.search.stages import Facts, collapse, crowded, diversify
from vstore.types import Candidate, Contribution, Mode, StoredChunk, StoredDocument

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOTE = (
    "The oven in the back kitchen must cool down for an hour before anyone opens its side panel. The fan keeps turning "
    "after the switch is off, and the panel can spring back. Wear the long gloves and tell the shift leader first."
)
Row = tuple[int, float, float | None]  # document id, score, direction of the vector in degrees


def chunk(chunk_id: int, document_id: int, text: str = "text", title: str = "") -> StoredChunk:
    document = StoredDocument(document_id, "default", f"{document_id}", title, "text/plain", {}, (), NOW, NOW)
    return StoredChunk(chunk_id, document, 0, 0, len(text), "", text)


def ranked(*rows: Row) -> tuple[list[Candidate], Facts]:
    """Candidates with the chunk ids 1, 2, 3 ... and the facts about them."""
    candidates, chunks, vectors = [], {}, {}
    for chunk_id, (document_id, score, degrees) in enumerate(rows, start=1):
        candidates.append(Candidate(chunk_id, (Contribution("dense", score),)))
        chunks[chunk_id] = chunk(chunk_id, document_id)
        if degrees is not None:
            direction = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            vectors[chunk_id] = np.array(direction, dtype=np.float32)
    return candidates, Facts(chunks, vectors)


def ids(candidates: list[Candidate]) -> list[int]:
    return [candidate.chunk_id for candidate in candidates]


def by_score(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row[1])


rows = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 9).map(float), st.none() | st.integers(0, 120).map(float)), max_size=30
).map(by_score)


# --- diversity --------------------------------------------------------------------------------------------------------


# Eight of ten chunks from document 1, all alike; the relevance of the last places is scaled to 0.03, 0.02, 0.01 and 0.
CROWD: list[Row] = [(1, 100.0 - place, 0.0) for place in range(6)]
CROWD += [(1, 3.0, 0.0), (1, 2.0, 0.0), (2, 1.0, 90.0), (3, 0.0, 90.0)]


def test_redundant_chunks_of_a_crowding_document_give_way() -> None:
    """Alike, they lose 0.1: the 7th and 8th are worth 0.9 * 0.03 - 0.1 and 0.9 * 0.02 - 0.1, less than 0."""
    candidates, facts = ranked(*CROWD)
    assert ids(diversify(candidates, facts)) == [1, 2, 3, 4, 5, 6, 9, 10, 7, 8]


def test_different_chunks_of_a_crowding_document_stay() -> None:
    candidates, facts = ranked(
        *((1, score, 90.0 * place) for place, (_, score, _) in enumerate(CROWD[:2])), (2, 0.0, 0.0)
    )
    assert ids(diversify(candidates, facts)) == [1, 2, 3]


def test_seven_of_the_first_ten_are_no_crowd() -> None:
    candidates, facts = ranked(*CROWD[:7], *CROWD[8:], (4, -1.0, 90.0))
    assert diversify(candidates, facts) is candidates


def test_a_document_that_is_alone_keeps_its_order() -> None:
    candidates, facts = ranked(*CROWD[:8])
    assert diversify(candidates, facts) is candidates


def test_candidates_without_facts_stay_behind() -> None:
    candidates, facts = ranked(*CROWD)
    behind = Candidate(11, (Contribution("dense", -1.0),))
    assert ids(diversify([*candidates, behind], facts)) == [1, 2, 3, 4, 5, 6, 9, 10, 7, 8, 11]


@given(rows)
def test_diversity_never_changes_the_order_of_documents_by_their_first_chunk(rows: list[Row]) -> None:
    candidates, facts = ranked(*rows)
    after = diversify(candidates, facts)

    def documents(order: list[Candidate]) -> list[int]:
        return list(dict.fromkeys(facts.chunks[candidate.chunk_id].document.id for candidate in order))

    assert sorted(ids(after)) == sorted(ids(candidates))
    assert documents(after) == documents(candidates)


# --- near-copies ------------------------------------------------------------------------------------------------------


def test_near_copies_go_behind_everything_and_are_named() -> None:
    candidates, facts = ranked((1, 9.0, 0.0), (2, 8.0, 0.0), (3, 7.0, 90.0), (4, 6.0, 5.0), (5, 5.0, 95.0))
    behind = Candidate(9, (Contribution("dense", -1.0),))
    after = collapse([*candidates, behind], facts)
    assert ids(after) == [1, 3, 9, 2, 4, 5]
    assert [candidate.duplicates for candidate in after] == [(2, 4), (5,), (), (), (), ()]
    assert [candidate.score for candidate in after] == [9.0, 7.0, -1.0, 8.0, 6.0, 5.0]


@pytest.mark.parametrize(("copies", "acts"), [(0, False), (3, False), (4, True)])
def test_four_near_copies_in_ten_are_dense(copies: int, acts: bool) -> None:
    rows: list[Row] = [(place, 20.0 - place, 18.0 * place) for place in range(10 - copies)]
    rows += [(50 + place, 5.0 - place, 0.0) for place in range(copies)]
    candidates, facts = ranked(*rows, (99, 0.0, 18.0))
    assert crowded(candidates, facts) is acts
    assert (collapse(candidates, facts) is not candidates) is acts


def test_a_chunk_is_a_copy_of_one_that_stays() -> None:
    """12 degrees apart is a cosine of 0.978, 24 degrees one of 0.914: the third is close to the second only."""
    candidates, facts = ranked((1, 9.0, 0.0), (2, 8.0, 12.0), (3, 7.0, 24.0), (4, 6.0, 0.0))
    assert ids(collapse(candidates, facts)) == [1, 3, 2, 4]


def test_repetition_inside_a_document_is_not_collapsed() -> None:
    candidates, facts = ranked((1, 9.0, 0.0), (1, 8.0, 0.0))
    assert collapse(candidates, facts) is candidates


def test_a_chunk_without_a_vector_is_no_copy() -> None:
    candidates, facts = ranked((1, 9.0, None), (2, 8.0, None))
    assert collapse(candidates, facts) is candidates
    assert collapse([], Facts({}, {})) == []


@pytest.mark.parametrize(
    ("text", "title", "is_copy"),
    [
        ("Backups are kept for 30 days.", "", True),
        ("Backups are kept for 30 days. Page 2.", "", True),
        ("Backups are kept for some days.", "", True),
        ("Backups are kept for 90 days.", "", False),
        ("Backups are kept for 90 days.", "30", True),
    ],
)
def test_near_copies_differ_in_no_number(text: str, title: str, is_copy: bool) -> None:
    candidates, facts = ranked((1, 9.0, 0.0), (2, 8.0, 0.0))
    chunks = {1: chunk(1, 1, "Backups are kept for 30 days."), 2: chunk(2, 2, text, title)}
    after = collapse(candidates, Facts(chunks, facts.vectors))
    assert [candidate.duplicates for candidate in after] == ([(2,), ()] if is_copy else [(), ()])


@given(rows)
def test_collapse_drops_nothing_and_names_what_it_moves(rows: list[Row]) -> None:
    candidates, facts = ranked(*rows)
    after = collapse(candidates, facts)
    moved = [chunk_id for candidate in after for chunk_id in candidate.duplicates]
    assert sorted(ids(after)) == sorted(ids(candidates))
    assert sorted(ids(after)[len(after) - len(moved) :]) == sorted(moved)


@given(rows)
def test_where_nothing_is_crowded_no_stage_acts(rows: list[Row]) -> None:
    candidates, facts = ranked(*rows)
    shown = Facts({key: facts.chunks[key] for key in ids(candidates)[:10]}, facts.vectors)
    if not crowded(candidates, shown):
        assert collapse(diversify(candidates, facts), facts) == candidates


# --- with a store -----------------------------------------------------------------------------------------------------

sections = st.lists(st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1, max_size=3), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(
    documents=st.lists(st.tuples(sections, st.booleans()), min_size=1, max_size=8),
    k=st.integers(1, 30),
    mode=st.sampled_from(["hybrid", "dense", "lexical"]),
    diversity=st.booleans(),
    collapse=st.booleans(),
    filtered=st.booleans(),
)
def test_a_search_returns_k_or_all_that_match(
    documents: list[tuple[list[list[str]], bool]],
    k: int,
    mode: Mode,
    diversity: bool,
    collapse: bool,
    filtered: bool,
) -> None:
    """And no chunk twice; and a larger k continues the results of a smaller one."""
    with TemporaryDirectory() as folder, Store(Path(folder) / "memory.db", ToyEmbedder()) as store:
        for number, (parts, flag) in enumerate(documents):
            text = "\n\n".join(f"# h\n\n{' '.join(words)}" for words in parts)
            store.remember(text, uri=str(number), metadata={"flag": flag}, media_type="text/markdown")
        scope = [parts for parts, flag in documents if flag or not filtered]
        matching = sum("red" in words or mode != "lexical" for parts in scope for words in parts)

        def search(k: int) -> list[int]:
            where = {"flag": True} if filtered else None
            found = store.search("red", k, mode=mode, diversity=diversity, collapse=collapse, where=where)
            return [hit.chunk_id for hit in found]

        found = search(k)
        assert len(found) == len(set(found)) == min(k, matching)
        assert search(30)[:k] == found == search(k)


def test_copies_of_a_note_are_collapsed_and_records_of_one_form_are_not(tmp_path: Path, minilm: OnnxEmbedder) -> None:
    query = "how do I open the side panel of the oven?"
    with Store(tmp_path / "memory.db", minilm) as store:
        store.remember(NOTE, uri="note")
        store.remember(f"From: anna@example.org\nForwarded message\n\n{NOTE}", uri="mail")
        store.remember(NOTE.replace("the long gloves", "long gloves"), uri="draft")
        store.remember(NOTE.replace("first.", "first!"), uri="slip")
        store.remember(f"{NOTE}\n\nPrinted on 3 May. Page 1 of 2.", uri="print")
        for day in range(1, 10):
            store.remember(f"Oven check on day {day}: the panel was opened at {day + 5} o'clock by the early shift.")
        whole = store.search(query, collapse=False)
        results = store.search(query, k=14)
    assert {hit.document.uri for hit in whole[:5]} == {"note", "mail", "draft", "slip", "print"}
    assert set(results[0].duplicates) == {hit.chunk_id for hit in whole[:5]} - {results[0].chunk_id}
    assert {hit.chunk_id for hit in results[-4:]} == set(results[0].duplicates)
    assert [hit.duplicates for hit in results[1:]] == [()] * 13
