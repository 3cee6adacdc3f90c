"""`vstore ui`: a page in the browser to look at the store."""

from __future__ import annotations

import threading

import click

from vstore.cli.context import Context, pass_context
from vstore.printable import printable


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, metavar="N", help="Its port; any free one unless given."
)
@click.option("--no-open", is_flag=True, help="Only print the address; do not open it in the browser.")
@pass_context
def ui(context: Context, port: int, no_open: bool) -> None:
    """Show the store on a local page: search, why, feedback, refinement, health. Ctrl-C ends it."""
    import webbrowser

    from vstore.ui.serve import serve

    def ready(url: str) -> None:
        click.echo(f"{printable(str(store.path))} is shown at {url}", err=True)
        if not context.quiet:
            click.echo("the address opens it for whoever has it; Ctrl-C ends it", err=True)
        if not no_open:
            # In a thread: a browser without windows keeps its caller waiting.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    with context.store() as store:
        serve(store, port=port, read_only=context.read_only, ready=ready)
