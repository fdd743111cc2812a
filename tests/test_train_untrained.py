"""Every kind of model is trained by TRL in the class that is read, its language model alone, and ships as it came."""

import json

import pytest
import torch
from evaluated import spec_of
from other_models import EXPERTS, PROCESSOR, WRAPPED, save_other
from safetensors.torch import load_file
from small_jobs import ARGS, lay_run, train_to_end
from transformers import AutoConfig

from mixplan.model import load_model, load_trained
from mixplan.train.job import Job
from mixplan.train.make import prepare

TWO_STEPS = {**ARGS, "max_steps": 2, "save_strategy": "no"}
TOKENS = torch.randint(6, 300, (1, 30), generator=torch.Generator().manual_seed(0))


def job_of(model, *, lora=None, **args):
    return Job(
        model={"name": str(model), "revision": None, "trust_remote_code": False, "dtype": "float32", "device": "cpu"},
        train={"method": "sft", "args": args, "lora": lora, "rewards": {"graded": 1.0}},
        mixture="mixture",
        planned_rows={},
        hashes={},
    )


def trained(folder, model, **train):
    """The run's model folder once TRL has trained."""
    folder.mkdir()
    run, loaded, plan = lay_run(folder, model, **{"args": TWO_STEPS, **train})
    prepare(run, loaded, plan)
    train_to_end(run)
    return run / "model"


def logits(model):
    with torch.inference_mode():
        return model.lm(input_ids=TOKENS, use_cache=False).logits


def config_of(folder):
    config = AutoConfig.from_pretrained(folder).to_dict()
    # Where it was found, and by which library and in which type it was saved.
    for section in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name in ("_name_or_path", "transformers_version", "dtype"):
            section.pop(name, None)
    return config


def check_shipped(model, shipped):
    """The trained folder: the untrained one's settings, other weights, and read with them."""
    assert config_of(shipped) == config_of(model)
    assert (shipped / "generation_config.json").read_text() == (model / "generation_config.json").read_text()
    ours, before = load_trained(spec_of(model), shipped), load_model(spec_of(model))
    assert type(ours.lm) is type(before.lm)
    changed = {
        name for name, value in ours.lm.named_parameters() if not torch.equal(value, before.lm.get_parameter(name))
    }
    decoder = {id(value) for part in (ours.lm.get_decoder(), ours.lm.get_output_embeddings())
               for value in part.parameters()}  # fmt: skip
    assert changed
    assert {name for name in changed if id(ours.lm.get_parameter(name)) not in decoder} == set()
    assert (logits(ours) - logits(before)).abs().max() > 1e-3
    assert torch.isfinite(logits(ours)).all()


@pytest.mark.parametrize("family", [*EXPERTS, *WRAPPED])
def test_full_fine_tuning_ships_a_model_that_is_read(tmp_path, family):
    model = save_other((EXPERTS | WRAPPED)[family](), tmp_path / family)
    shipped = trained(tmp_path / "full", model)
    check_shipped(model, shipped)
    if family in WRAPPED:
        assert {name: json.loads((shipped / name).read_text()) for name in PROCESSOR} == PROCESSOR


@pytest.mark.parametrize("family", [*EXPERTS, *WRAPPED])
def test_an_adapter_reaches_the_language_model_alone(tmp_path, family):
    model = save_other((EXPERTS | WRAPPED)[family](), tmp_path / family)
    shipped = trained(tmp_path / "lora", model, lora={"r": 2})
    tensors = load_file(shipped / "adapter_model.safetensors")
    assert tensors
    assert not [name for name in tensors if any(word in name for word in ("vision", "visual", "projector"))]
    ours, before = load_trained(spec_of(model), shipped), load_model(spec_of(model))
    assert (logits(ours) - logits(before)).abs().max() > 1e-3
