"""`vstore refine`: learn from the store's queries at night, see what came of it, and go back."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import click

from vstore import arguments, config
from vstore.cli.context import Context, json_option, pass_context, program
from vstore.cli.output import emit_json
from vstore.errors import InputError
from vstore.printable import json_text, printable

if TYPE_CHECKING:
    from vstore.runs import RunRecord

BUDGET = f"{config.REFINE_BUDGET_S / 60:g}m"
_NICE = 19  # the lowest priority there is: whatever else the machine does comes first


def seconds(text: str) -> float:
    """A length of time such as 90, 90s, 10m or 1.5h."""
    try:
        return arguments.seconds(text)
    except InputError as error:
        raise click.BadParameter(str(error)) from error


def time_of_day(text: str) -> tuple[int, int]:
    """Hour and minute of HH:MM."""
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time of day such as 03:30")
    return int(match[1]), int(match[2])


@click.group()
def refine() -> None:
    """Learn from this store's queries, and serve what was learned only if held-out queries say so."""


@refine.command()
@click.option("--budget", type=seconds, default=BUDGET, show_default=True, metavar="TIME", help="Such as 90s or 1h.")
@click.option("--trainer", default="adapter", metavar="NAME", help="adapter (default) or encoder.")
@click.option("--queries", metavar="FILE", help="Further queries, one a line or JSONL.")
@click.option("--made-up", is_flag=True, help="Learn from queries made of the documents as well; real ones judge.")
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", help="Of what is drawn at random.")
@json_option
@pass_context
def run(
    context: Context, budget: float, trainer: str, queries: str | None, made_up: bool, seed: int, as_json: bool
) -> None:
    """Learn, compare on held-out queries, and switch or keep what serves."""
    from vstore.refine import loop  # here, because it loads numpy

    if hasattr(os, "nice"):
        os.nice(_NICE - os.nice(0))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a machine that shuts down ends a run as Ctrl-C does

    def say(text: str) -> None:
        if not context.quiet:
            click.echo(printable(text), err=True)

    with context.store() as store:
        asked = loop.Configuration(trainer, budget, seed, queries, made_up)
        record = loop.run(store, **dataclasses.asdict(asked), progress=say)
    _print_run(record, as_json)
    if record.status == "promoted" and not context.quiet:
        click.echo("see it with: vstore refine report -o night.html; undo it with: vstore refine rollback", err=True)


@refine.command()
@json_option
@pass_context
def status(context: Context, as_json: bool) -> None:
    """Show what serves, what there is to learn from, and what the last runs decided."""
    from vstore.refine import loop  # here, because it loads numpy

    with context.store() as store:
        found = loop.status(store)
    if as_json:
        emit_json(found.to_dict())
        return
    click.echo(f"serving   {printable(found.serving)}")
    click.echo(f"queries   {found.train} to learn from, {found.held_out} to judge by, {found.judged} judged")
    for record in found.runs[: config.RUNS_SHOWN]:
        started = record.started_at.astimezone().strftime("%Y-%m-%d %H:%M")
        click.echo(printable(f"run {record.id}     {started}  {record.decision or record.status}"))


@refine.command()
@json_option
@pass_context
def history(context: Context, as_json: bool) -> None:
    """List the base models and the adapters there were, the newest first; `*` marks the one that serves."""
    with context.store() as store:
        models = store.models()
    if as_json:
        emit_json([model.to_dict() for model in models])
        return
    for model in models:
        made = model.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        name = model.name if model.kind == "base" else f"adapter of {model.name}"
        click.echo(printable(f"{'*' if model.active else ' '} {model.id}  {made}  {name}  {model.status}"))


@refine.command()
@pass_context
def rollback(context: Context) -> None:
    """Let the model that served before the active one serve again."""
    with context.store() as store:
        click.echo(f"model {store.roll_back()} serves again")


@refine.command()
@click.option("--queries", metavar="FILE", help="Further queries, one a line or JSONL.")
@pass_context
def mine(context: Context, queries: str | None) -> None:
    """Print where the rankings by meaning and by keywords disagree, as JSONL: answers and hard negatives.

    Held-out queries are never mined. How often the rankings disagree goes to stderr, by collection.
    """
    from vstore.refine import loop  # here, because it loads numpy
    from vstore.refine.mine import rates, rows

    with context.store() as store:
        if not context.quiet:
            click.echo("mining; it takes as long as to search for each query", err=True)
        mined = loop.mined(store, queries)
        for row in rows(store.index, mined):
            click.echo(json_text(row))
    for name, found in rates(mined).items():
        where = printable(name) or "all collections"
        share = f"the first {config.MINING_DEPTH} differ for {found.sets_differ:.0%}"
        click.echo(f"{where}: {found.queries} queries, {share}, the first one for {found.first_differs:.0%}", err=True)


@refine.command()
@click.option("--run", "number", type=int, metavar="N", help="The number of a run; the last one unless given.")
@click.option("-o", "--output", metavar="FILE", default="-", help="Where to write the page; - for stdout.")
@pass_context
def report(context: Context, number: int | None, output: str) -> None:
    """Write a page (HTML, all in one file) about a run: its evidence, plots, and the worst regressions."""
    from vstore.refine.report import find_run, page

    with context.store() as store:
        text = page(store.index, find_run(store.index, number))
    try:
        with click.open_file(output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"cannot write {output} ({error.strerror}); choose another file with -o") from error


@refine.command()
@click.option("--kind", type=click.Choice(["systemd", "cron", "launchd"]), help="What the machine has; else a guess.")
@click.option("--at", type=time_of_day, default="03:30", metavar="HH:MM", help="When, by the machine's clock: 03:30.")
@click.option("--budget", default=BUDGET, metavar="TIME", help="How long a night may take.")
@pass_context
def schedule(context: Context, kind: str | None, at: tuple[int, int], budget: str) -> None:
    """Print what to install so that this store is refined every night; nothing is installed."""
    from vstore.refine import schedule as schedules

    seconds(budget)
    line = schedules.command(program(), context.settings.db, budget)
    time = schedules.Time(*at)
    kind = kind or ("launchd" if sys.platform == "darwin" else "systemd" if shutil.which("systemctl") else "cron")
    if kind == "cron":
        click.echo("# add this line with: crontab -e", err=True)
        click.echo(schedules.cron(line, time), nl=False)
    elif kind == "launchd":
        click.echo(f"# save as ~/Library/LaunchAgents/{schedules.LABEL}.plist and load with launchctl load", err=True)
        click.echo(schedules.launchd(line, time), nl=False)
    else:
        for name, unit in schedules.systemd(line, time).items():
            click.echo(f"# ~/.config/systemd/user/{name}\n{unit}")
        click.echo(f"# then: systemctl --user enable --now {schedules.LABEL}.timer", err=True)
        click.echo("# and, to run when nobody is logged in: loginctl enable-linger", err=True)


def _print_run(record: RunRecord, as_json: bool) -> None:
    if as_json:
        emit_json(record.to_dict())
    else:
        click.echo(printable(record.decision or record.status))
