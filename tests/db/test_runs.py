"""Refinement runs: one at a time, ended in one transaction with the switch, remembered and forgotten."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import database, open_space, put, rows
from db.processes import python

from vstore import config
from vstore.adapter import Adapter
from vstore.db.connection import run
from vstore.db.index import SqliteIndex
from vstore.errors import RefinementBusyError, RefinementOvertakenError
from vstore.runs import Conclusion, Learned, SeenQuery

BASE = 1  # the id of the first space's base model
LEARNED = Learned(Adapter(np.eye(16, dtype=np.float32), 0.3, 0.2), {"trainer": "adapter"}, {"gain": 0.01})
BEGIN = (
    "import sys; from pathlib import Path; from vstore.db.index import SqliteIndex\n"
    "index = SqliteIndex(Path(sys.argv[1])); print(index.begin_run({}))"
)


def change(path: Path, sql: str, *values: object) -> None:
    with closing(database(path)) as opened, opened.write() as connection:
        run(connection, sql, values)


def test_a_run_is_noted_when_it_begins_and_when_it_ends(index: SqliteIndex) -> None:
    number = index.begin_run({"trainer": "adapter", "seed": 3})
    (running,) = index.runs()
    assert (running.id, running.status, running.finished_at, running.decision) == (number, "running", None, None)
    seen = (SeenQuery("what is blue", {"before": 0.5}), SeenQuery("what is red", {"before": 0.25}))
    index.watch_queries(number, ["what is blue", "what is red", "not reached in time"])
    assert index.conclude_run(number, Conclusion("kept", "too little evidence", {"queries": 3}, seen)) is None
    (ended,) = index.runs()
    assert (ended.status, ended.decision, ended.report) == ("kept", "too little evidence", {"queries": 3})
    assert ended.configuration == {"trainer": "adapter", "seed": 3}
    assert ended.finished_at is not None and ended.finished_at >= ended.started_at
    assert tuple(index.run_queries(number)) == seen
    assert json.loads(json.dumps(ended.to_dict()))["status"] == "kept"


def test_what_was_promoted_serves_from_the_end_of_the_run_on(index: SqliteIndex) -> None:
    open_space(index)
    model = index.conclude_run(index.begin_run({}), Conclusion("promoted", "better", promoted=LEARNED, over=BASE))
    newest, base = index.models()
    assert (newest.id, newest.active, newest.scores) == (model, True, {"gain": 0.01})
    assert (base.id, base.status) == (BASE, "retired")
    assert index.runs()[0].model == model
    again = index.conclude_run(index.begin_run({}), Conclusion("promoted", "back", promoted=BASE, over=model))
    assert again == BASE
    assert index.models()[1].active


def test_nothing_is_promoted_over_another_model_than_it_was_compared_with(index: SqliteIndex) -> None:
    open_space(index)
    number = index.begin_run({})
    index.activate(index.save_adapter(LEARNED.adapter, {}, {}))  # by a person, meanwhile
    before = index.models()
    with pytest.raises(RefinementOvertakenError, match="another model became active"):
        index.conclude_run(number, Conclusion("promoted", "better", promoted=LEARNED, over=BASE))
    assert index.models() == before
    assert index.runs()[0].status == "running"


def test_only_one_run_is_at_work_at_a_time(index: SqliteIndex, path: Path) -> None:
    index.begin_run({})
    with (
        closing(SqliteIndex(path)) as other,
        pytest.raises(RefinementBusyError, match=rf"at work \({socket.gethostname()}:{os.getpid()}, since "),
    ):
        other.begin_run({})
    assert len(index.runs()) == 1


def test_the_lease_of_a_process_that_died_is_free_at_once(index: SqliteIndex, path: Path) -> None:
    dead = int(python(BEGIN, path))
    assert [record.status for record in index.runs()] == ["interrupted"]
    number = index.begin_run({})
    newest, oldest = index.runs()
    assert (newest.id, newest.status) == (number, "running")
    assert (oldest.id, oldest.status, oldest.decision) == (
        dead, "interrupted", "it was interrupted before it could decide; nothing was changed",
    )  # fmt: skip


def test_a_lease_that_was_not_renewed_in_time_is_lost(index: SqliteIndex, path: Path) -> None:
    open_space(index)
    late = index.begin_run({})
    change(path, "UPDATE refine_runs SET owner = 'elsewhere:1'")
    with pytest.raises(RefinementBusyError, match="elsewhere:1"):
        index.begin_run({})
    index.renew_run(late)
    change(path, "UPDATE refine_runs SET lease_until = 0")
    index.begin_run({})
    for call in (lambda: index.renew_run(late), lambda: index.conclude_run(late, Conclusion("kept", "late"))):
        with pytest.raises(RefinementOvertakenError, match=f"run {late} lost its lease"):
            call()


def conclude(index: SqliteIndex, number: int) -> None:
    index.watch_queries(number, ["blue"])
    index.conclude_run(number, Conclusion("kept", "no", queries=(SeenQuery("blue", {"before": 1.0}),)))


def test_only_the_last_runs_are_kept_and_fewer_with_their_queries(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "RUNS_KEPT", 4)
    monkeypatch.setattr(config, "RUNS_DETAILED", 2)
    numbers = [index.begin_run({}) for _ in range(1)]
    for _ in range(6):
        conclude(index, numbers[-1])
        numbers.append(index.begin_run({}))
    conclude(index, numbers[-1])
    assert [record.id for record in index.runs()] == numbers[:-5:-1]
    assert [bool(index.run_queries(number)) for number in reversed(numbers)] == [True] * 2 + [False] * 5


def test_forgetting_a_document_erases_the_held_out_queries_that_quote_it(index: SqliteIndex, path: Path) -> None:
    put(index, "secret", "the password is swordfish, they say")
    texts = ["password is swordfish", "what else is new"]
    seen = tuple(SeenQuery(text, {"before": 1.0}) for text in texts)
    number = index.begin_run({})
    index.watch_queries(number, texts)
    index.conclude_run(number, Conclusion("kept", "no", queries=seen))
    index.forget("default", "secret")
    assert [query.query for query in index.run_queries(number)] == ["what else is new"]
    index.erase_searches()
    assert rows(path, "SELECT count(*) FROM refine_queries") == [(0,)]


def test_a_query_that_is_forgotten_while_the_run_measures_it_does_not_come_back(index: SqliteIndex) -> None:
    put(index, "secret", "the password is swordfish, they say")
    number = index.begin_run({})
    index.watch_queries(number, ["password is swordfish", "what else is new"])
    index.forget("default", "secret")
    seen = tuple(SeenQuery(text, {"before": 1.0}) for text in ("password is swordfish", "what else is new"))
    index.conclude_run(number, Conclusion("kept", "no", queries=seen))
    assert [query.query for query in index.run_queries(number)] == ["what else is new"]


def test_what_a_dead_run_did_not_measure_is_not_shown_as_measured(index: SqliteIndex, path: Path) -> None:
    number = index.begin_run({})
    index.watch_queries(number, ["what is blue"])
    change(path, "UPDATE refine_runs SET lease_until = 0")
    assert index.run_queries(number) == []
    index.begin_run({})
    assert rows(path, "SELECT count(*) FROM refine_queries") == [(0,)]
