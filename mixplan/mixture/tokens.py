"""A model's tokenizer and chat template, kept as text, in; the tokens of a row out, without loading transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from mixplan.errors import ModelError
from mixplan.mixture.result import Messages
from mixplan.runs import content_hash

PLAIN = (
    "{{ bos_token or '' }}{% for message in messages %}{{ '' if loop.first else '\n\n' }}"
    "{{ {'user': 'Question: ', 'assistant': 'Answer: '}.get(message['role'], '') }}{{ message['content'] }}{% endfor %}"
)
"""The plain format of a model without a chat template, as one."""


@dataclass(frozen=True)
class TokenCounter:
    """What counts a row's tokens.

    Attributes:
        count: Tokens of a row, from its prompt and its answer.
        fingerprint: Hash of what it counts with; a mixture counted otherwise is another one.
    """

    count: Callable[[Messages, str], int]
    fingerprint: str


class Generation(Extension):
    """`{% generation %}` marks what a model is trained on; what is inside is written as it is."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """The statements up to `{% endgeneration %}`."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)


def token_counter(kept: Mapping[str, Any], name: str) -> TokenCounter:
    """Count as the model's own tokenizer does, at a tenth of the time that loading transformers takes.

    Args:
        kept: `tokenizer` (the text of its tokenizer.json), `template` (None for the plain format), and `special`, its
            special tokens by name.
        name: The model's, for messages.

    Raises:
        ModelError: on counting, when the template refuses a conversation.
    """
    tokenizer = Tokenizer.from_str(kept["tokenizer"])
    template = environment().from_string(kept["template"] or PLAIN)

    def count(prompt: Messages, answer: str) -> int:
        turns = [*prompt, {"role": "assistant", "content": answer}]
        try:
            text = template.render(messages=turns, add_generation_prompt=False, **kept["special"])
        except TemplateError as error:
            raise ModelError(
                f"the chat template of '{name}' refuses a conversation with roles "
                f"{', '.join(turn['role'] for turn in turns)}: {error}. Remove `system` from the domain's columns."
            ) from error
        return len(tokenizer.encode(text, add_special_tokens=False))

    return TokenCounter(count, content_hash(dict(kept)))


def environment() -> ImmutableSandboxedEnvironment:
    """What chat templates may use, as transformers documents it; templates are data from elsewhere, so in a sandbox."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
    made.filters["tojson"] = plain_json
    made.globals |= {"raise_exception": refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return made


def plain_json(value: Any, **options: Any) -> str:
    """JSON without jinja2's escapes for HTML."""
    return json.dumps(value, **{"ensure_ascii": False, **options})


def refuse(message: str) -> None:
    """A template's own way to refuse a conversation."""
    raise TemplateError(message)
