"""The reference on the site holds every key, command and name of the code."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from tests.docs.pages import ROOT
from tests.setlist_pipelines.cli.documented import commands

import setlist
from setlist.evaluation.metric_names import BUILT_IN
from setlist_pipelines.settings.file import Settings

PENDING: set[str] = set()
"""Keys that have no words yet."""
VARIABLE = re.compile(r"\b_?(?:SETLIST|KFP|KF_PIPELINES)_[A-Z_]+\b")


class Tables(HTMLParser):
    """The tables of a page as rows of texts, and the texts of its headings."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.headings: list[str] = []
        self.inside = ""
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag == "td":
            self.tables[-1][-1].append("")
            self.inside = tag
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append("")
            self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self.inside:
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "td":
            self.tables[-1][-1][-1] += data
        elif self.inside:
            self.headings[-1] += data

    def rows(self) -> Iterator[list[str]]:
        """All rows of values."""
        for table in self.tables:
            yield from filter(None, table)


@pytest.fixture(scope="module")
def reference(site: Path):
    return lambda name: Tables(site / "reference" / f"{name}.html")


def classes() -> dict[str, set[str]]:
    """The keys of each class of the settings, as pydantic itself lists them."""
    schema = Settings.model_json_schema()
    parts = {"Settings": schema} | schema["$defs"]
    return {name: set(part["properties"]) for name, part in parts.items()}


def test_every_key_of_the_settings_and_of_the_policy_is_there_with_words_and_values(reference):
    pages = [reference("settings"), reference("policy")]
    tables = [{row[0] for row in filter(None, table)} for page in pages for table in page.tables]
    assert [name for name, keys in classes().items() if keys not in tables] == []
    for page in pages:
        for key, values, default, words, *more in page.rows():
            assert not more, "a | in a cell divides it"
            assert values, key
            assert default, key
            assert words or key in PENDING, f"{key}: nothing says what it is"


def test_defaults_are_yaml_of_the_defaults(reference):
    """Of the keys at the top, which have no other of their name."""
    shown = {row[0]: row[2] for row in reference("settings").tables[0] if row}
    given = Settings.model_validate({"data": {"events": {"path": "sample://events"}}})
    for key, default in shown.items():
        if default not in ("must be given", "as below"):
            value = given.model_dump(mode="json")[key]
            assert yaml.safe_load(default) == value, key


def test_every_command_is_there_with_its_options_and_examples(site: Path, reference):
    headings = set(reference("commands").headings)
    html = re.sub(r"<[^>]+>", "", (site / "reference" / "commands.html").read_text("utf-8"))
    for words, command in commands():
        assert any(heading.startswith(f"setlist {words}") for heading in headings), words
        for example in command.epilog.split("\n\n")[1:]:
            assert example.split(" ")[1] in html
    options = {name for row in reference("commands").rows() for name in row[0].split(", ")}
    declared = {name for _, command in commands() for each in command.params for name in each.opts}
    assert {name for name in declared if name.startswith("-")} - {"--help"} <= options


def test_every_public_name_is_there(reference):
    headings = {heading.strip("¶ ") for heading in reference("python").headings}
    assert {f"setlist.{name}" for name in setlist.__all__} <= headings


def test_every_metric_is_there(reference):
    assert {row[0] for row in reference("metrics").rows()} == set(BUILT_IN)


def test_every_alert_is_there(reference):
    groups = yaml.safe_load((ROOT / "manifests/monitoring/alerts.yaml").read_text("utf-8"))
    names = {rule["alert"] for group in groups["groups"] for rule in group["rules"]}
    assert names <= {heading.strip("¶ ") for heading in reference("alerts").headings}


def test_every_variable_is_there_and_no_other():
    sources = [
        path.read_text("utf-8")
        for folder in ("components/setlist", "pipelines/setlist_pipelines")
        for path in (ROOT / folder).rglob("*.py")
    ]
    page = (ROOT / "docs" / "reference" / "environment.md").read_text("utf-8")
    assert set(VARIABLE.findall(page)) == set(VARIABLE.findall("\n".join(sources)))
