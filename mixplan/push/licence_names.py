"""Finds the hub's identifier of a licence that a recipe states in words."""

from __future__ import annotations

import re
from collections.abc import Iterable

IDENTIFIERS = frozenset(
    (
        *("apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m"),
        *("bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd"),
        *("bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0"),
        *("cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0"),
        *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
        *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0"),
        *("cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1"),
        *("agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "lppl-1.3c"),
        *("ms-pl", "mpl-2.0", "odc-by", "odbl", "openrail++", "osl-3.0", "postgresql", "ofl-1.1", "ncsa"),
        *("unlicense", "zlib", "pddl", "lgpl-lr", "deepfloyd-if-license", "llama2", "llama3", "llama3.1"),
        *("llama3.2", "llama3.3", "gemma", "unknown", "other"),
    )
)
"""What the hub takes in a card's `license`. Source: huggingface/hub-docs, docs/hub/repositories-licenses.md."""

WORDS = {
    "apache": "apache-2.0",
    "apache-license-2.0": "apache-2.0",
    "apache-2": "apache-2.0",
    "apache2": "apache-2.0",
    "apache-2.0-license": "apache-2.0",
    "mit-license": "mit",
    "cc0": "cc0-1.0",
    "odc-by-1.0": "odc-by",
}
"""Other ways to write some."""


def identifier(licence: str) -> str:
    """The hub's identifier of a licence in words; `other` where it has none."""
    plain = re.sub(r"[\s_]+", "-", licence.strip().lower()).removeprefix("the-")
    found = WORDS.get(plain, plain)
    return found if found in IDENTIFIERS else "other"


def card_licence(licences: Iterable[str | None]) -> dict[str, object]:
    """A card's licence fields for rows or a model under these licences.

    Args:
        licences: As stated; None or empty where none is.

    Returns:
        `license`, one or several, with `license_name` where one is not the hub's; `unknown` where any is not stated.
    """
    stated = list(dict.fromkeys((licence or "").strip() for licence in licences))
    found = sorted({identifier(licence) if licence else "unknown" for licence in stated})
    if not found or "unknown" in found:
        return {"license": "unknown"}
    if "other" in found:
        names = ", ".join(licence for licence in stated if identifier(licence) == "other")
        if len(found) == 1:
            return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", names.lower()).strip("-")}
        return {"license": "other", "license_name": "several", "license_details": ", ".join(stated)}
    return {"license": found[0] if len(found) == 1 else found}
