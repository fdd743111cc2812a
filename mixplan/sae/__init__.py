"""Loads the SAE that a spec names, and checks that it fits its model: hook point, width, layer, model, input."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from sae_lens import SAE, TopKSAEConfig
from sae_lens.loading.pretrained_saes_directory import get_norm_scaling_factor, get_pretrained_saes_directory
from torch import Tensor, nn

from mixplan.errors import SaeError
from mixplan.model import Model, fingerprint_tensors
from mixplan.recipe import SaeSpec
from mixplan.runs import content_hash
from mixplan.sae.compatibility import belonging
from mixplan.sae.from_config import ELEMENTWISE, KINDS, Outline, blocks_before, outline, sae_depth
from mixplan.sae.pretrained import open_sae

__all__ = ["ELEMENTWISE", "KINDS", "Outline", "Sae", "blocks_before", "columns_of", "load_sae", "outline", "sae_depth"]


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
        centred: Whether it reads the stream less the stream's mean over its dimensions.
        doubt: One sentence where the files do not say that the model is the SAE's own; its health must then decide.
    """

    sae: SAE[Any]
    name: str
    kind: str
    hook_name: str
    depth: int
    fingerprint: str
    centred: bool = False
    doubt: str | None = None

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
            return cast("Tensor", self.sae.encode(self.read(stream)))

    def read(self, stream: Tensor) -> Tensor:
        """The stream as the SAE was trained on it, `[tokens, d_in]` float32.

        Where a model's norms subtract the mean, as LayerNorm does, the mean of a token's stream over its dimensions
        changes nothing that follows; TransformerLens's `center_writing_weights` takes it out of all that is written to
        the stream, so that the stream of the processed model is x - mean(x), exactly.
        """
        stream = stream.float()
        return stream - stream.mean(-1, keepdim=True) if self.centred else stream

    def decode(self, features: Tensor) -> Tensor:
        """Reconstruction of what `read` gives, `[tokens, d_in]` float32, from `[tokens, d_sae]`."""
        with torch.inference_mode():
            return cast("Tensor", self.sae.decode(features))


def load_sae(spec: SaeSpec, model: Model, *, folder: Path = Path()) -> Sae:
    """Load an SAE and hold it against the model.

    Args:
        spec: Registry release, hub repository, local folder, or the embedded one.
        model: The model it will read.
        folder: Folder of the YAML that names a local folder.

    Raises:
        SaeError: it cannot be found, is not an SAE of a residual stream, asks of its input what mixplan does not give,
            holds values that are not numbers, or was made for another model.
    """
    told = outline(spec, folder)
    fits(told, model)
    doubt = belonging(told.name, list(told.made_for), model, accept=spec.accept)
    sae = open_sae(spec, str(model.device), folder).eval().requires_grad_(False)
    refuse_not_numbers(told.name, sae)
    fold(told, spec, sae)
    centred = told.centred and centres(told.name, model)
    selected = [[sae.cfg.k, sae.cfg.rescale_acts_by_decoder_norm]] if isinstance(sae.cfg, TopKSAEConfig) else []
    mark = content_hash(fingerprint_tensors(sae.state_dict()), told.kind, told.hook_name, sae.cfg.normalize_activations,
                        bool(sae.cfg.apply_b_dec_to_input), *(["centred"] if centred else []), *selected)  # fmt: skip
    return Sae(sae, told.name, told.kind, told.hook_name, told.depth, mark, centred, doubt)


def fits(told: Outline, model: Model) -> None:
    """Hold an SAE's width and layer against the model.

    Raises:
        SaeError: either differs.
    """
    if told.d_in != model.d_model:
        raise SaeError(f"SAE '{told.name}' reads {told.d_in} dimensions, but the residual stream of '{model.name}' has "
                       f"{model.d_model}. Choose an SAE made for this model.")  # fmt: skip
    if told.depth > len(model.blocks):
        raise SaeError(f"SAE '{told.name}' reads '{told.hook_name}', but '{model.name}' has blocks 0 to "
                       f"{len(model.blocks) - 1}. Choose an SAE of a layer that it has.")  # fmt: skip


def refuse_not_numbers(name: str, sae: SAE[Any]) -> None:
    """Look at every parameter once.

    Raises:
        SaeError: one holds NaN or infinity; a threshold of infinity is a feature that never fires, and allowed.
    """
    for key, tensor in sae.state_dict().items():
        odd = tensor.isnan() if key == "threshold" else ~tensor.isfinite()
        if count := int(odd.sum()):
            raise SaeError(
                f"SAE '{name}': {count:,} of the {tensor.numel():,} values of its `{key}` are not numbers (NaN or "
                "infinite). Its training or its file went wrong; fetch it again or choose another."
            )


def fold(told: Outline, spec: SaeSpec, sae: SAE[Any]) -> None:
    """Fold into an SAE's parameters the scale of its input, where SAELens has not: it skips that without a word.

    Raises:
        SaeError: the SAE's files do not hold the scale, or the whitening, that it was trained with.
    """
    asked = sae.cfg.normalize_activations
    if asked == "covariance_whitening":
        raise SaeError(
            f"SAE '{told.name}' reads whitened activations, and its files do not hold the whitening. Fold it in with "
            "SAELens's `fold_activation_whitening`, save the SAE with `save_model`, and name its folder."
        )
    if asked != "expected_average_only_in":
        return
    scale = listed_scale(spec)
    if scale is None:
        raise SaeError(
            f"SAE '{told.name}' reads activations scaled to a mean norm of sqrt(d_in), and its files do not hold the "
            "scale. Fold it in with SAELens's `fold_activation_norm_scaling_factor`, save the SAE with `save_model`, "
            "and name its folder."
        )
    sae.fold_activation_norm_scaling_factor(scale)


def listed_scale(spec: SaeSpec) -> float | None:
    """The scale of an SAE's input in SAELens's table, also of one that is named by its repository; None without one."""
    for name, entry in get_pretrained_saes_directory().items():
        for sae_id, inside in entry.saes_map.items():
            if (name, sae_id) == (spec.release, spec.id) or (entry.repo_id, inside) == (spec.repo, spec.id):
                scale = get_norm_scaling_factor(name, sae_id)
                return None if scale is None else float(scale)
    return None


def centres(name: str, model: Model) -> bool:
    """Whether the mean of the stream over its dimensions has no effect in this model, as in those with LayerNorm.

    Raises:
        SaeError: it has, so that no processed model exists that the SAE could have been trained on.
    """
    if any(isinstance(module, nn.LayerNorm) for module in model.blocks[0].modules()):
        return True
    raise SaeError(
        f"SAE '{name}' asks for a model with centred writing weights (`center_writing_weights`), but the norms of "
        f"'{model.name}' do not subtract the mean, so that centring would change it. Choose another SAE."
    )


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SAELens's advice on loading the model, which `outline` has heeded
        part = type(whole)(config)
    state = {
        name: tensor[:, columns] if name == "W_enc" else tensor if name == "b_dec" else tensor[columns]
        for name, tensor in whole.state_dict().items()
    }
    part.load_state_dict(state, assign=True)
    part.cfg.device, part.device = whole.cfg.device, whole.device
    mark = content_hash(sae.fingerprint, columns.tolist())
    return Sae(part.eval().requires_grad_(False), sae.name, sae.kind, sae.hook_name, sae.depth, mark, sae.centred)
