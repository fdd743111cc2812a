"""Takes one step along the reward's gradient at the untrained model, and keeps it.

With sampled answers, their weights A in the job's loss (by TRL's defaults their advantages; see
`mixplan.mixture.grpo_loss`) and a fresh adapter's parameters w of the recipe's `train.lora`, the step is

    w + 10 learning rates times the sign of the gradient of sum over answers i of A_i log p(answer i),

what AdamW's first step does, ten times as far. At first an adapter's B is 0, so that its A has no gradient and B alone
moves. Gradients are taken in float32, whatever type the plan reads in: a sign would otherwise hang on rounding.

They are taken a few prompts at a time; each such part is kept until the step is, so that work goes on where it was
stopped, and several processes take parts each and add them up in one order.

Source: recipes/studies/smollm2-135m-grpo-direction, `untrained/step`; there it named more of the features that jobs
moved than worked examples did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from mixplan.drift.rollouts import Rollout
from mixplan.errors import DriftError, MixplanError, ModelError
from mixplan.mixture.grpo_loss import loss_weights
from mixplan.model import Model, load_model
from mixplan.model.answers import sampled_ends
from mixplan.model.device import threads
from mixplan.model.fresh_adapter import (
    FreshAdapter,
    WeighedAnswers,
    refuse_undifferentiable,
    tensors_from_bytes,
    tensors_to_bytes,
)
from mixplan.plan.job import adapter_of
from mixplan.reading.identity import learning_rate
from mixplan.reading.progress import Watcher
from mixplan.reading.workers import Workers
from mixplan.recipe import LoadedRecipe
from mixplan.runs import cache_folder, content_hash, store, unseal, version_of
from mixplan.saved.scores import RewardStep

STEP = 10
"""Learning rates that the step has, as in the study (its `readings.STEP`)."""

PART_PROMPTS = 4
"""Prompts whose gradient is taken, and kept until the step is, together."""

VERSION = 1
"""Of how a step is taken; part of its key."""


def refuse_unfit(model: Model) -> None:
    """Hold, before hours of sampling, that the model can be differentiated.

    Raises:
        ModelError: it cannot.
    """
    refuse_undifferentiable(model)


def in_float32(loaded: LoadedRecipe, model: Model, watcher: Watcher) -> Model:
    """The whole untrained model in float32: the plan's own where it is that already, else loaded beside it.

    Raises:
        DriftError: both do not fit the memory.
        ModelError: it cannot be loaded.
    """
    if model.dtype == "float32" and model.loaded_blocks is None:
        return model
    spec = loaded.recipe.model
    watcher.say(f"loading {spec.name} once more, in float32, for a step along the reward's gradient")
    try:
        return load_model(spec.model_copy(update={"dtype": "float32"}), folder=loaded.folder(("model", "name")))
    except ModelError as error:
        if "out of memory" not in str(error.__cause__).lower():
            raise
        raise DriftError(
            f"drift.from: reward_step reads '{spec.name}' in float32 beside the plan's own in {model.dtype}, and both "
            "do not fit the memory of its device. Set `model.dtype: float32`, which holds one alone, or `drift.from` "
            "to icl, rollouts or checkpoint."
        ) from error


@dataclass(frozen=True)
class Gradient:
    """What a gradient is taken of, in parts.

    Attributes:
        adapter: By whose parameters.
        parts: Prompts with their answers, some together.
        temperature: Of the sampling.
        key: Hash of all that a part depends on but its answers.
        folder: Where parts are kept.
    """

    adapter: FreshAdapter
    parts: tuple[tuple[WeighedAnswers, ...], ...]
    temperature: float
    key: str
    folder: Path

    def place(self, part: Sequence[WeighedAnswers]) -> Path:
        """Where a part's gradient is kept."""
        key = content_hash(self.key, [astuple(group) for group in part])
        return self.folder / key[:2] / f"{key}.part.safetensors"

    def take(self, watcher: Watcher, workers: Workers) -> None:
        """Take the gradients of this process's parts that are not kept yet."""
        for number, part in enumerate(self.parts):
            if number % workers.count != workers.rank:
                continue
            if (data := unseal(self.place(part))) is not None and tensors_from_bytes(data) is not None:
                watcher.advance(sum(len(group.answers) for group in part))
                continue
            found = self.adapter.gradient(part, temperature=self.temperature, on_answers=watcher.advance)
            store(self.place(part), tensors_to_bytes(found))
        workers.wait()

    def follow(self, size: float) -> None:
        """Take the step along the sum of all parts, added up in their order.

        Raises:
            DriftError: the gradient is 0 everywhere.
            MixplanError: a part of another process did not arrive.
        """
        total = None
        for part in self.parts:
            data = unseal(self.place(part))
            found = None if data is None else tensors_from_bytes(data)
            if found is None:
                raise not_arrived(self.folder)
            total = found if total is None else {name: total[name] + value for name, value in found.items()}
        if total is None or not any(value.any() for value in total.values()):
            raise DriftError(
                "drift.from is reward_step, but the sampled answers' gradient is 0 in every value of the adapter: "
                "answers whose rewards differ are the same tokens, or all were cut at `drift.rollouts.answer_tokens` "
                "and `train.args.mask_truncated_completions` leaves them out. Sample more of them with "
                "`drift.rollouts.samples`, or set `drift.from: icl`."
            )
        self.adapter.step(total, size)

    def forget(self) -> None:
        """Let go of the parts."""
        for part in self.parts:
            self.place(part).unlink(missing_ok=True)


def stepped(
    loaded: LoadedRecipe,
    untrained: Model,
    rollouts: Sequence[Rollout],
    prompts: Sequence[tuple[int, ...]],
    *,
    watcher: Watcher,
    workers: Workers,
) -> tuple[Model, RewardStep]:
    """The untrained model one step along the reward's gradient, from the cache or made now.

    Args:
        loaded: The recipe.
        untrained: The model, whole, in float32.
        rollouts: Sampled answers, to questions whose answers differ in reward.
        prompts: Token ids of these questions.
        watcher: Told of progress.
        workers: Which process this is; the gradient is taken by all of them.

    Returns:
        The model, which shares the untrained one's weights, and what plan.json says of the step.

    Raises:
        DriftError: the gradient is 0.
        ModelError: the model cannot be differentiated.
        TrainError: the adapter does not fit the model.
        MixplanError: another process's part did not arrive.
    """
    rate = learning_rate(loaded)
    gradient = gradient_of(loaded, untrained, rollouts, prompts)
    adapter, folder = gradient.adapter, gradient.folder
    key = content_hash(gradient.key, STEP, rate, [[astuple(group) for group in part] for part in gradient.parts])
    place = folder / key[:2] / f"{key}.safetensors"
    if not workers.agreed(lambda: [int(kept_in(adapter, place))])[0]:
        watcher.stage("taking a step along the reward's gradient", sum(len(one.ids) for one in rollouts), "answers")
        gradient.take(watcher, workers)
        try:
            gradient.follow(STEP * rate)
        except MixplanError:
            # Another plan of this job may have been done meanwhile, and have let go of the parts.
            if not kept_in(adapter, place):
                raise
        if workers.rank == 0:
            store(place, adapter.to_bytes())
        workers.wait()
        if workers.rank == 0:
            gradient.forget()
    elif not kept_in(adapter, place):
        raise not_arrived(folder)
    model = adapter.model()
    told = RewardStep(
        learning_rate=rate,
        learning_rates=STEP,
        adapter=adapter_of(loaded.recipe.train.lora),
        answers=sum(weight != 0 for part in gradient.parts for group in part for weight in group.weights),
        hash=model.weights,
    )
    return model, told


def gradient_of(
    loaded: LoadedRecipe, untrained: Model, rollouts: Sequence[Rollout], prompts: Sequence[tuple[int, ...]]
) -> Gradient:
    """What the gradient is taken of, with nothing taken yet.

    Raises: see `stepped`.
    """
    recipe = loaded.recipe
    lora = recipe.train.lora or {}  # a job without one is refused with the recipe
    temperature = recipe.drift.rollouts.temperature
    weights, ends = loss_weights(loaded.resolved["train"]), sampled_ends(untrained)
    groups = [
        WeighedAnswers(prompt, one.ids, weights.of(one.advantages, one.rewards, one.ids, ends))
        for one, prompt in zip(rollouts, prompts, strict=True)
    ]
    return Gradient(
        adapter=FreshAdapter(untrained, lora, seed=recipe.seed),
        parts=tuple(tuple(groups[start : start + PART_PROMPTS]) for start in range(0, len(groups), PART_PROMPTS)),
        temperature=temperature,
        key=content_hash(
            "reward step", VERSION, untrained.fingerprint, untrained.device.type, threads(), lora, recipe.seed,
            temperature, version_of("peft"), version_of("torch"),
        ),
        folder=cache_folder() / "reward_steps",
    )  # fmt: skip


def kept_in(adapter: FreshAdapter, place: Path) -> bool:
    """Give an adapter the values that are kept of a step; False where there are none, or damaged ones."""
    data = unseal(place)
    return data is not None and adapter.put(data)


def not_arrived(folder: Path) -> MixplanError:
    """The error for what another process made and this one does not see."""
    return MixplanError(
        f"{folder}: another process's part of the gradient did not arrive. "
        "All processes must share one cache folder: set MIXPLAN_CACHE to a shared one."
    )
