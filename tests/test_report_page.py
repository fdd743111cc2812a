"""The page is one file that fetches nothing, runs nothing, says everything, and holds its form against hostile text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import saved_run
from hypothesis import given, settings
from hypothesis import strategies as st
from page_html import HOSTILE, read_page
from saved_plan import learned, sample

from mixplan.report.page import render, write_page
from mixplan.report.runs_page import render_several
from mixplan.report.text import bounds, in_line, number, percent
from mixplan.saved.plan import Plan


def rendered(value: dict[str, Any]) -> str:
    return render(Plan.model_validate_json(json.dumps(value)))


@pytest.fixture
def value() -> dict[str, Any]:
    return sample()


def test_nothing_is_fetched_and_nothing_runs(value: dict[str, Any]) -> None:
    page = rendered(value)
    reader = read_page(page)
    assert not {"script", "iframe", "object", "embed", "img", "form", "base"} & {name for name, _ in reader.shape}
    links = [(tag, name, text) for tag, name, text in reader.attributes if name in ("src", "href", "srcset", "action")]
    assert links[0] == ("link", "href", "data:,")
    places = {text for _, name, text in reader.attributes if name == "id"}
    assert len(links) > 8
    assert {(tag, name, text[:1]) for tag, name, text in links[1:]} == {("a", "href", "#")}
    assert {text[1:] for _, _, text in links[1:]} <= places
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", page)
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in reader.attributes


def test_same_plan_same_bytes(value: dict[str, Any], tmp_path: Path) -> None:
    assert rendered(value) == rendered(json.loads(json.dumps(value)))
    shuffled = {key: value[key] for key in sorted(value, reverse=True)}
    assert rendered(shuffled) == rendered(value)
    (tmp_path / "a").mkdir()
    plan = Plan.model_validate_json(json.dumps(value))
    pages = [write_page(plan, tmp_path / name).read_bytes() for name in ("a", "b")]
    assert pages == [rendered(value).encode()] * 2


def test_sections_in_order_warnings_first(value: dict[str, Any]) -> None:
    assert read_page(rendered(value)).titles == [
        "2 warnings",
        "The mixture",
        "Against uniform",
        "What looser limits would bring",
        "Where the next row stops paying",
        "Drift dimensions",
        "Why",
        "Every score",
        "Data",
        "Model and SAE",
        "Provenance",
    ]


def test_what_is_not_there_has_no_section(value: dict[str, Any]) -> None:
    value["warnings"], value["mixture"] = [], None
    value["allocation"].update(no_better_than_uniform=None, duals=[], curve=[])
    for domain in value["domains"].values():
        domain.update(why=[], forecast=None, outside_shift=None)
    reader = read_page(rendered(value))
    assert reader.titles == [
        "The mixture",
        "Against uniform",
        "Drift dimensions",
        "Every score",
        "Data",
        "Model and SAE",
        "Provenance",
    ]
    assert "220 extra rows over 16 domains. The most rows:" in reader.text
    assert "Mixturenot written" in reader.text


def test_one_warning_is_one_warning(value: dict[str, Any]) -> None:
    value["allocation"]["no_better_than_uniform"] = None
    assert read_page(rendered(value)).titles[0] == "1 warning"


def test_the_answer_is_all_there(value: dict[str, Any]) -> None:
    reader = read_page(rendered(value))
    allocation = value["allocation"]
    plan = Plan.model_validate_json(json.dumps(value))
    for name, domain in value["domains"].items():
        score = plan.domains[name].sts_icl
        start = f"{name}{number(score.value)} {bounds(score)}{allocation['rows'][name]}"
        assert start + percent(allocation["ratios"][name]) in reader.text
        assert f"{name}{percent(allocation['shares'][name])}{percent(1 / 16)}" in reader.text
        for reason in domain["why"]:
            assert f"Feature {reason['feature']} {percent(reason['share'])} of the score" in reader.text
            for found in reason["contexts"]:
                assert in_line(found["before"] + found["token"] + found["after"]) in reader.text
    for digest in value["hashes"].values():
        assert digest in reader.text


def test_bars_are_as_long_as_the_numbers(value: dict[str, Any]) -> None:
    page = rendered(value)
    answer = page[page.index('class="cards answer"') : page.index('class="cards bars"')]
    widths = [float(found) for found in re.findall(r'class="bar" width="([\d.]+)%"', answer)]
    scores = sorted((domain["sts_icl"]["value"] for domain in value["domains"].values()), reverse=True)
    highest = max(domain["sts_icl"]["high"] for domain in value["domains"].values())
    assert widths == pytest.approx([100 * score / highest for score in scores], abs=0.006)


def test_rows_planned_by_an_expected_change_stand_beside_it(value: dict[str, Any]) -> None:
    page = rendered(learned(value))
    text = read_page(page).text
    assert "Expected change of behaviour (nats per token) with 95 % interval" in text
    said = "the interval is for what a run on the target's rows alone will measure."
    assert f"which was learned from its STS_ICL in earlier runs; {said}" in text
    answer = page[page.index('class="cards answer"') : page.index('class="cards bars"')]
    widths = [float(found) for found in re.findall(r'class="bar" width="([\d.]+)%"', answer)]
    assert widths == pytest.approx([100 * 0.0212 * place / (0.0505 * 16) for place in range(16, 0, -1)], abs=0.006)
    assert "0.34 [0, 0.81]" in text


def test_a_score_act_plan_says_so(value: dict[str, Any]) -> None:
    text = read_page(rendered({**value, "score": "act"})).text
    assert "STS_act is how strongly a domain uses the features that this job is expected to move." in text
    assert "STS_act with 95 % interval" in text


def test_the_curve_is_drawn_in_order_of_budget(value: dict[str, Any]) -> None:
    page = rendered(value)
    value["allocation"]["curve"].reverse()
    assert rendered(value) == page
    assert "Expected remaining loss against extra rows: from 1.00 at 0 to 0.194 at 1,000." in read_page(page).text


def with_text(value: dict[str, Any], text: str) -> dict[str, Any]:
    """Put one text into every place that a data set, a file name or a library could reach."""
    law = {**value["domains"]["law"], "licence": text, "dropped": {text: 2}}
    context = {"before": text, "token": text, "after": text, "activation": 1.0}
    law["why"] = [{"feature": 1, "share": 0.2, "contexts": [context]}]
    value = {**value, "name": text, "warnings": [text], "created": text, "domains": {"law": law}}
    value["hashes"] = {text: text}
    value["libraries"] = {text: text}
    value["ranking"] = {**value["ranking"], "of": text}
    value["forecast"] = {"kind": text, "text": text, "evidence": [text, text]}
    value["model"] = {**value["model"], "name": text, "dtype": text, "device": text, "why_dtype": text}
    value["sae"] = {**value["sae"], "name": text, "kind": text, "hook_name": text}
    value["mixture"] = {**value["mixture"], "folder": text, "config": text}
    value["allocation"] = {
        **value["allocation"],
        "objective": text,
        "duals": [{"limit": text, "step": 1.0, "brings": 0.1, "text": text}],
    }
    value["seconds"] = value["tokens"] = {text: 1.0}
    return value


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_changes_no_element_and_no_attribute(value: dict[str, Any], text: str) -> None:
    harmless, hostile = read_page(rendered(with_text(value, "x"))), read_page(rendered(with_text(value, text)))
    assert hostile.shape == harmless.shape
    assert in_line(text) in hostile.text


@settings(max_examples=25, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="`"), min_size=1, max_size=30).map("x{}".format)
)
def test_any_text_changes_no_element_and_no_attribute(text: str) -> None:
    """Backticks in pairs are code, as in mixplan's own sentences; see below."""
    value = sample(domains=4)
    assert read_page(rendered(with_text(value, text))).shape == read_page(rendered(with_text(value, "x"))).shape


def test_backticks_of_foreign_text_make_code_at_most() -> None:
    value = sample(domains=4)
    harmless, marked = (read_page(rendered(with_text(value, text))).shape for text in ("x", "x` <script>"))
    others = [[entry for entry in shape if entry != ("code", ())] for shape in (harmless, marked)]
    assert others[0] == others[1]
    assert marked.count(("code", ())) > harmless.count(("code", ()))


def test_a_hostile_domain_name_is_text(value: dict[str, Any]) -> None:
    name = HOSTILE[0]
    value["domains"][name] = value["domains"]["law"]
    for spread in (*(value["allocation"][key] for key in ("rows", "ratios", "uniform", "shares")),):
        spread[name] = spread["law"]
    for point in value["allocation"]["curve"]:
        point["rows"][name] = 1
    reader = read_page(rendered(value))
    assert "script" not in {tag for tag, _ in reader.shape}
    assert name in reader.text


def test_headings_and_tables_are_labelled(value: dict[str, Any]) -> None:
    reader = read_page(rendered(value))
    ids = [text for _, name, text in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert [text for _, name, text in reader.attributes if name == "aria-labelledby"] == ids
    count = [tag for tag, _ in reader.shape].count
    assert count("h1") == 1
    assert count("table") == len([1 for tag, name, _ in reader.attributes if name == "role" and tag == "table"])
    assert all("scope" in names for tag, names in reader.shape if tag == "th")
    assert ("html", "lang", "en") in reader.attributes


def test_every_table_has_a_caption_and_every_heading_of_a_line_a_text() -> None:
    several = render_several([(f"runs/{seed}", *saved_run.sample(seed)) for seed in range(2)])
    pages = [rendered(sample()), outcome_page(), outcome_page(forecast="relative"), several]
    for page in pages:
        tables = re.findall(r"<table [^>]*>(<caption><span>[^<]+</span></caption>)?", page)
        assert len(tables) > 3
        assert all(tables)
        assert not re.search(r"<th[^>]*></th>", page)
        charts = re.findall(r'<div class="plot[^>]*>', page)
        assert all('role="img"' in chart and re.search(r'aria-label="[^"]{20,}"', chart) for chart in charts)
        assert all('aria-hidden="true"' in drawing for drawing in re.findall(r"<svg[^>]*>", page))


OUTCOME_TITLES = [
    "What was wrong",
    "What to know",
    "Before and after",
    "Answers before and after",
    "Arms",
    "Predicted against measured",
    "Actual drift",
    "Training",
    "Every measure",
]


def outcome_page(**options: Any) -> str:
    return render(*saved_run.sample(**options))


def test_an_outcome_comes_first_what_was_wrong_before_all() -> None:
    reader = read_page(outcome_page())
    assert reader.titles[: len(OUTCOME_TITLES)] == OUTCOME_TITLES
    assert reader.titles[len(OUTCOME_TITLES)] == "The mixture"
    assert reader.text.strip().startswith("quickstart: outcome")
    assert "Relative forecast" in read_page(outcome_page(forecast="relative")).titles


def test_the_summary_opens_the_page() -> None:
    plan, outcome = saved_run.values()
    outcome["summary"] = ["One.", "4 of 12 domains moved outside their forecast: law (…).", "Two.", "Three.", "Four."]
    page = render(*saved_run.checked(plan, outcome))
    assert re.findall(r'<p class="lead">([^<]+)</p>', page) == ["One.", "Two."]
    assert '<ul class="told"><li>Three.</li><li>Four.</li></ul>' in page


def test_an_outcome_lists_its_contents_and_folds_what_it_rests_on() -> None:
    page = outcome_page()
    listed = re.findall(r'<li><a href="#([^"]+)">', page)
    assert listed == [name for name in re.findall(r'<h2 id="([^"]+)"', page) if name not in ("wrong", "warnings")]
    opened = re.findall(r'<section aria-labelledby="([^"]+)"><h2', page)
    assert opened == ["before-and-after", "answers-before-and-after", "arms"]


def test_an_outcome_fetches_nothing_and_runs_nothing() -> None:
    page = outcome_page()
    reader = read_page(page)
    assert not {"script", "iframe", "object", "embed", "img", "form", "base"} & {name for name, _ in reader.shape}
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", page)
    assert page == outcome_page()


def test_an_outcomes_headings_and_pictures_are_labelled() -> None:
    reader = read_page(outcome_page())
    ids = [text for _, name, text in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert [text for _, name, text in reader.attributes if name == "aria-labelledby"] == ids
    pictures = [names for tag, names in reader.shape if tag == "svg"]
    assert all("aria-hidden" in names for names in pictures)
    plots = [text for tag, name, text in reader.attributes if name == "class" and text.startswith("plot")]
    told = [text for _, name, text in reader.attributes if (name, text) == ("role", "img")]
    assert len(plots) == len(told) == 9


def outcome_with(text: str) -> str:
    """Put one text into every place of an outcome that a data set, a file name or a library could reach."""
    plan, outcome = saved_run.values()
    outcome.update(name=text, model=text, sae=text, summary=[text], warnings=[text])
    outcome["domains"] = {text: outcome["domains"]["law"]}
    outcome["training"].update(method=text, consumption={text: outcome["training"]["consumption"]["law"]})
    arm = {**outcome["arms"]["arms"]["plan"], "worst_domain": text}
    outcome["arms"].update(baseline=text, arms={text: arm})
    outcome["forecast"] = {"kind": text, "text": text}
    for line in outcome["judgement"]:
        line["predictor"] = text
    outcome["judgement"] = outcome["judgement"][:1]
    for found in outcome["drift"]["unexpected"]:
        found["contexts"] = [{"before": text, "token": text, "after": text, "activation": 1.0}]
    outcome["domains"][text]["headline"] = text
    outcome["domains"][text]["measures"] = {text: {text: outcome["target"]["measures"]["exact"]["score"]}}
    texts = dict.fromkeys(("row", "question", "reference", "before", "after", "quantity"), text)
    outcome["domains"][text]["examples"] = [{**texts, "graded": [text, text], "measured": [0.0, 1.0]}]
    outcome["created"] = text
    return render(*saved_run.checked(plan, outcome))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_an_outcome_changes_no_element(text: str) -> None:
    harmless, hostile = read_page(outcome_with("x")), read_page(outcome_with(text))
    assert hostile.shape == harmless.shape
    assert in_line(text) in hostile.text


def spread_out(values: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The same values over and over, under other names."""
    found = list(values.values())
    return {name: found[number % len(found)] for number, name in enumerate(names)}


def test_a_page_of_two_thousand_domains_stays_under_five_megabytes():
    plan, outcome = saved_run.sample()
    names = [f"domain_{number:04d}" for number in range(2000)]
    parts = ("rows", "ratios", "uniform", "shares")
    spread = {part: spread_out(getattr(plan.allocation, part), names) for part in parts}
    spread["ratios"]["target"] = 0.5
    curve = [point.model_copy(update={"rows": spread_out(point.rows, names)}) for point in plan.allocation.curve]
    allocation = plan.allocation.model_copy(update={**spread, "curve": curve})
    plan = plan.model_copy(update={"domains": spread_out(plan.domains, names), "allocation": allocation})
    outcome = outcome.model_copy(update={"domains": spread_out(outcome.domains, names)})
    first, last = plan.order()[0], plan.order()[-1]
    for page in (render(plan), render(plan, outcome)):
        assert len(page.encode()) < 5_000_000
        assert "more are in plan.json and outcome.json" in page
        assert f"<summary><b>{first}</b>" in page
        assert f"<summary><b>{last}</b>" not in page
        assert 'class="target"' in page
