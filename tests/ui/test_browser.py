"""The page in a browser: search, why, feedback, a chunk, refinement, health; by keyboard, on a phone, in the dark.

Needs chromium and chromedriver on the path; VSTORE_TEST_BROWSER=1 makes a lack of them an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from toy import ToyEmbedder
from ui.conftest import fill

from vstore import Store
from vstore.errors import StoreBusyError
from vstore.runs import Conclusion
from vstore.ui.serve import shown

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from ui.browsing import FAINT, NAMELESS, OUTSIDE, WANTED, Browser, browser, missing, origin

pytestmark = pytest.mark.skipif(missing() is not None and WANTED != "1", reason=str(missing()))

DESKTOP, PHONE = 1280, 320
LONG = "Donaudampfschifffahrtsgesellschaftskapitänspatent" * 3
PAGES = (
    "/",
    "/?q=red+fish",
    "/?q=red+fish&where=year%3E%3D2020&tags=t0",
    "/?q=red+fish&mode=psychic",
    "/chunk/1?q=red+fish",
    "/refinement",
    "/refinement/1",
    "/health",
    "/latency",
    "/none",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, settings_of_nobody: None) -> Iterator[tuple[Store, Browser, str]]:
    """A store that has some of everything, its address, and the one browser of this module, which was let in."""
    assert missing() is None, missing()
    folder = tmp_path_factory.mktemp("browser")
    with Store(folder / "birds.db", ToyEmbedder()) as store:
        fill(store)
        store.remember(
            f"<img src=http://evil.example/x.png> {LONG} red", title=f"<b>{LONG}</b>", uri=f"https://evil.example/{LONG}",
            metadata={LONG: LONG},
        )  # fmt: skip
        checks = [{"name": "judged", "passed": False, "sentence": f"they lose {LONG}", "figures": {}}]
        ndcg = {"before": 0.6123, "after": 0.5912, "interval": [-0.05, 0.0102]}
        report = {
            "queries": 60, "learned_from": 40, "held_out": 20, "notes": [LONG],
            "candidates": [{"recipe": {"trainer": "adapter"}, "checks": checks}],
            "comparison": {"judged": 12, "ndcg": ndcg},
        }  # fmt: skip
        number = store.index.begin_run({"trainer": "adapter"})
        store.index.conclude_run(number, Conclusion("kept", f"kept what serves: {LONG}", report))
        with shown(store) as url, browser(folder / "profile") as opened:
            opened.resize(DESKTOP)
            opened.go(url)
            opened.one("#q")
            yield store, opened, origin(url)


@pytest.fixture
def window(place: tuple[Store, Browser, str]) -> Iterator[Browser]:
    """The browser as each test finds it; at its end the console must have no complaint."""
    opened = place[1]
    opened.resize(DESKTOP)
    opened.scheme("light")
    yield opened
    refused = ("status of 400", "status of 404", "status of 503")  # which tests ask for
    assert [line for line in opened.complaints() if not any(known in line for known in refused)] == []


@pytest.fixture
def store(place: tuple[Store, Browser, str]) -> Store:
    return place[0]


@pytest.fixture
def base(place: tuple[Store, Browser, str]) -> str:
    return place[2]


def test_a_person_searches_sees_why_and_marks_what_was_useful(
    window: Browser, store: Store, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.go(base)
    window.one("#q").send_keys("red fish", Keys.ENTER)
    window.one(".hits")
    expected = store.search("red fish")
    shown_hits = [item.get_attribute("id") for item in window.all(".hits > li")]
    assert shown_hits == [f"hit-{hit.chunk_id}" for hit in expected]
    assert window.one("[data-announce]").get_attribute("data-announce").startswith(f"{len(expected)} results in")
    window.wait(lambda: window.one("[data-announce]").text or None)

    widths = {kind: window.one(f".hits rect.{kind}").rect["width"] for kind in ("lexical", "dense")}
    assert all(width > 1 for width in widths.values()), widths
    columns = [window.one(f".column.{kind}").rect for kind in ("lexical", "fused", "dense")]
    assert columns[0]["x"] < columns[1]["x"] < columns[2]["x"]
    assert len({column["y"] for column in columns}) == 1
    assert len(window.all(".lines path")) >= 2

    first = window.one(".hits > li")
    useful, useless = first.find_elements(By.CSS_SELECTOR, ".feedback button")
    for button, said, grade in ((useful, "kept: useful", 1.0), (useless, "kept: not useful", 0.0)):
        button.click()
        window.wait(lambda said=said: first.find_element(By.CSS_SELECTOR, ".said").text == said)
        assert [one.get_attribute("aria-pressed") for one in (useful, useless)] == [
            str(one is button).lower() for one in (useful, useless)
        ]
        assert [(one.query, one.chunk_id, one.grade) for one in store.judgements()] == [
            ("red fish", expected[0].chunk_id, grade)
        ]

    def busy(*_: object) -> None:
        raise StoreBusyError("somebody else writes; try again")

    monkeypatch.setattr(store, "feedback", busy)
    useful.click()
    wrong = "not kept: somebody else writes; try again"
    window.wait(lambda: first.find_element(By.CSS_SELECTOR, ".said").text == wrong)
    assert useless.get_attribute("aria-pressed") == "true"


def test_a_chunk_opens_marked_and_in_view(window: Browser, store: Store, base: str) -> None:
    store.remember("\n\n".join(f"filler{number} " * 120 for number in range(30)) + "\n\nneedle here", uri="haystack")
    window.go(f"{base}/?q=needle")
    window.one(".hits h2 a").click()
    mark = window.one("mark#chunk")
    hit = store.search("needle", k=1)[0]
    assert window.script("return arguments[0].textContent", mark) == hit.text
    in_view = "const box = arguments[0].getBoundingClientRect(); return box.top >= 0 && box.top < innerHeight;"
    window.wait(lambda: window.script(in_view, mark))
    assert window.script("return scrollY") > 1_000


def test_refinement_and_health_can_be_looked_at(window: Browser, base: str) -> None:
    window.go(f"{base}/refinement")
    assert window.one(".gain .interval").rect["width"] > 10
    window.one(".line a").click()
    assert window.one(".decision").text.startswith("kept what serves")
    window.one("nav a[href='/health']").click()
    window.one("form.check button").click()
    assert window.one(".verdict").text.startswith("The file is sound")
    assert len(window.all(".checks li.ok")) > 20


def test_everything_can_be_done_by_keyboard_alone(window: Browser, store: Store, base: str) -> None:
    def press(*keys: str) -> None:
        window.driver.switch_to.active_element.send_keys(*keys)

    def focus() -> str:
        """The element that has the focus, which must be seen to have it."""
        active = window.driver.switch_to.active_element
        outline = "const style = getComputedStyle(arguments[0].matches('.modes input') ? "
        outline += "arguments[0].nextElementSibling : arguments[0]); return style.outlineStyle + style.outlineWidth;"
        assert window.script(outline, active) == "solid2px", active.get_attribute("outerHTML")
        return str(active.get_attribute("value") or active.text)

    window.go(f"{base}/health")
    press(Keys.TAB)
    assert focus() == "Skip to the content"
    assert window.driver.switch_to.active_element.rect["y"] >= 0
    press(Keys.ENTER)
    press(Keys.TAB)
    assert focus() == "Check now"  # the first thing of the content
    window.go(f"{base}/?q=owl")
    window.one("body").send_keys(Keys.CONTROL, "k")
    press("heron", Keys.ENTER)  # what was selected is replaced
    window.wait(lambda: "q=heron" in window.driver.current_url and window.all(".hits"))
    window.one("body").send_keys(Keys.CONTROL, "k")
    reached = []
    while "useful" not in reached:
        press(Keys.TAB)
        reached.append(focus())
        assert len(reached) < 20, reached
    assert reached[:2] == ["Search", "hybrid"]
    press(Keys.SPACE)
    window.wait(lambda: window.one(".said").text == "kept: useful")
    assert store.judgements()[0].query == "heron"


def test_without_scripts_the_same_is_done_with_forms(window: Browser, store: Store, base: str) -> None:
    window.scripts(False)
    try:
        window.go(f"{base}/?q=swift")
        window.one(".feedback button").click()
        window.wait(lambda: "again=1" in window.driver.current_url)
        assert window.one(".feedback button").get_attribute("aria-pressed") == "true"
        assert store.judgements()[0].query == "swift"
    finally:
        window.scripts(True)


@pytest.fixture(scope="module")
def seen(place: tuple[Store, Browser, str]) -> dict[str, dict[str, Any]]:
    """What every page looks like in each width and colour, all looked at once."""
    _, window, base = place
    found = {}
    for path in PAGES:
        window.go(base + path)
        page: dict[str, Any] = {"nameless": window.script(NAMELESS)}
        page["landmarks"] = [len(window.all(name)) for name in ("header.top", "nav", "main", "h1")]
        for width in (PHONE, DESKTOP):
            window.resize(width)
            page[f"outside {width}"] = window.script(OUTSIDE, width)
        for scheme in ("light", "dark"):
            window.scheme(scheme)
            page[scheme] = window.script("return getComputedStyle(document.body).backgroundColor")
            page[f"texts {scheme}"], page[f"faint {scheme}"] = window.script(FAINT)
        found[path] = page
    window.scheme("light")
    return found


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_no_page_is_wider_than_the_window(seen: dict[str, dict[str, Any]], width: int) -> None:
    for path, page in seen.items():
        assert page[f"outside {width}"] == [0, []], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(seen: dict[str, dict[str, Any]], scheme: str) -> None:
    for path, page in seen.items():
        assert page[f"texts {scheme}"] > 5 and page[f"faint {scheme}"] == [], path
        assert page["light"] != page["dark"], path


def test_every_control_has_a_name_and_every_page_its_landmarks(seen: dict[str, dict[str, Any]]) -> None:
    for path, page in seen.items():
        assert page["nameless"] == [], path
        assert page["landmarks"] == [1, 1, 1, 1], path


@pytest.mark.usefixtures("seen")
def test_no_request_leaves_the_origin_of_the_page(window: Browser, base: str) -> None:
    asked = [url for url in window.asked() if not url.startswith(("data:", "chrome", "about:"))]
    assert {base + path for path in PAGES} <= set(asked)  # all that this module has looked at
    assert {origin(url) for url in asked} == {base}
    assert window.script("return document.cookie") == ""  # no script can read the token
