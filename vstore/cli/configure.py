"""`vstore config`: see and change the settings."""

from __future__ import annotations

import click

from vstore import settings
from vstore.cli.context import Context, json_option, pass_context
from vstore.cli.output import emit_json
from vstore.printable import printable


@click.group()
def config() -> None:
    """See and change the settings."""


@config.command("list")
@json_option
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show every setting, its value and where it comes from."""
    values = context.settings.to_dict()
    if as_json:
        emit_json(values)
        return
    for name, entry in values.items():
        click.echo(f"{name} = {printable(shown(entry['value']))}  ({entry['source']}; {entry['meaning']})")


@config.command("get")
@click.argument("name")
@pass_context
def get(context: Context, name: str) -> None:
    """Show one setting's value."""
    settings.key(name)
    click.echo(shown(context.settings.to_dict()[name]["value"]))


@config.command("set")
@click.argument("name")
@click.argument("value")
def set_(name: str, value: str) -> None:
    """Write a setting to the configuration file."""
    click.echo(f"{name} set in {settings.write_value(name, value)}", err=True)


@config.command()
@click.argument("name")
def unset(name: str) -> None:
    """Remove a setting from the configuration file."""
    click.echo(f"{name} removed from {settings.write_value(name, None)}", err=True)


@config.command()
def path() -> None:
    """Show where the configuration file is."""
    click.echo(settings.config_path())


def shown(value: str | int) -> str:
    """A value as one would write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
