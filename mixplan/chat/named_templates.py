"""Makes one chat template of the several that a tokenizer may name.

transformers renders a conversation with tools by the template named `tool_use`, where there is one, and every other
conversation by `default`. What holds, hashes and renders a template here knows one text, so the two become one, which
chooses as transformers does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

DEFAULT, TOOL_USE = "default", "tool_use"
"""The names that transformers chooses by itself."""
FOLDER = "additional_chat_templates"
"""The folder beside `chat_template.jinja` in which transformers keeps each other template in a file of its name."""

WITH_TOOLS = "{% if tools is not none %}{# conversations with tools +#}"
WITHOUT_TOOLS = "{#+ every other conversation #}{% else %}{# +#}"
END = "{#+ end #}{% endif %}"
"""What stands before, between and behind the two; plus signs keep the line ends and spaces that the two begin and end
with. A tag or comment without one would take them away, as the environment of chat templates trims blocks."""

_LAST_LINE_END = re.compile(r"(\r\n|\r|\n)\Z")


def one_template(named: Mapping[str, str]) -> str | None:
    """The text that renders any conversation as transformers does by several templates.

    Args:
        named: Templates by name.

    Returns:
        None where none is named `default`, and transformers chooses none by itself.
    """
    default, tool_use = named.get(DEFAULT), named.get(TOOL_USE)
    if default is None or tool_use is None or tool_use == default:
        return default
    # Jinja leaves out the line end that a template ends with.
    whole = [_LAST_LINE_END.sub("", text) for text in (tool_use, default)]
    return f"{WITH_TOOLS}{whole[0]}{WITHOUT_TOOLS}{whole[1]}{END}"


def without_default(place: str, names: Iterable[str]) -> str:
    """What is wrong with named templates of which none is named `default`."""
    return (
        f"the tokenizer in '{place}' has chat templates named {', '.join(sorted(names))} and none named {DEFAULT}, so "
        f"none is chosen for a conversation. Name one of them {DEFAULT} in its files."
    )


def parts_of(source: str) -> dict[str, str]:
    """The texts that `one_template` made one of, by name, of such a text held or not; empty of any other."""
    _, chosen, both = source.partition(WITH_TOOLS)
    tool_use, parted, default = both.partition(WITHOUT_TOOLS)
    return {TOOL_USE: tool_use, DEFAULT: default.removesuffix(END)} if chosen and parted else {}


def further_files(folder: Path) -> list[Path]:
    """The files in a model's folder that hold its templates of other names than `default`, in order."""
    return sorted((folder / FOLDER).glob("*.jinja"))


def chooses_by_tools(source: str) -> bool:
    """Whether a template, held or not, is one that `one_template` made of two."""
    return WITH_TOOLS in source
