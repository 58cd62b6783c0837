"""What a real Kubeflow Pipelines answered, and a server that repeats it."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.http_stub import Handler, served

FOLDER = Path(__file__).parents[2] / "recordings" / "kfp"
RUNS = sorted(
    path.name.removesuffix(".json.gz")
    for path in FOLDER.glob("run_*.json.gz")
    if "unknown" not in path.name
)
VERSIONS_OF = {  # a run whose own version was not recorded: one of the same graph
    "run_deadline_failed": "",
    "run_ended_by_hand_or_failed_failed": "",
    "run_failed_out_of_memory_failed": "",
    "run_second_cached_succeeded": "",
    "run_short_succeeded": "",
    "run_several_candidates_succeeded": "version_of_several_candidates",
}


def recording(name: str) -> Any:
    return json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))


def body(name: str) -> dict:
    return recording(name)["body"]


def version_of(name: str) -> dict:
    """The version of a run, or where it was not recorded another one of the same graph."""
    if VERSIONS_OF.get(name):
        return body(VERSIONS_OF[name])
    wanted = body(name)["pipeline_version_reference"]["pipeline_version_id"]
    versions = body("pipeline_versions")["pipeline_versions"]
    return next((one for one in versions if one["pipeline_version_id"] == wanted), versions[0])


def workflow_with_outputs() -> dict:
    """The Workflow of a failed run, with the outputs of the nodes of `plan`."""
    workflow = recording("workflow_failed")
    for node, recorded in recording("workflow_failed_outputs").items():
        assert workflow["status"]["nodes"][node]["name"] == recorded["name"]
        workflow["status"]["nodes"][node]["outputs"] = recorded["outputs"]
    return workflow


@dataclass
class Replay:
    """A server with one run, as it was recorded, and with the logs that a test gives it."""

    run: dict
    version: dict | None
    url: str = ""
    logs: dict[str, str] = field(default_factory=dict)  # by the name of the pod
    stored: dict[str, dict] = field(default_factory=dict)  # by the node: what `main-logs` answers
    workflow: dict | None = None
    """What the server keeps of the Workflow; it was not recorded how it is answered."""
    page: dict[str, str] = field(default_factory=dict)
    """What the web page's server has, by address; without, the server is the API's alone."""
    seen: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, query: dict[str, str]) -> tuple[int, str | dict]:
        run = self.run["run_id"]
        reference = self.run["pipeline_version_reference"]
        version = "/apis/v2beta1/pipelines/{pipeline_id}/versions/{pipeline_version_id}"
        parts = path.split("/")
        if method != "GET":
            return 200, {}
        if path == f"/apis/v2beta1/runs/{run}":
            return 200, self.run
        if path == "/apis/v2beta1/runs":
            return 200, body("runs_page") | {"next_page_token": ""}
        if path == version.format(**reference) and self.version:
            return 200, self.version
        if path.startswith(f"/apis/v1alpha1/runs/{run}/nodes/"):
            missing = json.dumps(recording("log_of_no_pod")["body"])
            return 200, self.logs.get(parts[-2], missing)
        if path.endswith("/artifacts/main-logs:read") and parts[6] in self.stored:
            return 200, self.stored[parts[6]]
        if path == f"/apis/v1beta1/runs/{run}" and self.workflow:
            return 200, {"pipeline_runtime": {"workflow_manifest": json.dumps(self.workflow)}}
        if path == "/artifacts/get" and self.page:
            address = "{source}://{bucket}/{key}".format(**query)
            return (200, self.page[address]) if address in self.page else (500, "no such key")
        return 404, body("run_unknown")


@contextmanager
def replayed(name: str, version: bool = True) -> Iterator[Replay]:
    """A server that answers as the real one did for this run."""
    replay = Replay(body(name), version_of(name) if version else None)

    class Answers(Handler):
        def handle_one(self) -> None:
            url = urlsplit(self.path)
            replay.seen.append((self.command, url.path))
            status, answer = replay.answer(self.command, url.path, dict(parse_qsl(url.query)))
            text = isinstance(answer, str)
            kind = "text/plain; charset=utf-8" if text else "application/json"
            content = answer if isinstance(answer, str) else json.dumps(answer)
            self.respond(status, content.encode(), **{"Content-Type": kind})

        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815

    with served(Answers) as replay.url:
        yield replay
