"""From a log and judgements to the queries that refinement works on."""

from __future__ import annotations

from datetime import datetime, timezone

from vstore.judgements import Judgement
from vstore.refine.queries import AskedQuery, gather
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
