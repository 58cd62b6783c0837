"""`setlist clean`: remove what old runs have left on this machine."""

from pathlib import Path
from typing import Annotated

import typer

KEPT_RUNS = 20
"""Runs that stay where nothing else is said: a folder of the sample's takes 8 MB."""


def clean(
    workdir: Annotated[Path, typer.Option(help="Folder of the outputs of all runs.")] = Path(
        ".setlist"
    ),
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest runs stay.")] = KEPT_RUNS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
) -> None:
    """Remove the folders and logs of old runs, and what killed steps have left in temporary ones.

    A run that goes on is never touched. `setlist run` does the same at its end.
    """
    from setlist.errors import SetlistError
    from setlist_pipelines.laptop.cleaning import clean_runs

    cleaned = clean_runs(workdir, keep, dry_run)
    for path in cleaned.removed:
        typer.echo(f"{'would remove' if dry_run else 'removed'}  {path}")
    for run in cleaned.running:
        typer.echo(f"left     {run}, which is still running")
    if not cleaned.removed:
        typer.echo(f"nothing to remove in {workdir}")
    if cleaned.fault:
        raise SetlistError(f"not all could be removed: {cleaned.fault}")
