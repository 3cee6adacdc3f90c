"""What every command shares: the settings, the store, and options that mean the same everywhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vstore import settings
from vstore.cli.output import DownloadProgress
from vstore.errors import FilterError, InputError
from vstore.filters import literal, written
from vstore.place import concerns
from vstore.printable import printable

if TYPE_CHECKING:
    from vstore.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Context:
    """The options given before the command's name."""

    db: str | None
    read_only: bool
    quiet: bool
    verbose: bool

    @cached_property
    def settings(self) -> settings.Settings:
        """The settings in force."""
        return settings.load(db=self.db)

    def store(self, *, create: bool = False) -> Store:
        """Open the store; only commands that put something in may create it."""
        from vstore.store import Store  # here, because it imports numpy and apsw

        progress = DownloadProgress(self.quiet)
        is_new = create and not self.settings.db.exists()
        store = Store(self.settings.db, create=create, read_only=self.read_only, progress=progress)
        if is_new and not self.quiet:
            for concern in concerns(store.path):
                click.echo(f"note: {printable(concern)}", err=True)
        return store


def key_value(text: str) -> tuple[str, Any]:
    """`KEY=VALUE`; a value that reads as JSON is taken as such, any other as text."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE")
    return key.strip(), literal(value)


def where(text: str) -> dict[str, Any]:
    """A filter as `Store.search` takes it: `year>=2020`, `project=gateway`, or the whole as a JSON object."""
    try:
        return written(text)
    except FilterError as error:
        raise click.BadParameter(str(error)) from error


def chunk_number(target: str) -> int | None:
    """The number of a chunk; None for what is none, as a uri or a path."""
    return int(target) if target.isdecimal() and len(target) < 19 else None  # 64 bits


def text_or_stdin(argument: str) -> str:
    """The argument itself, or what comes from the pipe when it is `-`."""
    if argument != "-":
        return argument
    if sys.stdin is None:
        raise InputError("there is nothing to read: stdin is closed")
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def confirm(question: str) -> None:
    """Ask on stderr, and end the command unless the answer is yes. Raises InputError where nobody can be asked."""
    if sys.stdin is None:
        raise InputError("there is nobody to ask: stdin is closed; say yes with -y")
    click.confirm(printable(question), abort=True, err=True)


def program() -> list[str]:
    """The command that started this one, so that others start the same installation."""
    beside = Path(sys.executable).with_name("vstore")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "vstore"]


def conjunction(filters: tuple[dict[str, Any], ...]) -> dict[str, Any] | None:
    """All the --where options of one command together."""
    return {"$and": list(filters)} if filters else None


def filter_options(command: Command) -> Command:
    """Options that narrow what a command looks at."""
    for option in (
        click.option("--until", metavar="DATE", help="Changed before this date."),
        click.option("--since", metavar="DATE", help="Changed on or after this date, such as 2026-01-31."),
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="Has this tag. Repeat for more tags."),
        click.option(
            "--where",
            "filters",
            type=where,
            multiple=True,
            metavar="FILTER",
            help="Metadata condition such as year>=2020 or project=gateway. Repeat to narrow further.",
        ),
        click.option("-c", "--collection", multiple=True, metavar="NAME", help="Only this collection. Repeatable."),
    ):
        command = option(command)
    return command


def keeping_options(command: Command) -> Command:
    """Options that say how long something is kept."""
    for option in (
        click.option("--pin", "pinned", is_flag=True, help="It does not expire, whatever else is said."),
        click.option("--expires", metavar="WHEN", help="After a time such as 12h or 30d, or at a date or time."),
    ):
        command = option(command)
    return command


def label_options(command: Command) -> Command:
    """Options that say something about what is put in."""
    for option in (
        click.option(
            "--meta", type=key_value, multiple=True, metavar="KEY=VALUE", help="Metadata to keep with it. Repeatable."
        ),
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag to keep with it. Repeatable."),
        click.option("-c", "--collection", metavar="NAME", help="The collection it goes to."),
    ):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
pass_context = click.make_pass_decorator(Context)
