"""`vstore models`: which embedding models there are, fetching them and checking their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vstore.cli.context import Context, json_option, pass_context
from vstore.cli.output import DownloadProgress, emit_json
from vstore.embed import cache, registry
from vstore.printable import printable


@click.group()
def models() -> None:
    """See, fetch and check embedding models."""


@models.command("list")
@json_option
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the registered models and which of them are here."""
    rows = [_row(spec, context.settings.models, context.settings.model) for spec in registry.MODELS]
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        chosen = "*" if row["chosen"] else " "
        click.echo(
            f"{chosen} {row['name']:<24} {row['state']:<8} {row['bytes'] / 1e6:5.0f} MB  "
            f"{row['dimension']} dimensions, {row['max_tokens']} tokens, {row['pooling']} pooling, {row['licence']}"
        )
    click.echo("A sentence-transformers folder of the BERT family can be used as well, by its path.", err=True)


@models.command()
@click.argument("name", required=False)
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder with the model's files, tried before the network.",
)
@pass_context
def pull(context: Context, name: str | None, folder: Path | None) -> None:
    """Fetch a model, check it and try it out. NAME defaults to the chosen one; a model folder is only checked."""
    from vstore import embed

    chosen, cache_dir = name or context.settings.model, context.settings.models
    spec = registry.find(chosen)
    if spec is not None:
        cache.unmark(cache.model_directory(cache_dir, spec))  # whoever pulls again may doubt what is there
    embedder = embed.load(
        chosen,
        cache_dir=cache_dir,
        folder=folder,
        progress=DownloadProgress(context.quiet),
    )
    embedder.embed_queries(["Is this model ready?"])
    click.echo(f"{printable(embedder.name)} is ready: {embedder.dimension} dimensions, {embedder.max_tokens} tokens")


@models.command()
@click.argument("name", required=False)
@json_option
@pass_context
def verify(context: Context, name: str | None, as_json: bool) -> None:
    """Hash every file of a model in the cache, or of all that are there. Exit code 1 if one is not as it must be."""
    cache_dir = context.settings.models
    specs = [registry.get(name)] if name else [spec for spec in registry.MODELS if _is_here(spec, cache_dir)]
    rows = [
        {"model": spec.name, "file": file.name, "state": _state(spec, file, cache_dir, thorough=True)}
        for spec in specs
        for file in spec.files
    ]
    if as_json:
        emit_json(rows)
    else:
        for row in rows:
            click.echo(f"{row['model']}  {row['file']}  {row['state']}")
    if not rows:
        click.echo(f"no model in {cache_dir}; fetch one with: vstore models pull", err=True)
    wrong = [spec for spec in specs if any(row["model"] == spec.name and row["state"] != "intact" for row in rows)]
    for spec in wrong:
        cache.unmark(cache.model_directory(cache_dir, spec))
        click.echo(f"{spec.name} is not intact; fetch it again with: vstore models pull {spec.name}", err=True)
    if wrong:
        click.get_current_context().exit(1)


def _row(spec: registry.ModelSpec, cache_dir: Path, chosen: str) -> dict[str, Any]:
    states = {_state(spec, file, cache_dir) for file in spec.files}
    return {
        "name": spec.name,
        "chosen": registry.find(chosen) is spec,
        "state": next(state for state in ("damaged", "missing", "intact") if state in states),
        "dimension": spec.dimension,
        "max_tokens": spec.recipe.max_tokens,
        "pooling": spec.recipe.pooling,
        "query_prefix": spec.recipe.query_prefix,
        "bytes": spec.size,
        "licence": spec.licence,
        "repository": spec.repository,
        "revision": spec.revision,
        "folder": str(cache.model_directory(cache_dir, spec)),
    }


def _state(
    spec: registry.ModelSpec, file: registry.ModelFile, cache_dir: Path, *, thorough: bool = False
) -> cache.FileState:
    return cache.file_state(cache.model_directory(cache_dir, spec), file, thorough=thorough)


def _is_here(spec: registry.ModelSpec, cache_dir: Path) -> bool:
    return any(_state(spec, file, cache_dir) != "missing" for file in spec.files)
