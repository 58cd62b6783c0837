"""Pages of the reference that are made from the code when the site is built.

A page has a line `<!-- made from the code: settings -->`; the text of that name takes its place.
"""

import re
from functools import cache

MARK = re.compile(r"^<!-- made from the code: (\w+) -->$", re.MULTILINE)


@cache
def made(name: str) -> str:
    """The Markdown of a name; a name that is not known is a fault.

    Raises:
        KeyError: there is no such text.
    """
    # Imported here: a page without such a line needs nothing of the code.
    from generator import alerts, commands, metrics, python_names, sections
    from setlist.evaluation.policy import Policy
    from setlist_pipelines.settings.file import Settings

    makers = {
        "settings": lambda: sections.page(Settings, without="policy"),
        "policy": lambda: sections.page(Policy, "policy"),
        "commands": commands.page,
        "python": python_names.page,
        "metrics": metrics.page,
        "alerts": alerts.page,
    }
    return makers[name]()


def filled(markdown: str) -> str:
    """The text of a page with what is made from the code in place of its marks."""
    return MARK.sub(lambda match: made(match[1]), markdown)
