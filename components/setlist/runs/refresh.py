"""The live model over a newer item table: what was released since can be recommended today."""

import tempfile
from pathlib import Path

import pandas as pd

from setlist.data.curation import read_items
from setlist.data.source import TableSource
from setlist.errors import SetlistError
from setlist.models.contract import folder_digest, read_info
from setlist.models.saved_model import SavedModel
from setlist.models.two_tower.refresh import refresh_items
from setlist.runs.promotion import REFRESH_OF
from setlist.store.model_store import open_store


def refresh_live(
    store: str, name: str, source: TableSource, as_of: pd.Timestamp
) -> tuple[int, list[str]]:
    """Stage the live model again over the items of a table; nothing goes live.

    The revision carries the verdict of the one that it was made from, and says which that was.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        source: the table of items.
        as_of: the moment, UTC; items that are released later are left out.

    Returns:
        The revision, and the ids that could not be recommended before.

    Raises:
        SetlistError: when nothing is live, the table cannot be read, or the live model is no
            two-tower that knows any of its items.
    """
    models = open_store(store)
    head = models.head(name)
    if head is None:
        raise SetlistError(f"store {store}: nothing is live under {name}; run the pipeline first.")
    items = read_items(source, as_of, [])
    with tempfile.TemporaryDirectory() as scratch:
        live = models.fetch(name, head.live, Path(scratch) / "live")
        output = Path(scratch) / "refreshed"
        new = refresh_items(live, items, as_of, output)
        info = read_info(output)
        told = {one: [""] for one in info.categorical_inputs}
        SavedModel(output).recommend([[]], [[]], 10, told)  # what cannot answer is not staged
        own = folder_digest(output)
        former = models.card(name, head.live)
        since = (
            f"is revision {head.live} over the items of {as_of:%Y-%m-%d}, {len(new):,} of them "
            "new; nothing was trained"
        )
        revision = models.stage(
            name,
            output,
            run_id=f"refresh-{head.live}-{own[:16]}",
            digest=own,
            training_window=info.training_window,
            metadata=models.manifest(name, head.live).metadata
            | {REFRESH_OF: head.live, "refreshed": as_of.isoformat(), "new_items": len(new)},
            card=(lambda number: f"> Revision {number} {since}.\n\n{former}") if former else None,
        )
    return revision, new
