"""Tables hold what is saved, in the plan's order, and give up their least needed columns first."""

import pytest
from saved_run import checked, sample, values

from mixplan.report.measures import quantity
from mixplan.report.text import number
from mixplan.report.text_tables import (
    PREDICTORS,
    Sheet,
    arms,
    changes,
    consumption,
    judged,
    judgement,
    lost_first,
    order,
)


def column(sheet: Sheet, head: str) -> list[str]:
    i = sheet.heads.index(head)
    return [row[i] for row in sheet.rows]


def test_changes_say_what_is_saved() -> None:
    plan, outcome = sample()
    sheet = changes(plan, outcome)
    assert column(sheet, "domain") == ["target", *lost_first(plan, outcome)]
    for name, *cells in sheet.rows[1:]:
        found = dict(zip(sheet.heads[1:], cells, strict=True))
        domain = outcome.domains[name]
        assert domain.quantity is not None
        assert domain.change is not None
        unit = quantity(domain.quantity)
        assert found["STS_ICL"] == number(plan.domains[name].sts_icl.value)
        assert found["before"] == unit.value(domain.change.before)
        assert found["change"] == unit.change(domain.change.change)
        assert found["95 %"] == unit.bounds(domain.change.low, domain.change.high)
        assert found["forecast"] == ("missed" if domain.outside_forecast else "held")
        assert found["verdict"] == domain.change.direction


def test_domains_that_lost_come_first_the_largest_loss_of_all() -> None:
    plan, outcome = sample()
    found = lost_first(plan, outcome)
    lost = {name: one.change.change for name, one in outcome.domains.items() if one.change.direction == "loss"}
    assert len(lost) > 1
    assert found[: len(lost)] == sorted(lost, key=lambda name: lost[name])
    assert found[len(lost) :] == [name for name in order(plan, outcome) if name not in lost]


def test_without_a_forecast_its_columns_go() -> None:
    sheet = changes(*sample(forecast="none"))
    assert sheet.heads == ("domain", "STS_ICL", "before", "after", "change", "95 %", "noise", "verdict")
    assert sheet.words


def test_a_domain_that_was_not_measured_says_so() -> None:
    plan, outcome = values()
    outcome["domains"]["law"]["measures"] = {}
    outcome["target"].update(headline=None, measures={})
    sheet = changes(*checked(plan, outcome))
    told = dict(zip(column(sheet, "domain"), column(sheet, "verdict"), strict=True))
    assert (told["law"], told["target"]) == ("not measured", "not measured")


def test_scores_come_before_baselines() -> None:
    _, outcome = sample()
    lines = judged(outcome)
    assert len(lines) == len(outcome.judgement)
    with_sae = [name for name in PREDICTORS if name not in ("preview_kl", "behind_answers_raw")]
    for start in range(0, len(lines), len(with_sae)):
        assert [line.predictor for line in lines[start : start + len(with_sae)]] == with_sae
        assert len({line.measure for line in lines[start : start + len(with_sae)]}) == 1


def test_the_terminal_gets_the_measures_that_all_domains_have() -> None:
    _, outcome = sample()
    assert set(column(judgement(outcome), "of")) == {"headline", "behaviour: kl"}


def test_what_is_not_defined_is_not_a_number() -> None:
    plan, outcome = values()
    keys = [key for key in outcome["judgement"][0] if key.startswith(("pearson", "spearman", "r2"))]
    outcome["judgement"][0].update(dict.fromkeys(keys))
    first = judgement(checked(plan, outcome)[1]).rows[0]
    assert first == ("STS_ICL", "headline", "not defined", "", "", "not defined", "", "not defined", "12")


def test_consumption() -> None:
    plan, outcome = values()
    outcome["training"]["consumption"] = {
        "law": {
            "planned_rows": 12,
            "rows": 11,
            "trainable_tokens": 4321,
            "truncated_rows": 2,
            "dropped_rows": 1,
        }
    }
    assert consumption(checked(plan, outcome)[1]).rows == (("law", "12", "11", "4,321", "2", "1"),)


def test_arms() -> None:
    _, outcome = sample()
    assert outcome.arms is not None
    sheet = arms(outcome.arms)
    assert column(sheet, "arm") == list(outcome.arms.arms)
    assert column(sheet, "verdict")[1] == "baseline"
    for name, mean in zip(column(sheet, "arm"), column(sheet, "mean domain"), strict=True):
        found = outcome.arms.arms[name].mean
        assert found is not None
        assert mean == quantity("accuracy").change(found.value)


@pytest.mark.parametrize(
    ("width", "heads"),
    [(100, ("name", "a", "b", "c")), (12, ("name", "a", "b")), (9, ("name", "b")), (1, ("name", "b"))],
)
def test_the_least_needed_column_goes_first(width: int, heads: tuple[str, ...]) -> None:
    sheet = Sheet("", ("name", "a", "b", "c"), (("x", "1", "22", "333"),), (0, 1, 0, 2), words=True)
    assert sheet.within(width).heads == heads


def test_words_are_told_only_while_their_column_is_there() -> None:
    sheet = Sheet("", ("name", "words"), (("x", "long words"),), (0, 1), words=True)
    assert sheet.within(100).words
    assert not sheet.within(5).words
