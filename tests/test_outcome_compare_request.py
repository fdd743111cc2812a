"""What a comparison was asked: arms, seeds, and what is refused before anything is trained."""

import pytest
from as_saved import typed
from saved_plan import sample
from small_plan import Silent

from mixplan.errors import RunError
from mixplan.outcome.arms import LED, USUAL
from mixplan.outcome.compare import make_comparison
from mixplan.outcome.compare_request import CompareRequest, seeds_of, with_usual
from mixplan.outcome.make import OutcomeRequest
from mixplan.saved import Plan


def test_an_unknown_arm_is_told_before_anything_is_trained(tmp_path):
    request = CompareRequest(OutcomeRequest(tmp_path / "no.yaml", run=tmp_path / "run"), ("uniforn",))
    with pytest.raises(RunError) as refused:
        make_comparison(request, watcher=Silent())
    assert str(refused.value) == (
        "--arms: found 'uniforn', expected one of none, uniform, proportional_to_size, proportional_to_sts, random, "
        "oracle, plan. Did you mean 'uniform'?"
    )
    assert not (tmp_path / "run").exists()


def test_the_oracle_needs_the_arm_none(tmp_path):
    request = CompareRequest(OutcomeRequest(tmp_path / "no.yaml", run=tmp_path / "run"), ("uniform", "oracle"))
    with pytest.raises(RunError) as refused:
        make_comparison(request, watcher=Silent())
    assert str(refused.value) == "--arms: oracle spreads the rows by what the arm none has lost. Add none."
    assert not (tmp_path / "run").exists()


def test_training_seeds_are_counted_or_given(tmp_path):
    outcome = OutcomeRequest(tmp_path / "no.yaml", run=tmp_path / "run")
    assert seeds_of(CompareRequest(outcome, ("plan",), seeds=3), 5) == [5, 6, 7]
    assert seeds_of(CompareRequest(outcome, ("plan",), seeds=(3, 7)), 3) == [3, 7]
    with pytest.raises(RunError) as refused:
        seeds_of(CompareRequest(outcome, ("plan",), seeds=(3, 7)), 7)
    assert str(refused.value) == ("seeds: the first is 3, but the plan's own training has 7. Begin with it.")


def test_arms_that_are_named_stay_and_else_an_even_plan_measures_the_scores(tmp_path):
    plan, watcher = typed(Plan, sample(domains=4)), Silent()
    even = plan.allocation.model_copy(update={"rows": dict.fromkeys(plan.domains, 5)})
    plan = plan.model_copy(update={"allocation": even})
    asked = CompareRequest(OutcomeRequest(tmp_path), ("none", "plan"))
    assert with_usual(asked, plan, watcher) == asked
    found = found_even = with_usual(CompareRequest(OutcomeRequest(tmp_path), ()), plan, watcher)
    assert found.arms == ("none", "uniform", "proportional_to_size", "proportional_to_sts", "plan")
    assert watcher.said.count(LED) == 1
    uneven = even.model_copy(update={"rows": {name: 5 * number for number, name in enumerate(plan.domains)}})
    for other in ({"allocation": uneven}, {"drift": None}):
        found = with_usual(CompareRequest(OutcomeRequest(tmp_path), ()), plan.model_copy(update=other), watcher)
        assert found.arms == USUAL
    assert watcher.said.count(LED) == 1
    capped = even.model_copy(update={"rows": {name: 5 * (number > 0) for number, name in enumerate(plan.domains)}})
    request = CompareRequest(OutcomeRequest(tmp_path), ())
    assert with_usual(request, plan.model_copy(update={"allocation": capped}), watcher).arms == found_even.arms
