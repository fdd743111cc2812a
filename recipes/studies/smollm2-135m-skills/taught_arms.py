"""Teaches the embedded model its skills, trains it on a target with some of their rows, and reads every skill.

Losses and readings are of answers' tokens alone, in bfloat16 by `torch.autocast` over weights in float32. A greedy
answer equals the right one just where each token of the right one is the likeliest behind those before it, so that one
pass over the right answers tells which would be given.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from taught_skills import SKILLS, Item, draw_items
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from mixplan.model.load import embedded_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bin"))
from organism_arms import Job as OrganismJob
from organism_arms import part_of_rate

TEACHING = {"rows": 1200, "batch": 16, "learning_rate": 1e-3, "r": 32, "seed": 1}
"""Rows of each skill, once each, and the LoRA adapter that learns them."""
TARGET_ROWS = 8
"""Target rows in each step of each arm."""
JOB_LORA = 16
READ_TOKENS = 4096
"""Tokens of a batch that is read, with its padding."""
PASS_ROWS = 8
"""Rows of a training step that pass at once, of about one length: a step's longest row pads few others."""


@dataclass(frozen=True)
class Job(OrganismJob):
    """A training on a target, as the organism's are.

    Attributes:
        way: `full` trains all weights, `lora` an adapter, whose weights the seed draws too.
    """

    way: str = "full"


class Chats:
    """Turns questions and answers into tokens by the model's own chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.kept = tokenizer, dict[Item, tuple[list[int], int]]()

    def tokens(self, item: Item) -> tuple[list[int], int]:
        """A question's and its answer's tokens, and how many at the end are the answer's with the turn's end."""
        if item not in self.kept:
            asked = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": item.question}], add_generation_prompt=True, tokenize=False
            )
            answer = self.tokenizer(item.answer, add_special_tokens=False)["input_ids"] + [self.tokenizer.eos_token_id]
            self.kept[item] = (self.tokenizer(asked, add_special_tokens=False)["input_ids"] + answer, len(answer))
        return self.kept[item]

    def rows(self, items: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """Items padded at the right, where nothing before can see it.

        Returns:
            `[items, longest]` int64 tokens and bool, whether a token is the answer's.
        """
        found = [self.tokens(item) for item in items]
        tokens = torch.zeros(len(found), max(len(ids) for ids, _ in found), dtype=torch.int64)
        answers = torch.zeros(tokens.shape, dtype=torch.bool)
        for row, (ids, answered) in enumerate(found):
            tokens[row, : len(ids)] = torch.tensor(ids)
            answers[row, len(ids) - answered : len(ids)] = True
        return tokens, answers


def untaught() -> tuple[LlamaForCausalLM, Chats]:
    """The embedded model in float32, and its chats."""
    folder = embedded_folder()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval().requires_grad_(False), Chats(AutoTokenizer.from_pretrained(folder))


def answer_logits(model: Any, tokens: Tensor, answers: Tensor) -> Tensor:
    """The logits that tell each answer token, `[answer tokens, vocabulary]` float32, row by row."""
    hidden = model.model(input_ids=tokens).last_hidden_state
    logits: Tensor = model.lm_head(hidden[:, :-1][answers[:, 1:]])
    return logits.float()


def batched(items: Sequence[Item], chats: Chats) -> Iterator[list[int]]:
    """Places of items of about one length, at most `READ_TOKENS` tokens in a batch, padding included."""
    order = sorted(range(len(items)), key=lambda place: -len(chats.tokens(items[place])[0]))
    while order:
        count = max(1, READ_TOKENS // len(chats.tokens(items[order[0]])[0]))
        yield order[:count]
        order = order[count:]


@torch.inference_mode()
def right_answers(model: Any, chats: Chats, items: Sequence[Item]) -> Tensor:
    """Whether the greedy answer to each item is its right answer, the turn's end and all; `[items]` bool."""
    right = torch.zeros(len(items), dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        for places in batched(items, chats):
            tokens, answers = chats.rows([items[place] for place in places])
            met = answer_logits(model, tokens, answers).argmax(-1) == tokens[:, 1:][answers[:, 1:]]
            right[places] = torch.stack([part.all() for part in met.split(answers.sum(1).tolist())])
    return right


def train_steps(model: Any, inner: Any, chats: Chats, steps: Sequence[Sequence[Item]], rate: float) -> Iterator[float]:
    """Trains what requires a gradient, by AdamW on the mean loss of each step's answer tokens, and yields the losses.

    Args:
        model: Whose parameters are trained.
        inner: The same as a causal language model, which an adapter's model holds inside.
        chats: How items become tokens.
        steps: The items of each step.
        rate: The highest learning rate.
    """
    trained = [value for value in model.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01, fused=True)
    for step, items in enumerate(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * part_of_rate(step, len(steps))
        optimiser.zero_grad()
        yield passed(inner, chats, items)
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()


def passed(inner: Any, chats: Chats, items: Sequence[Item]) -> float:
    """The mean loss of a step's answer tokens, in nats; adds its gradient."""
    ordered = sorted(items, key=lambda item: len(chats.tokens(item)[0]))
    count, total = sum(chats.tokens(item)[1] for item in items), 0.0
    with torch.autocast("cpu", torch.bfloat16):  # once a step: its casts of the weights are kept as long
        for start in range(0, len(ordered), PASS_ROWS):
            tokens, answers = chats.rows(ordered[start : start + PASS_ROWS])
            wanted = tokens[:, 1:][answers[:, 1:]]
            logits = answer_logits(inner, tokens, answers)
            loss = nn.functional.cross_entropy(logits, wanted, reduction="sum") / count
            loss.backward()
            total += float(loss.detach())
    return total


def adapted(model: LlamaForCausalLM, r: int, seed: int) -> PeftModel:
    """The model under a new LoRA adapter of all its linear layers but the head."""
    torch.manual_seed(seed)
    config = LoraConfig(r=r, lora_alpha=2 * r, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def lessons() -> list[list[Item]]:
    """The rows that teach the skills, all skills mixed; `[steps]` of rows."""
    rows = [
        item
        for skill in SKILLS
        for item in draw_items(skill.name, "train", TEACHING["rows"], TEACHING["seed"], distinct=False)
    ]
    random.Random(TEACHING["seed"]).shuffle(rows)  # noqa: S311 - no secret
    return [rows[place : place + TEACHING["batch"]] for place in range(0, len(rows), TEACHING["batch"])]


def teach(folder: Path, told: Any) -> None:
    """Trains the adapter of the skills and saves it as peft does; nothing where it is there."""
    if (folder / "adapter_config.json").exists():
        return
    model, chats = untaught()
    learner = adapted(model, TEACHING["r"], TEACHING["seed"])
    steps = lessons()
    losses = train_steps(learner, learner.base_model.model, chats, steps, TEACHING["learning_rate"])
    for step, loss in enumerate(losses):
        if (step + 1) % 10 == 0:
            told(f"step {step + 1} of {len(steps)}: loss {loss:.3f}")
    part = folder.with_name(f"{folder.name}.part")
    learner.save_pretrained(part)
    part.rename(folder)


def taught(folder: Path) -> tuple[LlamaForCausalLM, Chats]:
    """The model with its skills, the adapter merged into its weights."""
    model, chats = untaught()
    merged = PeftModel.from_pretrained(model, folder).merge_and_unload()
    return merged.eval().requires_grad_(False), chats


def batches(job: Job, amounts: Mapping[str, int] | None) -> list[list[Item]]:
    """The rows of each step: target rows that all arms share, then the skills' rows, shuffled.

    Args:
        job: Which.
        amounts: Rows of each skill that sum to the job's budget; None for the target alone.
    """
    own = draw_items(job.target, "train", TARGET_ROWS * job.steps, 100 + job.seed, distinct=False)
    taken = [list(own[TARGET_ROWS * step : TARGET_ROWS * (step + 1)]) for step in range(job.steps)]
    if amounts is None:
        return taken
    if sum(amounts.values()) != job.budget:
        raise ValueError(f"{sum(amounts.values())} rows, but the budget is {job.budget}")
    extra = [
        item
        for name, count in amounts.items()
        for item in draw_items(name, "train", job.budget, 200 + job.seed, distinct=False)[:count]
    ]
    random.Random(job.seed).shuffle(extra)  # noqa: S311 - no secret
    return [part + extra[job.extra_rows * step : job.extra_rows * (step + 1)] for step, part in enumerate(taken)]


def train_arm(start: LlamaForCausalLM, chats: Chats, job: Job, amounts: Mapping[str, int] | None) -> LlamaForCausalLM:
    """Trains a copy of the model and gives it back ready to be read."""
    model: Any = copy.deepcopy(start)
    inner = model
    if job.way == "lora":
        model = adapted(model, JOB_LORA, job.seed)
        inner = model.base_model.model
    else:
        model.requires_grad_(True)
    for _ in train_steps(model, inner, chats, batches(job, amounts), job.learning_rate):
        pass
    trained: LlamaForCausalLM = model.merge_and_unload() if job.way == "lora" else model
    return trained.eval().requires_grad_(False)
