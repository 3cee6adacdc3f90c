"""The map itself: a step in the direction of the matrix, and back to length 1."""

from __future__ import annotations

import numpy as np
import pytest

from vstore.adapter import Adapter, shares
from vstore.errors import InputError


def test_a_vector_moves_by_alpha_times_its_image_and_keeps_length_1() -> None:
    quarter_turn = np.array([[0.0, 1.0], [-1.0, 0.0]], dtype=np.float32)
    moved = Adapter(quarter_turn, 0.75).apply(np.array([1.0, 0.0], dtype=np.float32))
    assert moved.dtype == np.float32
    assert moved == pytest.approx([0.8, 0.6])  # (1, 0.75) / 1.25


def test_rows_are_mapped_one_by_one() -> None:
    weights = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    rows = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    adapter = Adapter(weights, 0.3)
    assert np.allclose(adapter.apply(rows), [adapter.apply(row) for row in rows], atol=1e-6)


def test_no_step_and_no_weights_change_nothing() -> None:
    row = np.array([0.6, 0.8], dtype=np.float32)
    assert np.array_equal(Adapter(np.ones((2, 2), dtype=np.float32), 0.0).apply(row), row)
    assert np.array_equal(Adapter(np.zeros((2, 2), dtype=np.float32), 1.0).apply(row), row)


def test_a_vector_that_would_vanish_stays() -> None:
    row = np.array([1.0, 0.0], dtype=np.float32)
    assert np.array_equal(Adapter(-np.eye(2, dtype=np.float32), 1.0).apply(row), row)


@pytest.mark.parametrize("weights", [np.zeros((2, 3)), np.zeros(4), np.array([[np.nan]]), np.array([[np.inf]])])
def test_what_is_no_finite_square_matrix_is_refused(weights: np.ndarray) -> None:
    with pytest.raises(InputError, match="square matrix of finite numbers"):
        Adapter(weights.astype(np.float32), 0.5)


@pytest.mark.parametrize("step", [-0.1, float("nan"), float("inf")])
def test_steps_are_numbers_from_0_on(step: float) -> None:
    for alpha, pull in ((step, 0.0), (0.0, step)):
        with pytest.raises(InputError, match="steps of an adapter"):
            Adapter(np.eye(2, dtype=np.float32), alpha, pull)


def test_a_pull_goes_towards_the_weighted_mean_of_what_was_found() -> None:
    adapter = Adapter(np.zeros((2, 2), dtype=np.float32), 0.0, pull=2.0)
    found = np.eye(2, dtype=np.float32)
    pulled = adapter.pulled(np.array([1.0, 0.0], np.float32), found, np.array([0.25, 0.75], np.float32))
    assert pulled == pytest.approx([1.5 / np.sqrt(4.5), 1.5 / np.sqrt(4.5)])  # (1, 0) + 2 * (0.25, 0.75)


def test_shares_are_the_softmax_of_scores_scaled_to_1() -> None:
    """By hand: 5, 0 and 10 become 0.5, 0 and 1; at temperature 0.5 their weights are e, 1 and e^2."""
    weights = np.array([np.e, 1.0, np.e**2])
    assert shares([5.0, 0.0, 10.0], temperature=0.5) == pytest.approx(weights / weights.sum())
    assert shares([3.0, 3.0]) == pytest.approx([0.5, 0.5])
    assert shares([-1e300, 1e300]) == pytest.approx([np.exp(-10), 1.0], rel=1e-4)
