"""An SAE spec and a model in, a SAELens SAE out that is known to belong to them: hook point, width, layer, model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from sae_lens import SAE
from torch import Tensor

from mixplan import embedded
from mixplan.errors import SaeError
from mixplan.model import Model, fingerprint_tensors
from mixplan.recipe import SaeSpec
from mixplan.runs import content_hash
from mixplan.sae.pretrained import open_sae

ELEMENTWISE = ("standard", "jumprelu", "gated")
"""Kinds whose every feature depends on its own encoder column alone; top-k kinds compare features with each other."""

KINDS = (*ELEMENTWISE, "topk")
"""SAELens's inference kinds that mixplan reads; BatchTopK SAEs are saved as jumprelu."""


TUNING_WORDS = ("it", "instruct", "chat", "base", "hf", "meta")
"""Parts of a model's name that say how it was tuned, not which model it is."""


@dataclass(frozen=True)
class Sae:
    """A loaded SAE in float32, in evaluation mode.

    Attributes:
        sae: The SAELens SAE.
        name: How the recipe names it.
        kind: SAELens's architecture name.
        hook_name: The hook point as its config (or the recipe) names it.
        depth: How many decoder blocks run before the hook point.
        fingerprint: Hash over config and sampled tensor bytes.
    """

    sae: SAE[Any]
    name: str
    kind: str
    hook_name: str
    depth: int
    fingerprint: str

    @property
    def d_in(self) -> int:
        """Width of the stream it reads."""
        return int(self.sae.cfg.d_in)

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return int(self.sae.cfg.d_sae)

    def encode(self, stream: Tensor) -> Tensor:
        """Feature activations of the residual stream.

        Args:
            stream: `[tokens, d_in]`, any floating type.

        Returns:
            `[tokens, d_sae]` float32.
        """
        with torch.inference_mode():
            return cast("Tensor", self.sae.encode(stream.float()))

    def decode(self, features: Tensor) -> Tensor:
        """Reconstruction of the stream, `[tokens, d_in]` float32, from `[tokens, d_sae]`."""
        with torch.inference_mode():
            return cast("Tensor", self.sae.decode(features))


def load_sae(spec: SaeSpec, model: Model, *, folder: Path = Path()) -> Sae:
    """Load an SAE and hold it against the model.

    Args:
        spec: Registry release, hub repository, local folder, or the embedded one.
        model: The model it will read.
        folder: Folder of the YAML that names a local folder.

    Raises:
        SaeError: it cannot be found, is not an SAE of a residual stream, or was made for another model.
    """
    name, sae = open_sae(spec, str(model.device), folder)
    kind = sae.cfg.architecture()
    metadata = sae.cfg.metadata
    hook_name = spec.hook_name or getattr(metadata, "hook_name", None)
    written = getattr(metadata, "hook_name_out", None)
    if "transcoder" in kind or written:
        raise SaeError(f"SAE '{name}' is a transcoder: it reads '{hook_name}' and writes '{written}'. Choose an SAE of "
                       "the residual stream, which writes what it reads.")  # fmt: skip
    if kind not in KINDS:
        raise SaeError(f"SAE '{name}' is of kind '{kind}'; mixplan reads {', '.join(KINDS)} and batchtopk SAEs.")
    if not hook_name:
        raise SaeError(f"SAE '{name}' does not say where it reads. Set `model.sae.hook_name`, for example "
                       f"'blocks.{2 * len(model.blocks) // 3}.hook_resid_post'.")  # fmt: skip
    depth = blocks_before(hook_name, name)
    belongs(name, sae, model, depth, hook_name)
    sae = sae.eval().requires_grad_(False)
    mark = content_hash(fingerprint_tensors(sae.state_dict()), kind, hook_name, sae.cfg.normalize_activations,
                        bool(sae.cfg.apply_b_dec_to_input))  # fmt: skip
    return Sae(sae, name, kind, hook_name, depth, mark)


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
    raise SaeError(
        f"SAE '{name}' reads '{hook_name}', which is not the residual stream. Choose one at "
        "blocks.L.hook_resid_pre, blocks.L.hook_resid_post, or a layer's output such as model.layers.L."
    )


def belongs(name: str, sae: SAE[Any], model: Model, depth: int, hook_name: str) -> None:
    """Hold an SAE against the model.

    Raises:
        SaeError: width, layer or model differ.
    """
    if sae.cfg.d_in != model.d_model:
        raise SaeError(f"SAE '{name}' reads {sae.cfg.d_in} dimensions, but the residual stream of '{model.name}' has "
                       f"{model.d_model}. Choose an SAE made for this model.")  # fmt: skip
    if depth > len(model.blocks):
        raise SaeError(f"SAE '{name}' reads '{hook_name}', but '{model.name}' has blocks 0 to "
                       f"{len(model.blocks) - 1}. Choose an SAE of a layer that it has.")  # fmt: skip
    made_for = getattr(sae.cfg.metadata, "model_name", None)
    # A local folder's name says nothing of what model it holds; width, layer and the health check must do there.
    known = not Path(model.name).expanduser().is_dir()
    if made_for and known and family(made_for) != family(model.name):
        raise SaeError(f"SAE '{name}' was made for '{made_for}', but the recipe's model is '{model.name}'. "
                       "Choose an SAE made for this model.")  # fmt: skip


def family(name: str) -> str:
    """A model's name without owner and tuning suffix: `google/gemma-2-9b-it` and `gemma-2-9b` are one family.

    SAEs of a base model are read on its instruction-tuned child; the health check tells how well that goes.
    """
    short = (embedded.MODEL_NAME if name == "embedded" else name).rsplit("/", 1)[-1].lower()
    words = [word for word in re.split(r"[-_ ]+", short) if word not in TUNING_WORDS]
    return re.sub(r"[^a-z0-9]", "", "".join(words))


def columns_of(sae: Sae, columns: Tensor) -> Sae | None:
    """An SAE that computes only some features, exactly as the whole one would.

    Args:
        sae: The whole SAE.
        columns: `[n]` int64 feature indices.

    Returns:
        An SAE with `d_sae` n, or None for top-k kinds, whose features depend on each other.
    """
    if sae.kind not in ELEMENTWISE:
        return None
    whole = sae.sae
    config = type(whole.cfg).from_dict({**whole.cfg.to_dict(), "d_sae": len(columns), "device": "meta"})
    part = type(whole)(config)
    state = {
        name: tensor[:, columns] if name == "W_enc" else tensor if name == "b_dec" else tensor[columns]
        for name, tensor in whole.state_dict().items()
    }
    part.load_state_dict(state, assign=True)
    part.cfg.device, part.device = whole.cfg.device, whole.device
    mark = content_hash(sae.fingerprint, columns.tolist())
    return Sae(part.eval().requires_grad_(False), sae.name, sae.kind, sae.hook_name, sae.depth, mark)
