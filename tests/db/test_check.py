"""Every damage is seen by the check that is named for it, and a sound file by none."""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import numpy as np
import pytest
from db.damage import DAMAGES, build, execute
from db.material import open_space, put, put_vectors, rows
from db.processes import python, start
from toy import ToyEmbedder

from vstore import Store, config
from vstore.adapter import Adapter
from vstore.db.check import check_file
from vstore.db.index import SqliteIndex
from vstore.db.migrate import scripts
from vstore.errors import NotFoundError


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "memory.db"
    build(path)
    return path.read_bytes()


@pytest.fixture
def rich(original: bytes, path: Path) -> Path:
    path.write_bytes(original)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_file_passes_every_check(rich: Path, deep: bool) -> None:
    report = check_file(rich, deep=deep)
    assert [(check.name, check.found) for check in report.checks if check.status not in ("ok", "not checked")] == []
    assert {check.found for check in report.checks if check.status == "not checked"} == (
        set() if deep else {"takes --deep"}
    )


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_seen_by_the_check_that_is_named_for_it(rich: Path, name: str) -> None:
    damage = DAMAGES[name]
    damage(rich)
    plain, deep = check_file(rich), check_file(rich, deep=True)
    assert deep[damage.seen_by].status == "failed", {check.name: check.found for check in deep.failed}
    assert plain.ok if damage.deep else plain[damage.seen_by].status == "failed"
    assert (deep[damage.seen_by].repairable == deep[damage.seen_by].affected) == damage.mended


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize("deep", [False, True])
def test_a_check_changes_not_a_byte_and_leaves_nothing_behind(rich: Path, deep: bool) -> None:
    before = listing(rich.parent)
    check_file(rich, deep=deep)
    assert listing(rich.parent) == before


def test_a_log_that_was_left_by_a_crash_is_read_and_stays(path: Path) -> None:
    python(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from db.material import put\n"
        "from vstore.db.index import SqliteIndex\n"
        "index = SqliteIndex(Path(sys.argv[1]))\n"
        "put(index, 'a', 'one two', 'three')\n"
        "os._exit(0)",
        path,
    )
    log = path.with_name(path.name + "-wal")
    before = path.read_bytes(), log.read_bytes()
    assert len(before[1]) > 0
    report = check_file(path, deep=True)
    assert report.ok and report["vectors"].status == "ok"
    assert (path.read_bytes(), log.read_bytes()) == before


def test_a_check_sees_one_moment_while_another_process_writes(path: Path) -> None:
    with closing(SqliteIndex(path)) as index:
        put(index, "first", "one two", "three")
    writer = start(WRITER, path)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    reports = [check_file(path, deep=True) for _ in range(10)]
    output, errors = writer.communicate(timeout=60)
    assert writer.returncode == 0, errors
    assert int(output) > 10, "it was never waiting for the checks"
    assert [report.failed for report in reports] == [()] * 10


WRITER = """
import os, sys, threading
from pathlib import Path
from db.material import put
from vstore.db.index import SqliteIndex
index = SqliteIndex(Path(sys.argv[1]))
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
print("writing", flush=True)
done = 0
while not stop.is_set() or done <= 10:
    put(index, f"{done % 20}", f"number {done}", f"maxOpenConns {done % 7}", title=f"{done % 3}")
    if done % 5 == 4:
        index.forget("default", f"{(done - 2) % 20}")
    done += 1
index.close()
print(done)
"""


@pytest.fixture
def closed(original: bytes) -> Iterator[Path]:
    """The store in a folder that may not be written to, below folders that anybody may enter."""
    if os.name != "posix":
        pytest.skip("folders without permission to write are POSIX's")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.db"
        path.write_bytes(original)
        path.chmod(0o600)
        yield path
        path.parent.chmod(0o700)


def test_a_folder_that_may_not_be_written_to_is_read_without_locks_and_that_is_said(closed: Path) -> None:
    closed.parent.chmod(0o500)
    report = json.loads(python(UNPRIVILEGED, closed))
    found = {check["name"]: check for check in report["checks"]}
    assert report["ok"]
    assert found["place"]["status"] == "warning"
    assert "without locks" in found["place"]["found"]


def test_a_log_in_a_folder_that_may_not_be_written_to_has_to_be_copied(closed: Path) -> None:
    closed.with_name("memory.db-wal").write_bytes(b"")
    closed.parent.chmod(0o500)
    report = json.loads(python(UNPRIVILEGED, closed))
    (header,) = [check for check in report["checks"] if check["status"] == "failed"]
    assert header["name"] == "header"
    assert "copy it, together with memory.db-wal" in header["advice"]


# The superuser may write everywhere, so whoever runs the tests as such becomes somebody else once all is imported.
UNPRIVILEGED = """
import json, os, sys
from pathlib import Path
from vstore.db.check import check_file
from vstore.db.migrate import latest
path = Path(sys.argv[1])
latest()  # nothing of the package can be read any more below
if os.getuid() == 0:
    for owned in path.parent, *path.parent.iterdir():
        os.chown(owned, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
print(json.dumps(check_file(path, deep=True).to_dict()))
"""


def test_one_check_that_fails_to_read_does_not_stop_the_others(rich: Path) -> None:
    DAMAGES["a page of vectors"](rich)
    report = check_file(rich)
    assert {check.name for check in report.failed} >= {"pages", "vectors"}
    assert "malformed" in report["vectors"].found
    assert report["document texts"].status == report["keyword ids"].status == "ok"


def test_a_folder_and_a_text_are_no_stores_and_a_missing_file_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Notes, more than a hundred bytes of them. " * 5, encoding="utf-8")
    for path in (tmp_path, tmp_path / "notes.txt"):
        (failed,) = check_file(path).failed
        assert failed.name == "header"
    with pytest.raises(NotFoundError):
        check_file(tmp_path / "absent.db")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_newer_file_is_checked_as_far_as_sqlite_goes(rich: Path) -> None:
    DAMAGES["a newer schema"](rich)
    report = check_file(rich, deep=True)
    assert report.schema == 9999
    assert (report["header"].status, report["pages"].status) == ("failed", "ok")
    assert report["vectors"].found == "only a newer vstore knows"


def test_a_file_of_the_first_schema_is_sound_before_it_is_migrated(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute(scripts()[0][1]).fetchall()
        connection.execute(f"PRAGMA application_id = {config.APPLICATION_ID}").fetchall()
        connection.execute("PRAGMA user_version = 1").fetchall()
        connection.execute("INSERT INTO collections (name, created_at) VALUES ('default', 0)").fetchall()
    path.chmod(0o600)
    report = check_file(path, deep=True)
    assert report.failed == ()
    assert report.schema == 1
    assert {check.name: check.found for check in report.checks if check.status == "not checked"} == {
        "encoder files": "the table model_files is missing"
    }


def test_an_empty_store_is_sound(path: Path) -> None:
    SqliteIndex(path).close()
    assert [check.name for check in check_file(path, deep=True).checks if check.status != "ok"] == []


def test_chunks_under_titles_and_headings_that_were_cut_are_proven(path: Path) -> None:
    """250 characters of the window are for title and heading path together."""
    with Store(path, ToyEmbedder(8)) as store:
        for length in (10, 200, 400):
            heading = " ".join(f"word{n}" for n in range(length // 6))
            store.remember(
                f"# {heading}\n\nfirst text\n\n## {heading}\n\nsecond text",
                title=f"title {heading}"[:length],
                media_type="text/markdown",
            )
        texts = [chunk for (chunk,) in rows(path, "SELECT length(heading) FROM chunks")]
        assert max(texts) > 250
    assert check_file(path, deep=True).failed == ()


def test_others_who_may_read_the_file_are_a_warning(rich: Path) -> None:
    if os.name == "posix":
        rich.chmod(0o644)
        report = check_file(rich)
        assert report.ok
        assert (report["permissions"].status, report["permissions"].affected) == ("warning", 1)


def test_a_long_log_and_many_free_pages_are_warnings(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CHECK_LOG_BYTES", 1_000)
    monkeypatch.setattr(config, "CHECK_FREE_BYTES", 1_000)
    monkeypatch.setattr(config, "CHECK_FREE_SHARE", 0.3)
    with closing(SqliteIndex(path)) as index:
        put(index, "a", *(f"{n} {'x' * 3_000}" for n in range(60)))
        assert check_file(path)["log size"].status == "warning"
        assert check_file(path)["free pages"].status == "ok"
        index.forget("default", "a")
    report = check_file(path)
    assert report.ok
    assert (report["log size"].status, report["free pages"].status) == ("ok", "warning")


def test_vectors_that_are_not_of_length_1_are_a_warning(path: Path) -> None:
    with closing(SqliteIndex(path)) as index:
        put_vectors(index, {"a": np.ones(16, np.float32), "b": np.ones(16, np.float32) / 4}, open_space(index))
    report = check_file(path)
    assert report.ok
    assert (report["vector lengths"].status, report["vector lengths"].examples) == ("warning", ("chunk 1",))


def test_a_table_that_nobody_knows_is_a_warning(rich: Path) -> None:
    execute("CREATE TABLE more (id INTEGER)")(rich)
    report = check_file(rich)
    assert report.ok
    assert (report["unknown tables"].status, report["unknown tables"].examples) == ("warning", ("more",))


def test_a_second_name_and_a_synchronised_folder_are_warnings(rich: Path, tmp_path: Path) -> None:
    (tmp_path / "Dropbox").mkdir()
    other = tmp_path / "Dropbox" / "memory.db"
    os.link(rich, other)
    assert check_file(rich)["place"].affected == 1
    report = check_file(other)
    assert report.ok
    assert (report["place"].status, report["place"].affected) == ("warning", 2)


@pytest.mark.parametrize("seed", range(3))
def test_no_sequence_of_operations_makes_a_check_fail(path: Path, seed: int) -> None:
    draw = random.Random(seed)
    words = ["maxOpenConns", "索引测试", "Größe", "tea", "pool", "HTTPServer", "ﬁle", "naïve", "limits", "42"]
    model: int | None = None
    with Store(path, ToyEmbedder(16), log=True, metrics=True) as store:
        for step in range(60):
            uri = f"u{draw.randrange(8)}"
            text = "\n\n".join(" ".join(draw.choices(words, k=draw.randint(3, 150))) for _ in range(draw.randint(1, 4)))
            action = draw.choice(
                ["remember", "remember", "remember", "forget", "search", "judge", "adapter", "encoder"]
            )
            if action == "remember":
                store.remember(
                    text, uri=uri, title=draw.choice(words), media_type=draw.choice(["text/plain", "text/markdown"])
                )
            elif action == "search":
                store.search(" ".join(draw.choices(words, k=3)))
            elif action == "adapter" and store.stats().chunks:
                weights = np.eye(16, dtype=np.float32) * step
                store.index.activate(store.index.save_adapter(Adapter(weights, 0.1), {}, {}))
            elif action == "encoder" and store.stats().chunks:
                other = ToyEmbedder(16, f"{step % 2}")
                model = store.index.begin_encoder(other.fingerprint, 16, {})
                some = store.index.lacking(store.index.space_of(model), draw.randint(1, 9))
                vectors = other.embed_documents([chunk.text for chunk in some])
                store.index.put_vectors(
                    store.index.space_of(model), dict(zip((c.id for c in some), vectors, strict=True))
                )
            else:
                for document in store.documents():
                    if document.uri == uri and action == "forget":
                        store.forget(uri)
                    elif document.uri == uri:
                        store.feedback("tea", uri)
            if step % 20 == 19:
                assert check_file(path, deep=True).failed == ()
    assert check_file(path, deep=True).failed == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    report = check_file(tmp_path / "pipe")
    assert "it is no file" in report["header"].found
