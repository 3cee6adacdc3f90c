"""The encoder's trainer, with torch: what reaches the loss, what comes out, and what an interruption costs."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from db.material import assert_consistent
from embed import tiny
from refine.forking import Forks

from vstore import Store, config, embed
from vstore.db.index import SqliteIndex
from vstore.embed.folder import open_folder
from vstore.embed.runtime import OnnxEmbedder
from vstore.errors import InputError, MissingExtraError, TrainingError
from vstore.ingest.backfill import fill, switch
from vstore.refine import beside, encoder
from vstore.refine.encoder import EncoderRecipe, Example, Features, TrainedEncoder, batch_loss, load_network, train

HERE = all(importlib.util.find_spec(name) for name in ("torch", "sentence_transformers"))
MUST = os.environ.get("VSTORE_TEST_ENCODER") == "1"  # a gate that skips what it is for is none
needs_torch = pytest.mark.skipif(not HERE and not MUST, reason="needs the extra `refine`")

# What a query means here is arbitrary, so that a model can only have learned it.
MEANS = {"cat": "mat", "dog": "sat", "mat": "dog", "sat": "cat", "on": "the", "the": "on"}
EXAMPLES = [
    Example(f"{start}{query}", answer, ("a a", "s : s")) for query, answer in MEANS.items() for start in ("", "a ")
]
RECIPE = EncoderRecipe(epochs=8, batch=4, negatives=2, learning_rate=5e-3, soup=1.0)
LEARN = replace(RECIPE, epochs=30, batch=6, learning_rate=0.02)


def make_base(folder: Path) -> Path:
    return tiny.make_folder(folder, prompts={"query": "query : ", "document": ""})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "base")


@pytest.fixture
def pupil(tmp_path: Path) -> Path:
    """A base that can learn so little by heart: weights as small as BERT's are, and no dropout."""
    tensors = {
        name: np.ones_like(tensor) if name.endswith("LayerNorm.weight") else 0.4 * tensor
        for name, tensor in tiny.weights().items()
    }
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return tiny.make_folder(tmp_path / "pupil", tensors=tensors, prompts={"query": "query : "}, config=without)


def trained(
    base: Path, tmp_path: Path, name: str = "one", recipe: EncoderRecipe = RECIPE, **more: Any
) -> TrainedEncoder:
    examples = more.pop("examples", EXAMPLES)
    more = {"threads": 1, **more}  # such small matrices are slower with more
    found = train(base, examples, recipe, output=tmp_path / name, checkpoints=tmp_path / f"{name} steps", **more)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainedEncoder:
    """What training the base with nothing else said comes to."""
    folder = tmp_path_factory.mktemp("whole")
    return trained(make_base(folder / "base"), folder)


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    mine, theirs = weights(one), weights(other)
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


def hits(folder: Path) -> int:
    """Queries whose answer is closer than the five others."""
    model = embed.load(str(folder))
    answers = sorted(set(MEANS.values()))
    cosines = model.embed_queries(list(MEANS)) @ model.embed_documents(answers).T
    return sum(answers[best] == wanted for best, wanted in zip(cosines.argmax(axis=1), MEANS.values(), strict=True))


# --- what reaches the loss --------------------------------------------------------------------------------------------


def gradient(base: Path, tmp_path: Path, batch: list[Example]) -> np.ndarray:
    model = open_folder(base)
    network = load_network(model, "cpu", tmp_path).eval()  # without dropout
    batch_loss(network, Features(model, 12, "cpu"), batch, 20.0).backward()
    parameters = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return np.concatenate([parameter.numpy().ravel() for parameter in parameters])


@needs_torch
def test_changing_only_the_negatives_changes_the_gradient(base: Path, tmp_path: Path) -> None:
    batch = [Example("cat", "mat", ("dog", "sat")), Example("dog", "sat", ("on", "cat"))]
    before = gradient(base, tmp_path, batch)
    for place in range(2):
        negatives = list(batch[0].negatives)
        negatives[place] = "the the"
        changed = [replace(batch[0], negatives=tuple(negatives)), batch[1]]
        assert np.abs(gradient(base, tmp_path, changed) - before).max() > 1e-3
    assert np.array_equal(gradient(base, tmp_path, batch), before)


@needs_torch
def test_the_loss_is_the_one_it_is_said_to_be(base: Path, tmp_path: Path) -> None:
    batch = [Example("cat", "mat", ("dog",)), Example("dog", "sat", ("on",)), Example("a", "the", ("mat cat",))]
    model = open_folder(base)
    network = load_network(model, "cpu", tmp_path).eval()
    loss = batch_loss(network, Features(model, 12, "cpu"), batch, 20.0).item()
    mine = OnnxEmbedder(model)
    documents = mine.embed_documents([one.positive for one in batch] + [one.negatives[0] for one in batch])
    logits = 20.0 * mine.embed_queries([one.query for one in batch]) @ documents.T
    wanted = np.mean([np.log(np.exp(row).sum()) - row[place] for place, row in enumerate(logits)])
    assert loss == pytest.approx(wanted, abs=1e-4)


@needs_torch
def test_rows_with_different_numbers_of_negatives_do_not_reach_it(base: Path, tmp_path: Path) -> None:
    model = open_folder(base)
    with pytest.raises(ValueError, match="shorter"):
        batch_loss(None, Features(model, 12, "cpu"), [Example("cat", "mat", ("dog",)), Example("dog", "sat")], 20.0)


# --- what comes out ---------------------------------------------------------------------------------------------------


@needs_torch
def test_it_learns_what_the_examples_say(pupil: Path, tmp_path: Path) -> None:
    found = trained(pupil, tmp_path, recipe=LEARN)
    assert found.losses[-1] < found.losses[0] / 4
    assert hits(pupil) <= 2
    assert hits(found.folder) >= 5


@needs_torch
def test_the_exported_model_gives_torchs_vectors_and_keeps_what_the_base_had(base: Path, whole: TrainedEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    model, before = open_folder(whole.folder), open_folder(base)
    assert model.fingerprint != before.fingerprint
    assert (model.recipe, model.architecture, model.tokenizer_sha256) == (
        before.recipe, before.architecture, before.tokenizer_sha256,
    )  # fmt: skip
    theirs = SentenceTransformer(str(whole.folder), device="cpu", local_files_only=True)
    texts = ["the cat sat on the mat a dog a dog sat on the mat", "dog", "", "unknown words"]
    mine = OnnxEmbedder(model)
    for ours, other in (
        (mine.embed_documents(texts), theirs.encode(texts, prompt="", normalize_embeddings=True)),
        (mine.embed_queries(texts), theirs.encode(texts, prompt_name="query", normalize_embeddings=True)),
    ):
        assert np.abs(ours - other).max() < 1e-5


@needs_torch
@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_a_base_in_half_precision_is_trained_in_full(tmp_path: Path, kind: str) -> None:
    base = tiny.make_folder(tmp_path / "base", kind=kind, config={"dtype": "float16"})
    found = trained(base, tmp_path, recipe=replace(RECIPE, epochs=1))
    assert {str(tensor.dtype) for tensor in weights(found.folder).values()} == {"float32"}


@needs_torch
def test_cls_pooling_is_kept(tmp_path: Path) -> None:
    base = tiny.make_folder(tmp_path / "base", pooling={"pooling_mode_cls_token": True})
    found = trained(base, tmp_path, recipe=replace(RECIPE, epochs=1, soup=0.0))
    assert open_folder(found.folder).recipe.pooling == "cls"
    gap = embed.load(str(found.folder)).embed_documents(["the cat"]) - embed.load(str(base)).embed_documents(
        ["the cat"]
    )
    assert np.abs(gap).max() < 1e-6


@needs_torch
def test_the_result_is_the_mean_of_the_weights_before_and_after(
    base: Path, tmp_path: Path, whole: TrainedEncoder
) -> None:
    before = tiny.weights()
    after = weights(whole.folder)
    half = weights(trained(base, tmp_path, "half", replace(RECIPE, soup=0.5)).folder)
    for name, tensor in half.items():
        assert np.abs(tensor - (before[name] + after[name]) / 2).max() < 1e-6
    assert any(np.abs(after[name] - before[name]).max() > 0.01 for name in after)


@needs_torch
def test_nothing_leaves_the_machine_and_nothing_is_printed(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    trained(base, tmp_path, recipe=replace(RECIPE, epochs=1))
    assert capfd.readouterr() == ("", "")


# --- again, and interrupted -------------------------------------------------------------------------------------------


@needs_torch
def test_equal_arguments_give_equal_weights_and_another_seed_others(
    base: Path, tmp_path: Path, whole: TrainedEncoder
) -> None:
    import torch

    state = torch.get_rng_state()
    again = trained(base, tmp_path, "again")
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are not touched"
    assert same(whole.folder, again.folder)
    assert whole.losses == again.losses
    assert not same(whole.folder, trained(base, tmp_path, "other", seed=1).folder)


class Interrupted(Exception):
    pass


def interrupt(at: int) -> Any:
    def progress(done: int, total: int) -> None:
        assert 0 < done <= total
        if done == at:
            raise Interrupted

    return progress


@needs_torch
@pytest.mark.parametrize("at", [1, 7, 26])
def test_an_interrupted_training_goes_on_from_its_checkpoint_to_the_same_end(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: TrainedEncoder, at: int
) -> None:
    monkeypatch.setattr(config, "ENCODER_CHECKPOINT_STEPS", 3)
    with pytest.raises(Interrupted):
        trained(base, tmp_path, "cut", progress=interrupt(at))
    steps: list[int] = []
    again = trained(base, tmp_path, "cut", progress=lambda done, _: steps.append(done))
    assert steps == list(range(at // 3 * 3 + 1, steps[-1] + 1))
    assert same(whole.folder, again.folder)
    assert whole.losses == again.losses
    assert [path.name for path in (tmp_path / "cut steps").iterdir()] == ["finished.json"]


@needs_torch
def test_the_deadline_leaves_a_checkpoint(base: Path, tmp_path: Path, whole: TrainedEncoder) -> None:
    done: list[int] = []
    places: dict[str, Any] = {"output": tmp_path / "x", "checkpoints": tmp_path / "c", "threads": 1}
    progress = lambda step, _: done.append(step)  # noqa: E731
    assert train(base, EXAMPLES, RECIPE, deadline=time.monotonic(), progress=progress, **places) is None
    assert done == [] and not (tmp_path / "x").exists()
    assert (tmp_path / "c" / "checkpoint.pt").is_file()
    found = train(base, EXAMPLES, RECIPE, deadline=time.monotonic() + 3600, **places)
    assert found is not None and same(found.folder, whole.folder)


@needs_torch
def test_what_is_finished_is_not_trained_again_unless_something_differs(
    base: Path, tmp_path: Path, whole: TrainedEncoder
) -> None:
    first = trained(base, tmp_path)
    steps: list[int] = []
    assert trained(base, tmp_path, progress=lambda done, _: steps.append(done)) == first
    assert steps == []
    trained(base, tmp_path, examples=EXAMPLES[:4], progress=lambda done, _: steps.append(done))
    assert steps
    (tmp_path / "one" / "model.safetensors").write_bytes(b"damaged")
    again = trained(base, tmp_path)
    assert again == first and same(again.folder, whole.folder)


@needs_torch
def test_a_damaged_checkpoint_is_none(base: Path, tmp_path: Path, whole: TrainedEncoder) -> None:
    (tmp_path / "one steps").mkdir()
    (tmp_path / "one steps" / "checkpoint.pt").write_bytes(b"half a check")
    assert same(trained(base, tmp_path).folder, whole.folder)


# Kills itself after the ninth step.
TRAINER = """
import os, signal, sys
from pathlib import Path
from refine.test_encoder import EXAMPLES, RECIPE
from vstore import config
from vstore.refine.encoder import train
config.ENCODER_CHECKPOINT_STEPS = 2
def progress(done, total):
    print(done, flush=True)
    if done == 9:
        os.kill(os.getpid(), signal.SIGKILL)
base, output, checkpoints = map(Path, sys.argv[1:])
train(base, EXAMPLES, RECIPE, output=output, checkpoints=checkpoints, threads=1, progress=progress)
"""


@needs_torch
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process that has torch loaded")
def test_after_kill_9_a_training_goes_on_to_the_same_end(
    base: Path, tmp_path: Path, forks: Forks, whole: TrainedEncoder
) -> None:
    said, code = forks.run(TRAINER, base, tmp_path / "cut", tmp_path / "cut steps")
    assert (said, code) == ([str(step) for step in range(1, 10)], -9)
    steps: list[int] = []
    found = trained(base, tmp_path, "cut", progress=lambda done, _: steps.append(done))
    assert steps[0] > 8
    assert same(found.folder, whole.folder)


# --- what goes wrong --------------------------------------------------------------------------------------------------


@needs_torch
def test_a_loss_that_is_not_finite_stops_the_training(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="diverged"):
        trained(base, tmp_path, recipe=replace(RECIPE, scale=float("inf")))
    assert not (tmp_path / "one").exists()


@needs_torch
def test_an_export_that_does_not_agree_with_torch_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "difference", lambda *_: 0.1)
    with pytest.raises(TrainingError, match=r"differs from the trained one by 0\.1"):
        trained(base, tmp_path, recipe=replace(RECIPE, epochs=1))
    assert not (tmp_path / "one").exists()


@needs_torch
def test_without_examples_there_is_nothing_to_train(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        trained(base, tmp_path, examples=[])


def test_without_the_extra_the_error_says_how_to_get_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vstore\[refine\]'"):
        trained(base, tmp_path)


# --- from examples to a store that serves them ------------------------------------------------------------------------


@needs_torch
def test_a_store_trains_builds_compares_switches_and_goes_back(
    pupil: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSTORE_MODELS", str(tmp_path / "models"))
    path = tmp_path / "memory.db"

    def right(store: Store) -> int:
        return sum(store.search(query, k=1, mode="dense")[0].text == text for query, text in MEANS.items())

    with Store(path, str(pupil)) as store, Store(path) as other:
        for text in MEANS.values():
            store.remember(text, uri=text)
        before = right(store)
        found = trained(pupil, tmp_path, recipe=LEARN)
        index = SqliteIndex(path)
        model_id = beside.begin(index, found.folder, {"recipe": RECIPE.to_dict()})
        refined, space = embed.load(str(found.folder)), index.space_of(model_id)
        assert fill(index, space, refined)
        with index.snapshot() as snapshot:  # both are searched at the same moment
            view = snapshot.serving(None, space=space)
            vectors = view.vectors([number for at in range(1, 7) for number in snapshot.chunk_ids(at)])
            assert len(vectors) == 6 and view.space == space
        assert right(other) == before, "the candidate does not serve yet"
        index.complete_encoder(model_id, {"before": before})
        assert switch(index, model_id, refined)
        assert right(store) == right(other) >= 5 > 2 >= before
        store.remember("a dog", uri="late")
        assert other.search("a dog", k=7).degraded is None
        assert_consistent(path, 2)
        assert store.roll_back() == 1
        assert {hit.document.uri for hit in other.search("dog", k=7, mode="dense")} == {*MEANS.values(), "late"}
        assert_consistent(path, 1)
        index.close()


@needs_torch
def test_the_example_of_the_documentation_runs(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VSTORE_MODELS", str(tmp_path / "models"))
    load, default = embed.load, "all-MiniLM-L6-v2"
    monkeypatch.setattr(embed, "load", lambda name, **more: load(str(base) if name == default else name, **more))
    page = (Path(__file__).parents[2] / "docs" / "refinement.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"^```python\n(.*?)^```", page, re.S | re.M) if "switch" in block)
    with Store("memory.db", str(base)) as store:
        store.remember("a cat")
        exec(compile(example, "refinement.md", "exec"), {"folder": tmp_path})
        assert [model.status for model in store.models()] == ["active", "retired"]
        assert store.search("cat").degraded is None
        store.roll_back()
