"""What a lever beside rows asks of the job is refused before anything is read, with what mends it."""

import pytest
from wrong_recipes import BASE, assert_refused

from mixplan.recipe import load_recipe
from mixplan.recipe.arguments import arguments
from mixplan.recipe.levers import UNFIT
from mixplan.recipe.rules import CONFIG_CLASSES

OWN = "mixture: {target_answers: own_voice}\n"
REFUSED = {
    "own voice in GRPO": (
        ("budget:", f"{OWN}train: {{method: grpo}}\nbudget:"),
        "recipe.yaml:17: mixture.target_answers: found 'own_voice', but `train.method` is grpo, whose rows carry no "
        "answers: GRPO rewards the model's own attempts. Leave the key out, or set `train.method: sft`.",
    ),
    "own voice without a grader": (
        ("target:\n", f"{OWN}target:\n  grader: none\n"),
        "recipe.yaml:4: mixture.target_answers: found 'own_voice', which takes an answer in other words only where a "
        "grader accepts it, but `target` has the grader none. Set `target.grader` to choice, exact, number, math or "
        "generator, or leave `target_answers` out.",
    ),
    "KL on replay in GRPO": (
        ("budget:", "train: {method: grpo, replay_kl: {}}\nbudget:"),
        "recipe.yaml:17: train.replay_kl: it is a term of SFT's loss, and `train.method` is grpo, which has one of its "
        "own. Set `train.args.beta`, the weight of its KL from the untrained model, and leave this key out.",
    ),
    "KL on replay of packed rows": (
        ("budget:", "train: {args: {packing: true}, replay_kl: {weight: 0.5}}\nbudget:"),
        "recipe.yaml:17: train.replay_kl: `train.args.packing` puts rows of the target and of domains into one. Leave "
        "one of the two out.",
    ),
    "KL on replay beside biases": (
        ("budget:", "train: {lora: {r: 4, bias: all}, replay_kl: {weight: 0.5}}\nbudget:"),
        "recipe.yaml:17: train.replay_kl: `train.lora.bias: all` trains biases of the model itself, so that without "
        "its adapter it is not the untrained one. Leave one of the two out.",
    ),
    "KL on replay beside an adapter that changes the model": (
        ("budget:", "train: {lora: {r: 4, init_lora_weights: pissa}, replay_kl: {weight: 0.5}}\nbudget:"),
        "recipe.yaml:17: train.replay_kl: `train.lora.init_lora_weights: pissa` may change the model's own weights, so "
        "that without its adapter it is not the untrained one. Leave one of the two out.",
    ),
    "KL on replay below 0": (
        ("budget:", "train: {replay_kl: {weight: -1}}\nbudget:"),
        "recipe.yaml:17: train.replay_kl.weight: found the number -1, expected a number from 0 to 1000.",
    ),
    "another voice": (
        ("budget:", "mixture: {target_answers: mine}\nbudget:"),
        "recipe.yaml:17: mixture.target_answers: found the text 'mine', expected one of 'given', 'own_voice'.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused(name, tmp_path, monkeypatch, capsys):
    assert_refused(tmp_path, REFUSED[name], monkeypatch, capsys)


def test_every_setting_beside_which_it_cannot_be_computed_is_one_of_trls():
    assert UNFIT.keys() <= arguments(*CONFIG_CLASSES["sft"]).keys()


def test_a_weight_of_0_asks_for_nothing(tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"{BASE}train: {{args: {{packing: true}}, replay_kl: {{weight: 0}}}}\n")
    assert load_recipe(tmp_path / "recipe.yaml").recipe.train.replay_kl.weight == 0


def test_what_can_work_is_taken(tmp_path):
    (tmp_path / "recipe.yaml").write_text(BASE + OWN + "train: {replay_kl: {}}\n")
    recipe = load_recipe(tmp_path / "recipe.yaml").recipe
    assert recipe.mixture.target_answers == "own_voice"
    assert recipe.train.replay_kl is not None
    assert recipe.train.replay_kl.weight == 1
