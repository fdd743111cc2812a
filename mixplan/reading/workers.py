"""Reads from the launcher's environment which of how many processes this is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixplan.errors import MixplanError

if TYPE_CHECKING:
    from accelerate import PartialState


@dataclass(frozen=True)
class Workers:
    """Which of how many processes this is, as `accelerate launch` or `torchrun` say; work is dealt out by rank."""

    rank: int
    count: int

    @classmethod
    def here(cls) -> Workers:
        """This process's place."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def wait(self) -> None:
        """Wait until every process is here.

        Raises:
            MixplanError: the processes that were started do not form a group.
        """
        if self.count > 1:
            self.joined().wait_for_everyone()

    def agreed(self, make: Callable[[], list[int]]) -> list[int]:
        """What the first process makes, for all of them, where each may see the cache at another time.

        Raises:
            MixplanError: see `wait`.
        """
        if self.count == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        self.joined()
        values = [make() if self.rank == 0 else []]
        broadcast_object_list(values)
        return values[0]

    def joined(self) -> PartialState:
        """The group that these processes form; without an accelerator it has to be told to stay on the CPU.

        Raises:
            MixplanError: it is another number of processes.
        """
        from accelerate import PartialState

        from mixplan.model.device import has_accelerator

        state = PartialState() if has_accelerator() else PartialState(cpu=True)
        if state.num_processes != self.count:
            raise MixplanError(
                f"WORLD_SIZE says {self.count} processes, but {state.num_processes} of them formed a group. Start them "
                "by `accelerate launch --config_file FILE`, FILE being one of configs/launch, or plan with one process."
            )
        return state


def deal(costs: Sequence[int], processes: int) -> list[int]:
    """Deal work out: the largest first, each to the process that has least so far.

    No process gets more than the mean and once the largest.

    Args:
        costs: Of each piece of work.
        processes: How many processes there are.

    Returns:
        For each piece, the rank of the process that does it; ties go to the piece that comes first, and to the lower
        rank.

    Source: R. L. Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17 (1969), LPT.
    """
    loads = [0] * processes
    ranks = [0] * len(costs)
    for index in sorted(range(len(costs)), key=lambda index: (-costs[index], index)):
        rank = loads.index(min(loads))
        ranks[index] = rank
        loads[rank] += costs[index]
    return ranks
