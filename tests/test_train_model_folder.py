"""What is shipped: changed weights that are numbers, whole or not at all, without pickles."""

import pytest
import torch
from safetensors.torch import save_file

from mixplan.errors import TrainError
from mixplan.train.model_folder import copy_model, digest, put_model, refuse_unchanged, saved_tensors

TENSORS = {"first": torch.arange(12.0).reshape(3, 4), "second": torch.ones(5, dtype=torch.bfloat16)}


class Tokenizer:
    """Saves one file, as a tokenizer would."""

    chat_template = "{{ messages }}"

    def save_pretrained(self, folder):
        (folder / "tokenizer.json").write_text("{}")


def before() -> set[str]:
    return {digest(tensor) for tensor in TENSORS.values()}


@pytest.mark.parametrize("renamed", [False, True])
def test_a_model_that_is_as_it_was_is_refused_whatever_its_names(tmp_path, renamed):
    same = {f"model.{name}" if renamed else name: tensor for name, tensor in TENSORS.items()}
    save_file(same, tmp_path / "model.safetensors")
    with pytest.raises(TrainError) as error:
        refuse_unchanged(before(), tmp_path)
    assert str(error.value) == (
        "training: the job changed no weight: every saved tensor is as it was before the first step. "
        "Raise train.args.learning_rate, or the number of steps."
    )


def test_what_is_known_of_why_nothing_changed_is_said_in_the_place_of_a_guess(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    with pytest.raises(TrainError, match=r"before the first step\. GRPO could learn nothing\.$"):
        refuse_unchanged(before(), tmp_path, ["GRPO could learn nothing."])


def test_one_changed_tensor_in_one_of_several_files_will_do(tmp_path):
    save_file({"first": TENSORS["first"]}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"second": TENSORS["second"] * 1.01}, tmp_path / "model-00002-of-00002.safetensors")
    refuse_unchanged(before(), tmp_path)
    assert [name for name, _ in saved_tensors(tmp_path)] == ["first", "second"]


def test_a_model_of_no_numbers_is_refused(tmp_path):
    ruined = TENSORS["first"].clone()
    ruined[1, 2] = float("nan")
    save_file({"first": ruined}, tmp_path / "model.safetensors")
    with pytest.raises(TrainError) as error:
        refuse_unchanged(before(), tmp_path)
    assert str(error.value) == (
        "training: 'first' of the trained model holds values that are not numbers. Lower train.args.learning_rate."
    )


def test_a_digest_is_of_shape_and_values_and_sees_a_step_of_an_optimiser():
    tensor = torch.randn(300, 400, generator=torch.Generator().manual_seed(0))
    assert digest(tensor) == digest(tensor.clone().double())
    assert digest(tensor) != digest(tensor.reshape(400, 300))
    assert digest(tensor) != digest(tensor - 1e-6 * tensor.sign())


def test_the_model_is_taken_out_of_a_checkpoint_and_put_in_its_place(tmp_path):
    checkpoint, part = tmp_path / "checkpoint-4", tmp_path / ".model.partial"
    checkpoint.mkdir()
    save_file(TENSORS, checkpoint / "model.safetensors")
    for name in ("config.json", "optimizer.pt", "trainer_state.json", "rng_state.pth", "mixplan.json"):
        (checkpoint / name).write_text("{}")
    copy_model(checkpoint, part)
    assert sorted(path.name for path in part.iterdir()) == ["config.json", "model.safetensors"]
    for name in ("training_args.bin", "README.md"):
        (part / name).write_text("")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "adapter_model.safetensors").write_text("an earlier one")
    put_model(part, tmp_path, Tokenizer())
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert not part.exists()
