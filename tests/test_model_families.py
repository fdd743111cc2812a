"""Families of causal language models, tiny and random: read, scored and answered as by plain passes, or refused."""

import sys
from pathlib import Path

import pytest
import tiny_families

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bin"))

from families import check

from mixplan.model.attention import longest_row

PACKED = (
    "afmoe", "cohere", "cohere2", "cwm", "deepseek_v3", "ernie4_5", "exaone4", "gemma2",
    "gemma3_text", "gemma4_text", "glm4", "glm4_moe", "gpt_bigcode", "gpt_oss", "granite", "gptj", "hunyuan_v1_dense",
    "llama4_text", "llama with dynamic rope", "mimo_v2_flash", "ministral", "mistral", "mixtral", "nemotron", "olmo2",
    "olmo3", "olmoe", "opt", "phi3 with longrope", "qwen2 with windows", "qwen2_moe with a window of 0", "qwen3_moe",
    "smollm3 with windows", "vaultgemma",
)  # fmt: skip
"""Read packed in every respect."""

APART = ("bamba", "bloom", "falcon with alibi", "falcon_h1", "gpt_neo", "jamba", "lfm2", "mamba2", "mpt", "nemotron_h",
         "qwen3_5_text", "qwen3_next", "recurrent_gemma")  # fmt: skip
"""Read one text at a time."""


@pytest.mark.parametrize("family", PACKED)
def test_read_packed_and_right(family):
    result = check(family, train=False)
    assert result.verdict == "right", result


@pytest.mark.parametrize("family", APART)
def test_read_one_by_one_and_right(family):
    result = check(family, train=False)
    assert result.verdict == "right unpacked", result
    assert result.reading != "packed"


@pytest.mark.parametrize(("family", "why"), [
    ("gemma3n_text", "expected one vector a token"), ("cpmant", "sees the tokens that follow it"),
])  # fmt: skip
def test_refused_in_one_message(family, why):
    result = check(family, train=False)
    assert result.verdict == "refused"
    assert why in result.refused


@pytest.mark.parametrize("family", ["gpt_oss", "bamba"])
def test_trained_saved_and_measured(family):
    result = check(family, train=True)
    assert (result.full, result.lora) == ("right", "right")


def test_a_layer_that_counts_its_row_is_read_in_rows_that_it_counts_alike(monkeypatch):
    """Llama 4 scales by places in the row, in steps too long for the check to see; here the packed row crosses one."""
    monkeypatch.setitem(tiny_families.VARIANTS, "short steps", ("llama4_text", {"floor_scale": 72}))
    assert longest_row(tiny_families.tiny_model("short steps")) == 71
    result = check("short steps", train=False)
    assert (result.reading, result.scoring, result.answering) == ("packed",) * 3
    assert result.verdict == "right", result
