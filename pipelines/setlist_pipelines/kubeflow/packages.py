"""Compiled pipelines, as they are uploaded: settings as defaults, every step in one image."""

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from setlist.errors import SettingsError
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings
from setlist_pipelines.settings.platform import IMAGE_BY_DIGEST

PARAMETER_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "STRING": ((str,), "a text"),
    "NUMBER_INTEGER": ((int,), "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list,), "a list"),
    "STRUCT": ((dict,), "a mapping"),
}
"""By the type of a parameter: the Python types of its values, and the words for a message."""
MOST_ARGUMENT_BYTES = 100_000
"""Of all arguments of a run, as JSON. The backend hands them to the first container of the run in
one argument of its process, which Linux limits to 131,072 bytes (MAX_ARG_STRLEN); the rest is for
what the backend adds for a step: the addresses of its artifacts, and the escapes of its JSON."""
MOST_PIPELINE_BYTES = 700_000
"""Of a compiled pipeline, as JSON. The backend makes one object of Kubernetes of it, which holds at
most 1 MiB, and adds a template for each kind of node."""


@dataclass(frozen=True)
class Package:
    """A compiled pipeline with the settings as the defaults of its parameters.

    So the page and the plain client can start a run of it. `as_of` is "" there, the present moment:
    a run as of another day is a run of the same version.

    Attributes:
        name: of the pipeline.
        content: the YAML.
        parameters: the declarations in the compiled pipeline, by name: `parameterType` and more.
    """

    name: str
    content: bytes
    parameters: dict[str, Json]

    @property
    def version(self) -> str:
        """The name of the version: the first 80 bits of the content's SHA-256, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()[:20]


def compile_package(
    settings: Settings, image: str, pipeline: PipelineName = "retraining"
) -> Package:
    """Compile a pipeline for these settings, with every step in this image.

    Raises:
        SettingsError: the image is not named by digest, or a path lies on this machine.
    """
    if not IMAGE_BY_DIGEST.fullmatch(image):
        raise SettingsError(
            f"the image {image or '(none)'} is not named by digest, so it may change",
            "write registry/name@sha256:... in SETLIST_IMAGE or --image",
        )
    # kfp takes seconds to import, and a wrong image is reported without it.
    from setlist.steps import IMAGE
    from setlist_pipelines.kubeflow.compilation import compile_pipeline

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_pipeline(settings, path, pipeline=pipeline)
        documents = list(yaml.safe_load_all(path.read_text("utf-8")))
    spec = documents[0]
    # The steps read their image when `setlist.steps` is imported, which is too early for --image.
    for executor in spec["deploymentSpec"]["executors"].values():
        if executor.get("container", {}).get("image") == IMAGE:
            executor["container"]["image"] = image
    parameters = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    if "as_of" in parameters:
        parameters["as_of"]["defaultValue"] = ""
    content = yaml.safe_dump_all(documents, sort_keys=True, width=100).encode()
    return Package(spec["pipelineInfo"]["name"], content, parameters)


def check_arguments(arguments: Mapping[str, Any], parameters: Mapping[str, Json]) -> None:
    """Check the arguments of a run against the parameters that a compiled pipeline declares.

    The server accepts an unknown argument silently, and a value of a wrong type until a step fails.

    Raises:
        SettingsError: an argument is unknown, missing or of a wrong type; the first one is named.
    """
    for key in sorted(arguments.keys() - parameters.keys()):
        raise SettingsError(
            f"{key}: the pipeline has no such parameter; it takes {', '.join(sorted(parameters))}."
        )
    for key, declaration in sorted(parameters.items()):
        if key not in arguments:
            if "defaultValue" in declaration or declaration.get("isOptional"):
                continue
            raise SettingsError(f"{key}: the pipeline needs this argument", "give it a value")
        types, words = PARAMETER_TYPES[declaration["parameterType"]]
        value = arguments[key]
        if "{{" in json.dumps(value, ensure_ascii=False):
            raise SettingsError(
                f"{key}: a value holds {{{{, which Argo would replace by another text",
                "write it without",
            )
        # In Python, True is an int, too.
        fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            raise SettingsError(f"{key}: the pipeline takes {words} here, not {value!r:.60}.")


def check_sizes(package: Package, arguments: Json) -> None:
    """Refuse what no step could start with, before anything is sent.

    Raises:
        SettingsError: the arguments or the pipeline are too large; the largest part is named.
    """
    sizes = {name: len(json.dumps(value).encode()) for name, value in arguments.items()}
    if (total := len(json.dumps(arguments).encode())) > MOST_ARGUMENT_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise SettingsError(
            f"the settings of a run are {total:,} bytes, of which {largest} has "
            f"{sizes[largest]:,}, and a step of a cluster takes {MOST_ARGUMENT_BYTES:,}",
            f"shorten {largest}, for example its lists of values",
        )
    documents = yaml.load_all(package.content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if (size := sum(len(json.dumps(each)) for each in documents)) > MOST_PIPELINE_BYTES:
        raise SettingsError(
            f"the compiled pipeline is {size:,} bytes, and a cluster takes {MOST_PIPELINE_BYTES:,}",
            "take out candidates, or values of `platform`",
        )


def ensure_version(kubeflow: Kubeflow, package: Package) -> tuple[Json, bool]:
    """Upload a package unless the server has this version of the pipeline.

    Returns:
        The reference to the version, and whether it was uploaded.
    """
    pipeline, _ = kubeflow.ensure(
        lambda: kubeflow.find_by_name("pipelines", "pipelines", package.name, **kubeflow.scope),
        lambda: kubeflow.post(
            "pipelines", {"name": package.name, "display_name": package.name} | kubeflow.scope
        ),
    )
    pipeline_id = pipeline["pipeline_id"]
    version, uploaded = kubeflow.ensure(
        lambda: kubeflow.find_by_name(
            f"pipelines/{pipeline_id}/versions", "pipeline_versions", package.version
        ),
        lambda: kubeflow.upload(
            "pipelines/upload_version",
            package.content,
            name=package.version,
            pipelineid=pipeline_id,
        ),
    )
    version_id = version["pipeline_version_id"]
    return {"pipeline_id": pipeline_id, "pipeline_version_id": version_id}, uploaded
