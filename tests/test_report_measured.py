"""Every domain is shown before and after with its interval, in words as well as in the picture."""

import re

import pytest
from page_html import read_page
from saved_run import checked, sample, values

from mixplan.report.measured import before_and_after, every_measure, notices, relative
from mixplan.report.measures import WORDS, quantity
from mixplan.report.plots import axis_over
from mixplan.report.sentences import said_first, wrong
from mixplan.report.text import percent
from mixplan.report.text_tables import lost_first


def test_every_domain_says_before_after_change_interval_and_verdict() -> None:
    plan, outcome = sample()
    text = read_page(before_and_after(plan, outcome)).text
    for name, measured in [("target", outcome.target), *outcome.domains.items()]:
        assert measured.change is not None
        unit, change = quantity(measured.quantity or ""), measured.change
        passage = f"{name}{unit.value(change.before)} to {unit.value(change.after)}, 100 items"
        assert f"{passage}{unit.change(change.change)} {unit.bounds(change.low, change.high)}" in text
    assert text.count("outside its forecast") == len(outcome.outside())
    assert text.count("forecast ") >= len(outcome.domains)


def test_one_panel_for_each_quantity_the_targets_first_and_then_what_lost() -> None:
    html = before_and_after(*sample())
    assert re.findall(r"<h3>([^<]+)</h3>", html) == [
        "Score of graded answers",
        "Accuracy of choices",
        "Bits per byte of the reference answer (bits/B)",
    ]
    assert html.index(">target<") < html.index(">puzzles<")


def test_dots_stand_where_the_numbers_say() -> None:
    plan, outcome = sample(forecast="none")
    html = before_and_after(plan, outcome)
    named = [outcome.domains[name] for name in lost_first(plan, outcome)]
    bits = [domain.change for domain in named if domain.quantity == "bits_per_byte" and domain.change]
    ends = [end for c in bits for end in (c.before, c.after, c.before + c.low, c.before + c.high)]
    axis = axis_over("", ends, str, (0, None))
    panel = html[html.index("Bits per byte") :]
    assert re.findall(r'class="before" cx="([\d.]+)%"', panel) == [f"{100 * axis.place(c.before):.2f}" for c in bits]
    assert re.findall(r'class="after \w+" cx="([\d.]+)%"', panel) == [f"{100 * axis.place(c.after):.2f}" for c in bits]


def test_the_legend_says_what_is_there() -> None:
    plan, outcome = values()
    for measured in [outcome["target"], *outcome["domains"].values()]:
        next(iter(measured["measures"][measured["headline"]].values()))["direction"] = "none"
    html = before_and_after(*checked(plan, outcome))
    assert f'class="legend"><span><i class="none"></i>{WORDS["none"]}</span></p>' in html


def test_what_was_not_measured_is_named() -> None:
    plan, outcome = values()
    outcome["domains"]["law"]["measures"] = {}
    outcome["target"].update(headline=None, measures={})
    assert "Not measured: target, law." in read_page(before_and_after(*checked(plan, outcome))).text


def test_a_relative_forecast_stands_beside_what_was_measured() -> None:
    plan, outcome = sample(forecast="relative")
    section = relative(plan, outcome)
    assert section is not None
    text = read_page(section).text
    for name, domain in outcome.domains.items():
        assert domain.relative is not None
        assert f"{name}{percent(domain.relative.share)}{percent(domain.relative.measured)}" in text
    assert relative(*sample(forecast="learned")) is None


def test_every_measure_is_listed() -> None:
    plan, outcome = sample()
    reader = read_page(every_measure(plan, outcome))
    count = sum(len(found) for d in [outcome.target, *outcome.domains.values()] for found in d.measures.values())
    assert reader.titles == ["Every measure"]
    assert [name for name, _ in reader.shape].count("tr") == count + 1


def test_what_was_expected_stands_beside_what_it_is_of() -> None:
    plan, outcome = sample()
    text = read_page(every_measure(plan, outcome)).text
    for name, domain in outcome.domains.items():
        assert domain.expected is not None
        assert domain.expected_behaviour is not None
        for found in (domain.expected, domain.expected_behaviour):
            unit = quantity(found.quantity)
            figures = f"{unit.signed(found.change)} {unit.bounds(found.low, found.high)}"
            assert f"{name}{found.measure}: {unit.subject}{figures}" in text


def test_answers_that_were_cut_are_counted_apart() -> None:
    plan, outcome = values()
    outcome["target"]["answers"] = {"before": {"right": 60, "wrong": 40}, "after": {"right": 70, "truncated": 30}}
    text = read_page(every_measure(*checked(plan, outcome))).text
    assert "How generated answers were graded, before to after" in text
    assert "DomainRightWrongUnparsableTruncatedtarget60 to 7040 to 00 to 00 to 30" in text


def test_what_was_wrong_comes_as_a_list() -> None:
    plan, outcome = sample()
    section = notices(plan, outcome)
    assert section is not None
    assert re.findall(r"<li>(.*?)</li>", section) == [line.replace("'", "&#x27;") for line in said_first(plan, outcome)]
    first, _, second = section.partition("What to know")
    assert "What was wrong" in first
    assert first.count("<li>") == len(wrong(plan, outcome)) > 0
    assert second.count("<li>") == len(said_first(plan, outcome)) - len(wrong(plan, outcome))


@pytest.mark.parametrize("forecast", ["learned", "none"])
def test_nothing_was_wrong(forecast: str) -> None:
    plan, outcome = values(forecast=forecast)
    plan["warnings"], outcome["warnings"] = [], []
    plan["allocation"]["no_better_than_uniform"] = None
    for domain in outcome["domains"].values():
        domain["outside_forecast"] = None
    assert notices(*checked(plan, outcome)) is None
