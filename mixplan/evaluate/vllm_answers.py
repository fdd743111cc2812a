"""Answers prompts greedily by vLLM, for a model on a GPU where vLLM is installed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixplan.errors import EvaluateError
from mixplan.evaluate.packing import Ids
from mixplan.model import Answer, Model
from mixplan.model.answers import end_tokens

MEMORY_SHARE = 0.4
"""Of the GPU's memory for vLLM: the models that score answers stay on the same GPU."""


def is_served(model: Model) -> bool:
    """Whether vLLM answers for this model."""
    return model.device.type == "cuda" and importlib.util.find_spec("vllm") is not None


class Server:
    """A vLLM engine for one model, with its adapter where it has one; started for a longest text.

    Args:
        model: What answers.
        tokens: Prompt and answer together have at most so many tokens.

    Raises:
        EvaluateError: vLLM cannot load the model, or has too little memory.
    """

    def __init__(self, model: Model, tokens: int) -> None:
        from vllm import LLM

        self.model, self.tokens = model, tokens
        adapter = {"enable_lora": True, "max_lora_rank": rank_of(model.adapter)} if model.adapter else {}
        try:
            self.engine: Any = LLM(
                model=model.place,
                dtype=model.dtype,
                max_model_len=tokens,
                gpu_memory_utilization=MEMORY_SHARE,
                seed=0,
                **adapter,
            )
        except (RuntimeError, ValueError, OSError) as error:
            why = " ".join(str(error).split())[:300]
            raise EvaluateError(
                f"vLLM cannot serve '{model.name}' with {tokens} tokens a text in {MEMORY_SHARE:.0%} of the GPU's "
                f"memory: {why} Remove vLLM from this environment to answer with transformers."
            ) from error

    def generate(self, prompts: Sequence[Ids], *, max_new_tokens: int) -> list[Answer]:
        """Answer prompts greedily, in order; vLLM batches them by itself."""
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        settings = SamplingParams(
            temperature=0.0, max_tokens=max_new_tokens, stop_token_ids=sorted(end_tokens(self.model))
        )
        adapter = LoRARequest("trained", 1, str(self.model.adapter)) if self.model.adapter else None
        asked = [{"prompt_token_ids": list(ids)} for ids in prompts]
        found = []
        for output in self.engine.generate(asked, settings, use_tqdm=False, lora_request=adapter):
            (answer,) = output.outputs
            ids = tuple(answer.token_ids)
            text = str(self.model.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()
            found.append(Answer(text, ids, answer.finish_reason == "stop"))
        return found


def rank_of(folder: Path) -> int:
    """An adapter's rank, which vLLM reserves memory for."""
    return int(json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["r"])
