"""Answers end at the tokens that a model states and at the one by which its chat template ends a turn."""

import pytest
from evaluated import loaded

from mixplan.model.answer_ends import answer_ends, stated_ends


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ("{{ message['content'] }}<|user|>\n", "<|user|>"),
        ("{{ message['content'] }}\n <|user|>", "<|user|>"),
        ("{{ message['content'] }}<|user|>\n</s>", None),  # the model states </s>
        ("{{ message['content'] }}.<|user|>", None),
        ("{{ message['content'] }}", None),
        # An answer's channels are parted by the same token.
        ("{{ message['content'] | replace('</think>', '<|user|><|assistant|>') }}<|user|>", None),
    ],
)
def test_a_turn_ends_at_what_stands_right_behind_its_answer_alone(tiny_model, written, end):
    model = loaded(tiny_model)
    model.tokenizer.chat_template = "{% for message in messages %}<|{{ message['role'] }}|>" + written + "{% endfor %}"
    further = set() if end is None else {model.tokenizer.convert_tokens_to_ids(end)}
    assert (answer_ends(model.lm, model.tokenizer) - stated_ends(model.lm, model.tokenizer)) == further
