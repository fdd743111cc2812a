"""Weights of answers are those that TRL's own loss gives their log-probabilities at the first step."""

from collections import defaultdict
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from trl import GRPOConfig, GRPOTrainer

from mixplan.errors import DriftError
from mixplan.mixture.grpo_loss import AVERAGED, SUMMED, LossWeights, loss_weights

END = 2
REWARDS = np.array([[0.0, 1.0, 0.25], [3.0, 0.0, 0.0]])
IDS = (((5, 6, END), (7, END), (8, 9, 10, 11)), ((5, END), (6, 7, 8, 9), (8, 6, 5, END)))


def job(**args):
    return {"method": "grpo", "args": args, "rewards": {"format": 1.0}}


def advantages(group):
    return (group - group.mean()) / group.std(ddof=1)


def trl_gradient(config, weights):
    """What TRL's loss gives each token's log-probability, `[answers, tokens]`, from its advantages."""
    answers = [ids for group in IDS for ids in group]
    mask = torch.tensor([[float(place < len(ids)) for place in range(4)] for ids in answers])
    if config.mask_truncated_completions:
        mask *= torch.tensor([[float(ids[-1] == END)] for ids in answers])
    logs = torch.full(mask.shape, -1.5, requires_grad=True)
    trainer = MagicMock(**{name: getattr(config, name) for name in (
        "loss_type", "importance_sampling_level", "beta", "top_entropy_quantile", "off_policy_mask_threshold",
    )})  # fmt: skip
    trainer.args, trainer._metrics = config, {"train": defaultdict(list)}
    trainer.epsilon_low, trainer.epsilon_high, trainer.max_completion_length = 0.2, 0.2, 4
    trainer.use_vllm = trainer._entropy_bonus_enabled = trainer.aux_loss_enabled = False
    trainer.current_gradient_accumulation_steps = 1
    trainer.accelerator.num_processes = 1
    trainer.accelerator.gather.side_effect = lambda value: value
    trainer.accelerator.reduce.side_effect = lambda value, reduction: value
    trainer.get_gamma_weights = GRPOTrainer.get_gamma_weights
    trainer._get_per_token_logps_and_entropies.return_value = (logs, torch.zeros_like(logs), None)
    tokens = torch.zeros(mask.shape, dtype=torch.int64)
    inputs = {"prompt_ids": tokens, "prompt_mask": mask, "completion_ids": tokens, "completion_mask": mask,
              "advantages": torch.tensor(weights, dtype=torch.float32), "num_items_in_batch": mask.sum()}  # fmt: skip
    GRPOTrainer._compute_loss(trainer, trainer.model, inputs).backward()
    return -logs.grad


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("scale", ["group", "none", "batch"])
@pytest.mark.parametrize("loss", [*SUMMED, *AVERAGED])
def test_answers_weigh_as_in_trls_loss(tmp_path, loss, scale, whole, level):
    args = {"loss_type": loss, "scale_rewards": scale, "mask_truncated_completions": whole}
    config = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, importance_sampling_level=level, **args)
    spread = {"group": REWARDS.std(axis=1, ddof=1, keepdims=True), "none": 1.0, "batch": REWARDS.std(ddof=1)}
    given = (REWARDS - REWARDS.mean(axis=1, keepdims=True)) / spread[config.scale_rewards]
    gradient = trl_gradient(config, given.flatten())
    how = loss_weights(job(**args))
    found = [how.of(advantages(group), list(group), ids, {END}) for group, ids in zip(REWARDS, IDS, strict=True)]
    weights = [(weight, len(answer)) for group, ids in zip(found, IDS, strict=True)
               for weight, answer in zip(group, ids, strict=True)]  # fmt: skip
    ours = torch.tensor([[weight * (place < length) for place in range(4)] for weight, length in weights])
    assert bool(ours.any())
    assert torch.allclose(gradient / gradient.norm(), (ours / ours.norm()).float(), atol=1e-6)


def test_by_default_an_answer_weighs_as_its_advantage(tmp_path):
    assert loss_weights(job()) == LossWeights()
    config = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    assert config.loss_type in SUMMED
    assert (config.scale_rewards, config.mask_truncated_completions) == ("group", False)
    given = advantages(REWARDS[0])
    assert LossWeights().of(given, list(REWARDS[0]), IDS[0], {END}) == tuple(given.tolist())
    assert LossWeights(averaged=True, whole=True).of(given, list(REWARDS[0]), ((), (END,), (5,)), {END}) == (
        0.0, given[1], 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [("loss_type", "other"), ("scale_rewards", "most"),
     ("top_entropy_quantile", 0.2), ("entropy_coef", 0.01), ("use_adaptive_entropy", True)],
)  # fmt: skip
def test_what_no_weight_of_an_answer_says_is_refused(key, value):
    with pytest.raises(DriftError) as caught:
        loss_weights(job(**{key: value}))
    assert str(caught.value) == (
        f"drift.from: reward_step does not follow `train.args.{key}: {value}`, which changes the gradient of a GRPO "
        "job in a way of its own. Leave it out, or set `drift.from` to icl, rollouts or checkpoint."
    )


def test_rewards_that_are_normalised_apart_are_refused_where_there_are_several():
    apart = {"multi_objective_aggregation": "normalize_then_sum"}
    assert loss_weights(job(**apart)) == LossWeights()
    with pytest.raises(DriftError, match=r"does not follow `train.args.multi_objective_aggregation: normalize_then_s"):
        loss_weights(job(**apart) | {"rewards": {"format": 1.0, "graded": 0.5}})
