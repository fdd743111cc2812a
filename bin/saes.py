"""Counts the SAEs of SAELens's table that mixplan takes, by cause of refusal, without downloading any."""

from __future__ import annotations

import os
import sys
from collections import Counter

os.environ["HF_HUB_OFFLINE"] = "1"

from mixplan.errors import SaeError
from mixplan.recipe import SaeSpec
from mixplan.recipe.releases import RESIDUAL, ListedSae, listed_saes, release_names
from mixplan.recipe.shapes import family
from mixplan.sae import outline

UNFETCHED = "neither in the hub's cache"


def verdict(sae: ListedSae) -> str:
    """What mixplan says of one SAE, as far as that can be told here."""
    if RESIDUAL.fullmatch(sae.hook_name or "") is None:
        return "refused: reads inside a block (hook_resid_mid)"
    if not sae.readable:
        return f"refused: kind '{sae.conversion}'"
    try:
        told = outline(SaeSpec(release=sae.release, id=sae.id))
    except SaeError as error:
        if UNFETCHED not in str(error):
            return f"refused: {error}"
        return "taken by the table; hook point, kind and input to be held against its config once that is fetched"
    if told.hook_name != sae.hook_name or family(sae.model) not in map(family, told.made_for):
        return "taken, but the table says otherwise than SAELens's loader"
    return "taken by its whole config, which needs no download"


def main() -> None:
    """Print the counts."""
    entries = list(listed_saes())
    stream = [sae for sae in entries if sae.hook_name not in (None, "hook_embed")]
    counts = Counter(verdict(sae) for sae in stream)
    taken = sum(count for text, count in counts.items() if text.startswith("taken"))
    lines = [
        f"{len(release_names())} releases, {len(entries):,} SAEs, {len(stream):,} on a residual stream",
        *(f"{count:6,}  {text}" for text, count in counts.most_common()),
        f"{taken:6,}  taken of {len(stream):,}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
