"""What a training changed is measured without a plan: against readings by hand, resumed, and what is not known said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_loop import lay
from small_plan import Silent
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

import mixplan
from mixplan.cli import app
from mixplan.errors import MixplanError, RunError
from mixplan.model import load_model, load_trained
from mixplan.outcome.difference.make import diff_models
from mixplan.outcome.difference.request import DiffRequest, hold_own
from mixplan.recipe import load_recipe
from mixplan.sae import load_sae
from mixplan.saved.diff import read_diff

FEW = (
    *("evaluate.behaviour_tokens=6", "evaluate.answer_tokens=6", "evaluate.resamples=100"),
    *("sts.query_tokens=60", "sts.draws=2", "evaluate.rows=3"),
)
SET = [word for text in FEW for word in ("--set", text)]


def tuned(base: Path, folder: Path, block: int) -> Path:
    """A copy of a model with one block's weights changed."""
    shutil.copytree(base, folder)
    lm = AutoModelForCausalLM.from_pretrained(base)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in lm.model.layers[block].mlp.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    lm.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny_model, tiny_sae):
    """The folder with data, the trained model and the SAE; the result in `out`; its cache."""
    folder = tmp_path_factory.mktemp("diff")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
        lay(folder, tiny_model, tiny_sae)
        tuned(tiny_model, folder / "tuned", 1)
        tuned(tiny_model, folder / "above", 3)
        request = DiffRequest(
            str(folder / "tuned"), str(tiny_model), str(folder / "tiny.yaml"), str(folder / "sae"), folder / "out", FEW
        )
        diff_models(request, watcher=Silent())
    return folder, request


@pytest.fixture
def cache(compared, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(compared[0] / "cache"))


def test_shifts_are_those_of_reading_both_models_by_hand(compared, tiny_model, cache):
    """Every query row's last turn, through both models and the SAE at once, without units, kept readings or sums."""
    folder, _ = compared
    found = read_diff(folder / "out")
    loaded = load_recipe(folder / "out" / "recipe.yaml", FEW)
    spec = loaded.recipe.model.model_copy(update={"dtype": "float32"})
    base = load_model(spec)
    other = load_trained(spec, folder / "tuned")
    sae = load_sae(spec.sae, base)
    from mixplan.outcome.difference.features import readings_of
    from mixplan.outcome.difference.make import opened

    asked = type("Asked", (), {"loaded": loaded})
    shifts = {}
    for name, reading in readings_of(loaded.recipe, base, opened(asked)).items():
        total, tokens = np.zeros(sae.d_sae), 0
        for query in (query for unit in reading.units for query in unit.queries):
            with torch.inference_mode():
                streams = [
                    model.lm(torch.tensor([query.alone]), output_hidden_states=True).hidden_states[sae.depth][0]
                    for model in (base, other)
                ]
            early, late = (sae.encode(stream[-query.count :]).numpy() for stream in streams)
            total += np.square(late - early).sum(axis=0)
            tokens += query.count
        shifts[name] = total / tokens
        assert found.domains[name].shift.tokens == tokens
        assert found.domains[name].shift.total == pytest.approx(shifts[name].sum(), rel=1e-4)
    together = np.mean(list(shifts.values()), axis=0)
    order = np.argsort(-together)[:20]
    assert [one.feature for one in found.features] == order.tolist()
    assert [one.share for one in found.features] == pytest.approx(together[order] / together.sum(), rel=1e-4)
    for one in found.features:
        assert one.domain == max(shifts, key=lambda name: shifts[name][one.feature])
        assert one.contexts


def test_domains_are_measured_as_a_run_measures_them_and_the_page_says_all(compared, cache):
    folder, _ = compared
    found = read_diff(folder / "out")
    assert list(found.domains) == ["patient", "fox", "doctor"]
    for one in found.domains.values():
        assert set(one.measures) == {"exact", "behaviour"}
        assert one.measures["behaviour"]["kl"].after > 0
    assert "SAE features, the 20 that moved most hold" in found.summary[-1]
    called = CliRunner().invoke(app, [
        "diff", found.base, found.trained, "--domains", found.suite, "--sae", str(folder / "sae"), "--out",
        str(folder / "out"), *SET,
    ])  # fmt: skip
    assert called.exit_code == 0, called.output
    assert "6 of 6 measures are reused from an earlier evaluation" in called.output
    assert called.output.index("None of 3 domains changed") < called.output.index("Features that moved most")
    page = (folder / "out" / "report.html").read_text()
    for part in (
        "Features that moved",
        "Shift by domain",
        f"Feature {found.features[0].feature}",
        "--sae",
        "Before and",
    ):
        assert part in page, part


def test_a_folder_is_of_one_pair_of_models_and_one_set_of_domains(compared):
    folder, _ = compared
    found = read_diff(folder / "out")
    hold_own(folder / "out", found.base, found.trained, found.suite)
    for asked in ((found.base, found.trained, "other.yaml"), (found.base, "other", found.suite)):
        with pytest.raises(RunError, match=r"holds the comparison of '.*' with '.*' over .*--out FOLDER"):
            hold_own(folder / "out", *asked)


def test_a_comparison_is_listed_and_shown_again(compared, tmp_path, monkeypatch):
    folder, _ = compared
    shutil.copytree(folder / "out", tmp_path / "runs" / "diff-a-b")
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["ls"])
    assert "runs/diff-a-b  compared, " in listed.output
    shown = CliRunner().invoke(app, ["report", "runs/diff-a-b"])
    assert shown.exit_code == 0, shown.output
    assert "tuned against llama: None of 3 domains changed beyond noise" in " ".join(shown.output.split())
    as_json = json.loads(CliRunner().invoke(app, ["report", "runs/diff-a-b", "--json"]).output)
    assert as_json[0]["diff"]["trained"] == str(folder / "tuned")


def test_the_same_request_gives_the_same_bytes_but_the_time(compared, cache):
    folder, request = compared
    first = json.loads((folder / "out" / "diff.json").read_bytes())
    diff_models(request, watcher=Silent())
    again = json.loads((folder / "out" / "diff.json").read_bytes())
    assert {**first, "created": ""} == {**again, "created": ""}


def test_a_training_above_the_sae_moves_behaviour_and_no_feature(compared, tiny_model, cache, tmp_path):
    folder, _ = compared
    found = mixplan.diff_models(
        tiny_model,
        folder / "above",
        domains=folder / "tiny.yaml",
        sae=folder / "sae",
        out=tmp_path / "o",
        overrides=FEW,
    )
    assert found.features() == []
    assert repr(found).startswith(f"Diff({found.saved.base!r}, {found.saved.trained!r}, changes={{")
    assert len(repr(found)) < 600
    assert found.summary[-1] == "Training moved no feature of the SAE: it changed nothing below the SAE's layer."
    assert all(row["shift"] is None for row in found.changes())
    assert found.saved.domains["fox"].measures["behaviour"]["kl"].after > 0


def test_without_an_sae_it_is_by_domain_alone_and_said(compared, tiny_model, cache, tmp_path):
    folder, _ = compared
    trained = str(folder / "tuned")
    request = DiffRequest(trained, str(tiny_model), str(folder / "tiny.yaml"), None, tmp_path / "out", FEW)
    diff_models(request, watcher=Silent())
    found = read_diff(tmp_path / "out")
    assert found.without_sae == f"SAELens's table has no SAE of '{tiny_model}'. Name one with `--sae`."
    assert found.summary[-1] == f"Features were not read. {found.without_sae}"
    assert (found.sae, found.features, found.domains["fox"].shift) == (None, [], None)


def test_an_adapter_may_stand_alone_and_says_its_base(compared, tiny_model, cache, tmp_path):
    from peft import LoraConfig, get_peft_model

    folder, _ = compared
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model), LoraConfig(r=2, target_modules=["q_proj"])
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    adapted.save_pretrained(tmp_path / "lora")
    words = ["--domains", str(folder / "tiny.yaml"), "--sae", str(folder / "sae"), "--out", str(tmp_path / "one"), *SET]
    called = CliRunner().invoke(app, ["diff", str(tmp_path / "lora"), *words])
    assert called.exit_code == 0, called.output
    found = read_diff(tmp_path / "one")
    assert found.base == str(tiny_model)
    assert found.features
    assert found.warnings == [text for text in found.warnings if "says that it was trained on" not in text]
    copy = Path(shutil.copytree(tiny_model, tmp_path / "copy"))
    request = DiffRequest(str(tmp_path / "lora"), str(copy), str(folder / "tiny.yaml"), "none", tmp_path / "two", FEW)
    diff_models(request, watcher=Silent())
    (told,) = [text for text in read_diff(tmp_path / "two").warnings if "says that it was trained on" in text]
    assert str(tiny_model) in told


def test_a_changed_result_is_noticed(compared, tmp_path):
    folder, _ = compared
    text = (folder / "out" / "diff.json").read_text()
    for spoiled, said in (
        (text.replace('"kl"', '"KL"'), "does not match its own hash"),
        (text[:-50], "not a diff that mixplan wrote"),
        (text.replace('"version": 1', '"version": 2'), "found diff version 2"),
    ):
        (tmp_path / "diff.json").write_text(spoiled)
        with pytest.raises(MixplanError, match=said):
            read_diff(tmp_path)
