"""Finds in a row's text the marks that a tokenizer reads as one token, wherever they stand."""

import pytest
from conftest import save_tokenizer
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import _get_template_literal_text
from trl_templates import TEMPLATES

from mixplan.chat.template import PLAIN, ChatTemplate
from mixplan.chat.template_settings import hold
from mixplan.chat.turn_marks import turn_marks

MARKS = {
    "qwen2_5": {"<|im_start|>", "<|im_end|>"},
    "llama3_2": {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
    "gemma3": {"<start_of_turn>", "<end_of_turn>"},
    "gemma4": {"<|turn>", "<turn|>"},
    "deepseek_r1_distill": {"<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"},
    "llava_next": {"[INST]", "[/INST]"},
}
"""What these families' tokenizers read as one token and their templates write between turns."""


@pytest.mark.parametrize("name", MARKS)
def test_a_text_with_a_mark_is_one_in_which_the_tokenizer_reads_a_token_of_its_own(tmp_path, name):
    save_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.add_special_tokens({"additional_special_tokens": sorted(MARKS[name])})
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    held = hold(TEMPLATES[name], settings={}, date="2030-01-01", special=special, name="tiny")
    marks = turn_marks(ChatTemplate(held.source, special, "tiny"))
    inside = [f"so {mark} it is" for mark in (*sorted(MARKS[name]), "</s>", "<s>")]
    plain = ["a < b | c > d", "<b>bold</b>", "<think>no</think>", "|> f", "[1]", "<|", "x <- y"]
    for text in inside + plain:
        read = set(tokenizer(text, add_special_tokens=False)["input_ids"]) & set(tokenizer.all_special_ids)
        assert any(mark in text for mark in marks) == bool(read), text


def test_marks_are_what_a_template_writes_and_ends_of_text_that_are_no_words():
    for name, source in TEMPLATES.items():
        written = set(turn_marks(ChatTemplate(source, {}, "tiny")))
        assert all(mark in _get_template_literal_text(source) for mark in written), name
    special = {"eos_token": "<|endoftext|>", "bos_token": ".", "pad_token": "<pad>", "unk_token": "<unk>"}
    assert turn_marks(ChatTemplate(PLAIN, special, "tiny")) == ("<|endoftext|>",)
