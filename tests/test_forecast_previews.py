"""What studies say of scores without an SAE: beside a plan of their own model, another model, another training."""

import pytest
from small_evidence import KIND, SETTINGS, evidence_values, lay_evidence

from mixplan.forecast import NO_SAE, History, evidence, previews
from mixplan.forecast.earlier_runs import Kind
from mixplan.forecast.evidence import with_studies
from mixplan.forecast.previews import said_of_previews
from mixplan.saved.outcome import Settings

TOLD = {
    "preview_kl": {"value": 0.4, "low": 0.05, "high": 0.7},
    "behind_answers_raw": {"value": 0.3, "low": -0.1, "high": 0.6},
    "sts_icl": {"value": 0.2, "low": -0.2, "high": 0.5},
}


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    for module in (evidence, previews):
        monkeypatch.setattr(module, "SHIPPED", tmp_path / "shipped")


def kind(**changes):
    return Kind(changes.pop("model", KIND.model), NO_SAE, Settings(**SETTINGS | changes))


def said(folder, kind, score="preview_kl"):
    return said_of_previews(None, folder=folder, run=folder / "own", kind=kind, score=score)


def test_a_study_is_named_with_what_it_found(tmp_path):
    lay_evidence(tmp_path / "study", evidence_values(told=TOLD))
    beside = "stream shift r = 0.30 [-0.10, 0.60], STS_ICL, which needs an SAE, r = 0.20 [-0.20, 0.50]"
    assert said(tmp_path, kind()) == [
        f"Study 'Eight targets' (3 targets, 3 domains, {seeds()}): preview KL had r = 0.40 [0.05, 0.70] with how far "
        f"behaviour moved; beside it, {beside}."
    ]
    (other,) = said(tmp_path, kind(model="x" * 64, method="grpo"))
    assert other.endswith(
        "It is a study of another model than yours and of SFT, where this plan is for GRPO: whether it holds here is "
        "not known."
    )
    (unsure,) = said(tmp_path, kind(), "behind_answers_raw")
    assert (
        "stream shift had r = 0.30 [-0.10, 0.60] with how far behaviour moved; there is no evidence that it" in unsure
    )


def seeds():
    count = len(evidence_values()["seeds"])
    return f"{count} training seed" + ("s" if count > 1 else "")


def test_without_a_study_of_such_scores_that_is_said(tmp_path):
    lay_evidence(tmp_path / "study", evidence_values())
    assert said(tmp_path, kind()) == [
        "No study that this mixplan knows of has held preview KL against what training changed."
    ]


def test_a_plan_without_an_sae_learns_from_a_study_with_any_and_not_the_other_way_round(tmp_path):
    lay_evidence(tmp_path / "study", evidence_values(told=TOLD))
    without, _ = with_studies(History(), None, folder=tmp_path, run=tmp_path / "own", kind=kind(features=7))
    assert [run.name for run in without.runs] == [f"Eight targets: {name}" for name in ("small", "middle", "big")]
    # How many of the target's examples stand in front is part of these scores' meaning.
    other, _ = with_studies(History(), None, folder=tmp_path, run=tmp_path / "own", kind=kind(drift_demonstrations=5))
    assert (other.runs, other.left_out[0].keys) == ((), ("drift.demonstrations: 2",))
    tokens, _ = with_studies(History(), None, folder=tmp_path, run=tmp_path / "own", kind=kind(preview_tokens=8))
    assert (tokens.runs, tokens.left_out[0].keys) == ((), ("sts.preview.answer_tokens: 24",))
    bare = evidence_values(told=TOLD)
    bare["hashes"]["sae"] = NO_SAE
    lay_evidence(tmp_path / "study", bare)
    with_sae, _ = with_studies(History(), None, folder=tmp_path, run=tmp_path / "own", kind=KIND)
    assert (with_sae.runs, with_sae.left_out[0].keys) == ((), ("model.sae: none",))
