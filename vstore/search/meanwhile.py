"""One call in another thread, which nobody has to wait for."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def meanwhile(call: Callable[[], T]) -> Future[T]:
    """What `call` returns or raises, made in the caller's context while the caller does something else.

    It may hang, in a network for instance: who gives up does not wait for it, nor does the interpreter when it ends.
    Where no thread can be had the call is made at once.
    """
    outcome: Future[T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(call))
        except BaseException as error:  # noqa: BLE001 - who asks for the outcome gets it
            outcome.set_exception(error)

    try:
        Thread(target=run, name="vstore-meanwhile", daemon=True).start()
    except RuntimeError:  # there are too many, or the interpreter is about to end
        run()
    return outcome
