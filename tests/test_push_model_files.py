"""What loads a model goes with it and nothing else, and the model is the one whose figures its card has."""

import json
import shutil

import pytest
from saved_run import checked, values

from mixplan.errors import RunError
from mixplan.push.model_files import config, loads, refuse_other_model, weights_of
from mixplan.push.private import OwnPlaces
from mixplan.push.request import Stated
from mixplan.runs import content_hash
from mixplan.weights import weights_hash

PLACES = OwnPlaces(("/srv/models/base",), ("/srv/models",))


def plan_of(model: str):
    plan, outcome = values()
    plan["model"]["name"] = model
    return checked(plan, outcome)[0]


@pytest.mark.parametrize(
    ("model", "base", "found"),
    [
        ("Qwen/Qwen3-8B", None, "Qwen/Qwen3-8B"),
        ("/srv/models/base", "org/base", "org/base"),
        ("/srv/models/base", None, "base"),
        ("embedded", None, "HuggingFaceTB/SmolLM2-135M-Instruct"),
    ],
)
def test_an_adapter_names_its_base_as_the_hub_has_it(tmp_path, model, base, found):
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({"base_model_name_or_path": "/srv/models/base", "r": 16}))
    made = config(path, plan_of(model), Stated("ann/x", base=base), PLACES)
    assert json.loads(made.content) == {"base_model_name_or_path": found, "r": 16}


def test_a_vocabulary_goes_as_it_is(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_text('{"/srv/models/base": 1}')
    assert config(path, plan_of("gpt2"), Stated("ann/x"), PLACES).content == path


@pytest.mark.parametrize(
    ("name", "goes"),
    [
        ("config.json", True),
        ("tokenizer.model", True),
        ("merges.txt", True),
        ("chat_template.jinja", True),
        ("training_args.bin", False),
        ("trainer_state.json", False),
        ("optimizer.pt", False),
        ("modeling_mine.py", False),
        ("pytorch_model.bin", False),
    ],
)
def test_what_goes_beside_the_weights(tmp_path, name, goes):
    assert loads(tmp_path / name) is goes


def test_a_model_that_other_software_trained_is_known_by_its_weights(trained):
    run, _ = trained
    _, outcome = checked(*values())
    weights = weights_hash([run / "model" / "model.safetensors"])
    outcome = outcome.model_copy(update={"elsewhere": True, "hashes": {**outcome.hashes, "trained": weights}})
    refuse_other_model(run, outcome)
    (run / "model" / "README.md").write_text("theirs")
    refuse_other_model(run, outcome)
    shutil.copy(run / "model" / "tokenizer.json", run / "model" / "tokenizer.bak")
    refuse_other_model(run, outcome)
    changed = outcome.model_copy(update={"hashes": {**outcome.hashes, "trained": "0" * 64}})
    with pytest.raises(RunError, match=r"another model's\. Measure it"):
        refuse_other_model(run, changed)


def test_an_adapter_that_other_software_trained_is_known_with_its_base(trained):
    run, _ = trained
    folder = run / "model"
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 4}
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "x"}))
    before = json.loads((run / "evaluation" / "before.json").read_text())["model"]["hash"]
    found = weights_hash([folder / "adapter_model.safetensors"])
    assert weights_of(run) == content_hash(before, found, settings)
