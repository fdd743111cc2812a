"""What the drift is predicted from must be there: a checkpoint, graded answers, a GRPO job that trains an adapter."""

import pytest
from wrong_recipes import BASE, assert_refused, lay_out

from mixplan.errors import RecipeError
from mixplan.recipe import load_recipe

REFUSED = {
    "a checkpoint without its folder": (
        ("budget:", "drift: {from: checkpoint}\nbudget:"),
        "recipe.yaml:17: drift.from: `from: checkpoint` needs `checkpoint`, the folder of a trained model or adapter. "
        "Add it.",
    ),
    "rollouts that nothing grades": (
        ("q, answer: a}", "q, answer: a}\n  grader: none\ndrift: {from: rollouts}"),
        "recipe.yaml:9: drift.from: `from: rollouts` grades the model's own answers, but `target` has the grader none. "
        "Choose one, or set `drift.from` to icl.",
    ),
    "a step that nothing grades": (
        (
            "q, answer: a}",
            "q, answer: a}\n  grader: none\ndrift: {from: reward_step}\ntrain: {method: grpo, lora: {r: 4}, "
            "rewards: {graded: 1.0}}",
        ),
        "recipe.yaml:9: drift.from: `from: reward_step` grades the model's own answers, but `target` has the grader "
        "none. Choose one, or set `drift.from` to icl.",
    ),
    "a step of a job without rewards": (
        ("budget:", "drift: {from: reward_step}\ntrain: {lora: {r: 4}}\nbudget:"),
        "recipe.yaml:17: drift.from: `from: reward_step` follows the rewards of a GRPO job, and `train.method` is sft. "
        "Set `train.method: grpo`, or `drift.from` to icl or checkpoint.",
    ),
    "a step of all weights": (
        ("budget:", "drift: {from: reward_step}\ntrain: {method: grpo}\nbudget:"),
        "recipe.yaml:17: drift.from: `from: reward_step` takes a step of a LoRA adapter, which is what it was judged "
        "for, and without `train.lora` all weights are trained. Add `train.lora`, or set `drift.from` to icl, rollouts "
        "or checkpoint.",
    ),
    "a step from an adapter that begins otherwise": (
        (
            "budget:",
            "drift: {from: reward_step}\ntrain: {method: grpo, lora: {r: 4, init_lora_weights: pissa}}\nbudget:",
        ),
        "recipe.yaml:18: train.lora.init_lora_weights: `drift.from: reward_step` steps from an adapter that changes "
        "nothing at first, which 'pissa' does not promise. Remove it, or set `drift.from` to icl, rollouts or "
        "checkpoint.",
    ),
    "a step from an adapter that runs layers twice": (
        (
            "budget:",
            "drift: {from: reward_step}\ntrain: {method: grpo, lora: {r: 4, layer_replication: [[0, 2]]}}\nbudget:",
        ),
        "recipe.yaml:18: train.lora.layer_replication: `drift.from: reward_step` steps from an adapter that changes "
        "nothing at first, and one that runs layers twice does. Remove it, or set `drift.from` to icl, rollouts or "
        "checkpoint.",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_is_lacking_is_said(mistake, tmp_path, monkeypatch, capsys):
    assert_refused(tmp_path, REFUSED[mistake], monkeypatch, capsys)


@pytest.mark.parametrize("begin", ["", ", init_lora_weights: true", ", init_lora_weights: gaussian"])
def test_a_grpo_job_with_an_adapter_can_be_stepped(tmp_path, monkeypatch, begin):
    lay_out(tmp_path, monkeypatch)
    job = f"drift: {{from: reward_step}}\ntrain: {{method: grpo, lora: {{r: 4{begin}}}}}\nbudget:"
    (tmp_path / "recipe.yaml").write_text(BASE.replace("budget:", job))
    drift = load_recipe(tmp_path / "recipe.yaml").resolved["drift"]
    assert drift["from"] == "reward_step"
    assert "rollouts" in drift
    assert "checkpoint" not in drift


def test_a_step_of_a_model_in_several_places_is_refused(tmp_path, monkeypatch):
    lay_out(tmp_path, monkeypatch)
    job = "drift: {from: reward_step}\ntrain: {method: grpo, lora: {r: 4}}\nbudget:"
    (tmp_path / "recipe.yaml").write_text(BASE.replace("budget:", job))
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "recipe.yaml", ("model.device_map=auto",))
    assert str(caught.value) == (
        "--set model.device_map=auto: model.device_map: `drift.from: reward_step` takes its gradient in float32 on one "
        "device. Leave `device_map` out, or set `drift.from` to rollouts or checkpoint."
    )
