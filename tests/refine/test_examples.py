"""A batch holds no text beside a query that is known to answer it, but in that query's own row."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore.errors import InputError
from vstore.refine.examples import Example, batches, folded

TEXTS = st.sampled_from([f"text {number}" for number in range(6)] + ["Text 1", " text  2 "])
EXAMPLES = st.lists(
    st.builds(
        Example,
        st.sampled_from([f"query {number}" for number in range(4)] + ["Query 1"]),
        TEXTS,
        st.lists(TEXTS, max_size=4).map(tuple),
    ),
    min_size=1,
    max_size=20,
)


def made(examples: list[Example], size: int = 4, negatives: int = 2, **more: int) -> list[list[Example]]:
    return batches(examples, size, negatives, **{"seed": 0, "epoch": 0, **more})


def example(number: int, negatives: int) -> Example:
    return Example(f"query {number}", f"positive {number}", tuple(f"negative {number} {n}" for n in range(negatives)))


@given(EXAMPLES, st.integers(1, 5), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_no_batch_has_a_false_negative(examples: list[Example], size: int, negatives: int, epoch: int) -> None:
    answers: dict[str, set[str]] = {}
    for one in examples:
        answers.setdefault(folded(one.query), set()).add(folded(one.positive))
    packed = made(examples, size, negatives, epoch=epoch)
    widths = {len(one.negatives) for batch in packed for one in batch}
    assert len(widths) <= 1 and max(widths, default=0) <= negatives
    pairs = [(folded(one.query), folded(one.positive)) for batch in packed for one in batch]
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) <= {(folded(one.query), folded(one.positive)) for one in examples}
    if widths == {0}:
        assert len(pairs) == len({(folded(one.query), folded(one.positive)) for one in examples})
    for batch in packed:
        assert 0 < len(batch) <= size
        assert len({folded(one.query) for one in batch}) == len({folded(one.positive) for one in batch}) == len(batch)
        for row in batch:
            beside = [one.positive for one in batch if one is not row]
            beside += [text for one in batch for text in one.negatives]
            assert not {folded(text) for text in beside} & answers[folded(row.query)]


def test_seed_and_epoch_decide_the_order() -> None:
    examples = [example(number, 2) for number in range(10)]
    assert made(examples) == made(examples)
    assert made(examples) != made(examples, seed=1)
    assert made(examples) != made(examples, epoch=1)
    assert [len(batch) for batch in made(examples)] == [4, 4, 2]


def test_the_first_negatives_are_taken_and_missing_ones_come_from_other_examples() -> None:
    full, short, none = example(1, 3), example(2, 1), example(3, 0)
    rows = {row.query: row for batch in made([full, short, none]) for row in batch}
    assert rows["query 1"].negatives == ("negative 1 0", "negative 1 1")
    assert rows["query 2"].negatives[0] == "negative 2 0"
    assert set(rows["query 2"].negatives[1:] + rows["query 3"].negatives) <= {
        "negative 1 0", "negative 1 1", "negative 2 0",
    }  # fmt: skip
    assert len(rows["query 3"].negatives) == 2


def test_without_negatives_there_are_only_pairs() -> None:
    assert {one.negatives for batch in made([example(1, 0), example(2, 0)]) for one in batch} == {()}
    assert {one.negatives for batch in made([example(1, 3)], negatives=0) for one in batch} == {()}


def test_nothing_and_empty_texts_are_refused() -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        made([])
    for one in (Example(" ", "a"), Example("a", ""), Example("a", "b", ("c", ""))):
        with pytest.raises(InputError, match="empty text"):
            made([one])
