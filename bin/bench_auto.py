"""Measures `query_tokens: auto`: how much it reads, how near its allocation comes to a full reading's, and coverage.

    bin/bench --auto FOLDER [--seeds 200] [--parts 2] [--only paper]

Reads rows of the quickstart's target and domains on the embedded model in float32 into FOLDER, part by part; a second
call continues. Each seed then draws an order of the rows that were read, behind the examples that each was read behind,
and takes a full reading's tokens from it; the rule reads the first of them as it asks for them. `quickstart` permutes
what was read. `paper` draws rows again and again from what was read, since it asks for more than that: 14 domains of
10,000 tokens, a target of 20,000, 220 rows. Domains are planned by their STS_ICL, and again by what the quickstart's
forecast makes of it. Coverage is of the value that all rows together have, from rows that are drawn again and again.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from bench_targets import PAPER_DOMAINS

from mixplan.allocate import DomainDemand, rows_again
from mixplan.domains.cached_domains import opened
from mixplan.features.measure_sparse import measure_sparse
from mixplan.features.queries import Unit
from mixplan.features.sparse import from_bytes, to_bytes
from mixplan.plan.figures import describe_model
from mixplan.plan.looks import (
    LEAST_ROWS,
    LOOKS,
    SAME_ROWS,
    Expected,
    ReadRows,
    plausible_dimensions,
    plausible_scores,
    same_dimensions,
    same_order,
    same_rows,
    widening,
)
from mixplan.plan.make import foretold, planned_by, planned_of
from mixplan.plan.scores import REPLICAS, Ready, describe_sae, made_ready, plan_readings
from mixplan.reading.progress import Silent
from mixplan.recipe import AllocateSpec, BudgetSpec, LoadedRecipe, load_recipe
from mixplan.sae.health import Health
from mixplan.saved import scores as saved
from mixplan.saved.base_types import Interval
from mixplan.sts import interval, resample

HERE = Path(__file__).resolve().parent.parent
RECIPE = HERE / "recipes" / "quickstart.yaml"
PART_TOKENS = 500
DIMENSIONS = 100
POOL_ROWS = 800.0
"""More than any allocation asks for, so that no pool bounds it."""

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Rows that were read of the target or a domain.

    Attributes:
        draw: `[rows]` the demonstration draw of each.
        tokens: `[rows]` query tokens.
        shift: `[rows, d_sae]` sums of squared changes.
    """

    draw: Integers
    tokens: Integers
    shift: Doubles


@dataclass(frozen=True)
class Size:
    """What a full reading holds, and what is planned by it."""

    domain_tokens: int
    target_tokens: int
    budget_rows: int
    domains: tuple[str, ...] | None
    again: bool


SIZES = {
    "quickstart": Size(1000, 4000, 60, None, again=False),
    "drawn": Size(1000, 4000, 60, None, again=True),
    "paper": Size(10_000, 20_000, 220, PAPER_DOMAINS, again=True),
}


def read(folder: Path, most: int) -> tuple[dict[str, Pool], dict[str, float]]:
    """Read what is not there yet, and what the forecast multiplies each domain's STS_ICL by.

    Args:
        folder: Where it is kept.
        most: Parts of each draw that are read; one more of the target's.
    """
    loaded = load_recipe(RECIPE, ("drift.query_tokens=8000", "sts.query_tokens=4000", "model.dtype=float32"))
    target, domains = opened(loaded)
    ready = made_ready(loaded, target, domains, Silent())
    readings = plan_readings(loaded.recipe, ready.model, target, domains)
    work = [
        (number, name, unit)
        for name, reading in readings.items()
        for whole in reading.units
        for number, unit in enumerate(parts(whole, PART_TOKENS if name != "target" else 700))
        if number < most + (name == "target")
    ]
    for number, name, unit in sorted(work, key=lambda item: item[0]):
        place = folder / f"{name}.{unit.draw}.{number:02d}.safetensors"
        if not place.exists():
            found = measure_sparse(ready.model, ready.sae, unit)
            assert found is not None
            place.with_suffix(".part").write_bytes(to_bytes(found))
            place.with_suffix(".part").rename(place)
            sys.stderr.write(f"{place.name}: {unit.tokens} tokens\n")
    pools = {name: pool(folder, name, most + (name == "target")) for name in readings}
    return pools, factors(loaded, ready, pools)


def parts(unit: Unit, tokens: int) -> Iterator[Unit]:
    """A unit in parts of so many query tokens."""
    kept: list[Any] = []
    for query in unit.queries:
        kept.append(query)
        if sum(one.count for one in kept) >= tokens:
            yield replace(unit, queries=tuple(kept))
            kept = []
    if kept:
        yield replace(unit, queries=tuple(kept))


def pool(folder: Path, name: str, most: int) -> Pool:
    """The first parts of what was read of one name."""
    draws, tokens, shift = [], [], []
    for place in sorted(place for number in range(most) for place in folder.glob(f"{name}.*.{number:02d}.safetensors")):
        found = from_bytes(place.read_bytes())
        assert found is not None, place
        dense = np.zeros((len(found.tokens), found.shift.width))
        dense[found.shift.lines, found.shift.columns] = found.shift.values
        draws.append(np.full(len(found.tokens), int(place.name.split(".")[1])))
        tokens.append(found.tokens)
        shift.append(dense)
    return Pool(np.concatenate(draws), np.concatenate(tokens), np.concatenate(shift))


def factors(loaded: LoadedRecipe, ready: Ready, pools: dict[str, Pool]) -> dict[str, float]:
    """What the quickstart's forecast multiplies each domain's STS_ICL by."""
    target, domains = opened(loaded)
    chosen = dimensions(pools["target"], np.arange(len(pools["target"].tokens)))
    health = Health(**dict.fromkeys(Health.__dataclass_fields__, 0))
    described = {}
    for name in domains:
        value = Interval(value=score(pools[name], chosen), low=0.0, high=1e9)
        described[name] = saved.DomainScores(
            query_tokens=1, row_tokens_mean=1.0, why=[], sts_icl=value, sts_act=value, low_shift=value, raw_icl=value
        )
    scores = saved.Scores(
        model=describe_model(ready.model, ready.checked), tokenizer=None, sae=describe_sae(ready.sae, health),
        drift=None, domains=described, ranking=saved.Ranking(stability=None, of=""), reading={}, warnings=[],
    )  # fmt: skip
    planned = planned_of(loaded, target, domains, scores)
    planning = planned_by(foretold(loaded, Path("runs") / "auto", scores, planned), scores, "icl")
    return {name: planning.domains[name].score("icl").value / described[name].score("icl").value for name in domains}


def dimensions(target: Pool, rows: Integers) -> Integers:
    """The drift dimensions by some of the target's rows."""
    return np.argsort(-target.shift[rows].sum(axis=0), kind="stable")[:DIMENSIONS]


def score(domain: Pool, chosen: Integers) -> float:
    """A domain's STS_ICL by all of its rows."""
    return float(domain.shift[:, chosen].sum() / domain.tokens.sum())


def full_reading(domain: Pool, tokens: int, rng: np.random.Generator, *, again: bool) -> list[Integers]:
    """Rows of each draw in a drawn order, until they hold their part of so many tokens."""
    draws = np.unique(domain.draw)
    found = []
    for draw in draws:
        rows = np.flatnonzero(domain.draw == draw)
        wanted = tokens / len(draws)
        many = int(2 * wanted / domain.tokens[rows].mean()) + 20
        order = rng.choice(rows, many) if again else rng.permutation(rows)
        found.append(order[: int(np.searchsorted(np.cumsum(domain.tokens[order]), wanted)) + 1])
    return found


def looked_at(domain: Pool, full: Sequence[Integers], part: float) -> list[Integers]:
    """The first rows of each draw, as a look reads them."""
    least = max(2, -(-LEAST_ROWS // len(full)))
    found = []
    for rows in full:
        reached = np.cumsum(domain.tokens[rows])
        enough = int(np.searchsorted(reached, part * reached[-1] - 1e-9)) + 1
        found.append(rows[: max(enough, least)])
    return found


@dataclass
class Seed:
    """One full reading, and the rule reading it.

    Attributes:
        pools: What was read, by name.
        size: What a full reading holds.
        factor: `[domains]` what each STS_ICL is multiplied by in planning.
        number: Of the seed.
    """

    pools: dict[str, Pool]
    size: Size
    factor: Doubles
    number: int

    def __post_init__(self) -> None:
        rng, size = np.random.default_rng([self.number, 7]), self.size
        self.names = [name for name in self.pools if name != "target"]
        self.full = {
            name: full_reading(
                one, size.target_tokens if name == "target" else size.domain_tokens, rng, again=size.again
            )
            for name, one in self.pools.items()
        }

    def tokens(self, rows: dict[str, list[Integers]]) -> int:
        """Query tokens of a reading."""
        return sum(int(self.pools[name].tokens[np.concatenate(own)].sum()) for name, own in rows.items())

    def allocated(self, scores: Doubles) -> Integers:
        """`[times, domains]` rows by scores `[times, domains]`: in proportion, as `allocate` gives them without limits.

        The first seed's are held against `rows_again`, which takes most of the time.
        """
        planning = scores * self.factor
        amounts = planning / planning.sum(axis=1, keepdims=True) * self.size.budget_rows
        rows = np.floor(amounts + 5e-7)
        remainders = np.round(np.maximum(amounts - rows, 0.0), 6)
        for own, remainder in zip(rows, remainders, strict=True):
            own[np.argsort(-remainder, kind="stable")[: self.size.budget_rows - int(own.sum())]] += 1
        if self.number == 0:
            demands = [
                DomainDemand(name, float(value), 0.0, 1e12, int(POOL_ROWS), POOL_ROWS, 1.0)
                for name, value in zip(self.names, planning[0], strict=True)
            ]
            budget = BudgetSpec(rows=self.size.budget_rows)
            assert (
                rows
                == rows_again(demands, planning / planning[0], spec=AllocateSpec(objective="alpha_fair"), budget=budget)
            ).all()
        whole: Integers = rows.astype(np.int64)
        return whole

    def ran(self) -> dict[str, Any]:
        """What the rule read, and how near it came."""
        whole = np.concatenate(self.full["target"])
        chosen = dimensions(self.pools["target"], whole)
        values = [self.value(name, np.concatenate(self.full[name]), chosen) for name in self.names]
        allocation = self.allocated(np.array([values]))[0]
        looks = dict.fromkeys(self.pools, 0)
        while True:
            rows = {name: looked_at(one, self.full[name], LOOKS[looks[name]]) for name, one in self.pools.items()}
            expected, drawn, sets = self.expected(rows, looks)
            own = self.allocated(drawn)[0]
            planning = dict(zip(self.names, (drawn * self.factor).T, strict=True))
            wanted = expected.open_at(looks, planning, self.size.budget_rows)
            if expected.settled or not wanted:
                break
            looks = {name: look + (name in wanted) for name, look in looks.items()}
        return {
            "look": max(looks.values()),
            "tokens": self.tokens(rows) / self.tokens(self.full),
            "furthest": int(np.abs(own - allocation).max()),
            "dimensions": float(np.isin(sets[0], chosen).mean()),
            "expected_dimensions": expected.dimensions,
            "held": self.covered(rows, sets[0]),
        }

    def value(self, name: str, rows: Integers, chosen: Integers) -> float:
        """A domain's STS_ICL by some rows."""
        one = self.pools[name]
        return float(one.shift[np.ix_(rows, chosen)].sum() / one.tokens[rows].sum())

    def expected(self, rows: dict[str, list[Integers]], looks: dict[str, int]) -> tuple[Expected, Doubles, Integers]:
        """What the rule expects, `[1 + draws, domains]` the scores that it draws, and the sets of drift dimensions."""
        part = {name: self.tokens({name: own}) / self.tokens({name: self.full[name]}) for name, own in rows.items()}
        taught = np.concatenate(rows["target"])
        shift = self.pools["target"].shift[taught]
        counts = np.random.default_rng([self.number, looks["target"]]).poisson(1.0, (REPLICAS, len(taught)))
        sets = plausible_dimensions(shift.sum(axis=0), counts @ shift, count=DIMENSIONS, part=part["target"])
        drawn = []
        for number, name in enumerate(self.names):
            own, one = np.concatenate(rows[name]), self.pools[name]
            sums = np.stack([one.shift[:, chosen].sum(axis=1)[own] for chosen in sets])
            read_rows = ReadRows(one.tokens[own], sums, one.draw[own], part[name])
            drawn.append(plausible_scores(read_rows, seed=(self.number, number, looks[name])))
        scores = np.array(drawn).T
        return Expected(same_dimensions(sets), same_order(scores), same_rows(self.allocated(scores))), scores, sets

    def covered(self, rows: dict[str, list[Integers]], chosen: Integers) -> float:
        """Part of the domains whose interval holds the value that all rows together have."""
        held = []
        for name in self.names:
            one, own = self.pools[name], np.concatenate(rows[name])
            sums, tokens = one.shift[:, chosen].sum(axis=1)[own], one.tokens[own]
            counts = [len(part) for part in rows[name]]
            weights = resample(counts, 400, self.number)
            found = interval(
                float(sums.sum() / tokens.sum()), (weights @ sums) / (weights @ tokens), widening(len(own), len(counts))
            )
            held.append(found.low <= score(one, chosen) <= found.high)
        return float(np.mean(held))


def summary(pools: dict[str, Pool], size: Size, factor: dict[str, float], seeds: int) -> dict[str, Any]:
    """What the rule does at one size, over seeds."""
    names = ("target", *(size.domains or [name for name in pools if name != "target"]))
    chosen = {name: pools[name] for name in names}
    of = np.array([factor[name] for name in names[1:]])
    found = [Seed(chosen, size, of, number).ran() for number in range(seeds)]
    tokens = np.array([one["tokens"] for one in found])
    furthest = np.array([one["furthest"] for one in found])
    held = np.array([one["held"] for one in found])
    near = float((furthest <= SAME_ROWS).mean())
    return {
        "seeds": seeds,
        "tokens_of_full_mean": round(float(tokens.mean()), 3),
        "tokens_of_full_95th": round(float(np.quantile(tokens, 0.95)), 3),
        "within_2_rows": round(near, 3),
        "furthest_rows": int(furthest.max()),
        "looks": {f"{part:g}": sum(one["look"] == look for one in found) for look, part in enumerate(LOOKS)},
        "same_dimensions": round(float(np.mean([one["dimensions"] for one in found])), 3),
        "same_dimensions_expected": round(float(np.mean([one["expected_dimensions"] for one in found])), 3),
    } | ({"coverage": round(float(held.mean()), 4), "coverage_se": round(float(held.std() / seeds**0.5), 4)}
         if size.again else {})  # fmt: skip


def main() -> None:
    """Read, simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where what is read is kept")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", choices=SIZES, help="one size alone")
    parser.add_argument("--parts", type=int, default=2, help=f"read of each draw, of {PART_TOKENS} tokens each")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    pools, factor = read(given.folder, given.parts)
    held: dict[str, Any] = {"read": {name: int(one.tokens.sum()) for name, one in pools.items()}}
    by_score = dict.fromkeys(factor, 1.0)
    for name, size in SIZES.items():
        if given.only not in (None, name):
            continue
        for by, factors_of in (("forecast", factor), ("STS_ICL", by_score)):
            held[f"{name}, by {by}"] = summary(pools, size, factors_of, given.seeds)
            sys.stderr.write(f"{name}, by {by}: {held[f'{name}, by {by}']}\n")
    print(json.dumps(held, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
