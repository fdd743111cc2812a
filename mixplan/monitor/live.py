"""Takes the model that a trainer is training as a model that mixplan can read, and leaves it as it was."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from peft import PeftModel
from safetensors import safe_open
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from mixplan.domains import Row
from mixplan.errors import ModelError
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.model import Model, decoder_blocks, fingerprint_tensors, hold_template, text_config
from mixplan.model.load import find, refusals
from mixplan.recipe import LoadedRecipe
from mixplan.weights import weight_files

SHARDED = ("FSDP", "DEEPSPEED", "MEGATRON_LM", "TP")
"""accelerate's ways of training in which a process holds no whole weights, or holds them in a form of their own."""
COMPARED = 16
"""Values of each tensor that are held against the plan's files."""
CLOSE = 0.01
"""Part of a tensor's largest value by which bfloat16 may round: 2^-8, twice."""


def live_model(trainer: Any, loaded: LoadedRecipe) -> Model:
    """The trainer's model, adapter included, with the tokenizer and template of the plan.

    Args:
        trainer: transformers' or TRL's, its model on its device.
        loaded: The run's recipe.

    Raises:
        ModelError: the weights are spread over processes, the adapter is none that the base model holds in its layers,
            or the recipe's tokenizer cannot be loaded.
    """
    refuse_sharded(trainer.accelerator)
    spec = loaded.recipe.model
    outer: Any = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    refuse_prompt_learning(outer)
    base: Any = outer
    lm: PreTrainedModel = base.get_base_model() if isinstance(outer, PeftModel) else outer
    place = find(spec, loaded.folder(("model", "name")))
    with refusals(spec):
        tokenizer = AutoTokenizer.from_pretrained(
            place, trust_remote_code=spec.trust_remote_code, revision=spec.revision
        )
    day = hold_template(tokenizer, spec.name, settings=spec.chat_template_kwargs, date=spec.template_date)
    embedded: Any = lm.get_input_embeddings()
    return Model(
        lm=lm,
        tokenizer=tokenizer,
        name=spec.name,
        dtype=compute_type(trainer.args, embedded.weight.dtype),
        why_dtype="as it is trained",
        device=embedded.weight.device,
        blocks=decoder_blocks(lm),
        window=int(getattr(text_config(lm), "max_position_embeddings", 2048)),
        weights=fingerprint_tensors(lm.state_dict()),
        settings=type(lm).__name__,
        place=place,
        template_date=day,
    )


def compute_type(args: Any, stored: torch.dtype) -> str:
    """The type that a forward pass computes in: the trainer's mixed precision, else that of the weights."""
    if args.bf16:
        return "bfloat16"
    if args.fp16:
        return "float16"
    return str(stored).removeprefix("torch.")


def refuse_sharded(accelerator: Accelerator) -> None:
    """Hold that each process has the whole model.

    Raises:
        ModelError: it has not.
    """
    kind = str(accelerator.distributed_type).rpartition(".")[2]
    if kind in SHARDED:
        raise ModelError(
            f"DomainMonitor: {kind} spreads the weights over processes, and the monitor reads whole ones. Train with "
            "plain data parallelism (`--launch multi-gpu`), or leave the monitor out and judge the model afterwards "
            "with `mixplan eval RUN --model FOLDER`."
        )


def refuse_prompt_learning(outer: nn.Module) -> None:
    """Hold that an adapter works inside the base model's own layers.

    Raises:
        ModelError: it puts trained vectors in front of the text, which only peft's own forward pass does.
    """
    configs = outer.peft_config if isinstance(outer, PeftModel) else {}
    for config in configs.values():
        kind = str(config.peft_type).rpartition(".")[2]
        if config.is_prompt_learning:
            raise ModelError(
                f"DomainMonitor: {kind} trains vectors in front of the text, not layers, and the "
                "monitor reads layers. Train with LoRA or in full, or judge the model afterwards with `mixplan eval`."
            )


def refuse_other_tokens(trainer: Any, model: Model, rows: list[Row]) -> None:
    """Hold that the trained model reads the plan's texts as the plan's model does.

    Raises:
        ModelError: its tokenizer reads some as other tokens, or its embeddings lack some.
    """
    theirs: Any = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    texts = [prompt_text(model, row) for row in rows]
    ids = [token_ids(model, text) for text in texts]
    held = int(text_config(model.lm).vocab_size)
    others = 0
    if isinstance(theirs, PreTrainedTokenizerBase):
        found = [tuple(theirs(text, add_special_tokens=False)["input_ids"]) for text in texts]
        others = sum(one != own for one, own in zip(found, ids, strict=True))
    lacking = sum(max(one) >= held for one in ids)
    if others or lacking:
        raise ModelError(
            f"DomainMonitor: the trainer's model reads {max(others, lacking)} of {len(texts)} evaluation prompts as "
            f"other tokens than '{model.name}', for which the run was planned. Train '{model.name}', or plan a run "
            "for the model that you train."
        )


def other_weights(model: Model) -> str | None:
    """Say that training starts from other weights than the plan's; None where a sample of all tensors is the same.

    Tensors are looked for under their own names; where the plan's files are not on this machine, nothing is said.
    """
    folder = Path(model.place)
    if not folder.is_dir():
        return None
    live = {name.replace(".base_layer", ""): value for name, value in model.lm.state_dict().items()}
    begun = [name for name, value in live.items() if any(part in name for part in ADDED) and bool(value.any())]
    if begun:
        return (
            f"The training starts with an adapter that already changes the plan's '{model.name}' ('{begun[0]}'): "
            "KL and gains are held against the model that this training starts from."
        )
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - the file is no mapping
                if name in live and not alike(stored.get_tensor(name), live[name]):
                    return (
                        f"The training starts from other weights than the plan's '{model.name}' ('{name}' differs): "
                        "KL and gains are held against the model that this training starts from."
                    )
    return None


def alike(stored: torch.Tensor, live: torch.Tensor) -> bool:
    """Whether evenly spaced values of two tensors are equal but for their types' rounding."""
    if stored.numel() != live.numel() or not (stored.is_floating_point() and live.is_floating_point()):
        return True  # an embedding that grew, or quantised weights: not to be held value by value
    step = max(1, stored.numel() // COMPARED)
    ours, theirs = (value.detach().reshape(-1)[::step].float().cpu() for value in (stored, live))
    return bool((ours - theirs).abs().max() <= CLOSE * ours.abs().max().clamp(min=1e-12))


ADDED = ("lora_B", "lora_embedding_A")
"""Tensors of an adapter that are 0 as long as it changes nothing."""


@contextlib.contextmanager
def undisturbed(trainer: Any) -> Iterator[None]:
    """While open, the trainer's model is read as in evaluation; behind it all is as it was.

    Each module's mode, its buffers (some position embeddings put new ones there) and the states of the random
    generators come back; no gradient is computed or touched. The compute type is the trainer's, in a context of
    autocast of its own, whose cast weights go with it.
    """
    outer: Any = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    modules = list(outer.modules())
    modes = [module.training for module in modules]
    buffers = [dict(module._buffers) for module in modules]
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    outer.eval()
    try:
        with torch.inference_mode(), trainer.accelerator.autocast():
            yield
    finally:
        for module, mode, held in zip(modules, modes, buffers, strict=True):
            module.training = mode
            module._buffers.clear()
            module._buffers.update(held)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_gpu:
            torch.cuda.set_rng_state_all(on_gpu)


def settle(device: torch.device) -> None:
    """Wait until a GPU has done what it was given, so that its time is counted where it was spent."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
