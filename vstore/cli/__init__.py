"""The command line: parse, one call, print. Data goes to stdout, everything else to stderr.

Nothing heavy is imported here or at the top of the command modules, so that `vstore --help` is immediate.
"""

from __future__ import annotations

import errno
from typing import Any

import click

from vstore.cli import context
from vstore.cli.backup import backup, export, import_, restore
from vstore.cli.configure import config
from vstore.cli.demo import demo
from vstore.cli.feedback import feedback
from vstore.cli.ingest import add, remember
from vstore.cli.inspect import get, list_, stats
from vstore.cli.maintain import check
from vstore.cli.mcp import mcp
from vstore.cli.models import models
from vstore.cli.refine import refine
from vstore.cli.retain import compact, forget, keep
from vstore.cli.search import search
from vstore.cli.ui import ui
from vstore.cli.watch import watch
from vstore.cli.why import why
from vstore.errors import VstoreError
from vstore.printable import printable, printable_lines

INTERRUPTED = 130  # the shell's code for a program ended by Ctrl-C


class Group(click.Group):
    """Turns vstore's errors into one line and exit code 1; any other exception is a bug and shows its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except VstoreError as error:
            click.echo(f"vstore: {printable(str(error))}", err=True)
            ctx.exit(1)
        except click.ClickException as error:  # may quote an argument, such as a file's name
            error.message = printable_lines(error.message)  # type: ignore[misc]
            raise
        except OSError as error:  # a store's own files have errors of their own; this is what takes the output
            if error.errno not in (errno.ENOSPC, errno.EIO):
                raise
            click.echo(f"vstore: the output cannot be written ({error.strerror})", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("vstore: interrupted; what was written before is kept", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="vstore")
@click.option("--db", metavar="PATH", help="The store's file. [env: VSTORE_DB]")
@click.option("--read-only", is_flag=True, help="Open the store to be read only: nothing is written, nothing logged.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no remarks.")
@click.option("-v", "--verbose", is_flag=True, help="Say more about what happens.")
@click.pass_context
def main(ctx: click.Context, db: str | None, read_only: bool, quiet: bool, verbose: bool) -> None:
    """A memory in one file: search by keyword and by meaning, nothing leaves the machine."""
    ctx.obj = context.Context(db, read_only, quiet, verbose)


for command in (
    add,
    watch,
    remember,
    search,
    why,
    get,
    list_,
    keep,
    forget,
    feedback,
    stats,
    check,
    compact,
    backup,
    restore,
    export,
    import_,
    refine,
    mcp,
    models,
    ui,
    config,
    demo,
):
    main.add_command(command)
