"""Reads from an SAE's config alone what it reads and what it asks of its input, before parameters or model load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sae_lens.loading.pretrained_sae_loaders import handle_config_defaulting
from sae_lens.loading.pretrained_saes_directory import get_config_overrides, get_pretrained_saes_directory

from mixplan.errors import SaeError
from mixplan.recipe import SaeSpec
from mixplan.sae.pretrained import check_release, explained, name_of, read_config
from mixplan.sae.sparsify import Config

ELEMENTWISE = ("standard", "jumprelu", "gated")
"""Kinds whose every feature depends on its own encoder column alone; top-k kinds compare features with each other."""

KINDS = (*ELEMENTWISE, "topk")
"""SAELens's inference kinds that mixplan reads; BatchTopK SAEs are saved as jumprelu."""

CENTRE = "center_writing_weights"
UNSEEN = {
    *("fold_ln", "center_unembed", "fold_value_biases", "refactor_factored_attn_matrices", "dtype", "device"),
    *("n_devices", "move_to_device", "default_prepend_bos", "default_padding_side", "trust_remote_code"),
    *("low_cpu_mem_usage", "attn_implementation", "torch_dtype", "device_map", "token", "cache_dir"),
}
"""TransformerLens's ways to process or load a model that leave its residual stream as it is: a norm's weights move into
the matrices that read it, biases from one term of a sum to another, and logits are shifted after the stream ends."""


@dataclass(frozen=True)
class Outline:
    """What an SAE's config tells.

    Attributes:
        name: How messages name the SAE.
        kind: SAELens's architecture name.
        hook_name: The hook point as the config (or the recipe) names it.
        depth: How many decoder blocks run before the hook point.
        d_in: Width of the stream that it reads.
        d_sae: Number of features; None where only the parameters tell.
        made_for: The model that its config names, then the one that SAELens's table names, where they do.
        centred: Whether it was trained on a model whose stream has mean 0 (`center_writing_weights`).
        normalization: SAELens's `normalize_activations`.
    """

    name: str
    kind: str
    hook_name: str
    depth: int
    d_in: int
    d_sae: int | None
    made_for: tuple[str, ...]
    centred: bool
    normalization: str


def sae_depth(spec: SaeSpec, folder: Path = Path()) -> int:
    """How many decoder blocks run before an SAE's hook point, from its config alone.

    Args:
        spec: Registry release, hub repository, local folder, or the embedded one.
        folder: Folder of the YAML that names a local folder.

    Raises:
        SaeError: see `outline`.
    """
    return outline(spec, folder).depth


def outline(spec: SaeSpec, folder: Path = Path()) -> Outline:
    """Read an SAE's config; of Gemma Scope 2, which has no widths in it, also the head of its parameters' file.

    Args:
        spec: Registry release, hub repository, local folder, or the embedded one.
        folder: Folder of the YAML that names a local folder.

    Raises:
        SaeError: it cannot be found, is not an SAE of a residual stream, or is of a kind that mixplan does not read.
    """
    name = name_of(spec)
    if spec.release is not None:
        check_release(spec.release, spec.id or "")
    raw = read_config(spec, folder)
    refuse_activation(name, raw)
    with explained(spec):
        config = handle_config_defaulting(dict(raw))
        kind, d_in = str(config["architecture"]), int(config["d_in"])
    metadata: Config = config.get("metadata") or {}
    refuse_transcoder(name, kind, metadata)
    hook_name = spec.hook_name or metadata.get("hook_name")
    if kind not in KINDS:
        raise SaeError(f"SAE '{name}' is of kind '{kind}'; mixplan reads {', '.join(KINDS)} and batchtopk SAEs.")
    if not hook_name:
        raise SaeError(f"SAE '{name}' does not say where it reads. Set `model.sae.hook_name`, for example "
                       "'blocks.12.hook_resid_post' for the stream after block 12.")  # fmt: skip
    depth = blocks_before(hook_name, name)
    if metadata.get("hook_head_index") is not None or config.get("reshape_activations", "none") != "none":
        raise SaeError(f"SAE '{name}' reads attention heads, not the residual stream. Choose one of the stream.")
    listed = get_pretrained_saes_directory()[spec.release].model if spec.release else None
    d_sae = config.get("d_sae")
    return Outline(
        name=name,
        kind=kind,
        hook_name=hook_name,
        depth=depth,
        d_in=d_in,
        d_sae=int(d_sae) if d_sae else None,
        made_for=tuple(made for made in (metadata.get("model_name"), listed) if made),
        centred=is_centred(name, model_settings(spec, metadata)),
        normalization=str(config.get("normalize_activations") or "none"),
    )


def blocks_before(hook_name: str, name: str) -> int:
    """How many decoder blocks run before a hook point on the residual stream.

    Args:
        hook_name: TransformerLens's `blocks.L.hook_resid_pre` and `_post`, or a Hugging Face module name such as
            `model.layers.L`, whose output it is.
        name: The SAE's, for the message.

    Raises:
        SaeError: the hook point is not on the residual stream.
    """
    if found := re.fullmatch(r"blocks\.(\d+)\.hook_resid_(pre|post)", hook_name):
        return int(found[1]) + (found[2] == "post")
    if found := re.fullmatch(r"(?:model\.|language_model\.|transformer\.|gpt_neox\.)*(?:layers|h)\.(\d+)", hook_name):
        return int(found[1]) + 1
    where = "lies inside a block" if hook_name.endswith("hook_resid_mid") else "is not the residual stream"
    raise SaeError(
        f"SAE '{name}' reads '{hook_name}', which {where}. Choose one at "
        "blocks.L.hook_resid_pre, blocks.L.hook_resid_post, or a layer's output such as model.layers.L."
    )


def refuse_transcoder(name: str, kind: str, metadata: Config) -> None:
    """Refuse what writes elsewhere than it reads.

    Raises:
        SaeError: it is a transcoder.
    """
    reads, written = metadata.get("hook_name"), metadata.get("hook_name_out")
    if "transcoder" in kind or written:
        raise SaeError(f"SAE '{name}' is a transcoder: it reads '{reads}' and writes '{written}'. Choose an SAE of "
                       "the residual stream, which writes what it reads.")  # fmt: skip


def refuse_activation(name: str, raw: Config) -> None:
    """Refuse an activation that SAELens 6 reads over: it gives every older config a ReLU or a top-k of ReLUs.

    Raises:
        SaeError: the config asks for another one.
    """
    activation = raw.get("activation_fn_str") or raw.get("activation_fn") or "relu"
    signed = (raw.get("activation_fn_kwargs") or {}).get("signed")
    if activation not in ("relu", "topk", "jumprelu") or signed:
        found = f"signed {activation}" if signed else activation
        raise SaeError(f"SAE '{name}' has the activation '{found}', which SAELens no longer computes. Choose another.")


def model_settings(spec: SaeSpec, metadata: Config) -> Config:
    """How TransformerLens is to load the model, by the SAE's own config and by SAELens's table, the table's last."""
    table = get_config_overrides(spec.release, spec.id or "") if spec.release else {}
    return {
        **(metadata.get("model_from_pretrained_kwargs") or {}),
        **(table.get("model_from_pretrained_kwargs") or {}),
    }


def is_centred(name: str, settings: Config) -> bool:
    """Whether the model was loaded with its writing weights centred.

    Raises:
        SaeError: the model was changed in a way that mixplan does not follow.
    """
    unknown = sorted(
        key for key, value in settings.items() if key not in {CENTRE, *UNSEEN} and value not in (None, False)
    )
    if unknown:
        raise SaeError(
            f"SAE '{name}' was trained on a model loaded with {', '.join(f'`{key}`' for key in unknown)} = "
            f"{', '.join(repr(settings[key]) for key in unknown)}, which mixplan does not follow. Choose another SAE."
        )
    return bool(settings.get(CENTRE))
