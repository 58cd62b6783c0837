"""The server: answers, limits, swaps, faults; whatever is sent to it, it does not break."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from tests.cases import hostile_models
from tests.setlist.serving.models import promote, stage, write_towers
from tests.setlist.serving.processes import in_thread, serving
from tests.setlist.serving.test_follower import UNREAD, corrupt
from tests.waiting import PATIENCE, until

from setlist.models.saved_model import SavedModel
from setlist.serving.http_app import Door, create_app
from setlist.serving.messages import MAX_BODY_BYTES, RefusedRequest
from setlist.serving.served_models import ServiceSettings
from setlist.serving.service import Service
from setlist.store import bucket
from setlist.store.model_store import open_store
from setlist_pipelines.cli.main import main
from setlist_pipelines.cli.serving import parse_interval

FAST = timedelta(seconds=0.05)
CHILE = {"country": "Chile"}


def client_of(uri, folder, **more):
    service = Service(ServiceSettings(uri, "home", folder, FAST, **more))
    return in_thread(Door(create_app(service), service))


def ready(client, revision=1):
    until(lambda: client.get("/readyz").status_code == 200)
    until(lambda: client.get("/v1/model").json()["revision"] == revision)
    return client


@pytest.fixture(scope="module")
def client(filled, tmp_path_factory):
    with client_of(str(filled), tmp_path_factory.mktemp("serving")) as made:
        yield ready(made)


def recommend(client, body):
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(client, **request):
    answer = client.post("/v1/recommend", **request)
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"status", "message", "where"}
    assert error["status"] == answer.status_code
    return answer.status_code, error["where"]


def test_one_listener(client, towers):
    asked = {"history": ["r1-00003", "r1-00007"], "exclude": ["r1-00001"], "inputs": CHILE, "k": 5}
    said = recommend(client, asked)
    assert (said["revision"], said["model"]) == (1, "two_tower")
    ids, scores = SavedModel(towers[1]).recommend(
        [asked["history"]], [asked["exclude"]], 5, {"country": ["Chile"]}
    )
    assert [item["item_id"] for item in said["items"]] == ids[0].tolist()
    assert [item["score"] for item in said["items"]] == pytest.approx(scores[0].tolist(), abs=1e-5)
    first = said["items"][0]
    assert first["title"] == f"Title of {first['item_id']}"
    assert first["tags"][0].startswith("tag ")
    assert len(said["request_id"]) == 32


def test_a_batch_is_the_same_lists(client):
    asks = [
        {"listener": "a", "history": ["r1-00003"], "inputs": CHILE, "k": 3},
        {"listener": "b", "history": [], "exclude": [f"r1-{n:05d}" for n in range(55)], "k": 500},
        {"history": ["nobody knows it"] * 2_000, "inputs": {"country": "x"}, "k": 60},
    ]
    said = recommend(client, {"requests": asks})
    assert [len(one["items"]) for one in said["answers"]] == [3, 5, 60]
    for ask, one in zip(asks, said["answers"], strict=True):
        alone = recommend(client, ask)["items"]
        assert [item["item_id"] for item in one["items"]] == [item["item_id"] for item in alone]


def test_ages_are_read_and_are_0_where_they_are_left_out(client):
    plays = ["r1-00003", "r1-00009", "r1-00021"]

    def scores(history):
        return [item["score"] for item in recommend(client, {"history": history, "k": 60})["items"]]

    fresh = [{"item": play, "age_days": 0} for play in plays]
    assert scores(plays) == scores(fresh)
    assert scores([{"item": plays[0], "age_days": 3.5}, *plays[1:]])


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"k": 0}, 422, "k"),
        ({"k": 501}, 422, "k"),
        ({"k": True}, 422, "k"),
        ({"k": "5"}, 422, "k"),
        ({"history": ["x"] * 2_001}, 422, "history"),
        ({"history": [""]}, 422, "history.0"),
        ({"history": ["x" * 513]}, 422, "history.0"),
        ({"history": [{"item": "x", "age_days": -1}]}, 422, "history.0.age_days"),
        ({"history": [{"item": "x", "age_days": True}]}, 422, "history.0.age_days"),
        ({"history": ["x", {"item": "x", "age": 1}]}, 422, "history.1.age"),
        ({"requests": [{"history": [{}]}]}, 422, "requests.0.history.0.item"),
        ({"history": [7]}, 422, "history.0"),
        ({"exclude": [None]}, 422, "exclude.0"),
        ({"inputs": {"country": 7}}, 422, "inputs.country"),
        ({"nonsense": 1}, 422, "nonsense"),
        ({"inputs": {"contry": "Chile"}}, 422, "inputs.contry"),
        ({"requests": [{}, {"inputs": CHILE | {"": "x"}}]}, 422, "requests.1.inputs."),
        ({"requests": [{}, {"inputs": CHILE | {"x": "x"}}]}, 422, "requests.1.inputs.x"),
        ({"requests": []}, 422, "requests"),
        ({"requests": [{}] * 65}, 422, "requests"),
        ({"requests": [{}, {"k": -1}]}, 422, "requests.1.k"),
        ([], 422, ""),
    ],
)
def test_what_is_beyond_a_limit_is_refused_with_its_place(client, body, status, where):
    assert refusal(client, json=body) == (status, where)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b'{"history": ["\xed\xa0\x80"]}',
        b'{"history": ["\\ud800"]}',
        b'{"history": [{"item": "x", "age_days": NaN}]}',
        b'{"history": [{"item": "x", "age_days": 1e999}]}',
        b'{"k": ' + b"9" * 5_000 + b"}",
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_of_ours_is_refused(client, content):
    assert refusal(client, content=content)[0] in (400, 422)


@pytest.mark.parametrize("text", ["\0", "a\0", "\u202e", "\ufffe", "💿" * 512, " ", "r1-00001\0"])
def test_any_text_is_an_id(client, text):
    body = {"listener": text, "history": [text], "exclude": [text], "inputs": {"country": text}}
    said = recommend(client, {**body, "k": 60})
    assert len(said["items"]) == 60, "none of them is an id of the catalogue"


def test_a_body_that_is_too_large_is_refused_also_in_chunks(client):
    assert refusal(client, content=b" " * (MAX_BODY_BYTES + 1))[0] == 413
    chunks = (b" " * 65_536 for _ in range(40))
    assert refusal(client, content=chunks)[0] == 413
    assert refusal(client, content=b" " * MAX_BODY_BYTES)[0] == 400, "it is read, and holds nothing"


def test_errors_of_the_framework_have_the_same_shape(client):
    for answer in (client.get("/nowhere"), client.get("/v1/recommend")):
        assert set(answer.json()["error"]) == {"status", "message", "where"}
        assert answer.json()["error"]["status"] == answer.status_code in (404, 405)


def test_without_a_model_it_waits_and_says_why(tmp_path, towers):
    uri = str(tmp_path / "empty")
    with client_of(uri, tmp_path / "kept") as client:
        until(lambda: client.get("/healthz").json()["live"]["fault"])
        assert client.get("/healthz").status_code == 200
        assert "there is no store at" in client.get("/healthz").json()["live"]["fault"]
        open_store(uri)
        until(lambda: "nothing is live" in client.get("/healthz").json()["live"]["fault"])
        assert client.get("/readyz").status_code == 503
        assert refusal(client, json={})[0] == 503
        promote(uri, stage(uri, towers[1], "run"))
        ready(client)
        assert recommend(client, {"k": 1})["revision"] == 1


def test_a_damaged_revision_never_serves_and_is_named(uri, tmp_path):
    with client_of(uri, tmp_path / "kept") as client:
        ready(client)
        corrupt(uri, 2)
        promote(uri, 2)
        until(lambda: client.get("/healthz").json()["live"]["fault"])
        assert "saved_model.pb is damaged" in client.get("/healthz").json()["live"]["fault"]
        assert recommend(client, {})["revision"] == 1
        metrics = client.get("/metrics").text
        assert 'setlist_faulty{follows="HEAD",name="home"} 1.0' in metrics
        assert 'setlist_faults_total{follows="HEAD",name="home",stage="fetch"} 1.0' in metrics


def test_a_model_that_does_not_load_leaves_the_old_one(uri, tmp_path, towers):
    broken = write_towers(tmp_path / "broken", "r3")
    (broken / "saved_model" / "saved_model.pb").write_bytes(b"no graph")
    with client_of(uri, tmp_path / "kept") as client:
        ready(client)
        promote(uri, stage(uri, broken, "broken"))
        until(lambda: client.get("/healthz").json()["live"]["fault"])
        assert recommend(client, {})["revision"] == 1
        promote(uri, 2)
        ready(client, 2)
        until(lambda: client.get("/healthz").json()["live"]["fault"] is None)


def wait_for_a_fault(client):
    def faults():
        return client.get("/healthz").json()["live"]["faults"]

    before = faults()
    until(lambda: faults() > before)


@UNREAD
def test_while_the_bucket_is_away_it_answers_and_recovers(gcs_uri, proxy, tmp_path, monkeypatch):
    monkeypatch.setattr(bucket, "TIMEOUT_SECONDS", proxy.time_out)
    monkeypatch.setattr(bucket, "RETRY_SECONDS", 0.3)
    with client_of(gcs_uri, tmp_path / "kept") as client:
        ready(client)
        for mode in ("500", "reset", "stall", "away"):
            proxy.be(mode)
            wait_for_a_fault(client)
            assert recommend(client, {"history": ["r1-00001"]})["revision"] == 1
            assert client.get("/readyz").status_code == 200
        proxy.be("pass")
        promote(gcs_uri, 2)
        ready(client, 2)


def test_a_request_ends_on_the_model_that_it_began_with(uri, tmp_path):
    """A model of which one request or another is always being answered gives way to the next."""
    slow = hostile_models.write_slow(tmp_path / "slow", 300)
    with client_of(uri, tmp_path / "kept") as client, ThreadPoolExecutor(3) as pool:
        promote(uri, stage(uri, slow, "slow"))
        ready(client, 3)

        def ask(_):
            said = recommend(client, {"k": 5})
            while said["revision"] == 3:
                assert {item["item_id"] for item in said["items"]} <= set(hostile_models.IDS)
                said = recommend(client, {"k": 5})
            assert all(item["item_id"].startswith("r2-") for item in said["items"])
            return said["revision"]

        asked = pool.map(ask, range(3))
        until(lambda: "setlist_open_requests 3.0" in client.get("/metrics").text)
        promote(uri, 2)
        assert list(asked) == [2, 2, 2]


def test_an_unknown_input_is_answered_where_that_is_allowed(uri, tmp_path):
    with client_of(uri, tmp_path / "kept", any_input=True) as client:
        recommend(ready(client), {"inputs": {"contry": "Chile"}})


def test_refused_is_json_whatever_it_says():
    assert b"\\ud800" in RefusedRequest(422, "\ud800").content()


@pytest.fixture(scope="module")
def tolerant(filled, tmp_path_factory):
    """It takes any input: the document does not know those of the model."""
    with client_of(str(filled), tmp_path_factory.mktemp("tolerant"), any_input=True) as made:
        yield ready(made)


def test_the_document_describes_the_service(tolerant):
    """No 5xx, and answers of the status, type and shape that the document promises."""
    client = tolerant
    document = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
    checked = []
    for operation in document.get_all_operations():
        checked.append(operation.ok().label)

        @settings(max_examples=60, suppress_health_check=list(HealthCheck))
        @given(case=operation.ok().as_strategy())
        def hold(case):
            case.call_and_validate(timeout=PATIENCE)

        hold()
    assert sorted(checked) == [
        *("GET /healthz", "GET /metrics", "GET /readyz", "GET /v1/model", "POST /v1/recommend")
    ]


@pytest.mark.slow
def test_the_process_ends_well_on_sigterm(uri, tmp_path):
    with serving("--store", uri, "--folder", str(tmp_path / "kept")) as running:
        running.wait(1)
        assert running.post({"k": 2})[0] == 200
        assert running.stop() == 0


@pytest.mark.slow
def test_a_client_that_never_ends_its_request_does_not_cost_the_log(uri, tmp_path):
    log = tmp_path / "log"
    with serving("--store", uri, "--folder", str(tmp_path / "kept"), "--log", str(log)) as running:
        running.wait(1)
        assert running.post({"k": 2})[0] == 200
        with half_a_request(running.port):
            assert running.stop() == 0
    assert len([*log.rglob("*.parquet")]) == 2


def test_a_client_that_hangs_up_is_no_fault_of_the_server(client):
    with half_a_request(client.base_url.port):
        pass
    until(lambda: 'setlist_requests_total{status="499"} 1.0' in client.get("/metrics").text)
    assert 'status="500"' not in client.get("/metrics").text


@contextmanager
def half_a_request(port):
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.settimeout(PATIENCE)
        head = b"POST /v1/recommend HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n"
        one.sendall(head + b"expect: 100-continue\r\n\r\n")
        assert one.recv(100).startswith(b"HTTP/1.1 100 "), "the body is being read"
        one.sendall(b"{")
        yield


@pytest.mark.slow
def test_the_command_explains_a_folder_that_is_taken(uri, tmp_path):
    told = ["--store", uri, "--folder", str(tmp_path / "kept")]
    with serving(*told) as first:
        first.wait(1)
        with serving(*told) as second:
            assert second.process.wait(timeout=PATIENCE) == 1
    assert second.lines[-1][1] == (
        f"setlist: {tmp_path / 'kept' / 'live'}: cannot hold models (another follower uses "
        "it); name another folder."
    )


@pytest.mark.slow
def test_the_command_explains_a_port_that_is_taken(uri, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with serving("--store", uri, "--folder", str(tmp_path / "kept"), "--port", port) as server:
            assert server.process.wait(timeout=PATIENCE) == 1
    assert any("cannot listen there (Address already in use)" in line for _, line in server.lines)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serve", "--every", "soon"], "--every: 'soon' is no duration; write it like 30s"),
        (["serve", "--every", "0s"], "is no duration"),
        (["serve", "--candidate", "2"], "give --candidate together with --share"),
        (["serve", "--candidate", "2", "--share", "0.1", "--shadow", "2"], "or --shadow alone"),
        (["follow", "--to", "/proc/nowhere"], "/proc/nowhere: cannot hold models"),
    ],
)
def test_mistakes_on_the_command_line_are_one_sentence(arguments, sentence, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["setlist", *arguments])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert sentence in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("1.5h", 5400), ("1d", 86400)]
)
def test_durations(text, seconds):
    assert parse_interval(text) == timedelta(seconds=seconds)
