"""`check` and `repair`: whether a store's file is sound, and making anew what can be made of the rest.

They are functions, not methods of `Store`, for they work on files that `Store` refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from vstore import config
from vstore.checks import CheckReport, RepairReport, Step
from vstore.errors import ModelError, NotFoundError, StoreDamagedError, StoreError

if TYPE_CHECKING:
    from vstore.db.repair import Mender
    from vstore.types import Embedder

Approve = Callable[[CheckReport, tuple[Step, ...]], None]  # raises, whatever it likes, to have nothing changed

UNREADABLE = "unreadable pages"  # what stands for the check of pages when not only indexes are damaged
# In the order in which they are done: what is made comes after what it is made of.
STEPS: tuple[Step, ...] = (
    Step(UNREADABLE, (UNREADABLE,), "copy all that can be read into a new file, which takes the place of the old one"),
    Step("schema", ("tables", "pages"), "make missing indexes, views and derived tables anew, and fill indexes again"),
    Step(
        "references",
        ("references", "forward ids", "vector ids", "code ids"),
        "remove or free rows that say something of what is gone",
    ),
    Step("chunk texts", ("chunk texts",), "cut chunks anew out of their documents, where their hashes prove the text"),
    Step("chunk order", ("chunk order",), "number the chunks anew of documents of which none is missing"),
    Step("logged queries", ("logged queries",), "take damaged vectors away from logged queries"),
    Step(
        "words",
        ("extra words", "forward ids", "forward entries", "forward words", "chunk texts", "tables", UNREADABLE),
        "write the further words and the forward index anew, where they are wrong",
    ),
    Step(
        "keyword index",
        (
            "keyword ids",
            "keyword structure",
            "keyword words",
            "secure delete",
            "extra words",
            "chunk texts",
            "tables",
            UNREADABLE,
        ),
        "make the keyword index anew",
    ),
    Step("models", ("adapters", "active model"), "drop damaged adapters, and let the model before serve where one did"),
    Step(
        "vectors",
        ("vector ids", "vectors", "active model", "tables", UNREADABLE),
        "embed chunks anew that have no vector or a damaged one",
    ),
    Step(
        "codes",
        ("codes", "code ids", "vector ids", "vectors", "active model", "tables", UNREADABLE),
        "make codes anew of their vectors",
    ),
)


def check(path: str | Path, deep: bool = False) -> CheckReport:
    """Put every invariant of a store's file to the test, by reading alone; see docs/check.md.

    `deep` compares everything with everything: words with texts, entries with words, files with their hashes. Works on
    files that `Store` refuses, and says so. Raises NotFoundError when there is no such file.
    """
    from vstore.db.check import check_file

    return check_file(Path(path), deep=deep)


def repair(path: str | Path, embedder: Embedder | str | None = None, *, approve: Approve | None = None) -> RepairReport:
    """Check a file deeply, copy it, make anew what is derived and wrong, and check it again; see docs/check.md.

    `embedder` as in `Store`; it is needed only where vectors are missing or damaged, and without it these are left.
    `approve(report, steps)` is called before anything is written, and may raise. May be killed, and called again.

    Raises NotFoundError, NotAStoreError and NewerStoreError for files that are not for this vstore, StoreDamagedError
    for one that SQLite cannot read, and StoreError when it cannot be copied; then nothing has changed.
    """
    from vstore.db import repair as mending

    before = check(path, deep=True)
    _require_readable(before)
    steps = plan(before)
    if not steps:
        return RepairReport(before, before, None, (), {}, {})
    if approve is not None:
        approve(before, steps)
    backup = mending.save(before.path)
    done: dict[str, int] = {}
    left: dict[str, str] = {}
    if steps[0].name == UNREADABLE:
        try:
            done[UNREADABLE] = mending.rescue(before.path)
        except BaseException:  # and nothing has changed
            backup.unlink()
            raise
    with mending.mending(before.path) as mender:
        for step in steps:
            if step.name == UNREADABLE:
                continue
            try:
                done[step.name] = _do(step, mender, before.path, embedder)
            except (StoreError, ModelError, NotFoundError) as error:  # the other steps do not depend on it
                left[step.name] = str(error)
    return RepairReport(before, check(path, deep=True), backup, steps, done, left)


def plan(report: CheckReport) -> tuple[Step, ...]:
    """What a repair would do about a report, in that order."""
    mendable = {check.name for check in report.failed if check.repairable}
    if report["pages"].affected > report["pages"].repairable:
        mendable.add(UNREADABLE)
    return tuple(step for step in STEPS if mendable.intersection(step.mends))


def _require_readable(report: CheckReport) -> None:
    """Raise for a file that nothing can be made of, before anything is written."""
    from vstore.db import repair as mending

    if report["header"].status == "failed":
        with mending.mending(report.path):  # raises what opening a store raises
            raise StoreDamagedError(f"{report.path} cannot be repaired: {report['header'].found}; restore a backup")


def _do(step: Step, mender: Mender, path: Path, embedder: Embedder | str | None) -> int:
    if step.name == "vectors":
        return mender.vectors_beside() + _embed(mender, path, embedder)
    return int(getattr(mender, step.name.replace(" ", "_"))())


def _embed(mender: Mender, path: Path, given: Embedder | str | None) -> int:
    """Embed what lacks a vector in the space that serves, as an ingest would. Raises ModelError, SpaceMismatchError."""
    wanted = mender.without_vector()
    if not wanted:
        return 0
    from vstore.db.index import SqliteIndex
    from vstore.ingest.chunk import Chunker
    from vstore.serving import Serving

    embedded = 0
    with closing(SqliteIndex(path, create=False)) as index:
        space, embedder = index.active_space(), Serving(index, given, None, None).embedder()
        assert space is not None, "there are chunks that lack a vector in it"
        space.require(embedder.fingerprint)
        chunker = Chunker(embedder)
        for start in range(0, len(wanted), config.EMBED_CHUNKS):
            texts = mender.texts(wanted[start : start + config.EMBED_CHUNKS])
            seen = [chunker.embedding_text(*parts) for parts in texts.values()]
            vectors = embedder.embed_documents(seen)
            embedded += mender.put_vectors(space, dict(zip(texts, vectors, strict=True)))
    return embedded
