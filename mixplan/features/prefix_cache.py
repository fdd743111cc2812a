"""Keeps prefixes and streams that several units share, so that each is read once while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

from torch import Tensor
from transformers import DynamicCache

Value = TypeVar("Value", Tensor, DynamicCache)

ROOM = 1 << 30
"""Bytes of keys, values and streams that are kept."""


class Kept:
    """What was read, by what it was read from; what was used longest ago makes room.

    Many domains are read behind the same demonstrations, and the same questions behind many: without it every unit
    would read both again. What is kept is what was read, so results are equal to the bit.

    Args:
        room: Bytes.
    """

    def __init__(self, room: int = ROOM) -> None:
        self.room, self.used = room, 0
        self._held: OrderedDict[Hashable, tuple[Tensor | DynamicCache, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """What stands under a key, or what is read now."""
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key][0]  # type: ignore[return-value]  # a key names one kind of value
        value = read()
        size = bytes_of(value)
        if size <= self.room:
            self._held[key] = value, size
            self.used += size
            while self.used > self.room:
                self.used -= self._held.popitem(last=False)[1][1]
        return value


def bytes_of(value: Tensor | DynamicCache) -> int:
    """Memory of a stream, or of a cache's keys and values and recurrent states."""
    if isinstance(value, Tensor):
        return value.nbytes
    held = [part for layer in value.layers for part in vars(layer).values()]
    parts = [part for one in held for part in (one.values() if isinstance(one, dict) else [one])]
    return sum(part.nbytes for part in parts if isinstance(part, Tensor))
