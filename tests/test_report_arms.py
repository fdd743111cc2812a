"""Each arm's changes stand over common axes, with a verdict against the baseline in words."""

import re

from saved_run import checked, sample, values
from test_report_page import read

from mixplan.report.arms import compared
from mixplan.report.measures import quantity


def section(plan, outcome) -> str:
    found = compared(checked(plan, outcome)[1])
    assert found is not None
    return found


def test_no_arms() -> None:
    assert compared(sample(arms=False)[1]) is None


def test_every_arm_says_its_changes_and_verdict() -> None:
    plan, outcome = values()
    text = read(section(plan, outcome)).text
    unit = quantity("accuracy")
    for name, arm in outcome["arms"]["arms"].items():
        told = name
        for title, key in [("Target", "target"), ("Mean domain", "mean"), ("Worst domain", "worst")]:
            found = arm[key]
            told += f"{title}{unit.signed(found['value'])} {unit.bounds(found['low'], found['high'])}"
        told += arm["worst_domain"]
        if found := arm["against"]:
            told += f"Mean against uniform{unit.signed(found['value'])} {unit.bounds(found['low'], found['high'])}"
        assert told + (arm["verdict"] or "baseline") in text
    assert "the same 60 optimiser steps and the same target rows, 3 seeds." in text


def test_behaviour_has_a_table_of_its_own_without_the_target() -> None:
    plan, outcome = values()
    html = section(plan, outcome)
    assert re.findall(r"<h3>([^<]+)</h3>", html) == [
        "Accuracy over 10 domains (pp)",
        "Token KL from the untrained model over 12 domains (nats)",
    ]
    assert html[html.index("Token KL") :].count(">Target<") == 0
    outcome["arms"]["behaviour"] = None
    assert "Token KL" not in section(plan, outcome)


def test_columns_have_common_axes() -> None:
    plan, outcome = values()
    for arm in outcome["arms"]["arms"].values():
        arm["target"] = {"value": 0.05, "low": 0.0, "high": 0.1}
    html = section(plan, outcome)
    table = html[: html.index("Token KL")]
    found = re.findall(r'>Target</span><svg.*?class="whisker" x1="([\d.]+)%" x2="([\d.]+)%".*?cx="([\d.]+)%"', table)
    assert found == [("0.00", "100.00", "50.00")] * 5


def test_what_was_not_measured_leaves_its_cell_empty() -> None:
    plan, outcome = values()
    for arm in outcome["arms"]["arms"].values():
        arm.update(target=None, worst=None, worst_domain=None)
    outcome["arms"]["seeds"] = [0]
    html = section(plan, outcome)
    assert ">Target</span>" not in html[: html.index("Token KL")]
    assert "the same target rows, 1 seed." in html
