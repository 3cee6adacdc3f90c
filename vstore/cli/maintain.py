"""`vstore check`: is the file sound?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vstore.cli.context import Context, json_option, pass_context
from vstore.cli.output import emit_json, printable

if TYPE_CHECKING:
    from vstore.checks import Check, CheckReport

COLOURS = {"failed": "red", "warning": "yellow", "ok": "green"}


@click.command()
@click.option("--deep", is_flag=True, help="Compare everything with everything, which takes longer.")
@json_option
@pass_context
def check(context: Context, deep: bool, as_json: bool) -> None:
    """Check that the store's file is sound, by reading alone. Exit code 1 if anything is wrong."""
    from vstore import maintenance

    report = maintenance.check(context.settings.db, deep)
    if as_json:
        emit_json(report.to_dict())
    else:
        print_report(report, verbose=context.verbose)
    if not report.ok:
        click.get_current_context().exit(1)


def print_report(report: CheckReport, *, verbose: bool) -> None:
    """Each invariant in a line, and what is wrong with it in some more."""
    for check in report.checks:
        print_check(check, verbose=verbose)
    counts = {status: sum(check.status == status for check in report.checks) for status in ("ok", "warning", "failed")}
    verdict = "sound" if report.ok else "NOT sound"
    unchecked = len(report.checks) - sum(counts.values())
    click.echo(
        f"{report.path} is {verdict}: {counts['ok']} ok, {counts['warning']} warnings, {counts['failed']} failed, "
        f"{unchecked} not checked",
    )


def print_check(check: Check, *, verbose: bool) -> None:
    """One invariant."""
    click.secho(f"{check.status:<11}", fg=COLOURS.get(check.status), nl=False)
    if check.status == "ok":
        click.echo(f" {check.name}: {check.holds}" if verbose else f" {check.name}")
        return
    click.echo(printable(f" {check.name}: {check.found}"))
    if check.status == "not checked":
        return
    click.echo(f"            should be: {check.holds}")
    if check.examples:
        more = ", ..." if check.affected > len(check.examples) else ""
        click.echo(printable(f"            {', '.join(check.examples)}{more}"))
    if check.repairable:
        part = "" if check.repairable == check.affected else f" {check.repairable:,} of {check.affected:,}"
        click.echo(f"            vstore check --repair can mend{part or ' it'}")
    if check.advice:
        click.echo(f"            {check.advice}")
