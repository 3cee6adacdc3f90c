"""The query as a vector: the model that it takes, what a search does without one, and the adapter that serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vstore.errors import ModelError
from vstore.search.wording import quoted
from vstore.storage import Snapshot
from vstore.types import Embedder, Mode, Query

if TYPE_CHECKING:
    from vstore.types import FloatArray

    Question = tuple[str, FloatArray]  # the fingerprint of the embedding space, and the query's vector


def prepare(embedder: Callable[[], Embedder], query: Query) -> tuple[Question | None, str | None]:
    """The query embedded, or None and why not; a search by keywords alone needs no vector, and no reason."""
    model, degraded = model_for(embedder, query)
    return (None, degraded) if model is None else embedded(model, query)


def served_mode(query: Query, question: Question | None) -> Mode:
    """The mode in which a query is served: without a vector by keywords, whatever was asked for."""
    return query.mode if question else "lexical"


def model_for(embedder: Callable[[], Embedder], query: Query) -> tuple[Embedder | None, str | None]:
    """The model that the query takes, or None and why there is none."""
    if query.mode == "lexical":
        return None, None
    try:
        return embedder(), None
    except ModelError as error:
        return None, _without(error, query)


def embedded(model: Embedder, query: Query) -> tuple[Question | None, str | None]:
    """The query as a vector, or None and why not: a model's weights are read at its first text, and may be unfit."""
    try:
        return (model.fingerprint, model.embed_queries([quoted(query.text)[1]])[0]), None
    except ModelError as error:
        return None, _without(error, query)


def _without(error: ModelError, query: Query) -> str:
    """What a search says that goes on without a model. Raises the error where there is no other way."""
    if query.mode == "dense":
        raise error
    return f"searched by keywords only, without a model: {error}"


def served(snapshot: Snapshot, question: Question | None) -> Question | None:
    """The question as the active adapter, if there is one, maps it.

    Raises SpaceMismatchError when it was embedded by another model than the store's vectors.
    """
    return None if question is None else adapting(snapshot)(question)


def adapting(snapshot: Snapshot) -> Callable[[Question], Question]:
    """What `served` does, as a function that asks the file for nothing."""
    space = snapshot.space
    adapter = snapshot.adapter if space else None

    def adapt(question: Question) -> Question:
        fingerprint, vector = question
        if space is not None:
            space.require(fingerprint)
        return question if adapter is None else (fingerprint, adapter.apply(vector))

    return adapt
