"""The comparison with other tools: our own column on a case made by hand, and the page."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.benchmarks import field_page
from tests.benchmarks.field_plan import BOUNDS, HONEST, TRIALS

ROOT = Path(__file__).parents[2]
NORTH, SOUTH = 100, 40
AT_RANK_1 = 1 / (1 + 1 / np.log2(3))
"""NDCG of a listener with two relevant items, of which the first stands first."""


@pytest.fixture(scope="module")
def two_regions(tmp_path_factory):
    """Everybody likes two items of the own region.

    The rival lists the first of them first. The candidate lists both to the north, and items of the
    north to the south.
    """
    folder = tmp_path_factory.mktemp("field")
    (folder / "lists").mkdir()
    people = [f"listener {number}" for number in range(NORTH + SOUTH)]
    regions = np.repeat(["north", "south"], [NORTH, SOUTH])
    ids = {region: [f"{region} {number}" for number in range(20)] for region in ("north", "south")}
    nobody = [f"other {number}" for number in range(20)]

    def lists(name: str, own: list[list[str]]) -> None:
        table = pd.DataFrame(
            {"user_id": people, "item_id": own, "rank": [[*range(1, 11)]] * len(own)}
        )
        table.explode(["item_id", "rank"]).astype({"rank": int}).to_parquet(
            folder / "lists" / f"{name}.parquet", index=False
        )

    lists("candidate", [ids["north"][:10]] * len(people))
    lists("rival", [[ids[region][0], *nobody[:9]] for region in regions])
    frames = {
        "truth": pd.DataFrame({"user_id": people, "item_id": [ids[name][:2] for name in regions]}),
        "history": pd.DataFrame({"user_id": people, "item_id": [[nobody[19]]] * len(people)}),
    }
    for name, frame in frames.items():
        frame.explode("item_id").to_parquet(folder / f"{name}.parquet", index=False)
    items = [*ids["north"], *ids["south"], *nobody]
    pd.DataFrame(
        {"item_id": items, "title": items, "tags": [[item.split()[0]] for item in items]}
    ).to_parquet(folder / "items.parquet", index=False)
    pd.DataFrame({"user_id": people, "country": regions}).to_parquet(
        folder / "users.parquet", index=False
    )
    return folder


@pytest.fixture(scope="module")
def ours(two_regions):
    """What the program of setlist prints of it."""
    plan = {
        "against": {"candidate": ["rival"]},
        "lists": ["candidate", "rival"],
        "bounds": BOUNDS,
    }
    program = ROOT / "tests" / "benchmarks" / "field_setlist.py"
    done = subprocess.run(
        [sys.executable, program, two_regions, json.dumps(plan)],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_our_values_are_those_by_hand(ours):
    share = NORTH / (NORTH + SOUTH)
    values = ours["values"]
    assert values["candidate"]["ndcg"] == pytest.approx(share)
    assert values["rival"]["ndcg"] == pytest.approx(AT_RANK_1)
    assert values["candidate"]["recall"] == pytest.approx(share)
    assert values["rival"]["recall"] == pytest.approx(0.5)
    assert values["candidate"]["coverage"] == pytest.approx(10 / 60)
    assert values["candidate"]["personalization"] == pytest.approx(0)
    assert ours["trials"]["candidate"]["ndcg"] == pytest.approx(
        {"candidate": share, "rival": AT_RANK_1}
    )


def test_our_column_names_the_rule_that_stops_the_lists(ours):
    cell = field_page.by_setlist(ours["trials"]["candidate"])
    assert cell == "**reject**: no group by country worse off than with the lists rival"


def test_a_value_that_differs_needs_a_reason():
    def kept(ndcg: float, coverage: float) -> dict:
        own = dict.fromkeys(field_page.METRICS, 0.25)
        nothing = {"outcome": {"trials": {HONEST: {"values": {}}}}}
        evidently = {"ndcg": ndcg, "coverage": coverage}
        values = [{"group": "", "model": HONEST, "diff": False, "value": 0.25}]
        return {
            "setlist": {"outcome": {"values": {HONEST: own}}},
            "tfma": {"outcome": {"rivals": {"co_visited": {"values": values}}}},
            "rectools": nothing,
            "evidently": {"outcome": {"trials": {HONEST: {"values": evidently}}}},
        }

    rows = {row[0]: row for row in field_page.measured_values(kept(0.25, 0.5))}
    assert rows["ndcg@10"] == ["ndcg@10", "0.25", "same (15 digits)", "", "same (15 digits)"]
    assert rows["coverage@10"][4].startswith("0.5: a share of the items that were played before")
    with pytest.raises(ValueError, match=r"evidently: ndcg@10 is 0\.3, ours is 0\.25"):
        list(field_page.measured_values(kept(0.3, 0.5)))


@pytest.mark.parametrize(
    ("failed", "cell"),
    [
        ([], "**passes**"),
        (["a"], "**fails**: a"),
        (["a", "b", "c", "d"], "**fails**: a, b and 2 more"),
    ],
)
def test_a_cell_names_two_failures_and_counts_the_others(failed, cell):
    assert field_page._outcome(failed) == cell


# The page


def page_table(heading: str) -> list[list[str]]:
    """The rows of the first table after the heading, the first of them its head."""
    text = (ROOT / "docs" / "explanation" / "comparison.md").read_text("utf-8")
    after = text.partition(f"\n{heading}\n")[2]
    lines = after[after.index("|") :].partition("\n\n")[0].strip().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [cells[0], *cells[2:]]


def test_the_page_has_the_table_of_the_trials_and_our_column_is_right():
    head, *rows = page_table("### What each says of the lists")
    assert head == next(field_page.judged({}))
    assert [row[0] for row in rows] == [f"`{trial.name}`" for trial in TRIALS]
    for row, trial in zip(rows, TRIALS, strict=True):
        assert row[1] == trial.does
        assert (row[-1] == "**promote**") == (not trial.rules), trial.name
        for rule in trial.rules:
            assert rule in row[-1], trial.name


@pytest.mark.parametrize(
    ("heading", "rows", "first"),
    [
        ("### The values of the honest lists", field_page.measured_values, field_page.METRICS),
        ("### What it costs", field_page.costs, field_page.NAMES),
    ],
)
def test_the_page_has_the_other_tables_in_the_form_in_which_they_are_printed(heading, rows, first):
    head, *body = page_table(heading)
    assert head == next(rows({}))
    assert [row[0] for row in body] == list(first.values())
    assert {len(row) for row in body} == {len(head)}
