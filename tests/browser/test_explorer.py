"""The explorer in a real browser, over two real runs, the second flooded, with the worst titles."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser.explored import EARLIER, FLOODED, QUICK, explorer, moved, retitled, run, settled
from tests.browser.opened import Opened, opened, tab_to
from tests.waiting import PATIENCE

from setlist.printable import one_line

pytestmark = pytest.mark.slow

TITLES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "\u202egnortsi siht\u202e",
    "W" * 10_000,
    "{{7*7}}",
    "[x](javascript:alert(3))",
    ":red[x] **bold** `code`",
    "$x$",
    "</bdi></td></table><!--",
    "'; alert(4); //",
]
TAGS = [
    "<script>alert(5)</script>",
    "\u202etag",
    "T" * 10_000,
    "{{7*7}}",
    '" onload="alert(6)',
    "[y](javascript:alert(7))",
]
COUNTRY = "![x](http://127.0.0.1:9/x.png) **b** $x$ <i>"
"""As Markdown, it fetches a picture from elsewhere."""
PAGES = ("Listener", "Whom it changes", "History")


class Seen(NamedTuple):
    """The explorer: its address, and the folders of the runs that it shows."""

    url: str
    plain: Path
    flooded: Path

    @contextmanager
    def at(self, browser: Browser, query: Any = (), **context: Any) -> Iterator[Opened]:
        """Open the explorer with this query; what went wrong until the end is a failure."""
        with opened(browser, f"{self.url}?{urlencode(query, True)}", self.url, **context) as one:
            settled(one.page)
            yield one
            assert one.faults == []


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    work = tmp_path_factory.mktemp("work")
    plain = run(work, EARLIER, *QUICK)
    items = retitled(work / "items.parquet", TITLES, TAGS)
    people = moved(work / "people.parquet", COUNTRY)
    flooded = run(work, FLOODED, f"data.items.path={items}", f"data.users.path={people}", *QUICK)
    with explorer(work) as url:
        yield Seen(url, plain, flooded)


@pytest.fixture(scope="module")
def people(seen: Seen) -> pd.DataFrame:
    """The listeners of the flooded run who were evaluated."""
    return pd.read_parquet(seen.flooded / "evaluate" / "evaluations" / "users.parquet")


def named(run: Path) -> str:
    """What the sidebar calls a run."""
    return run.name


def heads(page: Page) -> list[str]:
    return page.locator(".sl-lists thead th:not(.sl-rank) > bdi").all_text_contents()


def column(page: Page, label: str) -> Locator:
    """The cells of a model's list."""
    return page.locator(f".sl-lists td:nth-of-type({heads(page).index(label) + 1})")


def titles(page: Page, label: str) -> list[str]:
    return column(page, label).locator("> bdi").all_text_contents()


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait for what a click brings about."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"in vain; the address is {page.url}"
        page.wait_for_timeout(50)


def pick(page: Page, label: str, option: str) -> None:
    """Choose an option; the list is opened again where a rerun of the page has closed it."""
    box = page.get_by_role("combobox", name=label, exact=True)
    choice = page.get_by_role("option", name=option, exact=True)

    def opened() -> bool:
        if not choice.is_visible():
            box.click()
            page.wait_for_timeout(1_000)  # longer than a rerun that was on its way
        return choice.is_visible()

    until(page, opened)
    choice.click()


def say(page: Page, label: str, text: str) -> None:
    field = page.get_by_role("textbox", name=label)
    field.fill(text)
    field.press("Enter")


def choose(page: Page, words: str) -> None:
    """Search an item by its title, and put the most popular that is found into the history."""
    say(page, "Search titles", words)
    history = page.get_by_role("combobox", name="History, oldest first")
    history.click()
    page.get_by_role("option").filter(has_text=words).first.click()
    page.keyboard.press("Escape")
    expect(history).to_have_attribute("aria-expanded", "false")


def find(page: Page, user: str) -> None:
    say(page, "Listener", user)
    expect(page.locator(".sl-lists caption")).to_contain_text(f"to listener {user}")
    page.locator(".stApp[data-test-script-state=notRunning]").wait_for()


def somebody(people: pd.DataFrame, country: str, kind: str, place: int = 0) -> str:
    found = people[(people["country"] == country) & (people["listener"] == kind)]
    return str(found["user_id"].iloc[place])


@pytest.mark.parametrize("width", [1280, 400])
def test_it_opens_in_peace_on_the_models_that_matter(browser: Browser, seen: Seen, width: int):
    with seen.at(browser, viewport={"width": width, "height": 900}) as one:
        assert heads(one.page) == ["most_popular", "live-1", "candidate"]
        assert all(len(titles(one.page, label)) == 10 for label in heads(one.page))
        assert one.page.title() == "setlist"
        badges = one.page.locator(".sl-badge")
        expect(badges).to_have_text(["candidate: promote", "live: candidate"])
        assert one.wider_than_the_window("[data-testid=stMain]") == 0
        # A link goes on to mean this run when there is a newer one.
        until(one.page, lambda: f"run={named(seen.flooded)}" in one.page.url)


def test_back_leads_to_the_view_before(browser: Browser, seen: Seen, people):
    """Whatever was changed: a field, a button, the page, a run, a switch; and at last away."""
    user = somebody(people, "NG", "heavy")
    with seen.at(browser) as one:
        page = one.page
        field = page.get_by_role("textbox", name="Listener")
        caption = page.locator(".sl-lists caption")
        expect(field).not_to_have_value("")
        first = field.input_value()
        say(page, "Listener", user)
        expect(caption).to_contain_text(f"to listener {user}")
        page.get_by_role("button", name="Another one").click()
        expect(caption).not_to_contain_text(f"to listener {user}")
        expect(field).not_to_have_value(user)
        another = field.input_value()
        page.get_by_text(PAGES[2], exact=True).click()
        expect(page.locator(".sl-history")).to_be_visible()
        page.locator(".sl-history tbody a").last.click()
        until(page, lambda: heads(page) == ["most_popular", "candidate"])
        pick(page, "Run", named(seen.flooded))
        until(page, lambda: "live-1" in heads(page))
        page.go_back(wait_until="commit")
        # Told by what waits beyond a reload of the page.
        columns = page.locator(".sl-lists thead th:not(.sl-rank) > bdi")
        expect(columns).to_have_text(["most_popular", "candidate"])
        page.go_back(wait_until="commit")
        expect(page.locator(".sl-history")).to_be_visible()
        for listener in (another, user, first):
            page.go_back(wait_until="commit")
            expect(caption).to_contain_text(f"to listener {listener}")
            expect(field).to_have_value(listener)
        page.go_forward(wait_until="commit")
        expect(caption).to_contain_text(f"to listener {user}")
        page.go_back(wait_until="commit")
        expect(caption).to_contain_text(f"to listener {first}")
        page.go_back(wait_until="commit")
        until(page, lambda: page.url == "about:blank")


def test_a_control_that_would_do_nothing_is_greyed(browser: Browser, seen: Seen, people):
    """And it remembers its choice."""

    def usable(page: Page) -> list[str]:
        labels = ("Run", "Models", "Compare with", "Depth")
        boxes = {label: page.get_by_role("combobox", name=label, exact=True) for label in labels}
        return [label for label, box in boxes.items() if box.is_enabled()]

    with seen.at(browser, {"listener": somebody(people, "NG", "heavy"), "depth": 20}) as one:
        page = one.page
        assert usable(page) == ["Run", "Models", "Compare with", "Depth"]
        pick(page, "Compare with", "candidate")
        page.get_by_text(PAGES[1], exact=True).click()
        until(page, lambda: usable(page) == ["Run", "Depth"])
        page.get_by_text(PAGES[2], exact=True).click()
        until(page, lambda: usable(page) == [])
        page.get_by_text(PAGES[0], exact=True).click()
        until(page, lambda: usable(page) == ["Run", "Models", "Compare with", "Depth"])
        expect(page.locator(".sl-reference")).to_contain_text("candidate")
        until(page, lambda: len(titles(page, "candidate")) == 20)
        pick(page, "What if country were", "JP")
        until(page, lambda: usable(page) == ["Run", "Models", "Depth"])


def test_a_run_that_is_gone_is_not_another(browser: Browser, seen: Seen):
    with seen.at(browser, {"run": "<i>gone</i>"}) as one:
        said = one.page.get_by_role("alert").filter(has_text="There is no run")
        expect(said).to_have_text("There is no run <i>gone</i> here; choose another.")
        pick(one.page, "Run", named(seen.plain))
        until(one.page, lambda: heads(one.page) == ["most_popular", "candidate"])
        expect(said).to_have_count(0)
        pick(one.page, "Run", named(seen.flooded))
        until(one.page, lambda: heads(one.page) == ["most_popular", "live-1", "candidate"])


def test_a_listener_is_typed_and_another_one_leads_on(browser: Browser, seen: Seen, people):
    user = somebody(people, "NG", "heavy")
    with seen.at(browser) as one:
        field = one.page.get_by_role("textbox", name="Listener")
        first = field.input_value()
        caption = one.page.locator(".sl-lists caption")
        expect(caption).to_contain_text(f"listener {first}")
        say(one.page, "Listener", user)
        expect(caption).to_contain_text(f"listener {user}")
        assert f"listener={user}" in one.page.url
        expect(one.page.get_by_label("What if country were")).to_have_value("as it is")
        expect(one.page.locator(".sl-facts")).to_contain_text("country NG, age band")
        known = set()
        for _ in range(3):
            one.page.get_by_role("button", name="Another one").click()
            expect(caption).not_to_contain_text(f"listener {user}")
            expect(field).not_to_have_value(user)
            user = field.input_value()
            expect(caption).to_contain_text(f"listener {user}")
            known.add(user)
        assert len(known) == 3


def test_models_differ_where_they_must(browser: Browser, seen: Seen, people):
    """Most popular tells two listeners apart by what they know alone, the candidate by taste."""
    users = [somebody(people, "SE", "heavy"), somebody(people, "JP", "heavy")]
    query = {"models": ["most_popular", "candidate"], "depth": 100}
    known, unknown = [], []
    with seen.at(browser, query) as one:
        for lists in (unknown, known):
            for user in users:
                find(one.page, user)
                lists.append({label: titles(one.page, label) for label in heads(one.page)})
            switch = one.page.get_by_role("switch", name="Leave out what the listener knows")
            before = titles(one.page, "most_popular")
            scores = one.page.locator(".sl-lists thead").get_by_text("ndcg@10 0.")
            assert scores.count() == (2 if lists is unknown else 0), "of the lists as evaluated"
            switch.press("Space")
            until(one.page, lambda before=before: titles(one.page, "most_popular") != before)
    for all_of_them, new in zip(known, unknown, strict=True):
        assert new["most_popular"][:10] != new["candidate"][:10]
        assert new["most_popular"] != all_of_them["most_popular"]
        popular = iter(all_of_them["most_popular"])
        assert all(title in popular for title in new["most_popular"][:10]), "in the same order"
    first, second = known
    assert first["most_popular"] == second["most_popular"]
    assert len(set(first["candidate"][:10]) & set(second["candidate"][:10])) < 5


def test_somebody_is_invented(browser: Browser, seen: Seen):
    with seen.at(browser) as one:
        page = one.page
        say(page, "Listener", "")
        expect(page.locator(".sl-lists caption")).to_contain_text("an invented listener")
        without = titles(page, "candidate")
        country = page.get_by_role("combobox", name="country", exact=True)
        expect(country).to_have_value("not known")
        pick(page, "country", "JP")
        until(page, lambda: titles(page, "candidate") != without)
        there, popular = titles(page, "candidate"), titles(page, "most_popular")
        assert popular == titles(page, "most_popular")
        for words in ("[x](javascript", "W" * 50):
            choose(page, words)
        until(page, lambda: titles(page, "candidate") != there)
        until(page, lambda: page.url.count("favourite=") == 2)
        until(page, lambda: len(set(popular) - set(titles(page, "most_popular"))) == 2)
        left_out = titles(page, "most_popular")
        page.get_by_text("Leave out what the listener knows").click()
        until(page, lambda: titles(page, "most_popular") == popular)
        assert left_out != popular


def test_nothing_is_shown_twice_while_the_page_changes(browser: Browser, seen: Seen, people):
    """Told by the words of the switch and of the caption, which every view of a listener has."""
    count_each_moment = """() => {
        window.most = 0;
        const look = () => {
            for (const what of [".sl-lists caption", "input[aria-label^='Leave out']"])
                window.most = Math.max(window.most, document.querySelectorAll(what).length);
        };
        new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
    }"""
    with seen.at(browser) as one:
        page = one.page
        page.evaluate(count_each_moment)
        caption = page.locator(".sl-lists caption")
        for user, told in (("", "an invented"), (somebody(people, "NG", "heavy"), "to listener")):
            say(page, "Listener", user)
            expect(caption).to_contain_text(told)
            page.locator(".stApp[data-test-script-state=notRunning]").wait_for()
        for history in (1, 0):
            page.get_by_text("What if the history were another").click()
            fields = page.get_by_role("textbox", name="Search titles")
            expect(fields).to_have_count(history)
            page.locator(".stApp[data-test-script-state=notRunning]").wait_for()
        assert page.evaluate("window.most") == 1


def test_what_if_the_country_were_another(browser: Browser, seen: Seen, people):
    """Each list is then held against itself before the change, and says by how much it moved."""
    user = somebody(people, "SE", "heavy")
    with seen.at(browser, {"listener": user}) as one:
        page = one.page
        before = titles(page, "candidate")
        popular = titles(page, "most_popular")
        pick(page, "What if country were", "NG")
        until(page, lambda: "not before" in page.locator(".sl-lists tbody").inner_text())
        after = titles(page, "candidate")
        assert set(after) != set(before)
        expect(page.locator(".sl-lists thead")).to_contain_text("as in its own list before")
        for rank, title in enumerate(after):
            cell = column(page, "candidate").nth(rank)
            if title in before:
                up = before.index(title) - rank
                said = f"▲ {up}" if up > 0 else f"▼ {-up}" if up else "="
                expect(cell.locator(".sl-move")).to_have_text(said)
            else:
                expect(cell).to_contain_text("not before")
        assert titles(page, "most_popular") == popular
        moves = column(page, "most_popular").locator(".sl-move").all_inner_texts()
        assert moves == ["="] * 10
        pick(page, "What if country were", "as it is")
        until(page, lambda: titles(page, "candidate") == before)


def test_the_address_restores_the_view(browser: Browser, seen: Seen, people):
    """Every control is moved by hand; a colleague who is sent the address sees the same."""
    user = somebody(people, "DE", "light")
    with seen.at(browser) as one:
        page = one.page
        pick(page, "Run", named(seen.plain))
        until(page, lambda: "live-1" not in heads(page))
        say(page, "Listener", user)
        page.get_by_role("combobox", name="Models").click()
        page.get_by_role("option", name="revision 2").click()
        page.keyboard.press("Escape")
        pick(page, "Depth", "20")
        pick(page, "Compare with", "candidate")
        pick(page, "What if country were", "NG")
        page.get_by_text("Leave out what the listener knows").click()
        page.get_by_text("What if the history were another").click()
        choose(page, "Midnight")
        until(page, lambda: "favourite=" in page.url)
        settled(page)
        until(page, lambda: len(titles(page, "candidate")) == 20)
        address, lists = page.url, page.locator(".sl-lists").inner_text()
        controls = [box.input_value() for box in page.get_by_role("combobox").all()]
        picked = page.locator(".stMultiSelect span[title]").all_inner_texts()
    with opened(browser, address, seen.url) as two:
        settled(two.page)
        expect(two.page.locator(".sl-lists")).to_have_text(lists, use_inner_text=True)
        expect(two.page.get_by_role("combobox")).to_have_count(len(controls))
        assert [box.input_value() for box in two.page.get_by_role("combobox").all()] == controls
        assert two.page.locator(".stMultiSelect span[title]").all_inner_texts() == picked
        assert len(picked) == 4
        expect(two.page.get_by_role("switch").nth(0)).to_be_checked()
        expect(two.page.get_by_role("switch").nth(1)).not_to_be_checked()
        assert two.faults == []


def test_revisions_answer_as_the_candidate_that_was_pushed(browser: Browser, seen: Seen, people):
    models = ["candidate", "revision 2", "revision 1", f"candidate of {named(seen.plain)}"]
    query = {"models": models, "against": "candidate", "listener": somebody(people, "NG", "light")}
    with seen.at(browser, query) as one:
        assert heads(one.page) == models
        assert titles(one.page, "revision 2") == titles(one.page, "candidate")
        assert titles(one.page, "revision 1") == titles(one.page, models[3])
        assert titles(one.page, "revision 1") != titles(one.page, "revision 2")
        moves = column(one.page, "revision 2").locator(".sl-move").all_inner_texts()
        assert moves == ["="] * 10


def gains(page: Page) -> list[float]:
    cells = page.locator(".sl-people tbody td:last-child").all_inner_texts()
    return [float(text.replace("−", "-")) for text in cells]


def test_whom_a_change_serves_worse(browser: Browser, seen: Seen, people):
    """The worst served first, of one group; and from one of them to the lists."""
    with seen.at(browser, {"page": PAGES[1]}) as one:
        page = one.page
        common = page.locator(".sl-people tbody td:nth-last-child(4)").all_inner_texts()
        shared = [int(text.split(" of ")[0]) for text in common]
        assert shared == sorted(shared)
        assert len(shared) == 25
        pick(page, "Show whose", "served worse")
        until(page, lambda: gains(page) == sorted(gains(page)))
        assert gains(page)[-1] < 0
        everybody = people["user_id"].count()
        expect(page.locator(".sl-summary")).to_contain_text(f"Of {everybody:,} evaluated")
        pick(page, "country", "JP")
        there = people[people["country"] == "JP"]
        expect(page.locator(".sl-summary")).to_contain_text(f"Of {len(there):,} evaluated")
        users = page.locator(".sl-people tbody th").all_inner_texts()
        assert set(users) <= set(there["user_id"])
        assert gains(page) == sorted(gains(page))
        page.locator(".sl-people tbody a").first.click()
        expect(page.locator(".sl-lists caption")).to_contain_text(f"listener {users[0]}")
        settled(page)
        assert heads(page) == ["live-1", "candidate"]


def test_only_who_is_served_worse_or_better_is_shown(browser: Browser, seen: Seen):
    """Of a group with few of either; and lists have no more in common than was evaluated."""
    query = {"page": PAGES[1], "only_listener": "newcomer", "only_country": "SE", "depth": 50}
    for place, (order, sign) in enumerate((("served worse", -1), ("served better", 1))):
        with seen.at(browser, query | {"order": order}) as one:
            summary = one.page.locator(".sl-summary")
            few = int(summary.locator("strong").nth(place).inner_text())
            assert 0 < few < 25
            assert [gain * sign > 0 for gain in gains(one.page)] == [True] * few
            expect(summary).to_contain_text(re.compile(r"have \d\.\d of 10 items in common"))
            common = one.page.locator(".sl-people tbody td:nth-last-child(4)").all_inner_texts()
            assert all(re.fullmatch(r"\d of 10|10 of 10", text) for text in common)


def test_a_run_of_the_history_is_called_as_in_the_sidebar_and_leads_there(browser, seen: Seen):
    with seen.at(browser, {"page": PAGES[2]}) as one:
        page = one.page
        names = [named(seen.flooded), named(seen.plain)]
        links = page.locator(".sl-history tbody a")
        assert links.all_inner_texts() == names
        main = page.locator("[data-testid=stMain]")
        expect(main).to_contain_text("Its run was as of 2026-05-01, fixed")
        expect(main.get_by_role("alert")).to_have_count(0)
        links.last.click()
        settled(page)
        expect(page.get_by_role("combobox", name="Run", exact=True)).to_have_value(names[1])
        until(page, lambda: heads(page) == ["most_popular", "candidate"])


def test_a_phone_shows_all_of_it(browser: Browser, seen: Seen):
    """The pages can be chosen at their upper edge, no word or number breaks, no legend is cut."""
    with seen.at(browser, viewport={"width": 400, "height": 900}) as one:
        page = one.page
        tabs = page.get_by_role("radiogroup", name="Page").bounding_box()
        assert tabs is not None
        page.mouse.click(tabs["x"] + tabs["width"] / 2, tabs["y"] + 3)
        table = page.locator(".sl-people")
        expect(table).to_be_visible()
        head = table.locator("thead th").first
        line = float(head.evaluate("one => getComputedStyle(one).lineHeight").removesuffix("px"))
        for cell in [head, *table.locator("tr:nth-of-type(-n + 3) .sl-number").all()]:
            # Of its text: the row may be higher, where a value of the listener is long.
            height = cell.evaluate(
                """cell => {
                    const range = document.createRange();
                    range.selectNodeContents(cell);
                    return range.getBoundingClientRect().height;
                }"""
            )
            assert height < 2 * line, cell.inner_text()
        page.get_by_text(PAGES[2], exact=True).click()
        chart = page.locator("[data-testid=stVegaLiteChart]")
        texts = chart.locator("svg.marks text:not([opacity='0'])")
        expect(texts.filter(has_text="undecided")).to_have_count(1)
        frame = chart.bounding_box()
        assert frame is not None
        for text in texts.all():
            box = text.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1, text.inner_html()


def test_one_region_for_everybody_is_seen_at_a_glance(browser: Browser, seen: Seen, people):
    """Most popular gives one country's hits to listeners of all the others, and says so."""
    with seen.at(browser) as one:
        for country in ("DE", "JP", "SE", "NG"):
            find(one.page, somebody(people, country, "heavy"))
            striking = {}
            for place, label in enumerate(heads(one.page)):
                head = one.page.locator(".sl-lists thead th:not(.sl-rank)").nth(place)
                striking[label] = head.locator(".sl-most").all_inner_texts()
            assert [text.split()[0] for text in striking["most_popular"]] == ["brazil"], country
            assert int(striking["most_popular"][0].split()[1]) >= 8
            assert not any("brazil" in text for text in striking["candidate"]), country
            mark = one.page.locator(".sl-most").first
            expect(mark).to_be_in_viewport()
            ground = "one => getComputedStyle(one).backgroundColor"
            assert mark.evaluate(ground) != one.page.locator(".sl-share").last.evaluate(ground)
    with seen.at(
        browser, {"run": named(seen.plain), "listener": somebody(people, "DE", "heavy")}
    ) as one:
        most = one.page.locator(".sl-most").all_inner_texts()
        assert not any("brazil" in text for text in most), "the run that is not flooded"


def test_hostile_text_is_shown_as_text(browser: Browser, seen: Seen):
    query = {"listener": "", "models": ["most_popular", "candidate"], "depth": 20}
    with seen.at(browser, query) as one:
        page = one.page
        listed = titles(page, "most_popular")
        for title in map(one_line, TITLES):
            assert title in listed or f"{title[:79]}…" in listed, title
        shown = page.locator(".sl-lists").inner_text()
        for tag in map(one_line, TAGS):
            assert tag in shown or f"{tag[:23]}…" in shown, tag
        for words in ("alert(2)", "javascript", "7*7", "red[x]", "$x$", "W" * 30):
            choose(page, words)
        until(page, lambda: page.url.count("favourite=") == 6)
        settled(page)
        picked = page.locator(".stMultiSelect span[title]").all_inner_texts()
        for title in ("[x](javascript:alert(3))", "{{7*7}}", ":red[x] **bold** `code`", "$x$"):
            assert any(text.startswith(f"{title} · P") for text in picked), title
        main = page.locator("[data-testid=stMain]")
        assert main.locator("img, [onload], [onerror], [href^=javascript], .katex").count() == 0
        assert main.locator("script").count() == 0
        assert "49" not in shown.split()
        assert one.wider_than_the_window("[data-testid=stMain]") == 0


def test_a_hostile_country_is_shown_as_it_stands(browser: Browser, seen: Seen, people):
    """Wherever there is a choice of countries, and beside the listener who lives there."""
    with seen.at(browser, {"listener": somebody(people, COUNTRY, "heavy")}) as one:
        page = one.page
        expect(page.locator(".sl-facts")).to_contain_text(f"country {COUNTRY}, age band")
        pick(page, "What if country were", COUNTRY)
        until(page, lambda: "in_country=" in page.url)
        say(page, "Listener", "")
        pick(page, "country", COUNTRY)
        until(page, lambda: "own_country=" in page.url)
        page.get_by_text(PAGES[1], exact=True).click()
        expect(page.locator(".sl-people")).to_be_visible()
        expect(page.locator(".sl-lists")).to_have_count(0)
        pick(page, "country", COUNTRY)
        expect(page.locator(".sl-people td:first-of-type").first).to_have_text(COUNTRY)
        assert page.locator("img, i, .katex, strong:text-is('b')").count() == 0


def test_a_right_to_left_title_turns_nothing_around_it(browser: Browser, seen: Seen):
    with seen.at(browser, {"listener": "", "depth": 20}) as one:
        cell = column(one.page, "most_popular").filter(has_text="gnortsi siht").first
        title = cell.locator("> bdi").bounding_box()
        tags = cell.locator("small").bounding_box()
        assert title is not None
        assert tags is not None
        assert title["x"] == pytest.approx(tags["x"], abs=1), "the cell still begins at the left"
        row = one.page.locator(".sl-lists tbody tr", has_text="gnortsi siht").first
        assert row.locator("th").inner_text().isdigit()


def test_an_unknown_listener_is_answered_by_a_sentence(browser: Browser, seen: Seen):
    with seen.at(browser) as one:
        for user in ("nobody", *TITLES, "' OR 1=1 --", "%3Cb%3E&x=1"):
            say(one.page, "Listener", user)
            said = one.page.get_by_role("alert").filter(has_text="No listener of this run")
            shown = one_line(user, 80)
            expect(said).to_have_text(
                f"No listener of this run has the id {shown}. Empty the field to invent a listener."
            )
            assert said.locator("*").count() == 0, "text, and nothing else"
            expect(one.page.locator(".sl-lists")).to_have_count(0)
            assert one.wider_than_the_window("[data-testid=stMain]") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(browser: Browser, seen: Seen, scheme: str, name: str):
    with seen.at(browser, {"page": name}, color_scheme=scheme) as one:
        ground = one.page.locator(".stApp").evaluate("one => getComputedStyle(one).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        for summary in one.page.locator("summary:visible").all():
            summary.click()
        assert one.violations() == []


def test_the_listener_is_reached_and_changed_by_keyboard(browser: Browser, seen: Seen, people):
    user = somebody(people, "NG", "heavy")
    with seen.at(browser) as one:
        field = one.page.get_by_role("textbox", name="Listener")
        tab_to(one.page, field)
        expect(field).to_be_focused()
        one.page.keyboard.press("Control+a")
        one.page.keyboard.type(user)
        one.page.keyboard.press("Enter")
        expect(one.page.locator(".sl-lists caption")).to_contain_text(f"listener {user}")
        expect(field).to_be_focused()
