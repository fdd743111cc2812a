"""Reads from the launcher's environment which of how many processes this is."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Workers:
    """Which of how many processes this is, as `accelerate launch` or `torchrun` say; units are dealt out in turn."""

    rank: int
    count: int

    @classmethod
    def here(cls) -> Workers:
        """This process's place."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()
