"""What is counted on an engine is what is counted in memory."""

import re
import subprocess
import sys
from math import inf, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cases.counted import counted_digests, write_counted
from tests.cases.golden import made
from tests.cases.random_tables import write_random_tables

from setlist.data import counting
from setlist.data.counting import Counts, read_counts
from setlist.data.engine import EngineSettings
from setlist.data.engines import open_engine

ENGINE = EngineSettings(threads=1)
AGE = {"age_days": 1.0}
ITEMS, LISTENERS = 9, 7
SEGMENTS = ("", "SE", "it's", 'say "x"')
BOUNDS = ("MAX_PAIRED_ITEMS", "PAIRS_A_PASS", "NEIGHBOURS_A_PASS")
PLAY = st.tuples(
    st.integers(0, LISTENERS - 1),
    st.integers(0, ITEMS - 1),
    # Few ages, so that plays share one.
    st.sampled_from([0.1, 0.5, 6.9, 7.0, 7.000001, 40.0]),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(PLAY, min_size=1, max_size=60),
    st.lists(st.sampled_from(SEGMENTS), min_size=LISTENERS, max_size=LISTENERS),
    st.sampled_from([0.05, 7.0, inf]),
)
def test_counts_are_those_of_pandas(tmp_path_factory, plays, segments, days):
    table = plays_of(plays)
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(LISTENERS)], "of `it": segments})
    folder = write_counted(tmp_path_factory.mktemp("features"), table, users)
    with read_counts(folder, ENGINE) as counts:
        recent = counts.listeners_per_item(ITEMS, days)
        by_segment = counts.listeners_per_segment("of `it")
        histories = counts.histories(LISTENERS)
    pairs = table[table["age_days"] <= days].drop_duplicates(["user", "item"])
    assert recent.tolist() == np.bincount(pairs["item"], minlength=ITEMS).tolist()
    pairs = table.drop_duplicates(["user", "item"])
    pairs = pairs.assign(value=np.array(segments)[pairs["user"]])
    expected = pairs[pairs["value"] != ""].groupby(["value", "item"]).size()
    assert by_segment.set_index(["value", "item"])["listeners"].to_dict() == expected.to_dict()
    assert histories.lengths.tolist() == np.bincount(table["user"], minlength=LISTENERS).tolist()
    assert histories.latest.tolist() == table.groupby("user")["age_days"].min().tolist()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(PLAY, min_size=1, max_size=60),
    st.integers(1, ITEMS + 2),
    st.sampled_from([(2, 5, 2), (4, 1, 3), (3, 50, 1), (2_000, 10_000_000, 20_000)]),
)
def test_neighbours_are_those_of_a_count_pair_by_pair(tmp_path_factory, plays, number, bounds):
    table = plays_of(plays)
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(LISTENERS)]})
    folder = write_counted(tmp_path_factory.mktemp("features"), table, users)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in zip(BOUNDS, bounds, strict=True):
            patched.setattr(counting, name, value)
        with read_counts(folder, ENGINE) as counts:
            found = counts.neighbours(ITEMS, number)
    codes, similarity = nearest(table, bounds[0], min(number, ITEMS))
    assert found.codes.tolist() == codes.tolist()
    assert found.similarity.tolist() == similarity.tolist()


def plays_of(rows):
    """The table of plays of a features folder."""
    table = pd.DataFrame(rows, columns=["user", "item", "age_days"])
    return table.astype({"user": "int32", "item": "int32", "age_days": "float64"})


def nearest(plays, most, number):
    """Codes and similarity of the neighbours, item by item."""
    pairs = plays.groupby(["user", "item"])["age_days"].min().reset_index()
    pairs = pairs.sort_values(["user", "age_days", "item"])
    pairs = pairs[pairs.groupby("user").cumcount() < most]
    who = [set(pairs.loc[pairs["item"] == item, "user"]) for item in range(ITEMS)]
    codes = np.zeros((ITEMS, number), np.int32)
    similarity = np.zeros((ITEMS, number), np.float32)
    for item in range(ITEMS):
        cosines = [
            (np.float32(len(both) / sqrt(len(who[item]) * len(who[other]))), -other)
            for other in range(ITEMS)
            if other != item and (both := who[item] & who[other])
        ]
        for place, (cosine, other) in enumerate(sorted(cosines, reverse=True)[:number]):
            codes[item, place], similarity[item, place] = -other, cosine
    return codes, similarity


@pytest.mark.parametrize("seed", range(3))
def test_threads_and_memory_do_not_matter(tmp_path, seed):
    world = write_random_tables(tmp_path / "tables", seed)
    with made(world) as folder:
        one, four, little = (
            counted_digests(folder / "features", "country", EngineSettings(**engine))
            for engine in ({"threads": 1}, {"threads": 4}, {"memory": "200MB"})
        )
    assert one == four == little
    assert len(set(one.values())) == 5


def test_a_pass_has_the_next_items_and_no_more_pairs_than_the_bound(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    table = plays_of({"user": rng.integers(0, 50, 600), "item": rng.integers(0, 40, 600)} | AGE)
    write_counted(tmp_path, table, pd.DataFrame({"user_id": ["u"]}))
    monkeypatch.setattr(counting, "PAIRS_A_PASS", 500)
    with open_engine(ENGINE) as sql:
        counts = Counts(sql, tmp_path)
        counts._pair()
        passes = [*counts._passes(20)]
        pairs = dict(sql.rows("select i, pairs from paired_items"))
    assert len(passes) > 5
    assert [item for first, last in passes for item in range(first, last)] == sorted(pairs)
    assert max(sum(pairs[item] for item in range(*bounds)) for bounds in passes) <= 500


@pytest.mark.slow
def test_the_plays_are_not_held(tmp_path):
    """Four million plays; with pandas and scipy this took 600 MB."""
    rng = np.random.default_rng(1)
    plays = plays_of(
        {
            "user": np.repeat(np.arange(400_000), 10),
            "item": rng.integers(0, 2_000, 4_000_000),
            "age_days": rng.random(4_000_000),
        }
    )
    write_counted(tmp_path, plays, pd.DataFrame({"user_id": np.arange(400_000).astype(str)}))
    code = (
        "from pathlib import Path; import sys; from setlist.data.counting import *\n"
        "engine = EngineSettings(memory='100MB', threads=1)\n"
        "with read_counts(Path(sys.argv[1]), engine) as counts:\n"
        "    assert counts.histories(400_000).lengths.sum() == 4_000_000\n"
        "    assert counts.listeners_per_item(2_000, 0.5).sum() > 1_000_000\n"
        "    assert counts.neighbours(2_000, 20).similarity.all()\n"
        "print(Path('/proc/self/status').read_text())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", done.stdout, re.MULTILINE)
    assert int(peak) < 400_000


def test_the_best_of_many_items_fit_into_little_memory(tmp_path):
    """20,000 items with 449 and more others each, which is more than DuckDB holds in 300 MB."""
    rng = np.random.default_rng(1)
    items = np.concatenate([rng.choice(20_000, 450, replace=False) for _ in range(40)])
    plays = plays_of({"user": np.repeat(np.arange(40), 450), "item": items} | AGE)
    write_counted(tmp_path, plays, pd.DataFrame({"user_id": np.arange(40).astype(str)}))
    with read_counts(tmp_path, EngineSettings(memory="300MB", threads=1)) as counts:
        found = counts.neighbours(20_000, 100)
    assert found.similarity[items].all()
