"""What a lever beside rows asks of the job is refused before anything is read, with what mends it."""

import pytest
from wrong_recipes import BASE, assert_refused

from mixplan.recipe import load_recipe

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
    "another voice": (
        ("budget:", "mixture: {target_answers: mine}\nbudget:"),
        "recipe.yaml:17: mixture.target_answers: found the text 'mine', expected one of 'given', 'own_voice'.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused(name, tmp_path, monkeypatch, capsys):
    assert_refused(tmp_path, REFUSED[name], monkeypatch, capsys)


def test_what_can_work_is_taken(tmp_path):
    (tmp_path / "recipe.yaml").write_text(BASE + OWN)
    assert load_recipe(tmp_path / "recipe.yaml").recipe.mixture.target_answers == "own_voice"
