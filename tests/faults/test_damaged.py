"""What is damaged or not ours is refused, with a reason and unchanged, or used rightly; it never ends the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.checks import BEHIND, damage
from faults.damaged import HAND_MADE, MUTATIONS, NEW, REFUSED, SERVED, UNKNOWN, Answer, Worker, good, mutated

from vstore.maintenance import check


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    begun = Worker()
    yield begun
    begun.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good store, not to be changed."""
    path = tmp_path_factory.mktemp("good") / "memory.db"
    good(path)
    return path


@pytest.fixture(scope="module")
def right(worker: Worker, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """What a good store is answered with."""
    path = tmp_path_factory.mktemp("right") / "memory.db"
    path.write_bytes(whole.read_bytes())
    answer = worker.use(path)
    assert isinstance(answer, Answer) and not answer.refused
    return answer


def contents(path: Path) -> dict[str, bytes | None]:
    """The file and those beside it; None for what is no file."""
    files = (path.with_name(path.name + suffix) for suffix in BEHIND)
    return {file.name: file.read_bytes() if file.is_file() else None for file in files if file.exists()}


def used(worker: Worker, path: Path) -> Answer:
    """The answer for a file, which must be one; where it is a refusal, not a byte has changed."""
    before = contents(path)
    answer = worker.use(path)
    assert isinstance(answer, Answer), answer
    assert answer.raw == {}
    assert all("\n" not in said for said in answer.steps.values())
    alone = len(before) == 1 and before.get(path.name)  # or opening it has to write
    if answer.steps["open"] != "ok" or (alone and "reopen" not in answer.steps):
        assert contents(path) == before
    return answer


def is_right(answer: Answer, right: Answer) -> bool:
    """Whether all that was not refused was read as from a good store."""
    return all(answer.steps.get(name) != "ok" or answer.read[name] == read for name, read in right.read.items())


@pytest.mark.parametrize("name", HAND_MADE)
def test_a_damaged_or_foreign_file_is_refused_or_served_rightly(
    worker: Worker, right: Answer, tmp_path: Path, name: str
) -> None:
    make, expected = HAND_MADE[name]
    path = tmp_path / "memory.db"
    make(path)
    answer = used(worker, path)
    if expected == REFUSED:
        assert answer.steps.keys() == {"open"}
        assert str(path) in answer.steps["open"]
    elif expected == SERVED:
        assert not answer.refused
        assert answer.read == right.read
    elif expected == NEW:
        assert answer.steps["open"] == "ok"
        assert answer.read["list"] == []
    else:
        assert expected == UNKNOWN or is_right(answer, right) or damage(path)


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_a_store_with_damaged_bytes_is_refused_or_right_or_found_to_be_damaged(
    worker: Worker, right: Answer, whole: Path, tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "memory.db"
    path.write_bytes(mutated(whole.read_bytes(), seed))
    broken = damage(path)
    path.write_bytes(mutated(whole.read_bytes(), seed))
    answer = used(worker, path)
    assert is_right(answer, right) or broken
    path.write_bytes(mutated(whole.read_bytes(), seed))
    assert not broken or not check(path, deep=True).ok  # the store's own check finds it, too
