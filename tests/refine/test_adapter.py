"""The trainer follows the true gradient, finds a map that is there to be found, and says when it cannot."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from vstore.adapter import Adapter
from vstore.errors import InputError, TrainingError
from vstore.refine.adapter import Lesson, Recipe, combined, divergences, loss_and_gradient, train

DIMENSION = 12


def units(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max())
    return (shares / shares.sum()).astype(np.float32)


def lessons(seed: int, n: int, planted: np.ndarray, documents: np.ndarray) -> list[Lesson]:
    """Queries whose teacher ranks documents by the cosine to `query + query @ planted`."""
    rng = np.random.default_rng(seed)
    made = []
    for query in units(rng, n, DIMENSION):
        goal = query + query @ planted
        candidates = documents[rng.permutation(len(documents))[: rng.integers(20, 30)]]
        target = softmax(candidates @ goal / np.linalg.norm(goal) / 0.05)
        made.append(Lesson(query, candidates, target))
    return made


@pytest.fixture(scope="module")
def planted() -> np.ndarray:
    return np.random.default_rng(7).normal(scale=0.3, size=(DIMENSION, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def documents() -> np.ndarray:
    return units(np.random.default_rng(8), 200, DIMENSION)


def test_the_loss_is_the_divergence_from_the_teacher() -> None:
    """By hand: cosines 1 and 0 at temperature 1 are shares of e / (e + 1) and 1 / (e + 1), the target is even."""
    lesson = Lesson(
        np.array([1.0, 0.0], np.float32), np.eye(2, dtype=np.float32), np.array([0.5, 0.5], dtype=np.float32)
    )
    loss, gradient = loss_and_gradient(np.zeros((2, 2), np.float32), [lesson], Recipe(temperature=1.0))
    share = np.e / (np.e + 1.0)
    assert loss == pytest.approx(0.5 * np.log(0.5 / share) + 0.5 * np.log(0.5 / (1.0 - share)), rel=1e-5)
    # Only the direction of the query counts, so its own component of the pull (share - 0.5, 0.5 - share) is lost.
    assert gradient == pytest.approx(np.array([[0.0, 0.5 - share], [0.0, 0.0]]), abs=1e-6)


def test_divergences_are_counted_by_query_with_the_step_that_serves() -> None:
    """By hand, as above; a quarter turn of the first query, by a step of 1, makes its cosines even."""
    even = Lesson(np.array([1.0, 0.0], np.float32), np.eye(2, dtype=np.float32), np.array([0.5, 0.5], np.float32))
    certain = replace(even, target=np.array([1.0, 0.0], np.float32))
    share = np.e / (np.e + 1.0)
    recipe = Recipe(temperature=1.0)
    untrained = [0.5 * np.log(0.5 / share) + 0.5 * np.log(0.5 / (1.0 - share)), -np.log(share)]
    assert divergences([even, certain], None, recipe) == pytest.approx(untrained, rel=1e-5)
    turn = Adapter(np.array([[0.0, 2.0], [0.0, 0.0]], np.float32), 0.5)
    assert divergences([even, certain], turn, recipe) == pytest.approx([0.0, np.log(2.0)], abs=1e-6)


def test_two_adapters_take_both_steps_at_once() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        Adapter(rng.normal(size=(4, 4)).astype(np.float32), alpha, pull) for alpha, pull in ((0.3, 0.2), (0.5, 0.1))
    )
    row = units(rng, 4)
    moved = row + 0.3 * row @ one.weights + 0.5 * row @ other.weights
    both = combined(one, other)
    assert both.apply(row) == pytest.approx(moved / np.linalg.norm(moved), abs=1e-6)
    assert both.pull == 0.2


def test_the_gradient_is_that_of_finite_differences(planted: np.ndarray, documents: np.ndarray) -> None:
    recipe = Recipe(temperature=0.5, penalty=0.1)
    some = lessons(1, 5, planted, documents)
    weights = np.random.default_rng(2).normal(scale=0.1, size=planted.shape).astype(np.float32)
    _, gradient = loss_and_gradient(weights, some, recipe)
    for row, column in np.random.default_rng(3).integers(DIMENSION, size=(20, 2)):
        step = np.zeros_like(weights)
        step[row, column] = 1e-2
        above, _ = loss_and_gradient(weights + step, some, recipe)
        below, _ = loss_and_gradient(weights - step, some, recipe)
        assert gradient[row, column] == pytest.approx((above - below) / 2e-2, abs=1e-4)


def test_a_planted_map_is_found_and_holds_for_queries_never_seen(planted: np.ndarray, documents: np.ndarray) -> None:
    recipe = Recipe(alpha=1.0, penalty=0.0, learning_rate=1e-2)
    trained = train(lessons(4, 300, planted, documents), recipe)
    assert trained.losses[-1] < 0.05 * trained.losses[0]
    unseen = units(np.random.default_rng(5), 100, DIMENSION)
    goals = unseen + unseen @ planted
    goals /= np.linalg.norm(goals, axis=1, keepdims=True)
    before, after = (unseen * goals).sum(axis=1), (trained.adapter.apply(unseen) * goals).sum(axis=1)
    assert before.mean() < 0.9 < 0.99 < after.mean()


def test_a_teacher_that_agrees_already_leaves_queries_where_they_are(documents: np.ndarray) -> None:
    trained = train(lessons(6, 100, np.zeros((DIMENSION, DIMENSION), np.float32), documents), Recipe(alpha=1.0))
    unseen = units(np.random.default_rng(5), 100, DIMENSION)
    assert np.all((trained.adapter.apply(unseen) * unseen).sum(axis=1) > 0.999)


def test_equal_seeds_give_equal_adapters_and_others_do_not(planted: np.ndarray, documents: np.ndarray) -> None:
    some = lessons(4, 80, planted, documents)
    first, again, other = (train(some, seed=seed).adapter.weights for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_epoch_begins_after_the_deadline(planted: np.ndarray, documents: np.ndarray) -> None:
    some = lessons(4, 40, planted, documents)
    trained = train(some, deadline=time.monotonic())
    assert trained.losses == ()
    assert not trained.adapter.weights.any()
    assert len(train(some, deadline=time.monotonic() + 60.0).losses) == Recipe().epochs


def test_there_must_be_something_to_learn_from() -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        train([])


@pytest.mark.parametrize("part", ["query", "candidates", "target"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(
    planted: np.ndarray, documents: np.ndarray, part: str, bad: float
) -> None:
    good, other = lessons(4, 2, planted, documents)
    broken = getattr(good, part).copy()
    broken.flat[0] = bad
    with pytest.raises(InputError, match="NaN or infinity"):
        train([other, replace(good, **{part: broken})])


def test_lessons_that_do_not_fit_together_are_refused(planted: np.ndarray, documents: np.ndarray) -> None:
    good, other = lessons(4, 2, planted, documents)
    for wrong in (
        replace(good, query=good.query[:5]),
        replace(good, target=good.target[:-1]),
        replace(good, candidates=good.candidates[:0], target=good.target[:0]),
    ):
        with pytest.raises(InputError, match="a lesson has a query of shape"):
            train([other, wrong])


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_training_that_diverges_is_an_error(planted: np.ndarray, documents: np.ndarray) -> None:
    some = lessons(4, 80, planted, documents)
    with pytest.raises(TrainingError, match="diverged in epoch 1"):
        train(some, Recipe(learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"diverged in epoch 2 \(loss .* at first, now .*\); the store keeps"):
        train(some, Recipe(penalty=1.0, learning_rate=5.0, batch=80))
