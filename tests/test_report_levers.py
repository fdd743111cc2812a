"""The page prices each lever in one table, the terminal in one line, and both say what is not known."""

import json

from saved_plan import sample

from mixplan.report.levers import levers_line, levers_section, time_text
from mixplan.saved import Plan
from mixplan.saved.levers import NOT_MEASURED, Lever

PRICES = {
    "rows": (1_200, 0.25, True, "By 12 trainings."),
    "own_voice": (34_567, 0.354, False, NOT_MEASURED),
    "replay_kl": (None, None, False, NOT_MEASURED),
    "half_rate": (0, 0.0, True, NOT_MEASURED),
    "checkpoint": (None, 0.05, False, NOT_MEASURED),
}


def planned(names=PRICES) -> Plan:
    levers = [
        Lever(
            name=name, recipe=f"line.of={name}", on=on, tokens=tokens, time=time, counted="so <and> so", evidence=said
        )
        for name, (tokens, time, on, said) in PRICES.items()
        if name in names
    ]
    return Plan.model_validate_json(json.dumps(sample())).model_copy(update={"levers": levers})


def test_the_page_has_one_line_a_lever():
    page = str(levers_section(planned()))
    for words in (
        "34,567", "1,200", "25.0 %", "35.4 %", "not counted", "not known", "at most 5.0 %", "By 12 trainings.",
        "line.of=replay_kl", "so &lt;and&gt; so", "half the learning rate (on)",
    ):  # fmt: skip
        assert words in page, words
    assert page.count(NOT_MEASURED) == 4 + 1  # the note explains it


def test_the_terminal_names_what_is_off_in_one_line():
    line = levers_line(planned())
    assert line == (
        "Other levers, extra time at equal steps: own words 35.4 %, KL on domain rows not known, "
        "best checkpoint at most 5.0 %; see the report."
    )
    assert levers_line(planned(["rows", "half_rate"])) is None


def test_an_older_plan_has_neither():
    older = Plan.model_validate_json(json.dumps(sample()))
    assert levers_section(older) is None
    assert levers_line(older) is None
    assert "levers" not in older.values()


def test_time_is_a_share():
    (rows, *_) = planned().levers
    assert time_text(rows) == "25.0 %"
