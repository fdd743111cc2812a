"""Reads the domains' query tokens through both models with one SAE, and finds the features that training moved.

A feature's shift in a domain is the mean over query tokens of (h trained - h untrained)². Over all domains it is the
mean of the domains' own, so that each weighs alike, however many tokens it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mixplan.domains import Domain
from mixplan.drift import concentration
from mixplan.features.examples import Example, examples_of
from mixplan.features.queries import Reading, plan_reading, without_demonstrations
from mixplan.features.statistics import Columns, Statistics
from mixplan.model import Model
from mixplan.outcome.actual_drift import largest, total
from mixplan.reading.units import Reader
from mixplan.recipe import Recipe
from mixplan.saved.base_types import Context
from mixplan.saved.diff import MovedFeature, Shift

Doubles = npt.NDArray[np.float64]

SHOWN = 20
"""Features that moved most, of all domains together."""
OF_DOMAIN = 5
"""And of each domain."""


@dataclass(frozen=True)
class Moved:
    """What moved in one domain, per query token.

    Attributes:
        reading: What was read.
        shift: `[d_sae]` mean squared change.
        raw: Mean squared change of the residual stream, over all of its dimensions.
        before: `[d_sae]` mean activation before training.
        tokens: Query tokens.
    """

    reading: Reading
    shift: Doubles
    raw: float
    before: Doubles
    tokens: int

    @classmethod
    def of(cls, reading: Reading, parts: list[Statistics]) -> Moved:
        """Add up the units of a domain."""
        tokens = sum(int(part.tokens.sum()) for part in parts)
        return cls(
            reading=reading,
            shift=total(parts, "shift") / tokens,
            raw=float(total(parts, "raw_shift").sum()) / tokens,
            before=total(parts, "act") / tokens,
            tokens=tokens,
        )

    def described(self) -> Shift:
        """For diff.json."""
        whole = float(self.shift.sum())
        leading = largest(self.shift, OF_DOMAIN)
        return Shift(
            total=whole,
            raw=self.raw,
            tokens=self.tokens,
            features=[(int(feature), float(self.shift[feature]) / whole) for feature in leading],
        )


def readings_of(recipe: Recipe, model: Model, domains: Mapping[str, Domain]) -> dict[str, Reading]:
    """What is read of each domain: its query tokens without anything in front; domains without query rows are left out.

    Args:
        recipe: For what `sts` reads at most, its draws and the seed.
        model: For its tokenizer, template and window.
        domains: The opened domains.
    """
    found = {}
    for number, (name, domain) in enumerate(domains.items()):
        if not domain.query:
            continue
        reading = plan_reading(
            model, domain.query, domain.demonstration, tokens=recipe.sts.tokens_at_most, shots=0,
            draws=recipe.sts.draws, seed=recipe.seed * 1_000_003 + number,
        )  # fmt: skip
        bare = replace(reading, units=tuple(without_demonstrations(unit) for unit in reading.units))
        if bare.units:
            found[name] = bare
    return found


def read_moved(readings: Mapping[str, Reading], reader: Reader) -> dict[str, Moved]:
    """Read each domain through both models.

    Args:
        readings: What is read of each.
        reader: Its model the untrained one, with the trained one beside it.
    """
    found = {}
    for number, (name, reading) in enumerate(readings.items(), 1):
        title = f"reading {name} with both models ({number} of {len(readings)})"
        reader.watcher.stage(title, reading.tokens, "tokens")
        found[name] = Moved.of(reading, reader.read(reading.units))
    return found


def concentration_of(moved: Mapping[str, Moved]) -> list[tuple[int, float]]:
    """How many features hold what share of the shift over all domains; empty where nothing moved."""
    together = over_domains(moved)
    return list(concentration(together)) if together.any() else []


def over_domains(moved: Mapping[str, Moved]) -> Doubles:
    """`[d_sae]` shift over all domains, each weighing alike."""
    return np.asarray(np.mean([one.shift for one in moved.values()], axis=0), dtype=np.float64)


def leading_features(moved: Mapping[str, Moved], reader: Reader) -> list[MovedFeature]:
    """The features that moved most over all domains, with the tokens that fire them where they moved most.

    Args:
        moved: What moved in each domain.
        reader: Its model the untrained one, with the trained one beside it.
    """
    together = over_domains(moved)
    features = largest(together, SHOWN)
    where = {int(feature): max(moved, key=lambda name: moved[name].shift[feature]) for feature in features}
    after: dict[int, float] = {}
    fired: dict[int, list[Example]] = {}
    silenced: set[int] = set()
    assert reader.trained is not None, "two models are compared"
    back = replace(reader, model=reader.trained, trained=reader.model)
    for name in dict.fromkeys(where.values()):
        those = np.array([feature for feature, place in where.items() if place == name], dtype=np.int64)
        reading = moved[name].reading
        means, examples = firing(back, reading, those)
        after |= means
        fired |= examples
        if quiet := [feature for feature in those.tolist() if not examples[feature]]:
            silenced |= set(quiet)
            _, examples = firing(reader, reading, np.array(quiet, dtype=np.int64))
            fired |= examples
    whole = float(together.sum())
    return [
        MovedFeature(
            feature=feature,
            share=float(together[feature]) / whole,
            domain=name,
            domain_share=float(moved[name].shift[feature] / moved[name].shift.sum()),
            before=float(moved[name].before[feature]),
            after=after[feature],
            contexts=[Context.model_validate(vars(example)) for example in fired[feature]],
            silenced=feature in silenced,
        )
        for feature, name in where.items()
    ]


def firing(
    reader: Reader, reading: Reading, features: npt.NDArray[np.int64]
) -> tuple[dict[int, float], dict[int, list[Example]]]:
    """Mean activations of some features in a reader's model, and the tokens that fire them most."""
    none = np.zeros(0, dtype=np.int64)
    reader.watcher.stage("reading what fires the features that moved", reading.tokens, "tokens")
    parts = reader.read_columns(reading.units, Columns(features, none, none))
    means = np.sum([part.by_column["drift_act"] for part in parts], axis=0) / reading.tokens
    return (
        {int(feature): float(mean) for feature, mean in zip(features, means, strict=True)},
        {
            int(feature): examples_of(reader.model, reading.units, parts, column)
            for column, feature in enumerate(features)
        },
    )
