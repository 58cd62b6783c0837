"""Where a run on this machine leaves its outputs, and what it shows and logs while it goes on.

Nothing here imports kfp, so that a run can be read, reported and explored without it.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from setlist.data.verdict import STOPS
from setlist.evaluation.verdict import NOTHING_TO_BEAT
from setlist_pipelines.settings.file import Settings

SETTINGS_FILE = "settings.yaml"
"""The settings of a run, in its folder: `setlist run --config RUN/settings.yaml` repeats it."""
FINAL = ("since this run was planned", STOPS, NOTHING_TO_BEAT)
"""In the fault of a run that is of no use to take up: another model is live by now, or the tables
that it has read, and keeps, are not what the policy allows, or no heuristic has a hit on them."""
ShowStep = Callable[[str, str, float | None], None]
"""Shows the progress of a step: its title, a line, and its seconds once it has ended.

The line is "" when the step begins, then what the step prints, and at the end "SUCCESS" or
"FAILURE"; the seconds are None before the end.
"""


@dataclass(frozen=True)
class Run:
    """The outputs of a finished run.

    Attributes:
        root: the folder with the outputs of all steps.
        log: everything that the steps printed.
    """

    root: Path
    log: Path

    def output(self, step: str, name: str) -> Path:
        """The path of an output of a step."""
        return self.root / step / name


def run_folder(run: str, workdir: Path) -> Path | None:
    """The folder of a run on this machine, by its path or its id; None where it is not here."""
    for folder in (Path(run), workdir / run, workdir / f"retraining-{run}"):  # of former versions
        if folder.is_dir():
            return folder
    return None


def training_step(settings: Settings) -> str:
    """The step whose outputs are the best candidate and the training records of all candidates."""
    # Each comparison takes the winner of the one before: n candidates need n - 1 steps "choose".
    comparisons = len(settings.labels) - 1
    return {0: "train", 1: "choose"}.get(comparisons, f"choose-{comparisons}")


@contextmanager
def stderr_to(file: TextIO) -> Iterator[None]:
    """Send the standard error of this process to a file, also what TensorFlow's C++ code writes."""
    # `contextlib.redirect_stderr` replaces an object of Python; C++ writes to descriptor 2.
    sys.stderr.flush()
    screen = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)
