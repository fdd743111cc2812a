"""Renders a conversation as the text a model reads, without loading transformers.

Reading, evaluation and token counts all render here; TRL renders its rows by transformers with the same template text.
A test holds that both give the same, for every template that TRL ships.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mixplan.chat.named_templates import chooses_by_tools
from mixplan.chat.reasoning import CLOSE, OPEN, joined, parted
from mixplan.chat.refused_turns import remedy_for_turns
from mixplan.chat.tool_calls import OPEN as CALL
from mixplan.chat.tool_calls import TOOLS, Fill, calls_stay_text, native_call, parted_tools
from mixplan.errors import ModelError

PLAIN = (
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{%- if not loop.first -%}{{ '\\n\\n' }}{%- endif -%}"
    "{%- if message['role'] == 'user' -%}{{ 'Question: ' }}"
    "{%- elif message['role'] == 'assistant' -%}{{ 'Answer: ' }}{%- endif -%}"
    "{{ message['content'] }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '\\n\\nAnswer:' }}"
    "{%- elif messages[-1]['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}"
)
"""The format of a model without a chat template: one block a turn, blocks parted by an empty line, the sequence-start
token in front where there is one. A finished answer ends with the end-of-text token, so that training teaches to
stop."""

Turns = Sequence[tuple[str, str]]
"""A conversation: (role, content) of each turn."""

NO_PARAMETERS = {"type": "object", "properties": {}, "required": []}
ANY_TOOL = {"type": "function", "function": {"name": "any", "description": "", "parameters": NO_PARAMETERS}}
"""Stands for a conversation's tools where only its roles count."""

RENDERING_FAULTS = (TemplateError, TypeError, ValueError, LookupError)
"""What a template raises on a conversation that it was not written for."""


@dataclass(frozen=True)
class ChatTemplate:
    """A model's chat template.

    Attributes:
        source: Its Jinja text, held to the recipe's settings (see `hold`); PLAIN for a model that has none.
        special: The tokenizer's special tokens by name, such as `bos_token`.
        name: The model's name, for messages.
    """

    source: str
    special: Mapping[str, str]
    name: str

    def render(self, turns: Turns, *, awaiting: bool) -> str:
        """Write a conversation as the text the model reads.

        Args:
            turns: (role, content) pairs; an answer's reasoning stands in `<think>` and `</think>` before it, its tool
                calls in `<tool_call>` and `</tool_call>` behind it, the conversation's tools in a first turn `tools`.
            awaiting: Whether to end where the assistant's answer begins.

        Raises:
            ModelError: the template refuses these turns.
        """
        tools, said = parted_tools(turns)
        messages = [{"role": role, "content": self.native(role, content, tools)} for role, content in said]
        try:
            return self.fill(messages, awaiting=awaiting, tools=tools)
        except RENDERING_FAULTS as error:
            raise ModelError(
                f"the chat template of '{self.name}' refuses a conversation with roles "
                f"{', '.join(role for role, _ in turns)}: {str(error).rstrip('.')}. "
                f"{remedy_for_turns([role for role, _ in turns], self.accepts)}"
            ) from error

    def native(self, role: str, content: str, tools: Sequence[Any] | None = None) -> str:
        """A turn's content with an assistant's tool calls as the template writes them in a conversation with tools."""
        if role != "assistant" or CALL not in content:
            return content
        reasoning, answer = parted(content) or ("", content)
        chosen = None if tools is None or not chooses_by_tools(self.source) else json.dumps(tools)
        return joined(reasoning, native_content(self.source, tuple(sorted(self.special.items())), answer, chosen))

    def keeps_calls_as_text(self, content: str, tools: Sequence[Any] | None = None) -> bool:
        """Whether an assistant's turn has calls for which the template has another form, which no text can have."""
        chosen = tools if chooses_by_tools(self.source) else None
        return CALL in content and calls_stay_text(self.filler(chosen), (parted(content) or ("", content))[1])

    def accepts(self, roles: Sequence[str]) -> bool:
        """Whether the template takes turns of these roles, in this order."""
        return self.fault(roles) is None

    def fault(self, roles: Sequence[str]) -> str | None:
        """What the template says against turns of these roles, in this order; None when it takes them.

        A turn that it leaves out is a fault as well, be it only behind an answer or only in front of one, as Mistral's
        templates do with a system turn: loss would fall on the question, which TRL takes for the answer's beginning
        where the text of a prompt alone is another.
        """
        messages = [{"role": role, "content": f"text {number}."} for number, role in enumerate(roles) if role != TOOLS]
        tools = [ANY_TOOL] if TOOLS in roles and chooses_by_tools(self.source) else None
        forms = [(messages, roles[-1] == "user")]
        if roles[-1] == "assistant" and len(messages) > 1:
            forms.append((messages[:-1], True))
        try:
            texts = [(form, self.fill(form, awaiting=awaiting, tools=tools)) for form, awaiting in forms]
        except RENDERING_FAULTS as error:
            return str(error)
        lost = [one["role"] for form, text in texts for one in form if one["content"] not in text]
        if not lost:
            return None
        return "it leaves out what tools give" if "tool" in lost else f"it leaves out a turn of the role {lost[0]}"

    @property
    def opened_reasoning(self) -> str:
        """What the end of a prompt opens for the model's reasoning, such as `<think>` and a line's end; else empty."""
        prompt = self.render([("user", "text")], awaiting=True)
        _, opened, after = prompt.rpartition(OPEN)
        return opened + after if opened and CLOSE not in after else ""

    def filler(self, tools: Sequence[Any] | None) -> Fill:
        """What renders a whole conversation as it is, with these tools; it gives None where the template refuses."""

        def filled(messages: Sequence[Mapping[str, Any]]) -> str | None:
            try:
                return self.fill(messages, awaiting=False, tools=tools)
            except RENDERING_FAULTS:
                return None

        return filled

    def fill(self, messages: Sequence[Mapping[str, Any]], *, awaiting: bool, tools: Sequence[Any] | None = None) -> str:
        """Render messages as they are, with what transformers gives a template besides.

        Raises:
            TemplateError: the template refuses them; a template may fail with other errors too.
        """
        # transformers gives `tools` and `documents` as None, which a template may tell from not given.
        return compiled(self.source).render(
            messages=list(messages), tools=tools, documents=None, add_generation_prompt=awaiting, **self.special
        )


@functools.lru_cache(maxsize=4096)
def native_content(source: str, special: tuple[tuple[str, str], ...], content: str, tools: str | None) -> str:
    """An assistant's turn with its tool calls as a template writes them; templates take several tries for each."""
    fill = ChatTemplate(source, dict(special), "").filler(None if tools is None else json.loads(tools))
    return native_call(fill, content)


@functools.lru_cache(maxsize=512)
def compiled(source: str) -> Template:
    """A compiled template; compiling takes longer than rendering."""
    return environment().from_string(source)


class Generation(Extension):
    """`{% generation %}` marks what a model is trained on; what is inside is written as it is."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """The statements up to `{% endgeneration %}`."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)


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
