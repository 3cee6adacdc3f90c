"""The command line, and the files it takes: one line that says what is wrong, and no traceback."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from db.material import assert_consistent
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main
from vstore.errors import InputError
from vstore.refine.signals import add_judgements, read_queries


@dataclass(frozen=True)
class Call:
    """Arguments of `vstore --db m.db`, the exit code, and what stdout and stderr together match."""

    arguments: tuple[str, ...]
    code: int
    says: str
    stdin: bytes = b""


def call(*arguments: str, code: int = 1, says: str = "^vstore: ", stdin: bytes = b"") -> Call:
    return Call(arguments, code, says, stdin)


CALLS = (
    call("search", ""),
    call("search", " \t"),
    call("search", "x" * 100_001),
    call("search", "-", stdin=b""),
    call("search", "-", stdin=b"harbour \xff\xfe\0 lights", code=0, says="harbour"),
    call("search", "harbour", "-k", "0"),
    call("search", "harbour", "-k", "10001"),
    call("search", "harbour", "-k", "1e9", code=2, says="Invalid value"),
    call("search", "harbour", "-k", "9" * 5_000, code=2, says="Invalid value"),
    call("search", "harbour", "--mode", "sql"),
    call("search", "harbour", "--where", "{", code=2, says="is not JSON"),
    call("search", "harbour", "--where", "[" * 50_000, code=2, says="Invalid value"),
    call("search", "harbour", "--where", '{"a":' * 50_000, code=2, says="is not JSON"),
    call("search", "harbour", "--where", "harbour", code=2, says="is neither like"),
    call("search", "harbour", "--where", "a=" + "9" * 5_000, code=0, says="nothing found"),
    call("search", "harbour", "--where", "a=" + "[" * 50_000, code=0, says="nothing found"),
    call("search", "harbour", "--where", "a>null"),
    call("search", "harbour", "--where", "@none=1"),
    call("search", "harbour", "--where", '{"$where": "sleep"}'),
    call("search", "harbour", "--since", "2024-02-31"),
    call("search", "harbour", "--since", "-1"),
    call("search", "harbour", "--recency", "nan"),
    call("search", "harbour", "--recency", "-1"),
    call("search", "harbour", "--context", "1e3", code=2, says="Invalid value"),
    call("search", "harbour", "--unknown", code=2, says="No such option"),
    call("get", "none"),
    call("get", "9" * 400),
    call("get", "\u0664\u0665"),
    call("get", "-1", code=2, says="No such option"),
    call("get", "a\0b"),
    call("get", "../../../etc/passwd"),
    call("forget", "%"),
    call("forget", "*"),
    call("list", "--limit", "0"),
    call("list", "--limit", "9" * 30),
    call("remember", ""),
    call("remember", "-", stdin=b""),
    call("remember", "-", stdin=b"\xff\xfe", code=0, says="remembered"),
    call("remember", "x", "--meta", "novalue", code=2, says="is not KEY=VALUE"),
    call("remember", "x", "--meta", "a=NaN"),
    call("remember", "x", "--meta", "a=" + "[" * 50_000, code=0, says="remembered"),
    call("remember", "x", "--meta", "a=" + "9" * 5_000, code=0, says="remembered"),
    call("add", "none"),
    call("add", "a\0b"),
    call("add", "/dev/null", code=0, says="not a regular file"),
    call("add", "m.db", code=0, says="the store itself"),
    call("why", "harbour", "none"),
    call("why", "harbour", "9" * 18),
    call("feedback", "harbour", "none"),
    call("feedback", "harbour", "kept", "--grade", "nan"),
    call("feedback", "--file", "none"),
    call("feedback", "--file", "/dev/zero"),
    call("refine", "report", "--run", "9" * 18),
    call("refine", "run", "--budget", "-1s", code=2, says="Invalid value"),
    call("models", "pull", "../../etc"),
    call("config", "set", "none", "1"),
    call("config", "get", "none"),
)


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cli") / "m.db"
    with Store(path, ToyEmbedder(16)) as store:
        store.remember("harbour lights", uri="kept")
    yield path
    assert_consistent(path)


@pytest.mark.parametrize("case", CALLS, ids=lambda case: " ".join(case.arguments)[:50])
def test_a_bad_call_has_the_outcome_written_beside_it(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, case: Call
) -> None:
    monkeypatch.setenv("VSTORE_CONFIG", str(store_path.with_name("none.toml")))
    monkeypatch.setattr("vstore.store.Serving._choose", lambda self, space: ToyEmbedder(16))
    monkeypatch.chdir(store_path.parent)
    result = CliRunner().invoke(main, ["--db", str(store_path), "-q", *case.arguments], input=case.stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == case.code, result.output
    assert re.search(case.says, result.output), result.output
    if case.code == 1:
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1
    with Store(store_path, ToyEmbedder(16)) as store:
        assert store.get("kept").text == "harbour lights"


@dataclass(frozen=True)
class Row:
    """A line of a file of judgements and the reason for which it is left out, or (None) it counts."""

    name: str
    line: bytes
    reason: str | None


ROWS = (
    Row("good", b'{"query": "q", "uri": "kept", "grade": 1}', None),
    Row("not-json", b"{", "not JSON"),
    Row("list", b"[1]", "not a JSON object"),
    Row("deep", b"[" * 100_000, "not JSON"),
    Row("no-query", b'{"uri": "kept", "grade": 1}', "query"),
    Row("number-as-query", b'{"query": 5, "uri": "kept", "grade": 1}', "query"),
    Row("blank-query", b'{"query": " ", "uri": "kept", "grade": 1}', "query"),
    Row("no-target", b'{"query": "q", "grade": 1}', "names what it judges"),
    Row("two-targets", b'{"query": "q", "uri": "kept", "chunk_id": 1, "grade": 1}', "names what it judges"),
    Row("text-as-chunk", b'{"query": "q", "chunk_id": "1", "grade": 1}', "names what it judges"),
    Row("chunk-beyond-64-bits", b'{"query": "q", "chunk_id": 99999999999999999999, "grade": 1}', "a number from 1 on"),
    Row("huge-number", b'{"query": "q", "chunk_id": ' + b"9" * 5_000 + b', "grade": 1}', "not JSON"),
    Row("no-grade", b'{"query": "q", "uri": "kept"}', 'no "grade"'),
    Row("grade-too-high", b'{"query": "q", "uri": "kept", "grade": 9}', "grade"),
    Row("grade-not-a-number", b'{"query": "q", "uri": "kept", "grade": NaN}', "grade"),
    Row("text-as-grade", b'{"query": "q", "uri": "kept", "grade": "1"}', "grade"),
    Row("true-as-grade", b'{"query": "q", "uri": "kept", "grade": true}', "grade"),
    Row("surrogate", b'{"query": "\\ud800", "uri": "kept", "grade": 1}', "a text with words"),
    Row("number-as-collection", b'{"query": "q", "uri": "kept", "grade": 1, "collection": 5}', "collection"),
    Row("unknown-document", b'{"query": "q", "uri": "none", "grade": 1}', "no document"),
    Row("unknown-collection", b'{"query": "q", "uri": "kept", "grade": 1, "collection": "none"}', "no document"),
    Row("very-long-query", b'{"query": "' + b"q" * 200_000 + b'", "uri": "kept", "grade": 1}', None),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_bad_row_of_judgements_has_the_outcome_written_beside_it(store_path: Path, tmp_path: Path, row: Row) -> None:
    (tmp_path / "rows.jsonl").write_bytes(row.line + b"\n")
    with Store(store_path, ToyEmbedder(16)) as store:
        report = add_judgements(store, tmp_path / "rows.jsonl")
    if row.reason is None:
        assert (report.judged, report.problems) == (1, {})
    else:
        assert report.judged == 0
        assert re.search(row.reason, report.problems[1]), report.problems[1]


@dataclass(frozen=True)
class Queries:
    """A file of queries that is refused as a whole, with the reason."""

    name: str
    make: Callable[[Path], object]
    reason: str


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


FILES = (
    Queries("absent", lambda path: None, "No such file"),
    Queries("folder", lambda path: path.mkdir(), "not a regular file"),
    Queries("pipe", lambda path: os.mkfifo(path), "not a regular file"),
    Queries("sparse", lambda path: (content(b"")(path), os.truncate(path, 2**40)), "larger than"),
    Queries("not-utf-8", content(b"caf\xe9"), "line 1: not UTF-8"),
    Queries("utf-16", content("harbour".encode("utf-16")), "line 1: not UTF-8"),
    Queries("nul", content(b"a\n\0"), "line 2: not a text"),
    Queries("broken-row", content(b'{"query": "a"}\n{'), "line 2: not JSON"),
    Queries("deep-row", content(b'{"a":' * 100_000), "line 1: not JSON"),
    Queries("blank-query", content(b'{"query": " "}'), "line 1: "),
    Queries("number-as-query", content(b'{"query": 5}'), "line 1: "),
    Queries("number-as-collection", content(b'{"query": "a", "collection": 5}'), "line 1: a collection"),
    Queries("row-of-another-kind", content(b'{"query": "a"}\n[1]'), "line 2: not a JSON object"),
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_bad_file_of_queries_has_the_outcome_written_beside_it(tmp_path: Path, file: Queries) -> None:
    path = tmp_path.resolve() / "queries"
    file.make(path)
    with pytest.raises(InputError, match=file.reason):
        read_queries(path)
