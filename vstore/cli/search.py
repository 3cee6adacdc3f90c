"""`vstore search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vstore import config
from vstore.cli.context import Context, conjunction, filter_options, json_option, pass_context, text_or_stdin
from vstore.cli.output import emit_json, print_results

if TYPE_CHECKING:
    from vstore.search.stages import Stage


def span(text: str) -> int | str:
    """A number of chunks, or the word section."""
    return text if text == "section" else int(text)


@click.command()
@click.argument("query")
@click.option("-k", "--limit", "k", default=config.DEFAULT_K, show_default=True, metavar="N", type=int, help="Results.")
@click.option("--mode", default="hybrid", show_default=True, help="hybrid, dense (meaning) or lexical (keywords).")
@click.option("--fusion", default=config.DEFAULT_FUSION, show_default=True, help="How hybrid joins the two rankings.")
@filter_options
@click.option(
    "--context",
    "context_",
    default="0",
    type=span,
    metavar="N|section",
    help="Show as many chunks around each hit, or all under its heading.",
)
@click.option(
    "--context-tokens",
    default=config.CONTEXT_TOKENS,
    show_default=True,
    metavar="N",
    type=int,
    help="Most tokens of context, all hits together.",
)
@click.option("--no-diversity", is_flag=True, help="Let one document fill the first places.")
@click.option("--no-collapse", is_flag=True, help="Leave near-copies from other documents where they are.")
@click.option(
    "--recency", metavar="DAYS", type=float, help="Favour newer documents, by half as much for each DAYS of age."
)
@click.option("--frequency", is_flag=True, help="Favour what was often found for other queries.")
@click.option("--history", is_flag=True, help="Favour, and recall, what was found for similar queries.")
@click.option("--exact", is_flag=True, help="Compare all vectors and read all postings, however long it takes.")
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
    context_: Any,
    context_tokens: int,
    no_diversity: bool,
    no_collapse: bool,
    recency: float | None,
    frequency: bool,
    history: bool,
    exact: bool,
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
            diversity=not no_diversity,
            collapse=not no_collapse,
            context=context_,
            context_tokens=context_tokens,
            stages=optional_stages(recency, frequency, history),
            exact=exact,
        )
        # Before the store is closed: nobody shall wait for the search being noted in the file.
        if as_json:
            emit_json(results.to_dict())
        else:
            print_results(results, explain=explain)
    if context.verbose:
        click.echo(", ".join(f"{stage} {ms:.1f} ms" for stage, ms in results.timings.items()), err=True)


def optional_stages(recency: float | None, frequency: bool, history: bool) -> list[Stage]:
    """The optional stages that were asked for: first the one that adds candidates."""
    from vstore.search.optional import Frequency, History, Recency  # here, because it loads numpy

    stages: list[Stage] = [History()] if history else []
    if frequency:
        stages.append(Frequency())
    if recency is not None:
        stages.append(Recency(recency))
    return stages
