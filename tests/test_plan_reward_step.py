"""A plan finds its drift by one step along the reward's gradient, as plain passes do, and keeps what that takes."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from as_saved import plain, typed
from dense_features import dense_queries
from peft import get_peft_model
from small_adapter import save_adapter
from small_plan import Silent, plan, recipe  # noqa: F401 - a fixture is used by its name
from started_commands import plan_by_processes

from mixplan.domains.cached_domains import opened
from mixplan.drift.rollouts import taught
from mixplan.errors import DriftError, MixplanError, ModelError
from mixplan.model import load_model, load_trained
from mixplan.model.adapted import adapter_config
from mixplan.model.fresh_adapter import FreshAdapter, sharing_weights
from mixplan.outcome.actual_drift import actual_drift, largest
from mixplan.plan import reward_step as module
from mixplan.plan.drift_source import drift_reading, sampled, sampler_of
from mixplan.plan.reward_step import STEP, in_float32, stepped
from mixplan.plan.scores import plan_readings, reading_depth
from mixplan.reading.identity import drift_inputs, learning_rate, scores_key
from mixplan.reading.workers import Workers
from mixplan.recipe import load_recipe
from mixplan.runs import cache_folder
from mixplan.saved import Plan

RATE = 3e-3
JOB = ("train.method=grpo", "train.rewards={format: 1.0}", "train.answer_format='[aeiou]'",
       "train.lora={r: 4, target_modules: all-linear}", f"train.args={{learning_rate: {RATE}}}",
       "drift.rollouts.answer_tokens=4", "drift.rollouts.samples=6")  # fmt: skip
"""A random model's short answers hold a vowel now and then."""
STEPPED = ("drift.from=reward_step", *JOB)
ALONE = Workers(0, 1)


@dataclasses.dataclass(frozen=True)
class World:
    """What a step is taken with."""

    loaded: object
    model: object
    target: object
    rollouts: list
    prompts: list

    def step(self, workers=ALONE, watcher=None):
        return stepped(
            self.loaded, self.model, self.rollouts, self.prompts, watcher=watcher or Silent(), workers=workers
        )


def world(path: Path, *overrides: str) -> World:
    loaded = load_recipe(path, (*STEPPED, *overrides))
    target, _ = opened(loaded)
    model = load_model(loaded.recipe.model)
    sampler = sampler_of(loaded, model, target)
    found = taught([one for batch in sampled(sampler, Silent(), ALONE) for one in batch.rollouts])
    return World(loaded, model, target, found, [sampler.ids(one.row) for one in found])


def kept(pattern: str) -> list[Path]:
    return sorted((cache_folder() / "reward_steps").glob(f"*/{pattern}"))


def adapter_of(model) -> dict:
    return {name: value for name, value in model.lm.named_parameters() if "lora_" in name}


def plain_step(one: World, *, sign: float = 1.0, averaged: bool = False):
    """The stepped model by autograd over plain passes of each answer, one by one; or of its mean over its tokens."""
    lm = sharing_weights(one.model.lm)
    torch.manual_seed(one.loaded.recipe.seed)
    wrapped = get_peft_model(lm, adapter_config(one.loaded.recipe.train.lora, lm)).eval()
    for rollout, prompt in zip(one.rollouts, one.prompts, strict=True):
        for answer, advantage in zip(rollout.ids, rollout.advantages, strict=True):
            logits = wrapped(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
            logs = logits.log_softmax(-1)[torch.arange(len(answer)), list(answer)]
            (advantage * (logs.mean() if averaged else logs.sum())).backward()
    with torch.no_grad():
        for value in wrapped.parameters():
            if value.requires_grad and value.grad is not None:
                value += sign * 10 * RATE * value.grad.sign()
    return dataclasses.replace(one.model, lm=wrapped.get_base_model())


def test_a_plan_reads_what_a_plain_step_moves(recipe, tmp_path):
    made, watcher = plan(recipe, tmp_path / "run", *STEPPED)
    one = world(recipe)
    trained = plain_step(one)
    (before, _), (after, _) = (dense_queries(side, one.target, tmp_path / "sae", 120) for side in (one.model, trained))
    shift = np.square((after - before).astype(np.float64)).mean(0)
    order = np.argsort(-shift, kind="stable")
    assert shift[order[9]] > 1.001 * shift[order[10]], "too close a race for float32"
    assert [entry[0] for entry in made["drift"]["features"]] == order[:10].tolist()
    np.testing.assert_allclose([entry[1] for entry in made["drift"]["features"]], shift[order[:10]], rtol=1e-2)
    assert made["drift"]["from"] == "reward_step"
    assert made["drift"]["reward_step"] == {
        "learning_rate": RATE, "learning_rates": 10, "adapter": "LoRA r 4 alpha 8 on all-linear",
        "answers": sum(int(np.count_nonzero(rollout.advantages)) for rollout in one.rollouts),
        "hash": one.step()[0].weights,
    }  # fmt: skip
    assert made["drift"]["rollouts"]["kept"] == len(one.rollouts) > 1
    assert ("taking a step along the reward's gradient", 6 * len(one.rollouts), "answers") in watcher.stages
    assert made["reading"]["target"]["query_tokens"] == 120
    icl, _ = plan(recipe, tmp_path / "icl", *JOB)
    assert icl["drift"]["features"] != made["drift"]["features"]
    assert "reward_step" not in icl["drift"]
    assert icl["reading"]["fox"] == made["reading"]["fox"]


def test_the_step_has_the_studys_size(recipe):
    one = world(recipe)
    fresh = FreshAdapter(one.model, one.loaded.recipe.train.lora, seed=one.loaded.recipe.seed)
    model, told = one.step()
    plain = adapter_of(plain_step(one))
    assert (STEP, told.learning_rate) == (10, RATE)
    for name, value in adapter_of(model).items():
        moved = value - fresh.parameters[f"base_model.model.{name}"]
        if "lora_A" in name:
            assert not moved.any()
        else:
            assert torch.allclose(moved.abs()[moved != 0], torch.tensor(10 * RATE))
            assert (value - plain[name] == 0).float().mean() > 0.98, name  # but for signs of what is rounding alone


def test_the_step_follows_the_jobs_loss(recipe):
    one = world(recipe, f"train.args={{learning_rate: {RATE}, loss_type: grpo}}")
    shorter = [dataclasses.replace(rollout, ids=tuple(ids[: 1 + place % 4] for place, ids in enumerate(rollout.ids)))
               for rollout in one.rollouts]  # fmt: skip
    by_tokens = dataclasses.replace(one, rollouts=shorter)
    found, plain = adapter_of(by_tokens.step()[0]), adapter_of(plain_step(by_tokens, averaged=True))
    summed = adapter_of(dataclasses.replace(by_tokens, loaded=world(recipe).loaded).step()[0])
    moved = [name for name in found if "lora_B" in name]
    assert all((found[name] == plain[name]).float().mean() > 0.98 for name in moved)
    assert any((found[name] == summed[name]).float().mean() < 0.98 for name in moved)


def test_answers_that_the_job_leaves_out_have_no_gradient(recipe):
    one = world(recipe, f"train.args={{learning_rate: {RATE}, mask_truncated_completions: true}}")
    cut = [dataclasses.replace(rollout, ids=tuple((5, 6, 7, 8 + place) for place in range(len(rollout.ids))))
           for rollout in one.rollouts]  # fmt: skip
    with pytest.raises(DriftError, match=r"or all were cut at `drift.rollouts.answer_tokens` and `train.args.mask"):
        dataclasses.replace(one, rollouts=cut).step()
    ended = [dataclasses.replace(rollout, ids=(*rollout.ids[:-2], (5, 2), (6, 2)), rewards=(0.0,) * 4 + (0.0, 1.0))
             for rollout in cut]  # fmt: skip
    assert dataclasses.replace(one, rollouts=ended).step()[1].answers == 2 * len(ended)


def test_rewards_turned_round_turn_the_step(recipe):
    one = world(recipe)
    turned = [dataclasses.replace(rollout, rewards=tuple(-reward for reward in rollout.rewards))
              for rollout in one.rollouts]  # fmt: skip
    up, down = (adapter_of(each.step()[0]) for each in (one, dataclasses.replace(one, rollouts=turned)))
    for name, value in up.items():
        if "lora_B" in name:
            assert value.any()
            assert torch.equal(value, -down[name])


def test_what_was_made_is_read_again(recipe, tmp_path, monkeypatch):
    first, _ = plan(recipe, tmp_path / "one", *STEPPED)
    assert len(kept("*")) == 1  # the parts are gone
    shutil.rmtree(cache_folder() / "scores")
    monkeypatch.setattr("mixplan.drift.rollouts.generate", None)
    monkeypatch.setattr(FreshAdapter, "gradient", None)
    monkeypatch.setattr("mixplan.reading.units.measure_unit", None)
    again, watcher = plan(recipe, tmp_path / "two", *STEPPED)
    assert again["drift"] == first["drift"]
    assert again["domains"] == first["domains"]
    assert not any(name.startswith("taking a step") for name, *_ in watcher.stages)


def test_the_same_step_by_a_larger_scale_is_read_anew(recipe, tmp_path):
    """The sign of the gradient is that of any `lora_alpha`, so that the adapter's values are those of another."""
    first, _ = plan(recipe, tmp_path / "one", *STEPPED)
    wide = ("train.lora={r: 4, lora_alpha: 32, target_modules: all-linear}",)
    second, _ = plan(recipe, tmp_path / "two", *STEPPED, *wide)
    steps = [place.read_bytes() for place in kept("*.safetensors")]
    assert len(steps) == 2
    assert first["drift"]["reward_step"]["hash"] != second["drift"]["reward_step"]["hash"]
    shutil.rmtree(cache_folder())
    alone, _ = plan(recipe, tmp_path / "alone", *STEPPED, *wide)
    assert second["drift"] == alone["drift"]
    assert second["drift"]["features"][0][1] > 4 * first["drift"]["features"][0][1]


def test_a_damaged_step_is_set_aside_and_taken_again(recipe):
    one = world(recipe)
    model, _ = one.step()
    (place,) = kept("*.safetensors")
    data = place.read_bytes()
    place.write_bytes(data[:-1])
    assert one.step()[0].weights == model.weights
    assert place.read_bytes() == data
    assert len(kept("*")) == 2


def test_a_step_that_was_stopped_goes_on_where_it_was(recipe, monkeypatch):
    monkeypatch.setattr(module, "PART_PROMPTS", 1)
    one, gradient, taken = world(recipe), FreshAdapter.gradient, []

    def stopped(self, groups, **further):
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(groups)
        return gradient(self, groups, **further)

    monkeypatch.setattr(FreshAdapter, "gradient", stopped)
    with pytest.raises(KeyboardInterrupt):
        one.step()
    parts = kept("*.part.safetensors")
    assert len(parts) == 2
    parts[0].write_bytes(parts[0].read_bytes()[:-1])
    count = []

    def counted(self, groups, **further):
        count.append(groups)
        return gradient(self, groups, **further)

    monkeypatch.setattr(FreshAdapter, "gradient", counted)
    resumed = one.step()[0]
    assert len(count) == len(one.rollouts) - 1
    shutil.rmtree(cache_folder() / "reward_steps")
    assert one.step()[0].weights == resumed.weights


def test_two_processes_give_the_bytes_of_one(recipe, tmp_path, monkeypatch):
    value = yaml.safe_load(recipe.read_text())
    value["target"]["split"]["demonstration"] = 12
    value["drift"] |= {"from": "reward_step", "rollouts": {"answer_tokens": 4, "samples": 6}}
    value["train"] = {"method": "grpo", "rewards": {"format": 1.0}, "answer_format": "[aeiou]",
                      "args": {"learning_rate": RATE}, "lora": {"r": 4, "target_modules": "all-linear"}}  # fmt: skip
    recipe.write_text(yaml.safe_dump(value, sort_keys=False))
    made = {}
    for count in (1, 2):
        monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / f"cache{count}"))
        run = tmp_path / f"run{count}"
        plan(recipe, run) if count == 1 else plan_by_processes(count, recipe, run)
        (place,) = kept("*")
        made[count] = (place.name, place.read_bytes(), json.loads((run / "plan.json").read_text()))
    assert made[1][:2] == made[2][:2]
    assert made[1][2]["drift"] == made[2][2]["drift"]
    assert made[1][2]["drift"]["rollouts"]["kept"] > module.PART_PROMPTS, "one part alone is taken by one process"


def test_a_process_that_does_not_see_the_others_parts_says_so(recipe, monkeypatch):
    monkeypatch.setattr(module, "PART_PROMPTS", 1)

    class Lost(Workers):
        def agreed(self, make):
            return make()

        def wait(self):
            pass

    with pytest.raises(MixplanError) as caught:
        world(recipe).step(Lost(1, 2))
    assert str(caught.value) == (
        f"{cache_folder() / 'reward_steps'}: another process's part of the gradient did not arrive. "
        "All processes must share one cache folder: set MIXPLAN_CACHE to a shared one."
    )


def test_a_plan_whose_parts_another_let_go_of_takes_its_step(recipe, monkeypatch):
    first, second = world(recipe), world(recipe)
    take, made = module.Gradient.take, []

    def overtaken(gradient, watcher, workers):
        take(gradient, watcher, workers)
        monkeypatch.setattr(module.Gradient, "take", take)
        made.append(first.step()[0].weights)

    monkeypatch.setattr(module.Gradient, "take", overtaken)
    assert second.step()[0].weights == made[0]
    assert len(kept("*")) == 1


def test_answers_that_are_rewarded_alike_end_the_plan(recipe, tmp_path):
    with pytest.raises(DriftError) as caught:
        plan(recipe, tmp_path / "run", *STEPPED, "train.answer_format='no such text'")
    assert str(caught.value) == (
        "drift.from is reward_step, but of 6 target questions 0 have answers that are rewarded differently (all "
        "answers rewarded alike: 6 at 0). Raise `drift.rollouts.samples` (now 6) or `drift.rollouts.temperature` "
        "(now 1), sample more questions with `drift.rollouts.prompts` and `target.split.demonstration`, or set "
        "`drift.from: icl`."
    )


def test_equal_answers_with_other_rewards_have_no_gradient(recipe):
    one = world(recipe)
    same = [dataclasses.replace(one.rollouts[0], rewards=(0.0, 1.0), ids=((5, 6), (5, 6)), answers=("a", "a"))]
    with pytest.raises(DriftError, match="the sampled answers' gradient is 0 in every value of the adapter"):
        dataclasses.replace(one, rollouts=same, prompts=one.prompts[:1]).step()


def test_a_plan_in_bfloat16_steps_and_reads_in_float32(recipe):
    one = world(recipe)
    loaded = load_recipe(recipe, (*STEPPED, "model.dtype=bfloat16"))
    short = load_model(loaded.recipe.model)
    assert in_float32(loaded, one.model, Silent()) is one.model
    watcher = Silent()
    whole = in_float32(loaded, short, watcher)
    assert whole.fingerprint == one.model.fingerprint
    assert [
        text.endswith("once more, in float32, for a step along the reward's gradient") for text in watcher.said
    ] == [True]
    assert dataclasses.replace(one, loaded=loaded, model=whole).step()[0].weights == one.step()[0].weights
    reading = plan_readings(loaded.recipe, short, one.target, {})["target"]
    told = drift_reading(loaded, short, one.target, reading, watcher=Silent(), workers=ALONE)
    assert (told.untrained.dtype, told.trained.dtype) == ("float32", "float32")
    assert all(query.context == query.alone for unit in told.reading.units for query in unit.queries)
    assert told.reading.tokens == reading.tokens
    assert (told.without_models().trained, told.without_models().untrained) == (None, None)


def test_the_whole_model_is_loaded(recipe):
    for way, whole in (("icl", False), ("reward_step", True), ("rollouts", True)):
        loaded = load_recipe(recipe, (*JOB, f"drift.from={way}"))
        depth = reading_depth(loaded, loaded.recipe.model.sae_spec)
        assert (depth is None) is whole


def test_short_memory_is_said_with_a_remedy_that_holds_one_model(recipe, monkeypatch):
    loaded = load_recipe(recipe, (*STEPPED, "model.dtype=bfloat16"))
    model = load_model(loaded.recipe.model)

    def refuse(*_, **__):
        raise ModelError("set model.dtype: bfloat16") from RuntimeError("CUDA out of memory.")

    monkeypatch.setattr(module, "load_model", refuse)
    with pytest.raises(DriftError) as caught:
        in_float32(loaded, model, Silent())
    assert str(caught.value).endswith(
        "in float32 beside the plan's own in bfloat16, and both do not fit the memory of its device. Set `model.dtype: "
        "float32`, which holds one alone, or `drift.from` to icl, rollouts or checkpoint."
    )


def test_the_outcome_reads_the_target_again_as_the_plan_did(recipe, tiny_model, tmp_path):
    save_adapter(tiny_model, tmp_path / "model", scale=0.05)
    made, _ = plan(recipe, tmp_path / "run", *STEPPED)
    one = world(recipe)
    trained, watcher = load_trained(one.loaded.recipe.model, tmp_path / "model"), Silent()
    found = plain(actual_drift(one.loaded, one.model, trained, one.target, typed(Plan, made), watcher=watcher))
    assert ("reading the target through one step along the reward's gradient", 120, "tokens") in watcher.stages
    assert not any(name.startswith("taking a step") for name, *_ in watcher.stages)
    (before, _), (after, _) = (dense_queries(side, one.target, tmp_path / "sae", 120) for side in (one.model, trained))
    moved = largest(np.square((after - before).astype(np.float64)).sum(0), 10)
    predicted = [entry[0] for entry in made["drift"]["features"]]
    assert found["overlap"] == len(set(moved.tolist()) & set(predicted))
    ranks = [entry["predicted_rank"] for entry in found["unexpected"]]
    assert all(rank is None or rank > 10 for rank in ranks)


def test_scores_depend_on_the_adapter_and_the_learning_rate_and_only_here(recipe):
    def key(*overrides):
        loaded = load_recipe(recipe, overrides)
        return scores_key(loaded, *opened(loaded))

    other = ("train.args={learning_rate: 1.0e-4}",)
    narrow = ("train.lora={r: 2, target_modules: all-linear}",)
    by_tokens = (f"train.args={{learning_rate: {RATE}, loss_type: grpo}}",)
    assert len({key(*STEPPED), key(*STEPPED, *other), key(*STEPPED, *narrow), key(*STEPPED, *by_tokens)}) == 4
    same = (f"train.args={{learning_rate: {RATE}, loss_type: dapo, scale_rewards: group}}",)
    assert key(*STEPPED) == key(*STEPPED, *same)
    for way in ("icl", "rollouts"):
        base = (*JOB, f"drift.from={way}")
        assert key(*base) == key(*base, *other) == key(*base, *narrow) == key(*base, *by_tokens)
    loaded = load_recipe(recipe, (*JOB, "drift.from=rollouts"))
    assert len(drift_inputs(loaded, opened(loaded)[0])) == 5  # as ever


def test_the_learning_rate_is_the_jobs_or_trls_own(recipe):
    from trl import GRPOConfig

    default = next(field.default for field in dataclasses.fields(GRPOConfig) if field.name == "learning_rate")
    assert learning_rate(load_recipe(recipe, STEPPED)) == RATE
    assert learning_rate(load_recipe(recipe, (*STEPPED, "train.args={}"))) == default
    with pytest.raises(DriftError, match=r"not a number above 0. Set `train.args.learning_rate`, such as 1.0e-5"):
        learning_rate(load_recipe(recipe, (*STEPPED, "train.args={learning_rate: 0.0}")))
