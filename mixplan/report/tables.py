"""Lays out HTML sections and tables; roles are written out because phones lay rows out as cards."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mixplan.report.markup import Html, tag


def section(title: str, *parts: Html | None) -> Html:
    """Open a part of the page with its heading."""
    name = title.lower().replace(" ", "-")
    return tag("section", tag("h2", title, id=name), *parts, aria_labelledby=name)


HEADING = re.compile(r'<h2 id="([^"]*)">(.*?)</h2>')


def folded(part: Html) -> Html:
    """Fold a section made by `section`: its heading stays, the rest opens by a click or a key."""
    found = HEADING.search(part)
    if found is None:
        return part
    summary = tag("summary", Html(found[0]))
    begin, end = part[: found.start()], part[found.end() :]
    inside = end.removesuffix("</section>")
    return Html(f"{begin}<details>{summary}{inside}</details></section>")


def contents(parts: Sequence[Html | None]) -> Html:
    """List the page's sections, with links to them."""
    found = [match for part in parts if part is not None and (match := HEADING.search(part))]
    items = [tag("li", tag("a", Html(match[2]), href=f"#{match[1]}")) for match in found]
    return tag("nav", tag("ul", *items), aria_label="Contents", class_="contents")


LONGEST = 300
"""Lines of a table; nobody reads more on a page, and all are in the JSON files beside it."""
LAST = 2
"""Lines at a long table's end that stay: the target's, or an axis."""


def table(kind: str, heads: Sequence[str], rows: Sequence[Html], caption: str) -> Html:
    """Lay out a table that scrolls by itself where the screen is narrower, also by keyboard.

    Of more than `LONGEST` lines the first and last stay, with a line that says how many are left out.

    Args:
        kind: Its class in page.css.
        heads: Column titles; the first column holds row titles.
        rows: Made by `row`.
        caption: What the table holds, for those who hear the page; the heading above says it to those who see it.
    """
    titles = [tag("th", head, scope="col", role="columnheader") for head in heads]
    top = tag("thead", tag("tr", *titles, role="row"), role="rowgroup")
    if (more := len(rows) - LONGEST - LAST) > 0:
        said = row(header(left_out(more)), *[cell("")] * (len(heads) - 1), kind="foot")
        rows = [*rows[:LONGEST], said, *rows[-LAST:]]
    named = tag("caption", tag("span", caption))
    laid = tag("table", named, top, tag("tbody", *rows, role="rowgroup"), role="table", class_=kind)
    return tag("div", laid, class_="scroll", tabindex=0, role="region", aria_label=f"Table: {caption}")


def left_out(more: int) -> str:
    """Say where the lines are that a page leaves out."""
    return f"{more:,} more are in plan.json and outcome.json"


def row(*cells: Html, kind: str | None = None) -> Html:
    """Make one line of a table."""
    return tag("tr", *cells, role="row", class_=kind)


def header(text: str) -> Html:
    """Make a line's title, which may break before each underscore; the line of an axis has none."""
    if not text:
        return cell("")
    return tag("th", *breakable(text), scope="row", role="rowheader")


def breakable(text: str) -> list[str]:
    """Let a name break before each underscore."""
    first, *others = text.split("_")
    return [first, *(part for other in others for part in (tag("wbr"), f"_{other}"))]


def cell(*parts: str, kind: str | None = None) -> Html:
    """Make one cell; a kind of `n` is a number."""
    return tag("td", *parts, role="cell", class_=kind)
