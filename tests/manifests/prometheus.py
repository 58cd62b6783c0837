"""A real Prometheus and a real push gateway, with the files of manifests/monitoring."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.waiting import PATIENCE, until

MONITORING = Path(__file__).parents[2] / "manifests" / "monitoring"
EVERY = "500ms"
"""Between two scrapes, and between two evaluations of the rules."""


def program(name: str, package: str) -> str:
    """Where a program of Debian is; the test fails where it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is missing; install Debian's package {package}", pytrace=False)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], log: Path, ready: str) -> Iterator[None]:
    """A process that is ended at the end, from the moment at which `ready` is answered with 200."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)

    def answers() -> bool:
        assert process.poll() is None, log.read_text("utf-8")
        with contextlib.suppress(OSError):  # also that it is not ready yet, a 503
            urllib.request.urlopen(ready, timeout=PATIENCE).close()
            return True
        return False

    try:
        until(answers)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=PATIENCE)
        finally:
            process.kill()


@contextlib.contextmanager
def push_gateway(folder: Path) -> Iterator[str]:
    """Its address, as host:port."""
    command = program("prometheus-pushgateway", "prometheus-pushgateway")
    address = f"127.0.0.1:{free_port()}"
    arguments = [command, f"--web.listen-address={address}"]
    with running(arguments, folder / "gateway.log", f"http://{address}/-/ready"):
        yield address


def configuration(pods: dict[str, dict[str, str]], gateway: str) -> dict[str, Any]:
    """manifests/monitoring/prometheus.yaml, with short intervals, and addresses of this machine.

    Debian's Prometheus cannot look for pods: the pods are given, each an address with the labels
    that the search in Kubernetes would give it.
    """
    text = (MONITORING / "prometheus.yaml").read_text("utf-8")
    settings: dict[str, Any] = yaml.safe_load(text)
    settings["global"] = {"scrape_interval": EVERY, "evaluation_interval": EVERY}
    servers, runs = settings["scrape_configs"]
    del servers["kubernetes_sd_configs"]
    servers["static_configs"] = [
        {
            "targets": [address],
            "labels": {f"__meta_kubernetes_pod_{key}": value for key, value in labels.items()},
        }
        for address, labels in pods.items()
    ]
    runs["static_configs"] = [{"targets": [gateway]}]
    return settings


class Prometheus:
    """The API of a running Prometheus."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer.

        Raises:
            AssertionError: the query is not valid.
        """
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise AssertionError(f"{parameters}: {refusal.read().decode()}") from None

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is now: a sample for each series."""
        answer: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return answer

    def series(self, job: str) -> set[str]:
        """Every series that was scraped of a job, also those that are no more."""
        match = f'{{job="{job}", __name__!~"ALERTS.*"}}'
        everything = self.get("series", **{"match[]": match, "start": "0", "end": "9999999999"})
        return {json.dumps(each, sort_keys=True) for each in everything}

    def rules(self) -> list[dict[str, Any]]:
        """The rules that are loaded, with their state."""
        groups = self.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def firing(self, alert: str) -> list[dict[str, str]]:
        """The labels of each instance of an alert that fires."""
        [rule] = [rule for rule in self.rules() if rule["name"] == alert]
        return [each["labels"] for each in rule["alerts"] if each["state"] == "firing"]


@contextlib.contextmanager
def prometheus(folder: Path, pods: dict[str, dict[str, str]], gateway: str) -> Iterator[Prometheus]:
    """A Prometheus with our rules, which fire at once; how long they wait is promtool's to test."""
    command = program("prometheus", "prometheus")
    rules = (MONITORING / "alerts.yaml").read_text("utf-8")
    (folder / "alerts.yaml").write_text(re.sub(r"(?m)^ +for: \w+\n", "", rules))
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration(pods, gateway)))
    address = f"127.0.0.1:{free_port()}"
    arguments = [
        command,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with running(arguments, folder / "prometheus.log", f"http://{address}/-/ready"):
        yield Prometheus(address)
