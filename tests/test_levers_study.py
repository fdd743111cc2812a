"""The comparison of levers interpolates losses at equal gain, and passes over lines of another registration."""

import json
import sys
from pathlib import Path

import pytest
from made_trajectory import made_trajectory

from mixplan.recipe import load_recipe
from mixplan.recipe.lines import write
from mixplan.saved.trajectory import FILE

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "studies" / "smollm2-135m-levers"))

import compare


def curve(*pairs):
    return [
        {"step": 4 * place, "gain": gain, "worst": loss, "mean": loss / 2, "worst_domain": "law"}
        for place, (gain, loss) in enumerate(pairs)
    ]


def test_losses_are_compared_at_the_gain_that_all_arms_reach():
    curves = {"plain": curve((0, 0), (0.2, 0.1), (0.6, 0.5)), "half": curve((0, 0), (0.1, 0.02), (0.4, 0.08))}
    gain, losses = compare.at_equal_gain(curves, "worst")
    assert gain == 0.4
    # Half way from 0.2 to 0.6, and the last measure itself.
    assert losses == {"plain": pytest.approx(0.3), "half": pytest.approx(0.08)}
    assert compare.at_equal_gain(curves, "mean")[1]["plain"] == pytest.approx(0.15)


def test_a_gain_that_falls_again_counts_where_it_is_first_reached():
    curves = {"up and down": curve((0, 0), (0.5, 0.2), (0.3, 0.9)), "slow": curve((0, 0), (-0.1, 0.4), (0.25, 0.6))}
    gain, losses = compare.at_equal_gain(curves, "worst")
    assert gain == 0.25
    assert losses == {"up and down": pytest.approx(0.1), "slow": pytest.approx(0.6)}


def test_where_an_arm_gains_nothing_there_is_no_equal_gain():
    curves = {"plain": curve((0, 0), (0.5, 0.2)), "none": curve((0, 0), (-0.2, 0.4))}
    assert compare.at_equal_gain(curves, "worst") == (0, {"plain": None, "none": None})


def test_the_report_names_what_is_finished_and_passes_other_registrations_over(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "RESULTS", tmp_path / "results.jsonl")
    monkeypatch.setattr(compare, "REPORT", tmp_path / "RESULTS.md")
    line = {
        "registered": compare.REGISTERED, "target": "commonsense", "arm": "plain", "seed": 0, "steps": 16,
        "points": curve((0, 0), (0.25, 0.125)), "trained_tokens": {"target": 1200, "law": 34},
        "training_seconds": 9.0, "processor_seconds": {"plan": 40.0, "all": 100.0}, "voice": None,
    }  # fmt: skip
    voice = {"rewritten": 50, "rows": 64, "stays": {"wrong": 14}}
    lines = [line, line | {"arm": "own_voice", "voice": voice}, line | {"registered": "another", "arm": "half_rate"}]
    lines.append(line | {"arm": "even_rows", "processor_seconds": None})
    compare.RESULTS.write_text("".join(json.dumps(one) + "\n" for one in lines))
    compare.write_report()
    text = compare.REPORT.read_text()
    assert "| 1,234 | stopped between |" in text
    assert "3 of 30 trainings finished; 1 lines of another registration passed over" in text
    assert "| plain | 0.250 | law 0.125 | 0.062 | 0.125 | 0.062 | 1,234 | 100 (40) |" in text
    assert "50 of 64 answers rewritten; as given {'wrong': 14}" in text
    assert "| half_rate | 0" not in text


def test_measures_are_read_from_the_trajectory_without_the_domain_of_the_target_s_own_name(tmp_path):
    made = made_trajectory(([2.0, 1.0, 2.0, 1.0], 0.0), ([1.0, 0.5, 1.5, 1.0], 0.4))
    lines = [json.dumps(one.model_dump()) + "\n" for one in (made.begin, *made.points)]
    (tmp_path / FILE).write_text("".join(lines))
    first, last = compare.points_of(tmp_path, "sums")
    assert (first["step"], first["gain"], first["worst"]) == (0, 0, 0)
    assert (last["step"], last["gain"]) == (10, (1 + 0.5 + 0.5 + 0) / 4)
    assert (last["worst"], last["worst_domain"], last["mean"]) == (0.4, "law", pytest.approx(0.3))
    _, last = compare.points_of(tmp_path, "law")
    assert (last["worst"], last["worst_domain"], last["mean"]) == (0.2, "fox", 0.2)
    with pytest.raises(SystemExit, match="there is no trajectory"):
        list(compare.points_of(tmp_path / "none", "law"))


@pytest.mark.parametrize("arm", compare.ARMS)
@pytest.mark.parametrize("target", compare.TARGETS)
def test_every_arm_is_a_sound_recipe_of_as_many_steps(target, arm, tmp_path):
    place = tmp_path / "asked.yaml"
    place.write_text(write(compare.RECIPE | {"target": compare.TARGETS[target], "seed": 0}))
    recipe = load_recipe(place, compare.ARMS[arm]).recipe
    assert (recipe.train.args["max_steps"], recipe.mixture.target_rows) == (16, 64)


def test_all_arms_are_told_beside_plain_where_a_seed_has_them():
    def lines(seed, losses):
        return [
            {"target": "commonsense", "seed": seed, "arm": arm, "points": curve((0, 0), (0.5, loss))}
            for arm, loss in zip(compare.ARMS, losses, strict=False)
        ]

    found = [*lines(0, (1.0, 0.5, 0.25, 0.25, 0.125)), *lines(1, (2.0, 0.5, 0.5, 1.0, 0.5)), *lines(2, (1.0, 9.0))]
    rows = [line for line in compare.together(found) if line.startswith(("| commonsense", "| worked_math"))]
    assert rows[0] == (
        "| commonsense | 2 of 3 | all | worst | 0.38 [0.25, 0.50] | 0.25 [0.25, 0.25] | 0.38 [0.25, 0.50] | "
        "0.19 [0.12, 0.25] |"
    )
    assert rows[4] == "| worked_math | 0 of 3 | all | worst | - | - | - | - |"
    # One arm that gains little moves where all are compared, and no pair of the others.
    slow = {"target": "commonsense", "seed": 0, "arm": "even_rows_kl", "points": curve((0, 0), (0.25, 3.0))}
    bent = {"target": "commonsense", "seed": 0, "arm": "half_rate", "points": curve((0, 0), (0.25, 0.0), (0.5, 0.5))}
    found = [one for one in lines(0, (1.0, 0.5, 0.25, 0.25)) if one["arm"] != "half_rate"]
    at_all, _, at_two, _ = compare.together([*found, bent, slow])[-9:-5]
    assert at_all.startswith("| commonsense | 1 of 3 | all | worst | 0.00 | 0.25 |")
    assert at_two.startswith("| commonsense | 1 of 3 | two | worst | 0.50 | 0.25 |")
