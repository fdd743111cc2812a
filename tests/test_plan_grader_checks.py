"""Every domain's grader is tried on its own rows before a plan is made."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from evaluated import asked_rows, choice_rows, domain_of

from mixplan.errors import DataError
from mixplan.grading.probes import bounded, probe
from mixplan.grading.process import ScorerTimedOut
from mixplan.plan import grader_checks
from mixplan.plan.grader_checks import graded_rows, grader_warnings


def recipe(method="sft"):
    train = SimpleNamespace(method=method)
    return SimpleNamespace(recipe=SimpleNamespace(train=train), where=lambda path: "tiny.yaml:7")


def test_graders_that_fit_are_silent_and_none_is_passed_over():
    domains = {"pick": domain_of("pick", choice_rows(12)), "free": domain_of("free", asked_rows(4), grader="none")}
    assert grader_warnings(recipe(), domain_of("target", asked_rows(12), grader="number"), domains) == []


def test_a_grader_that_reads_no_answer_is_refused_with_its_place():
    rows = [replace(row, answer="no number") for row in asked_rows(4)]
    with pytest.raises(DataError) as caught:
        grader_warnings(
            recipe(), domain_of("target", asked_rows(4)), {"sums": domain_of("sums", rows, grader="number")}
        )
    assert str(caught.value).startswith(
        "tiny.yaml:7: sums: its grader `number` does not accept the rows' own answers: 4 of 4 are not graded right"
    )


def test_rows_are_tried_once_unless_the_grader_failed(monkeypatch):
    tried = []

    def counted(rows, graded):
        tried.append(len(rows))
        return probe(rows, graded)

    monkeypatch.setattr(grader_checks, "probe", counted)
    none = domain_of("target", asked_rows(12), grader="none")
    for rows in (12, 12, 11):
        assert grader_warnings(recipe(), none, {"pick": domain_of("pick", choice_rows(rows))}) == []
    assert tried == [12, 11]

    def fails(grader, process, on_error):
        real = bounded(grader, process)

        def graded(row, text):
            on_error(ScorerTimedOut("it took longer than 10 seconds"))
            return real(row, text)

        return graded

    monkeypatch.setattr(grader_checks, "bounded", fails)
    for _ in range(2):
        grader_warnings(recipe(), none, {"pick": domain_of("pick", choice_rows(10))})
    assert tried == [12, 11, 10, 10]


def test_rewarded_rows_are_tried_too():
    domain = replace(domain_of("target", asked_rows(2)), pool=asked_rows(60))
    assert (len(graded_rows(domain, rewarded=False)), len(graded_rows(domain, rewarded=True))) == (2, 42)
