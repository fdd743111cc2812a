"""What a plan says of an opened domain."""

import json

from as_saved import plain
from saved_plan import sample
from small_domains import domain, questions, recipe, save

from mixplan.domains import open_domains
from mixplan.plan.describe import data_of, sae_of
from mixplan.recipe import SaeSpec
from mixplan.saved import Plan


def test_describe(tmp_path):
    save(tmp_path, "target", [*questions("target", 20), "Target question 3", {"q": "r", "a": None}])
    save(tmp_path, "law", questions("law", 20))
    target, _ = open_domains(recipe(domain("target", licence="MIT"), {"law": domain("law")}), folder=tmp_path)
    assert plain(data_of(target)) == {
        "rows": {"evaluation": 2, "query": 3, "demonstration": 2, "pool": 18},
        "read_rows": 22,
        "source_rows": 22,
        "group": None,
        "shared": {},
        "dropped": {"duplicate": 1, "no answer": 1},
        "changed": {},
        "examples": {"no answer": "target.jsonl, line 22"},
        "labels": None,
        "fingerprint": target.fingerprint,
        "grader": "exact",
        "licence": "MIT",
    }


def test_an_sae_has_its_name_on_neuronpedia_where_saelens_knows_one():
    sae = Plan.model_validate_json(json.dumps(sample())).sae
    found = sae_of(sae, SaeSpec(release="gpt2-small-res-jb", id="blocks.6.hook_resid_pre"))
    assert found.neuronpedia == "gpt2-small/6-res-jb"
    assert found.model_copy(update={"neuronpedia": None}) == sae
    for spec in (SaeSpec(embedded=True), SaeSpec(path="sae"), SaeSpec(release="gpt2-small-res-jb", id="none")):
        assert sae_of(sae, spec) == sae
        assert "neuronpedia" not in sae_of(sae, spec).values()
