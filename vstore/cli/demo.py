"""`vstore demo`: the main job on a small corpus, with the reasons shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import platformdirs

from vstore.cli.context import Context, pass_context
from vstore.cli.output import AddProgress, DownloadProgress, print_hit, print_report, why
from vstore.config import DEMO_DEPTH

if TYPE_CHECKING:
    from vstore.results import Results
    from vstore.sample.queries import DemoQuery
    from vstore.store import Store

KINDS = {
    "keywords": "keywords put the answer first, meaning does not",
    "meaning": "meaning puts the answer first, keywords do not",
    "both": "only both together put the answer first",
}


@click.command()
@pass_context
def demo(context: Context) -> None:
    """Build a small store of sample documents and search it, showing why each winner won."""
    from vstore.sample import corpus_folder
    from vstore.sample.queries import DEMO_QUERIES
    from vstore.store import Store

    path = Path(context.db) if context.db else fresh_store()
    progress = DownloadProgress(context.quiet)
    with (
        Store(path, log=False, metrics=False, progress=progress) as store,  # these are not its user's questions
        corpus_folder() as folder,
        AddProgress(context.quiet) as adding,
    ):
        click.echo(f"Adding the sample documents in {folder}")
        print_report(store.add(folder, collection="demo", progress=adding), verbose=context.verbose)
        for number, query in enumerate(DEMO_QUERIES, start=1):
            show(store, folder, number, query)
    click.echo(
        f'\nThe store is {path}; ask it more: vstore --db "{path}" search "..."; your own texts: vstore add FILES'
    )


def fresh_store() -> Path:
    """Where the demo keeps its store; the one of the last run is removed."""
    path = Path(platformdirs.user_data_dir("vstore")) / "demo.db"
    for file in (path, path.with_name("demo.db-wal"), path.with_name("demo.db-shm")):
        file.unlink(missing_ok=True)
    return path


def show(store: Store, folder: Path, number: int, query: DemoQuery) -> None:
    """One query: the winner, where each ranking had the answer, and why it won."""
    uri = f"{folder.resolve().as_posix()}/{query.answer}"
    click.echo(f"\n{number}. {KINDS[query.kind]}: ", nl=False)
    click.secho(f'"{query.text}"', fg="cyan")
    both = store.search(query.text, DEMO_DEPTH, collection="demo", explain=True)
    print_hit(1, both[0], query.text)
    click.echo(f"    why: {why(both[0])}")
    by_keywords = place(store.search(query.text, DEMO_DEPTH, mode="lexical", collection="demo"), uri)
    by_meaning = place(store.search(query.text, DEMO_DEPTH, mode="dense", collection="demo"), uri)
    click.echo(
        f"    the answer is in {query.answer}: document {place(both, uri)}, "
        f"by keywords alone {by_keywords}, by meaning alone {by_meaning}"
    )
    click.echo(f"    {query.note}")


def place(results: Results, uri: str) -> str:
    """The rank of a document among the documents found."""
    uris = list(dict.fromkeys(hit.document.uri for hit in results))
    return f"number {uris.index(uri) + 1}" if uri in uris else f"not in the first {len(results)} chunks"
