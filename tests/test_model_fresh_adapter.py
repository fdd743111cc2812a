"""A fresh adapter's gradient and step are those of plain autograd over unpacked passes and of the study's own code."""

import copy
import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from evaluated import loaded
from peft import get_peft_model
from tiny_families import tiny_model as family_model

from mixplan.errors import ModelError, TrainError
from mixplan.model import fresh_adapter as module
from mixplan.model.adapted import adapter_config
from mixplan.model.answer_logits import answer_way
from mixplan.model.fresh_adapter import FreshAdapter, WeighedAnswers, batches, tensors_from_bytes, tensors_to_bytes

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "studies" / "smollm2-135m-grpo-direction"))

import answer_tree
import readings

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "lora_dropout": 0.3}
GROUPS = [
    WeighedAnswers((1, 20, 33, 40), ((50, 51, 2), (60,), (50, 51, 2), (70, 71, 72, 73)), (1.5, -0.5, -0.2, -0.8)),
    WeighedAnswers((1, 21), ((9, 8, 7), (10, 2), ()), (-1.0, 0.75, 0.25)),
]


def ignore(_):
    pass


def weighed_sum(lm, groups, temperature=1.0):
    """The sum of A log p by one plain pass over each answer's own text."""
    total = torch.zeros(())
    for group in groups:
        for answer, weight in zip(group.answers, group.weights, strict=True):
            if answer:
                logits = lm(input_ids=torch.tensor([[*group.prompt, *answer]])).logits[0, len(group.prompt) - 1 : -1]
                logs = (logits / temperature).log_softmax(-1)
                total = total + weight * sum(logs[place, token] for place, token in enumerate(answer))
    return total


def plain_gradient(model, groups, *, seed, temperature=1.0, lora=LORA):
    """The gradient by autograd, of an adapter that peft puts on the same model by the same seed."""
    lm = module.sharing_weights(model.lm)
    torch.manual_seed(seed)
    wrapped = get_peft_model(lm, adapter_config(lora, lm)).eval()
    weighed_sum(wrapped, groups, temperature).backward()
    return {name: value.grad for name, value in wrapped.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("tokens", [1, 12, 2048])
@pytest.mark.parametrize("stretch", [None, 6])
def test_the_gradient_is_that_of_plain_passes(tiny_model, monkeypatch, temperature, tokens, stretch):
    """Texts longer than a stretch of positions are read each by itself."""
    monkeypatch.setattr(module, "BATCH_TOKENS", tokens)
    monkeypatch.setattr(module, "stretches_at", lambda _: stretch)
    model, seen = loaded(tiny_model), []
    assert answer_way(model).way == "packed"
    adapter = FreshAdapter(model, LORA, seed=3)
    found = adapter.gradient(GROUPS, temperature=temperature, on_answers=seen.append)
    expected = plain_gradient(model, GROUPS, seed=3, temperature=temperature)
    assert sum(seen) == 7
    assert list(found) == sorted(expected)
    for name, value in found.items():
        assert torch.allclose(value, expected[name], atol=2e-6), name
        assert bool(value.any()) == ("lora_B" in name), name  # B is 0 at first, so that A has no gradient


@pytest.mark.parametrize("family", ["mamba", "qwen3_moe", "gemma2"])
def test_padding_behind_an_answer_is_read_by_nothing(family):
    model = family_model(family)
    lora = {**LORA, "lora_dropout": 0.0}  # peft has none on experts
    found = FreshAdapter(model, lora, seed=0).gradient(GROUPS, temperature=1.0, on_answers=ignore)
    expected = plain_gradient(model, GROUPS, seed=0, lora=lora)
    for name, value in found.items():
        wanted = torch.zeros_like(value) if expected[name] is None else expected[name]
        assert torch.allclose(value, wanted, atol=5e-6), name


def test_the_step_is_the_studys(tiny_model, tmp_path):
    """The study packs answers into a tree, takes one loss of several prompts, and steps by its own lines."""
    model = loaded(tiny_model)
    adapter = FreshAdapter(model, LORA, seed=5)
    before = {name: value.detach().clone() for name, value in adapter.parameters.items()}
    gradient = adapter.gradient(GROUPS, temperature=1.0, on_answers=ignore)
    adapter.step(gradient, readings.STEP * 2e-4)

    class Policy:
        """What `step_along` asks of a policy."""

        def __init__(self):
            lm = module.sharing_weights(model.lm)
            torch.manual_seed(5)
            self.lm = get_peft_model(lm, adapter_config(LORA, lm)).eval()
            self.adapter = {name: value for name, value in self.lm.named_parameters() if value.requires_grad}
            self.train = type("Train", (), {"args": {"learning_rate": 2e-4}})

    policy = Policy()
    groups = [answer_tree.Group(group.prompt, tuple(filter(None, group.answers))) for group in GROUPS]
    pairs = (pair for group in GROUPS for pair in zip(group.answers, group.weights, strict=True))
    weights = torch.tensor([weight for answer, weight in pairs if answer])
    tree = answer_tree.tree_of(groups)
    (-(weights[tree.owner] * answer_tree.log_probabilities(policy.lm, tree)).sum()).backward()
    readings.step_along(policy, tmp_path)
    for name, value in adapter.parameters.items():
        sure = gradient[name].abs() > 1e-6  # a sign of what is rounding alone is nobody's
        assert torch.equal((value - before[name])[sure], 2e-3 * gradient[name].sign()[sure]), name
        assert torch.allclose(value[sure], policy.adapter[name][sure], atol=1e-9), name
        assert sure.float().mean() > 0.9 or "lora_A" in name, name


def test_a_step_raises_the_weighed_log_probability_and_its_opposite_lowers_it(tiny_model):
    model = loaded(tiny_model)
    steps = {}
    for sign in (1.0, -1.0):
        groups = [dataclasses.replace(group, weights=tuple(sign * one for one in group.weights)) for group in GROUPS]
        adapter = FreshAdapter(model, LORA, seed=0)
        begin = {name: value.detach().clone() for name, value in adapter.parameters.items()}
        adapter.step(adapter.gradient(groups, temperature=1.0, on_answers=ignore), 1e-3)
        steps[sign] = {name: value.detach() - begin[name] for name, value in adapter.parameters.items()}
        with torch.no_grad():
            change = weighed_sum(adapter.model().lm, GROUPS) - weighed_sum(model.lm, GROUPS)
        assert sign * float(change) > 1e-3
    for name, value in steps[1.0].items():
        assert torch.equal(value, -steps[-1.0][name]), name


def test_the_model_itself_stays_as_it_is_and_its_weights_are_shared(tiny_model):
    model = loaded(tiny_model)
    ids = torch.tensor([[1, 40, 50, 60]])
    with torch.inference_mode():
        logits = model.lm(input_ids=ids).logits
    adapter = FreshAdapter(model, LORA, seed=0)
    same = adapter.model()
    assert torch.equal(logits, same.lm(input_ids=ids).logits)  # an adapter at first changes nothing
    adapter.step(adapter_gradient(FreshAdapter(model, LORA, seed=0)), 1e-2)
    stepped = adapter.model()
    with torch.inference_mode():
        assert torch.equal(logits, model.lm(input_ids=ids).logits)
        assert not torch.allclose(logits, stepped.lm(input_ids=ids).logits, atol=1e-4)
    assert stepped.weights not in (model.weights, same.weights)
    places = {value.data_ptr() for value in model.lm.parameters()}
    others = [name for name, value in stepped.lm.named_parameters() if value.data_ptr() not in places]
    assert others
    assert all("lora_" in name for name in others)
    assert stepped.blocks is not model.blocks
    assert not any("lora" in name for name, _ in model.lm.named_parameters())
    assert all("forward" not in vars(block) for block in stepped.blocks)


@pytest.mark.parametrize("bias", ["lora_only", "all"])
def test_biases_that_an_adapter_trains_move_in_the_stepped_model_alone(bias):
    model = family_model("qwen2")
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in model.lm.named_parameters():
            value.copy_(torch.randn_like(value) * 0.1 if name.endswith(".bias") else value)
    before = {name: value.detach().clone() for name, value in model.lm.named_parameters()}
    lora = {**LORA, "bias": bias, "lora_dropout": 0.0}
    expected = plain_gradient(family_like(model), GROUPS, seed=0, lora=lora)
    adapter = FreshAdapter(model, lora, seed=0)
    gradient = adapter_gradient(adapter)
    adapter.step(gradient, 0.01)
    stepped = dict(adapter.model().lm.named_parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.lm.named_parameters())
    assert not any(value.requires_grad for value in model.lm.parameters())
    moved = [name for name in gradient if name.endswith("q_proj.base_layer.bias")]
    assert len(moved) == len(model.blocks)
    assert list(gradient) == sorted(expected)
    for name in moved:
        assert torch.allclose(gradient[name], expected[name], atol=5e-6), name
        old = before[name.removeprefix("base_model.model.").replace(".base_layer", "")]
        now = stepped[name.removeprefix("base_model.model.")]
        assert torch.equal(now, old + 0.01 * gradient[name].sign()), name
        assert bool(gradient[name].any())


def family_like(model):
    """A model of weights of its own that are equal."""
    return dataclasses.replace(model, lm=copy.deepcopy(model.lm))


def adapter_gradient(adapter):
    return adapter.gradient(GROUPS, temperature=1.0, on_answers=ignore)


def test_values_are_kept_as_bytes_and_those_of_another_adapter_are_not_taken(tiny_model):
    model = loaded(tiny_model)
    adapter, other = FreshAdapter(model, LORA, seed=0), FreshAdapter(model, LORA, seed=1)
    adapter.step(adapter_gradient(adapter), 1e-3)
    data = adapter.to_bytes()
    assert other.to_bytes() != data
    assert other.put(data)
    assert other.to_bytes() == data
    assert other.model().weights == adapter.model().weights
    scaled = FreshAdapter(model, {**LORA, "lora_alpha": 32}, seed=1)
    assert scaled.put(data)
    assert scaled.to_bytes() == data
    assert scaled.model().weights != adapter.model().weights
    narrow = FreshAdapter(model, {**LORA, "r": 2}, seed=0)
    begin = narrow.to_bytes()
    assert not narrow.put(data)
    assert not narrow.put(b"torn")
    assert narrow.to_bytes() == begin
    assert tensors_from_bytes(tensors_to_bytes({"a": torch.ones(2)}))["a"].tolist() == [1, 1]


def test_seeds_decide_and_leave_the_generator_alone(tiny_model):
    model = loaded(tiny_model)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, again, other = (FreshAdapter(model, LORA, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert one.to_bytes() == again.to_bytes() != other.to_bytes()


def test_equal_answers_count_once_with_the_sum_of_their_weights():
    assert GROUPS[0].distinct() == {(50, 51, 2): 1.3, (60,): -0.5, (70, 71, 72, 73): -0.8}
    assert GROUPS[1].distinct() == {(9, 8, 7): -1.0, (10, 2): 0.75}
    assert WeighedAnswers((1,), ((2,), (2,)), (1.0, -1.0)).distinct() == {}
    assert [len(batch) for batch in batches(GROUPS[0], "packed", alone=False)] == [3]
    assert [len(batch) for batch in batches(GROUPS[0], "whole", alone=True)] == [1, 1, 1]


@pytest.mark.parametrize(("way", "expected"), [("packed", [2, 1]), ("whole", [1, 1, 1])])
def test_batches_hold_so_many_tokens(monkeypatch, way, expected):
    """Four of the prompt with one and three of answers are 8 packed; side by side 2 rows of 7 are 14, more than 11."""
    monkeypatch.setattr(module, "BATCH_TOKENS", 11)
    assert [len(batch) for batch in batches(GROUPS[0], way, alone=False)] == expected


def test_what_cannot_be_differentiated_is_refused(tiny_model):
    model = loaded(tiny_model)
    with pytest.raises(ModelError, match="gradients are taken in float32, not in bfloat16"):
        FreshAdapter(dataclasses.replace(model, dtype="bfloat16"), LORA, seed=0)
    model.lm.hf_quantizer = object()
    with pytest.raises(ModelError) as caught:
        FreshAdapter(model, LORA, seed=0)
    assert str(caught.value) == (
        f"model '{model.name}' is quantised, and `drift.from: reward_step` takes its gradient in float32 on one "
        "device. Set `drift.from` to rollouts or checkpoint, or name the model as it was before quantisation."
    )
    del model.lm.hf_quantizer
    model.lm.hf_device_map = {"model": 0, "lm_head": "cpu"}
    with pytest.raises(ModelError, match=r"is spread over several devices, .* or leave `model.device_map` out"):
        FreshAdapter(model, LORA, seed=0)


def test_settings_that_peft_refuses_are_the_recipes(tiny_model):
    model = loaded(tiny_model)
    with pytest.raises(TrainError) as caught:
        FreshAdapter(model, {**LORA, "r": 0}, seed=0)
    assert str(caught.value).startswith(
        f"train.lora: no adapter can be put on '{model.name}': `r` should be a positive "
    )
    assert str(caught.value).endswith(". Change it.")


def test_a_gradient_that_is_no_number_is_refused(tiny_model):
    model = loaded(tiny_model)
    adapter = FreshAdapter(model, LORA, seed=0)
    groups = [dataclasses.replace(GROUPS[0], weights=(float("inf"), 0.0, 0.0, 0.0))]
    with pytest.raises(ModelError, match=r"the gradient of .*lora_A.* holds values that are no numbers"):
        adapter.gradient(groups, temperature=1.0, on_answers=ignore)


def test_short_memory_is_said_with_what_helps(tiny_model, monkeypatch):
    model = loaded(tiny_model)
    adapter = FreshAdapter(model, LORA, seed=0)

    def refuse(*_, **__):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(module, "answer_logits", refuse)
    with pytest.raises(ModelError) as caught:
        adapter.gradient(GROUPS, temperature=1.0, on_answers=ignore)
    assert str(caught.value) == (
        f"model '{model.name}': its gradient in float32 does not fit the memory of its device. Shorten "
        "`drift.rollouts.answer_tokens`, or set `drift.from` to icl, rollouts or checkpoint."
    )
