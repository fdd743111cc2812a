"""Computes a unit's profile, each feature's mean and spread of change, and caches it for comparing directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor

from mixplan.features.forward import Pack, read_unit
from mixplan.features.measure import ENCODED_VALUES
from mixplan.features.prefix_cache import Kept
from mixplan.features.queries import Unit
from mixplan.features.statistics import Doubles, Integers
from mixplan.model import Model
from mixplan.runs import content_hash, store, unseal
from mixplan.sae import Sae

VERSION = 3
"""Of a profile's meaning; part of every cache key."""


@dataclass(frozen=True)
class Profile:
    """Sums over a unit's query tokens, signed ones too; profiles of units add up.

    h is a token's feature activations without context and d the change that the context brings, x and e the same of
    the raw stream. With a trained model, d and e are what its reading of the context changed.

    Attributes:
        tokens: Query tokens.
        shift: `[d_sae]` float64, sum of d², in squared SAE units.
        delta: `[d_sae]` float64, sum of d.
        act: `[d_sae]` float64, sum of h.
        fired: `[d_sae]` int64, tokens with h > 0.
        raw_shift: `[d_in]` float64, sum of e².
        raw_delta: `[d_in]` float64, sum of e.
        raw_sum: `[d_in]` float64, sum of x.
    """

    tokens: int
    shift: Doubles
    delta: Doubles
    act: Doubles
    fired: Integers
    raw_shift: Doubles
    raw_delta: Doubles
    raw_sum: Doubles

    def __add__(self, other: Profile) -> Profile:
        """Both profiles' tokens together."""
        return Profile(**{entry.name: getattr(self, entry.name) + getattr(other, entry.name) for entry in fields(self)})


def to_bytes(profile: Profile) -> bytes:
    """A profile as safetensors bytes; equal profiles give equal bytes."""
    values = vars(profile) | {"tokens": np.array(profile.tokens, dtype=np.int64)}
    return bytes(save({name: np.ascontiguousarray(value) for name, value in values.items()}))


def from_bytes(data: bytes) -> Profile | None:
    """A profile from `to_bytes`, or None when the bytes are something else."""
    try:
        arrays: dict[str, npt.NDArray[Any]] = load(data)
        tokens = int(arrays.pop("tokens").item())
        return Profile(tokens=tokens, **arrays)
    except (SafetensorError, KeyError, TypeError, ValueError):  # arrays of other names or shapes
        return None


def profile_key(model: Model, sae: Sae, unit: Unit, *, trained: Model | None = None) -> str:
    """Everything a unit's profile depends on, as one hash."""
    return content_hash(
        "profile", VERSION, model.fingerprint, model.device.type, torch.get_num_threads(), sae.fingerprint, sae.depth,
        unit.mark, *([trained.fingerprint] if trained else []),
    )  # fmt: skip


def measure_profile(
    model: Model,
    sae: Sae,
    unit: Unit,
    *,
    trained: Model | None = None,
    pack_tokens: int | None = None,
    on_tokens: Callable[[int], object] | None = None,
    kept: Kept | None = None,
) -> Profile:
    """Read one unit and reduce it; memory does not grow with the number of tokens.

    Args: see `measure_profiles`, with a single SAE.
    """
    return measure_profiles(
        model, [sae], unit, trained=trained, pack_tokens=pack_tokens, on_tokens=on_tokens, kept=kept
    )[0]


def measure_profiles(
    model: Model,
    saes: Sequence[Sae],
    unit: Unit,
    *,
    trained: Model | None = None,
    pack_tokens: int | None = None,
    on_tokens: Callable[[int], object] | None = None,
    kept: Kept | None = None,
) -> list[Profile]:
    """Read one unit once and reduce it through several SAEs of one hook point.

    Args:
        model: The model.
        saes: Its SAEs, of one depth.
        unit: What to read.
        trained: Reads the contexts in the model's place; with a unit without demonstrations, the changes are then
            those of training.
        pack_tokens: See `read_unit`.
        on_tokens: Told how many query tokens each pack held.
        kept: See `read_unit`.

    Returns:
        A profile for each SAE, equal to the bit to what it gives alone.
    """
    sums = [_Sums(model, sae) for sae in saes]
    for pack in read_unit(model, saes[0].depth, unit, trained=trained, pack_tokens=pack_tokens, kept=kept):
        with torch.inference_mode():
            for one in sums:
                one.add(pack)
        if on_tokens:
            on_tokens(len(pack.segments))
    return [one.result() for one in sums]


def read_profiles(
    model: Model,
    sae: Sae,
    units: Sequence[Unit],
    *,
    folder: Path,
    trained: Model | None = None,
    on_tokens: Callable[[int], object] | None = None,
    kept: Kept | None = None,
) -> list[Profile]:
    """Profiles of units in their order, from the cache or read now and kept.

    Args: see `read_each`, with a single SAE.

    Raises:
        RunError: the folder cannot be read or written.
    """
    return read_each(model, {"": sae}, units, folder=folder, trained=trained, on_tokens=on_tokens, kept=kept)[""]


def read_each(
    model: Model,
    saes: Mapping[str, Sae],
    units: Sequence[Unit],
    *,
    folder: Path,
    trained: Model | None = None,
    on_tokens: Callable[[int], object] | None = None,
    kept: Kept | None = None,
) -> dict[str, list[Profile]]:
    """Profiles of units in their order through several SAEs, from the cache or read now and kept.

    A unit is read once for each hook point, however many SAEs stand there.

    Args:
        model: The model.
        saes: Its SAEs, by name.
        units: What to read.
        folder: Where profiles are kept, sealed; damaged ones are set aside and read again.
        trained: See `measure_profiles`.
        on_tokens: Told how many query tokens are done at a hook point, those from the cache too.
        kept: See `read_unit`.

    Raises:
        RunError: the folder cannot be read or written.
    """
    found: dict[str, list[Profile]] = {name: [] for name in saes}
    depths = {sae.depth: [name for name in saes if saes[name].depth == sae.depth] for sae in saes.values()}
    for unit in units:
        for names in depths.values():
            places = {name: kept_at(folder, profile_key(model, saes[name], unit, trained=trained)) for name in names}
            profiles = {name: whole for name in names if (whole := kept_profile(places[name])) is not None}
            if missing := [name for name in names if name not in profiles]:
                through = [saes[name] for name in missing]
                made = measure_profiles(model, through, unit, trained=trained, on_tokens=on_tokens, kept=kept)
                profiles |= zip(missing, made, strict=True)
                for name in missing:
                    store(places[name], to_bytes(profiles[name]))
            elif on_tokens:
                on_tokens(unit.tokens)
            for name in names:
                found[name].append(profiles[name])
    return found


def kept_at(folder: Path, key: str) -> Path:
    """Where a profile lies."""
    return folder / key[:2] / f"{key}.safetensors"


def kept_profile(place: Path) -> Profile | None:
    """A kept profile, None where there is none or it was damaged."""
    data = unseal(place)
    return None if data is None else from_bytes(data)


class _Sums:
    """Running sums of one unit, on the model's device."""

    def __init__(self, model: Model, sae: Sae) -> None:
        self.sae, self.tokens = sae, 0

        def zeros(width: int) -> Tensor:
            return torch.zeros(width, dtype=torch.float64, device=model.device)

        self.wide = {name: zeros(sae.d_sae) for name in ("shift", "delta", "act")}
        self.raw = {name: zeros(sae.d_in) for name in ("raw_shift", "raw_delta", "raw_sum")}
        self.fired = torch.zeros(sae.d_sae, dtype=torch.int64, device=model.device)

    def add(self, pack: Pack) -> None:
        """Add a pack, in slices of tokens small enough to encode at once."""
        self.tokens += len(pack.segments)
        step = max(1, ENCODED_VALUES // self.sae.d_sae)
        for left in range(0, len(pack.segments), step):
            self.add_slice(pack.alone[left : left + step].float(), pack.context[left : left + step].float())

    def add_slice(self, alone: Tensor, context: Tensor) -> None:
        """Add the stream of some tokens without and with context, `[tokens, d_in]` float32 both."""
        features = self.sae.encode(alone)
        moved, raw = self.sae.encode(context).sub_(features), context - alone
        self.fired += (features > 0).sum(0)
        for sums, name, values in (
            (self.wide, "act", features),
            (self.wide, "delta", moved),
            (self.wide, "shift", moved.square()),
            (self.raw, "raw_sum", alone),
            (self.raw, "raw_delta", raw),
            (self.raw, "raw_shift", raw.square()),
        ):
            sums[name] += values.sum(0, dtype=torch.float64)

    def result(self) -> Profile:
        """The sums, as arrays."""
        arrays = {name: sums.cpu().numpy() for name, sums in (self.wide | self.raw).items()}
        return Profile(tokens=self.tokens, fired=self.fired.cpu().numpy(), **arrays)
