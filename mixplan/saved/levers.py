"""Defines what a plan says of each way of keeping abilities: how it is switched on, what it costs, its evidence."""

from __future__ import annotations

from typing import Literal

from mixplan.saved.base_types import Saved

LeverName = Literal["rows", "own_voice", "replay_kl", "half_rate", "half_rank", "checkpoint"]

TITLES: dict[LeverName, str] = {
    "rows": "domain rows as planned",
    "own_voice": "target answers in the model's own words",
    "replay_kl": "KL to the untrained model on domain rows",
    "half_rate": "half the learning rate",
    "half_rank": "half the adapter's rank",
    "checkpoint": "checkpoint chosen by the monitor",
}
"""What each is called where a person reads of it."""

NOT_MEASURED = "not measured"


class Lever(Saved):
    """One way of keeping abilities, with its price.

    Attributes:
        name: Which.
        recipe: The line of a recipe that switches it on, as `--set` takes it; several are parted by a space.
        on: Whether this plan's recipe has it on.
        tokens: Tokens that are read or written besides training on the target's rows; None where not counted.
        time: Extra time over training on the target's rows alone, as a share of that; None where not known.
        counted: How these two came about, and what they leave out.
        evidence: What studies of this model say of it, or `NOT_MEASURED`.
    """

    name: LeverName
    recipe: str
    on: bool
    tokens: int | None
    time: float | None
    counted: str
    evidence: str

    @property
    def title(self) -> str:
        """What it is called."""
        return TITLES[self.name]

    @property
    def is_measured(self) -> bool:
        """Whether studies of this model say anything of it."""
        return self.evidence != NOT_MEASURED
