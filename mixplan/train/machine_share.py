"""Divides this machine's processors and GPUs equally between jobs that run at once, so that they train alike."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """What one of several jobs that run at once may use.

    Attributes:
        number: The job's, from 0.
        of: How many jobs there are.
    """

    number: int = 0
    of: int = 1

    def threads(self, processes: int = 1) -> int:
        """Threads of each of the job's processes on a CPU; OMP_NUM_THREADS may lower them."""
        share = max(1, len(os.sched_getaffinity(0)) // (self.of * processes))
        wished = os.environ.get("OMP_NUM_THREADS", "")
        return min(int(wished), share) if wished.isdecimal() and int(wished) else share

    def gpus(self) -> list[str]:
        """The job's GPUs, as CUDA_VISIBLE_DEVICES names them: as many for every job; shared where there are fewer."""
        names = visible_gpus()
        size = max(1, len(names) // self.of)
        return [names[(self.number * size + place) % len(names)] for place in range(size)] if names else []

    def environment(self, device: str) -> dict[str, str]:
        """Variables that keep the job's processes to its part; none where it has the machine to itself.

        Args:
            device: The recipe's `model.device`; all jobs share a GPU that it names.
        """
        if self.of == 1:
            return {}
        gpus = self.gpus() if device in ("auto", "cuda") else []
        return {"OMP_NUM_THREADS": str(self.threads())} | ({"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {})


def visible_gpus() -> list[str]:
    """Names of the NVIDIA GPUs that this process may use, in CUDA's order."""
    import torch  # counting GPUs is all that the starting process needs of it

    found = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    # torch counts once: a variable that changed since says which of them are this process's to give away.
    return (named.split(",") if named else [str(number) for number in range(found)])[:found]
