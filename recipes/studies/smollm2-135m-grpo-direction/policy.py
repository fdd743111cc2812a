"""Holds the embedded model under a LoRA adapter as the study's GRPO jobs train it, and takes their steps.

The recipe's job in TRL takes some 20 processor seconds a step here, most of them for reading a prompt again for each of
its answers; this takes the same step in some 4. What TRL's defaults make of the job is written out: advantages
(r - mean) / (std + 1e-4) within a prompt's answers, loss the sum of -A log p over all answer tokens divided by their
number (`dapo`, on policy, no KL), the gradient clipped at norm 1, AdamW without decay, and a learning rate that is
warmed up from 0. The frozen weights, which are bfloat16 values, multiply in bfloat16, as in a job with `bf16: true`;
the adapter, the stream and the optimiser are float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from answer_tree import Group, Ids, Tree, log_probabilities, sample, tree_of
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional

from mixplan.grading.process import GradingProcess
from mixplan.grading.rewards import total_rewards
from mixplan.model import Model, load_model, render
from mixplan.model.adapted import adapter_config
from mixplan.model.answers import end_tokens
from mixplan.recipe import LoadedRecipe


class Policy:
    """The model under an adapter; what it says to a mixture's rows, and how these answers are rewarded.

    Attributes:
        model: As mixplan reads it, the adapter inside.
        lm: Peft's model.
    """

    def __init__(self, loaded: LoadedRecipe, *, seed: int, adapter: Path | None = None) -> None:
        """Put on a fresh adapter, drawn by the seed, or a saved one; answers are drawn by the seed too."""
        self.train = loaded.recipe.train
        spec = loaded.recipe.model.model_copy(update={"dtype": "float32"})
        base = load_model(spec, folder=loaded.folder(("model", "name")))
        torch.manual_seed(seed)
        assert self.train.lora is not None
        self.lm: Any = (
            get_peft_model(base.lm, adapter_config(self.train.lora, base.lm))
            if adapter is None
            else PeftModel.from_pretrained(base.lm, str(adapter), is_trainable=True)
        )
        in_bfloat16(self.lm)
        self.model: Model = replace(base, lm=self.lm.get_base_model())
        self.generator = torch.Generator().manual_seed(seed)
        self.grading = GradingProcess(seconds=self.train.grader_seconds)

    @property
    def adapter(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return {name: value for name, value in self.lm.named_parameters() if value.requires_grad}

    def groups(self, rows: Sequence[dict[str, Any]], *, count: int, longest: int) -> list[Group]:
        """Sample answers to rows of a mixture."""
        prompts = [self.prompt(row) for row in rows]
        return sample(
            self.lm, prompts, count=count, longest=longest, ends=end_tokens(self.model), generator=self.generator
        )

    def prompt(self, row: dict[str, Any]) -> Ids:
        """A row's prompt as the model reads it."""
        text = render(self.model, [(turn["role"], turn["content"]) for turn in row["prompt"]], awaiting=True)
        return tuple(self.model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def rewards(self, rows: Sequence[dict[str, Any]], groups: Sequence[Group]) -> np.ndarray:
        """`[rows, answers]` what the recipe's rewards give."""
        decode = self.model.tokenizer.decode
        pairs = [(row, answer) for row, group in zip(rows, groups, strict=True) for answer in group.answers]
        columns = {name: [row[name] for row, _ in pairs] for name in ("reference", "grader", "entry")}
        columns["prompts"] = [row["prompt"] for row, _ in pairs]
        said = (str(decode(list(answer), skip_special_tokens=True)) for _, answer in pairs)
        columns["completions"] = [[{"role": "assistant", "content": text}] for text in said]
        with tempfile.TemporaryDirectory() as folder:
            totals = total_rewards(self.train, self.grading, Path(folder) / "rewards.json", columns)
        return np.array(totals).reshape(len(rows), -1)

    def loss(
        self, groups: Sequence[Group], given: np.ndarray, tree: Tree | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """GRPO's loss times its number of answer tokens: to be divided by that of the whole batch.

        Args:
            groups: Prompts with their answers.
            given: `[prompts, answers]` rewards.
            tree: The groups laid out, where they are already.

        Returns:
            The sum of -A log p, `[A]` each token's advantage, and `[A]` its log-probability, detached.
        """
        tree = tree_of(groups) if tree is None else tree
        logs = log_probabilities(self.lm, tree)
        advantage = torch.tensor(advantages(given).reshape(-1), dtype=torch.float32)[tree.owner]
        return -(advantage * logs).sum(), advantage, logs.detach()


def advantages(given: np.ndarray) -> np.ndarray:
    """`[prompts, answers]` GRPO's advantages of rewards of that shape, as TRL computes them."""
    centred = given - given.mean(1, keepdims=True)
    return np.asarray(centred / (given.std(1, ddof=1, keepdims=True) + 1e-4))


def in_bfloat16(lm: Any) -> None:
    """Have the frozen weights under an adapter, and the output head, multiply in bfloat16 and give float32."""

    def multiply(layer: nn.Linear) -> None:
        assert layer.bias is None
        weight = layer.weight.detach().to(torch.bfloat16)
        layer.forward = lambda stream: functional.linear(stream.to(torch.bfloat16), weight).float()  # type: ignore[method-assign]

    for module in list(lm.modules()):
        if isinstance(module, LoraLayer):
            multiply(module.get_base_layer())
    multiply(lm.get_base_model().get_output_embeddings())


def take_steps(
    policy: Policy, rows: Sequence[dict[str, Any]], folder: Path, *, seed: int, keep: Sequence[int], say: Any
) -> list[float]:
    """Train on rows as the recipe's job does, as far as the last adapter that is kept.

    Args:
        policy: What is trained.
        rows: The mixture's; each is read once.
        folder: Where `step-N` go.
        seed: Of the rows' order.
        keep: After which steps the adapter is kept.
        say: Told of each step, a line.

    Returns:
        Each step's mean reward.
    """
    args: dict[str, Any] = policy.train.args
    count, longest = int(args["num_generations"]), int(args["max_completion_length"])
    together = int(args["per_device_train_batch_size"]) // count
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    optimiser = torch.optim.AdamW(policy.adapter.values(), lr=float(args["learning_rate"]), weight_decay=0.0)
    warm = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, step / int(args["warmup_steps"])))
    seen: list[float] = []
    for step in range(1, max(keep) + 1):
        batch = [rows[place] for place in order[(step - 1) * together : step * together]]
        groups = policy.groups(batch, count=count, longest=longest)
        given = policy.rewards(batch, groups)
        loss, advantage, _ = policy.loss(groups, given)
        optimiser.zero_grad()
        (loss / len(advantage)).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(policy.adapter.values(), 1.0)
        optimiser.step()
        warm.step()
        seen.append(float(given.mean()))
        say(f"step {step}: reward {given.mean():.3f}, gradient {float(norm):.3f}")
        if step in keep:
            policy.lm.save_pretrained(str(folder / f"step-{step}"))
    return seen
