"""The job's curves are drawn from its log, and what was read is shown beside the plan."""

import re

from page_html import read_page
from saved_run import checked, sample, values

from mixplan.report.training import training


def test_a_curve_for_each_logged_number() -> None:
    plan, outcome = values()
    for line in outcome["training"]["log"]:
        line["reward"] = 0.01 * line["step"]
    html = training(checked(plan, outcome)[1])
    assert re.findall(r"<figure><h3>([^<]+)</h3>", html) == ["Loss", "Reward", "Learning rate"]
    assert 'aria-label="Reward from 0.0100 at step 1 to 0.600 at step 60."' in html


def test_points_stand_where_the_log_says() -> None:
    plan, outcome = values()
    outcome["training"]["log"] = [
        {"step": 1, "loss": 4.0},
        {"step": 3, "loss": 2.0},
        {"step": 5, "loss": 0.0},
    ]
    html = training(checked(plan, outcome)[1])
    assert '<polyline points="0.00,0.00 50.00,50.00 100.00,100.00">' in html


def test_one_logged_step_is_no_curve() -> None:
    plan, outcome = values()
    outcome["training"].update(log=[{"step": 1, "loss": 4.0}], consumption={})
    html = training(checked(plan, outcome)[1])
    assert "figure" not in html
    assert "What the optimiser read" not in html
    assert "SFT, 60 optimiser steps in 7 min; loss from 4.00 to 4.00." in html


def test_what_was_read_of_each_domain() -> None:
    _, outcome = sample()
    text = read_page(training(outcome)).text
    for name, found in outcome.training.consumption.items():
        assert f"{name}{found.planned_rows}{found.rows}{found.trainable_tokens:,}00" in text
