"""Holds what a person says of the repository that a push goes to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mixplan.errors import RunError
from mixplan.push.licence_names import identifier

LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")
"""ISO 639 codes, and the two words that the hub takes beside them."""


@dataclass(frozen=True)
class Stated:
    """What cards say that no plan knows.

    Attributes:
        repo: The repository, `NAMESPACE/NAME`.
        languages: ISO 639 codes.
        licence: The hub's identifier; None to go by the recipe.
        base: The hub's name of the untrained model, where the recipe has it from a folder.
    """

    repo: str
    languages: tuple[str, ...] = ()
    licence: str | None = None
    base: str | None = None

    def checked(self) -> Stated:
        """Itself, where the hub would take it.

        Raises:
            RunError: a language or licence is none that the hub knows.
        """
        for language in self.languages:
            if not LANGUAGE.fullmatch(language):
                raise RunError(f"--language {language}: expected an ISO 639 code such as en, or `code`.")
        if self.licence is not None and self.licence != "other" and identifier(self.licence) == "other":
            raise RunError(
                f"--license {self.licence}: the hub knows no such licence. Give its identifier, such as apache-2.0, "
                "cc-by-4.0 or other."
            )
        return self

    def language_field(self) -> dict[str, object]:
        """The card's `language`, where it is known."""
        return {"language": list(self.languages)} if self.languages else {}

    def licence_field(self) -> dict[str, object]:
        """The card's `license`, where it is stated."""
        return {"license": identifier(self.licence)} if self.licence else {}
