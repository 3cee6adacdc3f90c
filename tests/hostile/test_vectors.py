"""Vectors that are none, from an embedder of the caller's own: refused, and nothing of the document is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from db.material import assert_consistent
from toy import ToyEmbedder

from vstore import Store
from vstore.errors import InputError, ModelError, SpaceMismatchError, VstoreError

Change = Callable[[np.ndarray], Any]
DIMENSION = 8


class Changed(ToyEmbedder):
    """Hands out what `change` makes of good vectors, of documents or of queries."""

    def __init__(self, change: Change, of: str) -> None:
        super().__init__(DIMENSION)
        self._change, self._of = change, of

    def embed_documents(self, texts: list[str]) -> Any:
        rows = super().embed_documents(texts)
        return self._change(rows) if self._of == "documents" else rows

    def embed_queries(self, texts: list[str]) -> Any:
        rows = super().embed_queries(texts)
        return self._change(rows) if self._of == "queries" else rows


@dataclass(frozen=True)
class Case:
    """Vectors that are refused with the reason, or (None) work as good ones do."""

    name: str
    change: Change
    reason: str | None = None
    error: type[VstoreError] = InputError


def spoiled(value: float) -> Change:
    def change(rows: np.ndarray) -> np.ndarray:
        rows = rows.copy()
        rows[:, 3] = value
        return rows

    return change


NONE = "NaN, infinity or length 0"
SHAPE = "does not fit this store, which has 8 dimensions"
COUNT = r"returned \d vectors for \d texts"
CASES = (
    Case("nan", spoiled(np.nan), NONE),
    Case("infinity", spoiled(np.inf), NONE),
    Case("minus-infinity", spoiled(-np.inf), NONE),
    Case("zero", lambda rows: rows * 0, NONE),
    Case("minus-zero", lambda rows: rows * -0.0, NONE),
    Case("too-short", lambda rows: rows * np.float32(1e-40), NONE),
    Case("too-long", lambda rows: rows * np.float32(1e38), NONE),
    Case("whole-numbers", lambda rows: (rows * 0.9).astype(int), NONE),
    Case("fewer-dimensions", lambda rows: rows[:, :4], SHAPE),
    Case("more-dimensions", lambda rows: np.hstack([rows, rows]), SHAPE),
    Case("no-dimensions", lambda rows: rows[:, :0], SHAPE),
    Case("as-a-batch-of-batches", lambda rows: rows[:, None, :], SHAPE),
    Case("8,193-dimensions", lambda rows: np.ones((len(rows), 8_193), np.float32), SHAPE),
    Case("64-bits", lambda rows: rows.astype(np.float64)),
    Case("other-byte-order", lambda rows: rows.astype(">f4")),
    Case("lists", lambda rows: rows.tolist()),
    Case("objects", lambda rows: rows.astype(object)),
    Case("strided", lambda rows: np.repeat(rows, 2, axis=1)[:, ::2]),
    Case("columns-first", np.asfortranarray),
    Case("backwards", lambda rows: rows[:, ::-1][:, ::-1]),
    Case("not-normalised", lambda rows: rows * 3),
)
OF_DOCUMENTS = (
    Case("none-at-all", lambda rows: rows[:0], COUNT, ModelError),
    Case("one-too-many", lambda rows: np.vstack([rows, rows[:1]]), COUNT, ModelError),
    Case("in-one-row", lambda rows: rows.ravel(), COUNT, ModelError),
)


@pytest.mark.parametrize("case", (*CASES, *OF_DOCUMENTS), ids=lambda case: case.name)
def test_bad_vectors_of_documents_have_the_outcome_written_beside_them(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "m.db"
    with Store(path, Changed(case.change, "documents")) as store:
        if case.reason is None:
            store.remember("harbour lights", uri="a")
            assert [hit.score for hit in store.search("harbour lights", mode="dense")] == [pytest.approx(1.0)]
        else:
            with pytest.raises(case.error, match=case.reason):
                store.remember("harbour lights", uri="a")
            assert store.documents() == []
    assert_consistent(path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_vectors_of_queries_have_the_outcome_written_beside_them(tmp_path: Path, case: Case) -> None:
    with Store(tmp_path / "m.db", Changed(case.change, "queries")) as store:
        store.remember("harbour lights", uri="a")
        if case.reason is None:
            assert [hit.score for hit in store.search("harbour lights", mode="dense")] == [pytest.approx(1.0)]
        else:
            with pytest.raises(case.error, match=case.reason):
                store.search("harbour lights", mode="dense")
        assert store.search("harbour", mode="lexical")[0].document.uri == "a"


def test_one_bad_vector_among_good_ones_costs_its_document_alone(tmp_path: Path) -> None:
    def change(rows: np.ndarray) -> np.ndarray:
        rows = rows.copy()
        rows[1:2] = np.nan
        return rows

    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"harbour {name}")
    path = tmp_path / "m.db"
    with Store(path, Changed(change, "documents")) as store:
        report = store.add([tmp_path / f"{name}.txt" for name in "abc"])
        assert (report.added, len(report.skipped)) == (2, 1)
        assert NONE.split(",")[0] in report.skipped[0].reason
    assert_consistent(path)


def test_vectors_of_another_model_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "m.db", ToyEmbedder(DIMENSION)) as store:
        store.remember("harbour lights", uri="a")
    with Store(tmp_path / "m.db", ToyEmbedder(DIMENSION, "another")) as store:
        with pytest.raises(SpaceMismatchError):
            store.remember("mill", uri="b")
        assert [document.uri for document in store.documents()] == ["a"]
    assert_consistent(tmp_path / "m.db")
