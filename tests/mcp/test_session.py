"""An agent's life with a store: it remembers, searches, judges, comes back, and finds otherwise after a night."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents import TOY, Agent, agent, environment
from refine.world import COURTESY, TOPICS, questions

QUESTIONS = 60  # of which a night promotes


def facts() -> Iterator[str]:
    """Fifty notes about four topics each, in courteous words that say nothing."""
    draw = random.Random(1)
    for _ in range(50):
        words = draw.sample(TOPICS, 4) + draw.sample(COURTESY, 3)
        draw.shuffle(words)
        yield " ".join(words)


def rankings(client: Agent) -> dict[str, list[dict[str, Any]]]:
    return {question: client.call("memory_search", query=question)["results"] for question in questions(QUESTIONS)}


def uris(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {question: [hit["uri"] for hit in hits] for question, hits in found.items()}


def about(question: str, text: str) -> int:
    """How many of the question's topics a text is about."""
    return len(set(question.split()) & set(text.split()) & set(TOPICS))


def on_topic(found: dict[str, list[dict[str, Any]]]) -> int:
    """Topics that the first three results of all questions are about."""
    return sum(about(question, hit["preview"]) for question, hits in found.items() for hit in hits[:3])


def test_what_an_agent_asks_and_judges_moves_the_ranking_of_its_next_session(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with agent(path) as client:
        for number, fact in enumerate(facts()):
            client.call("memory_remember", text=fact, uri=f"fact-{number}")
        first = rankings(client)
        for question, hits in list(first.items())[:20]:
            best = max(hits, key=lambda hit: about(question, hit["preview"]))
            assert client.call("memory_feedback", query=question, id=best["id"], relevant=True)["grade"] == 1.0
    with agent(path) as client:
        assert client.call("memory_stats")["documents"] == 50
        second = rankings(client)
        assert uris(second) == uris(first), "a restart changes nothing"

        night = [sys.executable, "-c", TOY, "--db", str(path), "refine", "run", "--budget", "5m"]
        done = subprocess.run(night, capture_output=True, text=True, env=environment(tmp_path), check=True)
        assert done.stdout.startswith("promoted: "), done.stdout
        third = rankings(client)  # the server that was running meanwhile
        assert client.call("memory_stats")["adapter"] is not None
    moved = sum(uris(third)[question] != uris(second)[question] for question in second)
    assert moved > QUESTIONS / 2
    assert on_topic(third) >= on_topic(second), "and not for the worse"
