"""Which weights were measured is what the harness was given, in both forms that it writes; others are refused."""

from pathlib import Path

import pytest

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.lm_eval_models import arguments_of, hold_one_model, model_of, together, unequal

PLACE = Path("/evals")


def test_a_text_of_arguments_and_a_mapping_say_the_same():
    text = {"model_args": "pretrained=org/base,peft=/runs/a=b,dtype=bfloat16,revision=main"}
    mapping = {"model_args": {"pretrained": "org/base", "peft": "/runs/a=b", "dtype": "bfloat16", "revision": "main"}}
    assert arguments_of(text) == arguments_of(mapping) == mapping["model_args"]
    assert model_of(None, text) == model_of(None, mapping) == "org/base (peft=/runs/a=b)"


@pytest.mark.parametrize(
    ("name", "config", "model"),
    [
        ("org/base", {"model_args": "pretrained=org/base"}, "org/base"),
        ("org/base", {"model_args": {"pretrained": "org/base", "revision": "v2"}}, "org/base (revision=v2)"),
        ("org/base", {"model_args": {"pretrained": "org/base", "peft": None}}, "org/base"),
        (None, {"model": "gguf", "model_args": {"gguf_file": "q4.gguf"}}, "gguf (gguf_file=q4.gguf)"),
        (None, {"model": "vllm", "model_args": {"model": "org/served"}}, "org/served"),
        (None, {}, ""),
    ],
)
def test_a_model_is_named_with_what_else_says_its_weights(name, config, model):
    assert model_of(name, config) == model


def test_results_that_count_together_are_of_one_model():
    hold_one_model(PLACE, {PLACE / "a.json": "base", PLACE / "b.json": "", PLACE / "c.json": "base"})
    with pytest.raises(EvaluateError) as caught:
        hold_one_model(
            PLACE, {PLACE / "a.json": "base", PLACE / "deep" / "b.json": "trained", PLACE / "c.json": "base"}
        )
    assert str(caught.value) == (
        "/evals: holds results of several models (base in a.json, trained in deep/b.json). Name the results of one."
    )


def test_what_files_say_of_themselves_once_and_where_they_differ():
    files = {PLACE / "a.json": "0.4.9", PLACE / "b.json": "", PLACE / "c.json": "0.4.8", PLACE / "d.json": "0.4.9"}
    assert together(files) == "0.4.8 and 0.4.9"
    assert unequal(PLACE, "version", files) == [
        "The results in /evals differ in the version (0.4.9 in a.json, not stated in b.json, 0.4.8 in c.json): tasks "
        "may not be measured alike."
    ]
    assert unequal(PLACE / "a.json", "version", {PLACE / "a.json": "0.4.9"}) == []
