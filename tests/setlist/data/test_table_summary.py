"""What `setlist data check` says of a column."""

import pandas as pd

from setlist.data.source import TableSource
from setlist.data.table_summary import summarise


def test_a_tag_counts_once_in_however_many_lists_it_stands(tmp_path):
    tags = ["rock|pop", "pop|rock", "rock|jazz", None, ""]
    pd.DataFrame({"item_id": list("abcde"), "tags": tags}).to_csv(tmp_path / "i.csv", index=False)
    source = TableSource(path=str(tmp_path / "i.csv"))
    item, tag = summarise(source, required=("item_id",), optional=("tags",))
    assert (item.distinct, item.missing) == (5, 0)
    assert (tag.distinct, tag.missing, tag.examples) == (3, 2, ("rock | pop", "pop | rock"))
