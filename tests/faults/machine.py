"""Anything in any order, by two who share a file and may die, against a dictionary that says what must be found.

Every threshold is so low that a few small documents cross it, or the paths behind them would never be walked.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults.checks import problems
from faults.disk import Disk, quiet_ends
from faults.operations import TOY, adapter
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from toy import ToyEmbedder

from vstore import Store, config
from vstore.errors import NotFoundError, VstoreError
from vstore.ingest.backfill import fill, switch
from vstore.maintenance import check
from vstore.serving import Serving

SMALL = {
    "ADAPTERS_KEPT": 2,
    "BACKGROUND_SAMPLE": 3,
    "CODES_AT_ONCE": 2,
    "CODES_COMPARED": 2,
    "CODES_FROM_SEARCH": 2,
    "CODE_CANDIDATES": 3,
    "CODE_OVERSAMPLING": 1,
    "DROPPED_AT_ONCE": 2,
    "EMBED_AHEAD": 1,
    "EMBED_CHUNKS": 2,
    "EXACT_SCAN_CHUNKS": 2,
    "FREQUENCIES_FOLLOWED": 2,
    "FREQUENCY_COMMON": 2,
    "JOURNAL_KEPT": 3,
    "ADDED_AT_ONCE": 2,
    "JOURNAL_PENDING": 2,
    "JUDGED_AT_ONCE": 2,
    "KEYWORD_CANDIDATES": 2,
    "KEYWORD_EXACT": 2,
    "KEYWORD_LISTED": 2,
    "KEYWORD_LISTED_SHARE": 0.0,
    "KEYWORD_POSTINGS": 2,
    "KEYWORD_ALIKE": 1,
    "KEYWORD_SCOPE": 2,
    "KEYWORD_SHARE": 0.0,
    "MAX_JUDGEMENTS": 3,
    "MAX_LOGGED_QUERIES": 2,
    "MODEL_PART_BYTES": 3,
    "PLACED_AT_ONCE": 3,
    "POOL_DEPTH": 3,
    "PREPARED_AT_ONCE": 3,
    "READ_AHEAD": 2,
    "SCOPES_BYTES": 16,
    "WAL_SIZE_LIMIT": 20_000,
    "WINDOW_CHUNKS": 2,
    "WRITE_HOLD_S": 0.0,
    "WRITTEN_AT_ONCE": 2,
    "BUSY_TIMEOUT_MS": 500,
    "CHECKPOINT_TIMEOUT_MS": 5,
}
WORDS = ("amber", "birch", "cedar", "delta", "ember")
PLACES = range(5)  # documents that are written again and again
PARAGRAPH = 620  # characters: one fits into a chunk, and no two do
DISKS = (Disk("machine 0"), Disk("machine 1"))  # one for each handle, which may die without the other


@dataclass(frozen=True)
class Kept:
    """A document as the oracle knows it. The mark is in each paragraph, and in no other document."""

    mark: str
    words: tuple[str, ...]  # one for each paragraph
    year: int
    tag: str
    collection: str

    @property
    def text(self) -> str:
        return "\n\n".join(f"{self.mark} " + (f"{word} " * PARAGRAPH)[:PARAGRAPH].strip() for word in self.words)


def uri(place: int) -> str:
    return f"place {place}"


contents = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(tuple)
handles = st.sampled_from((0, 1))
places = st.sampled_from(PLACES)
years = st.sampled_from((2001, 2002))
tags = st.sampled_from(("red", "blue"))


def quickly() -> settings:
    """As the ordinary suite runs it: the same each time."""
    return settings(
        max_examples=20,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


class Machine(RuleBasedStateMachine):
    """Two handles on one file, and a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.path = self._folder / "memory.db"
        self.kept: dict[str, Kept] = {}
        self.judged: set[tuple[str, str]] = set()
        self.forgotten: set[str] = set()  # marks that nobody asks for any more
        self._marks = 0
        self._models = {TOY.fingerprint: TOY}
        self._patch = pytest.MonkeyPatch()
        for name, value in SMALL.items():
            self._patch.setattr(config, name, value)
        self._patch.setattr(Serving, "_from_file", lambda _, space: self._models[space.fingerprint])
        self._quiet = quiet_ends()
        self._quiet.__enter__()
        self.stores = [self._open(0), self._open(1)]

    def _open(self, handle: int) -> Store:
        DISKS[handle].reset()
        with DISKS[handle].mounted():
            return Store(self.path, TOY, log=True, metrics=True)

    def _new(self, words: tuple[str, ...], year: int, tag: str, collection: str) -> Kept:
        self._marks += 1
        return Kept(f"mark{self._marks}x", words, year, tag, collection)

    def _put(self, store: Store, place: int, new: Kept) -> None:
        facts: dict[str, Any] = {"collection": new.collection, "tags": [new.tag], "metadata": {"year": new.year}}
        store.remember(new.text, uri=uri(place), **facts)

    def _drop(self, name: str) -> None:
        old = self.kept.pop(name, None)
        if old is not None:
            self.forgotten.add(old.mark)
        self.judged = {pair for pair in self.judged if pair[1] != name}

    # --- changes ------------------------------------------------------------------------------------------------------

    @rule(handle=handles, place=places, words=contents, year=years, tag=tags)
    def remember(self, handle: int, place: int, words: tuple[str, ...], year: int, tag: str) -> None:
        new = self._new(words, year, tag, "ab"[place % 2])
        self._put(self.stores[handle], place, new)
        self.kept[uri(place)] = new

    @rule(handle=handles, place=places)
    def forget(self, handle: int, place: int) -> None:
        try:
            self.stores[handle].forget(uri(place))
        except NotFoundError:
            assert uri(place) not in self.kept
        else:
            assert uri(place) in self.kept
            self._drop(uri(place))

    @rule(handle=handles, files=st.lists(contents, min_size=1, max_size=3), year=years, tag=tags)
    def add_folder(self, handle: int, files: list[tuple[str, ...]], year: int, tag: str) -> None:
        folder = self._folder / "files"
        folder.mkdir(exist_ok=True)
        for number, words in enumerate(files):
            new = self._new(words, year, tag, "files")
            file = folder / f"{number}.txt"
            file.write_text(new.text)
            self.kept[str(file.resolve())] = new
        whole = [folder / f"{number}.txt" for number in range(len(files))]
        report = self.stores[handle].add(whole, collection="files", tags=[tag], metadata={"year": year})
        assert report.skipped == ()

    @rule(handle=handles, number=st.integers(0, 4), grade=st.sampled_from((0, 1, 3)), place=places)
    def judge(self, handle: int, number: int, grade: float, place: int) -> None:
        try:
            self.stores[handle].feedback(f"question {number}", uri(place), grade=grade)
        except NotFoundError:
            assert uri(place) not in self.kept
        else:
            self.judged.add((f"question {number}", uri(place)))

    @rule(handle=handles)
    def erase_searches(self, handle: int) -> None:
        self.stores[handle].erase_searches()
        assert self.stores[handle].search_stats().logged == 0

    @precondition(lambda self: self.kept)
    @rule(handle=handles, seed=st.integers(0, 5))
    def switch_adapter(self, handle: int, seed: int) -> None:
        index = self.stores[handle].index
        space = index.active_space()
        if space is not None and space.dimension == TOY.dimension:
            index.activate(index.save_adapter(adapter(seed), {}, {}))

    @precondition(lambda self: self.kept)
    @rule(handle=handles, flavour=st.sampled_from(("one", "two")))
    def switch_encoder(self, handle: int, flavour: str) -> None:
        model, index = ToyEmbedder(TOY.dimension, flavour), self.stores[handle].index
        space = index.active_space()
        if space is None or space.fingerprint == model.fingerprint:
            return
        self._models[model.fingerprint] = model
        model_id = index.begin_encoder(model.fingerprint, model.dimension, {})
        index.save_file(model_id, "weights", [b"abc", b"de"])
        assert fill(index, index.space_of(model_id), model)
        index.complete_encoder(model_id, {})
        assert switch(index, model_id, model)

    @rule(handle=handles)
    def roll_back(self, handle: int) -> None:
        store = self.stores[handle]
        try:
            store.roll_back()
        except NotFoundError:
            with store.index.snapshot() as snapshot:
                assert snapshot.adapter is None  # or there were the base to go back to

    # --- what handles go through --------------------------------------------------------------------------------------

    @rule(handle=handles)
    def reopen(self, handle: int) -> None:
        self.stores[handle].close()
        self.stores[handle] = self._open(handle)

    @rule(handle=handles)
    def crash(self, handle: int) -> None:
        """A process dies between two calls."""
        DISKS[handle].die()
        self.stores[handle].close()
        self.stores[handle] = self._open(handle)

    @rule(handle=handles, place=places, words=contents, point=st.integers(1, 40), year=years, tag=tags)
    def crash_while_remembering(
        self, handle: int, place: int, words: tuple[str, ...], point: int, year: int, tag: str
    ) -> None:
        new = self._new(words, year, tag, "ab"[place % 2])
        DISKS[handle].fail_at(point, "torn write")
        acknowledged = False
        try:
            self._put(self.stores[handle], place, new)
            acknowledged = True
        except VstoreError:
            pass  # then either may be true, and what the other process reads decides
        self.crash(handle)
        if acknowledged or self._text(1 - handle, uri(place)) == new.text:
            self.kept[uri(place)] = new

    @rule(handle=handles, place=places, point=st.integers(1, 40))
    def crash_while_forgetting(self, handle: int, place: int, point: int) -> None:
        DISKS[handle].fail_at(point, "torn write")
        acknowledged = False
        try:
            self.stores[handle].forget(uri(place))
            acknowledged = True
        except VstoreError:
            pass  # then either may be true, and what the other process reads decides
        self.crash(handle)
        if acknowledged or self._text(1 - handle, uri(place)) is None:
            if not acknowledged:  # then who asked for it repeats it, for some of the bytes may be left
                with suppress(NotFoundError):
                    self.stores[handle].forget(uri(place))
            self._drop(uri(place))

    def _text(self, handle: int, name: str) -> str | None:
        try:
            return self.stores[handle].get(name).text
        except NotFoundError:
            return None

    # --- what must be found -------------------------------------------------------------------------------------------

    @rule(
        handle=handles,
        words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
        mode=st.sampled_from(("hybrid", "dense", "lexical")),
        k=st.sampled_from((1, 2, 4, 50)),
        collection=st.sampled_from((None, "a", "b", "files")),
        year=st.none() | years,
        tag=st.none() | tags,
        exact=st.booleans(),
    )
    def search(
        self,
        handle: int,
        words: list[str],
        mode: Any,
        k: int,
        collection: str | None,
        year: int | None,
        tag: str | None,
        exact: bool,
    ) -> None:
        in_scope = {
            name: kept
            for name, kept in self.kept.items()
            if collection in (None, kept.collection) and year in (None, kept.year) and tag in (None, kept.tag)
        }
        where, wanted = {"year": year} if year else None, [tag] if tag else []
        found = self.stores[handle].search(
            " ".join(words), k, mode=mode, collection=collection, where=where, tags=wanted, exact=exact
        )
        all_of_them = [word for kept in in_scope.values() for word in kept.words]
        matching = [word for word in all_of_them if mode != "lexical" or word in words]
        assert len(found) == min(k, len(matching)), f"{len(found)} results of {len(matching)}, k = {k}"
        assert len({hit.chunk_id for hit in found}) == len(found)
        for hit in found:
            assert hit.document.uri in in_scope
            assert hit.text in in_scope[hit.document.uri].text
            assert mode != "lexical" or any(word in hit.text for word in words)

    @precondition(lambda self: self.kept)
    @rule(handle=handles, data=st.data())
    def search_for_a_mark(self, handle: int, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.kept)))
        found = self.stores[handle].search(self.kept[name].mark, 50, mode="lexical")
        assert {hit.document.uri for hit in found} == {name}
        assert len(found) == len(self.kept[name].words)

    @rule(handle=handles, place=places)
    def search_for_a_whole_paragraph(self, handle: int, place: int) -> None:
        """With no adapter to move it, and no title before it, a text is closest to itself."""
        name = uri(place)
        if name not in self.kept:
            return
        paragraph = self.kept[name].text.split("\n\n")[0]
        with self.stores[handle].index.snapshot() as snapshot:
            moved = snapshot.adapter is not None
        best = self.stores[handle].search(paragraph, 1, mode="dense", exact=True, collapse=False)[0]
        assert moved or (best.text == paragraph and best.score == pytest.approx(1.0, abs=1e-5))

    @rule(handle=handles)
    def list_judgements(self, handle: int) -> None:
        found = {(one.query, one.uri) for one in self.stores[handle].judgements()}
        assert found <= self.judged
        assert len(found) == min(len(self.judged), config.MAX_JUDGEMENTS) or len(self.judged) > config.MAX_JUDGEMENTS

    @invariant()
    def both_see_the_same_documents(self) -> None:
        for store in self.stores:
            assert {document.uri for document in store.documents()} == set(self.kept)

    def teardown(self) -> None:
        try:
            for store in self.stores:
                store.close()
            if self.path.exists():
                assert problems(self.path) == []
                assert check(self.path, deep=True).failed == ()
                content = self.path.read_bytes()
                assert [mark for mark in self.forgotten if mark.encode() in content] == []
        finally:
            self._quiet.__exit__(None, None, None)
            self._patch.undo()
            shutil.rmtree(self._folder)
