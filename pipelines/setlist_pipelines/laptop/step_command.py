"""The command with which kfp would start a step, taken apart."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SOURCE, INPUT_OPTION, INPUT, FUNCTION = 3, 4, 5, 7
"""Places in the command: sh, -ec, a script, the source, and two options with their values."""
ANNOUNCES_FAILURE = "announce_failure"
"""The function of the exit handler, which looks at the run anew each time."""


@dataclass(frozen=True)
class StepCommand:
    """What a step is made of.

    Attributes:
        source: of the module that kfp has made of it.
        function: in the module.
        executor_input: what kfp hands over: parameters, artifacts, and where the outputs go.
    """

    source: str
    function: str
    executor_input: dict[str, Any]

    @classmethod
    def parse(cls, command: list[str]) -> Self:
        """Read the command of a lightweight component.

        Raises:
            ValueError: it is of another form; kfp has changed.
        """
        if len(command) <= FUNCTION or command[INPUT_OPTION] != "--executor_input":
            raise ValueError(f"kfp starts a step in another way than 2.17.0: {command[:3]}")
        return cls(command[SOURCE], command[FUNCTION], json.loads(command[INPUT]))

    @property
    def folder(self) -> Path:
        """Where its outputs go."""
        return Path(self.executor_input["outputs"]["outputFile"]).parent

    @property
    def name(self) -> str:
        """That of the folder: unique in the run."""
        return self.folder.name

    @property
    def is_repeated(self) -> bool:
        """Whether a run that goes on does the step again, although it was finished."""
        return self.function == ANNOUNCES_FAILURE

    def input_steps(self) -> list[str]:
        """The names of the steps whose artifacts it reads, sorted."""
        lists = self.executor_input.get("inputs", {}).get("artifacts", {}).values()
        artifacts = [each for artifacts in lists for each in artifacts.get("artifacts", [])]
        return sorted({Path(each["uri"]).parent.name for each in artifacts if each.get("uri")})

    def digest(self) -> str:
        """Sha256 of the source and the input."""
        text = json.dumps([self.source, self.function, self.executor_input], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def clear(self) -> None:
        """Remove what an earlier attempt, which did not finish, has written."""
        shutil.rmtree(self.folder, ignore_errors=True)
