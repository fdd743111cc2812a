"""A plan of a model without an SAE: its scores by definition, what it says of itself, and the loop behind it."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from small_loop import lay
from small_plan import Silent, plan
from typer.testing import CliRunner

from mixplan.cli import app
from mixplan.domains.cached_domains import opened
from mixplan.errors import RunError
from mixplan.features.queries import draw_demonstrations, in_front
from mixplan.model import load_model, render
from mixplan.outcome.compare import make_comparison
from mixplan.outcome.compare_request import CompareRequest
from mixplan.outcome.make import OutcomeRequest, evaluate_run
from mixplan.recipe import load_recipe
from mixplan.saved import read_plan

NONE = "model.sae=none"
FEW = ("sts.preview.rows=5", "sts.preview.answer_tokens=4")


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_sae):
    return lay(tmp_path, tiny_model, tiny_sae)


def ids_of(model, messages):
    text = render(model, messages, awaiting=True)
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def greedy(model, prompt, count):
    """The model's own answer, by a plain pass over the whole text for each token; the end of its turn is its last."""
    ids = list(prompt)
    while len(ids) < len(prompt) + count:
        ids.append(int(model.lm(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        if ids[-1] == model.tokenizer.eos_token_id:
            break
    return ids[len(prompt) :]


def kl_of(model, row, front, count):
    """KL of the next tokens along the model's own answer, by two plain passes."""
    bare, shown = ids_of(model, row.prompt), ids_of(model, in_front(front, row.prompt))
    answer = greedy(model, bare, count)
    logs = [
        model.lm(input_ids=torch.tensor([[*prompt, *answer]]), use_cache=False)
        .logits[0, len(prompt) - 1 : -1]
        .double()
        .log_softmax(-1)
        for prompt in (bare, shown)
    ]
    return float((logs[0].exp() * (logs[0] - logs[1])).sum(-1).mean())


def stream_of(model, row, front, depth):
    """Squared change of the stream at the reference answer's tokens, by two plain passes."""
    streams = []
    for prompt in (row.prompt, in_front(front, row.prompt)):
        text = render(model, prompt, awaiting=True) + row.answer
        whole = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        states = model.lm(input_ids=torch.tensor([whole]), output_hidden_states=True).hidden_states[depth][0]
        streams.append(states[len(ids_of(model, prompt)) :].double())
    return (streams[1] - streams[0]).square().sum(1)


def test_scores_are_those_of_plain_passes(recipe, tmp_path):
    found, _ = plan(recipe, tmp_path / "run", NONE, *FEW)
    loaded = load_recipe(recipe, (NONE, *FEW))
    target, domains = opened(loaded)
    model = load_model(loaded.recipe.model, folder=tmp_path)
    fronts = draw_demonstrations(target.demonstration, shots=2, draws=2, seed=0)
    with torch.inference_mode():
        for name, domain in domains.items():
            rows = domain.query[:5]
            kl = [kl_of(model, row, fronts[place % 2], 4) for place, row in enumerate(rows)]
            assert found["domains"][name]["preview_kl"]["value"] == pytest.approx(np.mean(kl), rel=1e-3)
            assert min(kl) > 0.01


def test_the_stream_is_that_of_plain_passes(recipe, tmp_path):
    given = (NONE, *FEW, "drift.draws=1", "sts.score=stream")
    found, _ = plan(recipe, tmp_path / "run", *given)
    loaded = load_recipe(recipe, given)
    target, domains = opened(loaded)
    model = load_model(loaded.recipe.model, folder=tmp_path)
    (front,) = draw_demonstrations(target.demonstration, shots=2, draws=1, seed=0)
    left = loaded.recipe.sts.query_tokens
    with torch.inference_mode():
        for name, domain in domains.items():
            # Two thirds up four blocks, as many tokens as are asked for.
            moved = [stream_of(model, row, front, 3) for row in domain.query[:5]]
            expected = float(torch.cat(moved)[:left].mean())
            assert found["domains"][name]["behind_answers_raw"]["value"] == pytest.approx(expected, rel=1e-3)
    assert found["score"] == "stream"


def test_a_plan_says_that_there_is_no_sae(recipe, tmp_path):
    run = tmp_path / "run"
    found, watcher = plan(recipe, run, NONE, *FEW)
    assert (found["sae"], found["drift"], found["hashes"]["sae"], found["score"]) == (None, None, "none", "preview")
    assert all(domain["why"] == [] and "sts_icl" not in domain for domain in found["domains"].values())
    assert any("it has no SAE, so no features are read" in text for text in watcher.said)
    rows, shares = found["allocation"]["rows"], found["allocation"]["shares"]
    scores = {name: domain["preview_kl"]["value"] for name, domain in found["domains"].items()}
    assert sum(rows.values()) == 8
    for name, share in shares.items():  # as with an SAE: alpha 1 is proportional to the score, to whole rows
        assert share == pytest.approx(scores[name] / sum(scores.values()), abs=1 / 8)
    # What studies found of this score stands beside, on another model than this.
    study = [text for text in found["forecast"]["evidence"] if text.startswith("Study '")]
    assert ["preview KL had r = 0.39 [0.04, 0.65]" in text and "of another model than yours" in text for text in study]
    again, watcher = plan(recipe, tmp_path / "again", NONE, *FEW)
    assert "scores are reused from an earlier run; no model is loaded" in watcher.said
    assert again["domains"] == found["domains"]
    shown = CliRunner().invoke(app, ["report", str(run)]).output
    page = (run / "report.html").read_text()
    for text in (shown, page):
        found_at = [text[place.start() - 60 : place.end() + 60] for place in re.finditer("STS", text)]
        assert [near for near in found_at if "no STS" not in near and "which needs an SAE" not in near] == []
        assert "preview KL" in text
    assert "Without an SAE" in page
    assert "Neuronpedia" not in page
    assert "r = 0.39 [0.04, 0.65]" in page


def test_the_loop_runs_without_an_sae_and_an_sae_comes_later(recipe, tmp_path):
    run, later, done = tmp_path / "run", tmp_path / "later", CliRunner()
    during = "evaluate.during={every: 2, rows: 2, target_rows: 2}"
    given = [word for text in (NONE, *FEW, during) for word in ("--set", text)]
    for command in (["check", str(recipe), *given], ["train", str(recipe), "--run", str(run), *given]):
        result = done.invoke(app, command)
        assert result.exit_code == 0, result.output
    make_comparison(CompareRequest(OutcomeRequest(run), ("none", "plan")), watcher=Silent())
    outcome = json.loads((run / "outcome.json").read_bytes())
    assert (outcome["sae"], outcome["drift"]) == (None, None)
    assert any("The plan has no SAE (`model.sae: none`)" in text for text in outcome["warnings"])
    for domain in outcome["domains"].values():
        assert set(domain["predictors"]) == {"preview_kl", "behind_answers_raw"}
        assert domain["measures"]["behaviour"]["kl"]["after"] > 0
    assert {line["predictor"] for line in outcome["judgement"]} == {"preview_kl", "behind_answers_raw"}
    assert set(outcome["arms"]["arms"]) == {"none", "plan"}
    with pytest.raises(RunError, match="proportional_to_sts spreads the rows by STS, and this recipe has no SAE"):
        make_comparison(CompareRequest(OutcomeRequest(run), ("uniform", "proportional_to_sts")), watcher=Silent())
    assert "preview KL" in done.invoke(app, ["report", str(run)]).output
    assert "no drift is read while the model trains" in (run / "report.html").read_text()
    # With the SAE, rows and splits are the same, and what the untrained model answered is not measured again.
    with_sae, _ = plan(recipe, later)
    assert with_sae["sae"] is not None
    assert with_sae["hashes"]["data"] == read_plan(run).hashes["data"]
    watcher = Silent()
    evaluate_run(later, (), watcher=watcher)
    (kept,) = [text for text in watcher.said if "measures are reused from an earlier evaluation" in text]
    assert kept.split()[0] == kept.split()[2]


def test_another_chat_template_is_read_anew(tmp_path, tiny_model, tiny_sae, monkeypatch):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    recipe = lay(tmp_path, model, tiny_sae)
    first, _ = plan(recipe, tmp_path / "run", NONE, *FEW)
    template = model / "chat_template.jinja"
    template.write_text(template.read_text().replace("{{ message['content'] }}", "Well: {{ message['content'] }}"))
    again, _ = plan(recipe, tmp_path / "again", NONE, *FEW)
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "another"))
    cold, _ = plan(recipe, tmp_path / "cold", NONE, *FEW)
    assert again["domains"] == cold["domains"]
    for name, domain in first["domains"].items():
        assert again["domains"][name]["preview_kl"]["value"] != domain["preview_kl"]["value"]
