"""Models that hang, die, take all memory or reach for files: the service stays, and says so."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.cases import hostile_models
from tests.setlist.serving.models import promote, stage
from tests.setlist.serving.processes import serving
from tests.setlist.serving.test_canary import value
from tests.setlist.serving.test_http_app import client_of, ready, recommend
from tests.waiting import until

from setlist.models.worker import model_worker


@pytest.fixture
def write(tmp_path):
    """Writes a hostile model by name."""
    return lambda kind, *more: getattr(hostile_models, f"write_{kind}")(tmp_path / kind, *more)


def fault(client):
    return client.get("/healthz").json()["live"]["fault"]


def test_a_warm_up_that_does_not_end_is_named_and_the_rollback_is_followed(
    uri, tmp_path, write, monkeypatch
):
    monkeypatch.setattr(model_worker, "LOAD_SECONDS", 3.0)
    hanging = write("works_on", hostile_models.IDS[0])  # with which the warm-up begins
    with client_of(uri, tmp_path / "kept") as client:
        ready(client)
        promote(uri, stage(uri, hanging, "hanging"))
        until(lambda: fault(client))
        assert "no answer to 'warm_up' within 3" in fault(client)
        assert recommend(client, {"k": 1})["revision"] == 1
        promote(uri, 2)
        ready(client, 2)
        until(lambda: fault(client) is None)


def test_one_request_that_hangs_is_504_and_the_others_are_answered(uri, tmp_path, write):
    promote(uri, stage(uri, write("works_on", "poison"), "poisoned"))
    with client_of(uri, tmp_path / "kept") as client, ThreadPoolExecutor(1) as pool:
        ready(client, 3)
        recommend(client, {"k": 5})
        hung = pool.submit(client.post, "/v1/recommend", json={"history": ["poison"]})
        until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/healthz").status_code == 200
        assert hung.result().status_code == 504
        assert "did not come back" in hung.result().json()["error"]["message"]
        until(lambda: client.get("/readyz").status_code == 200)
        for number in range(50):
            assert len(recommend(client, {"history": [f"I{number}"], "k": 5})["items"]) == 5
        assert value(client, "setlist_workers_lost_total", role="live", reason="hung") == 1
        assert client.post("/v1/recommend", json={"history": ["poison"]}).status_code == 504
        lost = value(client, "setlist_workers_lost_total", role="live", reason="hung")
        assert lost == 1, "it is not asked a second time"
        promote(uri, 2)
        ready(client, 2)
        assert recommend(client, {"history": ["poison"]})["revision"] == 2


def test_those_who_ask_beside_it_are_answered_too(uri, tmp_path, write):
    promote(uri, stage(uri, write("works_on", "poison"), "poisoned"))
    with client_of(uri, tmp_path / "kept", workers=2) as client, ThreadPoolExecutor(8) as pool:
        ready(client, 3)
        hung = pool.submit(client.post, "/v1/recommend", json={"history": ["poison"]})
        time.sleep(0.1)
        statuses = [
            each.status_code
            for each in pool.map(
                lambda number: client.post("/v1/recommend", json={"history": [f"I{number}"]}),
                range(200),
            )
        ]
        assert statuses == [200] * 200
        assert hung.result().status_code == 504
        assert client.get("/readyz").status_code == 200


@pytest.mark.slow
def test_the_end_while_a_model_hangs_is_soon(uri, tmp_path, write):
    promote(uri, stage(uri, write("works_on", "poison"), "poisoned"))
    with (
        serving("--store", uri, "--folder", str(tmp_path / "kept")) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        server.wait(3)
        hung = pool.submit(server.post, {"history": ["poison"]})
        time.sleep(0.2)
        assert server.stop() == 0
        assert hung.result()[0] == 504


def test_a_model_that_takes_all_memory_loses_its_process_only(uri, tmp_path, write):
    promote(uri, stage(uri, write("allocates", 1.5, "huge"), "large"))
    with client_of(uri, tmp_path / "kept") as client:
        ready(client, 3)
        assert client.post("/v1/recommend", json={"history": ["huge"]}).status_code == 504
        # It is ended for its memory, or for its time where that is slow to come. A request over
        # which a process died is asked once more, for a process can die of something else.
        lost = [
            value(client, "setlist_workers_lost_total", role="live", reason=reason)
            for reason in ("died", "hung")
        ]
        assert sum(lost) in (1, 2)
        until(lambda: client.get("/readyz").status_code == 200)
        recommend(client, {"k": 5})


@pytest.mark.parametrize(
    ("kind", "operation"),
    [("hangs_always", "While"), ("prints", "PrintV2"), ("dies_on", "Abort")],
)
def test_what_a_graph_may_not_do_is_refused_before_it_runs(uri, tmp_path, write, kind, operation):
    more = {"prints": ["revision 99 of home is live here"]}.get(kind, [])
    model = write(kind, *more)
    with client_of(uri, tmp_path / "kept") as client:
        ready(client)
        promote(uri, stage(uri, model, kind))
        until(lambda: fault(client))
        assert operation in fault(client)
        assert recommend(client, {"k": 1})["revision"] == 1


def test_a_secret_is_not_read_and_nothing_is_written(uri, tmp_path, write):
    secret, stolen = tmp_path / "secret.txt", tmp_path / "stolen.py"
    secret.write_text("token")
    model = write("reads_secret", secret, stolen)
    revision = stage(uri, model, "thief")
    with client_of(uri, tmp_path / "kept") as client:
        ready(client)
        promote(uri, revision)
        until(lambda: fault(client))
        assert "ReadFile" in fault(client) or "WriteFile" in fault(client)
    assert not stolen.exists()
    with model_worker.ModelWorker() as worker:
        worker.wait()
        if "Landlock" in (worker.unconfined or ""):
            return
    # Nor is it written where both are allowed: the process of a model cannot write.
    allowed = ("ReadFile", "WriteFile")
    with client_of(uri, tmp_path / "again", allowed=allowed) as client:
        until(lambda: fault(client))
        assert "within" not in fault(client)
    assert not stolen.exists()


def test_series_do_not_grow_with_swaps(uri, tmp_path):
    with client_of(uri, tmp_path / "kept") as client:
        sizes = []
        for number in range(12):
            ready(client, 1 + number % 2)
            recommend(client, {"k": 1})
            sizes.append(len(client.get("/metrics").text.splitlines()))
            promote(uri, 2 - number % 2)
        assert sizes[-1] == sizes[1]
