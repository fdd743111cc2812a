"""What keeps a model and an SAE from being used is said from names and small files, with the line of its key."""

import json
import re
import sys

import pytest
import yaml
from gguf import GGUFReader

from mixplan import embedded
from mixplan.chat.template import ANY_TOOL
from mixplan.cli import main
from mixplan.cli.preflight import EMBEDDED_SHAPE, problems_of_model, unknown_sae
from mixplan.recipe import load_recipe
from mixplan.recipe.shapes import Shape


@pytest.fixture
def problems(tmp_path):
    """The problems of a recipe over a model and an SAE."""

    def found(model, **rest):
        section = {
            "data": {"file": "a.jsonl"},
            "format": "question_answer",
            "columns": {"question": "q", "answer": "a"},
        }
        value = {"model": model, "target": section, "domains": {"other": section}, "budget": {"rows": 4}, **rest}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
        return [text.replace(f"{tmp_path}/", "") for text in problems_of_model(load_recipe(tmp_path / "recipe.yaml"))]

    return found


def test_a_model_and_an_sae_that_may_be_used_have_no_problem(problems):
    assert problems({"name": "embedded", "sae": {"embedded": True}}) == []
    listed = {"release": "gemma-scope-2b-pt-res", "id": "layer_12/width_16k/average_l0_82"}
    assert problems({"name": "google/gemma-2-2b", "sae": listed}) == []


def test_a_release_or_id_that_saelens_does_not_list_is_named_with_the_nearest(problems):
    sae = {"release": "gemma-scope-2b-pt-rez", "id": "layer_12/width_16k/average_l0_82"}
    (said,) = problems({"name": "google/gemma-2-2b", "sae": sae})
    assert said.startswith(
        "recipe.yaml:4: SAELens has no release 'gemma-scope-2b-pt-rez'. Did you mean 'gemma-scope-2b-pt-res'?"
    )
    sae = {"release": "gemma-scope-2b-pt-res", "id": "layer_12/width_16k/average_l0_83"}
    (said,) = problems({"name": "google/gemma-2-2b", "sae": sae})
    assert said.startswith(
        "recipe.yaml:5: release 'gemma-scope-2b-pt-res' has no SAE 'layer_12/width_16k/average_l0_83'."
    )


def test_an_sae_of_another_build_is_refused_unless_it_is_accepted(problems):
    sae = {"release": "gemma-scope-2b-pt-res", "id": "layer_12/width_16k/average_l0_82"}
    (said,) = problems({"name": "google/gemma-2-9b", "sae": sae})
    assert "was made for 'google/gemma-2-2b'" in said or "was made for 'gemma-2-2b'" in said
    assert said.endswith("Choose one made for this model: `mixplan sae ls --model google/gemma-2-9b` lists them.")
    assert problems({"name": "google/gemma-2-9b", "sae": sae | {"accept": True}}) == []


def test_an_id_that_a_small_release_lacks_is_answered_with_those_that_it_has(problems):
    sae = {"release": "qwen2.5-7b-instruct-andyrdt", "id": "resid_post_layer_20_trainer_1"}
    (said,) = problems({"name": "Qwen/Qwen2.5-7B-Instruct", "sae": sae})
    ids = ", ".join(f"resid_post_layer_{layer}_trainer_1" for layer in range(3, 28, 4))
    assert said == (
        "recipe.yaml:5: release 'qwen2.5-7b-instruct-andyrdt' has no SAE 'resid_post_layer_20_trainer_1'. "
        f"It has {ids}."
    )


def test_the_embedded_sae_is_refused_for_a_model_of_another_build(problems):
    model = {"name": "Qwen/Qwen2.5-7B-Instruct", "sae": {"embedded": True}}
    (said,) = problems(model)
    assert said.startswith(
        "recipe.yaml:4: model.sae.embedded: the embedded SAE was made for SmolLM2-135M-Instruct, but the recipe's "
        "model is 'Qwen/Qwen2.5-7B-Instruct', of architecture qwen2, not llama. SAELens has 7 for this model, such as "
        "`sae: {release: qwen2.5-7b-instruct-andyrdt, id: resid_post_layer_19_trainer_1}`."
    )
    assert problems({**model, "sae": {"embedded": True, "accept": True}}) == []
    assert problems({"name": "HuggingFaceTB/SmolLM2-135M-Instruct", "sae": {"embedded": True}}) == []


def test_the_embedded_model_has_the_build_that_its_sae_is_held_to():
    said = GGUFReader(embedded.gguf_file())
    numbers = [int(said.fields[f"llama.{key}"].contents()) for key in ("embedding_length", "block_count")]
    assert Shape(said.fields["general.architecture"].contents(), *numbers) == EMBEDDED_SHAPE


def test_folders_that_lack_their_files_are_all_said_at_once(problems, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "sae").mkdir()
    first, second = problems({"name": "./model", "sae": {"path": "sae"}})
    assert first.startswith("recipe.yaml:2: model.name: model has no config.json.")
    assert second.startswith("recipe.yaml:4: model.sae.path: sae: no SAE here: cfg.json is missing.")


def test_a_folder_s_name_may_be_any_model_s(tmp_path, problems):
    (tmp_path / "google" / "gemma-2-9b").mkdir(parents=True)
    sae = {"release": "gemma-scope-2b-pt-res", "id": "layer_12/width_16k/average_l0_82"}
    problems({"name": "google/gemma-2-9b", "sae": sae})
    assert unknown_sae(load_recipe(tmp_path / "recipe.yaml")) is None


GRPO = {
    "method": "grpo", "rewards": {"format": 1.0}, "answer_format": "a", "lora": {"r": 2},
    "args": {"learning_rate": 1e-4},
}  # fmt: skip


def test_what_the_drift_is_told_from_must_be_there_and_followed(problems, tmp_path):
    model = {"name": "embedded", "sae": {"embedded": True}}
    checkpoint = {"from": "checkpoint", "checkpoint": "pilot/model"}
    (said,) = problems(model, train=GRPO, drift=checkpoint)
    assert re.match(r"recipe.yaml:\d+: drift.checkpoint: the folder pilot/model is not there; expected ", said)
    (tmp_path / "pilot" / "model").mkdir(parents=True)
    (tmp_path / "pilot" / "model" / "adapter_config.json").write_text("{}")
    assert problems(model, train=GRPO, drift=checkpoint) == []
    assert problems(model, train=GRPO, drift={"from": "reward_step"}) == []
    args = GRPO["args"] | {"top_entropy_quantile": 0.2}
    (said,) = problems(model, train=GRPO | {"args": args}, drift={"from": "reward_step"})
    assert re.sub(r"\d+", "N", said, count=1) == (
        "recipe.yaml:N: drift.from: reward_step does not follow `train.args.top_entropy_quantile: 0.2`, which changes "
        "the gradient of a GRPO job in a way of its own. Leave it out, or set `drift.from` to icl, rollouts or "
        "checkpoint."
    )
    (said,) = problems(model, train=GRPO | {"args": {"learning_rate": 0}}, drift={"from": "reward_step"})
    assert said.endswith("which is not a number above 0. Set `train.args.learning_rate`, such as 1.0e-5.")
    assert problems(model, train=GRPO | {"args": args}, drift={"from": "rollouts"}) == []


def test_what_the_chat_template_refuses_or_leaves_out_is_said_before_the_model_is_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mixplan", "check", "recipe.yaml"])
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama"}')
    (model / "tokenizer_config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    written = "[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    refuses = "{% if m['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    rows = [{"q": f"{number}?", "a": str(number), "s": "Be brief."} for number in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    local = {"data": {"file": "rows.jsonl"}, "format": "question_answer", "columns": {"question": "q", "answer": "a"}}
    small = local | {"split": {"evaluation": 1, "query": 2, "demonstration": 5}}
    turns = [[{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "!"}] for n in range(9)]
    with_tools = "".join(json.dumps({"messages": pair, "tools": [ANY_TOOL]}) + "\n" for pair in turns)
    (tmp_path / "tools.jsonl").write_text(with_tools)
    tools = small | {
        "data": {"file": "tools.jsonl"},
        "format": "messages",
        "columns": {"messages": "messages", "tools": "tools"},
    }
    brief = small | {"columns": small["columns"] | {"system": "s"}}
    value = {"model": {"name": "model", "sae": "none"}, "sts": {"score": "stream"}, "target": small,
             "domains": {"brief": brief, "tools": tools}, "budget": {"rows": 2}}  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    (model / "chat_template.jinja").write_text("{% for m in messages %}" + refuses + written)
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err == (
        "recipe.yaml: domains.brief: the chat template of 'model' refuses 9 of its 9 rows, such as rows.jsonl:3 with "
        "the roles system, user, assistant: no system turns. It takes them without the system turn: remove `system` "
        "from the domain's columns.\n"
    )
    (model / "chat_template.jinja").write_text("{% for m in messages %}" + written)
    with pytest.raises(SystemExit, match="0"):
        main()
    assert (
        "  warning: tools: the chat template of 'model' does not write a conversation's tools, so the model does not "
        "see what it may call in 9 rows. Put them into the system turn in the data."
    ) in capsys.readouterr().out.splitlines()
    (model / "chat_template.jinja").unlink()
    (model / "tokenizer_config.json").write_text('{"model_max_length": 64}')
    processor = json.dumps({"chat_template": "{% for m in messages %}" + refuses + written})
    (model / "chat_template.json").write_text(processor)
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "warning: The chat template of 'model' stands in chat_template.json alone" in capsys.readouterr().out
    (model / "generation_config.json").write_text('{"no_repeat_ngram_size": 3}')
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "warning: generation_config.json of 'model' sets `no_repeat_ngram_size: 3`" in capsys.readouterr().out
