"""`mixplan sae ls` lists the SAEs of residual streams that SAELens knows, and loads no torch."""

import json
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from mixplan.cli import app
from mixplan.cli.sae import row
from mixplan.errors import SaeError
from mixplan.recipe.releases import residual_saes
from mixplan.recipe.spec import SaeSpec


def ls(*words: str) -> str:
    done = CliRunner().invoke(app, ["sae", "ls", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_models_are_counted():
    lines = ls().splitlines()
    assert lines[-1] == "List one model's with: mixplan sae ls --model NAME"
    names = [line.split()[0] for line in lines[:-1]]
    assert names == sorted(names, key=str.lower)
    assert sum(int(line.split()[1].replace(",", "")) for line in lines[:-1]) == 4814
    gpt2 = next(line for line in lines if line.startswith("gpt2 "))
    assert gpt2.split(maxsplit=1)[1] == "63 SAEs at 12 of the blocks 0 to 11"
    assert next(line for line in lines if "70B" in line).split(maxsplit=1)[1] == "1 SAE  at block 50"


def test_a_model_s_saes_with_lines_to_paste():
    lines = ls("--model", "gpt2-small").splitlines()
    assert len(lines) == 63
    for line in lines:
        spec = SaeSpec.model_validate(yaml.safe_load(line.rpartition("sae: ")[2]))
        assert spec.release
        assert spec.id
    assert ls("--model", "gpt2", "--layer", "8").splitlines()[1] == (
        "into block  8        768 features  L0   36       5 MB in float32  "
        "sae: {release: gpt2-small-res-jb-feature-splitting, id: blocks.8.hook_resid_pre_768}"
    )


def test_what_the_table_does_not_say_is_a_question_mark():
    one = residual_saes("openai/gpt-oss-20b")[0]
    assert row(one).startswith(
        "after block  3          ? features  L0    ?          ? in float32  sae: {release: gpt-oss"
    )


def test_the_model_s_own_come_before_its_parents_at_each_layer():
    models = [one["model"] for one in json.loads(ls("--model", "google/gemma-3-1b-it", "--layer", "13", "--json"))]
    assert set(models) == {"google/gemma-3-1b-it", "google/gemma-3-1b-pt"}
    assert models == sorted(models)


def test_saes_made_for_several_models_stand_apart():
    lines = ls("--model", "google/gemma-3-1b-it", "--layer", "13").splitlines()
    headings = [line for line in lines if line.startswith("made for")]
    assert headings == ["made for google/gemma-3-1b-it:", "made for google/gemma-3-1b-pt:"]
    assert lines[0] == headings[0]
    second = lines.index(headings[1])
    assert {line.partition("release: ")[2].split(",")[0] for line in lines[1:second]} == {
        "gemma-scope-2-1b-it-res",
        "gemma-scope-2-1b-it-res-all",
    }
    assert not any("-1b-it-" in line for line in lines[second + 1 :])


def test_saes_of_another_tuning_of_the_model_are_named_as_such():
    asked, *lines = ls("--model", "Qwen/Qwen2.5-7B").splitlines()
    assert asked == "made for Qwen/Qwen2.5-7B-Instruct:"
    assert lines == ls("--model", "Qwen/Qwen2.5-7B-Instruct").splitlines()
    assert lines == ls("--model", "Qwen2.5-7B-Instruct").splitlines()


def test_a_folder_is_listed_by_what_its_files_say(tmp_path):
    config = {"model_type": "gemma2", "hidden_size": 2304, "num_hidden_layers": 26}
    (tmp_path / "config.json").write_text(json.dumps(config | {"_name_or_path": "google/gemma-2-2b-it"}))
    assert ls("--model", str(tmp_path)) == ls("--model", "google/gemma-2-2b-it")
    (tmp_path / "config.json").write_text(json.dumps(config))
    first, *lines = ls("--model", str(tmp_path)).splitlines()
    assert first == (
        f"No file says what '{tmp_path}' was tuned from. These were made for models of its build; `accept: true` under "
        "`sae:` tries one."
    )
    assert set(lines) == set(ls("--model", "google/gemma-2-2b").splitlines())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 27}))
    with pytest.raises(SaeError, match="has no SAE of the residual stream"):
        ls("--model", str(tmp_path))


def test_the_embedded_model_has_its_own():
    assert ls("--model", "embedded") == "The embedded model has one: `sae: {embedded: true}`.\n"


def test_json_holds_everything():
    (one,) = json.loads(ls("--model", "meta-llama/Llama-3.3-70B-Instruct", "--json"))
    matrices = 2 * 8192 * 65_536
    assert one == {
        "model": "meta-llama/Llama-3.3-70B-Instruct",
        "release": "goodfire-llama-3.3-70b-instruct",
        "id": "layer_50",
        "hook_name": "blocks.50.hook_resid_post",
        "layer": 50,
        "d_sae": 65_536,
        "l0": 121.0,
        "float32_bytes": 4 * (matrices + 2 * 65_536 + 8192),
        "yaml": "sae: {release: goodfire-llama-3.3-70b-instruct, id: layer_50}",
    }
    assert len(json.loads(ls("--json"))) == 4814


def test_refusals():
    with pytest.raises(SaeError) as caught:
        ls("--model", "meta-llama/Llama-3.1-8")
    assert str(caught.value) == (
        "SAELens's table has no SAE of the residual stream of 'meta-llama/Llama-3.1-8'. Did you mean "
        "'meta-llama/Llama-3.1-8B'? `mixplan sae ls` lists its models; name the one that yours was tuned from. "
        "`mixplan sae train` trains one."
    )
    with pytest.raises(SaeError, match="of 'gpt2' at block 12"):
        ls("--model", "gpt2", "--layer", "12")
    assert CliRunner().invoke(app, ["sae", "ls", "--layer", "3"]).exit_code == 2
    assert CliRunner().invoke(app, ["sae", "ls", "--model", ""]).exit_code == 2


def test_it_loads_no_torch():
    program = (
        "import sys, mixplan.cli.sae; print([n for n in ('torch', 'sae_lens', 'transformers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
