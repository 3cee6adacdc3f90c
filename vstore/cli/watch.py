"""`vstore watch`: keep the store what the files are."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from vstore.cli.context import Context, json_option, label_options, pass_context
from vstore.printable import json_text, printable

if TYPE_CHECKING:
    from vstore.watch import Event

CHANGES = ("added", "updated", "forgotten")
REMARKS = ("busy", "polling", "synchronised", "back")
PROBLEMS = ("waiting", "refused")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@label_options
@click.option("--once", is_flag=True, help="Synchronise and end, instead of following changes; for cron.")
@click.option("--poll", is_flag=True, help="Walk the folders every few seconds instead of waiting for notices.")
@click.option("--forget-many", is_flag=True, help="Forget also more than half of a folder's documents at once.")
@json_option
@pass_context
def watch(
    context: Context,
    paths: tuple[str, ...],
    collection: str | None,
    tags: tuple[str, ...],
    meta: tuple[tuple[str, Any], ...],
    once: bool,
    poll: bool,
    forget_many: bool,
    as_json: bool,
) -> None:
    """Follow files and folders: what is new or changed is added, what is gone is forgotten.

    First everything is synchronised, then each change as it happens, until Ctrl-C or SIGTERM.
    """
    from vstore import watch as watching

    watching.roots(paths)  # before the store is made
    problems = False
    with _ended_by_sigterm(), context.store(create=True) as store:
        for event in watching.watch(
            store,
            paths,
            collection=collection or context.settings.collection,
            tags=tags,
            metadata=dict(meta),
            poll=poll,
            once=once,
            forget_many=forget_many,
        ):
            problems |= event.kind in PROBLEMS
            show(event, as_json=as_json, quiet=context.quiet)
    if once and problems:
        click.get_current_context().exit(1)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, but is no failure: whoever sends it wants the program to end, and that is done."""
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        if not ended:
            raise
    finally:
        signal.signal(signal.SIGTERM, before)


def show(event: Event, *, as_json: bool, quiet: bool) -> None:
    """One line: what was changed, on stdout, and what is to be said about it, on stderr; as JSON all on stdout."""
    if as_json:
        click.echo(json_text(event.to_dict()))
        return
    if quiet and event.kind in REMARKS:
        return
    line = f"{event.kind} {event.path}"
    if event.documents > 1 and event.kind in CHANGES:
        line += f" ({event.documents:,} documents)"
    if event.reason:
        line += f": {event.reason}"
    click.echo(printable(line), err=event.kind not in CHANGES)
