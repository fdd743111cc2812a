"""An adapter is put where it works: every layer it is on learns, is saved, read back, and gone on with."""

import pytest
import torch
from conftest import save_tokenizer, tiny_config
from evaluated import spec_of
from other_models import WRAPPED
from peft import get_peft_model
from small_jobs import ARGS, lay_run
from tiny_families import tiny_model
from transformers import AutoModelForImageTextToText, LlamaForCausalLM

from mixplan.errors import TrainError
from mixplan.model import load_trained
from mixplan.model.adapted import adapter_config, default_targets, unadaptable, unadapted_warning
from mixplan.model.families import model_class
from mixplan.train import sft, worker
from mixplan.train.checkpoints import newest_checkpoint
from mixplan.train.event_log import Stop
from mixplan.train.make import prepare

ALL = {"r": 2, "target_modules": "all-linear"}
PASSED_BY = {
    "bamba": {"out_proj"},
    "mamba": {"x_proj", "dt_proj", "out_proj"},
    "longcat_flash": {"classifier"},
    "llama4_text": {"router"},
    "qwen3_moe": set(),
    "bloom": set(),
}
TOKENS = torch.randint(6, 300, (2, 40), generator=torch.Generator().manual_seed(0))


def test_the_recipes_own_settings_stay_as_they_are():
    """Peft 0.21.2 adds the embeddings' full name to `modules_to_save` where it ties them."""
    config = tiny_model("llama").lm.config
    config.tie_word_embeddings = True
    lm = LlamaForCausalLM(config)
    lora = {**ALL, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True, "rank_pattern": {"q_proj": 1}}
    wrapped = get_peft_model(lm, adapter_config(lora, lm))
    assert any("modules_to_save" in name for name, value in wrapped.named_parameters() if value.requires_grad)
    assert lora == {
        **ALL, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True, "rank_pattern": {"q_proj": 1},
    }  # fmt: skip


@pytest.mark.parametrize("family", PASSED_BY)
def test_every_layer_of_an_adapter_on_all_layers_learns(family):
    lm = tiny_model(family).lm
    assert {name.rpartition(".")[2] for name in unadaptable(lm)} == PASSED_BY[family]
    wrapped = get_peft_model(lm, adapter_config(ALL, lm))
    for name, value in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    wrapped.train()(input_ids=TOKENS, labels=TOKENS).loss.backward()
    adapted = {name: value for name, value in wrapped.named_parameters() if "lora_" in name}
    assert adapted
    assert not [name for name in adapted if any(f".{short}." in name for short in PASSED_BY[family])]
    # Experts that no token was sent to learn nothing this time.
    idle = [name for name, value in adapted.items() if value.grad is None or not value.grad.any()]
    assert not [name for name in idle if ".experts." not in name]
    warning = unadapted_warning(wrapped)
    assert (warning is None) == (not PASSED_BY[family])
    assert all(short in (warning or "") for short in PASSED_BY[family])


def test_layers_that_are_passed_by_are_refused_by_name_and_are_no_default():
    lm = tiny_model("bamba").lm
    with pytest.raises(TrainError) as refused:
        adapter_config({"r": 2, "target_modules": ["in_proj", "out_proj"]}, lm)
    assert str(refused.value) == (
        "train.lora.target_modules names out_proj, on which an adapter does nothing or fails: BambaMixer reads its "
        "weight past it. Take out_proj out, or set `train.lora.target_modules: all-linear`, which leaves it out."
    )
    assert adapter_config({"r": 2, "target_modules": ["in_proj"]}, lm).target_modules == {"in_proj"}
    assert "out_proj" not in default_targets(lm)
    kept = adapter_config({**ALL, "exclude_modules": ["in_proj"]}, lm)
    names = [name for name, _ in get_peft_model(lm, kept).named_parameters() if "lora_" in name]
    assert names
    assert not [name for name in names if ".in_proj." in name or ".out_proj." in name]


def test_an_adapter_whose_names_peft_mistakes_is_read_back_and_gone_on_with(tmp_path):
    model = tmp_path / "laguna"
    tiny_model("laguna").lm.save_pretrained(model)
    save_tokenizer(model)
    run, loaded, plan = lay_run(tmp_path, model, lora=ALL, args={**ARGS, "max_steps": 4})
    job = prepare(run, loaded, plan)
    adapters = []
    for checkpoint in (None, 2):
        if checkpoint:
            (run / "training/checkpoints/checkpoint-4").rename(tmp_path / "last")
            found = newest_checkpoint(run / "training/checkpoints", key=job.key)
            assert found is not None
            assert found.step == checkpoint
            checkpoint = found
        ready = worker.prepare(run, job, sft, sft.trl_config(job, run), Stop())
        ready.watched.resume(checkpoint)
        worker.trained(ready, checkpoint, run / ".part")
        adapters.append({k: v.clone() for k, v in ready.trainer.model.state_dict().items() if "lora_" in k})
    assert [name for name in adapters[0] if "shared_experts" in name]
    for name, value in adapters[0].items():
        torch.testing.assert_close(adapters[1][name], value, rtol=1e-6, atol=1e-7, msg=name)
    lm = ready.trainer.model.eval()
    with torch.inference_mode():
        expected = lm(input_ids=TOKENS).logits
        read = load_trained(spec_of(model), run / ".part").lm(input_ids=TOKENS).logits
    torch.testing.assert_close(read, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "lora",
    [
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": "all-linear", "layer_replication": [[0, 2], [1, 4]]},
        {"target_modules": ["q_proj"], "lora_bias": True},
    ],
    ids=["tied", "replicated", "bias"],
)
def test_an_adapter_on_weights_that_are_shared_is_read_back_as_it_was_trained(tmp_path, lora):
    model, out = tmp_path / "model", tmp_path / "out"
    bias = {"attention_bias": True} if "lora_bias" in lora else {}
    torch.manual_seed(0)
    lm = LlamaForCausalLM(tiny_config("llama", tie_word_embeddings=True, **bias))
    lm.save_pretrained(model)
    save_tokenizer(model)
    wrapped = get_peft_model(lm, adapter_config({"r": 2, **lora}, lm))
    with torch.no_grad():
        for name, value in wrapped.named_parameters():
            if "lora_" in name:
                value.normal_(std=0.3)
    wrapped.save_pretrained(out, save_embedding_layers=False)
    with torch.inference_mode():
        expected = wrapped.eval()(input_ids=TOKENS).logits
        read = load_trained(spec_of(model), out).lm(input_ids=TOKENS).logits
    torch.testing.assert_close(read, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("lora", [{**ALL, "target_modules": "ALL-Linear"}, ALL])
def test_all_linear_is_known_in_any_case(lora):
    lm = tiny_model("bamba").lm
    names = [name for name, _ in get_peft_model(lm, adapter_config(lora, lm)).named_parameters() if "lora_" in name]
    assert names
    assert not [name for name in names if ".out_proj." in name]


@pytest.mark.parametrize("excluded", [["k_proj"], r".*\.k_proj"])
def test_what_a_recipe_excludes_of_an_image_text_model_leaves_its_tower_alone(excluded):
    lm = AutoModelForImageTextToText.from_config(WRAPPED["gemma3"]())
    config = adapter_config({"r": 2, "target_modules": "all-linear", "exclude_modules": excluded}, lm)
    names = [name for name, _ in get_peft_model(lm, config).named_parameters() if "lora_" in name]
    assert names
    assert not [name for name in names if "vision" in name or "k_proj" in name or "projector" in name]


def test_a_family_that_names_another_s_class_is_loaded_in_it():
    import transformers

    config = transformers.InternLM3Config()
    assert model_class(config, "mine") is transformers.LlamaForCausalLM
