"""The doctor before what it examines: the stub of the API, a real store, a registry over HTTP."""

import json
import shlex
import sys
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from tests.emulator import make_bucket
from tests.http_stub import Handler, served
from tests.setlist_pipelines.kubeflow.kfp_profiles import Profiles
from tests.setlist_pipelines.kubeflow.kfp_stub import Fault, serve
from tests.waiting import PATIENCE

from setlist.store.objects import open_objects
from setlist_pipelines.cli.main import main
from setlist_pipelines.kubeflow import api as kubeflow
from setlist_pipelines.kubeflow import controller, schedule_sync
from setlist_pipelines.kubeflow import doctor as doctors
from setlist_pipelines.settings.file import SAMPLE

DIGEST = "sha256:" + "a" * 64
TOKEN = "s3cret-token-of-a-test"
ANYBODY = "t0ken-for-anybody"
REFUSED = "http://127.0.0.1:9"
SCHEDULES = """
schedules:
  daily: {cron: "0 0 5 * * *"}
"""
VARIABLES = (
    *("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH", "KFP_TOKEN", "KFP_COOKIES"),
    *("KFP_NAMESPACE", "KUBERNETES_SERVICE_HOST", "SETLIST_IMAGE"),
)


class Registry:
    """An OCI registry that has one image, `setlist`; `wants` says whom it lets see it."""

    def __init__(self) -> None:
        self.url = ""
        self.wants = ""  # nobody in particular; "token" for anybody's; "login" for somebody's
        self.seen: list[tuple[str, str]] = []

    def answer(self, method: str, path: str, sent: str) -> tuple[int, dict[str, str], bytes]:
        url = urlsplit(path)
        if url.path == "/token":
            assert parse_qs(url.query) == {
                "service": ["registry.test"],
                "scope": ["repository:setlist:pull"],
            }
            return 200, {}, json.dumps({"token": ANYBODY}).encode()
        if self.wants == "login" or (self.wants == "token" and sent != f"Bearer {ANYBODY}"):
            challenge = (
                f'Bearer realm="{self.url}/token",service="registry.test",'
                'scope="repository:setlist:pull"'
            )
            return 401, {"WWW-Authenticate": challenge}, b""
        assert method == "HEAD"
        there = url.path == f"/v2/setlist/manifests/{DIGEST}"
        return (200 if there else 404), {"Docker-Content-Digest": DIGEST}, b""


@contextmanager
def registry_server():
    registry = Registry()

    class Answers(Handler):
        def handle_one(self) -> None:
            registry.seen.append((self.command, self.path))
            sent = self.headers.get("Authorization", "")
            status, headers, content = registry.answer(self.command, self.path, sent)
            self.respond(status, content, **headers)

        do_GET = do_HEAD = handle_one  # noqa: N815

    with served(Answers) as registry.url:
        yield registry


@pytest.fixture
def registry():
    with registry_server() as registry:
        yield registry


@pytest.fixture
def stub():
    with serve() as stub:
        yield stub


@pytest.fixture
def doctor(monkeypatch, capsys, stub, registry, packaged, gcs_emulator, tmp_path):
    """Runs `setlist doctor` where nothing is missing but what the test takes away."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setattr(kubeflow, "CALL_TIMEOUT_SECONDS", (PATIENCE, PATIENCE))
    monkeypatch.setattr(schedule_sync, "compile_package", packaged)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", stub.url)
    monkeypatch.setenv("SETLIST_IMAGE", f"{registry.url.removeprefix('http://')}/setlist@{DIGEST}")
    make_bucket(gcs_emulator, "doctored")
    sample = SAMPLE.read_text().replace(".setlist/store", "gs://doctored/models")

    def run(*arguments, settings="", command="doctor") -> tuple[int, dict[str, str], str]:
        file = tmp_path / "home.yaml"
        file.write_text(sample + settings)
        line = ["setlist", *command.split(), "--config", str(file), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", line)
        monkeypatch.setattr(sys, "path", list(sys.path))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        found: dict[str, str] = {}
        what = ""
        for text in said.out.splitlines():
            what = text[13:29].strip() or what
            found[what] = " ".join(f"{found.get(what, '')} {text[:13]} {text[29:]}".split())
        return int(ended.value.code or 0), found, said.out + said.err

    return run


def test_nothing_is_missing(doctor, registry):
    code, found, said = doctor()

    assert code == 0, said
    assert "nothing is missing" in said
    assert found["settings"].startswith("ok")
    assert found["image"].startswith("ok 127.0.0.1")
    assert found["Kubeflow"].startswith("ok http://127.0.0.1")
    assert "Kubeflow Pipelines 2.17.0" in found["Kubeflow"]
    assert "experiment home will be created by the first run" in found["access"]
    assert found["schedules"].startswith("ok none")
    assert found["store"] == "ok gs://doctored/models: listed, written, read, guarded, removed"
    assert found["data.events"] == "ok sample://events: bundled with setlist"
    assert found["notifications"].startswith("not checked Secret setlist-notifications")
    assert "→ kubectl -n NAMESPACE describe secret setlist-notifications" in found["notifications"]
    assert len(said.splitlines()) <= 30  # one screen
    assert registry.seen == [("HEAD", f"/v2/setlist/manifests/{DIGEST}")]
    assert open_objects("gs://doctored").keys("") == []  # nothing is left behind


def test_it_only_asks_and_changes_nothing_on_the_cluster(doctor, stub):
    doctor(settings=SCHEDULES)
    assert {one.method for one in stub.seen} == {"GET"}


# Settings


def test_wrong_settings_end_it_with_what_is_wrong(doctor, stub):
    code, found, _ = doctor("--set", "windoe.days=1")
    assert code == 1
    assert "windoe" in found["settings"]
    assert found["all else"].startswith("not checked")
    assert not stub.seen


def test_what_lies_on_this_machine_is_named(doctor):
    code, found, _ = doctor("--set", "store=here", "--set", "data.items.path=items.csv")
    assert code == 1
    assert found["settings"].startswith("missing store, data.items.path lies on this machine")
    assert found["data.items"].startswith("missing items.csv")
    assert "store" not in found


# Image


@pytest.mark.parametrize("image", ["", "setlist:latest"])
def test_an_image_that_is_no_digest_is_missing(doctor, registry, image):
    code, found, _ = doctor("--image", image)
    assert code == 1
    assert found["image"].startswith("missing")
    assert "setlist image digest" in found["image"]
    assert not registry.seen


def test_an_image_that_is_not_there_is_missing(doctor, registry):
    other = registry.url.removeprefix("http://") + "/setlist@sha256:" + "b" * 64
    code, found, _ = doctor("--image", other)
    assert code == 1
    assert "does not exist → setlist image push" in found["image"]


def test_a_token_for_anybody_is_fetched_and_not_shown(doctor, registry):
    registry.wants = "token"
    code, found, said = doctor()
    assert code == 0
    assert found["image"].startswith("ok")
    assert [method for method, _ in registry.seen] == ["HEAD", "GET", "HEAD"]
    assert ANYBODY not in said


def test_a_registry_that_wants_a_login_needs_pull_secrets(doctor, registry):
    registry.wants = "login"
    code, found, _ = doctor()
    assert code == 1
    assert "needs a login → the cluster needs platform.image_pull_secrets" in found["image"]
    code, found, _ = doctor("--set", "platform.image_pull_secrets=[regcred]")
    assert code == 0
    assert found["image"].startswith("not checked")
    assert "get secret regcred" in found["image"]


def test_a_registry_that_does_not_answer_is_missing(doctor):
    code, found, _ = doctor("--image", f"127.0.0.1:9/setlist@{DIGEST}")
    assert code == 1
    assert "127.0.0.1:9 does not answer" in found["image"]


# Kubeflow Pipelines


def test_a_server_that_is_not_there_is_found_out_at_once_and_the_rest_goes_on(doctor, monkeypatch):
    slept = []
    monkeypatch.setattr(kubeflow.time, "sleep", slept.append)
    code, found, _ = doctor("--host", REFUSED)
    assert code == 1
    assert found["Kubeflow"].startswith(f"missing {REFUSED} does not answer (no connection)")
    assert found["access"].startswith("not checked")
    assert found["schedules"].startswith("not checked")
    assert found["store"].startswith("ok")
    assert not slept


def test_no_host_is_missing_with_the_command_that_makes_one(doctor, monkeypatch):
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    code, found, _ = doctor()
    assert code == 1
    assert "kubectl port-forward" in found["Kubeflow"]


@pytest.mark.parametrize("ui", [False, True])
def test_another_version_is_a_warning(doctor, stub, ui):
    stub.ui, stub.tag = ui, "2.5.1"
    code, found, _ = doctor()
    assert code == 0
    assert found["Kubeflow"].startswith("unsure")
    assert "2.5.1, and setlist is made for 2.17" in found["Kubeflow"]


@pytest.mark.parametrize("ui", [False, True])
@pytest.mark.parametrize(
    ("store", "words"), [("database", "in a database"), ("kubernetes", "in Kubernetes")]
)
def test_where_the_server_stores_pipelines_is_told(doctor, stub, ui, store, words):
    """What `setlist compile --namespace` writes is for the second only."""
    stub.ui, stub.pipeline_store = ui, store
    assert doctor()[1]["Kubeflow"].endswith(f"2.17.0, its pipelines {words}")


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not_see_runs_is_told(doctor, stub, status):
    stub.faults = [Fault("GET", "runs", status)]
    code, found, _ = doctor()
    assert code == 1
    assert found["access"].startswith("missing")
    assert str(status) in found["access"]
    assert found["schedules"].startswith("not checked")


def test_a_wrong_token_is_told_and_no_secret_is_shown(doctor, stub, monkeypatch):
    stub.token = TOKEN
    monkeypatch.setenv("KFP_TOKEN", "wr0ng-token")
    code, found, said = doctor()
    assert code == 1
    assert "does not accept the credentials" in found["Kubeflow"] + found["access"]
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    stub.faults = [Fault("GET", "experiments", 400, echo=True)]
    said += doctor()[2]
    assert doctor()[0] == 0
    assert TOKEN not in said
    assert "wr0ng-token" not in said
    assert "***" in said


def test_where_there_are_profiles_one_is_named(doctor, stub, monkeypatch):
    stub.profiles = Profiles({f"Bearer {TOKEN}": "team"})
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    code, found, _ = doctor()
    assert code == 1
    assert "none is named → set KFP_NAMESPACE" in found["access"]
    assert doctor("--namespace", "team")[0] == 0


def test_a_profile_where_there_are_none_is_told(doctor):
    code, found, _ = doctor("--namespace", "kubeflow")
    assert code == 1
    assert "leave out KFP_NAMESPACE" in found["access"]


# The controller


@contextmanager
def controller_with(defaults: str, status: int = 200):
    """An API of Kubernetes that has the controller's configuration and nothing else."""

    class Answers(Handler):
        def do_GET(self) -> None:  # noqa: N802
            there = self.path.endswith(
                "/namespaces/kubeflow/configmaps/" + controller.CONFIGURATION
            )
            document = {"metadata": {"name": "x"}, "data": {"workflowDefaults": defaults}}
            content = json.dumps(document).encode()
            self.respond(status if there else 404, content, **{"Content-Type": "application/json"})

    with served(Answers) as url:
        yield url


def kubeconfig(path, url):
    cluster = {"name": "c", "cluster": {"server": url}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    document = {"clusters": [cluster], "contexts": [context], "current-context": "x"}
    document |= {"users": [{"name": "u", "user": {}}], "apiVersion": "v1", "kind": "Config"}
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("defaults", "status", "said"),
    [
        (controller.STOCK, 200, "ok a stock controller"),
        ({"spec": {"ttlStrategy": {"secondsAfterSuccess": 5}}}, 200, "ok a step that fails is"),
        (controller.STOCK, 403, "not checked a stock controller"),
    ],
)
def test_what_the_controller_makes_of_retries_is_told(
    doctor, monkeypatch, tmp_path, defaults, status, said
):
    with controller_with(json.dumps(defaults), status) as url:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "kubeconfig", url)))
        _, found, _ = doctor()
    assert found["retries"].startswith(said)
    assert ("kubectl -n kubeflow patch configmap" in found["retries"]) == ("stock" in said)


def test_the_patch_takes_out_the_retries_and_nothing_else():
    *_, patch = shlex.split(controller.patch_command(controller.STOCK))
    [text] = json.loads(patch)["data"].values()
    assert yaml.safe_load(text) == {
        "spec": {"ttlStrategy": controller.STOCK["spec"]["ttlStrategy"]}
    }
    assert controller.repeats_failures(yaml.safe_load(text))
    assert not controller.repeats_failures(controller.STOCK)


# Schedules


def test_schedules_are_compared_with_the_cluster(doctor, stub):
    code, found, _ = doctor(settings=SCHEDULES)
    assert code == 1
    assert found["schedules"].startswith("missing daily is not on the cluster → setlist schedule")
    assert "apply --config /" in found["schedules"]
    assert doctor(settings=SCHEDULES, command="schedule apply")[0] == 0
    code, found, _ = doctor(settings=SCHEDULES)
    assert (code, found["schedules"]) == (0, "ok daily runs")
    changed = SCHEDULES.replace("}", ", concurrency: 2}")
    assert "daily on the cluster differs" in doctor(settings=changed)[1]["schedules"]
    assert "refit" not in found
    assert (
        "daily on the cluster differs"
        in doctor("--set", "refit=true", settings=SCHEDULES)[1]["schedules"]
    )
    code, found, _ = doctor()
    assert code == 1
    assert "daily is on the cluster, but not in the settings" in found["schedules"]
    assert doctor("daily", settings=SCHEDULES, command="schedule pause")[0] == 0
    assert doctor(settings=SCHEDULES)[1]["schedules"] == "ok daily is paused"


# Store and data


def test_a_bucket_that_is_not_there_is_missing(doctor):
    code, found, _ = doctor("--set", "store=gs://no-such-bucket/models")
    assert code == 1
    assert found["store"].startswith("missing store gs://no-such-bucket/models")
    assert "→ create the bucket" in found["store"]


def test_permissions_that_lack_are_named(doctor, monkeypatch):
    held = [one for one in doctors.STORE_PERMISSIONS if not one.endswith("delete")]
    monkeypatch.setattr(
        "google.cloud.storage.Bucket.test_iam_permissions", lambda *_, **__: held
    )  # the emulator knows no permissions
    code, found, _ = doctor()
    assert code == 1
    assert "no permission for storage.objects.delete" in found["store"]


def test_a_bucket_that_overwrites_blindly_is_missing_and_the_probe_is_removed(doctor, monkeypatch):
    store = type(open_objects("gs://doctored"))
    honest = store.write

    def blind(self, key, content, *, expected):
        found = self.read(key)
        return honest(self, key, content, expected=found[1] if found else None)

    monkeypatch.setattr(store, "write", blind)
    code, found, _ = doctor()
    assert code == 1
    assert "overwritten in spite of ifGenerationMatch" in found["store"]
    assert open_objects("gs://doctored").keys("") == []


def test_data_that_is_there_is_counted(doctor):
    for name in ("events/a.csv", "events/b.csv"):
        open_objects("gs://doctored").write(name, b"user_id,item_id\n", expected=None)
    try:
        code, found, _ = doctor("--set", "data.events.path=gs://doctored/events")
    finally:
        for name in ("events/a.csv", "events/b.csv"):
            open_objects("gs://doctored").remove(name)
    assert (code, found["data.events"]) == (0, "ok gs://doctored/events: 2 files, 32 bytes")


def test_data_that_is_not_there_is_missing(doctor):
    code, found, _ = doctor("--set", "data.events.path=gs://doctored/events")
    assert code == 1
    assert found["data.events"].startswith("missing gs://doctored/events: there are no files")
