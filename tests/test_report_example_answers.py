"""Example answers stand before and after side by side, as text, those of what lost first."""

import re

from page_html import HOSTILE, read_page
from saved_run import checked, sample, values

from mixplan.report.example_answers import answers
from mixplan.report.text_tables import lost_first


def test_each_examples_texts_and_grades_are_shown():
    plan, outcome = sample()
    text = read_page(answers(plan, outcome)).text
    for example in outcome.target.examples:
        assert f"Question{example.question}Reference answer{example.reference}" in text
        before, after = example.graded
        assert f"Before {before}{example.before}After {after}{example.after or '(empty)'}" in text
    assert "target.jsonl:0: score of graded answers 90.0 % to 10.0 %" in text
    assert "Answers that are not graded were written for this page" in text


def test_the_target_comes_first_then_what_lost():
    plan, outcome = sample()
    shown = re.findall(r"<summary><b>([^<]+)</b>", answers(plan, outcome))
    with_examples = [name for name in lost_first(plan, outcome) if outcome.domains[name].examples]
    assert shown == ["target", *with_examples]


def test_an_older_outcome_has_no_such_section():
    plan, outcome = values()
    for measured in (outcome["target"], *outcome["domains"].values()):
        measured.pop("examples", None)
    assert answers(*checked(plan, outcome)) is None


def test_hostile_answers_are_shown_as_text():
    def html(text):
        plan, outcome = values()
        outcome["target"]["examples"][0].update(question=text, before=text, after=text, reference=text, row=text)
        return answers(*checked(plan, outcome))

    for text in HOSTILE:
        assert read_page(html(text)).shape == read_page(html("x")).shape
