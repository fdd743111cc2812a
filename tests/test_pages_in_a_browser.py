"""The pages in a real browser: phone and desk, light and dark, printed, by keyboard and by ear, without a network.

Without a browser on this machine these tests are not collected; what needs none is tested beside each section.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import saved_run
from browser import Page, browsing

from mixplan.report.page import render
from mixplan.report.runs_page import render_several

pytestmark = pytest.mark.browser

PAGES = ("plan", "outcome", "several")
WIDTHS = (390, 1280)
TAB, ENTER = 9, 13

CONTRAST = """
(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => parts(colour).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor, found = parts(colour);
      if (found.length < 4 || found[3] > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility()) continue;
    const a = light(getComputedStyle(e).color), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
  }
  return found;
})()
"""
"""Texts whose contrast with what is behind them is below 4.5, as WCAG 2.1 AA asks of it."""

BEYOND = """
[...document.querySelectorAll('body *')].filter(e => {
  if (!e.checkVisibility() || e.closest('svg, caption, thead') || e.closest('.scroll') && !e.matches('.scroll'))
    return false;
  const box = e.getBoundingClientRect();
  return box.width > 1 && (box.right > innerWidth + 1 || box.left < -1);
}).map(e => `${e.tagName}.${e.className}`)
"""
"""Elements that reach beyond the window, but for what scrolls inside a table's own frame."""

HIDDEN = """
[...document.querySelectorAll('details:not([open]) > :not(summary)')]
  .filter(e => !e.checkVisibility()).length
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    plan, outcome = saved_run.sample()
    made = {
        "plan": render(plan),
        "outcome": render(plan, outcome),
        "several": render_several([(f"runs/{seed}", *saved_run.sample(seed)) for seed in range(3)]),
    }
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browsing() as found:
        yield found


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_asked_of_a_network_and_nothing_fails(page: Page, files: dict[str, Path], name: str) -> None:
    page.set(1280)
    page.open(files[name])
    asked = [about["request"]["url"] for method, about in page.events if method == "Network.requestWillBeSent"]
    assert asked[0] == files[name].as_uri()
    assert {url.partition(":")[0] for url in asked[1:]} <= {"data"}
    problems = [about for method, about in page.events if method in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert problems == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_it_fits_the_window_and_is_read_in_light_and_dark(
    page: Page, files: dict[str, Path], name: str, width: int
) -> None:
    page.set(width)
    page.open(files[name])
    page.ask("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask(BEYOND) == []
    grounds = []
    for scheme in ("light", "dark"):
        page.set(width, scheme=scheme)
        assert page.ask(CONTRAST) == []
        grounds.append(page.ask("getComputedStyle(document.body).backgroundColor"))
    assert sum(map(int, re.findall(r"\d+", grounds[0])[:3])) > 700
    assert sum(map(int, re.findall(r"\d+", grounds[1])[:3])) < 120


@pytest.mark.parametrize("name", PAGES)
def test_printed_every_fold_is_open_and_no_line_is_cut(page: Page, files: dict[str, Path], name: str) -> None:
    page.set(1280)
    page.open(files[name])
    assert page.ask(HIDDEN) > 0
    page.set(720, media="print", scheme="dark")
    assert page.ask(HIDDEN) == 0
    assert page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.ask("document.documentElement.scrollWidth") <= 720
    assert len(page.do("Page.printToPDF")["data"]) > 50_000


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_every_link_fold_and_table_in_order(page: Page, files: dict[str, Path], name: str) -> None:
    page.set(1280)
    page.open(files[name])
    wanted = page.ask(
        "[...document.querySelectorAll('a[href], summary, .scroll')].filter(e => e.checkVisibility())"
        ".map((e, i) => (e.dataset.place = i, i)).length"
    )
    reached = []
    for _ in range(wanted):
        page.press("Tab", TAB)
        place, outline = page.ask(
            "[Number(document.activeElement.dataset.place), getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline not in ("none", ""), place
        reached.append(place)
    assert reached == list(range(wanted))
    page.ask("document.querySelector('section > details:not([open]) > summary').focus()")
    page.press("Enter", ENTER, "\r")
    assert page.ask("document.activeElement.parentElement.open") is True


@pytest.mark.parametrize("name", PAGES)
def test_by_ear_tables_charts_and_headings_have_names(page: Page, files: dict[str, Path], name: str) -> None:
    page.set(390)  # where rows are laid out as cards, which must still be heard as rows of a table
    page.open(files[name])
    page.ask("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    heard = page.heard()
    for role in ("table", "columnheader", "rowheader", "image", "heading", "link", "region", "navigation"):
        names = [said for kind, said in heard if kind == role or (role, kind) == ("image", "img")]
        assert names or role == "link", role
        assert all(said.strip() for said in names), role
    tables = page.ask("document.querySelectorAll('table').length")
    assert sum(role == "table" for role, _ in heard) == tables
    titles = page.ask("[...document.querySelectorAll('h2')].map(e => e.textContent)")
    assert [said for role, said in heard if role == "heading" and said in titles] == titles
