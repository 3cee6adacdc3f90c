"""`vstore add` and `vstore remember`."""

from __future__ import annotations

from typing import Any

import click

from vstore.cli.context import Context, json_option, keeping_options, label_options, pass_context, text_or_stdin
from vstore.cli.output import AddProgress, emit_json, print_report
from vstore.printable import printable


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="FILES...")
@click.option("--allow-private", is_flag=True, help="Fetch pages of an intranet, too, from the hosts that are named.")
@label_options
@json_option
@pass_context
def add(
    context: Context,
    targets: tuple[str, ...],
    collection: str | None,
    tags: tuple[str, ...],
    meta: tuple[tuple[str, Any], ...],
    allow_private: bool,
    as_json: bool,
) -> None:
    """Add files, folders, globs or web pages (https://...); what did not change is not touched.

    Text, Markdown, reStructuredText, HTML, CSV, JSON, JSONL (one document a row), source code and PDF; office files
    with the extra `documents`, web pages with the extra `web`. `-` alone takes one text from stdin, as
    `vstore remember -` does.
    """
    if targets == ("-",):
        click.get_current_context().invoke(
            remember,
            text="-",
            title="",
            uri=None,
            collection=collection,
            tags=tags,
            meta=meta,
            expires=None,
            pinned=False,
            as_json=as_json,
        )
        return
    with context.store(create=True) as store, AddProgress(context.quiet) as progress:
        report = store.add(
            targets,
            collection=collection or context.settings.collection,
            tags=tags,
            metadata=dict(meta),
            progress=progress,
            allow_private=allow_private,
        )
    if as_json:
        emit_json(report.to_dict())
    else:
        print_report(report, verbose=context.verbose)


@click.command()
@click.argument("text")
@click.option("--title", default="", help="A title; it is searched too.")
@click.option("--uri", help="A name of your own; remembering it again replaces the text.")
@label_options
@keeping_options
@json_option
@pass_context
def remember(
    context: Context,
    text: str,
    title: str,
    uri: str | None,
    collection: str | None,
    tags: tuple[str, ...],
    meta: tuple[tuple[str, Any], ...],
    expires: str | None,
    pinned: bool,
    as_json: bool,
) -> None:
    """Remember one TEXT; `-` reads it from stdin."""
    with context.store(create=True) as store:
        document = store.remember(
            text_or_stdin(text),
            title=title,
            uri=uri,
            collection=collection or context.settings.collection,
            tags=tags,
            metadata=dict(meta),
            expires=expires,
            pinned=pinned,
        )
    if as_json:
        emit_json(document.to_dict())
    else:
        click.echo(f"remembered {printable(document.uri)}")
