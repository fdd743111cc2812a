"""Reasoning is parted from answers in every family's marks, and put together again."""

import pytest

from mixplan.chat.reasoning import final_answer, joined, parted, spoken_text

GPT_OSS = "<|channel|>analysis<|message|>Six times 7.<|end|><|start|>assistant<|channel|>final<|message|>42<|return|>"


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("42", "42"),
        ("  42 \n", "  42 \n"),
        ("<think>\n\n</think>\n\n42", "42"),
        ("<think>\nIt is 41? No.\n</think>\n\n42", "42"),
        ("It is 41? No.\n</think>\n\n42", "42"),
        ("<think>\nIt is 41", ""),
        ("\n<think>It is 41", ""),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("The tag <think> opens a block.", "The tag <think> opens a block."),
        (GPT_OSS.removesuffix("<|return|>"), "42"),
        ("<|channel|>analysis<|message|>Six times", ""),
        ("analysisSix times 7.assistantfinal42", "42"),
        ("analysis of the case", "analysis of the case"),
        ("<|channel>thought\nSix<channel|>42", "42"),
        ("[THINK]Six[/THINK]42", "42"),
        ("<seed:think>Six</seed:think>42", "42"),
        ("", ""),
    ],
)
def test_what_follows_the_reasoning_is_the_answer(text, final):
    assert final_answer(text) == final


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>\nSo.\n</think>\n\nYes.", ("So.", "Yes.")),
        ("<think></think>Yes.", ("", "Yes.")),
        ("So.\n</think>\nYes.", ("So.", "Yes.")),
        ("Yes.", None),
        ("<think>\nSo.", None),
        ("Write <think>x</think> around it.", None),
    ],
)
def test_an_answer_is_parted(text, parts):
    assert parted(text) == parts


def test_parts_are_joined_again():
    assert parted(joined("So.", "Yes.")) == ("So.", "Yes.")
    assert joined(" \n", "Yes.") == "Yes."


SPECIAL = ("<|end|>", "<|start|>", "<|return|>", "<|channel|>", "<|message|>", "<|im_end|>", "</s>")


@pytest.mark.parametrize(
    ("raw", "plain", "opened", "said"),
    [
        ("42<|im_end|>", "42", "", "42"),
        ("<think>\n\n</think>\n\n42<|im_end|>", "<think>\n\n</think>\n\n42", "", "42"),
        ("<think>\nSo.\n</think>\n\n42</s>", "<think>\nSo.\n</think>\n\n42", "", "<think>\nSo.\n</think>\n\n42"),
        ("So.\n</think>\n\n42</s>", "So.\n</think>\n\n42", "<think>\n", "<think>\nSo.\n</think>\n\n42"),
        ("So and", "So and", "<think>\n", "<think>\nSo and"),
        ("<think>\nSo and", "<think>\nSo and", "", "<think>\nSo and"),
        (GPT_OSS, "analysisSix times 7.assistantfinal42", "", "<think>\nSix times 7.\n</think>\n\n42"),
        ("<|channel|>final<|message|>42<|return|>", "final42", "", "42"),
        ("<|channel|>analysis<|message|>Six", "analysisSix", "", "<think>\nSix"),
    ],
)
def test_what_a_model_said_is_read_into_the_form_of_rows(raw, plain, opened, said):
    assert spoken_text(raw, plain, opened=opened, special=SPECIAL) == said
    assert final_answer(said) == ("" if said.startswith("<think>") and "</think>" not in said else "42")
