"""The report in the folder of a run: its revision is filled in, its neighbours become links."""

import json
import os
from pathlib import Path
from urllib.parse import quote

from setlist.store.kept_report import page_base, with_links, with_revision
from setlist_pipelines.laptop.run_outputs import Run
from setlist_pipelines.settings.file import Settings


def finish_page(run: Run, settings: Settings, page: str, target: Path) -> None:
    """Write a page about a finished run where people open it.

    Args:
        run: the run.
        settings: of the run.
        page: as the report step writes it.
        target: the HTML file; links in it lead from there into a local store.

    Raises:
        OSError: it cannot be written.
    """
    pushed = run.output("push", "pushed")
    if pushed.is_file():
        page = with_revision(page, int(json.loads(pushed.read_text("utf-8"))["revision"]))
    page = with_links(page, _base(settings, target))
    partial = target.with_name(f".{target.name}.partial")
    partial.write_text(page, "utf-8")
    partial.replace(target)


def _base(settings: Settings, target: Path) -> str:
    if settings.store.startswith("gs://"):
        return page_base(settings.store, settings.name)
    model = Path(settings.store).expanduser().absolute() / settings.name
    return f"{quote(os.path.relpath(model, target.absolute().parent))}/"
