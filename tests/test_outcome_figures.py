"""Figures of a plan and an outcome go to a tracker under their domain's name, as the saved files have them."""

import math
from statistics import fmean

from saved_run import checked, values

from mixplan.outcome.figures import after_figures, before_figures, finite, planned_figures
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured


def test_what_was_planned():
    plan, outcome = values()
    law, fox, *_ = plan["domains"].values()
    change = {"measure": "choice", "quantity": "correct", "change": -0.05, "low": -0.09, "high": -0.01, "sign": "down"}
    moved = {"measure": "behaviour", "quantity": "kl", "change": 0.2, "low": 0.1, "high": 0.4}
    law["forecast"] = {**law["forecast"], "expected": {"headline": change, "behaviour": moved}}
    fox["forecast"] = None
    plan, _ = checked(plan, outcome)
    found = dict(planned_figures(plan))
    for name, domain in plan.domains.items():
        assert found.pop(f"mixplan/{name}/rows") == plan.allocation.rows[name]
        assert found.pop(f"mixplan/{name}/ratio") == plan.allocation.ratios[name]
        assert found.pop(f"mixplan/{name}/score") == getattr(domain, f"sts_{plan.score}").value
        if domain.forecast is not None:
            assert found.pop(f"mixplan/{name}/relative_risk") == domain.forecast.relative_risk
    first = next(iter(plan.domains))
    for what, expected in (("expected", change), ("expected_behaviour", moved)):
        ends = [found.pop(f"mixplan/{first}/{what}{end}") for end in ("", "_low", "_high")]
        assert ends == [expected["change"], expected["low"], expected["high"]]
    assert found.pop("mixplan/target/rows") == plan.mixture.target_rows
    assert found.pop("mixplan/target/ratio") == plan.allocation.ratios["target"]
    assert found == {}


def test_what_was_measured_after():
    _, outcome = checked(*values())
    found = after_figures(outcome)
    for name, domain in {"target": outcome.target, **outcome.domains}.items():
        change = next(iter(domain.measures[domain.headline].values()))
        assert found[f"mixplan/{name}/after"] == change.after
        assert found[f"mixplan/{name}/change"] == change.change
        assert (found[f"mixplan/{name}/change_low"], found[f"mixplan/{name}/change_high"]) == (change.low, change.high)
        if "behaviour" in domain.measures:
            assert found[f"mixplan/{name}/behaviour"] == next(iter(domain.measures["behaviour"].values())).change


def test_the_headline_before_is_the_mean_over_its_items():
    right, bits = (1.0, 0.0, 1.0, 1.0), (2.5, 0.5)
    measured = {
        "law": {"choice": Measured("choice", ("a", "b", "c", "d"), {"correct": right, "gold_probability": right}, {})},
        "fox": {"likelihood": Measured("likelihood", ("a", "b"), {"bits_per_byte": bits}, {})},
        "none": {},
    }
    headlines = {"law": "choice", "fox": "likelihood", "none": "exact"}
    evaluation = Evaluation(EvaluatedModel(hash="h", dtype="float32"), measured, headlines)
    assert before_figures(evaluation) == {"mixplan/law/before": fmean(right), "mixplan/fox/before": fmean(bits)}


def test_what_no_tracker_can_draw_is_left_out():
    assert finite(iter([("a", 1), ("b", math.nan), ("c", math.inf)])) == {"a": 1.0}
