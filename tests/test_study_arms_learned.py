"""Plans that learn from other targets' arms what halves a loss: spread again, trained, judged and reported."""

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from as_saved import plain
from made_arms import bits, compared
from small_plan import Silent
from small_study import lay, study, study_values
from study_pages import arms_page

from mixplan.forecast import Amount, Halving
from mixplan.plan import PlanRequest, make_plan
from mixplan.plan.make import spread_again
from mixplan.recipe.spec import HALF_ROWS
from mixplan.study import jobs
from mixplan.study.arms import make as arms
from mixplan.study.arms.judge import judge_arms
from mixplan.study.arms.learned import amount_of, judge_relearned
from mixplan.study.arms.make import DONE
from mixplan.study.arms.measured import TRAVELS
from mixplan.study.arms.stages import Stage, stages
from mixplan.study.asked.spec import load_study
from mixplan.study.files.arms import Halved
from mixplan.train.launch import Launch

ARMS = ["none", "uniform", "plan", "plan_learned"]
MARK = {"text": "Worst.", "quantity": "avoided/plan/plan_learned/bits_per_byte/worst/both", "at_least": 0}
TARGETS = ("sums", "doctors", "patients")


def laid(folder: Path, tiny_model, tiny_sae) -> Path:
    """The small study with a third target, arms and two seeds."""
    values = study_values(tiny_model)
    recipe = values["recipe"] | {"allocate": {"objective": "diminishing", "half_rows": HALF_ROWS}}
    recipe["sts"] = {"demonstrations": 2, "draws": 2, "query_tokens": 60, "resamples": 100}
    recipe["drift"] |= {"draws": 2, "query_tokens": 60}
    third = {**values["targets"]["doctors"], "data": {"file": "patient.jsonl"}}
    changed = {"recipe": recipe, "targets": values["targets"] | {"patients": third}, "marks": [MARK]}
    path = lay(folder, tiny_model, tiny_sae, arms={"names": ARMS, "budgets": [5]}, **changed)
    kept = yaml.safe_load(path.read_text())
    for key in ("development", "kinds", "reading", "preview"):
        del kept[key]
    kept["seeds"] = [3, 8]
    path.write_text(yaml.safe_dump(kept, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model, tiny_sae) -> Path:
    """A folder with such a study: stopped and judged before anything learned was trained, then run to its end."""
    folder = tmp_path_factory.mktemp("learned")
    path, run = laid(folder, tiny_model, tiny_sae), folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
        compared = arms.compared

        def until(bench, one, launch):
            if one.learned:
                raise KeyboardInterrupt
            return compared(bench, one, launch)

        with pytest.MonkeyPatch.context() as stop:
            stop.setattr(arms, "compared", until)
            with pytest.raises(KeyboardInterrupt):
                study(path, run)
        study(path, run, so_far=True)
        (run / "so-far").rename(folder / "before")
        worked: list[Stage] = []

        def noted(bench, one, launch):
            worked.append(one)
            assert len(worked) <= len(TARGETS)  # not the same again and again
            return compared(bench, one, launch)

        patch.setattr(arms, "compared", noted)
        study(path, run)
        (folder / "worked.json").write_text(json.dumps(worked))
    return folder


def results(folder: Path):
    """A judgement, and how it reads."""
    registered = json.loads((folder.parent / "run" / "registered.json").read_bytes())
    judged = json.loads((folder / "results.json").read_bytes())
    return judged, arms_page({**registered, "command": "mixplan study run x.yaml"}, judged)


def test_the_other_arms_are_judged_before_anything_learned_is_trained(finished):
    judged, text = results(finished / "before")
    assert judged["arms"] == ARMS[:-1]
    assert "plan" not in judged["avoided"]
    assert judged["learned"] is None
    # What a mark on that arm asks is not known yet.
    assert judged["marks"] == []
    assert "**Not finished. Still missing here: 1 of 4 arms.**" in text
    assert "what halves a loss?" not in text


def test_what_is_learned_comes_after_everything_else_and_with_all_seeds(finished):
    found = stages(load_study(finished / "study.yaml"))
    learned = [one for one in found if one.learned]
    assert found[-3:] == learned == [Stage(target, 5, 2, True) for target in TARGETS]
    assert [one.seeds for one in found] == [1, 1, 1, 2, 2, 2, 2, 2, 2]


def test_each_target_is_worked_on_once_more_with_all_seeds(finished):
    assert json.loads((finished / "worked.json").read_bytes()) == [[target, 5, 2, True] for target in TARGETS]
    told = [json.loads((finished / "run" / "arms" / f"{target}-5" / DONE).read_bytes()) for target in TARGETS]
    assert all(set(one["jobs"][arm]) == {"3", "8"} for one in told for arm in ARMS)


def test_a_plan_is_spread_as_one_that_knows_the_other_targets_arms(finished, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(finished / "cache"))
    judged, text = results(finished / "run")
    assert judged["arms"] == ARMS
    assert [mark["quantity"] for mark in judged["marks"]] == [MARK["quantity"]]
    evidence = json.loads((finished / "before" / "evidence.json").read_bytes())
    for target, found in zip(TARGETS, judged["learned"], strict=True):
        others = {name: one for name, one in evidence["compared"].items() if name != target}
        place = finished / "taught" / target
        place.mkdir(parents=True)
        (place / "evidence.json").write_text(json.dumps(evidence | {"compared": others}))
        folder = finished / "run" / "arms" / f"{target}-5"
        values = yaml.safe_load((folder / "recipe.yaml").read_text())
        values["allocate"]["half_rows"] = None
        values["forecast"]["runs"] = [str(place)]
        (place / "recipe.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        make_plan(PlanRequest(place / "recipe.yaml", run=place / "run"), watcher=Silent())
        plan = json.loads((place / "run" / "plan.json").read_bytes())
        own = judged["by_target"][target]["5"]
        assert own["plan_learned"]["rows"] == plan["allocation"]["rows"]
        assert found["text"] in plan["forecast"]["evidence"]
        assert found["said"] is (plan["allocation"]["no_better_than_uniform"] is not None)
        rows = {arm: own[arm]["rows"] for arm in ARMS}
        for arm in ("plan", "uniform"):
            away = sum(abs(rows["plan_learned"][name] - rows[arm][name]) for name in rows[arm]) / 2
            assert found[f"from_{arm}"] == away
        assert f"- {target}: {found['text']}" in text


def test_a_mixture_that_came_out_as_another_arms_shares_its_training(finished):
    told = [json.loads((finished / "run" / "arms" / f"{target}-5" / DONE).read_bytes()) for target in TARGETS]
    for one in told:
        for arm in ARMS[:-1]:
            same = one["rows"][arm] == one["rows"]["plan_learned"]
            assert (one["jobs"][arm] == one["jobs"]["plan_learned"]) is same


def test_the_same_command_again_trains_nothing(finished, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(finished / "cache"))
    before = (finished / "run" / "results.json").read_bytes()
    said = study(finished / "study.yaml", finished / "run").said
    assert not any(text.startswith("starting training") for text in said)
    assert (finished / "run" / "results.json").read_bytes() == before


def test_a_study_without_an_arm_takes_the_trainings_of_one_with_it(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(finished / "cache"))
    path = finished / "without.yaml"
    path.write_text(
        (finished / "study.yaml")
        .read_text()
        .replace("  - plan_learned\n", "")
        .replace("plan/plan_learned", "uniform/plan")
    )
    said = study(path, tmp_path / "run", measured=finished / "run" / TRAVELS).said
    assert not any(text.startswith("starting training") for text in said)
    judged = json.loads((tmp_path / "run" / "results.json").read_bytes())
    first, _ = results(finished / "before")
    assert judged["study"] != first["study"]
    worst = [one["avoided"]["uniform"]["plan"]["bits_per_byte"]["worst"]["both"]["value"] for one in (judged, first)]
    assert judged["arms"] == ARMS[:-1]
    assert worst[0] == pytest.approx(worst[1], abs=1e-5)


def test_a_budget_is_spread_again_by_other_amounts(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(finished / "cache"))
    folder = finished / "run" / "arms" / "sums-5"
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    made = spread_again(folder, Amount(Halving(0.5), "by hand"), Silent())
    values = yaml.safe_load((folder / "recipe.yaml").read_text())
    values["allocate"]["half_rows"] = 0.5
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    make_plan(PlanRequest(tmp_path / "recipe.yaml", run=tmp_path / "run"), watcher=Silent())
    rows = json.loads((tmp_path / "run" / "plan.json").read_bytes())["allocation"]["rows"]
    assert made.rows == rows
    assert rows != json.loads((folder / "plan.json").read_bytes())["allocation"]["rows"]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept


def test_a_process_beside_waits_for_what_plans_learn_from_and_then_takes_its_part(monkeypatch, tmp_path):
    first, second = (Stage(target, 5, 1) for target in ("sums", "doctors"))
    later = [Stage(target, 5, 1, True) for target in ("sums", "doctors")]
    done, held, said = set(), {"doctors"}, []

    @contextmanager
    def taken(folder):
        yield folder.name not in held

    def elsewhere(_):
        """The other process ends with its target."""
        done.add(second)
        held.clear()

    monkeypatch.setattr(arms, "stages", lambda _: [first, second, *later])
    monkeypatch.setattr(arms, "finished", lambda bench, one: one in done)
    monkeypatch.setattr(arms, "taken", taken)
    monkeypatch.setattr(arms, "compared", lambda bench, one, launch: done.add(one))
    monkeypatch.setattr(jobs.time, "sleep", elsewhere)
    bench = SimpleNamespace(study=None, run=tmp_path, watcher=SimpleNamespace(say=said.append))
    arms.compare_together(bench, Launch())
    assert done == {first, second, *later}
    assert said == ["waiting for other processes that measure what plans learn from"]


ROWS = {"none": (0, 0), "uniform": (10, 10), "plan": (16, 4), "plan_learned": (13, 7)}


def made(target: str, half: float, *, learned_saves: float = 0.0):
    """One target whose domains' losses halve by their own rows, and by how much less the learned plan's first has."""
    losses = {
        arm: [lost / (1 + count / half) for lost, count in zip((0.6, 0.2), rows, strict=True)]
        for arm, rows in ROWS.items()
    }
    losses["plan_learned"] = [losses["plan"][0] - learned_saves, losses["plan"][1]]
    after = {arm: [bits([1] * 4, prose=[1 + one] * 6, fox=[1 + two] * 6)] * 2 for arm, (one, two) in losses.items()}
    one = compared(target, bits([5] * 4, prose=[1] * 6, fox=[1] * 6), after)
    rows = {arm: dict(zip(("prose", "fox"), given, strict=True)) for arm, given in ROWS.items()}
    return replace(one, rows=rows, learned=Halved(text=f"{half:g} rows", said=target == "laws"))


def without_learned(one):
    """What is measured before anything learned is."""
    return replace(one, after={arm: found for arm, found in one.after.items() if arm != "plan_learned"},
                   rows={arm: rows for arm, rows in one.rows.items() if arm != "plan_learned"})  # fmt: skip


def test_the_amount_is_the_one_behind_the_other_targets_losses():
    others = {name: {20: without_learned(made(name, 8.0))} for name in ("sums", "poems")}
    found = amount_of(others, usual=100.0)
    assert found.rows.half == pytest.approx(8, rel=1e-3)
    assert "learned from arms of 2 targets" in found.text
    right = amount_of(others, usual=8.0)
    assert right.rows == Halving(8.0)
    assert right.text.startswith("8 rows are taken to halve a domain's loss, because arms of 2 targets teach nothing")


def test_targets_without_a_common_quantity_leave_the_usual_number():
    other = compared("poems", {"prose": {"kl": [0.0]}}, {"none": [{"prose": {"kl": [1.0]}}]})
    found = amount_of({"sums": {20: without_learned(made("sums", 8.0))}, "poems": {20: other}}, usual=20.0)
    assert found == Amount(Halving(20.0), "20 rows are taken to halve a domain's loss: nothing was learned.")


def test_learned_plans_are_held_against_the_plans():
    saves = {"sums": 0.05, "poems": 0.1, "laws": 0.15}
    measured = {name: {20: made(name, 8.0, learned_saves=saved)} for name, saved in saves.items()}
    judged = plain(judge_arms(measured))
    assert set(judged["avoided"]["plan"]) == {"plan_learned"}
    found = judged["avoided"]["plan"]["plan_learned"]["bits_per_byte"]
    # Where the plan's worst domain is spared so much, the other one is the worst.
    assert found["worst"]["20"]["value"] == pytest.approx((0.05 + 0.2 / 3 + 0.2 / 3) / 3)
    assert found["mean"]["20"]["value"] == pytest.approx(0.05)
    one = plain(judge_relearned(measured, "bits_per_byte"))[0]
    assert (one["target"], one["budget"], one["text"], one["said"]) == ("sums", "20", "8 rows", False)
    assert (one["from_plan"], one["from_uniform"]) == (3, 3)
    assert one["mean"]["value"] == pytest.approx(0.025)
