"""Builds HTML elements; every string in them is escaped and made visible unless it is already `Html`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from mixplan.report.text import visible


class Html(str):
    """Text that is HTML already, made here or shipped with the package; never a person's or a data set's text."""

    __slots__ = ()


VOID = frozenset({"meta", "link", "wbr"})
SENTENCES = frozenset({"p", "li"})
"""Elements that hold sentences, in which a command or a recipe key stands between backticks, as on the terminal."""
CODE = re.compile(r"`([^`\n]+)`")


def tag(name: str, /, *children: str | None, **attributes: str | float | None) -> Html:
    """Build one element.

    Args:
        name: The element's name.
        children: `Html` is kept, other text is escaped, None is left out. What a sentence holds between backticks
            becomes code.
        attributes: A trailing `_` is dropped and other `_` become `-` (`class_`, `aria_label`); None is left out.

    Returns:
        The element, attributes in the order given.
    """
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    written = "".join(f' {key}="{escape(str(value))}"' for key, value in pairs)
    if name in VOID:
        return Html(f"<{name}{written}>")
    inside = join(sentence(child) for child in children) if name in SENTENCES else join(children)
    return Html(f"<{name}{written}>{inside}</{name}>")


def sentence(text: str | None) -> Html | None:
    """Escape a sentence, what stands between backticks as code; `Html` and None are kept."""
    if text is None or isinstance(text, Html):
        return text
    return join(tag("code", part) if place % 2 else part for place, part in enumerate(CODE.split(text)))


def join(children: Iterable[str | None]) -> Html:
    """Put elements and text one after the other."""
    return Html("".join(escape(child) for child in children if child is not None))


def escape(text: str) -> Html:
    """Make text safe inside an element or a quoted attribute; `Html` is kept as it is."""
    return text if isinstance(text, Html) else Html(html.escape(visible(text), quote=True))
