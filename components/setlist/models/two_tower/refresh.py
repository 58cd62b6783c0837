"""A newer item table for a trained model: new items are placed by their tags, nothing is trained.

So a model need not be trained again for every release. What it learnt of items, tags and listeners
stays as it was; what changes is the catalogue, the tags of its items and how fresh they are.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from setlist.arrays import Float32s
from setlist.data.schema import tie_order
from setlist.errors import ModelError
from setlist.models.item_table import read_item_table, write_item_table
from setlist.models.profile import PROFILE, read_profile
from setlist.models.two_tower.initialization import matched
from setlist.models.two_tower.prior import Prior
from setlist.models.two_tower.saved_towers import SavedTowers


def refresh_items(model: Path, items: pd.DataFrame, as_of: pd.Timestamp, output: Path) -> list[str]:
    """Write a trained model again, over the items of a newer table.

    The catalogue is what the table holds at the moment: an item that is released later waits for
    the next refresh, and one that is not in the table any more is no longer recommended.

    Args:
        model: the folder of a two-tower that was trained here.
        items: item_id, title, tags and released, of the table.
        as_of: the moment, UTC.
        output: the folder of the new model.

    Returns:
        The ids that the model could not recommend before.

    Raises:
        ModelError: when the model is no such two-tower, or knows none of the items.
    """
    former = SavedTowers.read(model)
    released = items[~(items["released"] > as_of)].set_index("item_id")
    catalogue = tie_order(released.index)
    before = set(former.catalogue)
    new = [item for item in catalogue if item not in before]
    if len(new) == len(catalogue):
        raise ModelError(
            f"{model} knows none of the {len(catalogue):,} items of the table",
            "give a table that is not empty, with ids of the same kind",
        )

    def placed(values: Float32s) -> Float32s:
        return matched(former.catalogue, values, catalogue)

    near = former.neighbourhood
    of_items = ("item_embedding", "item_bias", "item_weight")
    item_weights = {name: placed(former.weights[name]) for name in of_items}
    refreshed = replace(
        former,
        catalogue=catalogue,
        weights=former.weights | item_weights,
        plays=placed(former.plays),
        prior=Prior(placed(former.prior.recency), former.prior.fresh),
        neighbourhood=near and near.placed(former.catalogue, catalogue),
    )
    newer = released.loc[catalogue].reset_index()
    refreshed.export(newer, as_of, output)
    heard = (
        read_item_table(model).set_index("item_id")["listeners"].reindex(catalogue, fill_value=0)
    )
    write_item_table(output, newer.assign(listeners=heard.to_numpy()))
    if profile := read_profile(model):  # of the training, which is still the same
        (output / PROFILE).write_text(profile.to_json(), "utf-8")
    return new
