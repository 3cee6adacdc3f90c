"""The tables of bench/refine.py say what the runs say: a refused candidate changes nothing, harm is counted."""

from __future__ import annotations

from typing import Any

import pytest

from bench.refine import SABOTAGE, by_question, feedback_table, gate_table, sabotage_table


def run(kind: str, seed: int, promoted: bool, gains: dict[str, float] | None, **more: Any) -> dict[str, Any]:
    found = {"collection": "toy", "seed": seed, "kind": kind, "train": 7, "held_out": 3, "promoted": promoted}
    found |= {"trainer": "adapter", **more}
    if gains is None:
        return found
    return {**found, "fused": {q: (0.5, gain) for q, gain in gains.items()}, "dense": {q: (0.4, 0.1) for q in gains}}


RUNS = [
    run("genuine", 0, True, {"a": 0.02, "b": 0.0}),
    run("genuine", 1, False, {"b": 0.04, "c": 0.06}),
    run("night", 0, True, {"a": 0.02, "b": 0.0}),
    run("night", 1, True, {"b": 0.01, "c": -0.02}, trainer="pull"),
    run("night", 2, False, {"a": 0.06}, trainer="pull"),
    run("shuffled teacher", 0, True, {"a": -0.02, "b": 0.0}),
    run("shuffled teacher", 1, False, None),
]


def test_a_question_of_several_runs_counts_once_with_its_mean_gain() -> None:
    genuine = RUNS[:2]
    assert by_question(genuine, "fused", gated=False) == {"a": (0.5, 0.02), "b": (0.5, 0.02), "c": (0.5, 0.06)}
    assert by_question(genuine, "fused", gated=True) == {"a": (0.5, 0.02), "b": (0.5, 0.0), "c": (0.5, 0.0)}


def test_what_is_refused_gains_nothing() -> None:
    """And without a gate the map serves, whatever the night came to."""
    (row,) = gate_table(RUNS)
    assert (row["log"], row["maps and pulls promoted"]) == (10, "1 and 1 of 3")
    assert row["fused, no gate"] == pytest.approx((0.02 + 0.02 + 0.06) / 3)
    assert row["fused, gated"] == pytest.approx(((0.02 + 0.0) / 2 + (0.0 + 0.01) / 2 - 0.02) / 3)
    assert row["worst seed"] == pytest.approx(-0.005)


def test_harm_and_use_are_counted_by_the_true_change() -> None:
    rows = {row["candidates"]: row for row in sabotage_table(RUNS)}
    assert set(rows) == {"night", "genuine", *SABOTAGE}
    assert (rows["night"]["useful ones promoted"], rows["night"]["harmful among promoted"]) == ("1 of 2", 1)
    assert (rows["genuine"]["useful ones promoted"], rows["genuine"]["harmful among promoted"]) == ("1 of 2", 0)
    assert (rows["shuffled teacher"]["promoted"], rows["shuffled teacher"]["harmful among promoted"]) == (1, 1)


def test_feedback_is_summed_up_by_the_number_of_judged_queries() -> None:
    runs = [
        run("", 0, True, {"a": -0.04}, judged=30),
        run("", 1, True, {"a": 0.02}, judged=30),
        run("", 0, False, {"a": 0.3}, judged=10),
    ]
    ten, thirty = feedback_table(runs)
    assert (ten["judged"], ten["promoted"], ten["fused gain"], ten["seeds that lose .01"]) == (10, 0, 0.0, 0)
    assert (thirty["promoted"], thirty["worst seed"], thirty["seeds that lose .01"]) == (2, -0.04, 1)
    assert thirty["fused gain"] == pytest.approx(-0.01)
