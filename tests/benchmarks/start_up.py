"""How soon each step gets to work: from `docker run` to its first line and to its last import.

    .venv/bin/python tests/benchmarks/start_up.py setlist:latest [ANOTHER_IMAGE ...] [--cold]

Every step is started as Kubeflow starts it, with the compiled command, in a confined container; of
its source only the imports are kept. With --cold, which needs root, the machine's file cache is
emptied before every start, as on a node that has just been booted.
"""

import argparse
import ast
import json
import os
import subprocess
import time
from pathlib import Path
from statistics import median

from google.protobuf import json_format

from setlist_pipelines.retraining import retraining

RUN = ["docker", "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
NOTHING = json.dumps({"outputs": {"outputFile": "/tmp/output.json"}})


def only_imports(source: str, name: str) -> str:
    """The source of a step that imports what it needs, says so, and ends."""
    tree = ast.parse(source)
    (step,) = (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name)
    kept = [one for one in step.body if isinstance(one, ast.Import | ast.ImportFrom)]
    ready = ast.parse("print('ready')").body
    step.body, step.args, step.returns = (
        [*kept, *ready],
        ast.arguments([], [], None, [], [], None, []),
        None,
    )
    return ast.unparse(tree)


def steps() -> dict[str, list[str]]:
    """Name of each step -> the command of its container."""
    spec = json_format.MessageToDict(retraining(refit=True).pipeline_spec)
    commands = {}
    for component in spec["components"].values():
        label = component.get("executorLabel")
        if label is None:
            continue
        container = spec["deploymentSpec"]["executors"][label]["container"]
        name = container["args"][container["args"].index("--function_to_execute") + 1]
        *shell, source = container["command"]
        told = [NOTHING if argument == "{{$}}" else argument for argument in container["args"]]
        commands.setdefault(name, [*shell, only_imports(source, name), *told])
    return commands


def start(image: str, command: list[str], cold: bool) -> tuple[float, float]:
    """Seconds from the start to the first line, and to the line "ready"."""
    if cold:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    began, first, ready = time.perf_counter(), 0.0, 0.0
    with subprocess.Popen(
        [*RUN, image, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said = []
        for line in process.stdout:
            first = first or time.perf_counter() - began
            said.append(line)
            if line == "ready\n":
                ready = time.perf_counter() - began
    assert ready, "".join(said)
    return first, ready


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("images", nargs="+")
    arguments.add_argument("--cold", action="store_true")
    arguments.add_argument("--rounds", type=int, default=5)
    told = arguments.parse_args()
    print("| step |" + "".join(f" {one}: first line | imported |" for one in told.images))
    print("|---|" + "--:|--:|" * len(told.images))
    bare = {"(the container alone)": ["echo", "ready"]}
    for name, command in (bare | steps()).items():
        seen = {
            image: [start(image, command, told.cold) for _ in range(told.rounds)]
            for image in told.images
        }
        times = (median(column) for one in seen.values() for column in zip(*one, strict=True))
        print(f"| {name} |" + "".join(f" {one:.2f} |" for one in times), flush=True)


if __name__ == "__main__":
    main()
