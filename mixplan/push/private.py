"""Takes this machine's own paths out of texts that are published, and refuses texts with tokens in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from mixplan.errors import RunError
from mixplan.push.files_to_send import Outgoing
from mixplan.runs import cache_folder
from mixplan.saved import Plan

TOKEN = re.compile(
    r"(?<![A-Za-z0-9_])(?:hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9]{32,}"
    r"|sk-(?:proj|svcacct|ant-api\d\d)-[A-Za-z0-9_-]{32,})"
)
"""Access tokens of the hub, of GitHub, OpenAI and Anthropic, by how they begin."""

SECRETS = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "WANDB_API_KEY",
    "COMET_API_KEY",
    "NEPTUNE_API_TOKEN",
    "OPENAI_API_KEY",
)
"""Environment variables whose values are in no published text."""

SECRET_LENGTH = 8
"""A shorter value is no token, and would be found in any text."""

TEXT_BYTES = 50_000_000
"""A larger file is no card, config or page; tokenizers stay under it."""


@dataclass(frozen=True)
class OwnPlaces:
    """Folders and files of this machine, by which its paths are known.

    Attributes:
        files: Whole paths, such as those in the recipe.
        folders: What lies under them is the machine's own too.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]

    def cleaned(self, text: str) -> str:
        """A text with each of the machine's paths cut to its last part."""
        for path in self.files:
            text = re.sub(rf"(?<![\w.~-]){re.escape(path)}(?![\w-])", lambda found: last_part(found[0]), text)
        for folder in self.folders:
            inside = rf"(?<![\w.~-]){re.escape(folder)}(?:[/\\][\w.@+~:-]+)*(?![\w-])"
            text = re.sub(inside, lambda found: last_part(found[0]), text)
        return text


def own_places(run: Path, plan: Plan) -> OwnPlaces:
    """The machine's paths that a run may name: those of its recipe, its own, and where its person works.

    Args:
        run: The run folder.
        plan: Its plan, with the recipe as it was resolved.
    """
    given = plan.recipe.given if plan.recipe else {}
    named = [*absolute(given), *absolute([plan.model.name, *([plan.sae.name] if plan.sae else [])])]
    folders = [run.resolve(), run.absolute().parent, Path.cwd(), cache_folder().absolute(), *homes()]
    folders += [parent for path in named if (parent := Path(path).parent).is_dir()]
    listed = {os.fspath(folder) for folder in folders if len(folder.parts) > 1}
    return OwnPlaces(
        files=tuple(sorted(set(named), key=lambda path: (-len(path), path))),
        folders=tuple(sorted(listed, key=lambda path: (-len(path), path))),
    )


def homes() -> Iterator[Path]:
    """The person's home folder, as it is called and as it is."""
    try:
        yield from {Path.home(), Path.home().resolve()}
    except RuntimeError:
        return


def absolute(value: object) -> Iterator[str]:
    """Every text in a value that is an absolute path."""
    if isinstance(value, str):
        if is_absolute(value):
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from absolute(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from absolute(part)


def is_absolute(text: str) -> bool:
    """Whether a text is a path from a disk's root or from a home folder; one word after a slash may be anything."""
    if "\n" in text or len(text) > 4096:
        return False
    whole = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    parts = len(PureWindowsPath(text).parts)  # which takes either slash
    return (whole and (parts > 2 or (parts == 2 and Path(text).exists()))) or (text.startswith("~") and parts > 1)


def last_part(path: str) -> str:
    """The last part of a path in either manner of writing."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def refuse_secrets(files: Iterable[Outgoing], places: OwnPlaces, further: Sequence[str]) -> None:
    """Refuse to publish a text that holds an access token, or a card or config with a path of this machine.

    Args:
        files: What would go.
        places: The machine's own.
        further: Tokens that are known, such as the one that the push is made with.

    Raises:
        RunError: one does; the token itself is not in the message.
    """
    values = (*further, *(os.environ.get(name, "") for name in SECRETS))
    known = [value for value in values if len(value) >= SECRET_LENGTH]
    for file in files:
        text = file.text() if file.size <= TEXT_BYTES else None
        if text is None:
            continue
        if TOKEN.search(text) or any(value in text for value in known):
            raise RunError(
                f"{file.name}: it holds an access token, which all who read the repository could use. Nothing was "
                "sent. Take it out of the recipe, or the data that it is from, and plan again. Revoke it, too: the run "
                "folder holds it."
            )
        if file.name.endswith((".yaml", ".html", ".md", "config.json", ".jinja")) and places.cleaned(text) != text:
            raise RunError(
                f"{file.name}: it names a folder of this machine. Nothing was sent. Take the path out of that file in "
                "the run folder."
            )
