"""What the page and the terminal say of a target of several sources, and that they say nothing of a single one."""

import json
import re
from typing import Any

import pytest
from saved_plan import sample

from mixplan.report.by_source import by_source, most_exposed
from mixplan.report.page import render
from mixplan.report.provenance import sections
from mixplan.report.terminal import foundations
from mixplan.saved.plan import Plan


def plan_of(value: dict[str, Any]) -> Plan:
    return Plan.model_validate_json(json.dumps(value))


@pytest.fixture
def value() -> dict[str, Any]:
    """A plan of three domains whose target has two sources, one of 600 and one of 220 rows."""
    made = sample(domains=3)
    own = {
        key: made["target"][key] for key in ("rows", "read_rows", "dropped", "fingerprint", "grader", "query_tokens")
    }
    counts = {"chat": (220, 12, "MIT"), "code": (600, 88, None)}
    made["target"]["sources"] = {
        name: {**own, "licence": licence, "mixture_rows": rows, "in_target": shared, "features": [[1, 0.5]] * 100}
        for name, (rows, shared, licence) in counts.items()
    }
    total = 820 + sum(made["allocation"]["rows"].values())
    del made["allocation"]["ratios"]["target"]
    made["allocation"]["ratios"] |= {f"target.{name}": rows / total for name, (rows, *_) in counts.items()}
    risks = {"arithmetic": (0.5, 0.1), "algebra": (0.0, 0.0), "geometry": (0.25, 2.0)}
    for name, (chat, code) in risks.items():
        made["domains"][name]["by_source"] = {
            source: {"sts_icl": risk, "sts_act": 10 * risk} for source, risk in (("chat", chat), ("code", code))
        }
    return made


def test_a_target_of_one_source_has_no_such_part():
    plan = plan_of(sample(domains=3))
    assert by_source(plan) is None
    assert most_exposed(plan) == ""
    assert "By source" not in render(plan)
    assert plan.taught() == {"target": (820, plan.allocation.ratios["target"])}


def test_each_source_names_the_domain_that_it_puts_most_at_risk(value):
    said = most_exposed(plan_of(value))
    assert said == "Most exposed by source: chat arithmetic, code geometry."
    assert foundations(plan_of(value))[-1] == said
    assert len(foundations(plan_of(value))) == 2


def test_many_sources_are_left_to_the_report(value):
    one = value["target"]["sources"]["chat"]
    value["target"]["sources"] = {f"s{number:02d}": one for number in range(11)}
    assert most_exposed(plan_of(value)).endswith("s02 algebra and 8 more sources in the report.")


def test_the_page_sets_sources_beside_each_other_with_the_highest_in_bold(value):
    html = str(by_source(plan_of(value)))
    cells = {
        name: re.findall(r"<td[^>]*>(.*?)</td>", line)
        for line in html.split("<tr")[1:]
        if (name := re.sub(r"<[^>]*>", "", line.partition("</th>")[0].partition('rowheader">')[2]))
    }
    assert cells["geometry"][:2] == ["0.250", "<b>2.00</b>"]
    assert cells["arithmetic"][:2] == ["<b>0.500</b>", "0.100"]
    assert cells["algebra"][:2] == ["0", "0"]
    assert cells["target.code"][0] == "600"
    assert cells["target.code"][2:] == ["88 of 100", "20,000"]


def test_the_page_counts_rows_and_data_by_source(value):
    plan = plan_of(value)
    page, data = render(plan), str(sections(plan)[0])
    for name in ("target.chat", "target.code"):
        assert page.count(f">{name}</th>") == 3  # the mixture, by source, and the data
    assert data.count(">target</th>") == 1
    assert ">target</th>" not in page.partition("By source")[0]
