"""A push that is killed in the middle: the store stays whole, and the next attempt succeeds."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest
from tests.cluster.conftest import Rehearsal, Run
from tests.cluster.documents import EMULATOR, NAMESPACE, READER
from tests.cluster.pods import Cluster

STALL = '''
"""Hands requests on to the store until one uploads `target`; that one it keeps forever."""
import sys, threading, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

store, target = sys.argv[1], sys.argv[2].encode()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def hand_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command == "POST" and target in body[:2000]:
            print("stalled", flush=True)
            threading.Event().wait()
        kept = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        asked = urllib.request.Request(store + self.path, body or None, kept, method=self.command)
        try:
            answer = urllib.request.urlopen(asked)
        except urllib.error.HTTPError as fault:
            answer = fault
        content = answer.read()
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            if key.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = hand_on

    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
'''
WHOLE = """
import json, sys, tempfile
from pathlib import Path
from setlist.store.model_store import open_store
folder = open_store(sys.argv[1]).fetch(sys.argv[2], 1, Path(tempfile.mkdtemp()) / "model")
print(len([one for one in folder.rglob("*") if one.is_file()]))  # fetch has verified each
"""
POINTS = {
    "while it uploads the model": '/saved_model.pb"',
    "before the manifest": '/manifest.json"',
    "before HEAD": '/HEAD"',
}


@contextmanager
def stalling(cluster: Cluster, target: str) -> Iterator[tuple[str, IO[str]]]:
    """An address that keeps the upload of `target` forever, and where it says that it does."""
    host = cluster.pod(READER)["status"]["podIP"]
    command = ["kubectl", "--context", cluster.context, "--namespace", NAMESPACE, "exec", READER]
    command += ["--", "python3", "-c", STALL, EMULATOR, target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            yield f"http://{host}:{proxy.stdout.readline().strip()}", proxy.stdout
        finally:
            proxy.kill()


@pytest.mark.parametrize("point", POINTS)
def test_killed(first: Run, rehearsal: Rehearsal, cluster: Cluster, point: str):
    assert "push" in first.steps, first.failure
    name = f"killed-{list(POINTS).index(point)}"
    step = first.steps["push"].changed(name=name, run_id=str(uuid.uuid4()))
    with stalling(cluster, POINTS[point]) as (address, said):
        pod = cluster.start(step, emulator=address)
        assert said.readline() == "stalled\n"
        assert cluster.pod(pod)["status"]["phase"] == "Running"
        cluster.kubectl("delete", "pod", pod, "--force", "--grace-period=0")

    staged = [1] if point == "before HEAD" else []
    assert rehearsal.store(name) == {"live": None, "revisions": staged}, "half of it is not seen"
    cluster.execute(step.changed())
    assert rehearsal.store(name) == {"live": 1, "revisions": [1]}, "another number was taken"
    assert cluster.ask(WHOLE, rehearsal.arguments["store"], name) > 0
