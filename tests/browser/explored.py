"""Real runs on one store, and the explorer over them, as `setlist dashboard` serves it."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page
from tests.waiting import PATIENCE, until

from setlist.data.sample import generate
from setlist_pipelines.cli.screen import StepProgress
from setlist_pipelines.laptop.runner import run_local
from setlist_pipelines.settings.file import SAMPLE, read_settings

FLOODED = "data.events.path=sample://events?planted=one_region"
QUICK = (
    *("model.epochs=2", "model.dimension=16"),
    *("heuristics.fit=[most_popular]", "policy.believable=null"),
    "policy.limits.p99_ms=null",  # a busy machine has a say in it
    "evaluation.only=[ndcg@10,coverage@10,intra_list_diversity@10,popularity_lift@10]",
)
EARLIER = "as_of=2026-04-24"
"""A first run that ends a week before the second: its candidate is the live model of that."""


def run(workdir: Path, *changes: str) -> Path:
    """Run the pipeline on the sample, to the store in `workdir`; the folder of the run."""
    settings = read_settings(SAMPLE, [f"store={workdir / 'store'}", *changes])
    with StepProgress() as progress:
        return run_local(settings, workdir, progress.show).root


def retitled(path: Path, titles: list[str], tags: list[str]) -> Path:
    """Write the sample's playlists, with these titles and tags on the most popular of the flood.

    Every title stands twice. The tag comes before its playlist's own, of them the region's first.
    """
    flooded = generate(planted="one_region")
    items = flooded.playlists.set_index("playlist")
    items["tags"] = items["tags"].str.split("|")
    listeners = flooded.events.groupby("playlist")["listener"].nunique()
    loved = listeners[listeners.index.isin(items.index)].nlargest(2 * len(titles)).index
    for place, item in enumerate(loved):
        own = sorted(items.at[item, "tags"], key=lambda tag: tag != "brazil")
        items.at[item, "title"] = titles[place % len(titles)]
        items.at[item, "tags"] = [tags[place % len(tags)], *own]
    items.reset_index().to_parquet(path, index=False)
    return path


def moved(path: Path, country: str) -> Path:
    """Write the sample's listeners, every tenth of them in this country."""
    people = generate().listeners
    people.loc[::10, "country"] = country
    people.to_parquet(path, index=False)
    return path


@contextmanager
def explorer(workdir: Path) -> Iterator[str]:
    """`setlist dashboard` over the runs and the store in `workdir`, stopped at the end.

    Its address is given once it answers.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "setlist_pipelines", "dashboard", "--port", str(port)]
    command += ["--workdir", ".", "--store", "store"]  # a picture names no folder of this machine
    # Behind a proxy, which is harder than at the root of a host.
    command += ["--root-path", "/lists"]
    with (workdir / "dashboard.log").open("w") as log:
        server = subprocess.Popen(command, cwd=workdir, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/lists/_stcore/health", server, Path(log.name))
            yield f"http://127.0.0.1:{port}/lists/"
        finally:
            server.terminate()
            try:
                server.wait(timeout=PATIENCE)
            finally:
                server.kill()


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    def answers() -> bool:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).close()
        except urllib.error.URLError:
            return False
        return True

    until(answers)


def settled(page: Page) -> None:
    """Wait until a page that was just opened says what it has to say."""
    page.locator(".sl-lists, .sl-people, .sl-history, .sl-notice").first.wait_for()
    page.locator(".stApp[data-test-script-state=notRunning]").wait_for()
