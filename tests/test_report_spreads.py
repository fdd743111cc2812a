"""A plan beside its two alternatives, on the page, the terminal and the model card, and what its total rests on."""

import io
import json

import pytest
import saved_plan
from rich.console import Console

from mixplan.report import spreads
from mixplan.report.model_card import _mixture
from mixplan.report.page import render
from mixplan.report.terminal import show
from mixplan.report.verdict import headline, saving_sentence, strip
from mixplan.saved import Plan

TEXT = "There is no evidence that it matters where rows go, so they are spread evenly."


def made(*, weight=0.0, comparisons=1, ranking=True, passed_over=0, total=None):
    """A plan of four domains whose evenly spread rows follow evidence."""
    value = saved_plan.sample(0, 4)
    del value["hashes"]["plan"]
    allocation = value["allocation"]
    even = dict.fromkeys(value["domains"], 55)
    beside = [
        {"rows": even, "left": 0.474, "worst_left": 0.48},
        {"rows": allocation["rows"], "left": 0.462, "worst_left": 0.47},
        {"rows": {name: 40 + 10 * place for place, name in enumerate(even)}, "left": 0.45, "worst_left": 0.46},
    ]
    interval = {"value": 0.0456, "low": -0.144, "high": 0.235}
    one = {"name": "arms", "arm": "plan", "of": "worst", "unit": "kl", "targets": 3, "avoided": interval}
    slope = {"value": 0.84, "low": 0.4, "high": 1.27}
    known = {"by": "sts_icl", "learned": True, "slope": slope, "targets": 8, "domains": 21}
    allocation["objective"] = "evidence"
    allocation["spreads"] = dict(zip(("even", "planned", "proportional"), beside, strict=True))
    allocation["placement"] = {
        "weight": weight,
        "ranking_factor": 0.612 if ranking else None,
        "comparison_factor": weight if comparisons else None,
        "ranking": known if ranking else None,
        "comparisons": [one] * comparisons,
        "passed_over": passed_over,
        "text": TEXT,
    }
    if total:
        allocation["total"] = total
    return Plan.model_validate_json(saved_plan.json.dumps(saved_plan.with_hash(value)))


def total(**kwargs):
    points = [
        {"rows": 12, "left": 0.534, "low": 0.0, "high": 1.0, "measured": False},
        {"rows": 24, "left": 0.498, "low": 0.08, "high": 0.91, "measured": True},
        {"rows": 48, "left": None, "low": None, "high": None, "measured": False},
    ]
    given = {"rows": 24, "by": "response", "low": 0.001, "high": None, "points": points, "text": "24 are enough."}
    return given | kwargs


def printed(plan):
    console = Console(file=io.StringIO(), width=100, highlight=False)
    show(plan, console, None)
    return console.file.getvalue()


def test_the_three_stand_side_by_side_on_the_page():
    page = render(made())
    assert '<h2 id="three-ways-to-spread-the-rows">' in page
    for figure in ("47.4 %", "46.2 %", "45.0 %", "48.0 %", "Left of all loss", "Left of the worst", TEXT):
        assert figure in page
    section = page[page.index('<h2 id="three-ways') : page.index("</section>", page.index('<h2 id="three-ways'))]
    assert section.count('role="row"') == 1 + 4 + 2
    assert [title in section for title in ("Even", "Planned", "Proportional")] == [True] * 3


def test_the_terminal_says_first_what_each_removes_and_whether_it_matters():
    lines = " ".join(printed(made()).split())
    said = "220 rows are expected to remove 53.8 % of the loss, an even spread 52.6 %, the proportional rule 55.0 %."
    assert f"{said} {TEXT} Warning: " in lines


def test_what_they_remove_has_its_interval_where_it_is_known():
    value = json.loads(made().model_dump_json(exclude_unset=True))
    beside = value["allocation"]["spreads"]
    for one in (beside["even"], beside["planned"], beside["proportional"]):
        one |= {"low": 0.21, "high": 0.74}
    beside["measured"] = True

    def said():
        plan = Plan.model_validate_json(json.dumps(saved_plan.with_hash(value)))
        return saving_sentence(plan), render(plan)

    sentence, page = said()
    removes = "220 rows are expected to remove 54 % [26 %, 79 %] of the loss"
    assert sentence == f"{removes}, an even spread 53 %, the proportional rule 55 %."
    assert "46.2 % [21.0 %, 74.0 %]" in page
    beside["measured"] = False
    assert said()[0].startswith(f"{removes} (so few or many rows were not measured), an even spread ")
    beside["even"]["left"] = beside["proportional"]["left"] = beside["planned"]["left"]
    unmeasured = " (so few or many rows were not measured)"
    assert said()[0] == f"{removes}{unmeasured}, and as much spread evenly or in proportion."


def test_what_rows_save_is_said_to_be_assumed_where_the_recipe_says_it():
    value = json.loads(made().model_dump_json(exclude_unset=True))
    value["recipe"] = {**(value.get("recipe") or {}), "allocate": {"half_rows": 80.0}}
    plan = Plan.model_validate_json(json.dumps(saved_plan.with_hash(value)))
    assert "assumes" not in saving_sentence(plan)
    value["allocation"]["objective"] = "alpha_fair"
    plan = Plan.model_validate_json(json.dumps(saved_plan.with_hash(value)))
    assert saving_sentence(plan).endswith(": that assumes that 80 rows of its own halve a domain's loss.")
    value["recipe"]["allocate"]["half_rows"] = None
    assert "assumes" not in saving_sentence(Plan.model_validate_json(json.dumps(saved_plan.with_hash(value))))


def test_a_spread_that_is_even_is_not_listed_by_its_first_domains():
    plan = made()
    assert headline(plan).startswith("220 extra rows over 4 domains beside 820 target rows. The most rows: ")
    for rows, said in (([3, 3, 4, 3], "3 or 4"), ([5, 5, 5, 5], "5")):
        allocation = plan.allocation.model_copy(update={"rows": dict(zip(plan.domains, rows, strict=True))})
        even = plan.model_copy(update={"allocation": allocation})
        assert headline(even).endswith(f"beside 820 target rows. Each domain gets {said}.")


def test_the_model_card_says_it_too():
    card = _mixture(made())
    assert TEXT in card
    assert "Expected to be left of the loss: 47.4 % spread evenly, 46.2 % as planned, 45.0 % in proportion." in card


def test_a_recommended_total_is_said_with_half_and_twice():
    plan = made(total=total())
    assert "24 are enough." in printed(plan)
    page = render(plan)
    assert '<h2 id="how-many-rows-are-enough">' in page
    for said in ("53.4 % [0.0 %, 100.0 %]; beyond what was measured", "49.8 % [8.0 %, 91.0 %]", "not known"):
        assert said in page
    none = render(made(total=total(rows=0, by="nothing_saved", points=[], text="0 extra rows.")))
    assert "0 extra rows." in none
    assert "how-many-rows" not in render(made())


@pytest.mark.parametrize(
    ("kwargs", "fact"),
    [
        ({}, ("an even spread", "by 1 comparison and 8 measured targets with this model")),
        ({"weight": 0.612}, ("61% towards the scores", "by 1 comparison and 8 measured targets with this model")),
        ({"comparisons": 0, "ranking": False}, ("an even spread", "nothing was measured with this model")),
        ({"comparisons": 2, "ranking": False}, ("an even spread", "by 2 comparisons with this model")),
    ],
)
def test_a_fact_says_where_rows_go_and_by_how_much_evidence(kwargs, fact):
    plan = made(**kwargs)
    assert spreads.where(plan.allocation.placement) == fact
    facts = {name: value for name, value, *_ in strip(plan)}
    assert facts["Where rows go"] == fact[0]
    assert "Against an even spread" not in facts


def test_the_factors_are_given_and_what_was_passed_over():
    said = spreads.factors_sentence(made(passed_over=2).allocation.placement)
    assert said.startswith("Rows are moved 0.00 of the way from the even spread (0) to the proportional rule (1): ")
    assert "(0.61) times what is known of whether it matters where rows go (0.00)" in said
    assert said.endswith(" 2 comparisons passed over, of an even spread or without an interval.")
    assert "(not known)" in spreads.factors_sentence(made(ranking=False).allocation.placement)


def test_where_no_rows_are_planned_nothing_is_said_of_where_they_go():
    plan = made(total=total(rows=0, by="nothing_saved", points=[], text="0 extra rows."))
    none = plan.model_copy(update={"allocation": plan.allocation.model_copy(update={"budget": 0, "spreads": None})})
    assert spreads.grounds(none) == ["0 extra rows."]
    assert spreads.grounds(plan) == ["0 extra rows.", TEXT]
    assert "Where rows go" not in {name for name, *_ in strip(none)}


def test_an_older_plan_has_none_of_this():
    plan = Plan.model_validate_json(saved_plan.json.dumps(saved_plan.sample(0, 4)))
    assert spreads.spreads_section(plan) is None
    assert spreads.total_section(plan) is None
    assert spreads.grounds(plan) == []
    assert spreads.leaves_sentence(plan) is None
    assert saving_sentence(plan) is None or "the proportional rule" not in saving_sentence(plan)
