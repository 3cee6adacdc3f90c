"""`vstore mcp`: serve the store to agents, and tell their programs about it."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from vstore import config, settings
from vstore.cli.context import Context, confirm, pass_context, program
from vstore.errors import InputError
from vstore.paths import expanded
from vstore.printable import printable, printable_lines

CLIENTS = ("claude-desktop", "claude-code", "cursor", "vscode", "windsurf", "zed", "gemini-cli", "codex")


@click.group(invoke_without_command=True)
@click.option("--root", "roots", multiple=True, metavar="DIR", help="Let agents add files below DIR. Repeatable.")
@click.option("--allow-urls", is_flag=True, help="Let agents add web pages, too; goes with --root.")
@click.option("--allow-forget", is_flag=True, help="Let agents erase documents.")
@click.option("--connector", is_flag=True, help="Offer search and fetch, as ChatGPT's connectors want them.")
@click.option("--http", is_flag=True, help="Serve over HTTP on this machine instead of a pipe.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help=f"With --http; {config.MCP_PORT} otherwise.")
@click.option("--token-file", metavar="FILE", help="With --http: write the token to FILE instead of showing it.")
@click.pass_context
def mcp(ctx: click.Context, /, **options: Any) -> None:
    """Serve the store to agents over the Model Context Protocol, until the client closes the pipe."""
    context: Context = ctx.obj
    if not options["http"] and (options["port"] is not None or options["token_file"] is not None):
        raise click.UsageError("--port and --token-file go with --http")
    if context.read_only and (options["roots"] or options["allow_forget"]):
        raise click.UsageError("--root and --allow-forget do not go with --read-only")
    if options["allow_urls"] and not options["roots"]:
        raise click.UsageError("--allow-urls goes with --root")
    if ctx.invoked_subcommand is None:
        _serve_http(context, options) if options["http"] else _serve_pipe(context, options)


def _serve_pipe(context: Context, options: dict[str, Any]) -> None:
    from vstore.mcp import stdio

    if sys.stdin is None or sys.stdout is None:
        raise InputError("there is no client: stdin or stdout is closed; a client starts this command, see: install")
    if sys.stdin.isatty() and not context.quiet:
        click.echo("waiting for a client on stdin; to set one up: vstore mcp install --client NAME", err=True)
    pipe = stdio.claimed()  # before anything else can print
    stdio.serve(_service(context, options), *pipe)


def _serve_http(context: Context, options: dict[str, Any]) -> None:
    from vstore.mcp import http

    http.require_sdk()
    listening = http.bound(config.MCP_PORT if options["port"] is None else options["port"])
    secret, where = http.token(options["token_file"])
    service = _service(context, options)
    click.echo(f"serving at http://{http.HOST}:{listening.getsockname()[1]}/mcp", err=True)
    click.echo(printable(where), err=True)
    http.serve(service, listening, secret)


def _service(context: Context, options: dict[str, Any]) -> Any:
    from vstore.mcp.service import Service
    from vstore.mcp.tools import Options

    allowed = Options(
        roots=tuple(_roots(options["roots"])),
        read_only=context.read_only,
        forget=options["allow_forget"],
        urls=options["allow_urls"],
        connector=options["connector"],
    )
    return Service(context.settings, allowed)


def _roots(names: tuple[str, ...]) -> list[Any]:
    roots = [expanded(name) for name in names]
    for root in roots:
        if not root.is_dir():
            raise InputError(f"--root {root}: there is no such folder")
    return roots


@mcp.command()
@click.option("--client", type=click.Choice(CLIENTS), required=True, help="The program that is to use the store.")
@click.option("--file", metavar="FILE", help="Its list of servers, where it is not in the usual place.")
@click.option("--print", "only_print", is_flag=True, help="Show what would change, and change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_context
def install(context: Context, client: str, file: str | None, only_print: bool, yes: bool) -> None:
    """Add this store to a client's list of servers, after showing the change; a copy of the list is kept.

    Options of `vstore mcp` that stand before `install` become part of the entry.
    """
    from vstore.mcp.install import by_hand, change

    parent = click.get_current_context().parent
    assert parent is not None, "it is a command of a group"
    if parent.params["http"]:
        raise click.UsageError("an entry starts the server over a pipe; --http is for servers that you start yourself")
    entry = client, _command(context, parent.params), _environment()
    try:
        made = change(*entry, file)
    except InputError as error:
        if not only_print:
            raise
        click.echo(printable(str(error)), err=True)
        click.echo(printable_lines(by_hand(*entry)), nl=False)
        return
    difference = made.difference()
    if not difference:
        click.echo(f"{printable(str(made.path))} has this entry already", err=True)
        return
    click.echo(printable_lines(difference), nl=False)
    if only_print:
        return
    if not yes:
        confirm(f"Write this to {made.path}?")
    copy = made.write()
    if copy is not None:
        click.echo(printable(f"the list as it was: {copy}"), err=True)
    click.echo(f"written; start {client} anew", err=True)


def _command(context: Context, options: dict[str, Any]) -> list[str]:
    """The program with absolute paths and what it is to allow: clients start it in a folder of theirs."""
    flags = [f"--{name.replace('_', '-')}" for name in ("allow_urls", "allow_forget", "connector") if options[name]]
    roots = [part for root in _roots(options["roots"]) for part in ("--root", str(root))]
    read_only = ["--read-only"] if context.read_only else []
    return [*program(), "--db", str(context.settings.db), *read_only, "mcp", *roots, *flags]


def _environment() -> dict[str, str]:
    """Variables that vstore reads, as far as they are set: clients do not hand on the environment of a shell."""
    names = ["VSTORE_CONFIG", *(known.variable for known in settings.KEYS if known.name != "db")]
    return {name: os.environ[name] for name in names if os.environ.get(name)}
