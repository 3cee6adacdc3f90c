"""The map itself: a step in the direction of the matrix, and back to length 1."""

from __future__ import annotations

import numpy as np
import pytest

from vstore.adapter import Adapter
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


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_a_step_is_a_number_from_0_on(alpha: float) -> None:
    with pytest.raises(InputError, match="step of an adapter"):
        Adapter(np.eye(2, dtype=np.float32), alpha)
