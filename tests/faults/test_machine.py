"""Whatever two processes do in whatever order, a dictionary knows what must be found."""

from __future__ import annotations

from faults.machine import Machine, quickly
from hypothesis.stateful import run_state_machine_as_test


def test_anything_in_any_order_agrees_with_a_dictionary() -> None:
    run_state_machine_as_test(Machine, settings=quickly())
