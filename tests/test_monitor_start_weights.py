"""Weights of a beginning are brought back and given up to the bit, and refused where they are not those."""

import pytest
import torch
from torch import nn

from mixplan.errors import RunError
from mixplan.model import fingerprint_tensors
from mixplan.monitor.start_weights import Start, keep_weights, kept_start, untrained


class Small(nn.Module):
    """A frozen weight, a trained one, and one that is trained under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.trained = nn.Linear(4, 4), nn.Linear(4, 4, dtype=torch.bfloat16)
        self.tied = self.trained
        self.frozen.requires_grad_(False)


@pytest.fixture
def begun(tmp_path):
    torch.manual_seed(0)
    model, file = Small(), tmp_path / "monitor" / "start.safetensors"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    keep_weights(model, Start(fingerprint_tensors(model.state_dict()), "other weights"), file)
    with torch.no_grad():
        model.trained.weight.add_(1.5)
    return model, file, before


def test_weights_are_those_of_the_beginning_and_then_those_of_now_to_the_bit(begun):
    model, file, before = begun
    now = {name: value.clone() for name, value in model.state_dict().items()}
    parameter = model.trained.weight
    assert kept_start(file) == Start(fingerprint_tensors(before), "other weights")
    with untrained(model, model, file):
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.trained.weight is parameter
    assert all(torch.equal(value, now[name]) for name, value in model.state_dict().items())


def test_what_is_not_the_untrained_model_is_refused_and_the_trained_one_stays(begun):
    model, file, _ = begun
    now = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.frozen.weight.add_(1.0)
    with pytest.raises(RunError, match="the model is not the untrained one"), untrained(model, model, file):
        pass
    assert torch.equal(model.trained.weight, now["trained.weight"])
    model.frozen.requires_grad_(True)
    with pytest.raises(RunError, match="other weights are trained now"), untrained(model, model, file):
        pass
    model.frozen.requires_grad_(False)
    file.write_bytes(file.read_bytes()[:40])
    assert kept_start(file) is None
    with pytest.raises(RunError, match="cannot be read"), untrained(model, model, file):
        pass
    assert torch.equal(model.trained.weight, now["trained.weight"])
    file.unlink()
    assert kept_start(file) is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    model = Small()
    (tmp_path / "monitor").write_text("")
    with pytest.raises(RunError, match="monitor"):
        keep_weights(model, Start("", None), tmp_path / "monitor" / "start.safetensors")
