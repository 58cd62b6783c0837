"""The pipeline for a Kubeflow cluster: compiled to one YAML file."""

import os
from pathlib import Path

import yaml
from kfp import compiler

from components.errors import SetlistError
from pipelines.config import ELSEWHERE, Settings
from pipelines.retraining import retraining

HEADER = "# Written by `setlist compile`; change the pipeline or the settings, not this file.\n"


def compile_pipeline(settings: Settings, output: Path) -> None:
    """Compile the pipeline with the settings as the defaults of its parameters.

    The same settings and image give the same bytes. The file appears whole or not at all.

    Raises:
        SetlistError: when the store or a table lies on this machine, or the file cannot be written.
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
        pipeline = retraining(
            settings.labels, settings.refit, settings.warm_start, settings.platform
        )
        compiler.Compiler().compile(pipeline, str(beside), pipeline_parameters=settings.arguments())
        # The compiler's own order of the defaults changes from process to process.
        documents = [
            yaml.safe_dump(document, sort_keys=True, width=100)
            for document in yaml.safe_load_all(beside.read_text("utf-8"))
        ]
        beside.write_text(HEADER + "---\n".join(documents), "utf-8")
        beside.replace(output)
    except OSError as fault:
        raise SetlistError(
            f"{output} cannot be written ({fault.strerror}); name another --output."
        ) from fault
    finally:
        if beside.exists():
            beside.unlink()
