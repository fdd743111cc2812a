"""SAEs in the layouts that SAELens knows, from the hub's cache and from folders; code in their files is never run."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from httpx2 import Request, Response
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError
from sae_lens import JumpReLUTranscoder, JumpReLUTranscoderConfig
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from sae_lens.saes.sae import SAEMetadata
from safetensors.torch import load_file, save_file
from saved_hub import lay, save_dictionary_learning, save_gemma_scope, save_saelens5, tensors

from mixplan.errors import SaeError
from mixplan.model import load_model
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.sae import load_sae
from mixplan.sae.pretrained import explain_absence

D_IN, D_SAE = 32, 48
LLAMA, QWEN, GEMMA = "meta-llama/Meta-Llama-3-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "google/gemma-2-9b-it"
QWEN_SAE = SaeSpec(release="qwen2.5-7b-instruct-andyrdt", id="resid_post_layer_3_trainer_1")
QWEN_NAME = "qwen2.5-7b-instruct-andyrdt/resid_post_layer_3_trainer_1"
GEMMA_SAE = SaeSpec(release="gemma-scope-9b-it-res", id="layer_9/width_131k/average_l0_121")


@pytest.fixture(scope="module")
def tiny(build_model, tmp_path_factory):
    """A model with blocks enough for every SAE here but the one that is too high."""
    folder = build_model("llama", tmp_path_factory.mktemp("pretrained") / "model", num_hidden_layers=26)
    return load_model(ModelSpec(name=str(folder), dtype="float32", device="cpu", sae=SaeSpec(path="x")))


def named(model, name):
    """The model as if it came from the hub under a name."""
    return replace(model, name=name)


def refused(spec, model, **kwargs):
    with pytest.raises(SaeError) as caught:
        load_sae(spec, model, **kwargs)
    return str(caught.value)


def qwen_folder(layer: int = 3) -> Path:
    return lay("models", "andyrdt/saes-qwen2.5-7b-instruct") / f"resid_post_layer_{layer}" / "trainer_1"


def gemma_folder() -> Path:
    return lay("models", "google/gemma-scope-9b-it-res") / "layer_9" / "width_131k" / "average_l0_121"


def gemma_sizes(monkeypatch, release: str, **sizes: int) -> None:
    """Gemma Scope's files hold no config: SAELens takes their sizes from the name, so its table says other ones."""
    monkeypatch.setattr(get_pretrained_saes_directory()[release], "config_overrides", sizes)


def jumprelu(pre: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    return np.where(pre > threshold, np.maximum(pre, 0), 0)


def stream() -> np.ndarray:
    return 2 * np.random.default_rng(1).standard_normal((20, D_IN)).astype(np.float32)


def holds(found, expected: np.ndarray) -> None:
    assert (expected > 0).any()
    np.testing.assert_allclose(found.encode(torch.from_numpy(stream())).numpy(), expected, atol=1e-5)


def test_a_release_in_saelens_own_layout(tiny):
    parameters = tensors(D_IN, D_SAE)
    folder = lay("models", "Juliushanhanhan/llama-3-8b-it-res") / "blocks.25.hook_resid_post"
    save_saelens5(folder, "blocks.25.hook_resid_post", LLAMA, parameters)
    p = {name: value.numpy() for name, value in parameters.items()}
    expected = np.maximum((stream() - p["b_dec"]) @ p["W_enc"] + p["b_enc"], 0)
    by_release = SaeSpec(release="llama-3-8b-it-res-jh", id="blocks.25.hook_resid_post")
    by_repository = SaeSpec(repo="Juliushanhanhan/llama-3-8b-it-res", id="blocks.25.hook_resid_post")
    for spec in (by_release, by_repository, SaeSpec(path=str(folder))):
        found = load_sae(spec, named(tiny, LLAMA))
        assert (found.kind, found.hook_name, found.depth) == ("standard", "blocks.25.hook_resid_post", 26)
        holds(found, expected)


def test_a_hub_repository_of_ones_own(tiny, tiny_sae, sae_kind):
    folder = lay("models", "someone/saes") / "deep" / sae_kind
    tiny_sae(sae_kind, D_IN, D_SAE, "blocks.5.hook_resid_pre", folder, model_name=LLAMA)
    found = load_sae(SaeSpec(repo="someone/saes", id=f"deep/{sae_kind}"), named(tiny, LLAMA))
    assert (found.d_sae, found.depth) == (D_SAE, 5)
    assert found.fingerprint == load_sae(SaeSpec(path=str(folder)), named(tiny, LLAMA)).fingerprint


def test_a_release_of_dictionary_learning(tiny):
    parameters = tensors(D_IN, D_SAE)
    save_dictionary_learning(qwen_folder(), 3, QWEN, parameters, threshold=0.7)
    found = load_sae(QWEN_SAE, named(tiny, QWEN))
    assert (found.kind, found.hook_name, found.depth) == ("jumprelu", "blocks.3.hook_resid_post", 4)
    p = {name: value.numpy() for name, value in parameters.items()}
    holds(found, jumprelu((stream() - p["b_dec"]) @ p["W_enc"] + p["b_enc"], 0.7))


def test_a_release_of_gemma_scope_at_its_real_width(tiny, monkeypatch):
    gemma_sizes(monkeypatch, "gemma-scope-9b-it-res", d_in=D_IN)
    parameters = tensors(D_IN, 131_072)
    save_gemma_scope(gemma_folder(), parameters)
    found = load_sae(GEMMA_SAE, named(tiny, GEMMA))
    assert (found.kind, found.hook_name, found.d_sae) == ("jumprelu", "blocks.9.hook_resid_post", 131_072)
    p = {name: value.numpy() for name, value in parameters.items()}
    holds(found, jumprelu(stream() @ p["W_enc"] + p["b_enc"], p["threshold"]))


def test_refusals_of_releases(tiny):
    parameters = tensors(48, D_SAE)
    save_dictionary_learning(qwen_folder(), 3, QWEN, parameters)
    assert refused(QWEN_SAE, named(tiny, QWEN)) == (
        f"SAE '{QWEN_NAME}' reads 48 dimensions, but the residual stream of '{QWEN}' has 32. "
        "Choose an SAE made for this model."
    )
    save_dictionary_learning(qwen_folder(), 3, QWEN, tensors(D_IN, D_SAE))
    assert refused(QWEN_SAE, named(tiny, LLAMA)) == (
        f"SAE '{QWEN_NAME}' was made for '{QWEN}', but the recipe's model is '{LLAMA}', of architecture llama, not "
        f"qwen2. Choose an SAE made for this model: `mixplan sae ls --model {LLAMA}` lists them. To try this one all "
        "the same, set `model.sae.accept: true`."
    )
    save_dictionary_learning(qwen_folder(27), 27, QWEN, tensors(D_IN, D_SAE))
    high = QWEN_SAE.model_copy(update={"id": "resid_post_layer_27_trainer_1"})
    assert refused(high, named(tiny, QWEN)) == (
        "SAE 'qwen2.5-7b-instruct-andyrdt/resid_post_layer_27_trainer_1' reads 'blocks.27.hook_resid_post', "
        f"but '{QWEN}' has blocks 0 to 25. Choose an SAE of a layer that it has."
    )


def test_a_release_of_transcoders_is_refused(tiny, monkeypatch):
    release, inside = "gemma-scope-2b-pt-transcoders", "layer_3/width_16k/average_l0_54"
    gemma_sizes(monkeypatch, release, d_in=D_IN, d_out=D_IN, d_sae=D_SAE)
    save_gemma_scope(lay("models", "google/gemma-scope-2b-pt-transcoders") / inside, tensors(D_IN, D_SAE))
    assert refused(SaeSpec(release=release, id=inside), named(tiny, "google/gemma-2-2b")) == (
        f"SAE '{release}/{inside}' is a transcoder: it reads 'blocks.3.ln2.hook_normalized' and writes "
        "'blocks.3.hook_mlp_out'. Choose an SAE of the residual stream, which writes what it reads."
    )


def test_a_folder_with_a_transcoder_is_refused(tiny, tmp_path):
    metadata = SAEMetadata(hook_name="blocks.3.ln2.hook_normalized", hook_name_out="blocks.3.hook_mlp_out")
    config = JumpReLUTranscoderConfig(d_in=D_IN, d_out=D_IN, d_sae=D_SAE, apply_b_dec_to_input=False, metadata=metadata)
    JumpReLUTranscoder(config).save_model(tmp_path)
    assert refused(SaeSpec(path=str(tmp_path)), tiny) == (
        f"SAE '{tmp_path}' is a transcoder: it reads 'blocks.3.ln2.hook_normalized' and writes "
        "'blocks.3.hook_mlp_out'. Choose an SAE of the residual stream, which writes what it reads."
    )


def test_an_unknown_release_or_id(tiny):
    assert refused(SaeSpec(release="qwen2.5-7b-instruct-andyrd", id="x"), tiny) == (
        "SAELens's table of pretrained SAEs has no release 'qwen2.5-7b-instruct-andyrd'. "
        "Did you mean 'qwen2.5-7b-instruct-andyrdt'? "
        "Check `model.sae.release`; a hub repository goes under `model.sae.repo`."
    )
    layer_25 = QWEN_SAE.model_copy(update={"id": "resid_post_layer_25_trainer_1"})
    assert refused(layer_25, tiny) == (
        "release 'qwen2.5-7b-instruct-andyrdt' has no SAE 'resid_post_layer_25_trainer_1'. "
        f"It has {', '.join(f'resid_post_layer_{layer}_trainer_1' for layer in range(3, 28, 4))}. "
        "Check `model.sae.id`."
    )
    assert refused(SaeSpec(release="gemma-scope-9b-it-res", id="layer_31/width_131k/average-l0_22"), tiny) == (
        "release 'gemma-scope-9b-it-res' has no SAE 'layer_31/width_131k/average-l0_22'. "
        "Did you mean 'layer_31/width_131k/average_l0_22'? Check `model.sae.id`."
    )


def test_what_is_not_in_the_cache(tiny):
    lay("models", "andyrdt/saes-qwen2.5-7b-instruct")
    assert refused(QWEN_SAE, tiny) == (
        "SAE 'qwen2.5-7b-instruct-andyrdt/resid_post_layer_3_trainer_1' is neither in the hub's cache nor reachable on "
        "the hub. Fetch it once with: hf download andyrdt/saes-qwen2.5-7b-instruct "
        "--include 'resid_post_layer_3/trainer_1*'"
    )


def test_a_repository_that_saelens_has_to_convert(tiny):
    save_dictionary_learning(qwen_folder(), 3, QWEN, tensors(D_IN, D_SAE))
    inside = "resid_post_layer_3/trainer_1"
    assert refused(SaeSpec(repo="andyrdt/saes-qwen2.5-7b-instruct", id=inside), named(tiny, QWEN)) == (
        f"SAE 'andyrdt/saes-qwen2.5-7b-instruct/{inside}': the repository's files are not in SAELens's own layout, but "
        "SAELens reads them as release 'qwen2.5-7b-instruct-andyrdt'. "
        "Set `model.sae.release: qwen2.5-7b-instruct-andyrdt` in place of `repo`, with one of its ids."
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(28, "No space left on device"),
            "the disk is full. Free some space, or point HF_HOME to another disk.",
        ),
        (
            GatedRepoError("403 Client Error", response=Response(403, request=Request("GET", "http://hub"))),
            "'andyrdt/saes-qwen2.5-7b-instruct' is gated. Accept its terms on the hub and run `hf auth login`.",
        ),
        (
            RepositoryNotFoundError("404 Client Error", response=Response(404, request=Request("GET", "http://hub"))),
            "the hub has no repository 'andyrdt/saes-qwen2.5-7b-instruct', or it is private. Check `model.sae`.",
        ),
        (
            EntryNotFoundError("404 Client Error"),
            "'andyrdt/saes-qwen2.5-7b-instruct' has no SAE at 'resid_post_layer_3/trainer_1'. Check `model.sae.id`.",
        ),
    ],
)
def test_what_the_hub_refuses(error, expected):
    assert explain_absence(QWEN_SAE, error) == f"SAE '{QWEN_NAME}': {expected}"


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def listed(file: Path) -> None:
    torch.save([1, 2], file)


def renamed(file: Path) -> None:
    torch.save({"other": torch.zeros(3)}, file)


def widened(file: Path) -> None:
    torch.save(torch.load(file, weights_only=True) | {"encoder.weight": torch.zeros(99, D_IN)}, file)


WHOLE = "Its files are whole, but not in the layout that SAELens expects here. Check `model.sae`."
DAMAGED = "A file is damaged; fetch it again."


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (truncated, f"PytorchStreamReader failed reading zip archive: failed finding central directory. {DAMAGED}"),
        (emptied, f"a file ends too early. {DAMAGED}"),
        (listed, f"list indices must be integers or slices, not str. {WHOLE}"),
        (renamed, f"it has no entry 'encoder.weight'. {WHOLE}"),
        (widened, "Error(s) in loading state_dict for JumpReLUSAE: size mismatch for W_enc: copying a param with shape "
                  f"torch.Size([32, 99]) from checkpoint, the shape in current model is torch.Size([32, 48]). {WHOLE}"),
    ],
)  # fmt: skip
def test_damaged_weights(tiny, harm, expected):
    folder = qwen_folder()
    save_dictionary_learning(folder, 3, QWEN, tensors(D_IN, D_SAE))
    harm(folder / "ae.pt")
    assert refused(QWEN_SAE, named(tiny, QWEN)) == f"SAE '{QWEN_NAME}' cannot be read: {expected}"


def test_damaged_folders(tiny, tiny_sae, tmp_path):
    folder = tiny_sae("standard", D_IN, D_SAE, "blocks.3.hook_resid_post", tmp_path / "sae")
    config = (folder / "cfg.json").read_text()
    for text, found in [
        ("{", f"Expecting property name enclosed in double quotes: line 1 column 2 (char 1). {DAMAGED}"),
        ("{}", f"it has no entry 'd_in'. {WHOLE}"),
    ]:
        (folder / "cfg.json").write_text(text)
        assert refused(SaeSpec(path="sae"), tiny, folder=tmp_path) == f"SAE 'sae' cannot be read: {found}"
    (folder / "cfg.json").write_text(config.replace("standard", "strange"))
    assert refused(SaeSpec(path="sae"), tiny, folder=tmp_path) == (
        "SAE 'sae' is of kind 'strange'; mixplan reads standard, jumprelu, gated, topk and batchtopk SAEs."
    )
    (folder / "cfg.json").write_text(config)
    weights = folder / "sae_weights.safetensors"
    weights.write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    assert refused(SaeSpec(path="sae"), tiny, folder=tmp_path) == (
        "SAE 'sae' cannot be read: Error while deserializing header: invalid JSON in header: "
        f"expected ident at line 1 column 2. {DAMAGED}"
    )
    weights.unlink()
    assert refused(SaeSpec(path="sae"), tiny, folder=tmp_path) == (
        f"SAE 'sae' is not complete: {weights} is missing. Fetch or save it again."
    )


def holed(file: Path, key: str, value: float) -> None:
    state = load_file(file)
    state[key].view(-1)[5] = value
    save_file(state, file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_numbers(tiny, tiny_sae, tmp_path, value):
    folder = tiny_sae("jumprelu", D_IN, D_SAE, "blocks.3.hook_resid_post", tmp_path / "sae")
    holed(folder / "sae_weights.safetensors", "W_dec", value)
    assert refused(SaeSpec(path="sae"), tiny, folder=tmp_path) == (
        f"SAE 'sae': 1 of the {D_IN * D_SAE:,} values of its `W_dec` are not numbers (NaN or infinite). Its training "
        "or its file went wrong; fetch it again or choose another."
    )


def test_a_threshold_of_infinity_is_a_feature_that_never_fires(tiny, tiny_sae, tmp_path):
    folder = tiny_sae("jumprelu", D_IN, D_SAE, "blocks.3.hook_resid_post", tmp_path / "sae")
    holed(folder / "sae_weights.safetensors", "threshold", float("inf"))
    features = load_sae(SaeSpec(path="sae"), tiny, folder=tmp_path).encode(torch.from_numpy(stream()))
    assert not features[:, 5].any()
    assert features.isfinite().all()


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def as_torch_saves(file: Path, trap: Trap) -> None:
    torch.save({"encoder.weight": trap}, file)


def as_torch_once_saved(file: Path, trap: Trap) -> None:
    torch.save({"encoder.weight": trap}, file, _use_new_zipfile_serialization=False)


def as_a_bare_pickle(file: Path, trap: Trap) -> None:
    file.write_bytes(pickle.dumps(trap))


@pytest.mark.parametrize("setting", [None, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
@pytest.mark.parametrize("save", [as_torch_saves, as_torch_once_saved, as_a_bare_pickle])
def test_code_in_a_torch_file_is_not_run(tiny, tmp_path, monkeypatch, save, setting):
    if setting:
        monkeypatch.setenv(setting, "1")
    folder = qwen_folder()
    save_dictionary_learning(folder, 3, QWEN, tensors(D_IN, D_SAE))
    save(folder / "ae.pt", Trap(tmp_path / "sprung"))
    assert refused(QWEN_SAE, named(tiny, QWEN)) == (
        f"SAE '{QWEN_NAME}': its weights file holds more than tensors, or is damaged. mixplan does not read it "
        "further: such a file can run code. Choose an SAE stored as tensors."
    )
    assert not (tmp_path / "sprung").exists()
    assert os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD") == ("1" if setting else None)
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    # The trap is real: read without care, it springs.
    if save is as_a_bare_pickle:
        pickle.loads((folder / "ae.pt").read_bytes())
    else:
        torch.load(folder / "ae.pt", weights_only=False)
    assert (tmp_path / "sprung").is_dir()


def as_an_object_array(file: Path, trap: Trap) -> None:
    np.savez(file, w_enc=np.array([trap], dtype=object))


@pytest.mark.parametrize("save", [as_an_object_array, as_a_bare_pickle])
def test_code_in_a_numpy_file_is_not_run(tiny, tmp_path, monkeypatch, save):
    gemma_sizes(monkeypatch, "gemma-scope-9b-it-res", d_in=D_IN)
    folder = gemma_folder()
    folder.mkdir(parents=True)
    save(folder / "params.npz", Trap(tmp_path / "sprung"))
    assert refused(GEMMA_SAE, named(tiny, GEMMA)) == (
        f"SAE '{GEMMA_SAE.release}/{GEMMA_SAE.id}': its weights file holds more than tensors, or is damaged. mixplan "
        "does not read it further: such a file can run code. Choose an SAE stored as tensors."
    )
    assert not (tmp_path / "sprung").exists()
    # The trap is real: read without care, it springs.
    if save is as_a_bare_pickle:
        pickle.loads((folder / "params.npz").read_bytes())
    else:
        with np.load(folder / "params.npz", allow_pickle=True) as arrays:
            arrays["w_enc"]
    assert (tmp_path / "sprung").is_dir()
