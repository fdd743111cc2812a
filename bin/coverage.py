"""Simulates how often 95 % intervals hold the truth, with few items, for graded and for other paired outcomes.

    python bin/coverage.py [SAMPLES] [SEED]
    python bin/coverage.py looks [SAMPLES]

Graded outcomes are counted exactly: every number of items that went wrong to right and right to wrong, each with its
probability. Others are drawn SAMPLES times from differences of known mean: normal, heavy tails, skewed as token KL is,
mixtures in which few items move far. Also given: how often equal models would seem to have changed. `looks` simulates
scores of domains that are read look by look instead (`query_tokens: auto`), from log-normal rows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import multinomial

from mixplan.evaluate.compare import change
from mixplan.evaluate.intervals import graded_interval, studentised
from mixplan.plan.looks import LEAST_ROWS, LOOKS, widening
from mixplan.sts import interval, resample

ITEMS = (20, 40)
FLIPS = (
    *((0.0, 0.0), (0.0, 0.02), (0.0, 0.05), (0.0, 0.1), (0.0, 0.2), (0.0, 0.4), (0.02, 0.05), (0.05, 0.05)),
    *((0.05, 0.1), (0.05, 0.2), (0.1, 0.1), (0.1, 0.3), (0.2, 0.2), (0.2, 0.4), (0.3, 0.3)),
)
"""Probabilities that an item goes wrong to right, and right to wrong."""
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def skewed(sigma: float) -> Draw:
    """Differences as those of token KL are: never below 0, log-normal."""
    return lambda random, size: random.lognormal(0.0, sigma, size) - math.exp(sigma**2 / 2)


def sloped(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Differences of a probability: two beta distributions of one mean, the later one drawn apart."""
    return random.beta(2, 2, size) - random.beta(0.8, 0.8, size)


def mixed(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A fifth of the items moves five times as far as the others."""
    return random.normal(0.0, np.where(random.random(size) < 0.2, 5.0, 1.0))


CONTINUOUS: dict[str, Draw] = {
    "normal": lambda random, size: random.standard_normal(size),
    "uniform": lambda random, size: random.random(size) - 0.5,
    "heavy tails (t, 3 degrees of freedom)": lambda random, size: random.standard_t(3, size),
    "a fifth moves five times as far": mixed,
    "probabilities": sloped,
    "skewed (exponential)": lambda random, size: random.exponential(1.0, size) - 1.0,
    "token KL (log-normal, sigma 0.5)": skewed(0.5),
    "token KL (log-normal, sigma 1)": skewed(1.0),
}


def graded_coverage(count: int, gained: float, lost: float) -> float:
    """The probability that the interval holds the true difference, exactly."""
    outcomes = [(up, down) for up in range(count + 1) for down in range(count + 1 - up)]
    ups, downs = np.array(outcomes).T
    weights = multinomial.pmf(
        np.column_stack([ups, downs, count - ups - downs]), count, [gained, lost, 1 - gained - lost]
    )
    low, high = graded_interval((ups - downs).astype(float), (ups + downs).astype(float), count)
    truth = gained - lost
    return float(np.nansum(weights * ((low <= truth) & (truth <= high))))


def continuous_coverage(draw: Draw, count: int, samples: int, seed: int, resamples: int = 1000) -> float:
    """How often the studentised interval holds 0, the true mean."""
    held = 0
    for start in range(0, samples, 50):
        random = np.random.default_rng([seed, start, count])
        for number in range(min(50, samples - start)):
            low, high = studentised(draw(random, (count, 1)), resamples, seed=start + number)
            held += bool(low[0] <= 0 <= high[0])
    return held / samples


def seeming(count: int, flips: float, samples: int, seed: int) -> tuple[float, float]:
    """How often equal models would count as changed, and how often the sign flips say so."""
    random, said, counted = np.random.default_rng([seed, count]), 0.0, 0
    for number in range(samples):
        before = (random.random(count) < 0.5).astype(float)
        after = np.where(random.random(count) < flips, random.permutation(before), before)
        found = change(before, after, quality=1, resamples=400, seed=number)
        counted, said = counted + found.changed, said + found.by_chance
    return counted / samples, said / samples


def at_looks(rows: int, draws: int, sigma: float, samples: int) -> tuple[float, float]:
    """How often a score's intervals hold the truth at all looks together, and a given budget's interval does.

    Args:
        rows: Of 10 to 59 tokens each, dealt to the draws of examples in turn.
        draws: Draws of examples.
        sigma: Of the rows' log-normal score a token.
        samples: Readings.
    """
    truth, draw, held, alone = math.exp(sigma**2 / 2), np.arange(rows) * draws // rows, 0, 0
    for seed in range(samples):
        random, inside = np.random.default_rng([seed, rows, draws]), []
        tokens = random.integers(10, 60, rows)
        sums = random.lognormal(0, sigma, rows) * tokens
        for part in LOOKS:
            ends = [max(math.ceil(part * n), min(n, -(-LEAST_ROWS // draws))) for n in np.bincount(draw)]
            read = np.concatenate([np.flatnonzero(draw == number)[:end] for number, end in enumerate(ends)])
            weights = resample(ends, 400, seed)
            value, resampled = sums[read].sum() / tokens[read].sum(), (weights @ sums[read]) / (weights @ tokens[read])
            wide = interval(value, resampled, widening(len(read), draws))
            inside.append(wide.low <= truth <= wide.high)
        given = interval(value, resampled)
        held, alone = held + all(inside), alone + (given.low <= truth <= given.high)
    return held / samples, alone / samples


def lines_of_looks(samples: int) -> Iterator[str]:
    """The table of scores that are read look by look."""
    yield f"{'rows, draws, sigma':24}{'all looks':>10}{'given budget':>14}   ({samples} readings each)"
    for rows in (10, 24, 100):
        for draws in (2, 3):
            for sigma in (0.2, 0.7, 1.2):
                held, alone = at_looks(rows, draws, sigma, samples)
                yield f"{f'{rows}, {draws}, {sigma}':24}{held:10.3f}{alone:14.3f}"


def lines(samples: int, seed: int) -> Iterator[str]:
    """The tables."""
    worst = 1.0
    yield f"{'graded: up, down':42}" + "".join(f"{count:>4} items" for count in ITEMS)
    for gained, lost in FLIPS:
        found = [graded_coverage(count, gained, lost) for count in ITEMS]
        worst = min(worst, *found)
        yield f"{f'{gained:.0%} up, {lost:.0%} down':42}" + "".join(f"{one:10.3f}" for one in found)
    yield f"least: {worst:.3f} over {len(FLIPS) * len(ITEMS)} settings (exact)"
    worst = 1.0
    yield f"\n{'other':42}" + "".join(f"{count:>4} items" for count in ITEMS)
    for name, draw in CONTINUOUS.items():
        found = [continuous_coverage(draw, count, samples, seed) for count in ITEMS]
        worst = min(worst, *found)
        yield f"{name:42}" + "".join(f"{one:10.3f}" for one in found)
    yield f"least: {worst:.3f} over {len(CONTINUOUS) * len(ITEMS)} settings ({samples} samples each, seed {seed})"
    yield f"\n{'equal models that would count as changed':42}{'measured':>10}{'sign flips':>11}"
    for count in ITEMS:
        for flips in (0.1, 0.4):
            measured, said = seeming(count, flips, min(samples, 1000), seed)
            yield f"{f'{count} items, {flips:.0%} drawn anew':42}{measured:10.3f}{said:11.3f}"


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["looks"]:
        for line in lines_of_looks(int(sys.argv[2]) if len(sys.argv) > 2 else 400):
            sys.stdout.write(f"{line}\n")
        return
    samples, seed = (int(given) for given in [*sys.argv[1:], *("4000", "0")[len(sys.argv) - 1 :]])
    for line in lines(samples, seed):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
