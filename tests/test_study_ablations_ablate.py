"""A study judged again: each entry against plain loops, and the whole on a tiny model whose cells are made up."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ablated_table import WIDTH, D, T, random_profile, table_of
from as_saved import plain
from scipy.stats import hypergeom, pearsonr, spearmanr
from small_study import SHIPPED_STUDY, bench, lay

from mixplan.errors import RecipeError, RunError, SaeError
from mixplan.runs import content_hash
from mixplan.study.ablations.ablate import ablate, judge_view, predictors
from mixplan.study.ablations.reread import Moved, View, kept_change
from mixplan.study.asked.spec import as_registered, load_study
from mixplan.study.forecasts.formulas import DomainReading, TargetReading
from mixplan.study.jobs import cells_of, write_drift


@pytest.fixture
def made_up():
    targets, domains = tuple(f"t{i}" for i in range(T)), tuple(f"d{i}" for i in range(D))
    table = table_of(targets, domains, (0, 1), missing=[("t1", "d4")])
    view = View(
        {name: random_profile(10 + i, 100 + i) for i, name in enumerate(targets)},
        {name: random_profile(20 + i, 50 + i) for i, name in enumerate(domains)},
        {
            (t, s): Moved(random_profile(100 + 10 * s + i, 1).shift, 30 + i)
            for i, t in enumerate(targets)
            for s in (0, 1)
        },
        dropped=2,
    )
    return table, view


def top(values, count):
    return set(sorted(range(len(values)), key=lambda j: -values[j])[:count])


@pytest.mark.parametrize("count", [1, 7, 25])
def test_overlap_capture_and_concentration_by_plain_loops(made_up, count):
    table, view = made_up
    found = plain(judge_view(table, view, count))
    shared, captured, held = [], [], []
    for t in table.targets:
        cells = []
        for s in table.seeds:
            moved = view.moved[t, s].shift
            predicted, actual = top(view.targets[t].shift, count), top(moved, count)
            parts = (sum(moved[list(chosen)]) / sum(moved) for chosen in (predicted, actual))
            cells.append((len(predicted & actual) / count, *parts))
        for column, value in zip((shared, captured, held), np.mean(cells, axis=0), strict=True):
            column.append(value)
    assert (found["features"], found["dropped"]) == (count, 2)
    for name, column in (("overlap", shared), ("captured", captured), ("concentration", held)):
        half = 4.302653 * np.std(column, ddof=1) / np.sqrt(T)
        assert found[name]["value"] == pytest.approx(np.mean(column))
        assert found[name]["low"] == pytest.approx(np.mean(column) - half, abs=1e-6)
        assert found[name]["targets"] == T
    assert found["overlap"]["by_target"] == pytest.approx(dict(zip(table.targets, shared, strict=True)))
    assert found["overlap"]["live"] == 30
    assert found["overlap"]["chance"] == pytest.approx(count / 30)
    assert found["overlap"]["chance_high"] == pytest.approx(hypergeom.ppf(0.975, 30, count, count) / count)
    assert found["captured"]["value"] <= found["concentration"]["value"]


def test_more_features_than_live_ones_are_all_of_them_by_chance(made_up):
    found = plain(judge_view(*made_up, WIDTH))
    assert found["overlap"]["value"] == found["overlap"]["chance"] == found["overlap"]["chance_high"] == 1
    assert found["captured"]["value"] == pytest.approx(1)


def test_correlations_by_plain_loops(made_up):
    table, view = made_up
    size = table.measures["kl"].mean(2)
    found = plain(judge_view(table, view, 5))["correlations"]
    assert {name: len(found[name]["pearson"]) for name in found} == {"all": 2, "development": 2, "held_out": 2}
    for name, among in (("all", table.targets), ("development", ("t0",)), ("held_out", ("t1", "t2"))):
        for score, part in (("sts_icl", "shift"), ("sts_act", "act")):
            pearsons, spearmans = [], []
            for t in among:
                chosen = list(top(view.targets[t].shift, 5))
                known = [d for d in table.domains if (t, d) != ("t1", "d4")]
                x = [getattr(view.domains[d], part)[chosen].sum() / view.domains[d].tokens for d in known]
                y = [size[table.targets.index(t), table.domains.index(d)] for d in known]
                pearsons.append(pearsonr(x, y)[0])
                spearmans.append(spearmanr(x, y)[0])
            assert found[name]["pearson"][score]["value"] == pytest.approx(np.mean(pearsons))
            assert found[name]["spearman"][score]["value"] == pytest.approx(np.mean(spearmans))
    assert found["all"]["pearson"]["sts_icl"]["low"] < found["all"]["pearson"]["sts_icl"]["value"]
    assert np.isnan(predictors(table, view, 5)["sts_act"][1, 4])


@pytest.fixture
def finished(tmp_path, tiny_model, tiny_sae, build_model):
    """A study whose cells hold models that were never trained, just others."""
    wide = {"path": "wide"}
    ablations = {"features": [5, 10, 1000], "demonstrations": [1, 2], "tokens": [0.5, 1], "saes": {"wide": wide}}
    place = lay(tmp_path, tiny_model, tiny_sae, ablations=ablations)
    tiny_sae("topk", 32, 128, "blocks.1.hook_resid_post", tmp_path / "wide", seed=4)
    ours = bench(place, tmp_path / "run")
    cells = cells_of(ours.study, ours.run)
    for number, cell in enumerate(cells):
        build_model("llama", cell.folder / "model", seed=number + 1)
        write_drift(ours, ours.taught(cell.target), loaded_from(cell), cell)
    missing = [("sums", "sum")]
    table = table_of(tuple(ours.study.spec.targets), ours.study.domains, tuple(ours.study.spec.seeds), missing)

    def own(domain, tokens):
        return ours.profile(ours.reading(domain, domain, tokens=tokens).units)

    targets = {
        name: TargetReading(*[own(ours.taught(name).target, 90)] * 3, Counter()) for name in ours.study.spec.targets
    }
    domains = {
        name: DomainReading(own(domain, 60), *[{}] * 6, Counter(), 3, 0.5) for name, domain in ours.domains.items()
    }
    return ours, cells, table, targets, domains


def loaded_from(cell):
    from evaluated import loaded

    return loaded(cell.folder / "model")


def test_every_entry_is_the_study_with_one_setting_changed(finished):
    _, cells, table, targets, domains = finished
    steps = [json.loads(json.dumps(found.values(), allow_nan=False)) for found in ablate(*finished)]
    # What takes long does not hold back what is known before it.
    lists = [[len(found[name]) for name in ("demonstrations", "tokens", "saes")] for found in steps]
    assert lists == [[0, 0, 1], [1, 0, 1], [2, 0, 1], [2, 1, 1], [2, 2, 1], [2, 2, 2]]
    found = steps[-1]
    assert found["quantity"] == "kl"
    assert found["seeds"] == list(table.seeds)
    assert found["kept"] == {"features": 10, "demonstrations": 2, "target_tokens": 90, "query_tokens": 60}
    own = View(
        {name: one.own for name, one in targets.items()},
        {name: one.own for name, one in domains.items()},
        {(cell.target, cell.seed): kept_change(cell) for cell in cells},
    )
    assert [entry["features"] for entry in found["features"]] == [5, 10]  # the SAE has 96
    assert found["features"] == [plain(judge_view(table, own, n)) for n in (5, 10)]
    same = found["features"][1]
    one, two = found["demonstrations"]
    assert two == {"demonstrations": 2} | same
    assert one["correlations"] != two["correlations"]
    half, whole = found["tokens"]
    assert whole == {"tokens": 1.0} | same
    assert half["correlations"] != whole["correlations"]
    assert (half["features"], one["features"]) == (10, 10)
    study, wide = found["saes"]
    fired = sum(one.fired.sum() for one in own.targets.values()) / 180
    assert study == {"sae": None, "hook_name": "blocks.2.hook_resid_post", "d_sae": 96, "active": fired} | same
    assert (wide["sae"], wide["hook_name"], wide["d_sae"]) == ("wide", "blocks.1.hook_resid_post", 128)
    assert wide["active"] == pytest.approx(8, abs=0.5)  # a topk SAE of 8
    assert wide["concentration"] != study["concentration"]
    assert set(found["concentration"]) == {"sums-3", "doctors-3"}
    for cell in cells:
        shift, curve = kept_change(cell).shift, found["concentration"][f"{cell.target}-{cell.seed}"]
        assert [number for number, _ in curve] == [1, 2, 5, 10, 20, 50, 96]
        for number, share in curve:
            assert share == pytest.approx(np.sort(shift)[::-1][:number].sum() / shift.sum())


def test_fewer_demonstrations_and_tokens_are_really_read(finished):
    ours = finished[0]
    from mixplan.study.ablations.reread import again, planned

    target = ours.taught("sums").target
    assert {len(unit.demonstrations) for unit in planned(ours, target, tokens=90, shots=1)} == {1}
    assert planned(ours, target, tokens=90) == ours.reading(target, target, tokens=90).units
    view = again(ours, {}, share=0.5)
    assert {profile.tokens for profile in view.targets.values()} == {45}
    assert {profile.tokens for profile in view.domains.values()} == {30}


def test_another_sae_reads_what_the_trained_models_changed(finished):
    from mixplan.features.profile import measure_profile
    from mixplan.features.queries import without_demonstrations
    from mixplan.recipe import SaeSpec
    from mixplan.sae import load_sae
    from mixplan.study.ablations.reread import changes_through, planned

    ours, cells, *_ = finished
    sae = load_sae(SaeSpec(path="wide"), ours.model, folder=ours.study.path.parent)
    found = changes_through(ours, cells, {"wide": sae, "own": ours.sae})
    for cell in cells:
        units = planned(ours, ours.taught(cell.target).target, tokens=90)
        trained = loaded_from(cell)
        parts = [measure_profile(ours.model, sae, without_demonstrations(u), trained=trained) for u in units]
        expected = sum(part.shift for part in parts) / 90
        np.testing.assert_allclose(found["wide"][cell.target, cell.seed].shift, expected)
        own = found["own"][cell.target, cell.seed]
        np.testing.assert_allclose(own.shift, kept_change(cell).shift)
        assert own.live == kept_change(cell).live


def test_an_sae_that_is_not_there_and_a_study_without_behaviour(finished, tmp_path):
    ours, cells, table, targets, domains = finished
    (tmp_path / "wide" / "cfg.json").unlink()
    with pytest.raises(SaeError) as caught:
        list(ablate(*finished))
    assert str(caught.value).startswith(f"{tmp_path / 'wide'}: no SAE here: cfg.json is missing.")
    without = replace(table, measures={"correct": table.measures["kl"]}, noise={"correct": table.noise["kl"]})
    with pytest.raises(RunError) as caught:
        list(ablate(ours, cells, without, targets, domains))
    assert str(caught.value) == (
        f"{tmp_path / 'study.yaml'}: ablations are judged by the change of `behaviour`, which this study did not "
        "measure. Add it to `recipe.evaluate.also`."
    )


def test_a_study_is_registered_as_before_with_ablations_and_without(tmp_path, tiny_model, tiny_sae):
    plain = load_study(lay(tmp_path, tiny_model, tiny_sae))
    assert plain.spec.ablations is None
    for ablations in ({}, {"features": [5]}, {"saes": {"wide": {"path": "wide"}}}):
        assert load_study(lay(tmp_path, tiny_model, tiny_sae, ablations=ablations)).hash == plain.hash
    # What a study was registered as before there were any: over the keys that there were.
    keys = ("title", "questions", "recipe", "targets", "development", "kinds", "seeds", "reading", "preview", "marks")
    for study in (plain, load_study(SHIPPED_STUDY)):
        dumped = study.spec.model_dump(mode="json")
        assert set(dumped) - set(keys) == {"ablations", "arms"}
        for rewarded_only in ("rollouts", "pilot_steps"):
            dumped["reading"].pop(rewarded_only)
        values = {key: dumped[key] for key in keys}
        recipes = {name: loaded.resolved for name, loaded in study.recipes.items()}
        assert study.hash == content_hash(as_registered(values), as_registered(recipes))


def test_what_is_wrong_with_ablations_is_told_with_its_line(tmp_path, tiny_model, tiny_sae):
    saes = {
        "none": {},
        "two": {"path": "a", "embedded": True},
        "unnamed": {"release": "gemma-scope-9b-it-res"},
        "named": {"path": "a", "id": "b"},
        "fine": {"repo": "a/b", "id": "c"},
    }
    place = lay(tmp_path, tiny_model, tiny_sae, ablations={"saes": saes})
    lines = {line.strip(): n for n, line in enumerate(place.read_text().splitlines(), 1)}
    with pytest.raises(RecipeError) as caught:
        load_study(place)
    told = [line.split(": ", 1)[1] for line in str(caught.value).splitlines()]
    assert told == [
        "ablations.saes.none: expected exactly one of release, repo, path, embedded, found none.",
        "ablations.saes.two: expected exactly one of release, repo, path, embedded, found path and embedded.",
        "ablations.saes.unnamed: name one of its SAEs with `id`.",
        "ablations.saes.named: only a release or repo has an `id`.",
    ]
    assert f":{lines['none: {}']}: " in str(caught.value).splitlines()[0]
    lay(tmp_path, tiny_model, tiny_sae, ablations={"feature": [1], "tokens": [2], "demonstrations": [0]})
    with pytest.raises(RecipeError) as caught:
        load_study(place)
    told = {line.split(": ", 1)[1] for line in str(caught.value).splitlines()}
    assert told == {
        "ablations.feature: unknown key. Did you mean 'features'?",
        "ablations.tokens.0: found the number 2, expected a number above 0 and up to 1.",
        "ablations.demonstrations.0: found the number 0, expected a whole number of at least 1.",
    }
