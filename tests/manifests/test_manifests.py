"""Everything in manifests/: by the schemas of Kubernetes, or else by what it refers to."""

import copy
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pydantic
import pytest
import typer
import yaml
from kubeflow_spark_api.models import SparkV1alpha1SparkConnect

from setlist.data.engine import EngineSettings
from setlist_pipelines.cli.main import app
from setlist_pipelines.laptop import kind
from setlist_pipelines.settings.file import SAMPLE, read_settings

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
KUBERNETES = "1.34"
COMPILED = {MANIFESTS / f"{pipeline}.yaml" for pipeline in ("retraining", "monitoring")}
WORKFLOW = MANIFESTS / "ci" / "retraining.yaml"
NIGHTLY = ROOT / ".github" / "workflows" / "nightly.yaml"
PROMETHEUS = {MANIFESTS / "monitoring" / name for name in ("alerts.yaml", "prometheus.yaml")}
"""No documents of Kubernetes; promtool looks at them in test_alerts.py."""
OTHERS = {
    ("argoproj.io/v1alpha1", "Application"),
    ("kind.x-k8s.io/v1alpha4", "Cluster"),
    ("kustomize.config.k8s.io/v1beta1", "Kustomization"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("sparkoperator.k8s.io/v1alpha1", "SparkConnect"),
}
"""What Kubernetes has no schema of."""


def documents() -> dict[str, dict]:
    """Every document with a kind, by its file and its number."""
    found = {}
    for path in sorted(set(MANIFESTS.rglob("*.yaml")) - COMPILED - PROMETHEUS - {WORKFLOW}):
        for number, one in enumerate(yaml.safe_load_all(path.read_text("utf-8"))):
            found[f"{path.relative_to(MANIFESTS)}#{number}"] = one
    return found


DOCUMENTS = documents()


def of(*kinds: str) -> dict[tuple[str, str, str], dict]:
    """The documents of some kinds, by kind, namespace and name."""
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in DOCUMENTS.values()
        if one["kind"] in kinds
    }


@pytest.mark.parametrize("which", DOCUMENTS)
def test_kubernetes_takes_it(which: str):
    document = DOCUMENTS[which]
    if (document["apiVersion"], document["kind"]) not in OTHERS:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_check_is_strict():
    """Otherwise the test above would not find a misspelt key."""
    misspelt = DOCUMENTS["cluster/namespace.yaml#0"] | {"spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, KUBERNETES, strict=True)


def spark_connects() -> list[dict]:
    return [copy.deepcopy(one) for one in of("SparkConnect").values()]


def read_by_the_operator(document: dict) -> dict:
    """What Kubeflow's Spark operator takes of a document: no key that it does not know."""
    return SparkV1alpha1SparkConnect.from_dict(document).to_dict()


def test_the_spark_operator_takes_it():
    assert len(spark_connects()) == 1
    for document in spark_connects():
        assert read_by_the_operator(document) == document


@pytest.mark.parametrize(
    "place",
    [
        (),
        ("spec",),
        ("spec", "executor"),
        ("spec", "server", "template", "spec", "containers", 0),
        ("spec", "executor", "template", "spec", "containers", 0, "securityContext"),
    ],
)
def test_the_check_of_the_spark_operator_is_strict(place):
    [document] = spark_connects()
    section = document
    for key in place:
        section = section[key]
    section["misspelt"] = {}
    assert read_by_the_operator(document) != document


@pytest.mark.parametrize(("key", "value"), [("cores", "two"), ("instances", {}), ("memory", 4)])
def test_the_check_of_the_spark_operator_looks_at_types(key, value):
    [document] = spark_connects()
    document["spec"]["executor"][key] = value
    with pytest.raises(pydantic.ValidationError, match=key):
        read_by_the_operator(document)


def executor_template() -> dict:
    """What the server of manifests/spark/connect.yaml starts its workers from."""
    config = of("ConfigMap")["ConfigMap", "setlist", "setlist-spark"]["data"]
    return yaml.safe_load(config["executor.yaml"])


def test_the_template_of_the_workers_is_a_pod():
    template = executor_template()
    # Spark adds the name and the image.
    named = template["metadata"] | {"name": "worker"}
    kubernetes_validate.validate(template | {"metadata": named}, KUBERNETES, strict=True)


def spark_pods() -> dict[str, dict]:
    """The specification of every pod of manifests/spark, by what starts it."""
    [connect] = spark_connects()
    deployment = of("Deployment")["Deployment", "setlist", "setlist-spark"]
    return {
        "deployment": deployment["spec"]["template"],
        "worker of the deployment": executor_template(),
        "server of the operator": connect["spec"]["server"]["template"],
        "worker of the operator": connect["spec"]["executor"]["template"],
    }


@pytest.mark.parametrize("which", spark_pods())
def test_pods_of_spark_are_confined_and_known_to_the_network_policy(which):
    pod = spark_pods()[which]
    policy = of("NetworkPolicy")["NetworkPolicy", "setlist", "spark"]
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= pod["metadata"]["labels"].items()
    [container] = pod["spec"]["containers"]
    context = pod["spec"]["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in pod["spec"]["volumes"]}
    if "worker" in which:
        assert pod["spec"]["automountServiceAccountToken"] is False
    else:
        assert pod["spec"]["serviceAccountName"] == "setlist-spark"
        assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= set(container)


def spark_settings() -> dict[str, dict[str, str]]:
    """The settings of Spark, with the operator and without."""
    [connect] = spark_connects()
    config = of("ConfigMap")["ConfigMap", "setlist", "setlist-spark"]["data"]
    lines = config["spark-defaults.conf"].splitlines()
    spec = connect["spec"]
    hadoop = {f"spark.hadoop.{key}": value for key, value in spec["hadoopConf"].items()}
    return {
        "operator": spec["sparkConf"] | hadoop,
        "deployment": dict(line.split(maxsplit=1) for line in lines if line[0] != "#"),
    }


def test_both_servers_of_spark_have_the_same_settings():
    settings = spark_settings()
    assert len(settings["operator"]) > 8
    assert settings["operator"].items() <= settings["deployment"].items()


@pytest.mark.parametrize("name", ["connect.yaml", "connect-operator.yaml"])
def test_the_settings_of_a_run_beside_the_servers_of_spark_are_settings(name):
    text = (MANIFESTS / "spark" / name).read_text("utf-8")
    example = "\n".join(re.findall(r"^# ? ?(  engine:|    \w+: \S+)$", text, re.MULTILINE))
    engine = EngineSettings.model_validate(yaml.safe_load(example)["engine"])
    host, _, port = engine.spark.removeprefix("sc://").partition(":")
    assert (host.partition(".")[2], port) == ("setlist", "15002")
    assert engine.scratch.startswith("gs://")


def test_every_other_kind_is_there_and_no_more():
    kinds = {(one["apiVersion"], one["kind"]) for one in DOCUMENTS.values()}
    assert {one for one in kinds if "." in one[0].split("/")[0]} - OTHERS <= {
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    }
    assert kinds >= OTHERS


def test_kustomizations_name_the_files_beside_them():
    for path in MANIFESTS.rglob("kustomization.yaml"):
        kustomization = yaml.safe_load(path.read_text("utf-8"))
        listed = kustomization.get("resources", [])
        for generator in kustomization.get("configMapGenerator", []):
            listed += generator["files"]
        assert listed, path
        assert all((path.parent / name).is_file() for name in listed), path
        besides = {one.name for one in path.parent.glob("*.yaml")} - set(listed)
        allowed = {"kustomization.yaml", "cluster.yaml", "volume.yaml", "volume-static.yaml"}
        allowed.add("prometheus.yaml")
        assert besides <= allowed, path


def test_bindings_give_roles_that_exist_to_accounts_that_exist():
    accounts, roles = of("ServiceAccount"), of("Role")
    bindings = of("RoleBinding")
    assert bindings
    for (_, namespace, _), binding in bindings.items():
        assert ("Role", namespace, binding["roleRef"]["name"]) in roles
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["namespace"], subject["name"]) in accounts


def test_roles_ask_for_nothing_at_large():
    for (_, _, name), role in of("Role").items():
        for rule in role["rules"]:
            said = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "*" not in said, name
            assert "resourceNames" in rule or "secrets" not in rule["resources"], name


def test_accounts_of_the_cluster_are_those_of_the_bucket():
    script = (MANIFESTS / "bucket" / "iam.sh").read_text("utf-8")
    for (_, namespace, name), account in of("ServiceAccount").items():
        google = account["metadata"].get("annotations", {}).get("iam.gke.io/gcp-service-account")
        assert (f"{namespace}/{name}" in script) == bool(google), name
        assert google in (None, f"{name}@PROJECT.iam.gserviceaccount.com")


def test_the_settings_can_name_the_account():
    settings = read_settings(SAMPLE, ["platform.service_account=setlist-runner"])
    name = settings.platform.service_account
    assert ("ServiceAccount", "kubeflow", name) in of("ServiceAccount")


def test_services_and_deployments_select_the_pods_that_are_there():
    deployments = of("Deployment")
    assert deployments
    for (_, namespace, name), deployment in deployments.items():
        template = deployment["spec"]["template"]
        labels, container = template["metadata"]["labels"], template["spec"]["containers"][0]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        service = of("Service")["Service", namespace, name]["spec"]
        assert service["selector"].items() <= labels.items()
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert all(port["targetPort"] in ports for port in service["ports"])
        assert all("@sha256:" in one["image"] for one in template["spec"]["containers"])


def test_policies_name_namespaces_that_are_there_or_known():
    known = {name for _, _, name in of("Namespace")} | {"kube-system", "kubeflow", "monitoring"}
    for policy in of("NetworkPolicy").values():
        assert policy["metadata"]["namespace"] in known
        text = yaml.safe_dump(policy["spec"])
        assert set(re.findall(r"kubernetes.io/metadata.name: (\S+)", text)) <= known


def test_the_volume_of_a_node_is_the_claim_of_the_suite():
    claims = [one for one in DOCUMENTS.values() if one["kind"] == "PersistentVolumeClaim"]
    assert {claim["metadata"]["name"] for claim in claims} == {"artifacts"}
    volume = of("PersistentVolume")["PersistentVolume", "", "setlist-suite"]
    assert volume["spec"]["claimRef"] == {"namespace": "setlist-suite", "name": "artifacts"}


def test_kind_is_pinned():
    assert re.fullmatch(
        rf"kindest/node:v{KUBERNETES}\.\d+@sha256:[0-9a-f]{{64}}", kind.pinned_node()
    )
    version = "v" + ".".join(map(str, kind.KIND))
    assert version in (MANIFESTS / "kind" / "cluster.yaml").read_text("utf-8")
    assert f"version: {version}." in WORKFLOW.read_text("utf-8")
    assert f"sigs.k8s.io/kind@{version}." in NIGHTLY.read_text("utf-8")


def test_argo_cd_watches_the_namespace_of_the_runs():
    (application,) = of("Application").values()
    spec = application["spec"]
    (account,) = [one for one in of("ServiceAccount") if one[2] == "setlist-runner"]
    assert spec["destination"]["namespace"] == account[1]
    assert spec["syncPolicy"]["automated"]["prune"] is False
    assert set(spec) == {"project", "source", "destination", "syncPolicy"}


def commands() -> list[list[str]]:
    """Every call of `setlist` in the workflows and in the comments of the manifests."""
    files = [yaml.safe_load(path.read_text("utf-8")) for path in (WORKFLOW, NIGHTLY)]
    jobs = [job for file in files for job in file["jobs"].values()]
    steps = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    lines = [line for step in steps for line in step.splitlines()]
    for path in MANIFESTS.rglob("*.yaml"):
        comments = re.findall(r"^ *#(.*)$", path.read_text("utf-8"), re.MULTILINE)
        lines += re.findall(r"`(setlist [^`]+)`", "\n".join(comments))
        lines += re.findall(r"setlist compile .*", "\n".join(comments).replace("\\\n", " "))
    calls = [re.search(r"(?:^|[ (/])setlist ([a-z][^)`]*)", line) for line in lines]
    told = [shlex.split(call[1], comments=True) for call in calls if call]
    return told + [[word.partition("=")[0] for word in one[1:]] for one in started()]


def started() -> list[list[str]]:
    """What the containers of the manifests start, where that is `setlist`."""
    found, left = [], list(DOCUMENTS.values())
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.values()
            if one.get("args", [""])[0] == "setlist":
                found.append(one["args"])
        elif isinstance(one, list):
            left += one
    return found


def test_the_server_and_the_follower_are_started():
    assert sorted(one[1] for one in started()) == ["follow", "serve", "serve"]


def test_the_commands_of_the_examples_exist():
    """With their options; what they are told is not looked at."""
    calls = commands()
    assert len(calls) > 8
    for call in calls:
        command = typer.main.get_command(app)
        words = list(call)
        while hasattr(command, "commands") and words:
            command = command.commands[words.pop(0)]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("-")} <= known, call


def test_the_workflow_only_releases_what_was_tested():
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    assert jobs["release"]["needs"] == ["test", "kind"]
    assert jobs["release"]["if"] == "github.ref == 'refs/heads/main'"


@pytest.mark.parametrize("there", [True, False])
def test_the_workflow_can_be_repeated(tmp_path, there):
    """A run that failed is started again, under another key and with the image of the first."""
    steps = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]["release"]["steps"]
    [submit] = [one["run"] for one in steps if "submit" in one.get("run", "")]
    assert '--id "$GITHUB_SHA-$GITHUB_RUN_ATTEMPT"' in submit
    [image] = [one["run"] for one in steps if "SETLIST_IMAGE=" in one.get("run", "")]
    fake = tmp_path / ".venv" / "bin" / "setlist"
    fake.parent.mkdir(parents=True)
    fake.write_text(
        '#!/bin/sh\necho "$2" >> calls\n'
        f"case $2 in digest) echo name@there; exit {int(not there)} ;; push) echo name@pushed ;; "
        "esac\n"
    )
    fake.chmod(0o755)
    environment = {"IMAGE": "name:1", "GITHUB_ENV": "told", "PATH": "/usr/bin:/bin"}
    subprocess.run(["bash", "-e", "-c", image], cwd=tmp_path, env=environment, check=True)
    called = ["digest"] if there else ["digest", "build", "push"]
    assert (tmp_path / "calls").read_text().split() == called
    told = f"SETLIST_IMAGE=name@{'there' if there else 'pushed'}\n"
    assert (tmp_path / "told").read_text() == told


GCLOUD = f"""#!{sys.executable}
import json, os, re, sys

for option in sys.argv:
    if option.startswith("--condition=") and option != "--condition=None":
        # At commas, or at what stands between ^ and ^ in front, as gcloud does.
        at, text = re.fullmatch(r"--condition=(?:\\^([^^]+)\\^)?(.*)", option).groups()
        said = dict(part.split("=", 1) for part in text.split(at or ","))
        assert said.keys() <= {{"title", "expression", "description"}}, said
        with open(os.environ["GRANTED"], "a") as file:
            print(json.dumps(said), file=file)
"""


def test_the_script_of_the_bucket_limits_each_grant_to_its_folder(tmp_path):
    gcloud, granted = tmp_path / "gcloud", tmp_path / "granted"
    gcloud.write_text(GCLOUD)
    gcloud.chmod(0o755)
    done = subprocess.run(
        [str(MANIFESTS / "bucket" / "iam.sh"), "project", "bucket", "models/home", "data"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "GRANTED": str(granted)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in granted.read_text().splitlines()] == [
        {
            "title": f"below-{folder.replace('/', '-')}",
            "expression": "resource.name.startsWith("
            f"'projects/_/buckets/bucket/objects/{folder}/') || "
            "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"
            f".startsWith('{folder}/')",
        }
        for folder in ("models/home", "artifacts", "models/home")
    ]


def test_the_script_of_the_bucket_says_how_it_is_called():
    script = MANIFESTS / "bucket" / "iam.sh"
    told = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert (told.returncode, "PROJECT BUCKET PREFIX" in told.stderr) == (2, True)
