"""Holds each target predicted from the others against the forecast itself, plain loops, and a made-up truth."""

import json
from dataclasses import replace

import numpy as np
import pytest
from as_saved import plain
from random_table import DOMAINS, TARGETS, D, T, random_table
from scipy.stats import pearsonr

from mixplan.forecast.factors import Changes, predict
from mixplan.study.judged.learned import WAYS, judge_learned, left_out


@pytest.fixture(scope="module")
def table():
    """A made-up study with the two scores; the first tells what a target adds, the second nothing."""
    plain = random_table()
    rng = np.random.default_rng(3)
    change = plain.measures["kl"].mean(2)
    told = np.where(np.isnan(change), 1.0, change) * np.exp(0.2 * rng.normal(size=(T, D)))
    factor = np.exp(rng.normal(size=D))
    scores = {"sts_icl": told / factor, "sts_act": rng.random((T, D)) + 0.5}
    return replace(plain, predictors=plain.predictors | scores)


@pytest.fixture(scope="module")
def judged(table):
    return plain(judge_learned(table, resamples=20, seed=1))


def size_of(table):
    return table.measures["kl"].mean(2)


@pytest.mark.parametrize(("score", "own"), WAYS.values())
def test_a_target_is_foretold_by_the_forecast_from_all_others(table, score, own):
    size = size_of(table)
    change, low, high = left_out(table, size, list(range(T)), score, own)
    values = np.ones_like(size) if score is None else table.predictors[score]
    for t in range(T):
        rows = [(values[r, d], size[r, d], DOMAINS[d], r) for r in range(T) for d in range(D) if r != t and r != d]
        known = Changes(*(np.array(column) for column in list(zip(*rows, strict=True))[:2]),
                        tuple(row[2] for row in rows), np.array([row[3] for row in rows]))  # fmt: skip
        here = [d for d in range(D) if d != t]
        expected = predict(known, [DOMAINS[d] for d in here], values[t, here], own=own)
        assert change[t, here] == pytest.approx(expected.change)
        assert low[t, here] == pytest.approx(expected.low)
        assert high[t, here] == pytest.approx(expected.high)
        assert np.isnan(change[t, t])


def test_figures_are_those_of_plain_loops(table, judged):
    size = size_of(table)
    for name, (score, own) in WAYS.items():
        change, low, high = left_out(table, size, list(range(T)), score, own)
        known = ~np.isnan(size)
        found = judged["ways"][name]
        assert found["pearson"]["value"] == pytest.approx(
            np.mean([pearsonr(change[t, known[t]], size[t, known[t]])[0] for t in range(T)])
        )
        errors = [np.sqrt(np.mean((change[t, known[t]] - size[t, known[t]]) ** 2)) for t in range(T)]
        assert found["error"]["value"] == pytest.approx(np.mean(errors))
        held = [(low[cell] <= size[cell] <= high[cell]) for cell in zip(*np.nonzero(known), strict=True)]
        assert found["inside"] == pytest.approx(np.mean(held))
    none = [np.sqrt(np.mean(size[t, ~np.isnan(size[t])] ** 2)) for t in range(T)]
    assert judged["error_none"]["value"] == pytest.approx(np.mean(none))
    json.dumps(judged, allow_nan=False)


def test_a_score_that_tells_is_ahead_of_movability_alone_and_one_that_does_not_is_not(judged):
    errors, ways = judged["differences"]["error"], judged["ways"]
    assert errors["sts_icl_own"]["high"] < 0
    assert errors["sts_act_own"]["high"] > 0
    assert judged["differences"]["pearson"]["sts_icl_own"]["value"] == pytest.approx(
        ways["sts_icl_own"]["pearson"]["value"] - ways["movability"]["pearson"]["value"]
    )
    assert ways["sts_icl_own"]["pearson"]["value"] > ways["sts_icl_one"]["pearson"]["value"]
    assert "movability" not in errors


def test_too_little_to_learn_from_is_not_judged(table):
    def judge(table):
        return plain(judge_learned(table, resamples=2, seed=1))

    assert (
        judge(
            replace(
                table,
                measures={"bits_per_byte": table.measures["bits_per_byte"]},
                noise={"bits_per_byte": table.noise["bits_per_byte"]},
            )
        )
        is None
    )
    assert judge(replace(table, predictors={"sts_icl": table.predictors["sts_icl"]}, competitors=(), bounds=())) is None
    few = table.measures["kl"].copy()
    few[2:] = np.nan
    assert judge(replace(table, measures=table.measures | {"kl": few})) is None
    few[2] = table.measures["kl"][2]
    found = judge(replace(table, measures=table.measures | {"kl": few}))
    assert found["ways"]["sts_icl_own"]["error"]["targets"] == 3
    assert len(TARGETS) > 3
