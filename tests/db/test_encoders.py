"""A trained encoder gets a space beside the active one, and serves only when no chunk lacks a vector there."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import TOY, assert_consistent, cut, database, document, embed, open_space, put, rows, write
from toy import ToyEmbedder

from vstore import config
from vstore.adapter import Adapter
from vstore.calibration import Calibration, Scale
from vstore.db.connection import run
from vstore.db.index import SqliteIndex
from vstore.errors import IncompleteSpaceError, InputError, NotFoundError, SpaceMismatchError
from vstore.types import Scope

NEW = ToyEmbedder(24, "new")
NEWER = ToyEmbedder(24, "newer")
BASE = 1  # the id of the first space's model


def begin(index: SqliteIndex, embedder: ToyEmbedder = NEW) -> int:
    return index.begin_encoder(embedder.fingerprint, embedder.dimension, {"epochs": 1})


def fill(index: SqliteIndex, model_id: int, embedder: ToyEmbedder = NEW) -> int:
    space = index.space_of(model_id)
    chunks = index.lacking(space, 1_000)
    vectors = embedder.embed_documents([chunk.text for chunk in chunks])
    return index.put_vectors(space, {chunk.id: vector for chunk, vector in zip(chunks, vectors, strict=True)})


def promote(index: SqliteIndex, embedder: ToyEmbedder = NEW) -> int:
    model_id = begin(index, embedder)
    index.save_file(model_id, "model", [embedder.fingerprint.encode()])
    fill(index, model_id, embedder)
    index.complete_encoder(model_id, {})
    index.activate(model_id)
    return model_id


def serving(index: SqliteIndex) -> str:
    space = index.active_space()
    assert space is not None
    return space.fingerprint


def tables(path: Path) -> list[str]:
    found = rows(path, "SELECT name FROM sqlite_schema WHERE name GLOB '*_g[0-9]*' AND type = 'table' ORDER BY 1")
    return [row[0] for row in found]


@pytest.fixture
def filled(index: SqliteIndex) -> SqliteIndex:
    put(index, "a", "one two", "three four")
    put(index, "b", "five six")
    return index


def test_a_space_is_made_beside_the_active_one_and_documents_go_to_the_active_one(filled: SqliteIndex) -> None:
    model_id = begin(filled)
    put(filled, "c", "seven")
    space = filled.space_of(model_id)
    assert (space.number, space.fingerprint, space.dimension, space.encoder) == (2, NEW.fingerprint, 24, model_id)
    assert space.model.startswith("toy, refined 2")
    assert [chunk.text for chunk in filled.lacking(space, 10)] == ["one two", "three four", "five six", "seven"]
    assert [chunk.text for chunk in filled.lacking(space, 2, after=2)] == ["five six", "seven"]
    active = filled.active_space()
    assert active is not None and filled.lacking(active, 10) == []
    assert active.encoder is None
    record = filled.models()[0]
    assert (record.kind, record.parent, record.status, record.recipe) == ("base", BASE, "building", {"epochs": 1})


def test_beginning_again_goes_on_and_another_encoder_takes_its_place(filled: SqliteIndex, path: Path) -> None:
    first = begin(filled)
    assert begin(filled) == first
    fill(filled, first)
    second = begin(filled, NEWER)
    assert second != first
    assert [record.status for record in filled.models()] == ["building", "discarded", "active"]
    assert tables(path) == ["codes_g1", "codes_g3", "vectors_g1", "vectors_g3"]
    third = begin(filled)  # the first one trained once more
    assert third not in (first, second)
    assert filled.space_of(third).number == 2
    assert len(filled.lacking(filled.space_of(third), 10)) == 3


def test_an_empty_store_and_the_active_model_have_nothing_to_begin(index: SqliteIndex) -> None:
    with pytest.raises(NotFoundError, match="no vectors yet"):
        begin(index)
    open_space(index)
    with pytest.raises(InputError, match="serves this store already"):
        begin(index, TOY)


def test_files_are_kept_in_parts(filled: SqliteIndex) -> None:
    model_id = begin(filled)
    filled.save_file(model_id, "model.safetensors", iter([b"abc", b"de"]))
    filled.save_file(model_id, "1_Pooling/config.json", [b"{}"])
    filled.save_file(model_id, "model.safetensors", [b"xyz"])  # interrupted, and begun again
    filled.save_file(model_id, "model.safetensors", [b"abc", b"de"])
    assert list(filled.read_file(model_id, "model.safetensors")) == [b"abc", b"de"]
    assert list(filled.read_file(model_id, "absent")) == []
    with pytest.raises(NotFoundError, match="no encoder in the making"):
        filled.save_file(BASE, "model.safetensors", [b"abc"])


def test_it_serves_only_when_no_chunk_lacks_a_vector(filled: SqliteIndex, path: Path) -> None:
    model_id = begin(filled)
    with pytest.raises(NotFoundError, match="is building"):
        filled.activate(model_id)
    filled.complete_encoder(model_id, {"gain": 0.03})
    with pytest.raises(IncompleteSpaceError, match="3 chunks have no vector of toy, refined"):
        filled.activate(model_id)
    assert fill(filled, model_id) == 3
    put(filled, "c", "seven")
    with pytest.raises(IncompleteSpaceError, match=r"1 chunks have no vector .*backfill"):
        filled.activate(model_id)
    assert serving(filled) == TOY.fingerprint
    assert fill(filled, model_id) == 1
    filled.activate(model_id)
    assert serving(filled) == NEW.fingerprint
    assert [(record.status, dict(record.scores)) for record in filled.models()] == [
        ("active", {"gain": 0.03}),
        ("retired", {}),
    ]
    assert_consistent(path, 1)
    assert_consistent(path, 2)


def test_vectors_of_chunks_that_are_gone_or_have_one_are_passed_over(filled: SqliteIndex, path: Path) -> None:
    model_id = begin(filled)
    space = filled.space_of(model_id)
    chunks = filled.lacking(space, 10)
    vectors = dict(zip([chunk.id for chunk in chunks], NEW.embed_documents(["x", "y", "z"]), strict=True))
    filled.forget("default", "b")
    assert filled.put_vectors(space, vectors) == 2
    assert filled.put_vectors(space, vectors) == 0
    assert_consistent(path, 2)
    with pytest.raises(InputError, match="has 24 dimensions"):
        put(filled, "c", "seven")
        (late,) = filled.lacking(space, 10)
        filled.put_vectors(space, {late.id: np.ones(16, dtype=np.float32)})


def test_what_was_embedded_for_the_old_space_is_refused_after_the_switch(filled: SqliteIndex) -> None:
    old = open_space(filled)
    promote(filled)
    with pytest.raises(SpaceMismatchError, match="switched to another model"):
        write(filled, *written(), space=old)
    new = filled.open_space(NEW.fingerprint, NEW.dimension, "any")
    write(filled, *written(NEW), space=new)


def written(embedder: ToyEmbedder = TOY) -> tuple:
    text, chunks = cut(["eight nine"])
    return document("late", text), chunks, embed(chunks, embedder)


def test_rolling_back_needs_the_vectors_of_what_came_in_since(filled: SqliteIndex) -> None:
    promote(filled)
    new = filled.open_space(NEW.fingerprint, NEW.dimension, "any")
    write(filled, *written(NEW), space=new)
    assert filled.way_back() == BASE
    with pytest.raises(IncompleteSpaceError, match="1 chunks have no vector of toy yet, so model 1 cannot serve"):
        filled.roll_back()
    assert serving(filled) == NEW.fingerprint
    fill(filled, BASE, TOY)
    assert filled.roll_back() == BASE
    assert [record.status for record in filled.models()] == ["rolled back", "active"]
    filled.activate(2)  # and forward again
    assert serving(filled) == NEW.fingerprint


def test_one_old_space_is_kept_and_what_nobody_can_go_back_to_is_erased(filled: SqliteIndex, path: Path) -> None:
    filled.activate(filled.save_adapter(Adapter(np.eye(16, dtype=np.float32), 0.5), {}, {}))
    first = promote(filled)
    assert tables(path) == ["codes_g1", "codes_g2", "vectors_g1", "vectors_g2"]
    second = promote(filled, NEWER)
    assert config.SPACES_KEPT == 1
    assert tables(path) == ["codes_g2", "codes_g3", "vectors_g2", "vectors_g3"]
    assert rows(path, "SELECT id FROM models WHERE weights IS NOT NULL") == []
    assert rows(path, "SELECT DISTINCT model FROM model_files ORDER BY 1") == [(first,), (second,)]
    assert filled.roll_back() == first
    with pytest.raises(NotFoundError, match="what served before is not kept any more"):
        filled.roll_back()
    with pytest.raises(NotFoundError, match="model 1 are not kept"):
        filled.activate(BASE)
    assert [space.number for space in filled.lineage()] == [2, 1]  # remembered nevertheless


def test_the_way_back_is_kept_rather_than_what_was_rolled_back(filled: SqliteIndex, path: Path) -> None:
    promote(filled)
    filled.roll_back()
    promote(filled, NEWER)
    assert tables(path) == ["codes_g1", "codes_g3", "vectors_g1", "vectors_g3"]
    assert filled.way_back() == BASE


def test_the_way_back_leads_to_what_served_last_before_the_switch(filled: SqliteIndex) -> None:
    model_id = begin(filled)
    adapter = filled.save_adapter(Adapter(np.eye(16, dtype=np.float32), 0.5), {}, {})
    filled.activate(adapter)
    fill(filled, model_id)
    filled.complete_encoder(model_id, {})
    filled.activate(model_id)
    with filled.snapshot() as snapshot:
        assert snapshot.adapter is None
    assert filled.roll_back() == adapter
    with filled.snapshot() as snapshot:
        assert snapshot.adapter is not None


def test_adapters_of_the_new_space_roll_back_to_the_encoder_and_then_to_the_base(filled: SqliteIndex) -> None:
    encoder = promote(filled)
    filled.activate(filled.save_adapter(Adapter(np.eye(24, dtype=np.float32), 0.5), {}, {}))
    space = filled.active_space()
    assert space is not None and space.encoder == encoder
    assert [record.name for record in filled.models()][:2] == [space.model, space.model]
    assert filled.roll_back() == encoder
    assert filled.roll_back() == BASE


def test_discarding_erases_vectors_and_files_a_little_at_a_time(
    filled: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "DROPPED_AT_ONCE", 1)
    model_id = begin(filled)
    filled.save_file(model_id, "model", [b"a", b"b"])
    fill(filled, model_id)
    filled.discard_encoder(model_id)
    assert tables(path) == ["codes_g1", "vectors_g1"]
    assert rows(path, "SELECT * FROM model_files") == []
    for late in (lambda: fill(filled, model_id), lambda: filled.put_vectors(filled.space_of(model_id), {})):
        with pytest.raises(NotFoundError, match="not kept any more"):
            late()
    for model in (model_id, BASE):
        with pytest.raises(NotFoundError, match="no encoder in the making"):
            filled.discard_encoder(model)
    assert_consistent(path)


def test_a_candidate_space_is_searched_through_the_same_snapshot(filled: SqliteIndex) -> None:
    model_id = begin(filled)
    fill(filled, model_id)
    space = filled.space_of(model_id)
    with filled.snapshot() as snapshot:
        view = snapshot.serving(None, space=space)
        assert view.space == space
        assert snapshot.space is not None and snapshot.space.number == 1
        vector = NEW.embed_queries(["five six"])[0]
        best = view.dense(vector, Scope(), 1)
        assert view.chunks(best.chunk_ids)[best.chunk_ids[0]].text == "five six"
        before = snapshot.background(TOY.embed_queries(["five six"])[0], Scope())
        assert view.background(vector, Scope()) != before


def test_a_calibration_of_the_encoder_belongs_to_its_space(filled: SqliteIndex) -> None:
    scale = Scale(-5.0, 5.0, 2.0, 1.5, 1.0, 0.3)
    model_id = begin(filled)
    fill(filled, model_id)
    filled.complete_encoder(model_id, {}, Calibration(3.0, scale, scale))
    filled.activate(model_id)
    filled.activate(filled.save_adapter(Adapter(np.eye(24, dtype=np.float32), 0.5), {}, {}))
    space = filled.active_space()
    assert space is not None and space.calibration is not None and space.calibration.keywords == 3.0


def test_vectors_of_logged_queries_go_with_their_space(filled: SqliteIndex, path: Path) -> None:
    promote(filled)
    with closing(database(path)) as opened, opened.write() as connection:
        run(
            connection,
            "INSERT INTO queries (text, collection, first_asked, last_asked, times, space, vector) "
            "VALUES ('q', '', 0, 0, 1, 1, x'00')",
        )
    promote(filled, NEWER)
    assert rows(path, "SELECT text, space, vector FROM queries") == [("q", None, None)]
