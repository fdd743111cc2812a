"""Trains an SAE with SAELens as a spec says, resumable at every buffer of tokens."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    GatedTrainingSAEConfig,
    JumpReLUTrainingSAEConfig,
    StandardTrainingSAEConfig,
    TopKTrainingSAEConfig,
    TrainingSAE,
)
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.saes.sae import SAEMetadata, TrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from mixplan import embedded
from mixplan.errors import RunError
from mixplan.model import Model, read_stream
from mixplan.runs import content_hash, set_aside, write_atomic
from mixplan.sae.corpus import Contexts, Corpus, begin
from mixplan.sae.spec import SaeTraining, Trainer
from mixplan.sae.threshold import TOKENS, set_threshold

SINK_NORM = 10.0
"""Tokens with a norm over so many times the median are attention sinks."""

Report = Callable[[int, int, dict[str, float]], None]
"""Called after each buffer with tokens done, tokens in all, and the last step's figures."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands: passes and buffers done, and what SAELens counts."""

    buffers: int
    steps: int
    samples: int
    scale: float


def train_sae(
    spec: SaeTraining,
    model: Model,
    corpus: Corpus,
    *,
    depth: int,
    folder: Path,
    report: Report,
    activations: Path | None = None,
) -> TrainingSAE[Any]:
    """Train an SAE on the residual stream after `depth` blocks.

    Args:
        spec: The whole training.
        model: The model whose stream is read.
        corpus: Token contexts.
        depth: Blocks before the hook point.
        folder: Where checkpoints (and kept activations) go; a training found here goes on.
        report: Told of progress after every buffer.
        activations: Where read activations are kept for other trainings; when None, in `folder` where the spec asks.

    Returns:
        The trained SAE, activation scale folded in, the threshold of a BatchTopK SAE set from the corpus.

    Raises:
        RunError: the checkpoint here belongs to another training.
    """
    contexts = contexts_to_train(spec, corpus)
    buffers = -(-len(contexts) // spec.buffer_contexts)
    samples = len(contexts) * (spec.context_tokens - 1) * spec.trainer.passes
    trainer = make_trainer(spec, model.d_model, samples, prepend_bos=bool(begin(model.tokenizer)))
    mark = content_hash(spec.model_dump(mode="json"), model.fingerprint, corpus.fingerprint)
    shared = activations or (folder / "activations" if spec.keep_activations else None)
    done = resume(trainer, folder, mark)
    for index in range(done, buffers * spec.trainer.passes):
        start = index % buffers * spec.buffer_contexts
        buffer = contexts[start : start + spec.buffer_contexts]
        acts = without_sinks(kept_activations(spec, model, buffer, depth, shared))
        order = torch.randperm(len(acts), generator=torch.Generator().manual_seed(spec.seed * 100_003 + index))
        if index == 0:
            start_from(trainer, acts)
        figures: dict[str, float] = {}
        for rows in order.split(spec.trainer.batch_tokens):
            output = trainer.step(acts[rows].float())
            trainer.n_training_steps += 1
            figures = {
                name: float(value.detach()) for name, value in output.losses.items() if isinstance(value, Tensor)
            }
        figures["dead_features"] = float(trainer.dead_neurons.sum())
        save_checkpoint(trainer, folder, mark, index + 1)
        report(trainer.n_training_samples, samples, figures)
    scale = trainer.activation_scaler.scaling_factor
    if scale is None:
        raise RunError(f"{folder}: no tokens were trained on. Delete the folder and start again.")
    trainer.sae.fold_activation_norm_scaling_factor(scale)
    if isinstance(trainer.sae, BatchTopKTrainingSAE):
        some = evenly(contexts, -(-TOKENS // (spec.context_tokens - 1)))
        set_threshold(trainer.sae, without_sinks(kept_activations(spec, model, some, depth, shared)))
    return trainer.sae


def evenly(contexts: Contexts, count: int) -> Contexts:
    """At most so many contexts, spread evenly over all."""
    return contexts[:: max(1, -(-len(contexts) // count))]


def sae_config(spec: Trainer, d_in: int, metadata: SAEMetadata) -> TrainingSAEConfig:
    """SAELens's training config for the kind asked for."""
    common: dict[str, Any] = {
        "d_in": d_in,
        "d_sae": spec.d_sae,
        "normalize_activations": "expected_average_only_in",
        "metadata": metadata,
    }
    if spec.kind == "batchtopk":
        return BatchTopKTrainingSAEConfig(k=float(spec.k), aux_loss_coefficient=spec.auxiliary, **common)
    if spec.kind == "topk":
        return TopKTrainingSAEConfig(k=spec.k, aux_loss_coefficient=spec.auxiliary, **common)
    if spec.kind == "gated":
        return GatedTrainingSAEConfig(l1_coefficient=spec.l1, **common)
    if spec.kind == "jumprelu":
        return JumpReLUTrainingSAEConfig(l0_coefficient=spec.l1, **common)
    return StandardTrainingSAEConfig(l1_coefficient=spec.l1, **common)


def make_trainer(spec: SaeTraining, d_in: int, samples: int, *, prepend_bos: bool) -> SAETrainer[Any, Any]:
    """SAELens's trainer over activations handed to it step by step."""
    metadata = SAEMetadata(
        model_name=embedded.MODEL_NAME if spec.model == "embedded" else spec.model,
        hook_name=spec.hook_name,
        context_size=spec.context_tokens,
        prepend_bos=prepend_bos,
        dataset_path=None,
    )
    torch.manual_seed(spec.seed)
    sae = TrainingSAE.from_dict({**sae_config(spec.trainer, d_in, metadata).to_dict()})
    steps = samples // spec.trainer.batch_tokens
    config = SAETrainerConfig(
        total_training_samples=samples,
        train_batch_size_samples=spec.trainer.batch_tokens,
        lr=spec.trainer.learning_rate,
        lr_end=spec.trainer.learning_rate / 10,
        lr_warm_up_steps=math.ceil(steps * spec.trainer.warm_up_share),
        lr_decay_steps=math.ceil(steps * spec.trainer.decay_share),
        dead_feature_window=spec.trainer.dead_after_steps,
        logger=LoggingConfig(log_to_wandb=False),
    )
    return SAETrainer(config, sae, data_provider=iter(()))


def start_from(trainer: SAETrainer[Any, Any], acts: Tensor) -> None:
    """Fix the activation scale and centre the decoder on the first buffer.

    A decoder bias at the mean spares the features from explaining the constant part of the stream.
    """
    acts = acts.float()
    scale = math.sqrt(acts.shape[1]) / float(acts.norm(dim=1).mean())
    trainer.activation_scaler.scaling_factor = scale
    trainer.sae.b_dec.data.copy_(acts.mean(0) * scale)


def contexts_to_train(spec: SaeTraining, corpus: Corpus) -> Contexts:
    """The mixed corpus, up to `train_tokens`; `[contexts, context_tokens]`."""
    if spec.train_tokens is None:
        return corpus.train
    return corpus.train[: -(-spec.train_tokens // (spec.context_tokens - 1))]


def without_sinks(acts: Tensor) -> Tensor:
    """Leave out attention sinks: tokens whose norm is over ten times the median.

    A context's first token is left out already, but a repeat of it can be a sink too; one such token would weigh as
    much in the loss as ten thousand others.
    """
    norms = acts.float().norm(dim=1)
    return acts[norms < SINK_NORM * norms.median()]


def kept_activations(spec: SaeTraining, model: Model, buffer: Contexts, depth: int, shared: Path | None) -> Tensor:
    """Activations of some contexts, read from the model or from a file that another training kept.

    Returns:
        `[tokens, d_in]` float16 (bfloat16 where a value is beyond float16), without each context's first token:
        the sequence start is an attention sink whose norm is hundreds of times the others'.
    """
    if shared is None:
        return read_activations(model, depth, buffer, spec.batch_contexts)
    kept = shared / f"{content_hash(model.fingerprint, depth, buffer.tolist())[:32]}.safetensors"
    if kept.exists():
        try:
            return load_file(kept)["activations"]
        except SafetensorError:
            set_aside(kept)
    acts = read_activations(model, depth, buffer, spec.batch_contexts)
    # Trainings beside this one may keep the same.
    write_atomic(kept, save({"activations": acts}))
    return acts


def read_activations(model: Model, depth: int, contexts: Contexts, batch: int) -> Tensor:
    """Run contexts through the model; `[contexts x (length - 1), d_in]` in half precision."""
    pieces = []
    for start in range(0, len(contexts), batch):
        tokens = torch.from_numpy(contexts[start : start + batch].astype("int64"))
        stream = read_stream(model, depth, tokens)[:, 1:].flatten(0, 1).float().cpu()
        pieces.append(stream.half() if float(stream.abs().max()) < 6e4 else stream.bfloat16())
    if len({piece.dtype for piece in pieces}) > 1:
        pieces = [piece.bfloat16() for piece in pieces]
    return torch.cat(pieces)


def save_checkpoint(trainer: SAETrainer[Any, Any], folder: Path, mark: str, buffers: int) -> None:
    """Write parameters, Adam's moments and counters as one safetensors file, atomically."""
    tensors = {f"sae.{name}": value.detach() for name, value in trainer.sae.state_dict().items()}
    parameters = dict(trainer.sae.named_parameters())
    for name, parameter in parameters.items():
        for key, value in trainer.optimizer.state[parameter].items():
            tensors[f"adam.{key}.{name}"] = value
    tensors["silent_steps"] = trainer.n_forward_passes_since_fired
    counters = {
        "mark": mark,
        "buffers": buffers,
        "steps": trainer.n_training_steps,
        "samples": trainer.n_training_samples,
        "scale": trainer.activation_scaler.scaling_factor,
    }
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "checkpoint.part"
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, part, metadata={"state": json.dumps(counters)})
    part.replace(folder / "checkpoint.safetensors")


def resume(trainer: SAETrainer[Any, Any], folder: Path, mark: str) -> int:
    """Load the checkpoint, if there is one, and say how many buffers it has seen."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        state = json.loads(file.metadata()["state"])
        if state["mark"] != mark:
            raise RunError(
                f"{path} belongs to another training (other settings, model or corpus). "
                "Choose another --out folder, or delete this one to start anew."
            )
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    trainer.sae.load_state_dict({k.removeprefix("sae."): v for k, v in tensors.items() if k.startswith("sae.")})
    for name, parameter in trainer.sae.named_parameters():
        trainer.optimizer.state[parameter] = {
            key: tensors[f"adam.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
        }
    trainer.n_forward_passes_since_fired = tensors["silent_steps"]
    trainer.n_training_steps, trainer.n_training_samples = state["steps"], state["samples"]
    trainer.activation_scaler.scaling_factor = state["scale"]
    for _ in range(state["steps"]):
        trainer.lr_scheduler.step()
    return int(state["buffers"])


def save_trained(sae: TrainingSAE[Any], folder: Path) -> None:
    """Write the SAE for inference in half precision, in SAELens's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    sae.to(dtype=torch.float16).save_inference_model(folder)


def timed(report: Report) -> Report:
    """Add tokens per second to a progress report's figures."""
    start, first = time.monotonic(), -1

    def told(done: int, total: int, figures: dict[str, float]) -> None:
        nonlocal first
        first = done if first < 0 else first
        seconds = time.monotonic() - start
        report(done, total, {**figures, "tokens_per_second": (done - first) / seconds if seconds else 0.0})

    return told
