"""Scores stand against the size of the changes, each with its interval, and every predictor has its correlations."""

import re

from page_html import read_page
from saved_run import checked, sample, values

from mixplan.report.plots import axis_over
from mixplan.report.predicted import judged_change, judged_scatter, predicted
from mixplan.report.text import plain
from mixplan.report.text_tables import PREDICTORS, judged


def line_of(outcome, predictor: str, measure: str):
    return next(line for line in outcome.judgement if (line.predictor, line.measure) == (predictor, measure))


def test_both_scores_are_drawn_against_both_measures() -> None:
    section = predicted(*sample())
    assert section is not None
    assert re.findall(r"<figure><h3>([^<]+?) <span", section) == [
        "STS_ICL, headline accuracy",
        "STS_act, headline accuracy",
        "STS_ICL, behaviour: token KL from the untrained model",
        "STS_act, behaviour: token KL from the untrained model",
    ]


def test_nothing_judged() -> None:
    plan, outcome = values()
    outcome["judgement"] = []
    assert predicted(*checked(plan, outcome)) is None


def test_dots_stand_at_score_and_size_with_their_intervals() -> None:
    plan, outcome = sample()
    html = judged_scatter(plan, outcome, line_of(outcome, "sts_icl", "behaviour"))
    assert html is not None
    scores = {name: plan.domains[name].sts_icl for name in outcome.domains}
    sizes = {name: outcome.domains[name].measures["behaviour"]["kl"] for name in outcome.domains}
    x = axis_over("", [0, *(end for s in scores.values() for end in (s.value, s.low, s.high))], plain)
    y = axis_over("", [0, *(end for s in sizes.values() for end in (abs(s.change), s.high))], plain)
    for name in outcome.domains:
        place = f"left:{100 * x.place(scores[name].value):.2f}%;bottom:{100 * y.place(sizes[name].change):.2f}%"
        assert f'style="{place}" title="{name}"' in html
    assert html.count('class="span"') == 2 * len(outcome.domains)


def test_the_size_of_an_interval_over_zero_begins_at_zero() -> None:
    plan, outcome = values()
    for name, domain in outcome["domains"].items():
        found = domain["measures"]["behaviour"]["kl"]
        found.update(change=-0.2, low=-0.5, high=0.1 if name == "law" else -0.1)
    html = judged_scatter(*(run := checked(plan, outcome)), line_of(run[1], "sts_icl", "behaviour"))
    assert html is not None
    upright = re.findall(r'class="span" x1="([\d.]+)" x2="\1" y1="([\d.]+)" y2="([\d.]+)"', html)
    y = axis_over("", [0, 0.5], plain)
    ends = {(float(low), float(high)) for _, low, high in upright}
    zero, near, far = (round(100 - 100 * y.place(size), 2) for size in (0, 0.1, 0.5))
    assert ends == {(zero, far), (near, far)}


def test_headlines_are_judged_in_one_unit() -> None:
    _, outcome = sample()
    line = line_of(outcome, "sts_icl", "headline")
    assert line.quantity == "accuracy"
    inside = {name for name in outcome.domains if judged_change(outcome, line, name)}
    assert inside == {name for name, domain in outcome.domains.items() if domain.quantity in ("correct", "score")}
    # A task's accuracy is judged with the others, so it is drawn with them.
    name = next(iter(inside))
    change = outcome.domains[name].change
    task = outcome.domains[name].model_copy(
        update={"headline": "lm_eval", "measures": {"lm_eval": {"exact_match": change}}}
    )
    tasked = outcome.model_copy(update={"domains": outcome.domains | {name: task}})
    assert judged_change(tasked, line, name) == change
    bits = line.model_copy(update={"quantity": "bits_per_byte"})
    assert {name for name in outcome.domains if judged_change(outcome, bits, name)} == set(outcome.domains) - inside
    choice = line.model_copy(update={"measure": "choice", "quantity": "gold_probability"})
    found = judged_change(outcome, choice, "arithmetic")
    assert found == outcome.domains["arithmetic"].measures["choice"]["gold_probability"]


def test_one_domain_makes_no_scatter() -> None:
    plan, outcome = values()
    for domain in list(outcome["domains"].values())[1:]:
        del domain["measures"]["behaviour"]
    run = checked(plan, outcome)
    assert judged_scatter(*run, line_of(run[1], "sts_icl", "behaviour")) is None


def test_every_predictor_has_its_correlations() -> None:
    plan, outcome = sample()
    section = predicted(plan, outcome)
    assert section is not None
    text = read_page(section).text
    for line in judged(outcome):
        told = f"{PREDICTORS[line.predictor]}{line.pearson:.2f} [{line.pearson_low:.2f}, {line.pearson_high:.2f}]"
        assert line.pearson_leave_one_out is not None
        low, high = line.pearson_leave_one_out
        assert f"{told}leaving one out {low:.2f} to {high:.2f}{line.spearman:.2f}" in text
    folded = section[section.index("<details>") :]
    assert "Choice: accuracy of choices, 12 domains" in folded
    assert "Headline" not in folded


def test_what_is_not_defined_is_said() -> None:
    plan, outcome = values()
    keys = [key for key in outcome["judgement"][0] if key.startswith(("pearson", "spearman", "r2"))]
    for line in outcome["judgement"]:
        line.update(dict.fromkeys(keys))
    section = predicted(*checked(plan, outcome))
    assert section is not None
    assert "STS_ICLnot definednot defined" in read_page(section).text
    assert "Pearson not defined" in section
    few = line_of(sample()[1], "sts_icl", "headline").model_copy(update={"pearson_low": None, "pearson_high": None})
    assert f"Pearson {few.pearson:.2f}, no interval" in str(judged_scatter(*sample(), few))
