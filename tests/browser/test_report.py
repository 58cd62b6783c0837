"""The report page in a real browser: of a run written by hand, with the worst titles and tags."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, expect
from tests.browser.opened import opened, tab_to
from tests.setlist.report.written import HOSTILE, ITEMS, build, counts, trainings

from setlist.report.page import write_report

WORST = (
    *HOSTILE,
    "<script>alert(5)</script>",
    "'; alert(6); //",
    "\u202egnortsi siht\u202e",
    "</bdi>\u2067\u2066\u202e",
    "W" * 10_000,
    "{{7*7}}",
    "عنوان من اليمين إلى اليسار",
    "a\nb\tc\x00d",
)
TAGS = ("<script>alert(7)</script>", "\u202etag", "T" * 10_000, "{{7*7}}", '" onload="alert(8)')
PLACES = ("<svg onload=alert(9)>", "{{7*7}}" * 1_000)


def spoil(folder: Path) -> tuple[Path, Path]:
    """Other lists for each listener, and hostile text wherever text comes from the data."""
    evaluations, verdict = build(folder, titles=WORST)
    top = evaluations / "candidate" / "top.npy"
    lists = np.load(top)
    np.save(top, (lists + np.arange(len(lists), dtype=np.int32)[:, None]) % ITEMS)
    items = pd.read_parquet(evaluations / "items.parquet")
    items["tags"] = [[TAGS[item % 5], TAGS[item % 3]] for item in range(ITEMS)]
    items.to_parquet(evaluations / "items.parquet", index=False)
    users = pd.read_parquet(evaluations / "users.parquet")
    users["country"] = [PLACES[row % 2] for row in range(len(users))]
    users["user_id"] = [f"{WORST[row % len(WORST)]}{row}" for row in range(len(users))]
    users.to_parquet(evaluations / "users.parquet", index=False)
    # What one half plays carries other tags than what the other half does.
    truth = pd.read_parquet(evaluations / "truth.parquet")
    truth["item"] = truth["user"] % 2
    truth.to_parquet(evaluations / "truth.parquet", index=False)
    return evaluations, verdict


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("run")
    page = folder / "page.html"
    record = trainings(folder / "training", "two-tower", "wide")
    write_report(*spoil(folder), page, record, curation=counts("<script>alert(10)</script>"))
    return page.as_uri()


@pytest.mark.parametrize("width", [1280, 400])
def test_it_opens_in_peace_and_nothing_sticks_out(browser: Browser, url: str, width: int):
    with opened(browser, url, viewport={"width": width, "height": 800}) as one:
        expect(one.page.get_by_role("heading", level=1)).to_contain_text("Retraining report")
        expect(one.page.locator(".sentence")).to_be_in_viewport()
        assert one.wider_than_the_window() == 0
        one.page.get_by_label("Show listener").select_option("")
        assert one.wider_than_the_window() == 0
        assert one.faults == []


def test_a_tint_is_as_deep_as_its_key(browser: Browser, url: str):
    """Of a heuristic, which is quieter than models; and what is said holds in the dark, too."""
    ground = "one => getComputedStyle(one).backgroundColor"
    with opened(browser, url) as one:
        slices = one.page.get_by_role("region", name="Slices")
        cell = slices.locator("td.heuristic").first
        cell.evaluate("one => one.classList.add('down4')")
        assert cell.evaluate(ground) == one.page.locator(".key.down4").evaluate(ground)
        assert "dark" not in one.page.locator("main").inner_text()


def test_hostile_text_is_shown_as_it_stands(browser: Browser, url: str):
    with opened(browser, url) as one:
        one.page.get_by_label("Show listener").select_option("")
        lists = one.page.locator(".lists").all_inner_texts()
        for title in ("<script>alert(5)</script>", "{{7*7}}", HOSTILE[0]):
            assert any(title in text for text in lists), title
        assert not any("\t49\n" in text or "\n49\n" in text for text in lists)
        assert one.page.locator("script").count() == 1
        assert one.page.locator("img, [onload], [onclick], [onerror]").count() == 0
        assert one.faults == []


def test_a_right_to_left_title_turns_nothing_around_it(browser: Browser, url: str):
    """The rank stays left of the title, and what follows a title follows it."""
    with opened(browser, url) as one:
        row = one.page.locator(".lists:visible tr", has_text="gnortsi siht").first
        rank, cell = row.locator("th").bounding_box(), row.locator("td").first.bounding_box()
        assert rank is not None
        assert cell is not None
        assert rank["x"] + rank["width"] <= cell["x"] + 1
        assert row.locator("th").inner_text().isdigit()


def test_a_listener_is_chosen_by_keyboard(browser: Browser, url: str):
    with opened(browser, url) as one:
        shown = one.page.locator(".listener:visible")
        expect(shown).to_have_count(1)
        first = shown.locator("table").inner_text()
        picker = one.page.get_by_label("Show listener")
        tab_to(one.page, picker)
        expect(picker).to_be_focused()
        one.page.keyboard.press("ArrowDown")
        expect(shown).to_have_attribute("id", "listener-2")
        assert shown.locator("table").inner_text() != first
        one.page.keyboard.press("End")
        assert shown.count() == one.page.locator(".listener").count() > 10, "the last is: all"


def test_the_first_key_leads_past_the_head_of_the_page(browser: Browser, url: str):
    with opened(browser, url) as one:
        one.page.keyboard.press("Tab")
        skip = one.page.get_by_role("link", name="Skip to the verdict")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        one.page.keyboard.press("Enter")
        expect(one.page.locator("#verdict")).to_be_focused()
        for link in one.page.get_by_role("navigation").get_by_role("link").all():
            link.press("Enter")
            target = one.page.locator(link.get_attribute("href") or "")
            expect(target).to_be_focused()
            expect(target.locator("xpath=following-sibling::*[1]")).to_be_in_viewport()
        assert one.faults == []


def test_it_opens_in_a_sandboxed_frame(browser: Browser, url: str, tmp_path: Path):
    """As the UI of Kubeflow Pipelines shows it: its scripts may run, and nothing else."""
    html = Path(url.removeprefix("file://")).read_text("utf-8")
    host = tmp_path / "host.html"
    frame = '<iframe sandbox="allow-scripts" style="width: 1200px; height: 700px"></iframe>'
    host.write_text(f'<!DOCTYPE html><html lang="en"><title>host</title>{frame}</html>')
    with opened(browser, host.as_uri()) as one:
        one.page.locator("iframe").evaluate("(one, html) => { one.srcdoc = html }", html)
        inside = one.page.frame_locator("iframe")
        expect(inside.locator(".listener:visible")).to_have_count(1)
        inside.get_by_label("Show listener").select_option("listener-3")
        expect(inside.locator(".listener:visible")).to_have_attribute("id", "listener-3")
        inside.get_by_role("link", name="Slices").click()
        expect(inside.locator("#slices")).to_be_in_viewport()
        expect(inside.locator("svg.popularity")).to_have_count(1)
        assert one.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, url: str, scheme: str):
    with opened(browser, url, color_scheme=scheme) as one:
        dark = one.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (scheme == "dark")
        one.page.locator("summary").click()
        assert one.violations() == []


def test_axe_would_find_something(browser: Browser, url: str):
    with opened(browser, url) as one:
        one.page.add_style_tag(content=".quiet { color: #ccc !important; }")
        assert any("color-contrast" in found for found in one.violations())


def test_paper_shows_everything_and_no_controls(browser: Browser, url: str):
    with opened(browser, url) as one:
        assert not one.page.locator("details dl").is_visible()
        one.page.emulate_media(media="print")
        for part in one.page.locator(".listener, details dl, section, svg").all():
            expect(part).to_be_visible()
        for control in one.page.locator("select, nav, .skip").all():
            expect(control).not_to_be_visible()
        assert one.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
        assert one.faults == []
