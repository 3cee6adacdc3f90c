"""From a log and judgements to the queries that refinement works on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from vstore.judgements import Judgement
from vstore.refine.queries import AskedQuery, gather, plausible
from vstore.searches import LoggedQuery


def said(query: str, collection: str = "work", grade: float = 1.0) -> Judgement:
    return Judgement(query, collection, "a.md", 1, None, grade, datetime(2026, 1, 1, tzinfo=timezone.utc))


def test_equal_texts_of_a_collection_are_one_query_and_the_most_asked_comes_first() -> None:
    logged = [LoggedQuery("b", "", 2), LoggedQuery(" a  tea ", "work", 1), LoggedQuery("a tea", "work", 4)]
    assert gather(logged) == (AskedQuery("a tea", "work", 5), AskedQuery("b", "", 2))
    assert gather(reversed(logged)) == gather(logged)


def test_ten_thousand_times_the_same_query_is_one() -> None:
    assert gather([LoggedQuery("tea")] * 10_000) == (AskedQuery("tea", times=10_000),)


def test_a_judgement_goes_with_every_query_of_its_text_that_could_find_its_document() -> None:
    judgement = said("tea")
    queries = gather([LoggedQuery("tea"), LoggedQuery("tea", "work"), LoggedQuery("tea", "home")], [judgement])
    assert {query.collection: query.judgements for query in queries} == {
        "": (judgement,),
        "work": (judgement,),
        "home": (),
    }


def test_what_was_judged_but_never_logged_was_asked_once() -> None:
    assert gather([], [said("tea")]) == (AskedQuery("tea", judgements=(said("tea"),)),)


def test_blank_queries_are_left_out() -> None:
    assert gather([LoggedQuery(" \n")]) == ()


def test_a_document_that_is_pushed_as_the_answer_to_everything_is_set_aside() -> None:
    def asked(number: int, *documents: int) -> AskedQuery:
        text = f"question {number}"
        return AskedQuery(
            text, judgements=tuple(replace(said(text), document_id=one, uri=f"{one}.md") for one in documents)
        )

    honest = [asked(number, 100 + number) for number in range(40)]
    poisoned = [asked(number, 7, 100 + number) for number in range(40, 60)]
    kept, notes = plausible([*honest, *poisoned, AskedQuery("never judged")])
    assert [len(query.judgements) for query in kept] == [1] * 60 + [0]
    assert notes == (
        "document 7 is called relevant for 20 of 60 judged queries, which is not plausible; "
        "what was said of it was set aside (see: vstore feedback --list)",
    )


def test_a_common_answer_of_a_small_or_large_store_is_plausible() -> None:
    """Ten of twelve queries may well have one answer, and so may twenty of three hundred."""
    for total, same in ((12, 10), (300, 20)):
        queries = [
            AskedQuery(f"q {n}", judgements=(replace(said(f"q {n}"), document_id=1 if n < same else n + 9),))
            for n in range(total)
        ]
        assert plausible(queries) == (tuple(queries), ())
