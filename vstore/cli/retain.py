"""`vstore forget`, `keep` and `compact`: what leaves the store, and when."""

from __future__ import annotations

import click

from vstore.cli.context import Context, confirm, json_option, keeping_options, pass_context
from vstore.cli.output import emit_json, print_documents
from vstore.printable import printable


@click.command()
@click.argument("target")
@click.option("-c", "--collection", metavar="NAME", help="Forget it in this collection only.")
@click.option("--dry-run", is_flag=True, help="Show what would be forgotten.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def forget(context: Context, target: str, collection: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Forget a document by its uri or path; a folder's path forgets all that came from it."""
    beyond: tuple[str, ...] = ()
    with context.store() as store:
        documents = store.find(target, collection=collection, expired=True)
        if not dry_run:
            if len(documents) > 1 and not yes:
                confirm(f"Forget {len(documents)} documents?")
            forgotten = store.forget(target, collection=collection)
            documents, beyond = list(forgotten), forgotten.beyond
    if as_json:
        emit_json([document.to_dict() for document in documents])
    else:
        print_documents(documents)
        click.echo(f"{len(documents)} {'would be ' if dry_run else ''}forgotten", err=True)
    if not context.quiet:
        for place in beyond:
            click.secho(f"note: {printable(place)}", fg="yellow", err=True)


@click.command()
@click.argument("target")
@keeping_options
@click.option("-c", "--collection", metavar="NAME", help="Keep it in this collection only.")
@json_option
@pass_context
def keep(
    context: Context, target: str, expires: str | None, pinned: bool, collection: str | None, as_json: bool
) -> None:
    """Set how long a document is kept, by its uri or path; without an option for ever.

    A folder's path means all that came from it. What has expired comes back, unless the store was compacted.
    """
    with context.store() as store:
        documents = store.keep(target, expires=expires, pinned=pinned, collection=collection)
    if as_json:
        emit_json([document.to_dict() for document in documents])
    else:
        print_documents(documents)


@click.command()
@json_option
@pass_context
def compact(context: Context, as_json: bool) -> None:
    """Erase what has expired, and give space back.

    Other processes may read meanwhile; while the file is written anew they cannot write.
    """
    with context.store() as store:
        report = store.compact()
    if as_json:
        emit_json(report.to_dict())
    else:
        click.echo(
            f"{report.expired:,} expired documents erased; "
            f"{report.bytes_before / 1e6:.1f} MB before, {report.bytes_after / 1e6:.1f} MB now"
        )
    for remark in () if context.quiet else report.remarks:
        click.secho(f"note: {printable(remark)}", fg="yellow", err=True)
