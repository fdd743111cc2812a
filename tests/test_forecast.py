"""Forecasts with and without measured runs: what they say, what they rest on, and a plan that learns from two runs."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_outcome
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mixplan.errors import DriftError
from mixplan.forecast import History, Risk, forecast
from mixplan.forecast.measured_run import Found, Run
from mixplan.plan import PlanRequest, make_plan
from mixplan.reading.progress import Silent
from mixplan.runs import file_hash
from mixplan.sts import Score

POSITIVE = st.floats(1e-6, 1e6)
RELATIVE = (
    "No measured runs yet, so the forecast is relative: a domain's risk is its share of all domains' scores. "
    "It says where the job reaches most, not how many points are lost, nor whether the change is a loss or a gain."
)
RELATIVE_ALL = {"kind": "relative", "planned_by": "score", "text": RELATIVE, "evidence": [], "learned_from": []}


def test_a_share_of_the_total_with_its_interval() -> None:
    made = forecast({"law": Score(3.0, 2.0, 5.0), "history": Score(1.0, 0.0, 1.0)})
    assert made.risks == {
        "law": Risk(relative_risk=0.75, low=0.5, high=1.25),
        "history": Risk(relative_risk=0.25, low=0.0, high=0.25),
    }
    assert made.describe("law").values() == {"relative_risk": 0.75, "low": 0.5, "high": 1.25}
    assert (made.kind, made.text) == ("relative", RELATIVE)
    assert made.describe_all().values() == RELATIVE_ALL


@given(values=st.lists(st.tuples(POSITIVE, POSITIVE, POSITIVE), min_size=1, max_size=30), unit=POSITIVE)
def test_risks_sum_to_one_keep_the_ranking_and_have_no_unit(
    values: list[tuple[float, float, float]], unit: float
) -> None:
    scores = {str(place): Score(*value) for place, value in enumerate(values)}
    made = forecast(scores)
    assert math.isclose(sum(risk.relative_risk for risk in made.risks.values()), 1.0, rel_tol=1e-12)
    assert list(made.risks) == list(scores)
    for one in scores:
        for other in scores:
            if scores[one].value < scores[other].value:
                assert made.risks[one].relative_risk <= made.risks[other].relative_risk
    scaled = forecast({name: Score(s.value * unit, s.low * unit, s.high * unit) for name, s in scores.items()})
    for name, risk in made.risks.items():
        expected = (risk.relative_risk, risk.low, risk.high)
        found = scaled.risks[name]
        assert (found.relative_risk, found.low, found.high) == pytest.approx(expected, rel=1e-9)


def test_scores_of_zero_are_told() -> None:
    made = forecast({"law": Score(0.0, 0.0, 0.0), "history": Score(0.0, 0.0, 2.0)})
    assert set(made.risks.values()) == {Risk(relative_risk=0.0, low=0.0, high=0.0)}
    assert made.text == f"{RELATIVE} Every domain's score is 0, so the forecast cannot tell one from another."


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (Score(math.nan, 1.0, 2.0), "score nan with interval [1.0, 2.0]"),
        (Score(1.0, -1.0, 2.0), "score 1.0 with interval [-1.0, 2.0]"),
        (Score(1.0, 1.0, math.inf), "score 1.0 with interval [1.0, inf]"),
    ],
)
def test_scores_that_are_no_amounts_are_refused(score: Score, shown: str) -> None:
    with pytest.raises(DriftError) as caught:
        forecast({"history": Score(1.0, 1.0, 1.0), "law": score})
    assert str(caught.value) == (
        f"domain 'law': found {shown}, expected finite numbers of at least 0. "
        "One that is not finite means that activations overflowed: set `model.dtype: float32` or `bfloat16`."
    )


def past(runs: int, factors: list[float], *, noise: float = 0.002) -> History:
    """Runs in which a domain's change is its factor times its score, by headline and by behaviour."""
    rng, made = np.random.default_rng(0), []
    for number in range(runs):
        domains = {}
        for index, factor in enumerate(factors):
            score = float(np.exp(0.3 * rng.standard_normal()))
            change = score * factor + noise * float(rng.standard_normal())
            domains[f"d{index}"] = Found({"sts_icl": score}, ("choice", "correct", change), abs(change))
        made.append(Run(f"run{number}", f"{9 - number}" * 64, domains))
    return History(tuple(made), ("a warning.",))


FACTORS = [-0.2, -0.1, 0.0, 0.05, 0.1, 0.2]
SIX = {f"d{index}": Score(1.0, 0.9, 1.1) for index in range(6)}


def test_one_run_is_too_few_and_that_is_told() -> None:
    made = forecast(SIX, past(1, FACTORS))
    assert (made.kind, made.learned, made.runs, made.warnings) == ("relative", None, (), ("a warning.",))
    assert made.planning == SIX
    assert made.text == (
        "1 earlier run was found, of one target, and two different targets are needed, so that what one teaches is "
        "checked on the other; train another target, or name a run of one in `forecast.runs`. Until then the forecast "
        "is relative: " + RELATIVE.partition("relative: ")[2]
    )
    assert "expected" not in made.describe("d0").values()


def test_own_factors_are_used_and_said_why() -> None:
    made = forecast(SIX, past(3, FACTORS))
    assert made.kind == "learned"
    assert made.learned is not None
    accuracy, moved = made.learned.ways["accuracy"], made.learned.ways["kl"]
    assert made.text == (
        "Learned from 3 earlier runs of this model and SAE; errors are root mean squares in targets left out. "
        "Accuracy: each domain's own factor is used, because domains' own factors erred by "
        f"{100 * accuracy.errors.own:.1f} points, one factor by {100 * accuracy.errors.one:.1f} points; "
        f"expecting no change at all erred by {100 * accuracy.errors.none:.1f} points. "
        "Behaviour: each domain's own factor is used, because domains' own factors erred by "
        f"{moved.errors.own:.3g} nats per token, one factor by {moved.errors.one:.3g} nats per token; "
        f"expecting no change at all erred by {moved.errors.none:.3g} nats per token. "
        "Rows are planned by the expected change of behaviour. "
        "3 targets are few: the intervals are wide for it, and the choice may turn with the next run."
    )
    assert made.runs == (("run0", "9" * 64, False), ("run1", "8" * 64, False), ("run2", "7" * 64, False))
    assert made.describe_all().values()["learned_from"][0] == {"run": "run0", "hash": "9" * 64}
    total = sum(entry.value for entry in made.planning.values())
    for name, risk in made.risks.items():
        assert risk.relative_risk == pytest.approx(made.planning[name].value / total)
    found = made.describe("d0").values()
    assert set(found) == {"relative_risk", "low", "high", "expected"}
    assert found["expected"]["headline"]["sign"] == "down"
    assert found["expected"]["headline"]["change"] == pytest.approx(-0.2, abs=0.02)
    json.dumps(found, allow_nan=False)


def test_one_factor_is_used_where_own_ones_do_not_err_less() -> None:
    rng, made = np.random.default_rng(3), []
    for number in range(6):
        domains = {f"d{index}": Found({"sts_icl": 1.0}, None, float(abs(rng.standard_normal()))) for index in range(6)}
        made.append(Run(f"run{number}", str(number) * 64, domains))
    found = forecast(SIX, History(tuple(made)))
    assert found.learned is not None
    way = found.learned.ways["kl"]
    assert way.errors.own >= way.errors.one
    assert (found.kind, found.planning) == ("scaled", SIX)
    assert "Behaviour: one factor for all is used, because domains' own factors erred by " in found.text
    assert found.text.endswith("Rows are planned by the score.")


def test_no_better_than_expecting_nothing_is_told() -> None:
    rng, made = np.random.default_rng(1), []
    for number in range(6):
        domains = {
            f"d{index}": Found({"sts_icl": 1.0}, ("choice", "correct", float(rng.standard_normal()) / 50), None)
            for index in range(6)
        }
        made.append(Run(f"run{number}", str(number) * 64, domains))
    found = forecast(SIX, History(tuple(made)))
    assert found.learned is not None
    way = found.learned.ways["accuracy"]
    assert min(way.errors.own, way.errors.one) >= way.errors.none
    none = f"which erred by {100 * way.errors.none:.1f} points; domains' own factors erred by "
    assert f"Accuracy: not predicted better than by expecting no change at all, {none}" in found.text
    assert {found.learned.expected[name]["headline"].sign for name in SIX} == {None}


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path, tiny_sae: Any) -> Path:
    tiny_sae("jumprelu", 32, 96, "blocks.2.hook_resid_post", tmp_path / "sae")
    spec = {"format": "question_answer", "columns": {"question": "q", "answer": "a"},
            "split": {"evaluation": 8, "query": 16, "demonstration": 6}}  # fmt: skip
    value: dict[str, Any] = {
        "model": {"name": str(tiny_model), "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
        "target": {"data": {"file": "sum.jsonl"}, **spec},
        "domains": {},
        "drift": {"features": 10, "demonstrations": 2, "draws": 2, "query_tokens": 120},
        "sts": {"demonstrations": 2, "draws": 2, "query_tokens": 60, "resamples": 100},
        "budget": {"rows": 30},
    }
    for topic in ("sum", "fox", "doctor", "patient"):
        lines = [json.dumps({"q": f"what is the {topic} of {n} and {n * 7 % 13} ?", "a": f"{n}"}) for n in range(60)]
        (tmp_path / f"{topic}.jsonl").write_text("\n".join(lines))
        if topic != "sum":
            value["domains"][topic] = {"data": {"file": f"{topic}.jsonl"}, **spec}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def planned(recipe: Path, run: Path, *overrides: str) -> dict[str, Any]:
    folder = make_plan(PlanRequest(recipe, overrides, None, run), watcher=Silent())
    return dict(json.loads((folder / "plan.json").read_text()))


def leave_outcome(folder: Path, plan: dict[str, Any], moved: dict[str, float]) -> None:
    """An outcome as a run of this plan would leave it: behaviour moved so far, whatever the score."""
    outcome = saved_outcome.sample(domains=1, arms=False)
    (domain,) = outcome["domains"].values()
    behaviour = domain["measures"]["behaviour"]["kl"]
    outcome["domains"] = {
        name: {
            **domain,
            "headline": "choice",
            "measures": {"behaviour": {"kl": behaviour | {"change": value, "low": 0.9 * value, "high": 1.1 * value}}},
            "predictors": {"sts_icl": plan["domains"][name]["sts_icl"]["value"]},
        }
        for name, value in moved.items()
    }
    outcome["hashes"] = {part: plan["hashes"][part] for part in ("model", "sae")}
    outcome["settings"] = {"method": "sft", "features": 10, "drift_demonstrations": 2, "sts_demonstrations": 2}
    outcome["training"]["consumption"] = {"target": outcome["training"]["consumption"]["target"]}
    saved_outcome.save(folder, outcome)


def test_a_plan_learns_from_the_runs_beside_it(recipe: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = planned(recipe, runs / "new")
    of_model = RELATIVE.replace("runs yet", "runs of this model yet")  # what comes with mixplan is of another
    halving = "100 rows are taken to halve a domain's loss: no arms were compared earlier."
    assert first["forecast"] == RELATIVE_ALL | {"text": of_model, "evidence": [halving]}
    for number, strength in enumerate((1.0, 1.1, 0.9)):
        leave_outcome(
            runs / f"old{number}", first, {"fox": 0.4 * strength, "doctor": 0.1 * strength, "patient": 0.01 * strength}
        )
    leave_outcome(runs / "new", first, {"fox": 0.0, "doctor": 0.0, "patient": 9.0})
    made = planned(recipe, runs / "new")
    assert made["forecast"]["kind"] == "learned"
    assert made["forecast"]["learned_from"] == [
        {"run": f"old{number}", "hash": file_hash(runs / f"old{number}" / "outcome.json")} for number in range(3)
    ]
    rows = made["allocation"]["rows"]
    assert rows["fox"] > rows["doctor"] > rows["patient"]
    assert sum(rows.values()) == 30
    expected = made["domains"]["fox"]["forecast"]["expected"]["behaviour"]
    assert expected["low"] <= expected["change"] <= expected["high"]
    assert expected["change"] == pytest.approx(0.4, abs=0.05)
    assert made["domains"]["fox"]["sts_icl"] == first["domains"]["fox"]["sts_icl"]
    # A second time gives the same bytes; a run beside this one learns from this one too.
    text = (runs / "new" / "plan.json").read_bytes()
    planned(recipe, runs / "new")
    assert (runs / "new" / "plan.json").read_bytes() == text
    again = planned(runs / "new" / "recipe.yaml", runs / "again")
    assert [entry["run"] for entry in again["forecast"]["learned_from"]] == ["new", "old0", "old1", "old2"]


def test_the_recipe_says_which_runs_are_learned_from(recipe: Path, tmp_path: Path) -> None:
    first = planned(recipe, tmp_path / "runs" / "new")
    for number in range(2):
        leave_outcome(
            tmp_path / "kept" / f"old{number}", first, {"fox": 0.4, "doctor": 0.1 + number / 100, "patient": 0.2}
        )
    (tmp_path / "kept" / "torn").mkdir()
    (tmp_path / "kept" / "torn" / "outcome.json").write_text("{")
    value = yaml.safe_load(recipe.read_text()) | {"forecast": {"runs": ["kept/*"]}}
    recipe.write_text(yaml.safe_dump(value, sort_keys=False))
    made = planned(recipe, tmp_path / "runs" / "new")
    assert [entry["run"] for entry in made["forecast"]["learned_from"]] == ["old0", "old1"]
    assert [text for text in made["warnings"] if "torn" in text] == [
        "1 earlier run cannot be read, so the forecast does not learn from it: kept/torn/outcome.json (not JSON: EOF "
        "while parsing an object at line 1 column 1). Measure it again with `mixplan eval RUN`, or leave it out of "
        "`forecast.runs`."
    ]
    copied = planned(tmp_path / "runs" / "new" / "recipe.yaml", tmp_path / "elsewhere" / "deep" / "run")
    assert copied["forecast"] == made["forecast"]
    none = planned(recipe, tmp_path / "runs" / "new", "forecast.runs=[]")["forecast"]["text"]
    assert none.startswith("`forecast.runs: []` lets no measured run in, so the forecast is relative: ")
