"""Compares ways to keep skills beside the rows of a mixture, in the organism, at equal gain on the target.

Registered: this text was fixed before its first run; its hash, with those of what it runs, opens the results.

    plain      the regime's job with one skill row a step, spread evenly: 120 steps of 16 target rows, full tuning
    none       target rows alone
    more       two skill rows a step
    half       half the learning rate, twice the steps
    quarter    a quarter of the learning rate, four times the steps
    adapter    LoRA of rank 16 on all linear layers, three times the learning rate, four times the steps
    kl_1       beside the loss the KL divergence of the skill rows' answer tokens from the untrained model, weight 1
    kl_10      the same, weight 10

Steps beyond 120 go over the same rows again. Every arm is taken where its accuracy on the target first reaches a bar,
looked at every ten steps on the split `probe`: nine tenths of the way from the untrained model to the end of `plain`,
on that target with that seed. An arm that never reaches it is taken at its end, and counted. So `plain` too is taken
early; `end` is what its last step left, so that `plain` beside `end` is what a checkpoint chosen in time is worth.

Judged on the split `evaluation` by the worst skill's accuracy less that of `plain`. Ten development targets with one
seed choose, among `half`, `quarter` and `adapter`, and among the two of KL, by the mean of that difference where an arm
keeps at least 95 % of the gain of `plain`. The held-out targets judge what was chosen, beside `none`, `more` and `end`,
with two seeds: a lever surely keeps skills where, over targets, seeds averaged, Student's interval at 95 % over all
five (Bonferroni) is above 0 and it keeps at least 95 % of the gain of `plain`.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from organism_arms import (
    BY_NAME,
    ITEMS,
    TARGET_ROWS,
    Job,
    Measured,
    batches,
    measure,
    part_of_rate,
    read,
    read_skills,
    spread,
    weights_mark,
)
from organism_lessons import rows_of
from organism_regime import HASHED, Difference, Start, append, difference, load_organism, untrained
from organism_skills import Item, draw_items
from organism_targets import divided
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from mixplan.errors import RunError

CELL = (1e-4, 120)
"""Learning rate and steps of the job."""
EVERY = 10
"""Steps between two looks at the target."""
BAR = 0.9
"""Part of the gain of `plain` at which all are compared."""
SEEDS = (0, 1)
KEPT = 0.95


@dataclass(frozen=True)
class Lever:
    """How an arm trains.

    Attributes:
        rate: Learning rate over that of the job.
        rounds: How often it goes over the job's rows.
        extra: Skill rows a step.
        kl: Weight of the KL divergence at the skill rows' answer tokens.
        rank: Of an adapter; 0 tunes all weights.
    """

    rate: float = 1.0
    rounds: int = 1
    extra: int = 1
    kl: float = 0.0
    rank: int = 0


LEVERS = {
    "plain": Lever(),
    "none": Lever(extra=0),
    "more": Lever(extra=2),
    "half": Lever(rate=0.5, rounds=2),
    "quarter": Lever(rate=0.25, rounds=4),
    "adapter": Lever(rate=3.0, rounds=4, rank=16),
    "kl_1": Lever(kl=1.0),
    "kl_10": Lever(kl=10.0),
}
KINDS = {"weaker": ("half", "quarter", "adapter"), "kl": ("kl_1", "kl_10")}
"""Of each the development targets choose one."""


@dataclass(frozen=True)
class Line:
    """One training, as it stands in the results.

    Attributes:
        target, seed, arm: Which.
        step: At which the arm was taken.
        reached: Whether its accuracy on the target was over the bar there.
        seconds: Processor seconds of training up to there, without looking.
        measured: What it had left of each skill there.
        end: The same after the last step, of `plain` alone.
    """

    target: str
    seed: int
    arm: str
    step: int
    reached: bool
    seconds: float
    measured: Measured
    end: Measured | None = None


def worst(one: Measured) -> float:
    """Accuracy of the skill that came out worst."""
    return min(right for right, _, _ in one.skills.values()) / ITEMS


def steps_of(lever: Lever, target: str, seed: int, words: Sequence[str]) -> list[list[Item]]:
    """The rows of each step: the target's first."""
    job = Job(target, *CELL, lever.extra, seed)
    amounts = spread(dict.fromkeys(words, 1.0), job.budget) if lever.extra else None
    return batches(job, amounts) * lever.rounds


def loss_of(model: LlamaForCausalLM, before: LlamaForCausalLM, items: Sequence[Item], weight: float) -> Tensor:
    """Mean cross-entropy of the answers' tokens, and the weighted divergence of the skill rows' from the untrained.

    The divergence is summed over the skill rows' answer tokens and divided by the number of all answer tokens, as
    `train.replay_kl` is.
    """
    tokens, answers = rows_of(items)
    asked, wanted = answers[:, 1:], tokens[:, 1:]
    logits = model.lm_head(model.model(input_ids=tokens).last_hidden_state[:, :-1][asked])
    loss = nn.functional.cross_entropy(logits, wanted[asked])
    if weight and len(items) > TARGET_ROWS:
        replay = (torch.arange(len(items)) >= TARGET_ROWS)[:, None].expand_as(asked)[asked]
        with torch.no_grad():
            own = before.lm_head(before.model(input_ids=tokens).last_hidden_state[:, :-1][asked])[replay]
        logs, kept = logits[replay].log_softmax(-1), own.log_softmax(-1)
        loss = loss + weight * (kept.exp() * (kept - logs)).sum() / int(asked.sum())
    return loss


def trained(
    start: LlamaForCausalLM, lever: Lever, steps: Sequence[Sequence[Item]], seed: int = 0
) -> Iterator[LlamaForCausalLM]:
    """Train a copy of the model; it is given after each step, not to be changed. An adapter begins by the seed."""
    model = copy.deepcopy(start).train().requires_grad_(True)
    outer: nn.Module = model
    if lever.rank:
        config = LoraConfig(r=lever.rank, lora_alpha=2 * lever.rank, target_modules="all-linear")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            outer = get_peft_model(model, config)
    weights = [value for value in outer.parameters() if value.requires_grad]
    rate = CELL[0] * lever.rate
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01, fused=True)
    for step, items in enumerate(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * part_of_rate(step, len(steps))
        loss = loss_of(model, start, items, lever.kl)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        yield model


@dataclass(frozen=True)
class Asked:
    """A target with a seed, and what is known of the organism."""

    start: Start
    target: str
    seed: int

    def looked(self, model: LlamaForCausalLM) -> float:
        """Accuracy on the target's questions of the split `probe`."""
        with reading(model):
            return read(model, draw_items(BY_NAME[self.target].task, "probe", ITEMS, "skills")).accuracy

    def measured(self, model: LlamaForCausalLM) -> Measured:
        """What is left of each skill."""
        with reading(model):
            job = Job(self.target, *CELL, 1, self.seed)
            return measure(model, job, self.start.evaluation, time.process_time())


class reading:  # noqa: N801 - used as a function
    """While open, a model is in evaluation mode."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.model.eval()

    def __exit__(self, *_: object) -> None:
        self.model.train()


def arm(asked: Asked, name: str, bar: float | None) -> tuple[Line, float]:
    """Train one arm up to the bar; `plain`, which sets it, to its end.

    Args:
        asked: Target and seed.
        name: The arm's.
        bar: Accuracy at which it is taken; None for `plain`.

    Returns:
        What it left, and the bar.
    """
    lever = LEVERS[name]
    steps = steps_of(lever, asked.target, asked.seed, list(asked.start.probe))
    looks: list[tuple[int, float, float, dict[str, Tensor]]] = []
    seconds, began = 0.0, time.process_time()
    for number, model in enumerate(trained(asked.start.model, lever, steps, asked.seed), 1):
        if number % EVERY == 0 or number == len(steps):
            seconds += time.process_time() - began
            right = asked.looked(model)
            looks.append((number, right, seconds, copy.deepcopy(model.state_dict()) if bar is None else {}))
            if bar is not None and right >= bar:
                break
            began = time.process_time()
    if bar is not None:
        step, right, seconds, _ = looks[-1]
        return Line(asked.target, asked.seed, name, step, right >= bar, seconds, asked.measured(model)), bar
    end = asked.measured(model)
    first = asked.looked(asked.start.model)
    bar = first + BAR * (looks[-1][1] - first)
    step, right, seconds, state = next((look for look in looks if look[1] >= bar), looks[-1])
    model.load_state_dict(state)
    return Line(asked.target, asked.seed, name, step, right >= bar, seconds, asked.measured(model), end), bar


def compare_levers(folder: Path, results: Path, *, told: Callable[[str], None]) -> None:
    """Run every training that the results do not hold yet: development, what it chooses, and what judges.

    Args:
        folder: The organism's.
        results: JSON lines; the first holds what was registered.
        told: Given a line after each training.

    Raises:
        RunError: the results are of another comparison.
    """
    model, words = load_organism(folder)
    start = Start(model, read_skills(model, words, "evaluation"), read_skills(model, words, "probe"))
    development, held = divided()
    header = {
        "cell": list(CELL), "seeds": list(SEEDS), "levers": {name: asdict(one) for name, one in LEVERS.items()},
        "items": ITEMS, "skills": words, "weights": weights_mark(model), "sha256": marks(),
        "untrained": untrained(start, [*development, *held]),
    }  # fmt: skip
    lines, bars = begun(results, header)

    def run(names: Sequence[str], target: str, seed: int) -> None:
        asked = Asked(start, target, seed)
        for name in names:
            if (target, seed, name) not in lines:
                line, bar = arm(asked, name, bars.get((target, seed)))
                bars[target, seed] = bar
                append(results, asdict(line) | {"bar": bar})
                lines[target, seed, name] = line
                told(f"{target:14s} seed {seed} {name:8s} step {line.step:3d} worst {worst(line.measured):.3f}")

    for target in development:
        run(list(LEVERS), target.name, SEEDS[0])
    names = ["plain", "none", "more", *chosen(list(lines.values()), header).values()]
    for seed in SEEDS:
        for target in held:
            run(names, target.name, seed)


def begun(
    results: Path, header: Mapping[str, object]
) -> tuple[dict[tuple[str, int, str], Line], dict[tuple[str, int], float]]:
    """The trainings that are there and the bars, where they are of the same comparison; begins the file otherwise."""
    if not results.exists():
        append(results, header)
    first, lines, bars = read_levers(results)
    if first != json.loads(json.dumps(header)):
        raise RunError(f"{results} is of another comparison or another organism. Name another file, or delete it.")
    return {(line.target, line.seed, line.arm): line for line in lines}, bars


def read_levers(results: Path) -> tuple[dict[str, object], list[Line], dict[tuple[str, int], float]]:
    """What was registered, the trainings, and the bars; a last line that was cut is left out."""
    first, *others = map(json.loads, results.read_text(encoding="utf-8").split("\n")[:-1])
    lines, bars = [], {}
    for one in others:
        bars[one["target"], one["seed"]] = one.pop("bar")
        end = Measured(**one["end"]) if one["end"] else None
        lines.append(Line(**one | {"measured": Measured(**one["measured"]), "end": end}))
    return first, lines, bars


def marks() -> dict[str, str]:
    """The first half of the hash of each file that the comparison runs."""
    here = Path(__file__).parent
    names = (Path(__file__).name, *HASHED)
    return {name: hashlib.sha256((here / name).read_bytes()).hexdigest()[:16] for name in names}


@dataclass(frozen=True)
class Beside:
    """How an arm stands beside `plain`.

    Attributes:
        arm: Which.
        targets, trainings: How many.
        worst, mean: Accuracy of the worst skill and of all, less those of `plain`.
        kept: Its gain on the target as a part of that of `plain`.
        reached: Trainings that reached the bar.
        steps, seconds: Up to where it was taken, over those of `plain`; means over trainings first.
        surely: Whether it surely keeps skills.
    """

    arm: str
    targets: int
    trainings: int
    worst: Difference
    mean: Difference
    kept: float
    reached: int
    steps: float
    seconds: float
    surely: bool


def beside(
    lines: Sequence[Line], first: Mapping[str, object], targets: Sequence[str], name: str, cells: int
) -> Beside | None:
    """Judge one arm, or `end`, on some targets; None where none has it and `plain`."""
    starts: dict[str, int] = first["untrained"]["targets"]  # type: ignore[index]  # as `compare_levers` wrote it
    by = {(line.arm, line.target, line.seed): line for line in lines if line.target in targets}
    pairs: dict[str, list[tuple[Measured, Measured]]] = {}
    taken: list[tuple[Line, Line]] = []
    for (one, target, seed), line in by.items():
        plain = by.get(("plain", target, seed))
        if plain is None or one != ("plain" if name == "end" else name):
            continue
        after = plain.end if name == "end" else line.measured
        assert after is not None
        pairs.setdefault(target, []).append((after, plain.measured))
        taken.append((line, plain))
    if not pairs:
        return None

    def apart(value: Callable[[Measured], float]) -> Difference:
        each = [average([value(one) - value(other) for one, other in some]) for some in pairs.values()]
        return difference(each, cells)

    gains = [
        sum(average([some[place].target - starts[target] for some in found]) for target, found in pairs.items())
        for place in (0, 1)
    ]
    last = CELL[1]
    steps = sum(last if name == "end" else line.step for line, _ in taken) / sum(plain.step for _, plain in taken)
    seconds = sum(line.seconds for line, _ in taken) / sum(plain.seconds for _, plain in taken)
    kept, low = gains[0] / gains[1] if gains[1] else float("nan"), apart(worst)
    return Beside(
        name, len(pairs), len(taken), low, apart(mean), kept, sum(line.reached for line, _ in taken), steps,
        float("nan") if name == "end" else seconds, low.low > 0 and kept >= KEPT,
    )  # fmt: skip


def mean(one: Measured) -> float:
    """Mean accuracy over skills."""
    return average([right for right, _, _ in one.skills.values()]) / ITEMS


def average(values: Sequence[float]) -> float:
    """The mean of some numbers."""
    return sum(values) / len(values)


def chosen(lines: Sequence[Line], first: Mapping[str, object]) -> dict[str, str]:
    """The lever of each kind that the development targets choose; the first of a kind where none keeps the gain."""
    targets = [target.name for target in divided()[0]]
    found = {}
    for kind, names in KINDS.items():
        judged = [one for name in names if (one := beside(lines, first, targets, name, 1)) is not None]
        able = [one for one in judged if one.kept >= KEPT]
        found[kind] = max(able, key=lambda one: one.worst.mean).arm if able else names[0]
    return found
