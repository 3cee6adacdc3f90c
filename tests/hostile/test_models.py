"""Model folders that somebody tampered with: refused before, or when, the first text is embedded; nothing is run."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from db.material import assert_consistent
from embed import tiny

from vstore import Store, embed
from vstore.errors import ModelDamagedError, ModelError, SpaceMismatchError

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"


@dataclass(frozen=True)
class Case:
    """What is done to a good folder, and why it is refused; None: it works, and what was planted has no effect."""

    name: str
    change: Callable[[Path], object]
    reason: str | None


class Planted:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def instead_of_weights(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(pickle.dumps(Planted(folder / "was-run")))

    return change


def pickle_as_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(Planted(folder / "was-run")))


def header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Write the weights with another header above the same numbers."""

    def rewrite(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        length = int.from_bytes(data[:8], "little")
        fields = json.loads(data[8 : 8 + length])
        change(fields)
        text = json.dumps(fields).encode()
        (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])

    return rewrite


def announces(length: int) -> Callable[[Path], object]:
    """Weights that say their header has `length` bytes."""

    def rewrite(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(length.to_bytes(8, "little") + data[8:])

    return rewrite


def weights(name: str, value: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: tiny.save_weights(folder / WEIGHTS, tiny.weights() | {name: value})


def config(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: tiny.write_json(folder / "config.json", tiny.CONFIG | fields)


def tokenizer(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def rewrite(folder: Path) -> None:
        fields = json.loads((folder / TOKENIZER).read_text())
        change(fields)
        tiny.write_json(folder / TOKENIZER, fields)

    return rewrite


def normalizer(*parts: dict[str, Any]) -> Callable[[Path], object]:
    return tokenizer(lambda fields: fields.update(normalizer={"type": "Sequence", "normalizers": list(parts)}))


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def code(folder: Path) -> None:
    """Code that other libraries would load with the model."""
    config(auto_map={"AutoModel": "planted.Model"}, trust_remote_code=True)(folder)
    (folder / "planted.py").write_text(f"open({str(folder / 'was-run')!r}, 'w')")


def index(folder: Path) -> None:
    """An index that sends a reader of several files out of the folder."""
    (folder / WEIGHTS).rename(folder / "model-1.safetensors")
    tiny.write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": "../../etc/passwd"}})


def linked(folder: Path) -> None:
    """As the hub's own cache does it."""
    (folder / WEIGHTS).rename(folder.parent / "blob")
    (folder / WEIGHTS).symlink_to("../blob")


def pipe(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


NORM, WORDS = "embeddings.LayerNorm.bias", "embeddings.word_embeddings.weight"
DAMAGED = "is damaged"
GROWS = "lengthens texts"
CASES = (
    Case("pickle-alone", instead_of_weights("pytorch_model.bin"), f"has no {WEIGHTS}"),
    Case("torch-file-alone", instead_of_weights("model.pt"), f"has no {WEIGHTS}"),
    Case("joblib-alone", instead_of_weights("model.joblib"), f"has no {WEIGHTS}"),
    Case(
        "pickle-beside",
        lambda folder: (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Planted(folder / "was-run"))),
        None,
    ),
    Case("pickle-as-weights", pickle_as_weights, DAMAGED),
    Case("header-of-2**63", announces(2**63), DAMAGED),
    Case("header-of-2**64-1", announces(2**64 - 1), DAMAGED),
    Case("header-of-0", announces(0), DAMAGED),
    Case(
        "overlapping", header(lambda fields: fields[NORM].update(data_offsets=fields[WORDS]["data_offsets"])), DAMAGED
    ),
    Case("beyond-the-end", header(lambda fields: fields[NORM].update(data_offsets=[2**40, 2**40 + 32])), DAMAGED),
    Case(
        "backwards",
        header(lambda fields: fields[NORM].update(data_offsets=fields[NORM]["data_offsets"][::-1])),
        DAMAGED,
    ),
    Case("negative-shape", header(lambda fields: fields[NORM].update(shape=[-8])), DAMAGED),
    Case("other-type", header(lambda fields: fields[NORM].update(dtype="I32")), "stored as I32"),
    Case("unknown-type", header(lambda fields: fields[NORM].update(dtype="PICKLE")), DAMAGED),
    Case("other-shape", weights(NORM, np.zeros((2, 4), np.float32)), "has the shape"),
    Case("nan", weights(NORM, np.full(8, np.nan, np.float32)), "not finite"),
    Case("cut", lambda folder: os.truncate(folder / WEIGHTS, 1_000), DAMAGED),
    Case("empty", lambda folder: os.truncate(folder / WEIGHTS, 0), DAMAGED),
    Case("huge", lambda folder: os.truncate(folder / WEIGHTS, 2**40), "4,294,967,296 bytes"),
    Case("linked", linked, None),
    Case("pipe-as-weights", pipe(WEIGHTS), f"has no {WEIGHTS}"),
    Case("pipe-as-settings", pipe("config.json"), "is no file"),
    Case("pipe-as-tokenizer", pipe(TOKENIZER), f"no usable {TOKENIZER}"),
    Case("code", code, None),
    Case("index-that-leads-out", index, f"has no {WEIGHTS}"),
    Case(
        "module-that-leads-out",
        lambda folder: tiny.write_json(folder / "modules.json", [tiny.MODULES[0] | {"path": "../x"}, tiny.MODULES[1]]),
        "outside its folder",
    ),
    Case("other-dimension", config(hidden_size=16), "has the shape"),
    Case("dimension-of-10**9", config(hidden_size=10**9, num_attention_heads=1), "has the shape"),
    Case("10**9-layers", config(num_hidden_layers=10**9), DAMAGED),
    Case("10**12-positions", config(max_position_embeddings=10**12), "has the shape"),
    Case("deep-settings", lambda folder: (folder / "config.json").write_text('{"a":' * 100_000), "cannot be read"),
    Case("deep-tokenizer", lambda folder: (folder / TOKENIZER).write_text('{"a":' * 100_000), "is no tokenizer"),
    Case("empty-tokenizer", lambda folder: os.truncate(folder / TOKENIZER, 0), "is no tokenizer"),
    Case("doubles-30-times", normalizer(*[replace({"String": "a"}, "aa")] * 30), GROWS),
    Case("between-any-letters", normalizer(replace({"Regex": ""}, "x" * 10**6)), GROWS),
    Case("in-front", normalizer({"type": "Prepend", "prepend": "x" * 10**6}), GROWS),
    Case("replaces-as-usual", normalizer(replace({"String": "``"}, '"'), replace({"Regex": " {2,}"}, " ")), None),
    Case(
        "words-of-any-length",
        tokenizer(lambda fields: fields["model"].update(max_input_chars_per_word=10**9)),
        "of any length",
    ),
    Case(
        "tokens-beyond-the-table",
        tokenizer(lambda fields: fields["model"]["vocab"].update(harbour=10**6)),
        "more words|cannot be run",
    ),
    Case(
        "word-beyond-the-table", tokenizer(lambda fields: fields["model"]["vocab"].update(cat=10**6)), "cannot be run"
    ),
    Case(
        "special-beyond-the-table",
        tokenizer(lambda fields: fields["post_processor"]["special_tokens"]["[CLS]"].update(ids=[10**6])),
        "the weights do not have",
    ),
    Case("no-unknown-word", tokenizer(lambda fields: fields["model"].update(unk_token="[NONE]")), "cannot read a text"),
    Case(
        "text-a-hundred-times",
        tokenizer(
            lambda fields: fields["post_processor"]["single"].extend([{"Sequence": {"id": "A", "type_id": 0}}] * 100)
        ),
        "cannot be run",
    ),
)


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_model_has_the_outcome_written_beside_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], case: Case
) -> None:
    folder = tiny.make_folder(tmp_path / "model")
    case.change(folder)
    path = tmp_path / "m.db"
    with Store(path, str(folder)) as store:
        if case.reason is None:
            store.remember("the cat sat on the mat", uri="a")
            assert store.search("cat", mode="dense")[0].document.uri == "a"
        else:
            with pytest.raises(ModelError, match=case.reason) as caught:
                store.remember("the cat sat on the mat", uri="a")
            assert "\n" not in str(caught.value)
            assert store.documents() == []
    assert not (folder / "was-run").exists()
    assert capfd.readouterr() == ("", "")
    assert_consistent(path)


def test_a_swapped_tokenizer_makes_another_model(tmp_path: Path) -> None:
    """Nothing in the folder tells that it is not the right one; the store's vectors do."""
    folder = tiny.make_folder(tmp_path / "model")
    with Store(tmp_path / "m.db", str(folder)) as store:
        store.remember("the cat", uri="a")
    swapped = {word: number for number, word in enumerate(reversed(tiny.WORDS))}
    tokenizer(lambda fields: fields["model"].update(vocab=swapped))(folder)
    with Store(tmp_path / "m.db", str(folder)) as store:
        with pytest.raises(SpaceMismatchError):
            store.remember("the dog", uri="b")
        assert [document.uri for document in store.documents()] == ["a"]


def test_a_registered_model_is_known_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the right size and another content are not taken from the folder that offers them."""
    from vstore.embed import fetch, registry

    spec = registry.get("all-MiniLM-L6-v2")
    (tmp_path / "offered").mkdir()
    for file in spec.files:
        with (tmp_path / "offered" / file.name).open("wb") as made:
            made.truncate(file.size)
    monkeypatch.setattr(fetch, "_sources", lambda spec, folder: [fetch.FolderSource(tmp_path / "offered")])
    with pytest.raises(ModelError, match="has sha256"):
        embed.load("all-MiniLM-L6-v2", cache_dir=tmp_path / "cache", folder=tmp_path / "offered")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_damage_is_a_kind_of_its_own(tmp_path: Path) -> None:
    folder = tiny.make_folder(tmp_path / "model")
    os.truncate(folder / WEIGHTS, 100)
    with pytest.raises(ModelDamagedError):
        embed.load(str(folder)).embed_documents(["cat"])
