"""One fault in one operation: what is left must be one of few states, whole, and of use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest
from faults.checks import PROBE, State, ask, difference, opened, problems, state
from faults.disk import CRASHES, Disk, Mode, quiet_ends
from faults.operations import NEXT, TOY, Operation, operations, store
from toy import ToyEmbedder

from vstore import Store
from vstore.errors import VstoreError
from vstore.maintenance import check

DISK = Disk("faulty")
OPERATIONS = operations(DISK)
PATIENCE = {"BUSY_TIMEOUT_MS": 200, "CHECKPOINT_TIMEOUT_MS": 20, "RETRY_MS": 1}  # milliseconds
FILE = "memory.db"
AT_ONCE = -1  # the point at which success has been reported, and nothing been done since


@dataclass
class Outcome:
    """What came of one case."""

    fired: bool
    violations: list[str] = field(default_factory=list)


@dataclass
class Case:
    """One run of an operation on a disk that fails at one point."""

    operation: Operation
    mode: Mode
    point: int
    before: State
    after: State
    deep: bool = False  # whether the store's own check is asked, too
    acknowledged: bool = False
    violations: list[str] = field(default_factory=list)

    def begin(self) -> None:
        DISK.fail_at(self.point, self.mode)

    def acknowledge(self) -> None:
        self.acknowledged = True
        if self.point == AT_ONCE and self.mode in CRASHES:
            DISK.fired = True
            DISK.die()

    def go_on(self, handle: Store) -> None:
        """After an error that has passed, the same handle reads and writes."""
        if self.mode in ("error once", "disk full") and DISK.fired:
            DISK.heal()
            with self._noting("the handle is of no use after the fault"):
                use(handle, TOY)
            DISK.fired = True

    def run(self, path: Path, seed: int) -> Outcome:
        DISK.reset()
        with DISK.mounted(), quiet_ends(), configured(self.operation):
            with self._noting("raised what is no VstoreError"), suppress(VstoreError):
                self.operation.act(path, self)
            fired = DISK.fired
            if self.mode == "power loss":
                DISK.die()
                DISK.lose_power(seed)
            DISK.reset()
        self._judge(path)
        return Outcome(fired, self.violations)

    def _judge(self, path: Path) -> None:
        if not path.exists():
            if self.before.schema or self.acknowledged:
                self.violations.append("the file is gone")
            return
        if self.operation.again and not self.acknowledged:
            with quick(), self._noting("cannot be done again"):
                self.operation.again(path)
        self.violations += problems(path)
        with self._noting("cannot be read"):
            found = state(path).without(PROBE)
            self._compare(found)
            if self.deep and found.schema:  # or it is no store yet
                self.violations += [f"check: {one.name}: {one.found}" for one in check(path, deep=True).failed]
            self.violations += self.operation.beside(path, self.before, self.after)
        with self._noting("cannot be used"):
            embedder = serving(path)
            with quick(), store(path, embedder) as reopened:
                use(reopened, embedder)
                if reopened.documents():
                    assert reopened.search("water", 1), "nothing is found"

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Whatever escapes is a violation."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - no kind of error is expected
            self.violations.append(f"{what}: {type(error).__name__} {error}")

    def _compare(self, found: State) -> None:
        if not self._allows(found):
            states = f"before: {difference(found, self.before)}; after: {difference(found, self.after)}"
            self.violations.append(f"a state that is neither; {states}")
        promised = self.acknowledged and not (self.mode == "power loss" and self.operation.lossy)
        if promised and not self.operation.kept(self.before, self.after, found):
            self.violations.append(f"was acknowledged and is not there: {difference(found, self.after)}")

    def _allows(self, found: State) -> bool:
        return found in (self.before, self.after) or self.operation.between(self.before, self.after, found)


def serving(path: Path) -> ToyEmbedder:
    """The model whose vectors the file has."""
    with closing(opened(path)) as connection:
        if not ask(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'active'"):
            return TOY
        active = (
            "SELECT s.fingerprint FROM active JOIN models AS m ON m.id = model JOIN spaces AS s ON s.number = m.space"
        )
        return NEXT if ask(connection, active) == [(NEXT.fingerprint,)] else TOY


def use(handle: Store, embedder: ToyEmbedder) -> None:
    """Write something, read it, and take it away again; where another model serves that this handle has not, read."""
    space = handle.index.active_space()
    if space is None or space.fingerprint == embedder.fingerprint:
        handle.remember("The quartz clock ran out of water.", uri=PROBE)
        assert handle.get(PROBE).text == "The quartz clock ran out of water."
        handle.forget(PROBE)
    assert PROBE not in {document.uri for document in handle.documents()}


@contextmanager
def quick() -> Iterator[None]:
    """On the same disk in good order, which does not wait for platters."""
    DISK.reset()
    with DISK.mounted(), quiet_ends():
        yield


@contextmanager
def configured(operation: Operation) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (PATIENCE | dict(operation.settings)).items():
            patch.setattr(f"vstore.config.{name}", value)
        yield


class Bench:
    """The file before an operation, made once and copied for each case, and the states before and after it."""

    def __init__(self, operation: Operation, folder: Path) -> None:
        self.operation = operation
        self._folder = folder
        self._original = folder / "original"
        self._original.mkdir()
        with quick():
            operation.prepare(self._original / FILE)
        DISK.reset()

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """A copy of the folder, gone afterwards; the path of the store in it."""
        place = self._folder / "case"  # always the same, since files are known by their paths
        try:
            shutil.copytree(self._original, place)
            yield place / FILE
        finally:
            shutil.rmtree(place)

    @cached_property
    def before(self) -> State:
        with self.copy() as path:
            return state(path)

    @cached_property
    def _undisturbed(self) -> tuple[State, int]:
        nowhere = Case(self.operation, "error once", 0, self.before, self.before)
        with self.copy() as path, quick(), configured(self.operation):
            self.operation.act(path, nowhere)
            points = DISK.points
            DISK.reset()
            assert nowhere.acknowledged
            assert problems(path) == []
            return state(path), points

    @property
    def after(self) -> State:
        return self._undisturbed[0]

    @property
    def points(self) -> int:
        """Points of the operation and of closing the file after it."""
        return self._undisturbed[1]

    def case(self, mode: Mode, point: int, seed: int = 0, *, deep: bool = False) -> Outcome:
        case = Case(self.operation, mode, point, self.before, self.after, deep)
        with self.copy() as path:
            return case.run(path, seed)


def chosen(mode: Mode, total: int, wanted: int) -> list[int]:
    """Some of the points at which a fault of this kind can strike."""
    return [*spread(total, wanted), *([AT_ONCE] if mode in CRASHES else [])]


def spread(total: int, wanted: int) -> list[int]:
    """Up to `wanted` of the points 1 to `total`, evenly, the first and the last among them."""
    if total <= wanted:
        return list(range(1, total + 1))
    return sorted({1 + round(step * (total - 1) / (wanted - 1)) for step in range(wanted)})
