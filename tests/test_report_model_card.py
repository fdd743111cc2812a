"""A model card has front matter that the hub reads, every figure of the evaluation, and how to load the folder."""

import ast
import re

import pytest
import yaml
from huggingface_hub import ModelCard
from saved_run import checked, sample, values

from mixplan.report.measures import quantity
from mixplan.report.model_card import base_of, model_card
from mixplan.saved.plan import Plan


def made(name: str, lora: object = None, method: str = "sft") -> str:
    plan, outcome = values()
    plan["model"]["name"] = name
    plan["recipe"] = {"train": {"method": method, "lora": lora}, "target": {"data": {"generator": "gsm_symbolic"}}}
    return model_card(*checked(plan, outcome))


def front(card: str) -> dict[str, object]:
    return yaml.safe_load(card.split("---\n")[1])


def test_front_matter_of_an_adapter() -> None:
    card = made("Qwen/Qwen2.5-7B-Instruct", {"r": 16}, "grpo")
    assert front(card) == {
        "base_model": "Qwen/Qwen2.5-7B-Instruct",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": "unknown",
        "tags": ["mixplan", "trl", "grpo", "lora"],
    }
    read = ModelCard(card).data
    assert (read.base_model, read.library_name, read.license) == ("Qwen/Qwen2.5-7B-Instruct", "peft", "unknown")


def test_front_matter_of_a_whole_model() -> None:
    found = front(made("gpt2"))
    assert (found["base_model"], found["library_name"], found["tags"]) == (
        "gpt2",
        "transformers",
        ["mixplan", "trl", "sft"],
    )


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("embedded", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("google/gemma-2-9b-it", "google/gemma-2-9b-it"),
        ("/models/mine", None),
        ("../mine", None),
        ("a/b/c", None),
    ],
)
def test_a_folder_on_one_machine_is_no_base_model(name: str, base: str | None) -> None:
    plan, _ = values()
    plan["model"]["name"] = name
    assert base_of(Plan.model_validate(plan, strict=False)) == base
    card = made(name)
    assert ("base_model" in front(card)) is (base is not None)
    assert base is not None or name not in card


def test_every_domain_has_its_rows_and_its_evaluation() -> None:
    plan, outcome = sample()
    card = model_card(plan, outcome)
    for name in plan.domains:
        measured = outcome.domains[name]
        assert measured.change is not None
        unit = quantity(measured.quantity or "")
        figures = f"{unit.change(measured.change.change)} | {unit.bounds(measured.change.low, measured.change.high)}"
        assert re.search(
            rf"^\| {name} \|.*{re.escape(figures)}.*\| {measured.change.direction} \|$", card, re.MULTILINE
        )
        assert f"| {name} | {plan.allocation.rows[name]} |" in card
    for value in [*plan.libraries.values(), *outcome.hashes.values()]:
        assert value in card
    assert "3 of 12 domains moved outside their forecast" in card


def test_tables_are_whole() -> None:
    card = made("gpt2")
    tables = re.findall(r"(?:^\|.*\|$\n?)+", card, re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize(("name", "lora"), [("gpt2", None), ("gpt2", {}), ("embedded", {}), ("/models/mine", {})])
def test_the_code_that_loads_it_is_python(name: str, lora: object) -> None:
    card = made(name, lora)
    [code] = re.findall(r"```python\n(.*?)\n```", card, re.DOTALL)
    ast.parse(code)
    assert ("PeftModel.from_pretrained(base" in code) is (lora is not None)
    assert '"./model"' in code


def test_the_target_is_named_without_its_place_on_this_machine() -> None:
    assert "a target (`gsm_symbolic`)" in made("gpt2")
    plan, outcome = values()
    for data, told in [
        ({"file": "/home/someone/rows.jsonl"}, "a target (`rows.jsonl`)"),
        ({"hub": "GAIR/LIMO"}, "a target (`GAIR/LIMO`)"),
        ({}, "a target and"),
    ]:
        plan["recipe"] = {"target": {"data": data}}
        card = model_card(*checked(plan, outcome))
        assert told in card
        assert "/home" not in card


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a | b", "x\n# heading", "\u202egnp.exe"])
def test_hostile_text_stays_in_its_line_and_cell(text: str) -> None:
    plan, outcome = values()
    plan["name"] = text
    outcome["warnings"] = [text]
    card = model_card(*checked(plan, outcome))
    assert "<script" not in card
    assert "\n# heading" not in card
    assert "\u202e" not in card
    assert re.findall(r"^# (.*)$", card, re.MULTILINE)[0].startswith(("&lt;script", "a \\|", "x #", "[U+202E]"))
