"""A small world in which there is something to learn: every question has words around it that say nothing.

The words of courtesy stand in many texts, so that keywords hardly count them; the toy model counts them like all
others. A map of queries that leaves them out finds what was asked for.
"""

from __future__ import annotations

import atexit
import functools
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from toy import ToyEmbedder

from vstore import Store

TOPICS = [
    f"{first}{second}"
    for first in ("amber", "birch", "coral", "delta", "ember", "fjord", "grove", "heath")
    for second in ("gate", "light", "mill", "stone", "water", "wood")
]
COURTESY = ["kindly", "explain", "whatever", "concerns", "regarding", "details"]
TOY = ToyEmbedder(64)


def fill(store: Store, documents: int = 200, seed: int = 1) -> None:
    """Documents about four topics each, most of them in courteous words; the uri is the number."""
    draw = random.Random(seed)
    with store.index.bulk():
        for number in range(documents):
            words = draw.sample(TOPICS, 4) + draw.sample(COURTESY, 3)
            draw.shuffle(words)
            store.remember(" ".join(words), uri=str(number))


def questions(count: int, seed: int = 2) -> list[str]:
    """Questions after two topics in three courteous words, no two with the same topics."""
    draw = random.Random(seed)
    pairs = [(one, other) for place, one in enumerate(TOPICS) for other in TOPICS[place + 1 :]]
    return [" ".join([*draw.sample(COURTESY, 3), *pair]) for pair in draw.sample(pairs, count)]


def made(path: Path, asked: int = 120, documents: int = 200) -> Iterator[Store]:
    """A store of that world with questions in its log."""
    with Store(copied(path, asked, documents), TOY, metrics=False) as store:
        yield store


def copied(path: Path, asked: int = 120, documents: int = 200) -> Path:
    """Its closed file: a copy of one that is made once for all tests."""
    shutil.copy(_original(asked, documents), path)
    return path


@functools.cache
def _original(asked: int, documents: int) -> Path:
    """A closed store, so that its file is all there is of it and may be copied."""
    folder = Path(tempfile.mkdtemp(prefix="vstore-world-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with Store(folder / "memory.db", TOY, metrics=False) as store:
        fill(store, documents)
        for question in questions(asked):
            store.search(question)
    return folder / "memory.db"
