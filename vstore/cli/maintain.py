"""`vstore check`: is the file sound, and making anew what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vstore.cli.context import Context, confirm, json_option, pass_context
from vstore.cli.output import emit_json
from vstore.errors import InputError
from vstore.printable import printable

if TYPE_CHECKING:
    from vstore.checks import Check, CheckReport, RepairReport, Step

COLOURS = {"failed": "red", "warning": "yellow", "ok": "green"}
INDENT = " " * 12


@click.command()
@click.option("--deep", is_flag=True, help="Compare everything with everything, which takes longer.")
@click.option("--repair", "mend", is_flag=True, help="Make anew what can be made of the rest, after asking.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def check(context: Context, deep: bool, mend: bool, yes: bool, as_json: bool) -> None:
    """Check that the store's file is sound, by reading alone. Exit code 1 if anything is wrong."""
    from vstore import maintenance

    report: CheckReport | RepairReport
    if mend and context.read_only:
        raise InputError("--read-only and --repair do not go together: a repair writes to the store")
    if mend:

        def approve(found: CheckReport, steps: tuple[Step, ...]) -> None:
            show_plan(found, steps, quiet=as_json)
            if not yes:
                confirm("A copy of the file is made first. Do that?")

        report = maintenance.repair(context.settings.db, approve=approve)
    else:
        report = maintenance.check(context.settings.db, deep)
    if as_json:
        emit_json(report.to_dict())
    else:
        print_outcome(report, verbose=context.verbose)
    if not report.ok:
        click.get_current_context().exit(1)


def show_plan(report: CheckReport, steps: tuple[Step, ...], *, quiet: bool) -> None:
    """What is wrong, and what a repair would do, on stderr: stdout is for what came of it."""
    if quiet:
        return
    for failed in report.failed:
        click.echo(printable(f"failed      {failed.name}: {failed.found}"), err=True)
    for step in steps:
        click.echo(f"will        {step.does}", err=True)


def print_outcome(report: CheckReport | RepairReport, *, verbose: bool) -> None:
    """What was found, after what was done if anything was."""
    from vstore.checks import CheckReport

    if isinstance(report, CheckReport):
        print_report(report, verbose=verbose)
        return
    if report.backup is not None:
        click.echo(printable(f"copy        {report.backup}"))
    elif report.ok:
        click.echo("nothing to repair")
    for name, count in report.done.items():
        click.echo(f"did         {name}: {count:,}")
    for name, why in report.left.items():
        click.echo(printable(f"left        {name}: {why}"))
    print_report(report.after, verbose=verbose)


def print_report(report: CheckReport, *, verbose: bool) -> None:
    """Each invariant in a line, and what is wrong with it in some more."""
    for found in report.checks:
        print_check(found, verbose=verbose)
    counts = {status: sum(check.status == status for check in report.checks) for status in ("ok", "warning", "failed")}
    verdict = "sound" if report.ok else "NOT sound"
    click.echo(
        printable(f"{report.path} is {verdict}: ")
        + ", ".join(f"{count} {status}" for status, count in counts.items())
        + f", {len(report.checks) - sum(counts.values())} not checked"
    )


def print_check(found: Check, *, verbose: bool) -> None:
    """One invariant."""
    click.secho(f"{found.status:<11}", fg=COLOURS.get(found.status), nl=False)
    if found.status == "ok":
        click.echo(f" {found.name}: {found.holds}" if verbose else f" {found.name}")
        return
    click.echo(printable(f" {found.name}: {found.found}"))
    if found.status == "not checked":
        return
    click.echo(f"{INDENT}should be: {found.holds}")
    if found.examples:
        more = ", ..." if found.affected > len(found.examples) else ""
        click.echo(printable(f"{INDENT}{', '.join(found.examples)}{more}"))
    if found.repairable:
        which = "it" if found.repairable == found.affected else f"{found.repairable:,} of {found.affected:,}"
        click.echo(f"{INDENT}vstore check --repair can mend {which}")
    if found.advice:
        click.echo(f"{INDENT}{found.advice}")
