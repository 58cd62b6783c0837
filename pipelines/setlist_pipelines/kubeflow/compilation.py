"""The pipeline for a Kubeflow cluster: compiled to one YAML file."""

import hashlib
import os
from pathlib import Path

import yaml
from kfp import compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions

from setlist.errors import SetlistError
from setlist.steps import IMAGE
from setlist_pipelines.retraining import retraining
from setlist_pipelines.settings.file import ELSEWHERE, Settings
from setlist_pipelines.settings.platform import DIGEST

HEADER = "# Written by `setlist compile`; change the pipeline or the settings, not this file.\n"


def compile_pipeline(settings: Settings, output: Path, namespace: str | None = None) -> None:
    """Compile the pipeline with the settings as the defaults of its parameters.

    The same settings and image give the same bytes. The file appears whole or not at all.

    Args:
        settings: checked.
        output: the file to write.
        namespace: write the resources Pipeline and PipelineVersion of this namespace, for GitOps,
            in place of the pipeline alone. The version is named by its content.

    Raises:
        SetlistError: when the store or a table lies on this machine, the file cannot be written,
            or a resource would name an image by its tag.
    """
    for key, path in settings.locations().items():
        if not ELSEWHERE.match(path):
            raise SetlistError(
                f"{key}: {path} lies on this machine's disk, which a cluster does not see; "
                f"use gs://bucket/prefix, for example --set {key}=gs://your-bucket/prefix."
            )
    beside = output.with_name(f".{output.stem}.{os.getpid()}.yaml")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        content = _compiled(settings, beside)
        if namespace is not None:
            content = _compiled(settings, beside, _resources(content, namespace))
        beside.write_text(HEADER + content, "utf-8")
        beside.replace(output)
    except OSError as fault:
        raise SetlistError(
            f"{output} cannot be written ({fault.strerror}); name another --output."
        ) from fault
    finally:
        if beside.exists():
            beside.unlink()


def _compiled(
    settings: Settings, scratch: Path, resources: KubernetesManifestOptions | None = None
) -> str:
    """The documents that kfp writes, in an order that does not change from process to process."""
    pipeline = retraining(settings.labels, settings.refit, settings.warm_start, settings.platform)
    compiler.Compiler().compile(
        pipeline,
        str(scratch),
        pipeline_parameters=settings.arguments(),
        kubernetes_manifest_format=resources is not None,
        kubernetes_manifest_options=resources,
    )
    documents = yaml.safe_load_all(scratch.read_text("utf-8"))
    return "---\n".join(yaml.safe_dump(one, sort_keys=True, width=100) for one in documents)


def _resources(content: str, namespace: str) -> KubernetesManifestOptions:
    if not DIGEST.fullmatch(IMAGE):
        raise SetlistError(
            f"the image {IMAGE} can mean something else tomorrow; name it by digest, "
            "registry/name@sha256:..., in SETLIST_IMAGE."
        )
    version = hashlib.sha256(content.encode()).hexdigest()[:20]
    return KubernetesManifestOptions(
        pipeline_version_name=f"retraining-{version}",
        pipeline_version_display_name=version,
        namespace=namespace,
        include_pipeline_manifest=True,
    )
