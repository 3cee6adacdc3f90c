"""`vstore backup`, `restore`, `export` and `import`: keep the store safe, and take it elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vstore.cli.context import Context, confirm, json_option, pass_context
from vstore.cli.output import AddProgress, JsonLines, emit_json
from vstore.errors import InputError
from vstore.printable import printable

if TYPE_CHECKING:
    from vstore.ingest.importing import ImportReport

SHOWN = 10  # unusable lines named unless -v asks for all
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")


@click.command()
@click.argument("target")
@overwrite_option
@json_option
@pass_context
def backup(context: Context, target: str, overwrite: bool, as_json: bool) -> None:
    """Copy the store into the file TARGET, or into a folder under a dated name, and check the copy."""
    with context.store() as store:
        report = store.backup(target, overwrite=overwrite)
    if as_json:
        emit_json(report.to_dict())
        return
    click.echo(
        printable(f"{report.path}: {report.documents:,} documents, {report.chunks:,} chunks, ")
        + f"{report.bytes / 1e6:.1f} MB, checked ({report.seconds:.1f} s)"
    )


@click.command()
@click.argument("source")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def restore(context: Context, source: str, yes: bool, as_json: bool) -> None:
    """Make the store what the backup SOURCE is; what was in it is kept in a file beside it."""
    from vstore.db.restore import restore as put_back  # here, because it imports apsw

    if context.read_only:
        raise InputError("--read-only and restore do not go together: a restore replaces what is in the store")
    path = context.settings.db
    if path.exists() and not yes:
        confirm(f"Replace what is in {path}? It is kept in a file beside it.")
    report = put_back(source, path)
    if as_json:
        emit_json(report.to_dict())
        return
    click.echo(
        printable(f"{report.path}: {report.documents:,} documents, {report.chunks:,} chunks ({report.seconds:.1f} s)")
    )
    if report.kept is not None:
        click.echo(printable(f"what was there before: {report.kept}"), err=True)


@click.command()
@click.argument("target", default="-", metavar="[FILE]")
@click.option("--vectors", is_flag=True, help="With the vectors, which the same model need not make again.")
@overwrite_option
@click.option("--json", "as_json", is_flag=True, help="Print what was exported as JSON; needs a FILE.")
@pass_context
def export(context: Context, target: str, vectors: bool, overwrite: bool, as_json: bool) -> None:
    """Write all documents and judgements as JSONL to FILE, or to stdout."""
    from vstore.moving import export_to

    if target == "-" and (as_json or overwrite):
        raise click.UsageError("--json and --overwrite need a FILE")
    if target == "-" and sys.stdout is None:
        raise InputError("there is nowhere to write to: stdout is closed; give a FILE")
    with context.store() as store:
        report = export_to(store, JsonLines() if target == "-" else target, vectors=vectors, overwrite=overwrite)
    if as_json:
        emit_json(report.to_dict())
        return
    counts = f"{report.documents:,} documents, {report.chunks:,} chunks, {report.judgements:,} judgements"
    click.echo(f"{counts} exported", err=target == "-")


@click.command("import")
@click.argument("source", metavar="FILE")
@json_option
@pass_context
def import_(context: Context, source: str, as_json: bool) -> None:
    """Put the documents and judgements of an export into the store; `-` reads it from stdin.

    What is there as it is is not touched. Exit code 1 if lines could not be used, or the export was cut off.
    """
    from vstore.moving import import_from

    if source == "-" and sys.stdin is None:
        raise InputError("there is nothing to read: stdin is closed")
    with context.store(create=True) as store:
        if source == "-":
            report = import_from(store, sys.stdin.buffer)
        else:
            with AddProgress(context.quiet) as progress:
                report = import_from(store, source, progress)
    if as_json:
        emit_json(report.to_dict())
    else:
        _print_import(report, verbose=context.verbose)
    if report.problems or report.incomplete:
        click.get_current_context().exit(1)


def _print_import(report: ImportReport, *, verbose: bool) -> None:
    click.echo(
        f"{report.added} added, {report.updated} updated, {report.unchanged} unchanged, {len(report.problems)} skipped"
        f"; {report.judgements} judgements ({report.embedded} chunks embedded, {report.seconds:.1f} s)"
    )
    if report.expired:
        click.echo(f"{report.expired} had expired", err=True)
    if report.recut and verbose:
        click.echo(f"{report.recut} were cut anew, for another model or for chunks that could not be", err=True)
    shown = list(report.problems.items())[: None if verbose else SHOWN]
    for line, reason in shown:
        click.echo(f"line {line}: {printable(reason)}", err=True)
    if len(shown) < len(report.problems):
        click.echo(f"and {len(report.problems) - len(shown)} more; see them all with: vstore -v import ...", err=True)
    if report.incomplete:
        click.echo(f"note: {printable(report.incomplete)}", err=True)
