"""Each arm's changes stand over common axes, with a verdict against the baseline in words."""

import re

from page_html import read_page
from saved_run import checked, sample, values

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
    text = read_page(section(plan, outcome)).text
    unit = quantity("accuracy")
    for name, arm in outcome["arms"]["arms"].items():
        told = name
        for title, key in [("Target (pp)", "target"), ("Mean domain", "mean"), ("Worst domain", "worst")]:
            found = arm[key]
            told += f"{title}{unit.signed(found['value'])} {unit.bounds(found['low'], found['high'])}"
            if key == "target" and (apart := arm["target_against"]):
                told += f"{unit.signed(apart['value'])} {unit.bounds(apart['low'], apart['high'])} against uniform"
        told += arm["worst_domain"]
        if found := arm["against"]:
            told += f"Mean against uniform{unit.signed(found['value'])} {unit.bounds(found['low'], found['high'])}"
            told += "2 win, 9 tie, 1 loss"
        assert told + (arm["verdict"] or "baseline") in text
    assert "the same 60 optimiser steps and the same target rows, 3 seeds." in text


def test_behaviour_has_a_table_of_its_own_without_the_target() -> None:
    plan, outcome = values()
    html = section(plan, outcome)
    assert re.findall(r"<h3>([^<]+)</h3>", html) == [
        "Accuracy over 10 domains (pp)",
        "Token KL from the untrained model over 12 domains (nats)",
    ]
    assert html[html.index("Token KL") :].count(">Target (") == 0
    outcome["arms"]["behaviour"] = None
    assert "Token KL" not in section(plan, outcome)


def test_columns_have_common_axes() -> None:
    plan, outcome = values()
    for arm in outcome["arms"]["arms"].values():
        arm["target"] = {"value": 0.05, "low": 0.0, "high": 0.1}
    html = section(plan, outcome)
    table = html[: html.index("Token KL")]
    found = re.findall(
        r'>Target \(pp\)</span><svg.*?class="whisker" x1="([\d.]+)%" x2="([\d.]+)%".*?cx="([\d.]+)%"', table
    )
    assert found == [("0.00", "100.00", "50.00")] * 5


def test_the_target_has_a_unit_of_its_own() -> None:
    plan, outcome = values()
    for arm in outcome["arms"]["arms"].values():
        arm["target_quantity"] = "bits_per_byte"
    assert "Target (bits/B)" in section(plan, outcome)


def test_headlines_without_a_common_unit_and_an_arm_that_lacks_seeds() -> None:
    plan, outcome = values()
    outcome["arms"].update(quantity=None, domains=0)
    for arm in outcome["arms"]["arms"].values():
        arm.update(seeds=2, mean=None, worst=None, worst_domain=None, against=None, verdict=None, by_domain=None)
    html = section(plan, outcome)
    assert "<h3>The domains&#x27; headlines have no unit in common</h3>" in html
    assert html[: html.index("Token KL")].count("2 of its seeds") == 5


def test_what_was_not_measured_leaves_its_cell_empty() -> None:
    plan, outcome = values()
    for arm in outcome["arms"]["arms"].values():
        arm.update(target=None, worst=None, worst_domain=None)
    outcome["arms"]["seeds"] = [0]
    html = section(plan, outcome)
    assert ">Target (pp)</span>" not in html[: html.index("Token KL")]
    assert "the same target rows, 1 seed." in html
