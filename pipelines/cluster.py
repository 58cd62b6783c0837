"""The pipeline for a Kubeflow cluster: compiled to one YAML file."""

import os
from pathlib import Path

from kfp import compiler

from pipelines.config import Settings
from pipelines.retraining import retraining


def compile_pipeline(settings: Settings, output: Path) -> None:
    """Compile the pipeline with the settings as the defaults of its parameters.

    The same settings and image give the same bytes. The file appears whole or not at all.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(f".{output.stem}.{os.getpid()}.yaml")
    compiler.Compiler().compile(retraining, str(beside), pipeline_parameters=settings.arguments())
    beside.replace(output)
