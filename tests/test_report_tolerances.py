"""What a plan expects of its tolerances and what became of them, in sentences, on the page and on the terminal."""

import json

import pytest
import saved_plan
import saved_run
from tolerated import entry, expected, gate, planned

from mixplan.report.outcome_header import strip as outcome_strip
from mixplan.report.page import render
from mixplan.report.runs_table import verdicts
from mixplan.report.text_tables import arms
from mixplan.report.tolerances import chance, gate_of, held_fact, planned_fact, planned_lines, sheet
from mixplan.report.verdict import strip
from mixplan.saved.plan import Plan
from mixplan.saved.tolerances import Gate


def plan(tolerances=None) -> Plan:
    values = saved_plan.sample(0)
    return Plan.model_validate_json(json.dumps(values | ({"tolerances": tolerances} if tolerances else {})))


def outcome(found: Gate | None = None, seed: int = 0):
    made, measured = saved_run.sample(seed)
    return made, measured.model_copy(update={"tolerances": found}) if found else measured


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.0, "under 2.5 %"),
        (0.024, "under 2.5 %"),
        (0.03, "3 %"),
        (0.5, "50 %"),
        (0.97, "97 %"),
        (0.98, "over 97.5 %"),
    ],
)
def test_no_probability_is_told_finer_than_an_interval_tells_it(probability, said):
    assert chance(probability) == said


def test_a_plan_says_who_breaks_and_what_would_keep_them():
    law = expected("law", 0.81, (3.0, 1.0, 7.0))
    assert planned_lines(plan(planned(law, expected("logic", 0.1)))) == [
        "1 of 2 tolerances is expected to break, with a probability: law (3.0 [1.0, 7.0] of 2 pp) 81 %.",
        "The smallest budget expected to keep all is 240 rows.",
        "No budget is expected to keep all with a probability of 90 % each: with all 1,200 rows that there are, law "
        "would still break.",
        "What rows save of a loss in pp is assumed: nothing measured teaches it.",
    ]
    assert planned_fact(plan(planned(law, expected("logic", 0.1)))) == (
        "1 of 2",
        "expected to break; likeliest law, 81 % for 2 pp",
    )
    nothing = planned(expected("law", 0.3), kept=((0.5, 0, []), (0.9, 1, [])))
    assert planned_lines(plan(nothing))[:3] == [
        "The tolerance that can be forecast is not expected to break: law (1.0 [0.50, 3.0] of 2 pp), with a "
        "probability of 30 %.",
        "No extra rows are needed to keep all.",
        "The smallest budget expected to keep all with a probability of 90 % each is 1 row.",
    ]


def test_what_cannot_be_forecast_is_said_plainly():
    said = planned_lines(plan(planned(expected("law"), expected("logic"), kept=())))
    assert said == [
        "Whether law (2 pp), logic (2 pp) will hold cannot be forecast: nothing that was measured of this model "
        "teaches how much is lost there. Train another target first, or run a study, and plan again."
    ]
    assert planned_fact(plan(planned(expected("law"), kept=()))) == (
        "not forecast",
        "1 tolerance; nothing measured teaches the losses",
    )
    mixed = planned_lines(plan(planned(expected("law", 0.7), expected("logic"))))
    assert mixed[1] == "The smallest budget expected to keep all that can be forecast is 240 rows."
    assert mixed[-1].startswith("Whether logic (2 pp) will hold cannot be forecast")


def test_a_plan_s_page_shows_them_only_where_there_are_some():
    made = plan(planned(expected("law", 0.81)))
    page = render(made)
    assert '<h2 id="tolerances">Tolerances</h2>' in page
    assert [value for name, value, *_ in strip(made) if name == "Tolerances"] == ["1 of 1"]
    assert 'id="tolerances' not in render(plan())
    assert planned_lines(plan()) == []
    assert "Tolerances" not in [name for name, *_ in strip(plan())]


def test_an_outcome_s_page_opens_with_the_verdict():
    found = gate("pass", "fail", "undecided")
    made, measured = outcome(found)
    name, value, beneath = next(iter(outcome_strip(made, measured)))
    assert (name, value, beneath) == ("Tolerances", "fail", "1 of 3 passed; failed: d1; undecided: d2")
    assert held_fact(measured) == (value, beneath)
    page = render(made, measured)
    assert '<h2 id="tolerances">Tolerances</h2>' in page
    assert 'id="tolerances' not in render(*outcome())
    both = render(made.model_copy(update={"tolerances": plan(planned(expected("law", 0.8))).tolerances}), measured)
    assert '<h2 id="tolerances-as-planned">' in both


def test_the_table_leaves_out_what_no_line_has():
    assert sheet(gate("pass")).heads == ("domain", "may lose", "lost", "95 %", "rows", "verdict")
    laid = sheet(Gate.model_validate({"held": [entry("law", "undecided", loss=None, items=0)]}))
    assert laid.heads == ("domain", "may lose", "rows", "verdict", "why")


def test_runs_side_by_side_say_which_passed():
    runs = [(label, *outcome(gate(verdict))) for label, verdict in (("one", "pass"), ("two", "fail"))]
    assert verdicts(runs)[0] == "Tolerances: one pass, two fail."
    assert verdicts([("one", *outcome())])[0].startswith("Target: ")


def test_arms_have_a_column_where_they_were_judged():
    _, measured = outcome()
    assert "tolerances" not in arms(measured.arms).heads
    judged = {name: arm.model_copy(update={"tolerances": gate("fail" if name == "none" else "pass")})
              for name, arm in measured.arms.arms.items()}  # fmt: skip
    laid = arms(measured.arms.model_copy(update={"arms": judged}))
    column = laid.heads.index("tolerances")
    assert {line[0]: line[column] for line in laid.rows}["none"] == "fail"
    assert (laid.heads[-1], laid.words) == ("verdict", True)
    page = render(
        saved_run.sample(0)[0], measured.model_copy(update={"arms": measured.arms.model_copy(update={"arms": judged})})
    )
    assert "Tolerances, over all seeds: none fail, uniform pass, " in page


def test_a_comparison_is_judged_over_its_seeds_and_a_model_by_itself():
    _, measured = outcome(gate("pass"))

    def compared(found: Gate, seeds: int = 3):
        arm = measured.arms.arms["plan"].model_copy(update={"tolerances": found, "seeds": seeds})
        table = measured.arms.model_copy(update={"arms": {**measured.arms.arms, "plan": arm}})
        return measured.model_copy(update={"arms": table})

    several = gate("fail")
    assert gate_of(compared(several), seeds=True) == several
    assert gate_of(compared(several)) == measured.tolerances
    assert gate_of(compared(several, seeds=1), seeds=True) == measured.tolerances
    # Verdicts by tolerances that were since changed count no more.
    assert gate_of(compared(gate("fail", "fail")), seeds=True) == measured.tolerances
    assert gate_of(measured, seeds=True) == measured.tolerances
