"""The smallest change to a search that brings a lost document back. Nothing is named that was not run.

Changes are tried from the fewest and mildest on: filters that exclude the document always have to go; then a stage
turned off, a larger k, no quote marks, another mode, two of these together, and at last words of the document added to
the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from vstore import config
from vstore.filters import conjuncts, joined
from vstore.search.pipeline import MODES
from vstore.search.probe import Options, Probe
from vstore.search.wording import quoted
from vstore.types import StoredChunk, StoredDocument

Ranks = dict[str, int | None]  # the target's best rank in each leg alone


@dataclass(frozen=True, slots=True)
class Barrier:
    """An option of the search that excludes the document: which part of it does, and what to ask for instead."""

    excluding: Any
    instead: Any


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that was run, and the rank the document then had."""

    change: Options
    rank: int


def barriers(probe: Probe, document: StoredDocument) -> dict[str, Barrier]:
    """The filters that exclude the document, by option; conditions that it meets are kept."""
    options = probe.options
    found = {}
    for name in ("collection", "since", "until"):
        value = options.get(name)
        if value is not None and not probe.admits(document, {name: value}):
            found[name] = Barrier(value, None)
    tags = tuple(options.get("tags", ()))
    met = {tag for tag in tags if probe.admits(document, {"tags": (tag,)})}
    if lacking := tuple(tag for tag in tags if tag not in met):
        found["tags"] = Barrier(lacking, tuple(tag for tag in tags if tag in met))
    conditions = [(part, probe.admits(document, {"where": part})) for part in conjuncts(options.get("where"))]
    if failing := [part for part, holds in conditions if not holds]:
        found["where"] = Barrier(joined(failing), joined([part for part, holds in conditions if holds]))
    return found


def bring_back(
    probe: Probe, targets: frozenset[int], dropped: Options, ranks: Ranks, chunk: StoredChunk
) -> Remedy | None:
    """The first change after which one of the chunks is a result; None when none was found.

    `dropped` are the filters that must go, `ranks` how deep in each leg the targets are without them, and `chunk` the
    one whose words may be added to the query.
    """
    for variant, limit in chain(_variants(probe), _rewordings(probe, chunk)):
        known = None if "query" in variant else ranks  # they are those of the query as it was asked
        if remedy := _tried(probe, targets, {**dropped, **variant}, limit, known):
            return remedy
    return None


def _variants(probe: Probe) -> Iterator[tuple[dict[str, Any], int]]:
    """Changes to the options with the largest k to try with each: first those of one option, then of more.

    Of one option alone, a k that a reader may still look through comes before a query without its quote marks and
    another mode, any other k after them.
    """
    k = probe.asked.k
    stages: list[dict[str, Any]] = [{name: False} for name in probe.asked.stages]
    stages += [{"stages": ()}] if probe.asked.optional else []
    fitting = MODES if probe.question(probe.asked.text) is not None else ()
    modes: list[dict[str, Any]] = [{"mode": mode} for mode in fitting if mode != probe.asked.mode]
    off = {option: value for change in stages for option, value in change.items()}
    both: list[dict[str, Any]] = [off] if len(stages) > 1 else []
    yield from ((change, k) for change in [{}, *stages])
    yield {}, max(k, config.POOL_DEPTH)
    phrases, unquoted = quoted(probe.asked.text)
    if phrases:
        yield {"query": unquoted}, max(k, config.POOL_DEPTH)
    yield from ((change, k) for change in modes)
    yield {}, config.MAX_K
    yield from ((change, k) for change in both)
    yield from ((change, config.MAX_K) for change in [*stages, *modes, *both])


def _rewordings(probe: Probe, chunk: StoredChunk) -> Iterator[tuple[dict[str, Any], int]]:
    """The query with the rarest words of the chunk that it lacks: one, two, four, eight of them."""
    snapshot, query = probe.snapshot, probe.asked
    present = {term.stem for term in snapshot.terms(query.text)}
    terms = snapshot.terms(f"{chunk.document.title}\n{chunk.heading}\n{chunk.text}")
    absent = [term for term in terms if term.stem not in present and term.document_frequency]
    rarest = sorted(absent, key=lambda term: (term.document_frequency, -len(term.text)))
    rare = [term.text for term in rarest[: config.REWORDING_WORDS]]
    longer = [f"{query.text} {' '.join(rare[:n])}" for n in (1, 2, 4, config.REWORDING_WORDS) if n <= len(rare)]
    longer = [text for text in longer if len(text) <= config.MAX_QUERY_CHARS]
    for limit in (query.k, max(query.k, config.POOL_DEPTH)):
        for change in ({}, {"mode": "lexical"}) if query.mode != "lexical" else ({},):
            yield from (({**change, "query": text}, limit) for text in longer)


def _tried(
    probe: Probe, targets: frozenset[int], change: dict[str, Any], limit: int, ranks: Ranks | None
) -> Remedy | None:
    """The change with the k that it takes, if one up to `limit` does."""
    asked = probe.query(change)
    reach = 1
    if ranks is not None:
        mode = probe.served(asked)
        known = [rank for leg, rank in ranks.items() if mode in ("hybrid", leg) and rank is not None]
        if not known:
            return None  # it is in no list of the legs, however long
        reach = min(known)

    def place(k: int) -> int | None:
        return probe.place(probe.query({**change, "k": k}), targets)

    least = least_k(place, asked.k, reach, limit)
    if least is None:
        return None
    k, rank = least
    return Remedy(change if k == asked.k else {**change, "k": k}, rank)


def least_k(place: Callable[[int], int | None], k: int, reach: int, limit: int) -> tuple[int, int] | None:
    """The smallest k from `k` to `limit` at which a chunk stands among the first k, and its place; None if none does.

    `place(k)` is its place among all candidates, None while it is none; it depends on k because the legs' lists are
    as long as k. Where a longer list only adds candidates ahead of it, as in `calibrated`, no smaller k than the place
    just seen can do, so each step goes there. `reach` is the length of list with which it becomes a candidate at all.
    After K_STEPS steps they become longer than that, and the k found may be too large.
    """
    step = 0
    while True:
        found = place(k)
        if found is not None and found <= k:
            return k, found
        if k >= limit or (found is None and limit <= config.POOL_DEPTH):  # lists up to that depth are all the same
            return None
        ahead = reach if found is None else found
        if ahead <= k:  # above EXACT_SCAN_CHUNKS shorter lists are less exact: it may be missing despite its rank
            ahead = 2 * k
        k = min(limit, k + ((ahead - k) << max(0, step - config.K_STEPS)))
        step += 1
