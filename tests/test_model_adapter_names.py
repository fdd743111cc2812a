"""Names in an adapter's settings that match nothing in the model are refused; peft would train less without a word."""

import pytest
from peft import get_peft_model
from tiny_families import tiny_model

from mixplan.errors import TrainError
from mixplan.model.adapted import adapter_config

MATCHED = [
    {"target_modules": ["q_proj", "self_attn.v_proj"]},
    {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    {"target_modules": "all-linear", "rank_pattern": {"q_proj": 4}, "alpha_pattern": {r"layers\.0\..*": 8}},
    {"target_modules": r".*\.q_proj"},
    {"target_modules": ["q_proj"], "target_parameters": ["mlp.gate_proj.weight"]},
]


@pytest.mark.parametrize("lora", MATCHED, ids=str)
def test_names_that_the_model_has_are_taken(lora):
    lm = tiny_model("llama").lm
    config = adapter_config({"r": 2, **lora}, lm)
    if "target_parameters" not in lora:
        assert any("lora_" in name for name, _ in get_peft_model(lm, config).named_parameters())


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        (
            {"target_modules": ["q_proj", "v_porj"]},
            "train.lora.target_modules names 'v_porj', but the model has no layer of that name, so that nothing of it "
            "would be trained. Did you mean 'v_proj'? Take it out, or name one that the model has.",
        ),
        ({"target_modules": ["q_proj", "gate_up_proj"]}, "names 'gate_up_proj'.*Did you mean 'gate_proj'"),
        ({"target_modules": ["q_proj"], "modules_to_save": ["score"]}, "modules_to_save names 'score'"),
        (
            {"target_parameters": ["experts.gate_up_proj"]},
            "names 'experts.gate_up_proj', but the model has no parameter",
        ),
        ({"target_modules": ["q_proj"], "rank_pattern": {"k_proj": 4}}, "rank_pattern names 'k_proj'.*adapted layer"),
        ({"target_modules": ["q_proj"], "alpha_pattern": {"(": 4}}, "alpha_pattern: '\\(' is no regular expression"),
    ],
)
def test_names_that_match_nothing_are_refused(lora, message):
    with pytest.raises(TrainError, match=message.replace("?", r"\?")):
        adapter_config({"r": 2, **lora}, tiny_model("llama").lm)
