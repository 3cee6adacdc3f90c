"""`vstore why`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from vstore.cli.context import Context, chunk_number, conjunction, json_option, pass_context, text_or_stdin
from vstore.cli.output import LEGS, emit_json
from vstore.cli.search import optional_stages, search
from vstore.errors import NotFoundError
from vstore.printable import printable

if TYPE_CHECKING:
    from vstore.results import Explanation

# Options of `vstore search` that come after the ranking or only print.
WITHOUT = ("query", "context_", "context_tokens", "explain", "as_json")


@click.command(
    params=[
        click.Argument(["query"]),
        click.Argument(["target"]),
        *(parameter for parameter in search.params if parameter.name not in WITHOUT),
    ]
)
@json_option
@pass_context
def why(context: Context, /, query: str, target: str, as_json: bool, **options: Any) -> None:
    """Say why a search with these options does not return TARGET (a uri, a path, a chunk's number), and what would."""
    asked = {"query": text_or_stdin(query), **_as_in_search(options)}
    with context.store() as store:
        try:
            answer = store.why(**asked, uri=target)
        except NotFoundError:
            number = chunk_number(target)
            if number is None:
                raise
            answer = store.why(**asked, chunk_id=number)
    if as_json:
        emit_json(answer.to_dict())
    else:
        _print(answer)


def _as_in_search(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the command line as those of `Store.search`."""
    rest = dict(options)
    where = conjunction(rest.pop("filters"))
    stages = optional_stages(*(rest.pop(name) for name in ("recency", "frequency", "history")))
    named = {name.removeprefix("no_"): not value if name.startswith("no_") else value for name, value in rest.items()}
    return {**named, "where": where, "stages": stages}


def _print(answer: Explanation) -> None:
    """What happened and what to do about it, then the facts."""
    if answer.degraded:
        click.secho(f"note: {printable(answer.degraded)}", fg="yellow", err=True)
    click.secho(printable(answer.reason), bold=True)
    if answer.change is None:
        click.echo("no change to the search was found that brings it back")
    elif answer.change:
        click.echo(printable(f"number {answer.new_rank} with: {', '.join(_changes(answer))}"))
    document = answer.document
    click.secho(printable(f"    {document.uri}  [chunk {answer.chunk.id}, {document.collection}]"), dim=True)
    for standing in answer.standings:
        rank = "-" if standing.rank is None else f"#{standing.rank}"
        score = "no vector" if standing.score is None else f"{standing.score:.3f}"
        spread = "" if standing.deviations is None else f", {standing.deviations:+.1f} deviations from the mean"
        click.echo(f"    {LEGS[standing.leg]:9} {rank} ({score}{spread})")
    for label, words in (("has", answer.matched), ("lacks", answer.missing)):
        if words:
            click.echo(printable(f"    {label:9} {', '.join(words)}"))
    if answer.score is not None and answer.bar is not None:
        click.echo(f"    score     {answer.score:.4f} at place {answer.place}; the last result has {answer.bar:.4f}")
    for move in answer.moves:
        click.echo(f"    {move.stage:9} from place {move.before} to {move.after}, on account of chunk {move.behind}")


def _changes(answer: Explanation) -> list[str]:
    """The change as options of the command line."""
    changes = []
    for name, value in (answer.change or {}).items():
        if name == "query":
            changes.append(f"the query {shlex.quote(value)}")
        elif name in ("k", "mode"):
            changes.append(f"{'-k' if name == 'k' else '--mode'} {value}")
        elif value is False:
            changes.append(f"--no-{name}")
        elif name == "stages":
            changes.append("no --recency, --frequency or --history")
        else:
            excluding = answer.excluded_by[name]
            changes.append(f"no --{'tag' if name == 'tags' else name} {_shown(excluding)}")
    return changes


def _shown(excluding: Any) -> str:
    return ", ".join(excluding) if isinstance(excluding, (tuple, list)) else str(excluding)
