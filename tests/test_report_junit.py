"""Verdicts as JUnit XML, read back as a build server reads them, whatever names hold."""

import xml.etree.ElementTree as ET

import pytest
from tolerated import REASON, entry, gate

from mixplan.report.junit import Gated, junit_xml
from mixplan.saved.tolerances import Gate


def read(*runs: Gated, strict: bool = False) -> ET.Element:
    return ET.fromstring(junit_xml(runs, strict=strict))


def counts(found: ET.Element) -> tuple[int, ...]:
    return tuple(int(found.get(key)) for key in ("tests", "failures", "errors", "skipped"))


def test_each_domain_is_a_case():
    found = read(Gated("mine", gate("pass", "fail", "undecided"), created="2026-11-29T05:00:00+00:00"))
    (suite,) = found
    assert (found.tag, counts(found), counts(suite)) == ("testsuites", (3, 1, 0, 1), (3, 1, 0, 1))
    assert suite.get("timestamp") == "2026-11-29T05:00:00+00:00"
    kept, broken, open_ = suite.findall("testcase")
    assert [(case.get("classname"), case.get("name")) for case in suite.findall("testcase")] == [
        ("mixplan.mine", "d0"),
        ("mixplan.mine", "d1"),
        ("mixplan.mine", "d2"),
    ]
    assert [child.tag for child in kept] == ["system-out"]
    (failure,) = broken
    assert (failure.tag, failure.get("type")) == ("failure", "fail")
    assert failure.get("message") == "lost 4.0 [2.5, 5.5] of 2 pp, choice on 100 rows"
    (skipped,) = open_
    assert skipped.tag == "skipped"
    assert skipped.get("message") == f"lost 1.5 [0.50, 2.5] of 2 pp, choice on 100 rows. {REASON}"


def test_strictly_what_is_undecided_failed_as_the_exit_code_says():
    found = read(Gated("mine", gate("pass", "undecided")), strict=True)
    assert counts(found) == (2, 1, 0, 0)
    assert found.find(".//failure").get("type") == "undecided"


def test_a_domain_with_several_tolerances_is_one_case_with_the_worst_verdict():
    several = [entry("law", "pass"), entry("law", "fail", unit="bits"), entry("law", "undecided", unit="nats")]
    (suite,) = read(Gated("mine", Gate.model_validate({"held": several})))
    (case,) = suite
    assert counts(suite) == (1, 1, 0, 0)
    assert case.find("failure").get("message") == "lost 4.0 [2.5, 5.5] of 2 bits, likelihood on 100 rows"
    assert [line.partition(":")[0] for line in case.find("failure").text.splitlines()] == ["pass", "fail", "undecided"]


def test_what_was_not_measured_has_no_loss():
    held = entry("law", "undecided", loss=None, items=0, reason="`choice` was not measured.")
    (suite,) = read(Gated("mine", Gate.model_validate({"held": [held]})))
    assert suite.find(".//skipped").get("message") == "may lose 2 pp, choice on 0 rows. `choice` was not measured."


@pytest.mark.parametrize("label", ["a\"<b>&'c", "two\nlines", "bell\x07 and \x1b[31mred", "\ud800 half", "]]>", "東京"])
def test_no_name_breaks_the_file(label):
    (suite,) = read(Gated(label, gate("fail"), notes=(label,)), Gated("other", gate("pass")))[:1]
    shown = suite.find("testcase").get("classname").removeprefix("mixplan.")
    assert "\n" not in shown
    assert shown == label or "[U+" in shown or "↵" in shown
    assert shown in suite.find("system-out").text


def test_several_runs_are_several_suites():
    found = read(Gated("one", gate("fail", "pass")), Gated("two", gate("undecided")))
    assert [suite.get("name") for suite in found] == ["mixplan tolerances: one", "mixplan tolerances: two"]
    assert counts(found) == (3, 1, 0, 1)
