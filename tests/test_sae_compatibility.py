"""Whether an SAE and a model belong together: by name, by descent, by build, or by the SAE's health alone."""

import json
from dataclasses import replace

import pytest
from saved_hub import lay

from mixplan.errors import SaeError
from mixplan.model import load_model
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.recipe.base_models import descent
from mixplan.recipe.releases import listed_saes
from mixplan.recipe.shapes import SHAPES, family
from mixplan.sae import load_sae
from mixplan.sae.compatibility import belonging
from mixplan.sae.health import Health, refuse_doubtful

LLAMA = "meta-llama/Llama-3.1-8B"


@pytest.fixture(scope="module")
def llama(build_model, tmp_path_factory):
    """A tiny model with as many blocks as Llama-3.1-8B has."""
    folder = build_model("llama", tmp_path_factory.mktemp("belonging") / "folder", num_hidden_layers=32)
    return load_model(ModelSpec(name=str(folder), dtype="float32", device="cpu", sae=SaeSpec(path="x")))


def called(model, name, place=""):
    """The model as if it came from the hub under a name; its own files are found where they are given."""
    return replace(model, name=name, place=place or name)


def judged(model, *made_for, accept=False):
    return belonging("mine", list(made_for), model, accept=accept)


def write_files(name, config=None, card=None):
    folder = lay("models", name)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if card is not None:
        (folder / "README.md").write_text(card)


@pytest.mark.parametrize(
    ("made_for", "name"),
    [
        ("gpt2-small", "gpt2"),
        ("gpt2-small", "openai-community/gpt2"),
        ("mistral-7b", "mistralai/Mistral-7B-Instruct-v0.1"),
        ("google/gemma-3-4b-pt", "google/gemma-3-4b-it"),
        ("google/gemma-3-270m", "unsloth/gemma-3-270m-it"),
        ("gemma-2-9b", "google/gemma-2-9b-it"),
        ("Qwen/Qwen3-8B-Base", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-30B-A3B-Base", "Qwen/Qwen3-30B-A3B-Instruct-2507"),
        ("openai/gpt-oss-20b", "unsloth/gpt-oss-20b-BF16"),
        ("Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    ],
)
def test_children_by_name(llama, made_for, name):
    assert judged(called(llama, name), made_for) is None


def test_the_table_s_model_counts_beside_the_sae_s_own_word(llama):
    assert judged(called(llama, "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"), LLAMA,
                  "deepseek-ai/DeepSeek-R1-Distill-Llama-8B") is None  # fmt: skip


def test_every_readable_sae_of_the_table_belongs_to_its_own_model(llama):
    """No weights are needed: the table's model is one of those that an SAE is held against."""
    pairs = {one.model for one in listed_saes() if one.readable}
    assert len(pairs) > 25
    for model in pairs:
        assert judged(called(llama, model), "what its files say", model) is None


def test_children_by_their_model_cards(llama):
    write_files("allenai/Tulu-3-8B-SFT", card=f"---\nlicense: x\nbase_model: {LLAMA}\n---\n# Tulu\n")
    write_files("allenai/Tulu-3-8B-DPO", card="---\nbase_model:\n- allenai/Tulu-3-8B-SFT\n---\n")
    assert list(descent("allenai/Tulu-3-8B-DPO", "")) == ["allenai/Tulu-3-8B-DPO", "allenai/Tulu-3-8B-SFT", LLAMA]
    assert judged(called(llama, "allenai/Tulu-3-8B-DPO"), LLAMA) is None


def test_children_by_the_name_their_config_keeps(llama, tmp_path):
    config = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "_name_or_path": LLAMA}
    write_files("acme/support-v2", config=config)
    assert judged(called(llama, "acme/support-v2"), LLAMA) is None
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert judged(called(llama, str(tmp_path), str(tmp_path)), LLAMA) is None


def test_a_child_of_fewer_blocks_is_not_read_as_its_parent(llama):
    config = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 24, "_name_or_path": LLAMA}
    write_files("acme/pruned", config=config)
    with pytest.raises(SaeError, match="of 24 blocks, not 32"):
        judged(called(llama, "acme/pruned"), LLAMA)


def test_cards_that_go_in_circles_or_are_damaged_end(llama):
    write_files("a/one", card="---\nbase_model: a/two\n---\n")
    write_files("a/two", card="---\nbase_model: [a/one, a/three]\n---\n")
    write_files("a/three", card="---\nbase_model: {\n---\n", config=None)
    assert list(descent("a/one", "")) == ["a/one", "a/two", "a/three"]


def test_where_no_file_tells_the_plan_says_so(llama):
    assert judged(called(llama, "acme/support-v3", llama.place), LLAMA) == (
        f"SAE 'mine' was made for '{LLAMA}', and no file says whether 'acme/support-v3' descends from it. Width and "
        "layer fit; its health on the recipe's own tokens alone says whether the SAE does."
    )
    assert judged(called(llama, "acme/support-v3", llama.place)) is None  # an SAE that names no model


@pytest.mark.parametrize(
    ("made_for", "difference"),
    [("gemma-2-9b", "of architecture llama, not gemma2"), ("Llama-3.3-70B-Instruct", "of 32 blocks, not 80")],
)
def test_another_build_is_refused_unless_accepted(llama, made_for, difference):
    with pytest.raises(SaeError) as caught:
        judged(called(llama, "acme/support-v3", llama.place), made_for)
    full = {"gemma-2-9b": "google/gemma-2-9b"}.get(made_for, made_for)
    assert str(caught.value) == (
        f"SAE 'mine' was made for '{full}', but the recipe's model is 'acme/support-v3', {difference}. Choose an SAE "
        "made for this model: `mixplan sae ls --model acme/support-v3` lists them. To try this one all the same, set "
        "`model.sae.accept: true`."
    )
    assert judged(called(llama, "acme/support-v3", llama.place), made_for, accept=True) == (
        f"SAE 'mine' was made for '{full}'; it reads 'acme/support-v3' because `model.sae.accept` is true. Its health "
        "on the recipe's own tokens alone says whether it fits."
    )


def test_a_model_that_is_in_no_table_is_known_by_its_cached_config(llama):
    write_files("acme/parent", config={"model_type": "olmo2", "hidden_size": 32, "num_hidden_layers": 32})
    with pytest.raises(SaeError, match="of architecture llama, not olmo2"):
        judged(called(llama, "acme/support-v3", llama.place), "acme/parent")


def test_a_wrapped_language_model_is_known_by_its_text_config(llama):
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34}
    card = "---\nbase_model: google/gemma-3-4b-it\n---\n"
    write_files("acme/seer", config={"model_type": "gemma3", "text_config": text}, card=card)
    assert judged(called(llama, "acme/seer"), "google/gemma-3-4b-pt") is None


def test_a_loaded_sae_carries_the_doubt(llama, tiny_sae, tmp_path):
    folder = tiny_sae("standard", 32, 64, "blocks.1.hook_resid_post", tmp_path / "s", model_name=LLAMA)
    sae = load_sae(SaeSpec(path=str(folder)), llama)
    assert sae.doubt is not None
    bad = Health(fvu=1.3, l0=4.0, dead_share=0.0, tokens=600)
    with pytest.raises(SaeError) as caught:
        refuse_doubtful(sae, bad, llama)
    assert str(caught.value) == (
        f"{sae.doubt} It does not: on 600 of them it leaves 130% of the variance unexplained with 4.0 active features "
        f"per token. Choose an SAE made for this model: `mixplan sae ls --model {llama.name}` lists them."
    )
    refuse_doubtful(sae, replace(bad, fvu=0.7), llama)
    refuse_doubtful(replace(sae, doubt=None), bad, llama)  # the model's own: the plan warns
    for fvu, l0 in ((float("nan"), 4.0), (0.2, 0.0), (0.9, 1.0)):
        assert replace(bad, fvu=fvu, l0=l0).explains_nothing


def test_families_of_the_known_builds_are_all_different():
    assert len({family(name) for name in SHAPES}) == len(SHAPES)
