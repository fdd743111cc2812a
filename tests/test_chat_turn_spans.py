"""Questions and answers are found where they stand, though the template, or another turn, says the same."""

import pytest
from trl_templates import TEMPLATES

from mixplan.chat.template import ChatTemplate
from mixplan.chat.template_settings import hold
from mixplan.chat.turn_spans import answer_place, question_place
from mixplan.errors import ModelError

PIECES = ("user", "assistant", "end", "im", "a", "model", "<", "\\n", "message", "think")
"""Texts that templates hold in their marks."""
OTHER = "§§ ¤¤ §§"
"""Shares no character with any template."""


def template(name):
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    return ChatTemplate(
        hold(TEMPLATES[name], settings={}, date=None, special=special, name="tiny").source, special, "tiny"
    )


def shared(first, second):
    """What two texts begin with."""
    pairs = enumerate(zip(first, second, strict=False))
    return first[: next(place for place, (one, other) in pairs if one != other)]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_piece_of_the_template_is_found_in_its_place(name):
    """Where two renderings that differ in one turn part, there the turn stands."""
    chat = template(name)
    for piece in PIECES:
        front = [("user", piece), ("assistant", piece)]
        place = question_place(chat, [*front, ("user", piece)])
        other = chat.render([*front, ("user", OTHER)], awaiting=False)
        assert place.content == piece
        assert shared(place.text, other) == place.text[: place.start]
        assert place.text[place.stop :] == other[place.start + len(OTHER) :]
        found = answer_place(chat, [*front, ("user", piece)], piece)
        other = chat.render([*front, ("user", piece), ("assistant", OTHER)], awaiting=False)
        assert found.content == piece
        assert shared(found.text, other) == found.text[: found.start]


@pytest.mark.parametrize("name", ["gemma3", "llama3", "qwen3", "strips"])
def test_white_space_around_a_turn_is_no_part_of_it(name):
    strips = "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}[end]{% endfor %}"
    chat = ChatTemplate(strips, {}, "tiny") if name == "strips" else template(name)
    assert question_place(chat, [("user", "\n end \n")]).content == "end"
    assert answer_place(chat, [("user", "end")], " end\n").content == "end"


def test_reasoning_belongs_to_the_answer_where_the_template_writes_it():
    answer = "<think>\nend\n</think>\n\nuser"
    found = {name: answer_place(template(name), [("user", "end")], answer).content for name in
             ("qwen3", "deepseek_r1_distill", "gptoss", "llama3", "glm4moe")}  # fmt: skip
    assert found == {
        "qwen3": "end\n</think>\n\nuser",
        "deepseek_r1_distill": "user",
        "gptoss": "end<|end|><|start|>assistant<|channel|>final<|message|>user",
        "llama3": "end\n</think>\n\nuser",
        "glm4moe": "end</think>\nuser",
    }


@pytest.mark.parametrize(("source", "what"), [("{{ messages | length }}", "question"), ("x", "question")])
def test_a_template_that_hides_a_turn_is_refused(source, what):
    chat = ChatTemplate(source, {}, "tiny")
    with pytest.raises(ModelError, match=f"the chat template of 'tiny' alters the {what} 'end'"):
        question_place(chat, [("user", "end")])
    with pytest.raises(ModelError, match="the chat template of 'tiny' alters the answer 'end'"):
        answer_place(chat, [("user", "x")], "end")
