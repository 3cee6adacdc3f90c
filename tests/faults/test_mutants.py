"""The checks of this suite notice what they are there for: each broken variant of vstore is found out."""

from __future__ import annotations

import pytest
from faults.mutants import mutants


@pytest.mark.parametrize("name", mutants())
def test_a_broken_variant_is_found_out_and_the_real_one_is_not(name: str) -> None:
    mutant = mutants()[name]
    assert mutant.found(broken=False) == []
    assert mutant.found(broken=True) != []
