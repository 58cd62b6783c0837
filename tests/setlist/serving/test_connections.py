"""Overload, slow clients, the end of the process, and a path of a proxy."""

import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.cases import hostile_models
from tests.setlist.serving.models import promote, stage
from tests.setlist.serving.processes import BusyClients, in_thread, serving
from tests.setlist.serving.test_canary import value
from tests.setlist.serving.test_http_app import FAST, client_of, ready, recommend
from tests.waiting import PATIENCE, until

from setlist.serving.http_app import DEADLINE_HEADER, Door, create_app
from setlist.serving.served_models import ServiceSettings
from setlist.serving.service import Service


@pytest.fixture
def slow(uri, tmp_path):
    """A server whose model takes about 0.2 s."""
    promote(uri, stage(uri, hostile_models.write_slow(tmp_path / "slow", 200), "slow"))
    with client_of(uri, tmp_path / "kept") as client:
        ready(client, 3)
        recommend(client, {"k": 1})
        yield client


def test_who_would_wait_too_long_is_refused_at_once_and_the_others_are_answered(slow):
    """A request of 16 listeners is a batch of its own, so that 24 at once wait for each other."""

    def ask(number):
        body = {"requests": [{"history": [str(number)], "k": 1}] * 16}
        return slow.post("/v1/recommend", json=body)

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(48)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert "come again later" in refused[0].json()["error"]["message"]
    assert recommend(slow, {"k": 1}), "and all is well after it"


def test_a_deadline_is_read_from_the_header(slow):
    headers = {DEADLINE_HEADER: "50"}
    answer = slow.post("/v1/recommend", json={"k": 1}, headers=headers)
    assert answer.status_code == 504
    assert "within 0.05 s" in answer.json()["error"]["message"]
    headers = {DEADLINE_HEADER: "soon"}
    assert slow.post("/v1/recommend", json={"k": 1}, headers=headers).status_code == 400


def test_the_model_is_not_asked_for_a_client_that_has_gone(slow):
    """Two clients ask and hang up; on a busy machine the model may have answered both by then."""
    body = json.dumps({"k": 1}).encode()
    head = f"POST /v1/recommend HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    sent = 1  # by the fixture

    def counted(status):
        return value(slow, "setlist_requests_total", status=status)

    def ended():
        return counted("200") + counted("499")

    def gone():
        nonlocal sent
        asked = [socket.create_connection(("127.0.0.1", slow.base_url.port)) for _ in range(2)]
        for each in asked:
            each.sendall(head.encode() + body)
        sent += len(asked)
        until(lambda: value(slow, "setlist_open_requests") + ended() == sent)
        for each in asked:
            each.close()
        until(lambda: ended() == sent)
        return counted("499")

    until(gone)
    assert value(slow, "setlist_listeners_total", role="live") == counted("200")


@pytest.mark.slow
def test_silent_connections_give_way(uri, tmp_path):
    options = ("--store", uri, "--folder", str(tmp_path / "kept"))
    silent = []
    with serving(*options, open_files=1_024) as server:
        server.wait(1)
        try:
            for _ in range(1_100):
                silent.append(socket.create_connection(("127.0.0.1", server.port)))
                silent[-1].sendall(b"GET /h")
            for path in ("/healthz", "/readyz"):
                assert server.get(path)[0] == 200
            assert server.post({"k": 2})[0] == 200
            silent[-1].settimeout(PATIENCE)
            assert silent[-1].recv(1) == b"", "who never ends its request is cut off"
        finally:
            for each in silent:
                each.close()


@pytest.mark.slow
def test_a_body_that_drips_is_cut_off(uri, tmp_path):
    with serving("--store", uri, "--folder", str(tmp_path / "kept")) as server:
        server.wait(1)
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as one:
            one.sendall(b"POST /v1/recommend HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n")
            with pytest.raises(OSError):  # noqa: PT012 - it drips until it is cut off
                for _ in range(1500):
                    one.sendall(b" ")
                    time.sleep(0.2)


@pytest.mark.slow
def test_sigterm_loses_no_request_of_busy_connections(uri, tmp_path):
    """Each client asks again and again, and goes elsewhere when it is asked to."""
    with serving("--store", uri, "--folder", str(tmp_path / "kept")) as server:
        server.wait(1)
        clients = BusyClients(server.port)
        clients.start(8)
        until(lambda: len(clients.answered) > 100)
        server.process.send_signal(signal.SIGTERM)
        clients.join()
        assert server.process.wait(timeout=PATIENCE) == 0
    assert not clients.lost
    assert set(clients.answered) == {200}
    assert clients.closed == 8


@pytest.mark.parametrize("path", ["", "/lists"])
def test_behind_a_proxy_that_takes_its_path_away_or_leaves_it(uri, tmp_path, path):
    service = Service(ServiceSettings(uri, "home", tmp_path / "kept", FAST))
    with in_thread(Door(create_app(service), service, "/lists")) as client:
        until(lambda: client.get(f"{path}/readyz").status_code == 200)
        answer = client.post(f"{path}/v1/recommend", json={"k": 2})
        assert answer.status_code == 200
        assert "/lists/openapi.json" in client.get(f"{path}/docs").text
        assert client.get(f"{path}/openapi.json").json()["servers"] == [{"url": "/lists"}]
