"""Stores that are open notice that another model serves, and load a refined encoder from the store's own file."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from db.material import assert_consistent, database, rows
from embed import tiny
from toy import ToyEmbedder

from vstore import Store, config, embed
from vstore.cli import main
from vstore.db.connection import run
from vstore.db.index import SqliteIndex
from vstore.embed.refined import FOLDER
from vstore.embed.runtime import OnnxEmbedder
from vstore.errors import IncompleteSpaceError, ModelDamagedError, ModelError, SpaceMismatchError
from vstore.ingest.backfill import switch
from vstore.refine import beside
from vstore.serving import Serving
from vstore.types import Embedder

TEXTS = ("the cat sat on the mat", "a dog sat", "mat on a mat", "the dog on the cat", "cat")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSTORE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.make_folder(tmp_path / "base")


@pytest.fixture
def refined(tmp_path: Path) -> Path:
    return tiny.make_folder(tmp_path / "refined", tensors=tiny.weights(1))


@pytest.fixture
def store(path: Path, base: Path, models: Path) -> Iterator[Store]:
    with Store(path, str(base)) as opened:
        for text in TEXTS:
            opened.remember(text, uri=text)
        yield opened


def refine(path: Path, folder: Path) -> int:
    """What the loop does when an encoder was found to be better."""
    embedder = embed.load(str(folder))
    with closing(SqliteIndex(path)) as index:
        model_id = beside.begin(index, folder, {"trainer": "encoder"})
        index.complete_encoder(model_id, {})
        assert switch(index, model_id, embedder)
    return model_id


def space_of(store: Store) -> str:
    space = store.stats().space
    assert space is not None
    return space.fingerprint


def best_cosine(store: Store, query: str) -> float:
    return store.search(query, k=1, mode="dense")[0].score


def expected(folder: Path, query: str) -> float:
    model = embed.load(str(folder))
    return float((model.embed_documents(list(TEXTS)) @ model.embed_queries([query])[0]).max())


def test_an_open_store_searches_and_ingests_with_the_new_model_after_a_switch(
    store: Store, path: Path, base: Path, refined: Path
) -> None:
    assert best_cosine(store, "dog cat") == pytest.approx(expected(base, "dog cat"), abs=1e-5)
    refine(path, refined)
    shutil.rmtree(refined)  # the file has it
    found = store.search("dog cat")
    assert found.degraded is None and len(found) == len(TEXTS)
    store.remember("a cat on a dog", uri="late")
    assert_consistent(path, 2)
    assert store.search("a cat on a dog", k=1, mode="dense")[0].score == pytest.approx(1.0, abs=1e-5)


def test_vectors_of_the_new_space_are_the_new_models(store: Store, path: Path, refined: Path) -> None:
    refine(path, refined)
    assert best_cosine(store, "dog cat") == pytest.approx(expected(refined, "dog cat"), abs=1e-5)


def test_rolling_back_serves_the_old_model_with_what_came_in_since(
    store: Store, path: Path, base: Path, refined: Path
) -> None:
    refine(path, refined)
    store.remember("a cat on a dog", uri="late")
    with closing(SqliteIndex(path)) as index, pytest.raises(IncompleteSpaceError, match="1 chunks"):
        index.roll_back()
    assert store.roll_back() == 1
    assert store.search("a cat on a dog", k=1, mode="dense")[0].document.uri == "late"
    assert best_cosine(store, "dog cat") >= expected(base, "dog cat") - 1e-5
    assert_consistent(path, 1)


def test_an_ingest_that_goes_on_during_a_switch_embeds_again(
    store: Store, path: Path, refined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WINDOW_CHUNKS", 2)
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(8):
        (notes / f"{number}.txt").write_text(f"cat {'dog ' * number}", encoding="utf-8")
    original, calls = OnnxEmbedder.embed_documents, []

    def embed_documents(self: OnnxEmbedder, texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        vectors = original(self, texts)
        if len(calls) == 2:  # of the ingest's own: switched between embedding and writing
            thread = threading.Thread(target=refine, args=(path, refined))
            thread.start()
            thread.join()
        return vectors

    monkeypatch.setattr(OnnxEmbedder, "embed_documents", embed_documents)
    report = store.add(notes)
    assert (report.added, report.skipped) == (8, ())
    assert_consistent(path, 2)
    space = store.stats().space
    assert space is not None and space.number == 2


def test_a_search_whose_model_was_chosen_just_before_a_switch_is_made_again(
    store: Store, path: Path, refined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Serving.embedder, []

    def embedder(self: Serving) -> Embedder:
        chosen = original(self)
        calls.append(1)
        if len(calls) == 1:
            refine(path, refined)
        return chosen

    monkeypatch.setattr(Serving, "embedder", embedder)
    assert best_cosine(store, "dog cat") == pytest.approx(expected(refined, "dog cat"), abs=1e-5)
    assert len(calls) == 2


@pytest.mark.parametrize("kind", ["object", "folder", "none"])
def test_the_callers_model_is_the_base_of_its_refined_descendants(
    store: Store, path: Path, base: Path, refined: Path, kind: str
) -> None:
    refine(path, refined)
    given = {"object": embed.load(str(base)), "folder": str(base), "none": None}[kind]
    with Store(path, given) as other:
        assert best_cosine(other, "dog cat") == pytest.approx(expected(refined, "dog cat"), abs=1e-5)
        other.remember("a cat on a dog")
        assert other.search("cat").degraded is None


def test_a_store_finds_its_refined_encoder_without_the_base_model(
    store: Store, path: Path, base: Path, refined: Path
) -> None:
    refine(path, refined)
    shutil.rmtree(base)
    with Store(path) as other:
        assert best_cosine(other, "dog cat") == pytest.approx(expected(refined, "dog cat"), abs=1e-5)


def test_another_model_is_refused_as_ever(store: Store, path: Path, refined: Path) -> None:
    refine(path, refined)
    with Store(path, ToyEmbedder(8)) as other:
        with pytest.raises(SpaceMismatchError, match="open the store without a model of your own"):
            other.search("cat")
        with pytest.raises(SpaceMismatchError):
            other.remember("cat")


def test_the_refined_model_has_a_name_that_says_what_it_is(store: Store, path: Path, base: Path, refined: Path) -> None:
    refine(path, refined)
    cli = CliRunner()
    made = rows(path, "SELECT date(max(created_at) / 1000, 'unixepoch') FROM models")[0][0]
    stats = cli.invoke(main, ["--db", str(path), "stats"]).stdout
    history = cli.invoke(main, ["--db", str(path), "refine", "history"]).stdout
    assert f"{base}, refined {made}, {tiny.HIDDEN} dimensions" in stats
    assert f"{base}, refined {made}  active" in history
    assert store.models()[0].recipe["trainer"] == "encoder"


def test_a_second_refinement_is_named_by_the_same_root(store: Store, path: Path, refined: Path, tmp_path: Path) -> None:
    refine(path, refined)
    refine(path, tiny.make_folder(tmp_path / "again", tensors=tiny.weights(2)))
    assert [record.name.count(", refined ") for record in store.models()] == [1, 1, 0]
    assert best_cosine(store, "dog cat") == pytest.approx(expected(tmp_path / "again", "dog cat"), abs=1e-5)


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_files_on_the_disk_are_a_cache(store: Store, path: Path, models: Path, refined: Path) -> None:
    refine(path, refined)
    wanted = best_cosine(store, "dog cat")
    directory = models / FOLDER / space_of(store)
    (directory / "model.safetensors").write_bytes(b"damaged")
    (directory / "tokenizer.json").unlink()
    with Store(path) as other:
        assert best_cosine(other, "dog cat") == wanted
    copies = {file.relative_to(directory).as_posix() for file in directory.rglob("*.*")}
    assert copies == {file.relative_to(refined).as_posix() for file in refined.rglob("*.*")} | {"verified.json"}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE model_files SET content = zeroblob(length(content)) WHERE name = 'model.safetensors'",
        "DELETE FROM model_files WHERE name = 'tokenizer.json'",
        "UPDATE model_files SET content = CAST(content || x'00' AS BLOB) WHERE name = 'config.json'",
        "UPDATE models SET recipe = '{}'",
        "UPDATE models SET recipe = replace(recipe, 'tokenizer.json', '../tokenizer.json')",
        "UPDATE models SET recipe = replace(recipe, '1_Pooling/config.json', '/tmp/config.json')",
        "UPDATE models SET recipe = replace(recipe, 'sha256', 'sha')",
    ],
)
def test_damaged_files_do_not_serve_and_the_way_back_is_named(
    store: Store, path: Path, models: Path, base: Path, refined: Path, damage: str
) -> None:
    refine(path, refined)
    with closing(database(path)) as opened, opened.write() as connection:
        run(connection, damage)
    with pytest.raises(ModelDamagedError, match="vstore refine rollback"):
        store.search("dog cat", mode="dense")
    found = store.search("dog cat")
    assert found.mode == "lexical" and "vstore refine rollback" in str(found.degraded)
    assert store.roll_back() == 1
    assert store.search("dog cat").degraded is None


def test_a_model_that_is_not_the_spaces_own_is_refused(store: Store, path: Path, refined: Path) -> None:
    refine(path, refined)
    for fingerprint in ("f" * 64, "../../outside"):
        with closing(database(path)) as opened, opened.write() as connection:
            run(connection, "UPDATE spaces SET fingerprint = ? WHERE number = 2", (fingerprint,))
        with pytest.raises(ModelDamagedError, match="vstore refine rollback"):
            store.search("dog cat", mode="dense")


def test_a_models_folder_that_cannot_be_written_is_named(
    store: Store, path: Path, refined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refine(path, refined)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VSTORE_MODELS", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set VSTORE_MODELS"):
        store.search("dog cat", mode="dense")


def test_files_that_were_stored_in_part_are_stored_again(store: Store, path: Path, refined: Path) -> None:
    with closing(SqliteIndex(path)) as index:
        model_id = beside.begin(index, refined, {})
        with closing(database(path)) as opened, opened.write() as connection:
            run(connection, "DELETE FROM model_files WHERE name = 'model.safetensors'")
        assert beside.begin(index, refined, {}) == model_id
        stored = b"".join(index.read_file(model_id, "model.safetensors"))
        assert hashlib.sha256(stored).digest() == hashlib.sha256((refined / "model.safetensors").read_bytes()).digest()


def test_a_folder_with_other_settings_and_the_same_vectors_takes_the_place_of_the_first(
    store: Store, path: Path, refined: Path
) -> None:
    with closing(SqliteIndex(path)) as index:
        first = beside.begin(index, refined, {})
        tiny.write_json(refined / "config.json", tiny.CONFIG | {"dtype": "float32"})
        second = beside.begin(index, refined, {})
        assert second != first
        assert [record.status for record in index.models()][:2] == ["building", "discarded"]
        assert b"dtype" in b"".join(index.read_file(second, "config.json"))
