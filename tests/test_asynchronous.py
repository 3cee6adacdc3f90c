"""`AsyncStore`: all that `Store` does, off the event loop, and nothing half done when a task is cancelled."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import io
import random
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import ToyEmbedder

from vstore import AsyncStore, Store, asynchronous, check, config, export_to, import_from
from vstore.errors import InputError, NotFoundError, StoreError

OWN = {"open", "run"}  # what an AsyncStore has besides
ABSENT = {"index"}  # used on the event loop it would read the file there; `run` passes the store itself


class GatedEmbedder(ToyEmbedder):
    """Waits at each document until the gate is open, `entered` from the first on; `threads` embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.entered = threading.Event(), threading.Event()
        self.threads: set[str] = set()

    def embed_documents(self, texts: list[str]) -> np.ndarray:
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.gate.wait(60)
        return super().embed_documents(texts)


@pytest.fixture
def gated() -> GatedEmbedder:
    return GatedEmbedder()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


async def until(event: threading.Event) -> None:
    """Wait for what another thread does, while the loop goes on."""
    while not event.is_set():
        await asyncio.sleep(0.001)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def assert_sound(path: Path) -> None:
    report = check(path, deep=True)
    assert report.ok, report.failed


def test_it_has_every_public_method_of_store_with_the_same_signature_and_docstring() -> None:
    assert public(AsyncStore) == public(Store) - ABSENT | OWN
    for name in public(Store) - ABSENT - {"path", "close"}:
        own, theirs = getattr(AsyncStore, name), getattr(Store, name)
        assert inspect.iscoroutinefunction(own), name
        assert inspect.signature(own) == inspect.signature(theirs), name
        assert own.__doc__ == theirs.__doc__, name
    assert inspect.signature(AsyncStore.__init__) == inspect.signature(Store.__init__)


def test_it_answers_as_a_store_does(path: Path) -> None:
    async def use() -> None:
        async with AsyncStore(path, ToyEmbedder()) as store:
            document = await store.remember("Public clients log in with PKCE.", uri="auth", tags=["login"])
            await store.remember("Backups run at night.", uri="backup")
            found = await store.search("public clients", 1, tags=["login"])
            assert [hit.document for hit in found] == [document]
            assert (await store.feedback("public clients", found[0].chunk_id)).grade == 1.0
            assert (await store.get("auth")).text == "Public clients log in with PKCE."
            assert (await store.why("nights", uri="backup")).rank is not None
            assert len(await store.forget("backup")) == 1
            with pytest.raises(NotFoundError, match="backup"):
                await store.get("backup")
            assert store.path == path

    asyncio.run(use())
    with Store(path, ToyEmbedder()) as store:
        assert [document.uri for document in store.documents()] == ["auth"]


def test_neither_opening_nor_calls_run_on_the_event_loop(
    path: Path, gated: GatedEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_in: list[str] = []

    class Watched(Store):
        def __init__(self, *args: Any, **options: Any) -> None:
            opened_in.append(threading.current_thread().name)
            super().__init__(*args, **options)

    monkeypatch.setattr(asynchronous, "Store", Watched)

    async def use() -> None:
        async with AsyncStore(path, gated) as store:
            task = asyncio.create_task(store.remember("A note."))
            await until(gated.entered)  # which would wait for ever, if the loop stood still
            gated.gate.set()
            await task

    asyncio.run(use())
    assert {name.partition("_")[0] for name in {*opened_in, *gated.threads}} == {"vstore"}


def test_two_hundred_tasks_share_a_few_threads(path: Path, gated: GatedEmbedder) -> None:
    gated.gate.set()

    async def one(store: AsyncStore, number: int) -> None:
        await store.remember(f"Note number n{number} of many.", uri=f"note {number}")
        (hit,) = await store.search(f"n{number}", 1, mode="lexical")
        assert hit.document.uri == f"note {number}"

    async def use() -> None:
        async with AsyncStore(path, gated) as store:
            await asyncio.gather(*(one(store, number) for number in range(200)))
            assert (await store.stats()).documents == 200

    asyncio.run(use())
    assert len(gated.threads) == config.ASYNC_THREADS
    assert_sound(path)


def test_an_exception_reaches_its_own_task_alone(path: Path) -> None:
    async def use() -> None:
        async with AsyncStore(path, ToyEmbedder()) as store:
            calls = [store.remember("" if number % 5 == 0 else f"Note {number}.") for number in range(50)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            for number, outcome in enumerate(outcomes):
                assert isinstance(outcome, InputError) == (number % 5 == 0), outcome
            assert (await store.stats()).documents == 40

    asyncio.run(use())


def test_wrong_arguments_are_refused_as_by_store(path: Path) -> None:
    async def use() -> None:
        async with AsyncStore(path, ToyEmbedder()) as store:
            with pytest.raises(TypeError, match="colour"):
                await store.search("a", colour="red")  # type: ignore[call-arg]

    asyncio.run(use())


def test_a_call_sees_the_context_of_its_task(path: Path) -> None:
    who = contextvars.ContextVar("who", default="nobody")

    async def use() -> None:
        async with AsyncStore(path, ToyEmbedder()) as store:
            who.set("mia")
            assert await store.run(lambda _: who.get()) == "mia"

    asyncio.run(use())


def test_run_passes_the_store_to_any_function(path: Path) -> None:
    stream = io.BytesIO()

    async def use() -> None:
        async with AsyncStore(path, ToyEmbedder()) as store:
            await store.remember("A note.", uri="a")
            await store.run(export_to, stream)
        stream.seek(0)
        async with AsyncStore(path.with_name("other.db"), ToyEmbedder()) as other:
            told: list[Any] = []
            report = await other.run(import_from, stream, told.append)
            assert (report.added, (await other.get("a")).text) == (1, "A note.")
            assert told, "its progress was told to the caller's function"

    asyncio.run(use())


# --- cancellation -----------------------------------------------------------------------------------------------------


def test_a_cancelled_write_that_has_begun_is_waited_for_and_is_there_whole(path: Path, gated: GatedEmbedder) -> None:
    async def use() -> None:
        async with AsyncStore(path, gated) as store:
            task = asyncio.create_task(store.remember("A note.", uri="a"))
            await until(gated.entered)
            for _ in range(2):  # the second time for somebody who is impatient
                task.cancel()
                await turns(10)
                assert not task.done()
            gated.gate.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await store.get("a")).text == "A note."

    asyncio.run(use())
    assert_sound(path)


def test_what_is_written_after_a_cancelled_write_is_not_overtaken_by_it(path: Path, gated: GatedEmbedder) -> None:
    async def use() -> None:
        async with AsyncStore(path, gated) as store:
            task = asyncio.create_task(store.remember("The old text.", uri="a"))
            await until(gated.entered)
            task.cancel()
            asyncio.get_running_loop().call_soon(gated.gate.set)
            await asyncio.wait([task])
            await store.remember("The new text.", uri="a")
        async with AsyncStore(path, gated) as store:
            assert (await store.get("a")).text == "The new text."

    asyncio.run(use())


def test_a_cancelled_call_that_has_not_begun_never_does(path: Path) -> None:
    gate = threading.Event()

    async def use() -> None:
        async with AsyncStore(path, ToyEmbedder()) as store:
            busy = [asyncio.create_task(store.run(lambda _: gate.wait(60))) for _ in range(config.ASYNC_THREADS)]
            task = asyncio.create_task(store.remember("A note."))
            await turns(10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task  # at once: all threads are still busy
            gate.set()
            assert await asyncio.gather(*busy) == [True] * config.ASYNC_THREADS
            assert (await store.stats()).documents == 0

    asyncio.run(use())


def test_a_cancelled_add_stops_at_its_next_sign_of_life(
    path: Path, gated: GatedEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WINDOW_CHUNKS", 32)
    monkeypatch.setattr(config, "EMBED_CHUNKS", 8)
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(40):
        (notes / f"{number}.txt").write_text(f"Note number {number}.", encoding="utf-8")

    async def use() -> None:
        async with AsyncStore(path, gated) as store:
            task = asyncio.create_task(store.add(notes))
            await until(gated.entered)
            task.cancel()
            await turns(10)
            gated.gate.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await store.stats()).documents == 0, "nothing of the first window was embedded to its end"
            assert (await store.add(notes)).added == 40

    asyncio.run(use())
    assert_sound(path)


def test_the_error_of_a_cancelled_call_is_the_cause_of_its_cancelled_error(path: Path) -> None:
    gate, entered = threading.Event(), threading.Event()

    def fail(_: Store) -> None:
        entered.set()
        assert gate.wait(60)
        raise InputError("it went wrong")

    async def use() -> None:
        causes: list[BaseException | None] = []

        async def call(store: AsyncStore) -> None:
            try:
                await store.run(fail)
            except asyncio.CancelledError as error:  # looked at here: Python 3.10 makes another one of it for the task
                causes.append(error.__cause__)
                raise

        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with AsyncStore(path, ToyEmbedder()) as store:
            task = asyncio.create_task(call(store))
            await until(entered)
            task.cancel()
            await turns(10)
            gate.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [type(cause) for cause in causes] == [InputError]
        assert complaints == []

    asyncio.run(use())


def test_writes_cancelled_at_random_points_are_whole_or_not_there(path: Path) -> None:
    chance = random.Random(7)
    paragraphs = 6  # of CHUNK_CHARS or so each, so that a document has several chunks

    def version(number: int) -> str:
        return "\n\n".join(f"version{number} part{part} " + "word " * 180 for part in range(paragraphs))

    async def use() -> int:
        async with AsyncStore(path, ToyEmbedder()) as store:
            tasks: list[asyncio.Task[Any]] = []
            for number in range(80):
                uri = f"document {number % 8}"
                call = store.forget(uri) if number % 10 == 9 else store.remember(version(number), uri=uri)
                tasks.append(asyncio.create_task(call))
            cancelled = 0
            for task in chance.sample(tasks, 50):
                await asyncio.sleep(chance.choice((0, 0, 0.001, 0.005)))
                cancelled += task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            unexpected = [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, NotFoundError)]
            assert unexpected == []
            before = [(one.uri, one.updated_at) for one in await store.documents()]
            assert before == [(one.uri, one.updated_at) for one in await store.documents()], "all had ended"
            for document in await store.documents():
                text = (await store.get(document.uri)).text
                number = int(text.split()[0].removeprefix("version"))
                assert (text, document.uri) == (version(number), f"document {number % 8}")
            return cancelled

    assert asyncio.run(use()) >= 10
    assert_sound(path)


# --- opening and closing ----------------------------------------------------------------------------------------------


def test_closing_waits_for_the_calls_that_were_made(path: Path, gated: GatedEmbedder) -> None:
    async def use() -> None:
        store = await AsyncStore(path, gated).open()
        writes = [asyncio.create_task(store.remember(f"Note {number}.")) for number in range(20)]
        await until(gated.entered)
        closing = asyncio.create_task(store.close())
        await turns(10)
        assert not closing.done()
        gated.gate.set()
        await closing
        assert all(isinstance(document.uri, str) for document in await asyncio.gather(*writes))

    asyncio.run(use())
    with Store(path, ToyEmbedder()) as store:
        assert store.stats().documents == 20


def test_a_cancelled_close_closes_nevertheless(path: Path, gated: GatedEmbedder) -> None:
    async def use() -> None:
        store = await AsyncStore(path, gated).open()
        write = asyncio.create_task(store.remember("A note."))
        await until(gated.entered)
        closing = asyncio.create_task(store.close())
        await turns(10)
        closing.cancel()
        gated.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await write
        with pytest.raises(StoreError, match="was closed"):
            await store.stats()

    asyncio.run(use())


def test_use_after_close_is_refused_and_closing_twice_does_no_harm(path: Path) -> None:
    async def use() -> None:
        async with AsyncStore(path, ToyEmbedder()) as store:
            pass
        await store.close()
        with pytest.raises(StoreError, match="was closed; open a new one"):
            await store.search("anything")
        with pytest.raises(StoreError, match="was closed; open a new one"):
            await store.open()

    asyncio.run(use())


def test_use_before_opening_is_refused_with_the_way_to_open(path: Path) -> None:
    store = AsyncStore(path, ToyEmbedder())
    with pytest.raises(StoreError, match="async with"):
        asyncio.run(store.stats())
    assert not path.exists()


def test_opening_what_is_not_there_raises_and_leaves_no_thread(path: Path) -> None:
    async def use() -> None:
        with pytest.raises(NotFoundError, match=r"memory\.db"):
            async with AsyncStore(path, create=False):
                pytest.fail("it was opened")

    before = set(threading.enumerate())
    asyncio.run(use())
    for thread in set(threading.enumerate()) - before:
        thread.join(60)  # of the one that closed; those of the store are joined by closing
        assert not thread.is_alive()


def test_a_store_cancelled_while_it_opens_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, entered, closed = threading.Event(), threading.Event(), threading.Event()

    class Slow(Store):
        def __init__(self, *args: Any, **options: Any) -> None:
            entered.set()
            assert gate.wait(60)
            super().__init__(*args, **options)

        def close(self) -> None:
            super().close()
            closed.set()

    monkeypatch.setattr(asynchronous, "Store", Slow)

    async def use() -> None:
        async def enter() -> None:
            async with AsyncStore(path, ToyEmbedder()):
                pytest.fail("it was opened")

        task = asyncio.create_task(enter())
        await until(entered)
        task.cancel()
        await turns(10)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(use())
    assert closed.is_set()


def test_a_store_serves_event_loops_one_after_another_and_at_the_same_time(path: Path) -> None:
    store = AsyncStore(path, ToyEmbedder())

    async def write(loop: int) -> None:
        for number in range(10):
            await store.remember(f"Note {number} of loop {loop}.")

    def in_a_loop_of_its_own(make: Callable[[], Coroutine[Any, Any, object]]) -> None:
        asyncio.run(make())

    in_a_loop_of_its_own(store.open)
    in_a_loop_of_its_own(lambda: write(0))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(in_a_loop_of_its_own, [lambda: write(1), lambda: write(2)]))
    assert asyncio.run(store.stats()).documents == 30
    in_a_loop_of_its_own(store.close)
