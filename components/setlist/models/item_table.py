"""What people see of a model's catalogue: `MODEL/items.parquet`, in the order of catalogue.txt.

A model need not have it; its items are then shown by their ids.
"""

from pathlib import Path

import pandas as pd

from setlist.errors import ModelError
from setlist.models.contract import read_catalogue

ITEMS = "items.parquet"
COLUMNS = ["item_id", "title", "tags", "released", "listeners"]


def write_item_table(model: Path, items: pd.DataFrame) -> None:
    """Write what is known of the items beside the model.

    Args:
        model: a model folder.
        items: item_id, title, tags, released and listeners (of the training period), one row an
            item of the catalogue, in its order.
    """
    released = pd.to_datetime(items["released"], utc=True).astype("datetime64[us, UTC]")
    title = items["title"].where(items["title"] != "", items["item_id"])
    shown = items.assign(released=released, title=title)[COLUMNS]
    shown.to_parquet(model / ITEMS, index=False)


def read_item_table(model: Path) -> pd.DataFrame:
    """What is known of the items that a model can recommend: COLUMNS, in catalogue order.

    A title that is not known is the id, tags are then empty, `released` is NaT and `listeners` 0.

    Raises:
        ModelError: when the table is not that of the model's catalogue.
    """
    catalogue = read_catalogue(model)
    if not (model / ITEMS).is_file():
        return pd.DataFrame(
            {
                "item_id": pd.Series(catalogue, dtype="str"),
                "title": pd.Series(catalogue, dtype="str"),
                "tags": [[] for _ in catalogue],
                "released": pd.Series(pd.NaT, range(len(catalogue)), "datetime64[us, UTC]"),
                "listeners": 0,
            }
        )
    items = pd.read_parquet(model / ITEMS)
    if list(items.columns) != COLUMNS or items["item_id"].tolist() != catalogue:
        raise ModelError(f"{model / ITEMS} is not the table of catalogue.txt", "train again")
    return items
