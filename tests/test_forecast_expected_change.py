"""Which way is used and why, what is expected of whom, and when a sign is given."""

from dataclasses import replace

import numpy as np
import pytest

from mixplan.domains.content_sketch import Content
from mixplan.forecast import forecast
from mixplan.forecast.earlier_runs import History
from mixplan.forecast.expected_change import as_expected, gathered, headlines, learn
from mixplan.forecast.factors import left_out_error
from mixplan.forecast.job import Job
from mixplan.forecast.matching import Planned
from mixplan.forecast.measured_run import Found, Run
from mixplan.forecast.own_target import Estimate
from mixplan.forecast.target_only import comparable
from mixplan.sts import Score

NAMES = [f"d{number}" for number in range(10)]


def history(rng, runs, *, factors, noise=0.01, measure="choice", quantity="correct", kl=True):
    """Runs whose changes are score times the domain's factor; behaviour is twice its size."""
    made = []
    for number in range(runs):
        domains = {}
        for name, factor in zip(NAMES, factors, strict=True):
            score = float(np.exp(0.3 * rng.standard_normal()))
            change = float(score * factor + noise * rng.standard_normal())
            moved = abs(2 * score * factor) + 0.1 * noise * abs(rng.standard_normal())
            domains[name] = Found({"sts_icl": score}, (measure, quantity, change), float(moved) if kl else None)
        made.append(Run(f"run{number}", f"{number}" * 64, domains))
    return History(tuple(made))


def scores(names=NAMES, value=1.0):
    return {name: Score(value, 0.9 * value, 1.1 * value) for name in names}


def expect(past, given=None, **measures):
    return learn(known(past), given or scores(), score="sts_icl", measures=measures)


def known(past, planned=None):
    return comparable(past.runs, planned or Planned(), lambda: None)


DIFFERENT = np.array([-0.4, -0.3, -0.2, -0.1, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4]) / 4


def test_one_run_or_none_teaches_nothing():
    rng = np.random.default_rng(0)
    assert expect(History()) is None
    assert expect(history(rng, 1, factors=DIFFERENT)) is None


def test_domains_that_differ_have_factors_of_their_own_and_signs():
    found = expect(history(np.random.default_rng(0), 4, factors=DIFFERENT))
    assert found.ways["accuracy"].own
    assert found.ways["accuracy"].errors.own < found.ways["accuracy"].errors.one
    signs = {name: found.expected[name]["headline"].sign for name in NAMES}
    assert (signs["d0"], signs["d4"], signs["d9"]) == ("down", None, "up")
    for name, factor in zip(NAMES, DIFFERENT, strict=True):
        expected = found.expected[name]["headline"]
        assert (expected.measure, expected.quantity) == ("choice", "correct")
        assert expected.low <= factor <= expected.high
        assert expected.change == pytest.approx(factor, abs=0.02)


def test_a_way_that_errs_more_than_expecting_nothing_gives_no_sign():
    """Two targets that moved alike, and one as far the other way: each left out is foretold with the wrong sign."""
    runs = []
    for number, change in enumerate((0.1, 0.1, -0.2)):
        moved = {name: Found({"sts_icl": 1.0}, ("choice", "correct", change), None) for name in NAMES}
        runs.append(Run(f"r{number}", f"{number}" * 64, moved, target=Content(None, 1, (f"{number:012x}",))))
    found = expect(History(tuple(runs)))
    assert not found.ways["accuracy"].errors.tell
    assert {found.expected[name]["headline"].sign for name in NAMES} == {None}
    sure = Estimate(0.1, 0.05, 0.2, 0.05, 0.2, 0.0)
    place = ("choice", "correct")
    assert [as_expected(place, "accuracy", sure, told=told).sign for told in (True, False)] == ["up", None]
    assert as_expected(("behaviour", "kl"), "kl", sure).sign is None


def test_the_way_is_the_one_that_erred_less_in_runs_left_out():
    for seed, factors in enumerate([DIFFERENT, np.full(10, -0.1)]):
        past = history(np.random.default_rng(seed), 3, factors=factors, noise=0.05)
        way = expect(past).ways["accuracy"]
        assert way.errors.own == left_out_error(way.known, own=True)
        assert way.errors.one == left_out_error(way.known, own=False)
        assert way.own == (way.errors.own < way.errors.one)
        squares = [np.mean([found.headline[2] ** 2 for found in run.domains.values()]) for run in past.runs]
        assert way.errors.none == pytest.approx(np.sqrt(np.mean(squares)))
        assert way.targets == 3


def test_rows_are_planned_by_behaviour_only_where_own_factors_foretell_it_better():
    rng = np.random.default_rng(1)
    found = expect(history(rng, 4, factors=DIFFERENT))
    assert found.ways["kl"].own
    order = sorted(NAMES, key=lambda name: found.planning[name].value)
    assert set(order[-2:]) == {"d0", "d9"}
    for name in NAMES:
        entry, expected = found.planning[name], found.expected[name]["behaviour"]
        assert 0 <= entry.low <= entry.value <= entry.high
        assert entry.value == pytest.approx(expected.change)
        assert expected.low >= 0
        assert expected.sign is None
        assert entry.high - entry.low < expected.high - expected.low
    assert expect(history(rng, 4, factors=DIFFERENT, kl=False)).planning is None


def test_a_domain_never_met_has_the_common_factor_and_a_wider_interval():
    found = expect(history(np.random.default_rng(2), 4, factors=DIFFERENT), scores([*NAMES, "new"]), new="exact")
    new, old = found.expected["new"]["headline"], found.expected["d0"]["headline"]
    assert (new.measure, new.quantity) == ("exact", "score")
    assert new.high - new.low > 2 * (old.high - old.low)
    assert (
        "headline"
        not in expect(history(np.random.default_rng(2), 4, factors=DIFFERENT), scores(["new"])).expected["new"]
    )


def test_accuracy_changes_stay_within_what_accuracy_allows():
    found = expect(history(np.random.default_rng(3), 2, factors=DIFFERENT), scores(value=50.0))
    for entry in found.expected.values():
        assert -1 <= entry["headline"].low <= entry["headline"].change <= entry["headline"].high <= 1


def test_the_headline_is_the_recipes_own_or_what_most_runs_measured():
    def run(number, *place):
        return Run(f"r{number}", f"{number}" * 64, {"law": Found({}, (*place, 0.1), None)})

    past = History((run(1, "choice", "correct"), run(2, "exact", "score"), run(3, "exact", "score")))
    assert headlines(past.runs, scores(["law"]), {}) == {"law": ("exact", "score")}
    assert headlines(past.runs, scores(["law"]), {"law": "choice"}) == {"law": ("choice", "correct")}
    assert headlines(past.runs, scores(["law"]), {"law": "likelihood"}) == {"law": ("likelihood", "bits_per_byte")}
    assert headlines(past.runs, scores(["fox"]), {}) == {}
    assert headlines(past.runs, scores(["fox"]), {"fox": "lm_eval"}) == {}


def test_a_quantity_of_one_run_only_is_not_learned():
    rng = np.random.default_rng(4)
    one, other = (
        history(rng, 1, factors=DIFFERENT),
        history(rng, 1, factors=DIFFERENT, measure="likelihood", quantity="bits_per_byte"),
    )
    found = expect(History((*one.runs, *other.runs)))
    assert set(found.ways) == {"kl"}
    assert found.describe("d0").headline is None
    assert set(found.describe("d0").behaviour.values()) == {"measure", "quantity", "change", "low", "high", "sign"}


def test_scores_of_zero_or_of_another_name_teach_nothing():
    silent = History(
        tuple(Run(f"r{n}", f"{n}" * 64, {name: Found({"sts_icl": 0.0}, None, 0.1) for name in NAMES}) for n in range(3))
    )
    assert expect(silent) is None
    past = history(np.random.default_rng(5), 3, factors=DIFFERENT)
    assert learn(known(past), scores(), score="sts_act", measures={}) is None


def test_a_target_that_was_trained_again_counts_once_with_its_mean():
    """Copies are no further evidence: as runs of their own they would foretell themselves and narrow intervals."""
    past = history(np.random.default_rng(6), 3, factors=DIFFERENT, noise=0.05)
    keys = [Content(None, 1, (f"{number:012x}",)) for number in (1, 2, 3)]
    runs = [replace(run, target=key) for run, key in zip(past.runs, keys, strict=True)]
    copied = [*runs, *(replace(run, name=f"{run.name} again", hash=run.hash[::-1] + "x") for run in runs)]
    once, twice = expect(History(tuple(runs))), expect(History(tuple(copied)))
    assert twice.ways["accuracy"].targets == 3
    assert twice.ways["accuracy"].errors == once.ways["accuracy"].errors
    assert twice.expected == once.expected
    assert "Learned from 6 earlier runs of 3 targets of this model and SAE;" in forecast(
        scores(), History(tuple(copied))
    ).text  # fmt: skip
    apart = expect(History(tuple(replace(run, target=None) for run in copied)))
    assert apart.ways["accuracy"].targets == 6
    assert apart.ways["accuracy"].errors.own < 0.9 * once.ways["accuracy"].errors.own
    assert width(apart) < 0.8 * width(once)


def width(found):
    return np.mean([entry["headline"].high - entry["headline"].low for entry in found.expected.values()])


def test_runs_of_one_target_are_pooled_by_their_means():
    def run(number, change, score, target):
        parts = {name: Found({"sts_icl": score}, ("choice", "correct", change), 2 * change) for name in ("a", "b")}
        return Run(f"r{number}", f"{number}" * 64, parts, target=Content(None, 1, (f"{target:012x}",)))

    runs = (run(1, 0.2, 1.0, 1), run(2, 0.1, 5.0, 2), run(3, 0.4, 3.0, 1))
    found = gathered(known(History(runs)), "accuracy", "sts_icl")
    assert found.domains == ("a", "b", "a", "b")
    np.testing.assert_allclose(found.changes, [0.3, 0.3, 0.1, 0.1])
    np.testing.assert_allclose(found.scores, [2, 2, 5, 5])
    assert found.runs.tolist() == found.groups.tolist() == [0, 0, 1, 1]
    own = known(History(runs), Planned(target=runs[1].target))
    assert (own.own, own.own_targets) == ((1,), (1,))


def test_a_domain_that_only_a_far_job_measured_has_an_interval_as_wide_as_that_is_far():
    rng = np.random.default_rng(3)
    near = history(rng, 6, factors=DIFFERENT)
    (far,) = history(rng, 1, factors=DIFFERENT).runs
    moved = Found({"sts_icl": 1.0}, None, 0.01)
    far = replace(far, hash="f" * 64, domains=far.domains | {"own": moved}, target=Content(None, 1, ("f" * 12,)))
    long, short = (Job(target_rows=80, steps=steps, learning_rate=1e-4, adapter="full") for steps in (100.0, 5.0))
    runs = tuple(replace(run, job=of) for run, of in zip([*near.runs, far], [long] * 6 + [short], strict=True))
    given, planned = scores([*NAMES, "own"]), Planned(job=long)
    found = learn(known(History(runs), planned), given, score="sts_icl", measures={}).expected
    own = found["own"]["behaviour"]
    # 20 times the steps: the exponent's standard deviation of 1 is a factor of 20 either way.
    assert own.high >= own.change * 20**1.96
    assert found["d0"]["behaviour"].high < found["d0"]["behaviour"].change * 20
