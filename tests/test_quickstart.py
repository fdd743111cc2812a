"""What `bin/quickstart` plans: the same rows in either type, starting from what was measured of its own target."""

import json
from pathlib import Path

import pytest
import torch

from mixplan import embedded
from mixplan.plan import PlanRequest, make_plan
from mixplan.reading.progress import Silent
from mixplan.recipe import load_recipe

QUICKSTART = Path(__file__).resolve().parent.parent / "recipes" / "quickstart.yaml"

FEW = ("knights", "medicine", "word_problems")
"""A game, a choice and worked maths; sixteen domains take minutes."""

SMALL = ("drift.query_tokens=240", "drift.draws=1", "sts.query_tokens=80", "sts.draws=1", "sts.resamples=200")


def with_float32_products(monkeypatch) -> None:
    """Have bfloat16 products computed from float32 ones, each rounded once, as processors with bfloat16 units do.

    Others take some twenty times as long for a bfloat16 product as for a float32 one, and round no less often.
    """
    linear, attention = torch.nn.functional.linear, torch.nn.functional.scaled_dot_product_attention

    def quick_linear(values, weight, bias=None):
        if values.dtype != torch.bfloat16:
            return linear(values, weight, bias)
        return linear(values.float(), weight.float(), None if bias is None else bias.float()).bfloat16()

    def quick_attention(query, key, value, attn_mask=None, **options):
        if query.dtype != torch.bfloat16:
            return attention(query, key, value, attn_mask=attn_mask, **options)
        mask = attn_mask.float() if attn_mask is not None and attn_mask.is_floating_point() else attn_mask
        return attention(query.float(), key.float(), value.float(), attn_mask=mask, **options).bfloat16()

    monkeypatch.setattr(torch.nn.functional, "linear", quick_linear)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", quick_attention)


@pytest.mark.real
def test_both_types_plan_the_same_rows_from_the_same_evidence(real_model, tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "converted_folder", lambda: real_model)
    with_float32_products(monkeypatch)
    others = [f"domains.{name}=null" for name in load_recipe(QUICKSTART).recipe.domains if name not in FEW]
    made = {}
    for dtype in ("float32", "bfloat16"):
        overrides = (*SMALL, *others, f"model.dtype={dtype}")
        folder = make_plan(PlanRequest(QUICKSTART, overrides, None, tmp_path / dtype), watcher=Silent())
        made[dtype] = json.loads((folder / "plan.json").read_text())
    whole, short = made["float32"], made["bfloat16"]
    assert whole["model"]["dtype"] == "float32"
    assert short["model"]["dtype"] == "bfloat16"
    assert whole["hashes"]["model"] == short["hashes"]["model"]
    features = [{entry[0] for entry in plan["drift"]["features"]} for plan in (whole, short)]
    assert whole["domains"]["medicine"]["sts_icl"] != short["domains"]["medicine"]["sts_icl"]
    assert len(features[0] & features[1]) >= 90
    for name in FEW:
        assert abs(whole["allocation"]["rows"][name] - short["allocation"]["rows"][name]) <= 1
        assert short["domains"][name]["sts_icl"]["value"] == pytest.approx(
            whole["domains"][name]["sts_icl"]["value"], rel=0.05
        )
    for plan in (whole, short):
        assert plan["forecast"]["planned_by"] == "behaviour"
        assert len(plan["forecast"]["learned_from"]) == 14
        assert "No measured runs" not in plan["forecast"]["text"]
        assert "This plan's target was measured before" in plan["forecast"]["text"]
    # Of two studies whose targets they learn from, each is told of the one that was read in the other type.
    for plan, other in ((whole, "bfloat16"), (short, "float32")):
        told = [line for line in plan["forecast"]["evidence"] if "It was measured in" in line]
        assert [f"It was measured in {other};" in line for line in told] == [True]
