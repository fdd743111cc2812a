"""SAELens's table of pretrained SAEs: what mixplan takes from it without loading SAELens, held against SAELens."""

import subprocess
import sys

import pytest
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from transformer_lens.supported_models import MODEL_ALIASES

from mixplan.recipe.releases import hub_name, listed_saes, release, release_names, residual_saes
from mixplan.recipe.shapes import SHAPES, shape_of


@pytest.fixture(scope="module")
def listed():
    return list(listed_saes())


def test_every_entry_is_saelens_s_own(listed):
    table = get_pretrained_saes_directory()
    assert release_names() == list(table)
    assert [(one.release, one.id, one.path, one.repository) for one in listed] == [
        (name, sae_id, path, entry.repo_id) for name, entry in table.items() for sae_id, path in entry.saes_map.items()
    ]
    assert release("nothing-of-the-kind") is None


def test_every_sae_of_a_residual_stream_is_readable_but_for_two_kinds(listed):
    """Of those on a stream: 24 lie between attention and MLP, 3 are temporal; 8 read token embeddings."""
    assert sum(one.readable for one in listed) == 4814
    stream = [one for one in listed if one.hook_name not in (None, "hook_embed")]
    assert len(stream) == 4841
    odd = [one for one in stream if not one.readable]
    assert {one.release for one in odd if one.conversion != "temporal"} == {
        "gpt2-small-resid-mid-v5-32k",
        "gpt2-small-resid-mid-v5-128k",
    }
    assert (len(odd), sum(one.conversion == "temporal" for one in odd)) == (27, 3)
    assert sum(one.hook_name == "hook_embed" for one in listed) == 8


def test_layers_lie_within_their_models(listed):
    for one in listed:
        if one.readable:
            shape = shape_of(one.model)
            assert shape is not None, one.model
            assert 0 <= one.layer < shape.layers, one


def test_what_the_names_say(listed):
    by_name = {(one.release, one.id): one for one in listed}
    for key, hook_name, d_sae, l0 in [
        (("gemma-scope-2-1b-it-res", "layer_13_width_16k_l0_small"), "blocks.13.hook_resid_post", 16_384, 20),
        (("gemma-scope-9b-it-res", "layer_31/width_131k/average_l0_22"), "blocks.31.hook_resid_post", 131_072, 22),
        (("gpt2-small-res-jb-feature-splitting", "blocks.8.hook_resid_pre_768"), "blocks.8.hook_resid_pre", 768, None),
        (("llama_scope_lxr_8x", "l7r_8x"), "blocks.7.hook_resid_post", 32_768, 50),
        (("llama_scope_r1_distill", "l7r_800m_slimpajama"), "blocks.7.hook_resid_post", None, None),
        (("qwen-scope-3-8b-base-w64k-l50", "layer9"), "blocks.9.hook_resid_post", 65_536, 50),
        (("goodfire-llama-3.1-8b-instruct", "layer_19"), "blocks.19.hook_resid_post", 65_536, 91),
        (("llama_scope_lxm_8x", "l7m_8x"), None, None, None),
    ]:
        one = by_name[key]
        assert one.hook_name == hook_name
        if hook_name is not None:
            assert one.d_sae == d_sae
            assert l0 is None or one.l0 == pytest.approx(l0, abs=1)


def test_a_size_is_that_of_its_parameters():
    one = next(it for it in residual_saes("Qwen/Qwen3-8B") if it.d_sae)
    width = SHAPES["Qwen/Qwen3-8B-Base"].width
    matrices, biases = 2 * width * one.d_sae, 2 * one.d_sae + width
    assert one.size_bytes == 4 * (matrices + biases)


def test_models_by_every_name():
    assert hub_name("gpt2-small") == "gpt2"
    assert len(residual_saes("gpt2")) == len(residual_saes("gpt2-small")) == 63
    assert len(residual_saes("mistralai/Mistral-7B-Instruct-v0.1")) == 3
    assert len(residual_saes("deepseek-ai/DeepSeek-R1-Distill-Llama-8B")) == 97
    assert residual_saes("acme/support-v2") == []
    for name, shorts in MODEL_ALIASES.items():
        for short in shorts:
            assert hub_name(short) == name


def test_nothing_heavy_is_loaded():
    program = "import sys, mixplan.recipe.releases as r; r.residual_saes('gpt2'); print([n for n in ('torch', 'sae_lens', 'transformer_lens') if n in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
