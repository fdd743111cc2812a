"""outcome.json's values from a plan, two evaluations and a job, against the parts they are made from."""

from dataclasses import replace

import pytest
from as_saved import filled, plain, typed
from saved_plan import sample

from mixplan.evaluate.compare import changes
from mixplan.outcome.assemble import assemble, with_arms
from mixplan.recipe.spec import EvaluateSpec
from mixplan.runs import canonical_json
from mixplan.saved import Plan
from mixplan.saved.arms import Arms
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured
from mixplan.saved.outcome import Consumption, Drift, LogLine
from mixplan.train.make import Trained

RECIPE = {
    "train": {"method": "sft"},
    "sts": {"score": "icl", "demonstrations": 5},
    "drift": {"features": 100, "demonstrations": 2},
}


def evaluation(shift, *, truncated=0, without=()):
    def values(start, step):
        return tuple(min(1.0, max(0.0, start + shift * step * (i % 4))) for i in range(20))

    rows = tuple(f"r:{i}" for i in range(20))
    domains = {}
    for number, name in enumerate(["target", *list(sample()["domains"])[:6]]):
        outcomes = ("truncated",) * truncated + ("right",) * (20 - truncated)
        exact = Measured("exact", rows, {"score": values(0.5, -0.1 * number)}, {"outcome": outcomes})
        kl = Measured("behaviour", rows, {"kl": values(0.0, 0.1 * (number + 1))}, {})
        domains[name] = {} if name in without else {"behaviour": kl, "exact": exact}
    headlines = dict.fromkeys(domains, "exact")
    model = EvaluatedModel(name="tiny", hash="a", dtype="float32", device="cpu")
    return Evaluation(model, domains, headlines)


def planned(**changes_of_plan):
    plan = sample(domains=6)
    for domain in plan["domains"].values():
        domain["total_shift"] = {"value": 9.0, "low": 8.0, "high": 10.0}
    return plan | {"recipe": RECIPE} | changes_of_plan


@pytest.fixture
def job(tmp_path):
    consumed = {"planned_rows": 9, "rows": 9, "trainable_tokens": 99, "truncated_rows": 0, "dropped_rows": 0}
    return Trained(tmp_path, 60, 3.5, [{"step": 1, "loss": 2.0}], {"law": consumed}, "c" * 64)


DRIFT = {"overlap": 7, "of": 10, "chance": 1.0, "low": 0, "high": 3, "live": 90, "active_overlap": 4, "raw_overlap": 5,
         "raw_of": 10, "raw_chance": 3.0, "raw_low": 1, "raw_high": 5, "share_of_shift": 0.4,
         "concentration": [[1, 0.1], [10, 1.0]], "unexpected": [], "query_tokens": 120}  # fmt: skip


def outcome(job, plan=None, before=None, after=None, drift=DRIFT):
    before, after = before or evaluation(0.0), after or evaluation(0.5)
    ended = replace(
        job,
        log=[typed(LogLine, line) for line in job.log],
        consumption={name: typed(Consumption, one) for name, one in job.consumption.items()},
    )
    drift = None if drift is None else typed(Drift, drift)
    return assemble(typed(Plan, plan or planned()), before, after, ended, drift, spec=EvaluateSpec(), seed=3)


def made(*arguments, **named):
    """An outcome as its file holds it."""
    return plain(outcome(*arguments, **named))


def test_changes_are_evaluates_own_with_the_headline_first(job):
    found = made(job)
    expected = changes(evaluation(0.0), evaluation(0.5), resamples=1000, seed=3)
    assert found["domains"]["law"]["measures"] == {
        measure: {quantity: plain(change) for quantity, change in quantities.items()}
        for measure, quantities in expected["law"].items()
    }
    assert list(found["domains"]["law"]["measures"]) == ["exact", "behaviour"]
    assert found["target"]["headline"] == "exact"
    assert found["training"] == {
        "method": "sft", "steps": 60, "seconds": 3.5, "log": job.log, "consumption": job.consumption,
    }  # fmt: skip


def test_predictors_are_the_plans_scores(job):
    plan = planned()
    found = made(job, plan)
    for name, domain in found["domains"].items():
        scores = plan["domains"][name]
        assert domain["predictors"]["sts_icl"] == scores["sts_icl"]["value"]
        assert domain["predictors"]["total_shift"] == 9.0
        assert ("outside_shift" in domain["predictors"]) == (scores["outside_shift"] is not None)
        assert "raw_act" not in domain["predictors"]
    assert {entry["domains"] for entry in found["judgement"] if entry["predictor"] == "sts_icl"} == {6}
    assert found["settings"] == {
        "method": "sft", "score": "icl", "features": 100, "drift_demonstrations": 2, "drift_from": "icl",
        "sts_demonstrations": 5,
    }  # fmt: skip


def test_what_later_plans_need_is_the_plans_and_the_jobs_own(job):
    plan = planned()
    assert (made(job, plan)["content"], made(job, plan)["job"]) == (None, None)  # a plan of an older mixplan
    sketch = {"source": None, "rows": 1, "keys": "a" * 12}
    plan["target"]["content"] = sketch | {"rows": 5}
    for name in plan["domains"]:
        plan["domains"][name]["content"] = sketch
    plan["job"] = {"target_rows": 40, "steps": 99.0, "learning_rate": 2e-4, "adapter": "full"}
    job.consumption["target"] = job.consumption["law"] | {"rows": 27}
    found = made(job, plan)
    assert found["dtype"] == plan["model"]["dtype"]
    assert found["content"] == {"target": sketch | {"rows": 5}, "domains": dict.fromkeys(plan["domains"], sketch)}
    # Of 60 steps over 27 target rows and 9 of law, three quarters were on the target.
    assert found["job"] == plan["job"] | {"target_rows": 27, "steps": 45.0}


def test_a_model_of_an_earlier_step_teaches_the_steps_up_to_it(job):
    plan = planned(job={"target_rows": 40, "steps": 99.0, "learning_rate": 2e-4, "adapter": "full"})
    job.consumption["target"] = job.consumption["law"] | {"rows": 27}
    found = made(replace(job, kept_step=20), plan)
    # Of 36 rows that 60 steps read 27 were the target's: of the 20 steps that made this model, so were 15.
    assert found["job"]["steps"] == pytest.approx(20 * 27 / 36)
    assert (found["training"]["steps"], found["training"]["kept_step"]) == (60, 20)
    assert "kept_step" not in made(job, plan)["training"]


@pytest.mark.parametrize(("processes", "kind"), [(None, "learned"), (1, "learned"), (2, "relative"), (2, "learned")])
def test_a_forecast_counts_one_process_and_says_so_where_several_trained(job, processes, kind):
    plan = planned(job={"target_rows": 40, "steps": 120.0, "learning_rate": 2e-4, "adapter": "full"})
    plan["forecast"] = plan["forecast"] | {"kind": kind}
    job.consumption["target"] = job.consumption["law"] | {"rows": 27}
    found = made(replace(job, processes=processes), plan)
    assert found["training"].get("processes") == processes
    told = [text for text in found["warnings"] if "processes trained together" in text]
    assert told == (
        ["2 processes trained together, each on a batch of its own, where the plan's forecasts count one: they are of "
         "120 optimiser steps on target rows, and 45 were taken."]
        if (processes, kind) == (2, "learned") else []
    )  # fmt: skip


@pytest.mark.parametrize(
    ("notes", "kept", "kind", "said"),
    [
        (("The model of step 20 is kept.",), 20, "learned", True),
        (("Training was stopped.",), None, "learned", True),
        (("The model of step 20 is kept.",), 20, "relative", False),
        ((), None, "learned", False),
    ],
)
def test_a_model_that_a_monitor_cut_short_has_less_behind_it_than_was_forecast(job, notes, kept, kind, said):
    """60 steps on 27 target rows of 36 are 45 of them, and 15 up to step 20; the plan has forecast 99, or just 45."""
    plan = planned(job={"target_rows": 40, "steps": 99.0, "learning_rate": 2e-4, "adapter": "full"})
    plan["forecast"] = plan["forecast"] | {"kind": kind}
    job.consumption["target"] = job.consumption["law"] | {"rows": 27}

    def told(**changes):
        found = made(replace(job, notes=notes, kept_step=kept), plan | changes)
        return [text for text in found["warnings"] if "whole job" in text]

    steps = 15 if kept else 45
    assert [
        f"99 optimiser steps on target rows; the model that was measured has {steps} " in one for one in told()
    ] == [True] * said
    if kept is None:
        assert told(job=plan["job"] | {"steps": 45.2}) == []


def test_hashes_tell_one_evaluation_from_another(job):
    plan = planned()
    first, second = made(job, plan), made(job, plan, after=evaluation(0.4))
    assert first["hashes"]["before"] == second["hashes"]["before"]
    assert first["hashes"]["after"] != second["hashes"]["after"]
    assert first["hashes"] | {"before": "", "after": ""} == {
        **{part: plan["hashes"][part] for part in ("plan", "model", "sae")},
        "trained": "c" * 64,
        "before": "",
        "after": "",
    }
    assert canonical_json(first) == canonical_json(made(job, plan))


def test_a_relative_forecast_is_checked_by_share_and_a_learned_one_by_its_interval(job):
    plan = planned()
    found = made(job, plan)
    assert all(domain["expected"] is None for domain in found["domains"].values())
    assert sum(domain["relative"]["measured"] for domain in found["domains"].values()) == pytest.approx(1)
    change = found["domains"]["law"]["measures"]["exact"]["score"]["change"]
    expected = {
        "measure": "exact",
        "quantity": "score",
        "change": 0.0,
        "low": change - 1,
        "high": change + 1,
        "sign": None,
    }
    plan["forecast"]["kind"] = "learned"
    for name, domain in plan["domains"].items():
        shifted = expected if name != "law" else expected | {"low": change / 2}
        domain["forecast"] = domain["forecast"] | {"expected": {"headline": shifted, "behaviour": None}}
    found = made(job, plan)
    assert [name for name, domain in found["domains"].items() if domain["outside_forecast"]] == ["law"]
    assert found["domains"]["law"]["relative"] is None
    assert "1 of 6 domains moved outside their forecast: law (" in " ".join(found["summary"])


def test_a_change_behind_extra_rows_may_be_less_than_a_forecast_without_any(job):
    plan = planned()
    change = made(job, plan)["domains"]["law"]["measures"]["exact"]["score"]["change"]
    large = {"measure": "exact", "quantity": "score", "change": 3 * change, "low": 4 * change, "high": 2 * change}
    plan["domains"]["law"]["forecast"] |= {"expected": {"headline": large, "behaviour": None}}
    plan["forecast"]["kind"] = "learned"
    found = made(job, plan)
    assert change < 0 < sum(plan["allocation"]["rows"].values())
    assert found["domains"]["law"]["outside_forecast"] is False
    assert "law moved less than forecast: that is of the target's rows alone" in " ".join(found["summary"])
    plan["allocation"]["rows"] = dict.fromkeys(plan["allocation"]["rows"], 0)
    found = made(job, plan)
    assert found["domains"]["law"]["outside_forecast"] is True
    assert "moved less" not in " ".join(found["summary"])


def test_warnings_in_full(job):
    job.consumption["law"] |= {"truncated_rows": 2, "dropped_rows": 1}
    found = made(job, before=evaluation(0.0), after=evaluation(0.5, truncated=3, without=("algebra",)), drift=None)
    cut = ", ".join(f"{name} 3 of 20" for name in ("target", *(n for n in found["domains"] if n != "algebra")))
    assert found["warnings"] == [
        "Training moved no feature of the SAE on the target's query tokens: it changed nothing below the SAE's layer, "
        "so predicted and actual drift cannot be compared.",
        "law: 2 of its rows were cut to the longest length.",
        "law: 1 of its rows was longer than allowed and left out.",
        "algebra: nothing was measured; it has no evaluation rows, or no measure fits it.",
        f"Answers of the trained model that were cut at evaluate.answer_tokens count as wrong: {cut}.",
    ]
    before = evaluation(0.0, truncated=3)
    told = made(job, before=before, after=evaluation(0.5), drift=None)["warnings"]
    assert [text for text in told if "were cut at" in text] == [
        "Answers of the untrained model that were cut at evaluate.answer_tokens count as wrong, so part of a gain may "
        f"be that answers end sooner: {', '.join(f'{name} 3 of 20' for name in before.domains)}."
    ]
    assert found["domains"]["algebra"]["outside_forecast"] is None
    assert found["domains"]["law"]["answers"] == {"before": {"right": 20}, "after": {"right": 17, "truncated": 3}}


def test_a_domain_that_was_not_measured_is_no_hindrance(job):
    nothing = ("target", *sample(domains=6)["domains"])
    found = made(job, before=evaluation(0.0, without=nothing), after=evaluation(0.5, without=nothing))
    assert found["judgement"] == []
    assert found["summary"][:2] == [
        "The target was not measured: it has no evaluation rows, or no measure fits it.",
        "No domain was measured.",
    ]


def test_arms_are_added_with_a_sentence(job):
    arms = {
        "baseline": "uniform", "seeds": [0], "steps": 60, "quantity": "accuracy", "domains": 6, "behaviour": None,
        "arms": {
            name: {
                "seeds": 1, "rows": {}, "target": None, "target_quantity": None, "target_against": None,
                "mean": {"value": 0.1, "low": 0.0, "high": 0.2}, "worst": {"value": 0.1, "low": 0.0, "high": 0.2},
                "worst_domain": "law", "against": {"value": 0.1, "low": 0.05, "high": 0.2} if name == "plan" else None,
                "verdict": "win" if name == "plan" else None, "by_domain": None,
            } for name in ("uniform", "plan")
        },
    }  # fmt: skip
    found = with_arms(outcome(job), filled(Arms, arms))
    assert found.summary[-1].startswith("Each mixture was trained once, so that these intervals are over items and do")
    assert found.summary[-2] == (
        "Against the uniform mixture, by the mean change of accuracy over 6 domains: "
        "plan beat it (+10.0 points [+5.0, +20.0])."
    )
    assert found.drift.overlap == 7
    assert found.arms.arms["plan"].verdict == "win"
