"""The encoder's trainer: the model learns to put queries close to what answers them, with torch.

The loss is sentence-transformers' MultipleNegativesRankingLoss, over the mined hard negatives and all other texts of
the batch; the result is the mean of the weights before and after, which keeps most of what the model knew.

The only module that needs the extra `refine`. Training takes a CPU hours, so it goes on where it was interrupted.

Sources: Henderson et al., "Efficient natural language response suggestion for Smart Reply", 2017, for the loss;
Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, for averaging with the weights before.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from vstore import config
from vstore.embed.cache import write_atomically
from vstore.embed.export import write_folder
from vstore.embed.folder import open_folder
from vstore.embed.model import LocalModel
from vstore.embed.runtime import OnnxEmbedder
from vstore.errors import MissingExtraError, ModelError, TrainingError
from vstore.refine.examples import Example, batches

if TYPE_CHECKING:
    from vstore.types import FloatArray

    Weights = dict[str, FloatArray]  # by BERT's own names

__all__ = ["EncoderRecipe", "Example", "TrainedEncoder", "train"]

_CHECKPOINT = "checkpoint.pt"
_FINISHED = "finished.json"
_PROBES = 16  # texts by which the exported model is compared with the trained one


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """How to train. `soup` is the share of the trained weights in the result, `scale` multiplies cosines.

    `max_tokens` is the window while training, at most the model's own, which the result keeps. `warm_up` is the share
    of all steps in which the learning rate rises; then it falls to 0.
    """

    epochs: int = config.ENCODER_EPOCHS
    batch: int = config.ENCODER_BATCH
    negatives: int = config.ENCODER_NEGATIVES
    learning_rate: float = config.ENCODER_LEARNING_RATE
    warm_up: float = config.ENCODER_WARM_UP
    weight_decay: float = config.ENCODER_WEIGHT_DECAY
    max_tokens: int = config.ENCODER_TOKENS
    scale: float = config.ENCODER_SCALE
    soup: float = config.ENCODER_SOUP

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """A sentence-transformers folder that `vstore.embed` reads, and the mean loss of every epoch."""

    folder: Path
    losses: tuple[float, ...]


def train(
    base: LocalModel | Path,
    examples: Sequence[Example],
    recipe: EncoderRecipe | None = None,
    *,
    output: Path,
    checkpoints: Path,
    seed: int = 0,
    deadline: float | None = None,
    device: str = "cpu",
    threads: int | None = None,
    key: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedEncoder | None:
    """Train an encoder into the folder `output`; None when the deadline came first.

    `deadline` is a time of `time.monotonic()`, looked at between steps. Whatever ends a run, the next one with the same
    base, examples (or `key`, which stands for them when a few are lost on the way), recipe and seed goes on from the
    last checkpoint in the folder `checkpoints`; when it was finished it returns at once. `threads` limits torch's on a
    CPU (None: all cores), where equal arguments give equal weights. `progress` is told about steps done and in all.
    Raises MissingExtraError without torch or sentence-transformers, InputError without examples, ModelError for a
    base that cannot be used, and TrainingError when the loss ceases to be finite or the exported model does not give
    the trained one's vectors.
    """
    require_extra()
    recipe = recipe or EncoderRecipe()
    model = base if isinstance(base, LocalModel) else open_folder(base)
    plan = [batches(examples, recipe.batch, recipe.negatives, seed=seed, epoch=epoch) for epoch in range(recipe.epochs)]
    identity = _identity(model, key or [asdict(example) for example in examples], recipe, seed)
    known = _finished(checkpoints, identity, output)
    if known is not None:
        return known
    checkpoints.mkdir(parents=True, exist_ok=True)
    probes = [text for example in examples[:_PROBES] for text in (example.query, example.positive)]
    with _threads(threads):
        run = _Run(model, recipe, seed, device, checkpoints, identity)
        if not run.steps([batch for epoch in plan for batch in epoch], deadline, progress):
            return None
        _export(run, probes, output)
    losses = _by_epoch(run.losses, [len(epoch) for epoch in plan])
    finished = {"identity": identity, "fingerprint": open_folder(output).fingerprint, "losses": losses}
    write_atomically(checkpoints / _FINISHED, json.dumps(finished).encode())
    (checkpoints / _CHECKPOINT).unlink(missing_ok=True)
    return TrainedEncoder(output, losses)


class _Run:
    """A model being trained: its weights, the optimiser, and the loss of every step so far."""

    def __init__(
        self, model: LocalModel, recipe: EncoderRecipe, seed: int, device: str, folder: Path, identity: str
    ) -> None:
        import torch

        self.model = model
        self.losses: list[float] = []
        self._recipe, self._seed, self._folder, self._identity = recipe, seed, folder, identity
        self.network = load_network(model, device, folder)
        _save_memory(self.network[0].auto_model)
        self._before = _weights(self.network)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.features = Features(model, recipe.max_tokens, device)
        self._resume(device)

    def steps(
        self, steps: Sequence[list[Example]], deadline: float | None, progress: Callable[[int, int], None] | None
    ) -> bool:
        """Take all steps that were not taken yet; False, after a checkpoint, when the deadline came first."""
        for step in range(len(self.losses), len(steps)):
            if deadline is not None and time.monotonic() >= deadline:
                self.save()
                return False
            self.step(steps[step], step, len(steps))
            if (step + 1) % config.ENCODER_CHECKPOINT_STEPS == 0:
                self.save()
            if progress is not None:
                progress(step + 1, len(steps))
        return True

    def step(self, batch: Sequence[Example], step: int, steps: int) -> None:
        """Learn from one batch. Raises TrainingError when the loss is not finite."""
        import torch

        for group in self._optimiser.param_groups:
            group["lr"] = self._recipe.learning_rate * _slope(step, steps, self._recipe.warm_up)
        self.network.train()
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.SeedSequence([self._seed, step]).generate_state(1)[0]))
            loss = batch_loss(self.network, self.features, batch, self._recipe.scale)
            value = float(loss.item())
            if not math.isfinite(value):
                raise TrainingError(
                    f"training diverged in step {step + 1} of {steps} (loss {value}); what serves stays"
                )
            self._optimiser.zero_grad()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.ENCODER_GRADIENT_NORM)
        self._optimiser.step()
        self.losses.append(value)

    def averaged(self) -> Weights:
        """The mean of the weights before and after. Raises TrainingError when they are not finite."""
        share = np.float32(self._recipe.soup)
        mixed = {
            name: (np.float32(1.0) - share) * self._before[name] + share * after
            for name, after in _weights(self.network).items()
        }
        if not all(np.isfinite(tensor).all() for tensor in mixed.values()):
            raise TrainingError("training ended with weights that are not finite; what serves stays")
        return mixed

    def save(self) -> None:
        """Write a checkpoint that appears whole or not at all, and outlives a power loss."""
        import torch

        state = {
            "identity": self._identity,
            "losses": self.losses,
            "weights": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        temporary = self._folder / f".{_CHECKPOINT}"
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / _CHECKPOINT)

    def _resume(self, device: str) -> None:
        """Go on from the checkpoint, if it is one of this very training."""
        import torch

        path = self._folder / _CHECKPOINT
        if not path.is_file():
            return
        try:
            state = torch.load(path, map_location=device, weights_only=True)
        except (OSError, EOFError, LookupError, RuntimeError, TypeError, ValueError, UnpicklingError):  # damaged
            return
        if state["identity"] == self._identity:
            self.network.load_state_dict(state["weights"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.losses = list(state["losses"])


# --- the network ------------------------------------------------------------------------------------------------------


def load_network(model: LocalModel, device: str, work: Path) -> Any:
    """The model as a SentenceTransformer in float32; `work` is a folder for its files while they are read."""
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory(dir=work, prefix="base-") as folder:
        path = Path(folder) / "model"
        write_folder(model, path)
        with _quiet():
            unpooled = {"add_pooling_layer": False}  # BERT's own pooler, which no sentence vector goes through
            network = SentenceTransformer(str(path), device=device, local_files_only=True, model_kwargs=unpooled)
    return network.float()


def batch_loss(network: Any, features: Features, batch: Sequence[Example], scale: float) -> Any:
    """The loss of a batch, a scalar tensor: a column of queries, one of positives, and one for each negative."""
    import torch

    columns: list[tuple[str, ...]] = list(zip(*((e.query, e.positive, *e.negatives) for e in batch), strict=True))
    seen: list[dict[str, Any]] = [features(columns[0], query=True), *(features(column) for column in columns[1:])]
    # Every negative is to reach the loss: dropped columns would train, only worse, and nothing else would show it.
    assert len(seen) == 2 + len(batch[0].negatives), f"the loss would see {len(seen)} columns"
    return _ranking_loss()(model=network, scale=scale)(seen, torch.empty(0))


class Features:
    """Texts as tensors, tokenised as vstore's own runtime does it."""

    def __init__(self, model: LocalModel, max_tokens: int, device: str) -> None:
        self._recipe, self._device = model.recipe, device
        self._tokenizer = Tokenizer.from_file(str(model.tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(max_tokens, model.recipe.max_tokens))

    def __call__(self, texts: Sequence[str], *, query: bool = False) -> dict[str, Any]:
        """int64 tensors of shape (texts, longest text), padded on the right."""
        import torch

        prefix = self._recipe.query_prefix if query else self._recipe.document_prefix
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch([prefix + text for text in texts])]
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        tensors = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: torch.from_numpy(tensor).to(self._device) for name, tensor in tensors.items()}


def _weights(network: Any) -> Weights:
    """Copies of the encoder's weights."""
    state = network[0].auto_model.state_dict()
    return {name: tensor.detach().cpu().numpy().astype(np.float32).copy() for name, tensor in state.items()}


def _save_memory(bert: Any) -> None:
    """Keep the inputs of the layers alone for the way back: half the memory, and the rest is computed once more."""
    bert.config.use_cache = False
    old_name = "gradient_checkpointing_enable"
    getattr(bert, "activation_checkpointing_enable", getattr(bert, old_name))({"use_reentrant": False})


def _ranking_loss() -> Any:
    try:
        from sentence_transformers.sentence_transformer import losses
    except ImportError:  # the older place
        from sentence_transformers import losses
    return losses.MultipleNegativesRankingLoss


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no reports of the library that reads the model: the caller has its own."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _threads(limit: int | None) -> Iterator[None]:
    """At most so many of torch's threads in the `with` block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(limit or before, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _slope(step: int, steps: int, warm_up: float) -> float:
    """The share of the learning rate at a step: it rises to 1 while warming up, and falls to 0 at the end."""
    rising = max(1, round(warm_up * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising), 1.0)


# --- files ------------------------------------------------------------------------------------------------------------


def _export(run: _Run, probes: Sequence[str], output: Path) -> None:
    """Write the averaged model and put it in its place when vstore's runtime gives the same vectors as torch."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as work:
        folder = Path(work) / "model"
        write_folder(run.model, folder, run.averaged())
        exported = open_folder(folder)
        gap = difference(exported, probes, Path(work))
        if not gap <= config.ENCODER_TOLERANCE:
            raise TrainingError(f"the exported encoder differs from the trained one by {gap:.2g}; what serves stays")
        shutil.rmtree(output, ignore_errors=True)
        folder.rename(output)


def difference(model: LocalModel, texts: Sequence[str], work: Path) -> float:
    """The largest difference between any component of a vector by vstore's runtime and by torch."""
    import torch

    network = load_network(model, "cpu", work).eval()
    features = Features(model, model.recipe.max_tokens, "cpu")
    with torch.no_grad():
        theirs = torch.nn.functional.normalize(network(features(texts))["sentence_embedding"]).numpy()
    ours = OnnxEmbedder(model).embed_documents(list(texts))
    return float(np.abs(ours - theirs).max())


def _identity(model: LocalModel, examples: Any, recipe: EncoderRecipe, seed: int) -> str:
    """sha256 over all that decides the result."""
    content = [model.fingerprint, recipe.to_dict(), seed, examples]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _finished(checkpoints: Path, identity: str, output: Path) -> TrainedEncoder | None:
    """What an earlier run of this very training has made, if it is still there."""
    path = checkpoints / _FINISHED
    if not path.is_file():
        return None
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["identity"] != identity or open_folder(output).fingerprint != known["fingerprint"]:
            return None
        return TrainedEncoder(output, tuple(known["losses"]))
    except (OSError, ValueError, KeyError, TypeError, ModelError):
        return None


def _by_epoch(losses: Sequence[float], lengths: Sequence[int]) -> tuple[float, ...]:
    """The mean loss of every epoch."""
    ends = np.cumsum(lengths)
    return tuple(float(np.mean(losses[end - length : end])) for end, length in zip(ends.tolist(), lengths, strict=True))


def require_extra() -> None:
    """Raise MissingExtraError without torch or sentence-transformers."""
    try:
        import sentence_transformers  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        message = f"training an encoder needs torch and sentence-transformers ({error}); install them with: "
        raise MissingExtraError(message + "pip install 'vstore[refine]'") from error
