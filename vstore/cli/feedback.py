"""`vstore feedback`: say what was an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vstore import config
from vstore.cli.context import Context, json_option, pass_context, text_or_stdin
from vstore.cli.output import emit_json, local
from vstore.errors import NotFoundError
from vstore.printable import printable

if TYPE_CHECKING:
    from vstore.judgements import Judgement
    from vstore.refine.signals import FeedbackReport
    from vstore.store import Store

SHOWN = 10  # unusable rows named unless -v asks for all


@click.command()
@click.argument("query", required=False)
@click.argument("target", required=False)
@click.option("--not-relevant", is_flag=True, help="It was no answer.")
@click.option("--grade", type=float, metavar="G", help=f"How relevant it was, from 0 (not) to {config.MAX_GRADE:g}.")
@click.option("-c", "--collection", metavar="NAME", help="Look for TARGET in this collection only.")
@click.option("--file", "path", metavar="FILE", help="Take many judgements from a JSONL file instead.")
@click.option("--list", "listing", is_flag=True, help="List what was judged instead, the newest first.")
@json_option
@pass_context
def feedback(
    context: Context,
    query: str | None,
    target: str | None,
    not_relevant: bool,
    grade: float | None,
    collection: str | None,
    path: str | None,
    listing: bool,
    as_json: bool,
) -> None:
    """Say that TARGET (a uri, a path or a chunk's number) was an answer to QUERY, or that it was none."""
    _check_usage(query, target, path, listing, is_qualified=not_relevant or grade is not None or collection is not None)
    if not_relevant and grade is not None:
        raise click.UsageError("give --not-relevant or --grade, not both")
    with context.store() as store:
        if listing:
            _print_all(store.judgements(), as_json)
        elif path is not None:
            from vstore.refine.signals import add_judgements  # here, because refinement loads numpy

            _print_report(add_judgements(store, path), as_json, verbose=context.verbose)
        elif query is not None and target is not None:
            said = 0.0 if not_relevant else grade
            _print_one(_judge(store, text_or_stdin(query), target, said, collection), as_json)


def _check_usage(query: str | None, target: str | None, path: str | None, listing: bool, *, is_qualified: bool) -> None:
    is_single = query is not None and target is not None
    if (query is not None and target is None) or [is_single, path is not None, listing].count(True) != 1:
        raise click.UsageError("give QUERY and TARGET, or --file, or --list")
    if is_qualified and not is_single:
        raise click.UsageError("--not-relevant, --grade and --collection go with QUERY and TARGET")


def _judge(store: Store, query: str, target: str, grade: float | None, collection: str | None) -> Judgement:
    try:
        return store.feedback(query, target, grade=grade, collection=collection)
    except NotFoundError:
        if not target.isdecimal():
            raise
        return store.feedback(query, int(target), grade=grade, collection=collection)


def _print_one(judgement: Judgement, as_json: bool) -> None:
    if as_json:
        emit_json(judgement.to_dict())
    else:
        click.echo(printable(f"{_verdict(judgement)}: {_place(judgement)}"))


def _print_all(judgements: list[Judgement], as_json: bool) -> None:
    if as_json:
        emit_json([judgement.to_dict() for judgement in judgements])
        return
    for judgement in judgements:
        date = local(judgement.given_at).strftime("%Y-%m-%d")
        query = " ".join(judgement.query.split())
        click.echo(printable(f"{date}  {_verdict(judgement)}  {_place(judgement)}  {query}"))


def _print_report(report: FeedbackReport, as_json: bool, *, verbose: bool) -> None:
    if as_json:
        emit_json(report.to_dict())
    else:
        click.echo(f"{report.judged} judged, {len(report.problems)} skipped")
    if report.judged > config.MAX_JUDGEMENTS:
        click.echo(f"note: only the last {config.MAX_JUDGEMENTS:,} judgements are kept", err=True)
    shown = list(report.problems.items())[: None if verbose else SHOWN]
    for line, reason in shown:
        click.echo(f"line {line}: {printable(reason)}", err=True)
    if len(shown) < len(report.problems):
        click.echo(f"and {len(report.problems) - len(shown)} more; see them all with: vstore -v feedback ...", err=True)


def _verdict(judgement: Judgement) -> str:
    return f"relevant {judgement.grade:g}" if judgement.grade > 0 else "not relevant"


def _place(judgement: Judgement) -> str:
    chunk = "" if judgement.chunk_id is None else f"chunk {judgement.chunk_id}, "
    return f"{judgement.uri} [{chunk}{judgement.collection}]"
