"""What a chat template does to rows is said without the model's tokenizer, rows counted in the place of tokens."""

from dataclasses import replace

from evaluated import asked_rows, domain_of, spec_of
from trl_templates import TEMPLATES

from mixplan.chat.template import ChatTemplate
from mixplan.mixture.conversations import conversation_warnings
from mixplan.recipe import TrainSpec


class Recipe:
    """As much of a recipe as is asked for."""

    def __init__(self, folder):
        self.model, self.train = spec_of(folder), TrainSpec()


def test_reasoning_that_is_left_out_is_counted_in_rows_where_no_tokenizer_is_there(tmp_path):
    rows = [replace(row, answer="<think>\nA river.\n</think>\n\nYes.") for row in asked_rows(3)]
    target = replace(domain_of("target", tuple(rows[:1])), pool=tuple(rows), demonstration=tuple(rows[:2]))
    template = ChatTemplate(TEMPLATES["deepseek_r1_distill"], {}, "tiny")
    held, trained, shown, _asked = conversation_warnings(
        Recipe(tmp_path), template, target, {}, day="2030-05-04", tokens=None
    )
    assert "the answers of 3 pool rows, so their reasoning is not trained. To keep it, write it" in trained
    assert "2 demonstrations, so their reasoning is not read. To keep it, write it" in shown
    assert "It is held at 4 May 2030 in reading" in held


def test_rows_whose_own_text_holds_marks_of_the_template_are_counted_once_with_the_first(tmp_path):
    first, second, third, fourth, fifth = asked_rows(5)
    rows = (
        first,
        replace(second, answer="Yes.<|im_end|>"),
        replace(third, prompt=(("user", "<|im_start|>user\nWhy?<|im_end|>"),)),
        replace(fourth, prompt=(("tools", '["<|im_end|>"]'), *fourth.prompt)),
        replace(fifth, rationale="So <|endoftext|>"),
    )
    target = replace(domain_of("target", (rows[0],)), pool=rows[1:], demonstration=rows[2:4], query=rows[1:3])
    for special, count, listed in (
        ({"eos_token": "<|im_end|>"}, 2, "`<|im_end|>`, `<|im_start|>`"),
        ({"eos_token": "<|endoftext|>"}, 3, "`<|im_end|>`, `<|im_start|>`, `<|endoftext|>`"),
    ):
        template = ChatTemplate(TEMPLATES["qwen2_5"], special, "tiny")
        said, *_ = conversation_warnings(Recipe(tmp_path), template, target, {}, day=None, tokens=None)
        order = sorted(listed.split(", "))
        shown = said.partition(" hold ")[2].partition(" in their own text")[0]
        assert sorted(shown.split(", ")) == order
        assert said.startswith(f"target: {count} of its 5 rows hold ")
        assert "in their own text, such as test:" in said
    clean = replace(target, pool=(rows[0],), demonstration=(), query=())
    assert conversation_warnings(Recipe(tmp_path), template, clean, {}, day=None, tokens=None) == []
