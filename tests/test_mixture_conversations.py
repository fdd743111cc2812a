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
