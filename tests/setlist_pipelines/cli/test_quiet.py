"""On a terminal, no command shows what a library says for itself; every command is the real one."""

import os
import re
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from tests.setlist_pipelines.laptop.small_run import SETLIST, environment, write_settings
from tests.waiting import PATIENCE, until

LIBRARY = re.compile(
    r"oneDNN|absl|cuda|cuInit|\bTF_|AVX|InitializeLog|[IWE]0000 |\w+\.cc:\d+|tf_keras|keras"
    r"|site-packages|\w*Warning\b|deprecat|streamlit|uvicorn|INFO:|Traceback|/bin/sh",
    re.IGNORECASE,
)


class Terminal:
    """A command of `setlist` on a terminal of its own, and what it shows there."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        ours, theirs = os.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [*SETLIST, *arguments],
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(TERM="xterm-256color"),
        )
        os.close(theirs)
        self._reader = Thread(target=self._read, args=[ours])
        self._reader.start()

    def _read(self, terminal: int) -> None:
        with suppress(OSError):  # Linux ends a terminal that nobody writes to any more so
            while some := os.read(terminal, 65536):
                self.text += some.decode(errors="replace")
        os.close(terminal)

    def end(self, asked: bool = False) -> int:
        """The exit code; a server is asked to end."""
        if asked:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    @property
    def lines(self) -> list[str]:
        """All that was shown, also what was overwritten, without colours."""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)
        return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]

    def check(self) -> None:
        """Fail where a line is a library's."""
        assert self.lines
        assert [line for line in self.lines if LIBRARY.search(line)] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run has pushed a model."""
    folder = tmp_path_factory.mktemp("quiet")
    write_settings(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Terminal:
    """The run itself."""
    terminal = Terminal(folder, "run", "--config", "settings.yaml")
    assert terminal.end() == 0, terminal.text
    return terminal


@pytest.mark.slow
def test_a_run_shows_what_it_does_and_no_library(run: Terminal, folder: Path):
    run.check()
    assert any("Train the two-tower" in line for line in run.lines), "progress was shown"
    (log,) = folder.glob(".setlist/run-*.log")
    assert "port.cc" not in log.read_text(), "nor does its log hold it"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["models", "refresh-items", "--config", "settings.yaml"],
        ["models", "show", "1"],
        ["gate", "EVALUATIONS"],
        ["report", "RUN"],
    ],
    ids=" ".join,
)
def test_a_command_over_a_run_shows_no_library(run: Terminal, folder: Path, command: list[str]):
    (root,) = folder.glob(".setlist/retraining-*")
    paths = {"RUN": str(root), "EVALUATIONS": str(root / "evaluate" / "evaluations")}
    terminal = Terminal(folder, *(paths.get(word, word) for word in command))
    assert terminal.end() in (0, 2), terminal.text
    terminal.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "ready"),
    [
        (["serve", "--store", ".setlist/store"], "is live here"),
        (["dashboard"], "Ctrl-C ends it"),
        (["follow", "--store", ".setlist/store", "--to", "live"], "is in live"),
    ],
    ids=["serve", "dashboard", "follow"],
)
def test_a_server_shows_no_library(run: Terminal, folder: Path, command: list[str], ready: str):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listens = [] if command[0] == "follow" else ["--port", str(port)]
    terminal = Terminal(folder, *command, *listens)
    try:
        until(lambda: ready in terminal.text or terminal.process.poll() is not None)
    finally:
        terminal.end(asked=True)
    assert ready in terminal.text
    terminal.check()
