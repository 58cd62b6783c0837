"""The live model over a newer item table, so that new releases can be recommended today."""

import tempfile
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from setlist.data.snapshots import read_items
from setlist.data.source import TableSource
from setlist.errors import StoreNotFoundError
from setlist.models.contract import folder_digest, read_info
from setlist.models.two_tower.refresh import refresh_items
from setlist.models.worker.model_host import ModelHost
from setlist.runs.promotion import REFRESH_OF, REFRESHED
from setlist.store.model_store import open_store


def refresh_live(
    store: str,
    name: str,
    source: TableSource,
    as_of: pd.Timestamp,
    allowed: Collection[str] = (),
) -> tuple[int, list[str]]:
    """Stage the live model again over the items of a table; nothing goes live.

    The revision carries the verdict of the live revision, and names that revision.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        source: the table of items.
        as_of: the moment, UTC; items that are released later are left out.
        allowed: operations that a model may have beside the usual ones (`policy.operations`).

    Returns:
        The revision, and the ids of the items that could not be recommended before.

    Raises:
        StoreNotFoundError: nothing is live.
        DataError: the table cannot be read.
        ModelError: the live model is no two-tower model that knows any of the items.
    """
    models = open_store(store)
    head = models.head(name)
    if head is None:
        raise StoreNotFoundError(
            f"store {store}: nothing is live under {name}", "run the pipeline first"
        )
    items = read_items(source, as_of, [])
    with tempfile.TemporaryDirectory() as scratch:
        live = models.fetch(name, head.live, Path(scratch) / "live")
        refreshed = Path(scratch) / "refreshed"
        new_items = refresh_items(live, items, as_of, refreshed)
        info = read_info(refreshed)
        # One request with an empty history: a model that cannot answer is not staged.
        attributes = {column: [""] for column in info.categorical_inputs}
        with ModelHost() as host, host.model(refreshed, allowed) as model:
            model.recommend([[]], [[]], 10, attributes)
        refreshed_digest = folder_digest(refreshed)
        live_card = models.card(name, head.live)
        origin = (
            f"is revision {head.live} over the items of {as_of:%Y-%m-%d}, {len(new_items):,} of "
            "them new; nothing was trained"
        )
        revision = models.stage(
            name,
            refreshed,
            # The same items give the same run id, so a repeated refresh stages no revision
            run_id=f"refresh-{head.live}-{refreshed_digest[:16]}",
            digest=refreshed_digest,
            training_window=info.training_window,
            metadata=models.manifest(name, head.live).metadata
            | {
                REFRESH_OF: head.live,
                REFRESHED: as_of.isoformat(),
                "new_items": len(new_items),
            },
            card=(lambda number: f"> Revision {number} {origin}.\n\n{live_card}")
            if live_card
            else None,
        )
    return revision, new_items
