"""Compiles the pipeline to one YAML file for a Kubeflow cluster."""

import hashlib
import os
from pathlib import Path

import yaml
from kfp import compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions

from setlist.addresses import REMOTE_PATH
from setlist.errors import SettingsError
from setlist.steps import IMAGE
from setlist_pipelines.graphs import graph
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings
from setlist_pipelines.settings.platform import IMAGE_BY_DIGEST

HEADER = "# Written by `setlist compile`; change the pipeline or the settings, not this file.\n"


def compile_pipeline(
    settings: Settings,
    output: Path,
    namespace: str | None = None,
    pipeline: PipelineName = "retraining",
) -> None:
    """Compile the pipeline, with the settings as the defaults of its parameters.

    The same settings and image give the same bytes. The file appears whole or not at all.

    Args:
        settings: of the run.
        output: the file to write.
        namespace: write the resources Pipeline and PipelineVersion of this namespace, for GitOps,
            in place of the pipeline alone. The version is named by its content.
        pipeline: which one.

    Raises:
        SettingsError: the store or a table lies on this machine, the file cannot be written, or a
            resource would name an image by its tag.
    """
    for key, path in settings.locations().items():
        if not REMOTE_PATH.match(path):
            raise SettingsError(
                f"{key}: {path} lies on this machine's disk, which a cluster does not see",
                f"use gs://bucket/prefix, for example --set {key}=gs://your-bucket/prefix",
            )
    # kfp writes its output in place, so it writes a scratch file, which then replaces the output.
    scratch = output.with_name(f".{output.stem}.{os.getpid()}.yaml")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        content = _compiled(pipeline, settings, scratch)
        if namespace is not None:
            # Twice, since the name of the version comes from the content of the pipeline.
            resources = _resources(pipeline, content, namespace)
            content = _compiled(pipeline, settings, scratch, resources)
        scratch.write_text(HEADER + content, "utf-8")
        scratch.replace(output)
    except OSError as fault:
        raise SettingsError(
            f"{output} cannot be written ({fault.strerror})", "name another --output"
        ) from fault
    finally:
        if scratch.exists():  # `unlink` fails where the parent of the output is a file
            scratch.unlink()


def _compiled(
    pipeline: PipelineName,
    settings: Settings,
    scratch: Path,
    resources: KubernetesManifestOptions | None = None,
) -> str:
    """The YAML documents that kfp writes, with sorted keys: kfp's order differs by process."""
    compiler.Compiler().compile(
        graph(pipeline, settings, settings.platform),
        str(scratch),
        pipeline_parameters=settings.arguments(pipeline),
        kubernetes_manifest_format=resources is not None,
        kubernetes_manifest_options=resources,
    )
    documents = yaml.safe_load_all(scratch.read_text("utf-8"))
    return "---\n".join(
        yaml.safe_dump(document, sort_keys=True, width=100) for document in documents
    )


def _resources(pipeline: PipelineName, content: str, namespace: str) -> KubernetesManifestOptions:
    """The options with which kfp writes resources, for a pipeline with this content."""
    if not IMAGE_BY_DIGEST.fullmatch(IMAGE):
        raise SettingsError(
            f"the image {IMAGE} is not named by digest, so it may change",
            "write registry/name@sha256:... in SETLIST_IMAGE",
        )
    version = hashlib.sha256(content.encode()).hexdigest()[:20]
    return KubernetesManifestOptions(
        pipeline_version_name=f"{pipeline}-{version}",
        pipeline_version_display_name=version,
        namespace=namespace,
        include_pipeline_manifest=True,
    )
