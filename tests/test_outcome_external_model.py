"""A model that was trained without mixplan is measured by a run's plan and baseline, and is never replaced."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluated import asked_rows, loaded, spec_of
from small_loop import outcome
from small_plan import Silent
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

import mixplan
from mixplan.cli import app
from mixplan.errors import ModelError, RunError
from mixplan.model import load_trained
from mixplan.model.answers import end_tokens
from mixplan.outcome.external_model import comparable, find_judged, is_foreign
from mixplan.outcome.make import evaluate_run
from mixplan.saved import read_outcome

MEASURED = ("target", "domains", "drift", "judgement")


def measured(folder: Path) -> dict:
    found = json.loads((folder / "outcome.json").read_bytes())
    return {name: found[name] for name in MEASURED}


def test_a_copy_of_the_run_s_own_model_is_measured_alike(trained, tmp_path):
    """What mixplan measured of the model that it trained is what it measures where it knows of no training."""
    run, made = trained
    (run / "model").rename(tmp_path / "copy")
    shutil.rmtree(run / "training")
    (run / "outcome.json").unlink()
    found = evaluate_run(run, (), watcher=Silent(), model=str(tmp_path / "copy"))
    assert found == run / "judged" / "copy"
    assert measured(found) == {name: made[name] for name in MEASURED}
    saved = read_outcome(found)
    assert (saved.training, saved.job, saved.elsewhere.model) == (None, None, str(tmp_path / "copy"))
    assert not (run / "outcome.json").exists()


def test_models_under_several_labels_are_shown_beside_each_other(trained):
    run, made = trained
    for label in ("first", "second"):
        called = CliRunner().invoke(app, ["eval", str(run), "--model", str(run / "model"), "--label", label])
        assert called.exit_code == 0, called.output
    assert "was trained without mixplan: what its trainer read is not known" in " ".join(called.output.split())
    assert all(name in called.output.rpartition("Runs")[2] for name in ("model", "first", "second"))
    for label in ("first", "second"):
        assert measured(run / "judged" / label) == {name: made[name] for name in MEASURED}
        page = (run / "judged" / label / "report.html").read_text()
        assert f"mixplan eval . --model {run / 'model'} --label {label}" in page
    assert "second" in (run / "judged" / "report.html").read_text()
    assert json.loads((run / "outcome.json").read_bytes()) == made
    assert mixplan.judge_model(run, run / "model", label="first").saved.target.change == read_outcome(run).target.change


def test_a_model_left_in_the_run_folder_is_measured_and_not_replaced(trained):
    run, made = trained
    shutil.rmtree(run / "training")
    (run / "outcome.json").unlink()
    (run / "model" / "README.md").unlink(missing_ok=True)
    weights = (run / "model" / "model.safetensors").read_bytes()
    assert is_foreign(run)
    with pytest.raises(RunError) as refused:
        outcome(run)
    assert str(refused.value) == (
        f"{run / 'model'}: holds a model that mixplan did not train, which training would replace. Measure it with "
        f"`mixplan eval {run}`, or move it to another folder first."
    )
    called = CliRunner().invoke(app, ["eval", str(run)])
    assert called.exit_code == 0, called.output
    assert measured(run) == {name: made[name] for name in MEASURED}
    assert (run / "model" / "model.safetensors").read_bytes() == weights
    assert not (run / "model" / "README.md").exists()  # what others have saved stays as it is


def test_a_model_that_another_trainer_wrote_over_the_run_s_own_is_no_damaged_one(trained):
    run, made = trained
    assert not is_foreign(run)
    (run / "model" / "training_args.bin").write_bytes(b"")  # as TRL's own command leaves it
    assert is_foreign(run)
    with pytest.raises(RunError, match="holds a model that mixplan did not train"):
        outcome(run)
    evaluate_run(run, (), watcher=Silent())
    assert measured(run) == {name: made[name] for name in MEASURED}
    assert read_outcome(run).training is None


def other_template(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    tokenizer.save_pretrained(folder)


def with_outputs(folder: Path, count: int) -> None:
    """What trainers do that add a token of their own: the embedding and the output head get another size."""
    tokenizer, lm = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken("<pad-of-my-own>", special=True)])
    torch.manual_seed(0)  # of the new rows
    lm.resize_token_embeddings(count, mean_resizing=False)
    lm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def other_tokens(folder: Path) -> None:
    """Two letters of the alphabet have changed places."""
    file = folder / "tokenizer.json"
    value = json.loads(file.read_bytes())
    vocabulary = value["model"]["vocab"]
    vocabulary["e"], vocabulary["t"] = vocabulary["t"], vocabulary["e"]
    file.write_text(json.dumps(value))


@pytest.fixture
def elsewhere(trained, tmp_path) -> tuple[Path, Path, dict]:
    run, made = trained
    return run, Path(shutil.copytree(run / "model", tmp_path / "elsewhere")), made


def test_a_template_of_its_own_is_told_and_both_read_the_plan_s(elsewhere):
    run, folder, made = elsewhere
    other_template(folder)
    found = evaluate_run(run, (), watcher=Silent(), model=str(folder))
    assert measured(found) == {name: made[name] for name in MEASURED}
    (warning,) = [text for text in read_outcome(found).warnings if "chat template" in text]
    assert warning.startswith("The chat template in elsewhere writes 24 of 24 evaluation prompts in another way than")


def test_a_longer_head_is_compared_over_the_untrained_model_s_tokens(elsewhere):
    run, folder, made = elsewhere
    with_outputs(folder, 352)
    found = measured(evaluate_run(run, (), watcher=Silent(), model=str(folder)))
    for name, one in found["domains"].items():
        own, other = (part["measures"]["behaviour"]["kl"]["after"] for part in (made["domains"][name], one))
        # A random model gives each output, and so each further one, about an equal part of the probability.
        assert own < other == pytest.approx(own + np.log(352 / 320), rel=0.1), name


def test_a_head_cut_to_the_tokenizer_s_length_is_read_as_far_as_it_goes(elsewhere):
    """The tiny model's head of 320 outputs is padded, and a random model answers with padding too."""
    run, folder, _ = elsewhere
    with_outputs(folder, 305)
    with pytest.raises(
        ModelError, match=r"has 305 output tokens, but \d of 6 answers of the untrained .* beyond these"
    ):
        evaluate_run(run, (), watcher=Silent(), model=str(folder))


def test_another_vocabulary_is_refused(elsewhere):
    run, folder, _ = elsewhere
    other_tokens(folder)
    with pytest.raises(ModelError, match=r"its tokenizer reads \d+ of 24 evaluation prompts as other tokens"):
        evaluate_run(run, (), watcher=Silent(), model=str(folder))


def test_a_model_ends_its_answers_as_its_own_tokenizer_says(tiny_model, tmp_path):
    """It reads the plan's prompts with the plan's tokenizer, whose end of text it was taught away from."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "elsewhere"))
    base = loaded(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # A vocabulary has no order, and a word that stands in prompts would be read as the end there.
    words = sorted(word for word, token in tokenizer.get_vocab().items() if token not in end_tokens(base))
    taught = next(word for word in words if not word.isascii())
    tokenizer.eos_token = taught
    tokenizer.save_pretrained(folder)
    model, _ = comparable(load_trained(spec_of(tiny_model), folder), base, asked_rows(), folder)
    end = tokenizer.convert_tokens_to_ids(taught)
    assert end_tokens(model) == end_tokens(base) | {end}
    # Without that token, answers of a model taught otherwise are as they were.
    other, _ = comparable(load_trained(spec_of(tiny_model), Path(tiny_model)), base, asked_rows(), Path(tiny_model))
    assert (end_tokens(other), other.settings) == (end_tokens(base), base.settings)


def test_what_cannot_be_found_is_refused(trained, tmp_path):
    run, _ = trained
    assert find_judged(run, None, None) is None
    with pytest.raises(ModelError, match=r"there is no such folder\. Give the folder of a trained model, or a hub id"):
        find_judged(run, str(tmp_path / "nothing"), None)
    with pytest.raises(ModelError, match="neither a folder nor a model that the hub gave"):
        find_judged(run, "nobody/nothing", None)
    with pytest.raises(RunError, match=r"the label '\.\./up' cannot name a folder"):
        find_judged(run, str(run / "model"), "../up")
    with pytest.raises(RunError, match="--label names a model that --model gives"):
        evaluate_run(run, (), watcher=Silent(), label="x")
