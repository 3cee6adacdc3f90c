"""`vstore refine`: the models that served a store, and the way back."""

from __future__ import annotations

import click

from vstore.cli.context import Context, json_option, pass_context
from vstore.cli.output import emit_json, printable


@click.group()
def refine() -> None:
    """Show which models served this store, and go back to the one before."""


@refine.command()
@json_option
@pass_context
def history(context: Context, as_json: bool) -> None:
    """List the base model and the adapters there were, the newest first; `*` marks the one that serves."""
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
    """Let the model that served before the active adapter serve again; nothing is embedded anew."""
    with context.store() as store:
        click.echo(f"model {store.roll_back()} serves again")
