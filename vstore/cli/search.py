"""`vstore search`."""

from __future__ import annotations

from typing import Any

import click

from vstore import config
from vstore.cli.context import Context, conjunction, filter_options, json_option, pass_context, text_or_stdin
from vstore.cli.output import emit_json, print_results


@click.command()
@click.argument("query")
@click.option("-k", "--limit", "k", default=config.DEFAULT_K, show_default=True, metavar="N", type=int, help="Results.")
@click.option("--mode", default="hybrid", show_default=True, help="hybrid, dense (meaning) or lexical (keywords).")
@click.option("--fusion", default=config.DEFAULT_FUSION, show_default=True, help="How hybrid joins the two rankings.")
@filter_options
@click.option("--explain", is_flag=True, help="Show how each score came about.")
@json_option
@pass_context
def search(
    context: Context,
    query: str,
    k: int,
    mode: Any,
    fusion: str,
    collection: tuple[str, ...],
    filters: tuple[dict[str, Any], ...],
    tags: tuple[str, ...],
    since: str | None,
    until: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Search by keyword and by meaning; `-` reads the QUERY from stdin."""
    with context.store() as store:
        results = store.search(
            text_or_stdin(query),
            k,
            mode=mode,
            fusion=fusion,
            collection=collection,
            where=conjunction(filters),
            tags=tags,
            since=since,
            until=until,
            explain=explain,
        )
    if as_json:
        emit_json(results.to_dict())
    else:
        print_results(results, explain=explain)
    if context.verbose:
        click.echo(", ".join(f"{stage} {ms:.1f} ms" for stage, ms in results.timings.items()), err=True)
