"""What a run teaches is what its outcome.json holds, number by number, of this version and of version 0.1.0."""

import json
from pathlib import Path

import pytest
from saved_outcome import sample

from mixplan.forecast.measured_run import run_of
from mixplan.saved import Outcome

OLD = Path(__file__).parent / "helpers" / "runs-0.1.0" / "sums" / "outcome.json"
"""A run of a tiny model, trained and compared with an even spread by version 0.1.0."""


def learned(value):
    return run_of("mine", "mark", Outcome.model_validate_json(json.dumps(value)))


@pytest.mark.parametrize("value", [sample(1, domains=4), json.loads(OLD.read_text())], ids=["new", "0.1.0"])
def test_each_number_is_the_file_s_own(value):
    run = learned(value)
    assert (run.name, run.hash, run.dtype, run.studied) == ("mine", "mark", value.get("dtype", ""), False)
    assert set(run.domains) == set(value["domains"])
    for name, domain in value["domains"].items():
        found, moved = run.domains[name], domain["measures"]["behaviour"]["kl"]
        quantity, change = next(iter(domain["measures"][domain["headline"]].items()))
        assert found.headline == (domain["headline"], quantity, change["change"])
        assert found.headline_noise.items == pytest.approx((change["high"] - change["low"]) / 3.92)
        assert found.behaviour == moved["change"]
        assert found.behaviour_noise.items == pytest.approx((moved["high"] - moved["low"]) / 3.92)
        assert found.scores == domain["predictors"]


def test_what_version_0_1_0_saved_beside_the_changes():
    """It did not count the rows of several epochs once, so what was read is taken."""
    value = json.loads(OLD.read_text())
    run = learned(value)
    assert run.job.values() == value["job"]
    assert run.alone.values() == value["job"] | {"steps": float(value["training"]["steps"])}
    assert run.target.as_json() == value["content"]["target"]
    for name, found in run.domains.items():
        assert found.rows == value["training"]["consumption"][name]["rows"]
        assert found.bare == value["arms"]["behaviour"]["arms"]["none"]["losses"][name]
        assert found.content.as_json() == value["content"]["domains"][name]
    assert run.extra_rows == sum(found.rows for found in run.domains.values())


def test_arms_that_were_trained_longer_than_the_model_that_was_kept_teach_nothing_of_its_job():
    value = json.loads(OLD.read_text())
    steps = value["training"]["steps"]
    assert steps > 1
    for kept, known in ((steps, True), (steps - 1, False)):
        value["training"]["kept_step"] = kept
        assert [found.bare is not None for found in learned(value).domains.values()] == [known] * len(value["domains"])


def test_rows_of_several_epochs_count_once_and_of_foreign_parts_not_at_all():
    value = sample(1, domains=4, arms=False)
    consumption = value["training"]["consumption"]
    first, *others = value["domains"]
    consumption[first] |= {"rows": 30, "distinct_rows": 10}
    for name in others:
        del consumption[name]
    consumption["elsewhere"] = consumption[first]
    run = learned(value)
    assert [run.domains[name].rows for name in value["domains"]] == [10.0, *[0.0] * len(others)]
    assert run.extra_rows == 10.0
    assert all(found.bare is None and found.content is None for found in run.domains.values())


def test_what_was_not_measured_teaches_no_number():
    value = sample(1, domains=4)
    law, second, *_ = value["domains"].values()
    law["measures"] = {}
    second["predictors"]["sts_icl"] = None
    found, other, *_ = learned(value).domains.values()
    assert (found.headline, found.behaviour, found.headline_noise.items) == (None, None, None)
    assert "sts_icl" not in other.scores
    assert len(other.scores) == len(second["predictors"]) - 1


def test_a_damaged_sketch_is_refused():
    value = sample(1, domains=4)
    value["content"] = {"target": {"source": None, "rows": 9, "keys": "xyz"}, "domains": {}}
    with pytest.raises(ValueError, match=r"^keys: expected hashes of 12 hexadecimal digits$"):
        learned(value)
