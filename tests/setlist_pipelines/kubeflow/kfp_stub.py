"""A strict stand-in for the REST API of Kubeflow Pipelines 2.17, on a free port of this machine.

What a request may hold is read from the installed `kfp_server_api`: its models give the fields of
bodies and answers, its methods the query of each call; `PipelineSpec` gives an uploaded package.
Whatever is not in there is refused with 400, as are missing and wrong arguments of a run (the real
server takes those). Faults are handed out in order, each to the first call that it is for.
"""

import inspect
import json
import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.parser import BytesParser
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tests.http_stub import Handler, served
from tests.setlist_pipelines.kubeflow.kfp_profiles import Profiles, RefusedError
from tests.setlist_pipelines.kubeflow.kfp_recurring import Clock, wrong
from tests.setlist_pipelines.kubeflow.kfp_stories import Story, details, instant, manifest
from tests.waiting import PATIENCE
from urllib3 import Timeout

PAGE = 2
"""No page has more entries than this."""
TYPES = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}
LOG = re.compile(r"/apis/v1alpha1/runs/([0-9a-f-]+)/nodes/([^/]+)/log")
STORED = re.compile(r"runs/([0-9a-f-]+)/nodes/([^/]+)/artifacts/([^/]+):read")
DETAIL = re.compile(r"/apis/v1beta1/runs/([0-9a-f-]+)")
CALLS = {  # method and path: the generated method that makes it
    ("GET", "healthz"): ("HealthzServiceApi", "get_healthz"),
    ("GET", "pipelines"): ("PipelineServiceApi", "list_pipelines"),
    ("POST", "pipelines"): ("PipelineServiceApi", "create_pipeline"),
    ("GET", "pipelines/ID/versions"): ("PipelineServiceApi", "list_pipeline_versions"),
    ("POST", "pipelines/upload_version"): ("PipelineUploadServiceApi", "upload_pipeline_version"),
    ("GET", "experiments"): ("ExperimentServiceApi", "list_experiments"),
    ("POST", "experiments"): ("ExperimentServiceApi", "create_experiment"),
    ("GET", "runs"): ("RunServiceApi", "list_runs"),
    ("POST", "runs"): ("RunServiceApi", "create_run"),
    ("GET", "runs/ID"): ("RunServiceApi", "get_run"),
    ("DELETE", "runs/ID"): ("RunServiceApi", "delete_run"),
    ("POST", "runs/ID:terminate"): ("RunServiceApi", "terminate_run"),
    ("POST", "runs/ID:archive"): ("RunServiceApi", "archive_run"),
    ("GET", "pipelines/ID/versions/ID"): ("PipelineServiceApi", "get_pipeline_version"),
    ("GET", "recurringruns"): ("RecurringRunServiceApi", "list_recurring_runs"),
    ("POST", "recurringruns"): ("RecurringRunServiceApi", "create_recurring_run"),
    ("GET", "recurringruns/ID"): ("RecurringRunServiceApi", "get_recurring_run"),
    ("DELETE", "recurringruns/ID"): ("RecurringRunServiceApi", "delete_recurring_run"),
    ("POST", "recurringruns/ID:enable"): ("RecurringRunServiceApi", "enable_recurring_run"),
    ("POST", "recurringruns/ID:disable"): ("RecurringRunServiceApi", "disable_recurring_run"),
}


CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13}
"""Of gRPC, by the status of HTTP."""


class Seen(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Fault:
    """What befalls the next call of this method and path.

    `status` is answered instead of the truth; with `done`, after the call was carried out. With
    `late` the call is carried out, and answered after the client has given up: see
    `Stub.time_out`. `echo` repeats the caller's secrets.
    """

    method: str
    path: str
    status: int = 0
    done: bool = False
    late: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    echo: bool = False


class TimeOut(Timeout):
    """A time-out that passes for answers that are held back, and for no other.

    urllib3 reads `read_timeout` when the request is sent and before it waits for the answer. Here
    that takes until the stub has carried the request out, so that no load of the machine decides
    what comes first.
    """

    def __init__(self, done: "queue.SimpleQueue[bool]") -> None:
        super().__init__(connect=PATIENCE, read=PATIENCE)
        self._done = done

    def clone(self) -> "TimeOut":
        return TimeOut(self._done)

    @property
    def read_timeout(self) -> float:
        return 0.01 if self._done.get(timeout=PATIENCE) else PATIENCE


def check(document: Any, model: str, where: str = "") -> None:
    """Hold JSON against a type as the generated models spell it, e.g. list[V2beta1Run]."""
    where = where or model
    if inner := re.fullmatch(r"(list\[|dict\(str, )(.+)[\])]", model):
        many = model.startswith("list")
        if not isinstance(document, list if many else dict):
            raise RefusedError(400, f"{where}: not a {model}")
        for entry in document if many else document.values():
            check(entry, inner[2], where)
    elif model == "object":
        return
    elif model in ("str", "int", "bool", "float", "datetime"):
        kinds = {"str": str, "int": int, "bool": bool, "float": (int, float), "datetime": str}
        if not isinstance(document, kinds[model]):
            raise RefusedError(400, f"{where}: not a {model}")
    elif allowed := values_of(model):
        if document not in allowed:
            raise RefusedError(400, f"{where}: {document!r} is none of {allowed}")
    else:
        if not isinstance(document, dict):
            raise RefusedError(400, f"{where}: not a message")
        kind = getattr(kfp_server_api, model)
        types = {kind.attribute_map[name]: type_ for name, type_ in kind.openapi_types.items()}
        for key, value in document.items():
            if key not in types:
                raise RefusedError(400, f'{where}: unknown field "{key}"')
            check(value, types[key], f"{where}.{key}")


def values_of(model: str) -> list[str]:
    """The values of an enumeration; none for a message."""
    return list(getattr(getattr(kfp_server_api, model), "allowable_values", ()))


@cache
def known_query(method: str, path: str) -> set[str]:
    api, name = CALLS[method, path]
    service = getattr(kfp_server_api, api)
    prefix = re.sub(r"(?<!^)([A-Z])", r"_\1", api.removesuffix("Api")).lower()
    call = getattr(service, f"{name}_with_http_info", None) or getattr(
        service, f"{prefix}_{name}_with_http_info"
    )
    return set(re.findall(r"query_params\.append\(\('(\w+)'", inspect.getsource(call)))


@dataclass
class Stub:
    """The server's memory, and what tests set and look at."""

    url: str = ""
    token: str = ""
    cookies: str = ""
    expiry: str = ""
    """Paths: the first call to one of them finds that the token has expired."""
    next_token: str = ""
    """What is accepted from then on."""
    expired: int = 401
    """What an expired token is answered; 302 leads to a login, as gateways do."""
    on_refusal: Callable[[int], None] = lambda count: None
    """Is told of each refusal, the first, the second and so on: a test writes a new token."""
    refusals: int = 0
    outcome: str = "SUCCEEDED"
    pipelines: list[dict] = field(default_factory=list)
    versions: list[dict] = field(default_factory=list)
    experiments: list[dict] = field(default_factory=list)
    runs: list[dict] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    packages: dict[str, dict] = field(default_factory=dict)  # version: its pipeline spec
    lock: threading.Lock = field(default_factory=threading.Lock)
    clock: Clock = field(default_factory=Clock)
    tag: str = "2.17.0"
    pipeline_store: str = "database"
    logs: dict[str, str] = field(default_factory=dict)  # of pods, by their names
    attempts: int = 1
    """At `curate`, in runs without a story of their own."""
    stories: dict[str, Story] = field(default_factory=dict)  # by the id of the run
    without_workflow: dict[str, str] = field(default_factory=dict)
    """Runs whose Workflow is gone, with the time at which somebody ended them; seen on 2.17.0."""
    deleted_at_once: bool = False
    """Whether somebody deletes each run before it is looked at."""
    profiles: Profiles | None = None
    """Who may do what; None where all is one: then a namespace is dropped (`ReplaceNamespace`)."""
    ui: bool = False
    """Whether the API is reached through the server of its page, as behind a gateway."""
    done: "queue.SimpleQueue[bool]" = field(default_factory=queue.SimpleQueue)
    """For each request that was carried out, whether its answer is held back."""

    @property
    def time_out(self) -> TimeOut:
        """The time-out of a client that calls one after the other, and nobody beside it."""
        while not self.done.empty():
            self.done.get()
        return TimeOut(self.done)

    @property
    def recurringruns(self) -> list[dict]:
        return self.clock.recurring

    def calls(self, method: str, path: str) -> list[Seen]:
        return [one for one in self.seen if (one.method, one.path) == (method, path)]

    def answer(self, request: Seen) -> dict | str:
        self.check_caller(request)
        self.clock.advance(timedelta(seconds=1))
        if request.path.startswith("/"):
            return self.door(request)
        if STORED.fullmatch(request.path):
            raise RefusedError(404, "artifact not found")  # nothing is archived here
        kinds = "runs|pipelines|recurringruns"
        path = re.sub(rf"^({kinds})/[0-9a-f-]+\b(?=/|:|$)", r"\1/ID", request.path)
        path = re.sub(r"versions/[0-9a-f-]+$", "versions/ID", path)
        if (request.method, path) not in CALLS:
            raise RefusedError(404, f"no {request.method} {path}")
        for key in request.query.keys() - known_query(request.method, path):
            raise RefusedError(400, f"unknown parameter {key}")
        if path == "healthz":
            return self.healthz()
        self.check_rights(request, path)
        if request.method == "GET" and path == "runs/ID":
            return self.progress(request.path.partition("/")[2])
        if path.startswith("runs/ID"):
            return self.control(request)
        if path.startswith("recurringruns/ID"):
            return self.one(request)
        if path == "pipelines/ID/versions/ID":
            return self.version(request.path.rpartition("/")[2])
        if request.method == "GET":
            return self.page(path, request)
        if path == "pipelines/upload_version":
            return self.upload(request)
        return self.create(path, request.body)

    def check_caller(self, request: Seen) -> None:
        if self.expiry and re.fullmatch(self.expiry, request.path):
            self.expiry, self.token = "", self.next_token
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            self.refusals += 1
            self.on_refusal(self.refusals)
            raise RefusedError(self.expired, "Unauthenticated")
        if self.cookies and request.headers.get("Cookie") != self.cookies:
            raise RefusedError(401, "Unauthenticated")

    def namespace_of(self, kind: str, key: str) -> str:
        """The namespace of an object; of a run it is that of its experiment."""
        if kind == "runs":
            runs = [*self.runs, *self.clock.fired]
            key = next((run["experiment_id"] for run in runs if run["run_id"] == key), "")
            kind = "experiments"
        there = {"recurringruns": "recurring_run_id"}.get(kind, f"{kind.removesuffix('s')}_id")
        objects = getattr(self, kind)
        return next((one.get("namespace", "") for one in objects if one[there] == key), "")

    def check_rights(self, request: Seen, path: str) -> None:
        """Refuse whoever calls where there are profiles; unknown objects are refused later."""
        if self.profiles is None:
            return
        own = self.profiles.caller(request.headers, self.ui)
        kind, _, rest = path.partition("/")
        key = re.sub(r"[:/].*", "", request.path.partition("/")[2])
        given = request.body if isinstance(request.body, dict) else request.query
        writes = request.method != "GET"
        if path == "pipelines/upload_version":
            namespace = self.namespace_of("pipelines", request.query.get("pipelineid", ""))
            self.profiles.check_pipeline(own, namespace, writes=False)
        elif kind == "pipelines":
            namespace = self.namespace_of(kind, key) if rest else given.get("namespace", "")
            self.profiles.check_pipeline(own, namespace, writes)
        elif rest:
            self.profiles.check(kind, own, self.namespace_of(kind, key) or own)
        else:
            namespace = given.get("namespace", "")
            if experiment := given.get("experiment_id"):
                there = self.namespace_of("experiments", experiment)
                if writes and namespace not in ("", there):
                    where = f"Experiment {experiment} belongs to namespace '{there}'"
                    raise RefusedError(400, f"{where} instead of '{namespace}'")
                namespace = there
            self.profiles.check(kind, own, namespace)

    def healthz(self) -> dict:
        """As backend/src/apiserver/main.go writes it, and the page's handlers/healthz.ts."""
        several = self.profiles is not None
        if self.ui:
            return {"apiServerReady": True, "apiServerTagName": self.tag,
                    "apiServerMultiUser": several, "multi_user": several,
                    "pipelineStore": self.pipeline_store}  # fmt: skip
        return {"commit_sha": "0" * 40, "tag_name": self.tag, "multi_user": several,
                "pipeline_store": self.pipeline_store}  # fmt: skip

    def door(self, request: Seen) -> dict | str:
        """What is not of the v2beta1 API: logs, and the v1beta1 document of a run.

        ReadRunLogV1 and GetRunV1 of the API's server, pod-logs.ts of the page's.
        """
        query, pod = request.query, LOG.fullmatch(request.path)
        if detail := DETAIL.fullmatch(request.path):
            self.check_rights(request, f"runs/{detail[1]}")
            [run] = [one for one in self.runs if one["run_id"] == detail[1]] or [None]
            if run is None:
                raise RefusedError(404, "Run not found")
            story = self.story(detail[1])
            nodes = manifest(story, story.curate(run["state"]))
            return {"run": {"id": detail[1]}, "pipeline_runtime": {"workflow_manifest": nodes}}
        if not self.ui and pod and any(run["run_id"] == pod[1] for run in self.runs):
            # It writes the status before it looks for the log; and it asks nobody for rights.
            missing = f"BadRequestError: Failed to read logs for run {pod[1]}"
            fault = json.dumps({"error_message": missing, "error_details": missing})
            return self.logs.get(pod[2], fault)
        if self.ui and request.path == "/k8s/pod/logs":
            if query.keys() - {"podname", "runid", "podnamespace", "createdat"}:
                raise RefusedError(400, "unknown parameter")
            if self.profiles is not None:
                own = self.profiles.caller(request.headers, self.ui)
                # Its gateway tells who calls; to see what, a namespace has to be named.
                if not query.get("podnamespace"):
                    raise RefusedError(422, "podnamespace argument is required")
                if query["podnamespace"] != own:
                    raise RefusedError(403, "Access denied to namespace")
            if query["podname"] not in self.logs:
                raise RefusedError(500, "Could not get main container logs")
            return self.logs[query["podname"]]
        raise RefusedError(404, "404 page not found")

    def story(self, run_id: str) -> Story:
        return self.stories.get(run_id) or Story(self.outcome, self.attempts)

    def page(self, path: str, request: Seen) -> dict:
        key = {"pipelines/ID/versions": "versions"}.get(path, path)
        found = list(getattr(self, key))
        if key == "runs":
            found = sorted(found + self.clock.seen(), key=lambda run: run["created_at"])
        if key == "versions":
            owner = request.path.split("/")[1]
            found = [one for one in found if one["pipeline_id"] == owner]
        if "experiment_id" in request.query:
            wanted = request.query["experiment_id"]
            found = [one for one in found if one["experiment_id"] == wanted]
        if self.profiles is not None and key != "versions" and "experiment_id" not in request.query:
            mine = request.query.get("namespace", "")
            experiments = [
                one["experiment_id"] for one in self.experiments if one["namespace"] == mine
            ]
            found = [
                one for one in found
                if (one["experiment_id"] in experiments if key == "runs"
                    else one.get("namespace", "") == mine)
            ]  # fmt: skip
        if "filter" in request.query:
            [equal] = json.loads(request.query["filter"])["predicates"]
            equal["string_value"] = equal.pop("stringValue")
            check(equal, "V2beta1Predicate")
            if equal["operation"] != "EQUALS":
                raise RefusedError(501, "only EQUALS is known here")
            found = [one for one in found if one.get(equal["key"]) == equal["string_value"]]
        if request.query.get("sort_by") == "created_at desc":
            found.reverse()
        start = int(request.query.get("page_token") or 0)
        end = start + min(int(request.query.get("page_size") or PAGE), PAGE)
        answer: dict = {"total_size": len(found)}
        if found:
            name = {"versions": "pipeline_versions", "recurringruns": "recurringRuns"}.get(key, key)
            answer[name] = found[start:end]
        if end < len(found):
            answer["next_page_token"] = str(end)
        kind = {"versions": "PipelineVersions", "recurringruns": "RecurringRuns"}.get(
            key, key.title()
        )
        check(answer, f"V2beta1List{kind}Response")
        return answer

    def create(self, path: str, body: Any) -> dict:
        check(body, {"pipelines": "V2beta1Pipeline", "experiments": "V2beta1Experiment",
                     "recurringruns": "V2beta1RecurringRun"}.get(path, "V2beta1Run"))  # fmt: skip
        given = body.get("namespace", "")
        if self.profiles is None:
            body = {key: value for key, value in body.items() if key != "namespace"}
        name = body.get("display_name")
        if not name or (path == "pipelines" and not body.get("name")):
            raise RefusedError(400, "name is required")
        there = getattr(self, path)
        if path == "recurringruns":
            if said := wrong(body):
                raise RefusedError(400, said)
            self.check_run(body)
            if given and self.profiles is None:
                where = f"Experiment belongs to namespace '' instead of '{given}'"
                raise RefusedError(400, f"invalid experimentId and namespace combination: {where}")
            # What the server fills in, and refuses when it is sent back.
            return self.clock.create(body | {"namespace": given or "kubeflow"})
        if path == "runs":
            self.check_run(body)
        elif any(
            one["display_name"] == name and one.get("namespace") == body.get("namespace")
            for one in there
        ):
            raise RefusedError(409, "already exists")
        key = path.removesuffix("s") + "_id"
        made = body | {key: f"{len(there) + 1:08x}-0000", "created_at": instant(len(there))}
        if path == "runs":
            made |= {"state": "PENDING"}
        there.append(made)
        return made

    def version(self, key: str) -> dict:
        for made in self.versions:
            if made["pipeline_version_id"] == key:
                return made | {"pipeline_spec": {"pipeline_spec": self.packages[key]}}
        raise RefusedError(404, "PipelineVersion not found")

    def control(self, request: Seen) -> dict:
        """End, archive or delete a run."""
        key, _, action = request.path.partition("/")[2].partition(":")
        mine = [run for run in self.runs if run["run_id"] == key]
        if not mine:
            raise RefusedError(404, f"Run {key} not found")
        if request.method == "DELETE":
            self.runs.remove(mine[0])
        elif action == "archive":
            mine[0]["storage_state"] = "ARCHIVED"
        else:
            # Seen on 2.17.0: a run that is being ended is not ended again.
            if self.story(key).stopped or key in self.without_workflow:
                raise RefusedError(400, "Failed to terminate the run: Row not found")
            self.stories[key] = replace(self.story(key), stopped=True)
        return {}

    def one(self, request: Seen) -> dict:
        """Get, delete, enable or disable a recurring run."""
        key, _, action = request.path.partition("/")[2].partition(":")
        found = [one for one in self.recurringruns if one["recurring_run_id"] == key]
        if not found:
            raise RefusedError(404, "Recurring run not found")
        if request.method == "DELETE":
            policy = request.query.get("propagation_policy", "")
            check(policy or "ORPHAN", "V2beta1DeletePropagationPolicy")
            self.clock.delete(found[0], policy)
        elif action:
            found[0]["mode"] = action.upper()
        if request.method != "GET":
            return {}
        check(found[0], "V2beta1RecurringRun")
        return found[0]

    def check_run(self, body: dict) -> None:
        reference = body.get("pipeline_version_reference", {})
        package = self.packages.get(reference.get("pipeline_version_id", ""))
        if package is None:
            raise RefusedError(404, "no such pipeline version")
        if not any(one["experiment_id"] == body.get("experiment_id") for one in self.experiments):
            raise RefusedError(404, "no such experiment")
        declared = package["root"]["inputDefinitions"]["parameters"]
        given = body.get("runtime_config", {}).get("parameters", {})
        for key in given.keys() - declared.keys():
            raise RefusedError(400, f"unknown argument {key}")
        for key, parameter in declared.items():
            if key not in given and "defaultValue" not in parameter:
                raise RefusedError(400, f"missing argument {key}")
            if key in given and not isinstance(given[key], TYPES[parameter["parameterType"]]):
                raise RefusedError(400, f"wrong argument {key}")

    def upload(self, request: Seen) -> dict:
        query = request.query
        if not any(one["pipeline_id"] == query.get("pipelineid") for one in self.pipelines):
            raise RefusedError(400, "Failed to create a pipeline version")
        documents = list(yaml.safe_load_all(request.body))
        try:
            json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
            for document in documents[1:]:
                json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
        except json_format.ParseError as fault:
            raise RefusedError(400, str(fault)) from fault
        known = [(one["pipeline_id"], one["name"]) for one in self.versions]
        if (query["pipelineid"], query["name"]) in known:
            raise RefusedError(409, "Failed to create a pipeline version")
        made = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": f"{len(self.versions) + 1:08x}-1111",
            "name": query["name"],
            "display_name": query["name"],
            "created_at": instant(len(self.versions)),
        }
        check(made, "V2beta1PipelineVersion")
        self.versions.append(made)
        self.packages[made["pipeline_version_id"]] = documents[0]
        return made

    def progress(self, run_id: str) -> dict:
        """The run, one state further than at the last look."""
        if self.deleted_at_once:
            self.runs.clear()
        for run in self.runs:
            if run["run_id"] == run_id:
                break
        else:
            raise RefusedError(404, "Run not found")
        if since := self.without_workflow.get(run_id):
            history = [{"state": "CANCELING", "update_time": since}]
            return run | {"state": "CANCELING", "state_history": history}
        answer, story, state = dict(run), self.story(run_id), run["state"]
        run["state"] = story.following(state)
        if story.following(state) == state:
            answer["finished_at"] = "2026-01-01T01:00:00Z"
        answer["state_history"] = story.history(state)
        answer |= {"storage_state": answer.get("storage_state", "AVAILABLE")}
        answer["scheduled_at"] = answer["created_at"]
        if state != "PENDING":
            answer["run_details"] = {"task_details": details(run_id, story, story.curate(state))}
        check(answer, "V2beta1Run")
        return answer


@contextmanager
def serve() -> Iterator[Stub]:
    """A stub that answers at its `url` until the block ends."""
    stub = Stub()

    class Answers(Handler):
        def handle_one(self) -> None:
            url = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.headers.get("Content-Type", "")
            body: Any = None
            if kind.startswith("multipart/"):
                message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
                [part] = message.get_payload()
                assert part.get_param("name", header="content-disposition") == "uploadfile"
                body = part.get_payload(decode=True)
            elif raw:
                body = json.loads(raw)
            path = url.path.removeprefix("/apis/v2beta1/")
            query = dict(parse_qsl(url.query, keep_blank_values=True))
            request = Seen(self.command, path, query, dict(self.headers), body)
            with stub.lock:
                stub.seen.append(request)
                hit = next((one for one in stub.faults if
                            (one.method, one.path) == (request.method, path)), None)  # fmt: skip
                if hit:
                    stub.faults.remove(hit)
                status, answer = 200, {}  # type: int, dict | str
                try:
                    if not (hit and hit.status) or hit.done:
                        answer = stub.answer(request)
                except RefusedError as fault:
                    status, answer = (
                        fault.status,
                        {"code": CODES.get(fault.status, 3), "message": str(fault)},
                    )
            if hit and hit.status:
                status, answer = hit.status, {"code": 13, "message": f"injected {hit.status}"}
            if hit and hit.echo and isinstance(answer, dict):
                answer["message"] = f"bad {self.headers['Authorization']} {self.headers['Cookie']}"
            stub.done.put(bool(hit and hit.late))
            if hit and hit.late:
                self.rfile.read(1)  # until the client hangs up
            text = isinstance(answer, str)
            content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            kind = "text/plain" if text else "application/json"
            self.respond(status, content, **{"Content-Type": kind, **(hit.headers if hit else {})})

        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815

    with served(Answers) as stub.url:
        yield stub
