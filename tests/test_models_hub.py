"""Each model config planned through the real hub code: a tiny model and SAE under their public names, offline."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
import yaml
from conftest import save_tokenizer, tiny_config
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from saved_hub import (
    lay,
    save_dictionary_learning,
    save_gemma_scope2,
    save_goodfire,
    save_llama_scope_r1,
    save_qwen_scope,
    tensors,
)
from shipped_models import SHIPPED_MODELS
from small_plan import Silent

from mixplan.plan import PlanRequest, make_plan
from mixplan.recipe.releases import listed_saes
from mixplan.recipe.shapes import shape_of

CONFIGS = Path(__file__).parent.parent / "configs" / "models"
D_IN, D_SAE = 32, 160


def config_of(architecture: str, layers: int):
    """A tiny config of the architecture's own class; Gemma 3 from 4b up is a vision model around the language model."""
    if architecture in ("llama", "qwen3"):
        return tiny_config(architecture, num_hidden_layers=layers)
    text = tiny_config("gemma3", num_hidden_layers=layers)
    if architecture == "gemma3_text":
        return text
    if architecture == "gemma3":
        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                  "image_size": 28, "patch_size": 14}  # fmt: skip
        return transformers.Gemma3Config(text_config=text.to_dict(), vision_config=vision, mm_tokens_per_image=4)
    shared = {key: getattr(text, key) for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
              "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings", "pad_token_id",
              "bos_token_id", "eos_token_id", "initializer_range")}  # fmt: skip
    if architecture == "gpt_oss":
        return transformers.GptOssConfig(
            **shared, num_local_experts=4, num_experts_per_tok=2, sliding_window=16, layer_types=None
        )
    return transformers.Qwen3_5TextConfig(
        **shared, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=8
    )


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """Folder of a tiny model of an architecture, made once."""
    made: dict[str, Path] = {}

    def make(architecture: str, layers: int) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(architecture)
            save_tokenizer(folder)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = transformers.AutoModelForCausalLM.from_config(config_of(architecture, layers))
            model.save_pretrained(folder)
            made[architecture] = folder
        return made[architecture]

    return make


def lay_sae(release: str, sae_id: str, layer: int) -> None:
    """A tiny SAE in its release's own layout and place."""
    entry = get_pretrained_saes_directory()[release]
    place, parameters = lay("models", entry.repo_id) / entry.saes_map[sae_id], tensors(D_IN, D_SAE)
    if entry.conversion_func == "gemma_3":
        name = entry.model.removeprefix("google/").replace("gemma-3", "gemma-v3")
        save_gemma_scope2(place, f"model.layers.{layer}.output", name, parameters)
    elif entry.conversion_func == "dictionary_learning_1":
        save_dictionary_learning(place, layer, entry.model, parameters)
    elif entry.conversion_func == "goodfire":
        save_goodfire(place, parameters)
    elif entry.conversion_func == "llama_scope_r1_distill":
        save_llama_scope_r1(place, f"blocks.{layer}.hook_resid_post", parameters)
    else:
        save_qwen_scope(place, parameters)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A recipe with one domain of local rows; the model's config is put in place by each test."""
    folder = tmp_path_factory.mktemp("job")
    for topic in ("sum", "fox"):
        rows = [{"q": f"what is the {topic} of {n} ?", "a": f"the answer is {n * 7 % 13}"} for n in range(40)]
        (folder / f"{topic}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {"format": "question_answer", "columns": {"question": "q", "answer": "a"},
            "split": {"evaluation": 4, "query": 10, "demonstration": 4}}  # fmt: skip
    value = {
        "model": "qwen3-8b",
        "target": {"data": {"file": "sum.jsonl"}, **spec},
        "domains": {"fox": {"data": {"file": "fox.jsonl"}, **spec}},
        "drift": {"features": 10, "demonstrations": 1, "draws": 1, "query_tokens": 40},
        "sts": {"demonstrations": 1, "draws": 1, "query_tokens": 40, "resamples": 100},
        "budget": {"rows": 8},
        "mixture": {"target_rows": 8},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(value))
    return folder / "job.yaml"


@pytest.mark.parametrize("name", SHIPPED_MODELS)
def test_a_config_plans_under_its_public_names(name, stand_in, recipe, monkeypatch, tmp_path):
    architecture, layers, kind = SHIPPED_MODELS[name]
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    release, sae_id = config["sae"]["release"], config["sae"]["id"]
    listed = next(one for one in listed_saes(config["name"]) if (one.release, one.id) == (release, sae_id))
    shutil.copytree(stand_in(architecture, layers), lay("models", config["name"]), dirs_exist_ok=True)
    lay_sae(release, sae_id, listed.layer)
    entry = get_pretrained_saes_directory()[release]
    if entry.conversion_func in ("goodfire", "qwen_scope"):  # SAELens's loaders know their sizes by heart
        monkeypatch.setattr(entry, "config_overrides", {"d_in": D_IN, "d_sae": D_SAE})
    recipe.write_text(yaml.safe_dump(yaml.safe_load(recipe.read_text()) | {"model": name}))
    make_plan(PlanRequest(recipe, (), None, tmp_path / "run"), watcher=Silent())
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    sae = plan["sae"]
    assert (sae["kind"], sae["hook_name"], sae["layer"]) == (kind, listed.hook_name, listed.layer)
    assert (sae["d_in"], sae["d_sae"]) == (D_IN, D_SAE)
    assert plan["model"]["dtype"] == "bfloat16"
    assert sum(plan["allocation"]["rows"].values()) == 8
    assert not [warning for warning in plan["warnings"] if "made for" in warning]


SIZES = {
    "gemma3-270m-it": (640, 18, 4, 1, 256, 2048, 262_144, 1),
    "gemma3-1b-it": (1152, 26, 4, 1, 256, 6912, 262_144, 1),
    "gemma3-4b-it": (2560, 34, 8, 4, 256, 10_240, 262_208, 1),
    "gemma3-12b-it": (3840, 48, 16, 8, 256, 15_360, 262_208, 1),
    "gemma3-27b-it": (5376, 62, 32, 16, 128, 21_504, 262_208, 1),
    "llama3.1-8b-it": (4096, 32, 32, 8, 128, 14_336, 128_256, 2),
    "llama3.1-8b-it-goodfire": (4096, 32, 32, 8, 128, 14_336, 128_256, 2),
    "llama3.3-70b-it": (8192, 80, 64, 8, 128, 28_672, 128_256, 2),
    "deepseek-r1-distill-llama-8b": (4096, 32, 32, 8, 128, 14_336, 128_256, 2),
    "qwen3-8b": (4096, 36, 32, 8, 128, 12_288, 151_936, 2),
}
"""Width, blocks, heads, key-value heads, head size, inner width, vocabulary, embeddings (1 where tied)."""


@pytest.mark.parametrize("name", SIZES)
def test_memory_in_the_comment_is_the_matrices_of_model_and_sae(name):
    """Norms and biases are left out here: together under a thousandth."""
    width, blocks, heads, kv, head, inner, vocabulary, embeddings = SIZES[name]
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    shape = shape_of(config["name"])
    assert (shape.width, shape.layers) == (width, blocks)
    block = width * head * (2 * heads + 2 * kv) + 3 * width * inner
    billions = 2 * (blocks * block + embeddings * vocabulary * width) / 1e9
    comment = (CONFIGS / f"{name}.yaml").read_text().partition("\n")[0]
    said = comment.partition("computed: ")[2].split(" ")
    assert float(said[0]) == pytest.approx(billions, abs=0.06 if billions < 100 else 0.6)
    listed = next(one for one in listed_saes(config["name"]) if one.id == config["sae"]["id"])
    if listed.size_bytes is not None:
        assert float(said[3]) == pytest.approx(listed.size_bytes / 1e9, abs=0.06)
    else:
        assert said[3:5] == [str(round(8 * width / 1000)), "kB"]
