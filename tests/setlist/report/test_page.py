"""The report of a small evaluation that is written by hand, read back with an HTML parser."""

import base64
import hashlib
import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.setlist.report.written import (
    HOSTILE,
    ITEMS,
    NEW,
    UNTAGGED,
    build,
    trainings,
    without_tags,
)

from setlist.data.verdict import DataReason, DataVerdict
from setlist.errors import EvaluationError, SetlistError
from setlist.evaluation.verdict import Reason
from setlist.models.training_record import read_training_records
from setlist.report.curves import draw_curves
from setlist.report.forest import draw_forest
from setlist.report.identity import Identity
from setlist.report.listeners import pick_listeners
from setlist.report.page import write_report
from setlist.store.kept_report import Neighbour, revision_path, with_links, with_revision

SECTIONS = ("verdict", "models", "glance", "slices", "listeners", "since", "data")
VOID = {"meta", "br", "wbr", "img", "link", "input", "hr", "base"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(self.raw.split())

    @property
    def raw(self) -> str:
        return "".join(one if isinstance(one, str) else one.raw for one in self.children)

    def all(self, tag: str = "", of: str = "") -> "list[Element]":
        """The elements below with that tag and that class."""
        below = [
            found
            for one in self.children
            if isinstance(one, Element)
            for found in (one, *one.all())
        ]
        return [
            one
            for one in below
            if tag in ("", one.tag)
            and (not of or of in (one.attributes.get("class") or "").split())
        ]

    def one(self, tag: str = "", of: str = "") -> "Element":
        (found,) = self.all(tag, of)
        return found

    def section(self, name: str) -> "Element":
        (found,) = (one for one in self.all("section") if one.attributes["aria-labelledby"] == name)
        return found

    def rows(self) -> list[list[str]]:
        """The text of a table's cells."""
        return [
            [cell.text for cell in row.all() if cell.tag in ("th", "td")] for row in self.all("tr")
        ]


class Page(HTMLParser):
    """A tree of the page; an end tag that closes nothing fails the test."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open = [Element("page", {})]
        self.feed(text)
        self.close()
        assert len(self.open) == 1, "not all elements are closed"
        self.root = self.open[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("run")
    page = folder / "page"
    write_report(*build(folder), page)
    assert sorted(path.name for path in folder.iterdir()) == ["evaluations", "page", "verdict"]
    return page.read_text("utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Element:
    return Page(text).root


def test_verdict_comes_first_with_every_rule(page: Element) -> None:
    first = page.one("main").all("section")[0]
    assert first.one(of="badge").text == "reject"
    assert first.one(of="statements").text == "candidate: reject live: nothing changes"
    assert first.one(of="sentence").text == "The candidate is rejected; it broke: gini@10 at most."
    assert first.one(of="live").text == "Nothing changes: revision 7 stays live."
    paragraphs = [one.text for one in first.one("div", "reject").all("p") if one.all("span")]
    *unproven, broken = paragraphs
    assert broken == (
        "FAIL gini@10 at most: gini@10 is 0.2500, at most 0.2000 is needed; "
        "the best of the others is 0.7500, of co_visited."
    )
    assert [text.partition(":")[0] for text in unproven] == [
        "not shown to lose no group by country worse off than with live-7",
        "not shown to lose no group by history length worse off than with live-7",
        "not shown to lose no group by item part worse off than with live-7",
    ]
    header, *rules = first.one("table").rows()
    assert header == ["outcome", "rule", "value", "interval", "needed", "in words"]
    assert [rule[1] for rule in rules] == [
        "another model than live-7",
        "lists nothing excluded",
        "knows the catalogue",
        "not too good to be true",
        "better than co_visited",
        "better than relisten",
        "not worse than live-7",
        "no group by country worse off than with live-7",
        "no group by history length worse off than with live-7",
        "no group by item part worse off than with live-7",
        "gini@10 at most",
        "serves as evaluated",
        "p99 latency at most",
        "size at most",
    ]
    assert [rule[1] for rule in rules if rule[0] == "FAIL"] == ["gini@10 at most"]
    by_rule = {rule[1]: rule for rule in rules}
    better = by_rule["better than co_visited"]
    assert better[2:5] == ["+0.2000", "+0.2000 to +0.2000", "+0.0060"]
    assert better[5].startswith("ndcg@10 0.5000, co_visited 0.3000: +0.2000")
    assert by_rule["gini@10 at most"][2:5] == ["0.2500", "none", "0.2000"]
    harm = by_rule["no group by country worse off than with live-7"]
    assert harm[0] == "not shown to lose"
    assert harm[5].endswith("; too few to say: <i>NG</i> (6).")


def test_models_stand_side_by_side(page: Element) -> None:
    header, *rows = page.section("models").all("table")[0].rows()
    assert header == [
        "model",
        "ndcg@10higher is better",
        "intra list diversity@10higher is better",
        "gini@10lower is better",
    ]
    assert [row[0] for row in rows] == [
        "candidate",
        "live-7live",
        "co_visitedheuristic",
    ]
    silence = (
        "Not shown: relisten, which lists nothing on the discovery shelf (this shelf leaves out "
        "what a listener has played before)."
    )
    assert silence in page.section("models").text
    assert silence in page.section("slices").text
    assert rows[0][1].startswith("0.5000 (best)")
    assert rows[0][3] == "0.2500 (best)", "relisten has .0, but shows nobody anything"
    low, _, high = rows[1][1].removeprefix("0.4000").strip().split(" ")
    assert 0.39 < float(low) < 0.4 < float(high) < 0.41


def test_metrics_of_tags_are_not_shown_where_no_item_has_any(tmp_path: Path) -> None:
    evaluations, verdict = build(tmp_path)
    without_tags(evaluations)
    write_report(evaluations, verdict, tmp_path / "page")
    page = Page((tmp_path / "page").read_text("utf-8")).root
    text = page.section("models").text
    assert "Not shown: intra_list_diversity@10, which reads tags, and no item has any." in text
    assert "intra list diversity" not in text
    assert "intra list diversity" not in page.section("since").text
    assert len(page.section("models").all("table")[0].rows()[0]) == 3


def test_shared_truth_is_its_own_table(page: Element) -> None:
    section = page.section("models")
    header, *rows = section.all("table")[1].rows()
    assert header == ["model", "ndcg@10higher is better"], "diversity does not depend on truth"
    assert [row[0] for row in rows] == ["candidate", "live-7live"]
    assert "(70 listeners have such plays)" in section.text
    assert "Candidate minus live-7: ndcg@10 +0.0000" in section.text


def test_without_a_live_model_there_is_no_shared_truth(tmp_path: Path) -> None:
    write_report(*build(tmp_path, live=False), tmp_path / "page")
    page = Page((tmp_path / "page").read_text("utf-8")).root
    assert len(page.section("models").all("table")) == 1
    said = page.section("verdict")
    assert said.one(of="statements").text == "candidate: reject live: heuristic co_visited"
    assert said.one(of="sentence").text == "The candidate is rejected; it broke: gini@10 at most."
    assert said.one(of="live").text == (
        "The best heuristic, co_visited (ndcg@10 0.3000), goes live, because nothing is live yet."
    )
    assert "Nothing was live" in page.section("verdict").text


def test_in_mode_manual_nothing_goes_live_by_itself(tmp_path: Path) -> None:
    write_report(*build(tmp_path, live=False, mode="manual"), tmp_path / "page")
    said = Page((tmp_path / "page").read_text("utf-8")).root.section("verdict")
    assert said.one(of="statements").text == "candidate: reject live: heuristic co_visited, staged"
    assert said.one(of="live").text == (
        "The best heuristic, co_visited (ndcg@10 0.3000), is staged, because nothing is live yet; "
        "it goes live when a person promotes it."
    )


def test_plot_has_a_row_for_every_other_model(page: Element) -> None:
    drawing = page.one("svg", "forest")
    rows = [one.text for one in drawing.all("text") if one.text.endswith(")")]
    assert rows == [
        "better than co_visited (pass)",
        "better than relisten (pass)",
        "not worse than live-7 (pass)",
    ]
    assert "better than co_visited: +0.2000, +0.2000 to +0.2000" in drawing.one("desc").text


def reason(value: float, low: float | None, high: float | None) -> Reason:
    return Reason(
        rule="r", outcome="fail", value=value, low=low, high=high, needed=0.01, sentence="s"
    )


def test_only_paired_rules_are_drawn_and_their_names_are_text() -> None:
    assert draw_forest([reason(1.0, None, None)], "ndcg@10") == ""
    odd = reason(0.1, 0, 0.13).model_copy(update={"rule": "<b>$x^$" + "y" * 10_000})
    drawn = draw_forest([reason(-0.03, -0.04, -0.02), odd], "ndcg@10")
    assert drawn.count("(fail)") == 2
    assert "<b>" not in drawn
    assert "&lt;b&gt;$x^$" in drawn
    assert "var(--bad)" in drawn
    assert "#0102" not in drawn, "every colour that stands for one of the page is replaced"


def test_slices_compare_with_the_live_model(page: Element) -> None:
    table = page.section("slices").one("table")
    rows = {row[0]: row[1:] for row in table.rows()}
    assert rows["all listeners"] == [
        "76",
        "0.5000+0.1000",
        "0.4000live",
        "0.3000-0.1000",
    ]
    assert rows["newcomer"] == ["19", "too few to say (under 30 listeners)"]
    assert rows["light"][0] == "38"
    assert rows["not known"][0] == "30"
    assert rows["<i>NG</i>"][:2] == ["6", "too few to say (under 30 listeners)"]
    assert list(rows).index("SE") > list(rows).index("by country")
    gains = [cell.text for cell in table.all("td", "up3")]
    assert len(gains) == 6, "the candidate, by a quarter, in the six groups that are large enough"
    assert all(cell.endswith(("+0.1000", "+0.0500")) for cell in gains)
    losses = table.all("td", "down3") + table.all("td", "down4")
    assert len(losses) == 6, "co_visited; relisten lists nothing and is not shown"
    assert all("heuristic" in (cell.attributes["class"] or "") for cell in losses)


def test_without_a_live_model_slices_compare_with_the_best_heuristic(tmp_path: Path) -> None:
    write_report(*build(tmp_path, live=False), tmp_path / "page")
    page = Page((tmp_path / "page").read_text("utf-8")).root
    rows = {row[0]: row[1:] for row in page.section("slices").one("table").rows()}
    whole = ["76", "0.5000+0.2000", "0.3000best heuristic"]
    assert rows["all listeners"] == whole


def test_slices_by_what_is_played(page: Element) -> None:
    rows = page.section("slices").one("table").rows()
    names = [row[0] for row in rows]
    assert "by history length" in names
    assert names[names.index("by plays of") :] == ["by plays of", "head", "torso", "tail", "new"]
    head, torso, tail, new = rows[-4:]
    assert head[1:] == ["76", "0.2500+0.0500", "0.2000live", "0.1500-0.0500"]
    assert torso[1] == "40"
    assert tail[1:] == ["6", "too few to say (under 30 listeners)"]
    assert new[1:] == ["0", "too few to say (under 30 listeners)"]


def test_listeners_see_every_list(page: Element) -> None:
    cards = page.section("listeners").all("article")
    assert len(cards) == 17, "2 of each of 3 classes in 3 countries, but NG has one newcomer only"
    card = cards[0]
    assert "0 plays before the cutoff (newcomer)" in card.text
    assert "SE" in card.text
    header, *rows = card.one("table").rows()
    assert header[1] == "candidate1 played, ndcg@10 0.5100"
    assert [row[0] for row in rows] == [str(rank) for rank in range(1, 11)]
    candidate, live, _, relisten = zip(*(row[1:] for row in rows), strict=True)
    assert candidate[0] == f"{HOSTILE[0]}folk, <u> played"
    assert candidate[UNTAGGED] == "Title 5no tags"
    assert candidate[NEW] == "Title 6folk, <u> new item"
    assert live[0] == "Title 13folk, <u> played"
    assert live[8:] == ("not in the catalogue", "nothing listed")
    assert set(relisten) == {"nothing listed"}
    assert [cell.text for cell in card.all("td", "hit")] == [candidate[0], live[0], rows[9][3]]


def test_same_listeners_are_chosen_from_a_table_in_any_order() -> None:
    users = pd.DataFrame(
        {
            "user_id": [f"u{number}" for number in range(600)],
            "country": [f"c{number % 7 * number % 5}" for number in range(600)],
            "relevant": 1,
            "history": 1,
            "listener": [("heavy", "light", "newcomer")[number % 3] for number in range(600)],
        }
    )

    def chosen(users: pd.DataFrame) -> list[list[str]]:
        return [users["user_id"].iloc[rows].tolist() for rows in pick_listeners(users)]

    segments = chosen(users)
    assert [len(segment) for segment in segments] == [2] * 12
    assert len({user for segment in segments for user in segment}) == 24
    assert chosen(users.sample(frac=1, random_state=1).reset_index(drop=True)) == segments
    assert [len(segment) for segment in pick_listeners(users.drop(columns="country"))] == [8] * 3


def test_data_says_what_was_left_out_and_which_models(page: Element) -> None:
    section = page.section("data")
    assert "2026-04-01 to 2026-04-15" in section.text
    left_out, models = (table.rows() for table in section.all("table"))
    assert left_out[1] == ["events on items that were not known at the cutoff", "1,234"]
    assert models[2] == [
        "live-7live",
        "two tower",
        "7",
        "2026-01-01 to 2026-04-01 06:00",
        "76",
        hashlib.sha256(b"live-7").hexdigest(),
    ]


def test_data_says_that_a_sample_was_evaluated(page: Element, tmp_path: Path) -> None:
    evaluations, verdict = build(tmp_path)
    record = evaluations / "evaluation.json"
    document = json.loads(record.read_text())
    document["sampled_from"] = 1_234_567
    record.write_text(json.dumps(document))
    judged = json.loads(verdict.read_text())
    judged["evaluation_digest"] = hashlib.sha256(record.read_bytes()).hexdigest()
    verdict.write_text(json.dumps(judged))
    write_report(evaluations, verdict, tmp_path / "page")
    section = Page((tmp_path / "page").read_text("utf-8")).root.section("data")
    sampled = "of 1,234,567, the same share of each group by history length, country"
    assert f"{document['listeners']} {sampled}" in section.text
    assert "the same share" not in page.section("data").text


def test_hostile_text_is_text(text: str, page: Element) -> None:
    for title in HOSTILE:
        assert title not in text
    assert {one.tag for one in page.all()}.isdisjoint({"img", "b", "i", "u"})
    attributes = {name for one in page.all() for name in one.attributes}
    assert not any(name.startswith("on") for name in attributes)
    assert "49" not in page.section("listeners").all("article")[0].one("table").rows()[3][1]
    script = page.one("script")
    assert "alert" not in script.text


def test_nothing_but_the_own_script_may_run(page: Element) -> None:
    (script,) = page.one("script").children
    assert isinstance(script, str)
    sha = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(
        one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{sha}';" in policy


def test_page_needs_nothing_beside_it(text: str, page: Element) -> None:
    for word in ("http://", "https://", "url(", "@import"):
        assert word not in text
    for one in page.all():
        assert not {"src", "srcset", "data", "action"} & set(one.attributes)
        assert (one.attributes.get("href") or "#").startswith("#")
    assert len(text.encode()) < 3_000_000


def test_long_titles_do_not_swell_the_page(tmp_path: Path) -> None:
    write_report(*build(tmp_path, titles=("&" * 100_000,) * ITEMS), tmp_path / "page")
    assert (tmp_path / "page").stat().st_size < 1_000_000


def test_twenty_listeners_of_each_segment_fit_below_3_mb(tmp_path: Path) -> None:
    """Under eight models, with long titles: eight times the listeners, in four countries."""
    titles = [f"The long evening drive: songs for autumn rain, volume {n:04}" for n in range(ITEMS)]
    evaluations, verdict = build(tmp_path, titles=(*titles,))
    items = pd.read_parquet(evaluations / "items.parquet")
    items["tags"] = [["ambient", "instrumental", "sweden"]] * ITEMS
    items.to_parquet(evaluations / "items.parquet")
    users, truth = (pd.read_parquet(evaluations / f"{part}.parquet") for part in ("users", "truth"))
    count = len(users)
    users = pd.concat([users.assign(country=f"C{copy % 4}") for copy in range(8)])
    users.assign(user_id=[f"u{n}" for n in range(8 * count)]).to_parquet(
        evaluations / "users.parquet", index=False
    )
    pd.concat([truth.assign(user=truth["user"] + copy * count) for copy in range(8)]).to_parquet(
        evaluations / "truth.parquet", index=False
    )
    for home in evaluations.glob("*/"):
        np.save(home / "top.npy", np.tile(np.load(home / "top.npy"), (8, 1)))
        values = pd.read_parquet(home / "per_user.parquet")
        pd.concat([values] * 8).to_parquet(home / "per_user.parquet", index=False)
    record = evaluations / "evaluation.json"
    document = json.loads(record.read_text())
    document["listeners"] = document["sampled_from"] = 8 * count
    *_, model, silent = document["models"]
    document["models"].remove(silent)
    for label in ("recently_popular", "popular_by_segment", "most_popular", "one", "another"):
        document["models"].append(model | {"label": label})
        shutil.copytree(evaluations / model["label"], evaluations / label)
    record.write_text(json.dumps(document))
    told = json.loads(verdict.read_text())
    told["evaluation_digest"] = hashlib.sha256(record.read_bytes()).hexdigest()
    verdict.write_text(json.dumps(told))
    write_report(evaluations, verdict, tmp_path / "page", per_segment=20)
    text = (tmp_path / "page").read_text("utf-8")
    assert text.count("<article") == 3 * 4 * 20
    assert text.count("<td") > 3 * 4 * 20 * 8 * 10
    assert len(text.encode()) < 3_000_000


def test_page_can_be_read_by_everybody(page: Element) -> None:
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("head").one("title").text.startswith("reject")
    assert len(page.all("h1")) == 1
    for table in page.all("table"):
        assert table.one("caption").text
        for header in table.all("th"):
            assert header.attributes["scope"] in ("col", "row", "rowgroup")
    for box in page.all("div", "scroll"):
        assert box.attributes["tabindex"] == "0"
        assert {"aria-label", "aria-labelledby"} & set(box.attributes)
    for drawing in page.all("svg"):
        assert drawing.attributes["role"] == "img"
        assert drawing.one("title").text
        assert drawing.one("desc").text
    identities = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(identities) == len(set(identities))
    links = [one.attributes["href"] for one in page.all("a")]
    assert {link for link in links if link} == {f"#{name}" for name in SECTIONS}


def test_without_scripts_all_listeners_are_shown_and_no_picker(page: Element) -> None:
    section = page.section("listeners")
    assert "hidden" in section.one(of="picker").attributes
    cards = section.all("article")
    assert not any("hidden" in card.attributes for card in cards)
    choices = [one.attributes["value"] for one in section.all("option")]
    assert choices == [*(card.attributes["id"] for card in cards), ""]
    assert section.one("label").attributes["for"] == section.one("select").attributes["id"]


def test_the_head_says_which_run_it_is(tmp_path: Path) -> None:
    evaluations, verdict = build(tmp_path)
    identity = Identity(
        "home/summer",
        "retraining-20260501-051234-1a2b3c4d",
        "gs://bucket/<prefix>",
        datetime(2026, 5, 1, 5, 12, 34, tzinfo=UTC),
        [
            Neighbour("live before", "revision 6 of run a", revision_path(6)),
            Neighbour("run before", "<b>, refused"),
        ],
    )
    write_report(evaluations, verdict, tmp_path / "page", identity=identity)
    text = (tmp_path / "page").read_text("utf-8")

    def head(text: str) -> dict[str, str]:
        facts = Page(text).root.one("dl", "identity")
        names, values = facts.all("dt"), facts.all("dd")
        return {name.text: value.text for name, value in zip(names, values, strict=True)}

    assert head(text) == {
        "model": "home/summer",
        "run": "retraining-20260501-051234-1a2b3c4d",
        "revision": "not pushed",
        "store": "gs://bucket/<prefix>",
        "live before": "revision 6 of run a",
        "run before": "<b>, refused",
        "written": f"2026-05-01 05:12 UTC by setlist {version('setlist')}",
    }
    title = Page(text).root.one("head").one("title").text
    assert title == "reject: retraining report of home/summer, retraining-20260501-051234-1a2b3c4d"
    kept = with_links(with_revision(text, 7), "../")
    assert head(kept)["revision"] == "7"
    links = [one for one in Page(kept).root.all("a") if one.attributes["href"][0] != "#"]
    assert [(one.attributes["href"], one.text) for one in links] == [
        ("../revisions/6.report.html", "revision 6 of run a")
    ]


def test_lists_that_somebody_gave_have_no_run(page: Element) -> None:
    assert [one.text for one in page.one("dl", "identity").all("dt")] == ["written"]


def test_page_is_the_same_twice(tmp_path: Path) -> None:
    folders = build(tmp_path)
    for name in ("one", "two"):
        write_report(*folders, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_verdict_about_another_evaluation_is_refused(tmp_path: Path) -> None:
    evaluations, verdict = build(tmp_path)
    path = evaluations / "evaluation.json"
    path.write_text(path.read_text().replace("1234", "1235"))
    with pytest.raises(EvaluationError, match="not about the evaluation"):
        write_report(evaluations, verdict, tmp_path / "page")
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    "name",
    [
        "users.parquet",
        "items.parquet",
        "truth.parquet",
        "live-7/top.npy",
        "live-7/per_user.parquet",
    ],
)
def test_missing_part_is_named_and_no_page_is_written(tmp_path: Path, name: str) -> None:
    evaluations, verdict = build(tmp_path)
    (evaluations / name).unlink()
    with pytest.raises(SetlistError, match=f"{name} is missing"):
        write_report(evaluations, verdict, tmp_path / "page")
    assert not (tmp_path / "page").exists()


# Training.


HOSTILE_LABEL = "<b>$x^$&_"


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("learned")
    record = folder / "training"
    trainings(record, "wide", HOSTILE_LABEL)
    write_report(*build(folder), folder / "page", record)
    return (folder / "page").read_text("utf-8")


def test_candidates_stand_beside_each_other_and_the_chosen_one_is_marked(learned: str) -> None:
    section = Page(learned).root.section("training")
    assert "2 candidates were trained, and wide was chosen" in section.text
    assert "The last plays of 1,234 listeners" in section.text
    header, *rows = section.one("table").rows()
    assert header[:2] == ["candidate", "what differs"]
    assert rows == [
        [HOSTILE_LABEL, "dimension 16", "75", "12.2", "7.1250", "0.2500"],
        ["widechosen", "dimension 8", "65", "12.2", "7.1250", "0.5000"],
    ]


def test_the_curves_are_a_drawing_with_a_title_and_words(learned: str) -> None:
    drawing = Page(learned).root.section("training").one("svg")
    assert drawing.attributes["role"] == "img"
    title, words = drawing.one("title"), drawing.one("desc")
    named = f"{title.attributes['id']} {words.attributes['id']}"
    assert drawing.attributes["aria-labelledby"] == named
    assert title.text == "Loss after each epoch, and how well the held-out plays are ranked"
    assert (
        "wide, which is chosen: 6 epochs, loss in training from 7.750 to 6.500, NDCG@100 of the "
        "held-out plays from 0.050 to 0.250 at epoch 5." in words.text
    )
    written = [one.text for one in drawing.all("text")]
    assert {"wide", HOSTILE_LABEL, "loss in training", "NDCG@100 of held-out plays"} <= set(written)
    assert "currentColor" in learned
    assert "#010203" not in learned
    assert "fill: #000000" not in learned


def test_the_page_with_curves_is_as_closed_as_without(learned: str) -> None:
    page = Page(learned).root
    assert not page.all("b")
    for word in ("http://", "https://", "url(", "@import", "<b>"):
        assert word not in learned
    for one in page.all():
        assert not {"src", "srcset", "data", "action"} & set(one.attributes)
        assert (one.attributes.get("href") or "#").startswith("#")
        assert not any(name.startswith("on") for name in one.attributes)
    assert len(page.all("script")) == 1
    identities = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(identities) == len(set(identities))


def test_one_candidate_needs_no_comparison_and_none_no_section(tmp_path: Path, page: Element):
    record = trainings(tmp_path / "training", "two-tower", held=False)
    write_report(*build(tmp_path), tmp_path / "page", record)
    section = Page((tmp_path / "page").read_text("utf-8")).root.section("training")
    assert "The training of the candidate. No plays could be held out." in section.text
    assert "no plays held out" in section.one("svg").text
    assert section.one("table").rows()[1] == ["two-tower", "65", "12.2", "none", "none"]
    names = [one.attributes["aria-labelledby"] for one in page.all("section")]
    assert "training" not in names


def test_a_training_that_added_nothing_says_so(tmp_path: Path):
    folder = trainings(tmp_path / "training", "two-tower")
    path = folder / "two-tower.json"
    start = {"best": 0, "start": "iALS with <64> dimensions", "start_ndcg": 0.2, "timeless": True}
    start |= {
        "trials": {"iALS <64>": 0.21, "spectral": 0.3},
        "neighbours": "EASE with a share of 90%",
        "share": 0.25,
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | start))
    write_report(*build(tmp_path), tmp_path / "page", folder)
    section = Page((tmp_path / "page").read_text("utf-8")).root.section("training")
    for sentence in (
        "a dotted line the start. Training started from iALS with <64> dimensions.",
        "training added nothing, and the start is the model.",
        "a fixed sample of 25.0% of the listeners, since model.most_plays is 20,000,000",
        "The times of plays say nothing",
        "Beside the towers, EASE with a share of 90% makes up the score",
        "2 learners that training could have started from",
    ):
        assert sentence in section.text
    assert "so training added nothing" in section.one("svg").text


def test_the_curves_are_the_same_bytes_twice(tmp_path: Path) -> None:
    record = trainings(tmp_path / "training", "a", "b")
    found = read_training_records(record)
    assert draw_curves(found, "a") == draw_curves(found, "a")
    assert draw_curves(found, "a") != draw_curves(found, "b")


def test_the_verdict_on_the_data_stands_at_the_top_and_as_a_table(tmp_path):
    reasons = [
        DataReason(
            rule="spelling of country",
            outcome="warn",
            value=0.25,
            bound=0,
            sentence=f"country has {HOSTILE[0]}",
            remedy="write them alike",
        ),
        DataReason(rule="missing days", outcome="pass", value=0, bound=0, sentence="0 of 90 days"),
    ]
    DataVerdict.of(reasons).write(tmp_path / "data")
    evaluations, verdict = build(tmp_path)
    write_report(evaluations, verdict, tmp_path / "page", data_verdict=tmp_path / "data")
    root = Page((tmp_path / "page").read_text("utf-8")).root
    top = root.section("verdict").text
    assert "data, spelling of country: country has" in top
    assert "0 of 90 days" not in top, "what passes stands in the table only"
    rows = [row for table in root.section("data").all("table") for row in table.rows()]
    assert [row[:4] for row in rows if row[0].lower() in ("warn", "pass")] == [
        ["warn", "spelling of country", "0.2500", "0.0000"],
        ["pass", "missing days", "0.0000", "0.0000"],
    ]
    assert not root.section("verdict").all("script")
    assert HOSTILE[0] in root.section("verdict").raw
