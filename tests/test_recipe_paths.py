"""Names on the hub are told from folders' as huggingface_hub tells them."""

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from mixplan.recipe.paths import is_hub_id

NAMES = [
    *("gpt2", "google/gemma-3-1b-it", "Qwen/Qwen2.5-7B", "a_b/c.d-e", "_a/_b", "a" * 96, "a" * 97, "o/" + "a" * 97),
    *("./model", "../model", "~/model", "/model", "a/b/c", "model/", "model.", "-model", ".model", "a--b", "a..b"),
    *("model.git", "o/model.git", "C:\\models\\x", "my model", "", "models/.hidden", "models/step-"),
]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_hub_takes_for_a_name(name):
    try:
        validate_repo_id(name)
        taken = True
    except HFValidationError:
        taken = False
    assert is_hub_id(name) is taken
