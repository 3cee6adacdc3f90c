"""`vstore get`, `list` and `stats`: look at what is in the store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from vstore import config
from vstore.cli.context import Context, chunk_number, confirm, conjunction, filter_options, json_option, pass_context
from vstore.cli.output import emit_json, print_documents
from vstore.cli.searches import print_searches
from vstore.errors import NotFoundError
from vstore.printable import printable, printable_lines


@click.command()
@click.argument("target")
@click.option("-c", "--collection", metavar="NAME", help="Look in this collection only.")
@json_option
@pass_context
def get(context: Context, target: str, collection: str | None, as_json: bool) -> None:
    """Print a document by its uri or path, or one chunk by its number."""
    with context.store() as store:
        try:
            content = store.get(target, collection=collection)
        except NotFoundError:
            number = chunk_number(target)
            if number is None:
                raise
            content = store.get(number)
    if as_json:
        emit_json(content.to_dict())
    else:
        click.echo(printable_lines(content.text))


@click.command("list")
@filter_options
@click.option("--limit", default=config.LIST_LIMIT, show_default=True, metavar="N", help="Documents at most.")
@json_option
@pass_context
def list_(
    context: Context,
    collection: tuple[str, ...],
    filters: tuple[dict[str, Any], ...],
    tags: tuple[str, ...],
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List documents, the most recently changed first."""
    with context.store() as store:
        documents = store.documents(
            collection=collection, where=conjunction(filters), tags=tags, since=since, until=until, limit=limit
        )
    if as_json:
        emit_json([document.to_dict() for document in documents])
    else:
        print_documents(documents)


@click.command()
@click.option("--search", "searches", is_flag=True, help="Show how its searches went instead, and the slow ones.")
@click.option("--reset", is_flag=True, help="With --search: erase these figures and all logged queries.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def stats(context: Context, searches: bool, reset: bool, yes: bool, as_json: bool) -> None:
    """Show how much is in the store."""
    if reset and not searches:
        raise click.UsageError("--reset goes with --search")
    if searches:
        search_stats(context, reset=reset, yes=yes, as_json=as_json)
        return
    from vstore.search.confidence import scale  # here, because it is not needed for --help

    with context.store() as store:
        found = store.stats()
        size = store.path.stat().st_size
    if as_json:
        emit_json({"path": str(context.settings.db), "bytes": size, **asdict(found)})
        return
    name = printable(str(context.settings.db))
    click.echo(f"store        {name} ({size / 1e6:.1f} MB, schema {found.schema}, SQLite {found.sqlite})")
    click.echo(f"documents    {found.documents:,}")
    if found.expired:
        click.echo(f"expired      {found.expired:,} of them; erase them with: vstore compact")
    click.echo(f"chunks       {found.chunks:,} ({found.chunks_without_vector:,} without a vector)")
    for name, count in found.collections.items():
        click.echo(printable(f"collection   {name}: {count:,} documents"))
    if found.space is None:
        click.echo("model        none yet")
    else:
        click.echo(
            f"model        {printable(found.space.model)}, {found.space.dimension} dimensions "
            f"({found.space.fingerprint[:12]})"
            + ("" if scale("hybrid", found.space) else ", no confidence: none was fitted to its scores")
        )
    if found.adapter is not None:
        click.echo(f"adapter      {found.adapter}, which every query's vector goes through")


def search_stats(context: Context, *, reset: bool, yes: bool, as_json: bool) -> None:
    """Show what searches left behind, or erase it."""
    with context.store() as store:
        found = store.search_stats()
        if reset:
            if not yes:
                confirm(f"Erase the figures of {found.searches:,} searches and {found.logged:,} logged queries?")
            store.erase_searches()
            found = store.search_stats()
    if as_json:
        emit_json(found.to_dict())
    else:
        print_searches(found)
