"""The pods of the suite, as documents: as strict as a namespace can demand."""

from pathlib import PurePosixPath

from tests.cluster.pipeline import METADATA, OUTPUTS, Json, Step, local_path

NAMESPACE = "setlist-suite"
EMULATOR = f"http://fake-gcs-server.{NAMESPACE}:4443"
READER = "reader"
VOLUME = "/minio"
"""Where the launcher has what it downloads from, and uploads to, the bucket of a pipeline."""
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def step_pod(
    name: str, step: Step, image: str, folder: str, memory: str = "", emulator: str = EMULATOR
) -> Json:
    """The pod of a step: what the launcher prepares for it is prepared by an init container.

    Args:
        name: of the pod.
        step: with resolved inputs.
        image: of the init container; the step brings its own.
        folder: of the volume that is this suite's.
        memory: replaces the compiled request and limit.
        emulator: the store's address.
    """
    outputs = [local_path(one["uri"]) for one in artifacts(step)]
    own = f"outputs/{name}"
    prepare = ["mkdir", "-p", f"{VOLUME}/{own}/metadata", f"{VOLUME}/{own}/parameters"]
    prepare += sorted({str(PurePosixPath(path).parent) for path in outputs})
    handed = {str(PurePosixPath(METADATA).parent): f"{own}/metadata", OUTPUTS: f"{own}/parameters"}
    container = _container("main", image, step.container["command"], folder, emulator) | {
        "image": step.container["image"],
        "args": step.args,
        "resources": resources(step, memory),
    }
    container["volumeMounts"] += [
        {"name": "artifacts", "mountPath": path, "subPath": f"{folder}/{inside}"}
        for path, inside in handed.items()
    ]
    pod = _pod(
        name,
        initContainers=[_container("folders", image, prepare, folder, emulator)],
        containers=[container],
    )
    if deadline := step.container["platform"].get("activeDeadlineSeconds"):
        pod["spec"]["activeDeadlineSeconds"] = int(deadline)
    near = {
        "labelSelector": {"matchLabels": {"role": READER}},
        "topologyKey": "kubernetes.io/hostname",
    }
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": [near]}
    pod["spec"]["affinity"] = {"podAffinity": affinity}
    return pod


def reader_pod(image: str, folder: str) -> Json:
    """The pod that sees the volume and the store; all others stay on its node."""
    pod = _pod(
        READER, containers=[_container("main", image, ["sleep", "infinity"], folder, EMULATOR)]
    )
    pod["metadata"]["labels"]["role"] = READER
    return pod


def resources(step: Step, memory: str = "") -> Json:
    """Requests and limits as Kubeflow Pipelines gives them to the container of a step."""
    asked = step.container["resources"]
    found: Json = {
        "requests": {"cpu": asked["resourceCpuRequest"], "memory": asked["resourceMemoryRequest"]},
        "limits": {"memory": asked["resourceMemoryLimit"]},
    }
    if "resourceCpuLimit" in asked:
        found["limits"]["cpu"] = asked["resourceCpuLimit"]
    if memory:
        found["requests"]["memory"] = found["limits"]["memory"] = memory
    return found


def artifacts(step: Step) -> list[Json]:
    """The output artifacts of a step."""
    listed = step.inputs["outputs"]["artifacts"].values()
    return [one for each in listed for one in each["artifacts"]]


def _container(name: str, image: str, command: list[str], folder: str, emulator: str) -> Json:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": "STORAGE_EMULATOR_HOST", "value": emulator}],
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"memory": "2Gi"},
        },
        "securityContext": dict(RESTRICTED),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "artifacts", "mountPath": VOLUME, "subPath": folder},
        ],
    }


def _pod(name: str, **containers: list[Json]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "setlist-suite"}},
        "spec": containers
        | {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            # No user is named: the image has to bring a numeric one that is not root.
            "securityContext": {
                "runAsNonRoot": True,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "artifacts", "persistentVolumeClaim": {"claimName": "artifacts"}},
            ],
        },
    }
