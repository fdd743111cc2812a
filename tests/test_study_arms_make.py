"""A study of arms from end to end on a tiny random model: planned, compared, shared, judged and resumed."""

import json
import math
import shutil
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from small_study import TARGETS, bench, lay, study
from study_pages import arms_page

from mixplan.errors import RunError
from mixplan.forecast import Halving, History, Kind, halving_rows, with_studies
from mixplan.recipe import load_recipe
from mixplan.runs import locked
from mixplan.study import jobs
from mixplan.study.arms import make as arms
from mixplan.study.arms.make import DONE, written
from mixplan.study.arms.measured import TRAVELS
from mixplan.study.arms.stages import Stage, stages
from mixplan.study.asked.spec import load_study
from mixplan.train.launch import Launch

ARMS = {"names": ["none", "uniform", "random", "plan", "oracle"], "budgets": [3, 6]}
MARK = {"text": "Worst.", "quantity": "avoided/uniform/plan/bits_per_byte/worst/both", "at_least": 0, "low_above": 0}


def laid(folder: Path, tiny_model, tiny_sae) -> Path:
    """The small study with arms in the place of what judges forecasts."""
    path = lay(folder, tiny_model, tiny_sae, arms=ARMS, marks=[MARK])
    values = yaml.safe_load(path.read_text())
    for key in ("development", "kinds", "reading", "preview"):
        del values[key]
    values["recipe"]["sts"] = {"demonstrations": 2, "draws": 2, "query_tokens": 60, "resamples": 100}
    values["recipe"]["drift"] |= {"draws": 2, "query_tokens": 60}
    values["recipe"]["allocate"] = {"objective": "diminishing", "half_rows": 2.0}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def arms_study(tmp_path_factory, tiny_model, tiny_sae) -> Path:
    """A folder with a study of arms, run once to its end, and its cache."""
    folder = tmp_path_factory.mktemp("arms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
        study(laid(folder, tiny_model, tiny_sae), folder / "run")
    return folder


def test_every_target_is_planned_and_every_arm_trained(arms_study):
    run = arms_study / "run"
    results = json.loads((run / "results.json").read_bytes())
    assert results["study"] == load_study(arms_study / "study.yaml").hash
    assert (results["targets"], results["budgets"], results["seeds"]) == (list(TARGETS), ["3", "6"], [3])
    assert results["arms"] == ARMS["names"]
    assert results["response"]["quantity"] == "bits_per_byte"
    for target in TARGETS:
        for budget in ARMS["budgets"]:
            folder = run / "arms" / f"{target}-{budget}"
            plan = json.loads((folder / "plan.json").read_bytes())
            assert plan["allocation"]["objective"] == "diminishing"
            own = results["by_target"][target][str(budget)]
            assert own["plan"]["rows"] == plan["allocation"]["rows"]
            assert {sum(own[arm]["rows"].values()) for arm in ARMS["names"]} == {0, budget}
            # The arm none is trained once for each target, and lies beside the comparisons.
            assert not (folder / "arms" / "none-3").exists()
        jobs = [*run.glob(f"arms/{target}-*/training/done.json"), *run.glob(f"arms/{target}-*/*/training/done.json")]
        jobs += run.glob(f"arms/{target}-*/arms/*/training/done.json")
        done = [json.loads(path.read_bytes()) for path in jobs]
        told = [json.loads((run / "arms" / f"{target}-{budget}" / DONE).read_bytes()) for budget in ARMS["budgets"]]
        keys = [key for one in told for by_seed in one["jobs"].values() for key in by_seed.values()]
        assert len(keys) == 2 * len(ARMS["names"])
        # Arms that came out alike share one training, as do both budgets' arms without extra rows.
        assert sorted(job["job"] for job in done) == sorted(set(keys))
        assert len(set(keys)) >= len(ARMS["names"])
        assert {job["steps"] for job in done} == {2}
        assert {job["consumption"]["target"]["planned_rows"] for job in done} == {8}
        assert all(sum(part["rows"] for part in job["consumption"].values()) == 2 * 4 for job in done)


def test_what_each_plan_said_of_an_even_spread_is_judged(arms_study):
    run = arms_study / "run"
    found = json.loads((run / "results.json").read_bytes())["foresight"]["comparisons"]
    assert [(one["target"], one["budget"]) for one in found] == [(t, str(b)) for t in TARGETS for b in ARMS["budgets"]]
    for one in found:
        plan = json.loads((run / "arms" / f"{one['target']}-{one['budget']}" / "plan.json").read_bytes())
        assert one["said"] is (plan["allocation"]["no_better_than_uniform"] is not None)


def test_each_arm_is_judged_by_its_own_evaluation(arms_study):
    run = arms_study / "run" / "arms"
    own = json.loads((arms_study / "run" / "results.json").read_bytes())["by_target"]["doctors"]["6"]
    places = {
        "none": run / "doctors-none" / "none-3",
        "uniform": run / "doctors-6" / "arms" / "uniform-3",
    }

    def bits(path):
        measured = json.loads(path.read_bytes())["domains"]["fox"]["measures"]["likelihood"]
        return sum(measured["values"]["bits_per_byte"]) / len(measured["rows"])

    before = bits(run / "doctors-6" / "evaluation" / "before.json")
    lost = {arm: bits(place / "evaluation" / "after.json") - before for arm, place in places.items()}
    assert {arm: own[arm]["loss"]["bits_per_byte"]["domains"]["fox"] for arm in places} == pytest.approx(lost)
    assert len(set(lost.values())) == len(places)
    # Where the plan's rows came out as the even spread's, both are judged by the one training.
    assert own["plan"]["rows"] == own["uniform"]["rows"]
    assert own["plan"]["loss"] == own["uniform"]["loss"]


def test_later_plans_learn_from_its_arms(arms_study):
    run = arms_study / "run"
    evidence = json.loads((run / "evidence.json").read_bytes())
    results = json.loads((run / "results.json").read_bytes())
    plan = json.loads((run / "arms" / "doctors-6" / "plan.json").read_bytes())
    assert evidence["hashes"] == {name: plan["hashes"][name] for name in ("model", "sae")}
    kind = Kind.of(plan["recipe"], **evidence["hashes"])
    assert evidence["settings"] == kind.settings.values()
    found = halving_rows(None, folder=run, run=arms_study / "later", kind=kind, usual=2.0)
    learned = results["response"]
    ends = (math.inf if learned[name] is None else learned[name] for name in ("half", "shared", "stays"))
    assert found.rows == (Halving(*ends) if learned["helps"] else Halving(2.0))
    assert "arms of 2 targets" in found.text
    even = evidence["against_uniform"]
    assert (even["score"], even["objective"], even["unit"], even["targets"]) == (
        "sts_icl", "diminishing", "bits_per_byte", 2,
    )  # fmt: skip
    assert even["worst"]["value"] == results["avoided"]["uniform"]["plan"]["bits_per_byte"]["worst"]["both"]["value"]
    _, (study,) = with_studies(History(), None, folder=run, run=arms_study / "later", kind=kind)
    assert "there is no evidence that they do better than an even spread" in study.even.sentence()
    own = evidence["compared"]["doctors"]
    assert own["unit"] == "bits_per_byte"
    assert sum(own["rows"]) == 3 * (3 + 6)  # three arms that draw nothing spend each budget
    before = results["by_target"]["doctors"]["3"]["none"]["loss"]["bits_per_byte"]["domains"]
    assert set(own["without"]) <= set(before.values())


def test_the_same_command_again_trains_nothing_and_ends_with_the_same_bytes(arms_study, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(arms_study / "cache"))
    before = (arms_study / "run" / "results.json").read_bytes()
    said = study(arms_study / "study.yaml", arms_study / "run").said
    assert (arms_study / "run" / "results.json").read_bytes() == before
    assert not any(text.startswith("starting training") for text in said)


def test_results_can_be_read(arms_study):
    run = arms_study / "run"
    registered, judged = (json.loads((run / name).read_bytes()) for name in ("registered.json", "results.json"))
    text = arms_page({**registered, "command": "mixplan study run x.yaml"}, judged)
    assert f"`{registered['hash']}`" in text
    assert "**0 of 1 marks were reached.**" in text


def test_a_mark_of_no_figure_is_refused_before_anything_is_trained(tmp_path, tiny_model, tiny_sae):
    path = laid(tmp_path, tiny_model, tiny_sae)
    path.write_text(path.read_text().replace("bits_per_byte/worst", "bits_per_byte/least"))
    with pytest.raises(RunError) as refused:
        study(path, tmp_path / "run")
    assert str(refused.value) == (
        "study mark 'avoided/uniform/plan/bits_per_byte/least/both': there is no 'least' in the judgement. "
        "Known: 'mean', 'worst'."
    )
    assert not list(tmp_path.glob("run/arms/**/job.json"))


def test_budgets_that_all_targets_are_compared_at_are_judged_so_far(arms_study, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(arms_study / "cache"))
    run, path = tmp_path / "run", arms_study / "study.yaml"
    shutil.copytree(arms_study / "run", run)
    whole = json.loads((run / "results.json").read_bytes())
    (run / "arms" / "sums-6" / DONE).unlink()
    (run / "results.json").unlink()
    said = study(path, run, so_far=True).said
    assert not any(text.startswith("starting training") for text in said)
    judged = json.loads((run / "so-far" / "results.json").read_bytes())
    assert judged["budgets"] == ["3"]
    for target in TARGETS:
        assert judged["by_target"][target]["3"] == whole["by_target"][target]["3"]
    assert (run / "so-far" / "evidence.json").exists()
    assert not (run / "results.json").exists()
    registered = json.loads((run / "registered.json").read_bytes())
    text = arms_page({**registered, "command": "mixplan study run x.yaml"}, judged)
    assert "**Not finished. Still missing here: 1 of 2 budgets.**" in text

    (run / "arms" / "doctors-3" / DONE).unlink()
    known = len(list((run / "arms" / "known").iterdir()))
    with pytest.raises(RunError) as refused:
        study(path, run, so_far=True)
    assert str(refused.value) == (
        f"{run}: {known} trainings are measured, but at no budget are all targets' arms with any seed, so there is "
        f"nothing to judge yet. Wait for who works on it, or finish it: `mixplan study run {path} --run {run}`."
    )


def test_nothing_is_judged_so_far_where_nothing_has_begun(tmp_path, tiny_model, tiny_sae):
    path = laid(tmp_path, tiny_model, tiny_sae)
    with pytest.raises(RunError, match=f"{path} has not begun here"):
        study(path, tmp_path / "run", so_far=True)


def test_plans_learn_from_evidence_without_their_own_target(tmp_path, tiny_model, tiny_sae):
    path = laid(tmp_path, tiny_model, tiny_sae)
    values = yaml.safe_load(path.read_text())
    values["arms"]["evidence"] = "kept/evidence.json"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    moved = {"sum": {"scores": {"sts_icl": 1.0, "sts_act": 1.0}, "headline": None, "behaviour": 0.5}}
    known = {"value": 0.9, "low": 0.8, "high": 1.0}
    evidence = {
        "version": 1,
        "title": "Forecasts",
        "settings": {"method": "sft", "features": 10, "drift_demonstrations": 2, "drift_from": "icl",
                     "sts_demonstrations": 2},
        "hashes": {"model": "m", "sae": "s"},
        "seeds": [0],
        "told": {"sts_icl": known},
        "learned": {"sts_icl": known},
        "targets": dict.fromkeys(("sums", "poems", "law"), moved),
    }  # fmt: skip
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "evidence.json").write_text(json.dumps(evidence))
    work = bench(path, tmp_path / "run")
    for target, count in (("sums", 2), ("doctors", 3)):
        recipe = load_recipe(written(work, target, 3))
        kind = Kind.of(recipe.resolved, "m", "s")
        found, (one,) = with_studies(
            History(), recipe.recipe.forecast.runs, folder=recipe.folder(("forecast", "runs")), run=tmp_path, kind=kind
        )
        # Nothing that the own target's changes are in is known: neither they nor what was told over all targets.
        assert len(found.runs) == count
        assert not any("sums" in run.name for run in found.runs if target == "sums")
        assert (one.told, one.learned) == ({}, {})
    # Evidence of another model would leave the plans with scores alone, and results that say otherwise.
    with pytest.raises(RunError) as refused:
        study(path, tmp_path / "run")
    assert str(refused.value) == (
        f"{path}: arms.evidence: nothing in {tmp_path / 'kept' / 'evidence.json'} is of this study's model, SAE, "
        "training method and score settings (method sft, features 10, drift_demonstrations 2, drift_from icl, "
        "sts_demonstrations 2), so plans cannot learn from it. Name other evidence, or read scores as that study did."
    )
    assert not list(tmp_path.glob("run/arms/**/job.json"))
    before = load_study(path).hash
    (tmp_path / "kept" / "evidence.json").write_text(json.dumps(evidence | {"seeds": [0, 1]}))
    assert load_study(path).hash != before


def test_a_further_process_waits_for_the_plans(arms_study, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(arms_study / "cache"))
    run, path = tmp_path / "run", arms_study / "study.yaml"
    shutil.copytree(arms_study / "run", run)
    place = run / "arms" / "sums-6" / "plan.json"
    plan = place.read_bytes()
    place.unlink()
    monkeypatch.setattr(jobs.time, "sleep", lambda _: place.write_bytes(plan))
    assert study(path, run, beside=True).said == [
        f"waiting until `mixplan study run {path} --run {run}` has written down what will be judged"
    ]


def test_processes_share_the_comparisons(arms_study, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(arms_study / "cache"))
    run, path = tmp_path / "run", arms_study / "study.yaml"
    shutil.copytree(arms_study / "run", run)
    judged = (run / "results.json").read_bytes()
    (run / "results.json").unlink()
    for name in ("sums-3", "doctors-3", "doctors-6"):
        (run / "arms" / name / DONE).unlink()
    # A process beside the one that judges takes what is not done and whose target nobody works on.
    other = ExitStack()
    other.enter_context(locked(run / "arms" / "held" / "sums"))
    said = study(path, run, beside=True).said
    assert [text for text in said if text.startswith("target ")] == [
        "target doctors, 3 extra rows, seed 3",
        "target doctors, 6 extra rows, seed 3",
    ]
    assert not (run / "results.json").exists()
    monkeypatch.setattr(jobs.time, "sleep", lambda _: other.close())
    said = study(path, run).said
    assert said.index("waiting for other processes that still work on targets") < said.index(
        "target sums, 3 extra rows, seed 3"
    )
    assert (run / "results.json").read_bytes() == judged


def test_a_target_is_taken_up_when_another_process_has_left_it(monkeypatch, tmp_path):
    order = [Stage(target, budget, 1) for budget in (3, 6) for target in ("sums", "doctors")]
    compared, held = [], ["doctors"]

    @contextmanager
    def taken(folder):
        yield folder.name not in held

    def compare(bench, one, launch):
        compared.append(one)
        if one == order[2]:
            held.clear()

    monkeypatch.setattr(arms, "stages", lambda _: order)
    monkeypatch.setattr(arms, "finished", lambda bench, one: one == order[1])
    monkeypatch.setattr(arms, "taken", taken)
    monkeypatch.setattr(arms, "compared", compare)
    arms.compare_free(SimpleNamespace(study=None, run=tmp_path), Launch())
    assert compared == [order[0], *order[2:]]


def test_every_targets_first_seed_comes_before_a_second_one(tmp_path, tiny_model, tiny_sae):
    path = laid(tmp_path, tiny_model, tiny_sae)
    path.write_text(path.read_text().replace("seeds:\n- 3\n", "seeds: [3, 8]\n"))
    assert stages(load_study(path)) == [
        Stage(target, budget, count) for budget in (3, 6) for count in (1, 2) for target in TARGETS
    ]


@pytest.fixture(scope="module")
def two_seeds(arms_study, tmp_path_factory, tiny_model, tiny_sae) -> Path:
    """A study of arms with two seeds at one budget, stopped when every target had its first seed."""
    folder = tmp_path_factory.mktemp("seeds")
    path = laid(folder, tiny_model, tiny_sae)
    text = path.read_text().replace("seeds:\n- 3\n", "seeds: [3, 8]\n").replace("  - 3\n  - 6\n", "  - 3\n")
    path.write_text(text)
    assert load_study(path).spec.seeds == [3, 8]
    assert load_study(path).spec.arms.budgets == [3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(arms_study / "cache"))
        whole = arms.compared

        def until(bench, one, launch):
            if one.seeds == 2:
                raise KeyboardInterrupt
            return whole(bench, one, launch)

        patch.setattr(arms, "compared", until)
        with pytest.raises(KeyboardInterrupt):
            study(path, folder / "run")
    return folder


def test_the_seeds_that_all_targets_have_are_judged_so_far(two_seeds, arms_study, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(arms_study / "cache"))
    run, path = two_seeds / "run", two_seeds / "study.yaml"
    # Another process may work on the next seed meanwhile.
    with locked(run / "arms" / "sums-3"):
        study(path, run, so_far=True)
    judged = json.loads((run / "so-far" / "results.json").read_bytes())
    assert (judged["seeds"], judged["budgets"]) == ([3], ["3"])
    registered = json.loads((run / "registered.json").read_bytes())
    text = arms_page({**registered, "command": "mixplan study run x.yaml"}, judged)
    assert "**Not finished. Still missing here: 1 of 2 seeds.**" in text
    # The oracle knows what the arm none lost with every seed, from the first one on.
    lines = [json.loads(line) for line in (run / "so-far" / TRAVELS).read_text().splitlines()[1:]]
    assert {(one["arm"], one["seed"]) for one in lines} >= {("none", 3), ("none", 8), ("uniform", 3)}
    assert {one["seed"] for one in lines if one["arm"] != "none"} == {3}


def test_another_run_folder_goes_on_from_what_was_measured(two_seeds, arms_study, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(arms_study / "cache"))
    study(two_seeds / "study.yaml", two_seeds / "run", so_far=True)
    measured = two_seeds / "run" / "so-far" / TRAVELS
    said = study(two_seeds / "study.yaml", tmp_path / "run", measured=measured).said
    before, after = (
        {(one["target"], one["job"]): (one["arm"], one["seed"]) for one in map(json.loads, text.splitlines()[1:])}
        for text in (measured.read_text(), (tmp_path / "run" / TRAVELS).read_text())
    )
    known = len(before)
    assert f"{known} trainings taken over from {measured}" in said
    trained = sum(text.startswith("starting training") for text in said)
    # Of both targets the second seed of what is trained with extra rows is left.
    left = {after[job] for job in after.keys() - before.keys()}
    assert {seed for _, seed in left} == {8}
    assert {arm for arm, _ in left} >= {"plan", "random", "uniform"}
    assert trained == len(after) - known
    judged = json.loads((tmp_path / "run" / "results.json").read_bytes())
    first = json.loads((two_seeds / "run" / "so-far" / "results.json").read_bytes())
    assert judged["seeds"] == [3, 8]
    assert judged["by_target"]["sums"]["3"]["oracle"]["rows"] == first["by_target"]["sums"]["3"]["oracle"]["rows"]
    assert len((tmp_path / "run" / TRAVELS).read_text().splitlines()) == 1 + known + trained

    # All of it known, a third folder trains nothing and finds the same.
    said = study(two_seeds / "study.yaml", tmp_path / "again", measured=tmp_path / "run" / TRAVELS).said
    assert not any(text.startswith("starting training") for text in said)
    again = json.loads((tmp_path / "again" / "results.json").read_bytes())
    kept, found = (values["kept"]["plan"]["both"]["value"] for values in (judged, again))
    assert found == (None if kept is None else pytest.approx(kept, rel=1e-3))
    worst = [
        values["avoided"]["uniform"]["plan"]["bits_per_byte"]["worst"]["both"]["value"] for values in (judged, again)
    ]
    assert worst[1] == pytest.approx(worst[0], abs=1e-5)


def test_what_was_measured_elsewhere_belongs_to_a_study_of_arms(tmp_path, tiny_model, tiny_sae):
    path = lay(tmp_path, tiny_model, tiny_sae)
    with pytest.raises(RunError, match="--measured takes up a study of arms, and this study has no `arms`"):
        study(path, tmp_path / "run", measured=tmp_path / "no.jsonl")
