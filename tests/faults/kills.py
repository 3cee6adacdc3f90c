"""A writer that is killed at random moments, and the oracle that says what it may have left.

Action n is known from n alone, and n is printed when it has been acknowledged. So whoever reads the output knows what
must be in the file, and that one more action may have been done, or begun.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from db.processes import start
from faults.checks import State, problems, state
from faults.operations import adapter, store

from vstore import Store
from vstore.errors import NotFoundError

BULK = "bulk"
NAMES = 40  # of documents that are written again and again
QUERIES = 7
FILES = 3
PATIENCE_S = 0.3  # seconds that a writer lives at the longest, after its first action
WRITER = "import sys; from faults.kills import work; work(sys.argv[1], int(sys.argv[2]), sys.argv[3])"


@dataclass(frozen=True)
class World:
    """What is in the store: texts by the last part of the uri, grades by query, and the adapters that served."""

    texts: dict[str, str] = field(default_factory=dict)
    grades: dict[tuple[str, str], float] = field(default_factory=dict)
    adapters: int = 0  # that were ever saved
    active: int = 1  # the id of the model that serves

    def without(self, name: str) -> World:
        texts = {key: text for key, text in self.texts.items() if key != name}
        return replace(self, texts=texts, grades={key: grade for key, grade in self.grades.items() if key[1] != name})


def body(number: int) -> str:
    return "\n\n".join(f"word{number}x{part} " * (1 + number * part % 60) for part in range(3)).strip()


def name(number: int) -> str:
    return f"document {number % NAMES}"


@dataclass(frozen=True)
class Action:
    """What action n does, and the worlds on the way there, the last one when it is done."""

    do: Callable[[Store, int], object]
    worlds: Callable[[World, int], Iterator[World]]


def remember(opened: Store, number: int) -> None:
    opened.remember(body(number), uri=name(number))


def remembered(world: World, number: int) -> Iterator[World]:
    yield replace(world, texts=world.texts | {name(number): body(number)})


def forget(opened: Store, number: int) -> None:
    opened.forget(name(number - 3))


def forgotten(world: World, number: int) -> Iterator[World]:
    yield world.without(name(number - 3))


def add(opened: Store, number: int) -> None:
    folder = opened.path.parent / "folder"
    folder.mkdir(exist_ok=True)
    for file in range(FILES):
        (folder / f"{file}.txt").write_text(body(number + file))
    opened.add(folder)


def added(world: World, number: int) -> Iterator[World]:
    for file in range(FILES):  # one after the other, or several in one transaction
        world = replace(world, texts=world.texts | {f"{file}.txt": body(number + file)})
        yield world


def judge(opened: Store, number: int) -> None:
    opened.feedback(f"query {number % QUERIES}", name(number - 1), grade=number % 4)


def judged(world: World, number: int) -> Iterator[World]:
    if name(number - 1) in world.texts:
        key = (f"query {number % QUERIES}", name(number - 1))
        world = replace(world, grades=world.grades | {key: number % 4})
    yield world


def switch(opened: Store, number: int) -> None:
    opened.index.activate(opened.index.save_adapter(adapter(number), {}, {}))


def switched(world: World, number: int) -> Iterator[World]:
    world = replace(world, adapters=world.adapters + 1)
    yield world
    yield replace(world, active=1 + world.adapters)


def search(opened: Store, number: int) -> None:
    """Which writes a note of what was asked before."""
    opened.search(f"word{number - 1}x1", 3)
    opened.flush()


def searched(world: World, number: int) -> Iterator[World]:
    yield world


CYCLE = [
    *(Action(remember, remembered) for _ in range(3)),
    Action(judge, judged),
    Action(add, added),
    Action(switch, switched),
    Action(remember, remembered),
    Action(search, searched),
    Action(forget, forgotten),
]


def work(path: str, first: int, way: str) -> None:
    """Do one action after the other for ever."""
    with store(Path(path), log=True) as opened, opened.index.bulk() if way == BULK else nullcontext():
        for number in range(first, 1_000_000):
            with suppress(NotFoundError):  # there is no such document, which the oracle knows
                CYCLE[number % len(CYCLE)].do(opened, number)
            print(number, flush=True)


def agrees(world: World, found: State) -> bool:
    texts = {uri.rpartition("/")[2]: facts[-2] for (_, uri), facts in found.documents.items()}
    return (
        texts == world.texts
        and {(query, uri): grade for query, uri, grade in found.feedback} == world.grades
        and len(found.models) == bool(found.models) + world.adapters
        and (found.active or 1) == world.active
    )


def kill_repeatedly(path: Path, way: str, kills: int, seed: int) -> Iterator[list[str]]:
    """Kill the writer so many times; what was wrong after each."""
    moments = random.Random(seed)
    world, done = World(), -1
    for _ in range(kills):
        with start(WRITER, path, done + 1, way) as process:
            assert process.stdout is not None and process.stderr is not None
            output = process.stdout.readline()
            time.sleep(moments.uniform(0.0, PATIENCE_S))
            process.kill()
            output += process.stdout.read()
            errors = process.stderr.read()
        acknowledged = int(output[: output.rfind("\n") + 1].split()[-1]) if "\n" in output else done
        while done < acknowledged:
            done += 1
            *_, world = CYCLE[done % len(CYCLE)].worlds(world, done)
        found, wrong = state(path), problems(path)
        possible = [world, *CYCLE[(done + 1) % len(CYCLE)].worlds(world, done + 1)]
        left = [one for one in possible if agrees(one, found)]
        if not left:
            wrong.append(f"after action {done} the file is in none of {len(possible)} states")
        elif left[0] is possible[-1] and left[0] is not world:
            done += 1
        world = left[0] if left else world
        yield [*wrong, *([errors] if errors else [])]
