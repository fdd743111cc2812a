"""Reads a study's targets and domains again with one setting changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt

from mixplan.domains import Domain
from mixplan.features.profile import Profile, read_each
from mixplan.features.queries import Unit, plan_reading, without_demonstrations
from mixplan.model import Model, give_back_memory, load_trained
from mixplan.runs import cache_folder
from mixplan.sae import Sae
from mixplan.study.ablations.control_features import live_features
from mixplan.study.jobs import Bench, Cell, read_drift

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moved:
    """What one trained model changed on its target's questions.

    Attributes:
        shift: `[d_sae]` mean squared change, in squared SAE units.
        live: Features that fire on those tokens or changed there.
    """

    shift: Doubles
    live: int


@dataclass(frozen=True)
class View:
    """One way to read a study.

    Attributes:
        targets: By name, question tokens behind its own rows.
        domains: By name, the same.
        moved: By target and seed, what training changed, through the same SAE.
        dropped: Demonstrations that did not fit the model's window, of all readings' draws together.
    """

    targets: Mapping[str, Profile]
    domains: Mapping[str, Profile]
    moved: Mapping[tuple[str, int], Moved]
    dropped: int = 0


def kept_change(cell: Cell) -> Moved:
    """What a finished cell's training changed, through the study's own SAE."""
    drift = read_drift(cell)
    assert drift is not None  # a cell without it is not done
    return Moved(drift["target.shift"], len(live_features(drift["target.fired"], drift["target.shift"])))


def again(
    bench: Bench,
    moved: Mapping[tuple[str, int], Moved],
    *,
    shots: int | None = None,
    share: float = 1.0,
) -> View:
    """Read targets and domains behind their own rows through the study's SAE, one setting changed.

    Args:
        bench: The study's model and data.
        moved: What training changed, which stays what it is.
        shots: Rows in front of a question; the study's own number when not given.
        share: Of the study's query tokens.
    """
    return through(bench, {"own": bench.sae}, {"own": moved}, shots=shots, share=share)["own"]


def through(
    bench: Bench,
    saes: Mapping[str, Sae],
    moved: Mapping[str, Mapping[tuple[str, int], Moved]],
    *,
    shots: int | None = None,
    share: float = 1.0,
) -> dict[str, View]:
    """Read targets and domains behind their own rows through several SAEs, each hook point once.

    Args:
        bench: The study's model and data.
        saes: By name.
        moved: By SAE, what training changed.
        shots: As for `again`.
        share: As for `again`.
    """
    spec = bench.study.spec.reading
    taught = {name: bench.taught(name).target for name in bench.study.spec.targets}
    targets: dict[str, dict[str, Profile]] = {sae: {} for sae in saes}
    domains: dict[str, dict[str, Profile]] = {sae: {} for sae in saes}
    dropped = 0
    for found, asked, tokens in ((targets, taught, spec.target_tokens), (domains, bench.domains, spec.query_tokens)):
        for name, domain in asked.items():
            units = planned(bench, domain, tokens=max(1, round(share * tokens)), shots=shots)
            dropped += sum(unit.dropped_demonstrations for unit in units)
            for sae, profile in summed(bench, saes, units, f"{name}: read again").items():
                found[sae][name] = profile
    return {sae: View(targets[sae], domains[sae], moved[sae], dropped) for sae in saes}


def changes_through(
    bench: Bench, cells: Sequence[Cell], saes: Mapping[str, Sae]
) -> dict[str, dict[tuple[str, int], Moved]]:
    """What each kept trained model changed on its target's questions, through other SAEs; each model is loaded once."""
    found: dict[str, dict[tuple[str, int], Moved]] = {name: {} for name in saes}
    for cell in cells if saes else ():
        taught = bench.taught(cell.target)
        trained = load_trained(bench.spec, cell.folder / "model", folder=taught.loaded.folder(("model", "name")))
        units = planned(bench, taught.target, tokens=bench.study.spec.reading.target_tokens)
        bare = tuple(map(without_demonstrations, units))
        title = f"{cell.target}, seed {cell.seed}: what training moved"
        for name, profile in summed(bench, saes, bare, title, trained).items():
            live = len(live_features(profile.fired, profile.shift))
            found[name][cell.target, cell.seed] = Moved(profile.shift / profile.tokens, live)
        give_back_memory()
    return found


def planned(bench: Bench, domain: Domain, *, tokens: int, shots: int | None = None) -> tuple[Unit, ...]:
    """What is read of a domain behind its own rows; with the study's own settings what the study itself read."""
    spec = bench.study.spec.reading
    return plan_reading(
        bench.model, domain.query, domain.demonstration, tokens=tokens, shots=shots or spec.demonstrations,
        draws=spec.draws, seed=bench.study.spec.seeds[0],
    ).units  # fmt: skip


def summed(
    bench: Bench, saes: Mapping[str, Sae], units: Sequence[Unit], title: str, trained: Model | None = None
) -> dict[str, Profile]:
    """The sum of units' profiles through each SAE, from the cache or read now."""
    hook_points = len({sae.depth for sae in saes.values()})
    bench.watcher.stage(title, hook_points * sum(unit.tokens for unit in units), "tokens")
    folder = cache_folder() / "profiles"
    read = read_each(bench.model, saes, units, folder=folder, trained=trained, on_tokens=bench.watcher.advance)
    return {name: reduce(add, profiles) for name, profiles in read.items()}
