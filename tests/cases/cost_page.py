"""The commands in docs/explanation/cost.md and what they print.

`python tests/cases/cost_page.py` writes it.
"""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from setlist_pipelines.cli.main import app

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "cost.md"
BLOCK = re.compile(r"```console\n\$ setlist (.+)\n(?:.*\n)*?```")


def printed(page: str) -> str:
    """The page, below each of its commands what the command prints now."""

    def block(found: re.Match[str]) -> str:
        done = CliRunner().invoke(app, shlex.split(found[1]), catch_exceptions=False)
        return f"```console\n$ setlist {found[1]}\n{done.output.rstrip()}\n```"

    return BLOCK.sub(block, page)


if __name__ == "__main__":
    PAGE.write_text(printed(PAGE.read_text("utf-8")), "utf-8")
