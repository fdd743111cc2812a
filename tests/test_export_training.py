"""What other trainers are told to train with is what `mixplan train` trains with."""

import pytest

from mixplan.export.training import training_of
from mixplan.recipe import load_recipe

RECIPE = """\
model: {{name: smollm2-135m, sae: none, device: {device}}}
target:
  data: {{generator: chain_sum, limit: 400}}
  format: question_answer
  columns: {{question: question, answer: answer}}
domains: everyday
budget: {{rows: 20}}
train: {{args: {{learning_rate: 2.0e-4{further}}}}}
"""


@pytest.mark.parametrize(
    ("device", "further", "bf16"),
    [("cpu", "", False), ("auto", "", True), ("auto", ", bf16: null", True), ("cpu", ", bf16: null", False),
     ("cpu", ", bf16: true", True), ("auto", ", bf16: false", False)],
)  # fmt: skip
def test_bf16_null_is_as_if_it_were_not_said(device, further, bf16, tmp_path):
    (tmp_path / "mine.yaml").write_text(RECIPE.format(device=device, further=further))
    recipe = load_recipe(tmp_path / "mine.yaml").recipe
    assert training_of(recipe, model="m", lora=None, max_length=None).bf16 is bf16
