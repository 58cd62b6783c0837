"""What the accounts of manifests/cluster may do, asked of this cluster in other namespaces."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.pipeline import Json
from tests.cluster.pods import Cluster

MANIFESTS = Path(__file__).parents[2] / "manifests" / "cluster"
SUITE_NAMESPACES = {"kubeflow": "setlist-suite-runs", "setlist": "setlist-suite-own"}
RUNS, OWN = SUITE_NAMESPACES.values()
ARGO, PIPELINES = "argoproj.io", "pipelines.kubeflow.org"
MAY = [
    ("runner", "create", ARGO, "workflowtaskresults", RUNS),
    ("runner", "patch", ARGO, "workflowtaskresults", RUNS),
    ("runner", "patch", ARGO, "workflowtasksets/status", RUNS),
    ("runner", "get", "", "configmaps:kfp-launcher", RUNS),
    ("runner", "get", "", "secrets:mlpipeline-minio-artifact", RUNS),
    ("runner", "get", "", "pods", RUNS),
    ("runner", "list", "", "pods", RUNS),
    ("runner", "get", ARGO, "workflows", RUNS),
    ("submitter", "create", PIPELINES, "runs", RUNS),
    ("submitter", "create", PIPELINES, "pipelines/versions", RUNS),
    ("submitter", "disable", PIPELINES, "jobs", RUNS),
]
MAY_NOT = [
    ("runner", "get", "", "secrets:setlist-notifications", RUNS),
    ("runner", "list", "", "secrets", RUNS),
    ("runner", "create", "", "pods", RUNS),
    ("runner", "delete", "", "pods", RUNS),
    ("runner", "create", "", "pods/exec", RUNS),
    ("runner", "create", "", "persistentvolumeclaims", RUNS),
    ("runner", "create", ARGO, "workflows", RUNS),
    ("runner", "create", PIPELINES, "runs", RUNS),
    ("runner", "get", "", "pods", OWN),
    ("submitter", "delete", PIPELINES, "runs", RUNS),
    ("submitter", "delete", PIPELINES, "pipelines", RUNS),
    ("submitter", "get", "", "secrets", RUNS),
    ("submitter", "create", PIPELINES, "runs", OWN),
    ("server", "get", "", "pods", OWN),
    ("server", "get", "", "secrets", OWN),
    ("server", "create", PIPELINES, "runs", RUNS),
]
HOMES = {"runner": RUNS, "submitter": OWN, "server": OWN}


def moved(document: Json) -> Json:
    """The same in the namespaces of this test."""
    place = document["metadata"]
    if document["kind"] == "Namespace":
        place["name"] = SUITE_NAMESPACES[place["name"]]
    else:
        place["namespace"] = SUITE_NAMESPACES[place["namespace"]]
    for subject in document.get("subjects", ()):
        subject["namespace"] = SUITE_NAMESPACES[subject["namespace"]]
    return document


@pytest.fixture(scope="module")
def applied(cluster: Cluster) -> Iterator[Cluster]:
    documents = yaml.safe_load_all(cluster.kubectl("kustomize", str(MANIFESTS)))
    # `kubectl --namespace` refuses what lies elsewhere; each document goes to its own.
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RUNS}}
    try:
        for one in [place, *map(moved, documents)]:
            namespace = one["metadata"].get("namespace", "default")
            cluster.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=json.dumps(one))
        yield cluster
    finally:
        cluster.kubectl("delete", "namespace", RUNS, OWN, "--ignore-not-found")


def allowed(cluster: Cluster, who: str, verb: str, group: str, what: str, where: str) -> bool:
    resource, _, name = what.partition(":")
    resource, _, subresource = resource.partition("/")
    account = f"system:serviceaccount:{HOMES[who]}:setlist-{who}"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": account,
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{HOMES[who]}"],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
                "name": name,
                "namespace": where,
            },
        },
    }
    said = cluster.kubectl("create", "-f", "-", "--output", "json", stdin=json.dumps(review))
    return json.loads(said)["status"]["allowed"]


@pytest.mark.parametrize(("who", "verb", "group", "what", "where"), MAY)
def test_may(applied: Cluster, who, verb, group, what, where):
    assert allowed(applied, who, verb, group, what, where)


@pytest.mark.parametrize(("who", "verb", "group", "what", "where"), MAY_NOT)
def test_may_not(applied: Cluster, who, verb, group, what, where):
    assert not allowed(applied, who, verb, group, what, where)


def test_our_own_namespace_is_restricted(applied: Cluster):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "careless"},
        "spec": {"containers": [{"name": "main", "image": applied.image}]},
    }
    with pytest.raises(AssertionError, match=r'violates PodSecurity "restricted:v1\.34"'):
        applied.kubectl("create", "--namespace", OWN, "-f", "-", stdin=json.dumps(pod))
