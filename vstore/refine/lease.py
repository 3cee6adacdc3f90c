"""The lease of a run: taken in the file, renewed while it works, and ended with it whatever happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vstore import config
from vstore.errors import RefinementOvertakenError, StoreError, VstoreError
from vstore.runs import Conclusion
from vstore.storage import Index

logger = logging.getLogger(__name__)


@contextmanager
def lease(index: Index, configuration: Mapping[str, Any]) -> Iterator[int]:
    """Hold the one lease of refinement in the `with` block, which gets the run's id and has to conclude the run.

    A block that ends with an exception is noted as a failed run, or as interrupted with Ctrl-C. Raises
    RefinementBusyError while another run is at work.
    """
    number = index.begin_run(configuration)
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(index, number, ended), daemon=True)
    renewal.start()
    try:
        yield number
    except VstoreError as error:
        _note(index, number, Conclusion("failed", f"it failed, and nothing was changed: {error}"))
        raise
    except KeyboardInterrupt:
        _note(index, number, Conclusion("interrupted", "it was interrupted; nothing was changed"))
        raise
    except BaseException as error:  # a bug, or a library's: the lease must end with it
        _note(index, number, Conclusion("failed", f"it failed, and nothing was changed: {error!r}"))
        raise
    finally:
        ended.set()
        renewal.join()


def _renew(index: Index, number: int, ended: threading.Event) -> None:
    while not ended.wait(config.LEASE_RENEWAL_S):
        try:
            index.renew_run(number)
        except RefinementOvertakenError as error:
            logger.warning("%s", error)
            return  # the run itself learns of it when it concludes
        except StoreError as error:
            # Busy for longer than we wait, or a full disk; the lease lasts for several such times.
            logger.warning("the lease of run %d could not be renewed: %s", number, error)


def _note(index: Index, number: int, conclusion: Conclusion) -> None:
    """Write down how it ended, if that can be written; a full disk must not hide the error that says so."""
    try:
        index.conclude_run(number, conclusion)
    except VstoreError as error:
        logger.warning("how run %d ended could not be noted: %s", number, error)
