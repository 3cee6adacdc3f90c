"""Adapters are kept, switched and undone by moving one pointer, and a damaged one never serves."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import TOY, database, open_space, put, rows
from toy import ToyEmbedder

from vstore import config
from vstore.adapter import Adapter
from vstore.calibration import Calibration, Scale
from vstore.db.connection import run
from vstore.db.index import SqliteIndex
from vstore.errors import InputError, ModelDamagedError, NotFoundError, SpaceMismatchError

DIMENSION = 16
BASE = 1  # the id of the first space's base model


def adapter(seed: int = 0, alpha: float = 0.5) -> Adapter:
    weights = np.random.default_rng(seed).normal(size=(DIMENSION, DIMENSION)).astype(np.float32)
    return Adapter(weights, alpha, pull=0.25)


def active(index: SqliteIndex) -> Adapter | None:
    with index.snapshot() as snapshot:
        return snapshot.adapter


def promote(index: SqliteIndex, seed: int) -> int:
    model_id = index.save_adapter(adapter(seed), {"seed": seed}, {})
    index.activate(model_id)
    return model_id


def damage(path: Path, model_id: int) -> None:
    """Flip one bit in the middle of the weights."""
    with closing(database(path)) as opened, opened.write() as connection:
        ((blob,),) = run(connection, "SELECT weights FROM models WHERE id = ?", (model_id,))
        changed = bytearray(blob)
        changed[100] ^= 1
        run(connection, "UPDATE models SET weights = ? WHERE id = ?", (bytes(changed), model_id))


def test_a_candidate_does_not_serve_until_it_is_activated(index: SqliteIndex) -> None:
    open_space(index)
    assert active(index) is None
    model_id = index.save_adapter(adapter(alpha=0.3), {"trainer": "adapter"}, {"gain": 0.01})
    assert active(index) is None
    index.activate(model_id)
    served = active(index)
    assert served is not None and (served.alpha, served.pull) == (0.3, 0.25)
    assert np.array_equal(served.weights, adapter().weights)
    with index.snapshot() as snapshot:
        assert snapshot.statistics().adapter == model_id


def test_history_is_newest_first_and_says_what_became_of_each(index: SqliteIndex) -> None:
    open_space(index)
    first, second = promote(index, 1), promote(index, 2)
    third = index.save_adapter(adapter(3), {"seed": 3}, {"gain": 0.002})
    records = index.models()
    assert [(record.id, record.kind, record.parent, record.status, record.active) for record in records] == [
        (third, "adapter", second, "candidate", False),
        (second, "adapter", first, "active", True),
        (first, "adapter", BASE, "retired", False),
        (BASE, "base", None, "retired", False),
    ]
    assert (records[0].recipe, records[0].scores) == ({"seed": 3}, {"gain": 0.002})
    assert {(record.name, record.space) for record in records} == {("toy", 1)}


def test_rolling_back_serves_the_parent_and_at_last_the_base_model(index: SqliteIndex) -> None:
    open_space(index)
    first, second = promote(index, 1), promote(index, 2)
    assert index.roll_back() == first
    served = active(index)
    assert served is not None and np.array_equal(served.weights, adapter(1).weights)
    assert {record.id: record.status for record in index.models()}[second] == "rolled back"
    assert index.roll_back() == BASE
    assert active(index) is None
    with pytest.raises(NotFoundError, match="nothing to roll back"):
        index.roll_back()


def test_one_can_go_forward_again_after_rolling_back(index: SqliteIndex) -> None:
    open_space(index)
    first = promote(index, 1)
    index.roll_back()
    index.activate(first)
    index.activate(first)  # twice does no harm
    assert [record.status for record in index.models()] == ["active", "retired"]


def test_a_new_candidate_discards_the_last_one_with_its_weights(index: SqliteIndex, path: Path) -> None:
    open_space(index)
    first = index.save_adapter(adapter(1), {}, {})
    second = index.save_adapter(adapter(2), {}, {})
    assert rows(path, "SELECT id, status FROM models WHERE weights IS NOT NULL") == [(second, "candidate")]
    with pytest.raises(NotFoundError, match=f"model {first} are not kept"):
        index.activate(first)


def test_weights_that_served_long_ago_are_dropped_and_rolling_back_passes_over_them(
    index: SqliteIndex, path: Path
) -> None:
    open_space(index)
    ids = [promote(index, seed) for seed in range(config.ADAPTERS_KEPT + 3)]
    kept = ids[-config.ADAPTERS_KEPT - 1 :]  # those, and the active one
    assert rows(path, "SELECT id FROM models WHERE weights IS NOT NULL ORDER BY id") == [(one,) for one in kept]
    assert [index.roll_back() for _ in kept] == [*reversed(kept[:-1]), BASE]


def test_what_was_tried_and_undone_does_not_push_out_the_way_back(index: SqliteIndex) -> None:
    open_space(index)
    first, second = promote(index, 1), promote(index, 2)
    for seed in range(config.ADAPTERS_KEPT + 1):
        promote(index, 10 + seed)
        assert index.roll_back() == second
    promote(index, 30)
    assert [index.roll_back(), index.roll_back()] == [second, first]


def test_damaged_weights_are_refused_and_can_be_rolled_back(index: SqliteIndex, path: Path) -> None:
    open_space(index)
    model_id = promote(index, 1)
    damage(path, model_id)
    with (
        closing(SqliteIndex(path)) as other,
        pytest.raises(ModelDamagedError, match=f"adapter {model_id} do not match .*vstore refine rollback"),
    ):
        active(other)
    assert index.roll_back() == BASE
    with pytest.raises(ModelDamagedError):
        index.activate(model_id)
    assert active(index) is None


@pytest.mark.parametrize("length", [0, 3, 11])
def test_weights_that_were_cut_off_are_refused(index: SqliteIndex, path: Path, length: int) -> None:
    open_space(index)
    model_id = index.save_adapter(adapter(), {}, {})
    with closing(database(path)) as opened, opened.write() as connection:
        run(connection, "UPDATE models SET weights = substr(weights, 1, ?) WHERE id = ?", (length, model_id))
    with pytest.raises(ModelDamagedError):
        index.activate(model_id)


def test_what_does_not_fit_is_refused(index: SqliteIndex, path: Path) -> None:
    with pytest.raises(InputError, match="no vectors yet"):
        index.save_adapter(adapter(), {}, {})
    with pytest.raises(NotFoundError, match="no model 7"):
        index.activate(7)
    with pytest.raises(NotFoundError, match="nothing to roll back"):
        index.roll_back()
    open_space(index)
    with pytest.raises(InputError, match="8 dimensions does not fit this store, which has vectors of 16"):
        index.save_adapter(Adapter(np.eye(8, dtype=np.float32), 0.5), {}, {})
    with closing(database(path)) as opened, opened.write() as connection:
        run(connection, "INSERT INTO spaces (fingerprint, dimension, created_at) VALUES ('other', 16, 0)")
        run(
            connection,
            "INSERT INTO models (id, name, kind, space, status, created_at) VALUES (9, 'x', 'base', 2, 'retired', 0)",
        )
    with pytest.raises(NotFoundError, match="vectors of model 9 are not kept"):
        index.activate(9)


def test_a_snapshot_keeps_the_adapter_it_began_with(index: SqliteIndex, path: Path) -> None:
    open_space(index)
    promote(index, 1)
    with index.snapshot() as snapshot:
        assert snapshot.chunk_count == 0  # the view begins at its first read
        with closing(SqliteIndex(path)) as other:
            other.roll_back()
            assert active(other) is None
        assert snapshot.adapter is not None
    assert active(index) is None


def test_a_view_can_be_served_as_if_another_adapter_were_active(index: SqliteIndex) -> None:
    open_space(index)
    promote(index, 1)
    candidate = adapter(2)
    with index.snapshot() as snapshot:
        assert snapshot.serving(candidate).adapter is candidate
        assert snapshot.serving(None).adapter is None
        assert snapshot.adapter is not None and snapshot.adapter.alpha == 0.5


def test_ingest_and_the_check_of_the_model_are_unaffected(index: SqliteIndex) -> None:
    space = open_space(index)
    put(index, "a", "one two")
    promote(index, 1)
    assert open_space(index) == space
    put(index, "b", "three four")
    with pytest.raises(SpaceMismatchError):
        open_space(index, ToyEmbedder(DIMENSION, "other"))


def test_a_calibration_is_in_force_while_its_model_serves(index: SqliteIndex) -> None:
    scale = Scale(-5.0, 5.0, 2.0, 1.5, 1.0, 0.3)
    own, learned = (Calibration(keywords, scale, scale) for keywords in (2.5, 4.0))
    index.open_space(TOY.fingerprint, DIMENSION, "toy", own)
    index.activate(index.save_adapter(adapter(), {}, {}, learned))

    def in_force() -> Calibration | None:
        with index.snapshot() as snapshot:
            assert snapshot.space is not None
            return snapshot.space.calibration

    assert in_force() == learned
    with index.snapshot() as snapshot:
        other = snapshot.serving(None, learned).serving(None, own).space
        assert other is not None and other.calibration == own
        base = snapshot.serving(None).space
        assert base is not None and base.calibration == own  # or the next night would learn from this one
    index.roll_back()
    assert in_force() == own
