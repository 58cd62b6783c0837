"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file; the bundled sample if left out."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Replace one setting, e.g. --set as_of=2026-04-24 (can be repeated)."
    ),
]
