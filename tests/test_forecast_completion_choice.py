"""The choice of domains and rank against an exhaustive search, known worlds, and what it must not look at."""

import itertools
import json

import numpy as np
import pytest
from package_files import ROOT

from mixplan.forecast.completion import Seen, complete, fit_factors, left_out_factors, reach, unseen
from mixplan.forecast.completion_choice import LEAST, MOST, choose, in_order, left_out_error

SCALED_STS = 0.138
"""Error in nats of the forecast by STS and domains' own factors on the same targets left out: see /docs/evidence.md."""


def shipped():
    """Logarithms of the shipped study's token KL, `[8, 21]`, means over seeds; NaN for a target's own data."""
    table = json.loads((ROOT / "recipes" / "studies" / "smollm2-135m" / "table.json").read_text())
    cells = [[np.nan if cell[0] is None else np.mean(cell) for cell in row] for row in table["measures"]["kl"]]
    return np.log(np.array(cells))


def world(seed, targets=8, domains=7, rank=1, noise=0.05):
    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal((domains, rank))
    columns = rng.standard_normal((targets, rank)) @ loadings.T
    logs = 0.7 * rng.standard_normal((targets, 1)) + columns - 2
    return logs + noise * rng.standard_normal(logs.shape)


def test_the_first_domain_is_the_best_single_one():
    logs = world(0)
    fits = left_out_factors(logs, 1)
    errors = []
    for place in range(logs.shape[1]):
        squares = []
        for row, factors in zip(logs, fits, strict=True):
            found = np.exp(complete(factors, Seen.exact([place], row)).mean)
            squares.append(np.mean(np.square(found - np.exp(row))))
        errors.append(np.sqrt(np.mean(squares)))
    assert in_order(logs, fits, 2, None)[0] == int(np.argmin(errors))
    assert left_out_error(logs, fits, [3], None, whole=True) == pytest.approx(errors[3])


def test_chosen_domains_are_nearly_as_good_as_the_best_of_all_sets():
    logs = world(1)
    fits = left_out_factors(logs, 1)
    sets = itertools.combinations(range(logs.shape[1]), 3)
    errors = sorted(left_out_error(logs, fits, places, None, whole=True) for places in sets)
    found = left_out_error(logs, fits, in_order(logs, fits, 3, None), None, whole=True)
    assert found < errors[len(errors) // 2]
    assert found < 2 * errors[0]


@pytest.mark.parametrize("rank", [0, 1])
def test_the_rank_is_that_of_the_world(rank):
    found = choose(world(2, targets=12, domains=12, rank=rank), least=4, most=4)
    assert (found.rank > 0) == (rank > 0)
    assert found.error == min(found.errors.values())


def test_three_to_ten_domains_are_chosen():
    assert LEAST <= len(choose(world(3, domains=16)).places) <= MOST
    assert len(choose(world(3, domains=2)).places) <= 2


def test_of_domains_that_tell_the_same_few_are_measured():
    assert len(choose(world(4, domains=12, noise=1e-3)).places) == LEAST


def test_on_the_shipped_study_three_domains_halve_the_error_that_scores_leave():
    """Eight targets, each left out of fit, rank and choice of domains; its job's own changes stand for the pilot's."""
    logs = shipped()
    errors, inside = {}, []
    for count in (3, 6, 10):
        squares = []
        for place, row in enumerate(logs):
            earlier = np.delete(logs, place, axis=0)
            chosen = choose(earlier, least=count, most=count)
            known = Seen.exact(chosen.places, row)
            found, rest = complete(fit_factors(earlier, chosen.rank), known), unseen(row, known)
            squares.append(np.mean(np.square(np.exp(found.mean) - np.exp(row))[rest]))
            half = reach(len(earlier)) * chosen.scale * found.deviation
            inside.append(np.mean((np.abs(found.mean - row) <= half)[rest]))
        errors[count] = float(np.sqrt(np.mean(squares)))
    assert errors[3] < 0.6 * SCALED_STS
    assert errors[10] < 0.45 * SCALED_STS
    assert 0.9 <= np.mean(inside) <= 0.995
