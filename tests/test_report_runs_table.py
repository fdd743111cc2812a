"""Runs stand beside each other, in as many tables as the width needs."""

from saved_run import checked, sample, values

from mixplan.report.measures import quantity
from mixplan.report.runs_table import Run, changes_by_run, runs, verdict_on


def several(count: int) -> list[Run]:
    return [(f"runs/{seed}", *sample(seed)) for seed in range(count)]


def test_one_line_a_run() -> None:
    made = several(3)
    sheet = runs(made)
    for (label, plan, outcome), line in zip(made, sheet.rows, strict=True):
        found = dict(zip(sheet.heads, line, strict=True))
        judged = verdict_on(plan, outcome, "headline")
        assert judged is not None
        assert judged.predictor == "sts_icl"
        assert found["run"] == label
        assert found["unforeseen"] == str(len(outcome.outside()))
        assert found["r headline"] == f"{judged.pearson:.2f}"
        assert found["overlap"] == "57 of 100"
        changed = [d for d in outcome.domains.values() if d.change and d.change.changed]
        assert found["moved"] == f"{len(changed)} of 12"


def test_the_score_that_planned_the_run_is_judged() -> None:
    plan, outcome = values()
    found = verdict_on(*checked({**plan, "score": "act"}, outcome), "behaviour")
    assert found is not None
    assert found.predictor == "sts_act"
    assert verdict_on(*checked(plan, outcome), "lm_eval") is None


def test_without_target_rows_judgement_or_drift() -> None:
    plan, outcome = values(forecast="none")
    outcome["target"].update(headline=None, measures={})
    outcome.update(judgement=[], drift=None)
    [line] = runs([("r", *checked(plan, outcome))]).rows
    assert line == ("r", "not measured", "", line[3], "", "", "", "", "", "")


def test_every_change_of_every_run_is_there_once() -> None:
    made = several(5)
    for width in (40, 80, 200, 1000):
        sheets = changes_by_run(made, width)
        assert [head for sheet in sheets for head in sheet.heads[2:]] == [label for label, _, _ in made]
        for sheet in sheets:
            assert {row[0] for row in sheet.rows} == {"target", *made[0][2].domains}
    assert len(changes_by_run(made, 1000)) == 1
    assert len(changes_by_run(made, 40)) == 5


def test_a_cell_says_change_and_interval_in_the_lines_unit() -> None:
    [(label, plan, outcome)] = several(1)
    [sheet] = changes_by_run([(label, plan, outcome)], 200)
    for name, unit, cell in sheet.rows[1:]:
        domain = outcome.domains[name]
        assert domain.change is not None
        written = quantity(domain.quantity or "")
        assert unit == written.change_unit
        assert cell == f"{written.signed(domain.change.change)} {written.bounds(domain.change.low, domain.change.high)}"


def test_a_run_that_measured_otherwise_keeps_its_own_unit() -> None:
    plan, outcome = values()
    other = {**outcome, "domains": {**outcome["domains"]}}
    other["domains"]["law"] = {**other["domains"]["law"], "headline": "behaviour"}
    del other["domains"]["coding"]
    [sheet] = changes_by_run([("a", *checked(plan, outcome)), ("b", *checked(plan, other))], 500)
    lines = {row[0]: row for row in sheet.rows}
    assert lines["law"][1] == "pp"
    assert " nats [" in lines["law"][3]
    assert lines["coding"][3] == ""
