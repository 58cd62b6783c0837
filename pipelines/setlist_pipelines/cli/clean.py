"""`setlist clean`: remove what old and killed runs have left, here and in a store."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from setlist_pipelines.cli.help_page import examples

CLEAN_EXAMPLES = examples(
    "setlist clean --keep 5 --dry-run", "setlist clean --store gs://bucket/setlist --name home"
)
KEPT_RUNS = 20
"""Runs that stay where nothing else is said: a folder of the sample's takes 8 MB."""


def clean(
    workdir: Annotated[Path, typer.Option(help="Folder of the outputs of all runs.")] = Path(
        ".setlist"
    ),
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest runs stay.")] = KEPT_RUNS,
    store: Annotated[
        str, typer.Option(help="A store to clean as well: a folder or gs://bucket/prefix.")
    ] = "",
    name: Annotated[str, typer.Option(help="Of the model in that store.")] = "home",
    records_days: Annotated[
        int | None,
        typer.Option(min=30, help="Remove records of runs that are older, too; none if left out."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
) -> None:
    """Remove the folders and logs of old runs, and what killed runs have left.

    A run that goes on is never touched. `setlist run` does the same at its end. In a store that is
    half revisions, claims, old checkpoints and killed uploads; revisions are removed by
    `setlist models prune` only. In a store whose HEAD is signed, the key has to be at hand.
    """
    from setlist.errors import SetlistError
    from setlist_pipelines.laptop.cleaning import clean_runs

    action = "would remove" if dry_run else "removed"
    cleaned = clean_runs(workdir, keep, dry_run)
    for path in cleaned.removed:
        typer.echo(f"{action}  {path}")
    for run in cleaned.running:
        typer.echo(f"left     {run}, which is still running")
    if not cleaned.removed:
        typer.echo(f"nothing to remove in {workdir}")
    if cleaned.fault:
        raise SetlistError(f"not all could be removed: {cleaned.fault}")
    if store:
        from setlist.runs.cleaning import clean_store
        from setlist.store.model_store import open_store
        from setlist.store.reader import open_reader

        open_reader(store)  # a mistyped folder is an error, and is not made
        age = None if records_days is None else timedelta(days=records_days)
        lines = clean_store(open_store(store), name, records_age=age, dry_run=dry_run).lines()
        for line in lines or ["nothing to remove"]:
            typer.echo(f"store    {line}")
