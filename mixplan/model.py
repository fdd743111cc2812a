"""A model spec in, a loaded causal LM out, whose residual stream can be read after any block without the rest."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from mixplan import embedded
from mixplan.errors import ModelError
from mixplan.recipe import ModelSpec
from mixplan.runs import content_hash, translated

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BF16_MUST_WIN_BY = 1.2
"""bfloat16 is chosen on a CPU only when it is this much faster: a close race must not flip between two runs."""


@dataclass(frozen=True)
class Model:
    """A loaded causal LM, in evaluation mode, with what the plan must know of it.

    Attributes:
        lm: The transformers model.
        tokenizer: Its fast tokenizer.
        name: The recipe's name for it.
        dtype: Compute type, one of `float32`, `bfloat16`, `float16`.
        why_dtype: How the type was chosen, for the report.
        device: Where it runs.
        blocks: The decoder blocks, in order.
        window: Longest context in tokens.
        fingerprint: Hash over config and sampled tensor bytes (64 hexadecimal digits).
    """

    lm: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    dtype: str
    why_dtype: str
    device: torch.device
    blocks: nn.ModuleList
    window: int
    fingerprint: str

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(text_config(self.lm).hidden_size)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.lm.parameters())


def load_model(spec: ModelSpec, *, folder: Path = Path()) -> Model:
    """Load the untrained model and its tokenizer.

    Args:
        spec: A hub id, a local folder (relative to `folder`), or `embedded`.
        folder: Folder of the YAML that names a local folder.

    Raises:
        ModelError: the model is missing, not a decoder-only LM, or its device is not here.
    """
    device = resolve_device(spec.device)
    place = find(spec, folder)
    transformers_logging.disable_progress_bar()
    try:
        common: dict[str, Any] = {"trust_remote_code": spec.trust_remote_code, "revision": spec.revision}
        tokenizer = AutoTokenizer.from_pretrained(place, **common)
        lm = AutoModelForCausalLM.from_pretrained(place, dtype="auto", use_safetensors=True, **common)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ModelError(explain_load_failure(spec, error)) from error
    if not tokenizer.is_fast:
        raise ModelError(f"model '{spec.name}' has no fast tokenizer; mixplan needs token offsets. Convert it first.")
    dtype, why = resolve_dtype(spec.dtype, device, text_config(lm).hidden_size)
    lm = lm.eval().requires_grad_(False).to(device=device, dtype=DTYPES[dtype])
    return Model(
        lm=lm,
        tokenizer=tokenizer,
        name=spec.name,
        dtype=dtype,
        why_dtype=why,
        device=device,
        blocks=decoder_blocks(lm),
        window=int(getattr(text_config(lm), "max_position_embeddings", 2048)),
        fingerprint=content_hash(fingerprint_tensors(lm.state_dict()), dtype),
    )


def find(spec: ModelSpec, folder: Path) -> str:
    """Where transformers finds the model: the embedded one's folder, a local folder, or a hub id."""
    if spec.name == "embedded":
        return str(embedded_folder())
    local = folder / Path(spec.name).expanduser()
    return str(local) if local.is_dir() else spec.name


def embedded_folder() -> Path:
    """The embedded model as an ordinary folder that transformers and TRL load, made once from its GGUF file.

    transformers refuses to save a model it read from GGUF, so the model is rebuilt from its config (without the
    quantisation entry) and its state dict.
    """
    folder = embedded.converted_folder()
    if (folder / "config.json").exists():
        return folder
    gguf = embedded.gguf_file()
    transformers_logging.disable_progress_bar()
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars cannot be switched off otherwise
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        lm = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = lm.config.to_dict()
    config.pop("quantization_config", None)
    rebuilt = AutoModelForCausalLM.from_config(type(lm.config).from_dict(config), dtype=torch.float32)
    rebuilt.load_state_dict(lm.state_dict())
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as part:
            made = Path(part) / "model"
            rebuilt.save_pretrained(made)
            tokenizer.save_pretrained(made)
            # Another process may have made it meanwhile; the first one stands.
            with contextlib.suppress(OSError):
                made.rename(folder)
    return folder


def explain_load_failure(spec: ModelSpec, error: Exception) -> str:
    """One message for transformers' many ways to fail at loading, with what to do."""
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return (
            f"model '{spec.name}' brings code of its own, which mixplan does not run unasked. "
            "If you have read and trust it, set `model.trust_remote_code: true`."
        )
    if "gated" in text or "401" in text or "403" in text:
        return f"model '{spec.name}' is gated or private. Accept its terms on the hub and run `hf auth login`."
    if isinstance(error, OSError):
        return (
            f"model '{spec.name}' is neither a local folder with safetensors weights nor reachable on the hub. "
            f"Check `model.name`, or fetch it once with `hf download {spec.name}`. (transformers: {text[:300]})"
        )
    return f"model '{spec.name}' cannot be loaded as a causal LM: {text[:400]}"


def resolve_device(name: str) -> torch.device:
    """Turn `auto` into the best device present and refuse one that is not here.

    Raises:
        ModelError: the device is unknown or absent.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"model.device: '{name}' cannot be used on this machine. Use `auto` or `cpu`.") from error
    return device


def resolve_dtype(name: str, device: torch.device, width: int) -> tuple[str, str]:
    """Choose the compute type and say why.

    Args:
        name: The recipe's choice; `auto` measures on a CPU.
        device: Where the model will run.
        width: Of the residual stream, the size the measurement uses.

    Returns:
        The type's name and the reason in one sentence.
    """
    if name != "auto":
        return name, f"{name} was asked for"
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return "bfloat16", "the GPU computes bfloat16"
        return "float16", "the GPU has no bfloat16"
    if device.type != "cpu":
        return "float32", f"the safe choice on {device.type}"
    seconds = {dtype: time_matmul(DTYPES[dtype], width) for dtype in ("float32", "bfloat16")}
    ratio = seconds["float32"] / seconds["bfloat16"]
    chosen = "bfloat16" if ratio > BF16_MUST_WIN_BY else "float32"
    factor = ratio if ratio >= 1 else 1 / ratio
    word = "faster" if ratio >= 1 else "slower"
    return chosen, f"bfloat16 measured {factor:.1f} times {word} than float32 on this CPU"


def time_matmul(dtype: torch.dtype, width: int) -> float:
    """Shortest of three timings, in seconds, of a block-sized matrix product in one type."""
    left, right = torch.ones(512, width, dtype=dtype), torch.ones(width, 4 * width, dtype=dtype)
    torch.mm(left, right)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - start)
    return best


def text_config(lm: PreTrainedModel) -> Any:
    """The language model's config, also where it sits inside a multi-modal one."""
    return lm.config.get_text_config()


def decoder_blocks(lm: PreTrainedModel) -> nn.ModuleList:
    """Find the stack of decoder blocks: the module list with one entry a layer.

    Raises:
        ModelError: the model has no such stack.
    """
    count = text_config(lm).num_hidden_layers
    for module in lm.get_decoder().modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"{type(lm).__name__} has no stack of {count} decoder blocks; mixplan reads decoder-only models.")


def fingerprint_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Hash, for every tensor, its name, shape, type and at least 1,024 evenly spaced values.

    A full hash of a large model takes minutes; an edit that misses every sampled value of every tensor is not a
    trained or converted model but a crafted one.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        flat = tensor.detach().reshape(-1)
        step = max(1, flat.numel() // 1024)
        sample = flat[::step].to(device="cpu", dtype=torch.float32).contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()


class _Reached(Exception):
    """The residual stream was read; the blocks above need not run."""

    def __init__(self, stream: Tensor) -> None:
        self.stream = stream


@contextmanager
def stopping_after(model: Model, depth: int) -> Iterator[None]:
    """While open, a forward pass ends (by `_Reached`) once `depth` blocks have run.

    Raises:
        ModelError: the model has fewer blocks.
    """

    def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Reached(args[0] if args else kwargs["hidden_states"])

    if not 0 <= depth <= len(model.blocks):
        raise ModelError(f"model '{model.name}' has {len(model.blocks)} blocks; the SAE reads after block {depth}.")
    reader = model.blocks[depth] if depth < len(model.blocks) else final_norm(model)
    handle = reader.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def final_norm(model: Model) -> nn.Module:
    """The norm that reads the last block's output."""
    for name, module in model.lm.get_decoder().named_modules():
        if name.split(".")[-1] in ("norm", "ln_f", "final_layer_norm"):
            return cast("nn.Module", module)
    raise ModelError(f"{type(model.lm).__name__} has no final norm that mixplan knows; use an SAE of a lower layer.")


def read_stream(
    model: Model,
    depth: int,
    tokens: Tensor,
    *,
    positions: Tensor | None = None,
    mask: Tensor | dict[str, Tensor] | None = None,
    cache: DynamicCache | None = None,
) -> Tensor:
    """Run the first `depth` blocks and return the residual stream.

    Args:
        model: The model.
        depth: How many blocks to run; 0 reads the embeddings.
        tokens: `[batch, length]` int64.
        positions: `[batch, length]` int64; consecutive from the cache's end when not given.
        mask: `[batch, 1, length, cached + length]` additive, or one for each attention kind.
        cache: Keys and values in front; extended in place by this call's.

    Returns:
        `[batch, length, d_model]` in the model's type.
    """
    with torch.inference_mode(), stopping_after(model, depth):
        try:
            model.lm.get_decoder()(
                input_ids=tokens.to(model.device),
                position_ids=positions,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        except _Reached as reached:
            return reached.stream
    raise ModelError(f"{type(model.lm).__name__} never ran the module after block {depth}.")


def render(model: Model, messages: Sequence[tuple[str, str]], *, awaiting: bool) -> str:
    """Write a conversation as the text the model reads.

    Args:
        model: The model; without a chat template the plain format is one block a turn, `Question: …`, `Answer: …`,
            system text as it is, blocks parted by an empty line, the sequence-start token in front where there is one.
        messages: (role, content) pairs.
        awaiting: Whether to end where the assistant's answer begins.

    Raises:
        ModelError: the chat template refuses these messages.
    """
    tokenizer = model.tokenizer
    if tokenizer.chat_template:
        dicts = [{"role": role, "content": content} for role, content in messages]
        try:
            return str(tokenizer.apply_chat_template(dicts, tokenize=False, add_generation_prompt=awaiting))
        except (TemplateError, ValueError) as error:
            raise ModelError(
                f"the chat template of '{model.name}' refuses a conversation with roles "
                f"{', '.join(role for role, _ in messages)}: {error}. Remove `system` from the domain's columns."
            ) from error
    heads = {"user": "Question: ", "assistant": "Answer: "}
    blocks = [heads.get(role, "") + content for role, content in messages]
    if awaiting:
        blocks.append("Answer:")
    return (tokenizer.bos_token or "") + "\n\n".join(blocks)


def generate(model: Model, prompts: Sequence[str], *, max_new_tokens: int) -> list[str]:
    """Answer prompts greedily, as one left-padded batch.

    Args:
        model: The model.
        prompts: Rendered prompts (chat template applied).
        max_new_tokens: Longest answer.

    Returns:
        One answer a prompt, special tokens and surrounding white space removed.
    """
    tokenizer = model.tokenizer
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    encoded = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in prompts]
    longest = max(map(len, encoded))
    tokens = torch.tensor([[pad] * (longest - len(ids)) + ids for ids in encoded], device=model.device)
    seen = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in encoded], device=model.device)
    with torch.inference_mode():
        output = model.lm.generate(  # type: ignore[operator]  # GenerationMixin is added to each model class
            input_ids=tokens, attention_mask=seen, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=pad
        )
    return [str(tokenizer.decode(row[longest:], skip_special_tokens=True)).strip() for row in output]
