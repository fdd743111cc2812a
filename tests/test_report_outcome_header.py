"""An outcome's page opens with its verdict, four facts, what was trained, when, and the command to repeat it."""

from saved_run import checked, sample, values

from mixplan.report.outcome_header import strip, top


def facts(plan, outcome):
    return {name: (value, rest) for name, value, rest in strip(*checked(plan, outcome))}


def test_the_four_facts_say_what_is_saved():
    plan, outcome = values()
    change = outcome["target"]["measures"]["exact"]["score"]
    change.update(before=0.5, after=0.6, change=0.1, low=0.05, high=0.15, changed=True, direction="gain")
    for number, (name, domain) in enumerate(outcome["domains"].items()):
        found = next(iter(domain["measures"][domain["headline"]].values()))
        found.update(change=-0.1 - number / 100, direction="loss" if number < 5 else "none")
        domain["outside_forecast"] = name == "law"
    found = facts(plan, outcome)
    assert list(found) == ["Target", "Domains that lost", "Within the forecast", "Trained"]
    value, rest = found["Target"]
    assert (value, rest) == ("+10.0 pp", "score of graded answers 50.0 % to 60.0 %, 95 % interval [+5.0, +15.0]")
    assert found["Domains that lost"][0] == "5 of 12"
    assert found["Domains that lost"][1].endswith("; 2 more; 0 gained")
    assert found["Within the forecast"] == ("11 of 12", "outside: law")
    assert found["Trained"] == ("60 steps", "SFT, 7 min")


def test_what_was_not_measured_or_not_forecast_says_so():
    plan, outcome = values(forecast="none")
    outcome["target"].update(headline=None, measures={})
    found = facts(plan, outcome)
    assert found["Target"][0] == "not measured"
    assert found["Within the forecast"][0] == "not checked"


def test_the_header_names_model_data_day_and_command():
    plan, outcome = sample()
    html = top(plan, outcome.model_copy(update={"created": "2026-11-29T01:13:40+00:00"}))
    assert "Made 2026-11-29 01:13 UTC." in html
    assert "Model " in html
    assert "mixplan train recipe.yaml --run NEW_FOLDER" in html
    assert "Made" not in top(plan, outcome)
