"""A candidate in the shadow, or on a share of listeners."""

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.cases import hostile_models
from tests.setlist.serving.models import stage
from tests.setlist.serving.test_http_app import client_of, ready, recommend
from tests.waiting import until

from setlist.serving import canary
from setlist.serving.canary import gets_candidate

ROWS = 20_000


def value(client, name, **labels):
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and sample.labels.items() >= labels.items():
                return sample.value
    return 0


def with_candidate(client):
    ready(client)
    until(lambda: client.get("/v1/model").json()["candidate"] == 2)
    return client


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_the_share_is_the_one_asked_for(share):
    got = sum(gets_candidate(f"listener {number}", 2, share) for number in range(ROWS)) / ROWS
    assert got == pytest.approx(share, abs=4 * (share * (1 - share) / ROWS) ** 0.5)


def test_a_listener_is_always_on_the_same_side_and_revisions_choose_anew():
    sides = [
        [gets_candidate(f"L{n}", revision, 0.5) for n in range(2_000)] for revision in (2, 2, 3)
    ]
    assert sides[0] == sides[1]
    both = sum(a and b for a, b in zip(sides[0], sides[2], strict=True)) / 2_000
    assert both == pytest.approx(0.25, abs=0.05)
    assert not gets_candidate(None, 2, 1.0), "who has no id gets the live model"


def test_a_share_of_listeners_gets_the_candidate_also_within_a_batch(uri, tmp_path):
    with client_of(uri, tmp_path / "kept", candidate=2, share=0.3) as client:
        with_candidate(client)
        asks = [{"listener": f"L{number}", "k": 5} for number in range(64)]
        asks[7] = {"k": 5}
        answers = recommend(client, {"requests": asks})["answers"]
        expected = [2 if gets_candidate(ask.get("listener"), 2, 0.3) else 1 for ask in asks]
        assert {1, 2} == set(expected)
        assert [answer["revision"] for answer in answers] == expected
        for answer in answers:
            mark = f"r{answer['revision']}-"
            assert all(item["item_id"].startswith(mark) for item in answer["items"])
        again = [recommend(client, ask)["revision"] for ask in asks[:10]]
        assert again == expected[:10]
        shown = value(client, "setlist_listeners_total", role="candidate")
        assert shown == expected.count(2) + again.count(2)


def test_the_shadow_is_compared_and_logged_and_never_shown(uri, tmp_path):
    log = tmp_path / "log"
    with client_of(uri, tmp_path / "kept", candidate=2, log=str(log)) as client:
        with_candidate(client)
        for number in range(10):
            assert recommend(client, {"listener": f"L{number}", "k": 5})["revision"] == 1
        until(lambda: value(client, "setlist_shadow_overlap_count") == 10)
        assert value(client, "setlist_shadow_overlap_sum") == 0, "other items altogether"
        assert value(client, "setlist_listeners_total", role="candidate") == 0
    logged = pd.concat(map(pd.read_parquet, (log / "requests").rglob("*.parquet")))
    assert logged["role"].value_counts().to_dict() == {"live": 10, "shadow": 10}
    pairs = logged.pivot_table("revision", "request_id", "role").drop_duplicates()
    assert pairs.to_dict("records") == [{"live": 1, "shadow": 2}]


def test_a_shadow_that_hangs_holds_nobody_up(uri, tmp_path, monkeypatch):
    monkeypatch.setattr(canary, "MAX_WAITING_QUERIES", 4)
    hanging = hostile_models.write_works_on(tmp_path / "hanging", "poison")
    shadow = stage(uri, hanging, "hanging")
    with client_of(uri, tmp_path / "kept", candidate=shadow) as client:
        ready(client)
        until(lambda: client.get("/v1/model").json()["candidate"] == shadow)
        for number in range(20):
            body = {"history": [str(number), "poison"], "k": 5}
            assert recommend(client, body)["revision"] == 1, "it answers all the same"
        assert value(client, "setlist_shadow_missed_total") >= 20 - 4 - 2
        until(lambda: value(client, "setlist_shadow_failed_total") >= 1)
        lost = value(client, "setlist_workers_lost_total", role="candidate", reason="hung")
        assert lost >= 1
