"""Every kind of model is trained by TRL in the class that is read, its language model alone, and ships as it came."""

import json

import pytest
import torch
from evaluated import spec_of
from other_models import EXPERTS, PROCESSOR, WRAPPED, save_other
from safetensors.torch import load_file
from small_jobs import ARGS, GRPO_ARGS, lay_run
from transformers import AutoConfig

from mixplan.model import load_model, load_trained
from mixplan.train import grpo, sft, worker
from mixplan.train.event_log import Stop
from mixplan.train.make import prepare

TWO_STEPS = {**ARGS, "max_steps": 2, "save_strategy": "no"}
TOKENS = torch.randint(6, 300, (1, 30), generator=torch.Generator().manual_seed(0))


def trained(folder, model, trainer=sft, **train):
    """Train in this process; the model as it is in memory then, and the run's model folder."""
    folder.mkdir()
    run, loaded, plan = lay_run(folder, model, **{"args": TWO_STEPS, **train})
    job = prepare(run, loaded, plan)
    config = trainer.trl_config(job, run)
    ready = worker.prepare(run, job, trainer, config, Stop())
    state = worker.trained(ready, None, run / ".part")
    worker.finish(run, job, ready, state, run / ".part", ready.trainer.seen.together())
    return ready.trainer.model.eval(), run / "model"


def logits(lm):
    with torch.inference_mode():
        return lm(input_ids=TOKENS, use_cache=False, output_router_logits=False).logits


def config_of(folder):
    config = AutoConfig.from_pretrained(folder).to_dict()
    # Where it was found, and by which library and in which type it was saved.
    for section in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name in ("_name_or_path", "transformers_version", "dtype"):
            section.pop(name, None)
    return config


def outside_decoder(lm, names):
    decoder = {id(value) for part in (lm.get_decoder(), lm.get_output_embeddings()) for value in part.parameters()}
    return {name for name in names if id(lm.get_parameter(name)) not in decoder}


@pytest.mark.parametrize("family", ["qwen3_moe", "mistral3", "gemma4", "qwen3_vl"])
def test_full_fine_tuning_ships_a_model_that_is_read(tmp_path, family):
    model = save_other((EXPERTS | WRAPPED)[family](), tmp_path / family)
    in_memory, shipped = trained(tmp_path / "full", model)
    assert config_of(shipped) == config_of(model)
    assert (shipped / "generation_config.json").read_text() == (model / "generation_config.json").read_text()
    ours, before = load_trained(spec_of(model), shipped).lm, load_model(spec_of(model)).lm
    torch.testing.assert_close(logits(ours), logits(in_memory), rtol=1e-5, atol=1e-5)
    names = {name for name, value in ours.named_parameters() if not torch.equal(value, before.get_parameter(name))}
    assert names
    assert outside_decoder(ours, names) == set()
    if family in WRAPPED:
        assert {name: json.loads((shipped / name).read_text()) for name in PROCESSOR} == PROCESSOR


@pytest.mark.parametrize(
    ("family", "lora"),
    [
        ("mixtral", {"r": 2}),
        ("qwen2_5_vl", {"r": 2}),
        ("mistral3", {"r": 2, "target_modules": "all-linear"}),
        ("gpt_oss", {"r": 2, "target_parameters": ["mlp.experts.gate_up_proj"]}),
    ],
)
def test_an_adapter_reaches_the_language_model_alone(tmp_path, family, lora):
    model = save_other((EXPERTS | WRAPPED)[family](), tmp_path / family)
    in_memory, shipped = trained(tmp_path / "lora", model, lora=lora)
    tensors = load_file(shipped / "adapter_model.safetensors")
    assert tensors
    assert not [name for name in tensors if any(word in name for word in ("vision", "visual", "projector"))]
    ours, before = load_trained(spec_of(model), shipped).lm, load_model(spec_of(model)).lm
    torch.testing.assert_close(logits(ours), logits(in_memory), rtol=1e-4, atol=1e-4)
    assert (logits(ours) - logits(before)).abs().max() > 1e-3


def test_grpo_of_experts_ships_the_untrained_settings(tmp_path):
    model = save_other(EXPERTS["qwen3_moe"](), tmp_path / "model")
    rewards = {"method": "grpo", "rewards": {"format": 1.0}, "answer_format": "[a-m ]"}
    args = {**GRPO_ARGS, "max_steps": 1, "save_strategy": "no"}
    in_memory, shipped = trained(tmp_path / "grpo", model, grpo, args=args, **rewards)
    assert config_of(shipped) == config_of(model)
    assert (shipped / "generation_config.json").read_text() == (model / "generation_config.json").read_text()
    torch.testing.assert_close(
        logits(load_trained(spec_of(model), shipped).lm), logits(in_memory), rtol=1e-5, atol=1e-5
    )
