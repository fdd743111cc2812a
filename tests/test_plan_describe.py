"""What a plan says of an opened domain."""

from as_saved import plain
from test_domains_split import domain, questions, recipe, save

from mixplan.domains import open_domains
from mixplan.plan.describe import data_of


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
