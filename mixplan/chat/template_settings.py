"""Holds a model's chat template to the recipe's settings and date, and to one form of reasoning.

Whatever renders with the held text (mixplan itself, TRL, the harness) then renders the same, today and tomorrow.
"""

from __future__ import annotations

import calendar
import datetime
import functools
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError, meta, nodes

from mixplan.chat.named_templates import chooses_by_tools
from mixplan.chat.reasoning import CLOSE, OPEN, joined
from mixplan.chat.template import ANY_TOOL, RENDERING_FAULTS, ChatTemplate, environment
from mixplan.errors import ModelError
from mixplan.recipe.suggest import did_you_mean

TEMPLATE_DATE = "2024-07-26"
"""The date that a template prints where the recipe gives none: the one that Llama 3's own template falls back on. A
date that never changes lets one recipe plan the same on any day."""

ENDS_HOLD = "{# what follows is the model's own template #}\n"

FIELDS = ("reasoning_content", "thinking", "reasoning")
"""Under which names templates take a message's reasoning."""

REASONING, ANSWER = "0b7d reasoning 3f52", "0a9c answer 7e41"
"""Rendered in the place of a message's reasoning and answer to see what a template makes of them."""

Settings = Mapping[str, Any]
Tools = Sequence[Any] | None

DATE_FUNCTION = "strftime_now"
"""What transformers gives a template to print today's date with."""

GIVEN = {"messages", "add_generation_prompt", "tools", "documents", "raise_exception", DATE_FUNCTION}
"""What each conversation, or transformers itself, gives a template."""


SPELT = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
"""Texts that spell a truth value, each with how YAML writes it."""


@dataclass(frozen=True)
class HeldTemplate:
    """A chat template with the recipe's settings set in front of it.

    Attributes:
        source: The text, which is the model's own where nothing had to be held.
        date: The date that it prints, as the recipe writes it; None where it prints none.
    """

    source: str
    date: str | None


def hold(own: str, *, settings: Settings, date: str | None, special: Mapping[str, str], name: str) -> HeldTemplate:
    """Hold a template.

    Args:
        own: The model's own template, or one that is held already.
        settings: `model.chat_template_kwargs`.
        date: `model.template_date`; TEMPLATE_DATE where None.
        special: The tokenizer's special tokens by name.
        name: The model's name, for messages.

    Raises:
        ModelError: the template cannot be read, or reads none of a setting's name.
    """
    own = model_template(own)
    try:
        tree = parsed(own)
    except TemplateError as error:
        raise ModelError(
            f"the chat template of '{name}' cannot be read: {error}. Mend it in the model's files."
        ) from error
    check_settings(tree, settings, name)
    lines = [f"{{% set {key} = {literal(value)} %}}\n" for key, value in settings.items()]
    printed = asks_date(tree)
    day = date or TEMPLATE_DATE
    if printed:
        lines.append(date_macro(date_forms(tree), datetime.date.fromisoformat(day)))
    lines.append(held_messages(ChatTemplate("".join(lines) + own, special, name)))
    before = "".join(lines)
    return HeldTemplate(before + ENDS_HOLD + own if before else own, day if printed else None)


def model_template(source: str) -> str:
    """The model's own template, without what was held in front of it."""
    _, held, own = source.partition(ENDS_HOLD)
    return own if held else source


def holds_more(source: str, settings: Settings) -> bool:
    """Whether more is held in front of a template than settings, which TRL can be given by other means."""
    before, held, _ = source.partition(ENDS_HOLD)
    set_here = tuple(f"{{% set {key} = " for key in settings)
    return bool(held) and any(not line.startswith(set_here or "\n") for line in before.splitlines())


@functools.lru_cache(maxsize=128)
def parsed(source: str) -> nodes.Template:
    """A template's syntax tree, which takes as long to make as to compile.

    Raises:
        TemplateError: the template cannot be read.
    """
    return environment().parse(source)


@functools.lru_cache(maxsize=128)
def settings_read(tree: nodes.Template) -> frozenset[str]:
    """The names that a template reads from outside: not those that it sets itself, unless it asks for them first."""
    names = list(tree.find_all(nodes.Name))
    own = {one.name for one in names if one.ctx != "load"}
    asked = {
        test.node.name
        for test in tree.find_all(nodes.Test)
        if test.name in ("defined", "undefined") and isinstance(test.node, nodes.Name)
    }
    read = {name for name in meta.find_undeclared_variables(tree) if name not in own or name in asked}
    return frozenset(name for name in read if name not in GIVEN and not name.endswith("_token"))


def check_settings(tree: nodes.Template, settings: Settings, name: str) -> None:
    """Refuse settings that would change nothing, or not what they say.

    Raises:
        ModelError: the template reads none of a setting's name (those that it reads are named), or a text spells yes
            or no, which a template takes for yes.
    """
    known = sorted(settings_read(tree))
    for key, value in settings.items():
        if key not in known:
            listed = f"; it reads {', '.join(known)}" if known else " and takes no settings"
            raise ModelError(
                f"model.chat_template_kwargs.{key}: the chat template of '{name}' does not read `{key}`{listed}."
                f"{guessed(key, known)} Remove the key."
            )
        if isinstance(value, str) and value.lower() in SPELT and value not in compared_texts(tree, key):
            raise ModelError(
                f"model.chat_template_kwargs.{key}: found the text '{value}', which the chat template of '{name}' "
                f"takes for true, as any text. Write it without quotes: `{key}: {SPELT[value.lower()]}`."
            )


def compared_texts(tree: nodes.Template, name: str) -> set[str]:
    """The texts that a template holds a name against."""
    comparisons = [one for one in tree.find_all(nodes.Compare) if name in {it.name for it in one.find_all(nodes.Name)}]
    return {text.value for one in comparisons for text in one.find_all(nodes.Const) if isinstance(text.value, str)}


def guessed(key: str, known: list[str]) -> str:
    """What was probably meant, as a sentence; empty without a guess."""
    guess = did_you_mean(key, known)
    return guess if guess.startswith(" Did you mean") else ""


def literal(value: Any) -> str:
    """A setting as Jinja writes it."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return json.dumps(value, ensure_ascii=False)


def prints_date(source: str) -> bool:
    """Whether a template prints the day on which it renders."""
    return asks_date(parsed(model_template(source)))


def asks_date(tree: nodes.Template) -> bool:
    """Whether a template uses `strftime_now`, by whatever name it then calls it."""
    tested = {id(test.node) for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")}
    return any(name.name == DATE_FUNCTION and id(name) not in tested for name in tree.find_all(nodes.Name))


def date_forms(tree: nodes.Template) -> list[str] | None:
    """The forms in which a template prints the date; None where they are known only once it renders."""
    calls = [call for call in tree.find_all(nodes.Call) if getattr(call.node, "name", "") == DATE_FUNCTION]
    given = [[*call.args, *(keyword.value for keyword in call.kwargs)] for call in calls]
    forms = [values[0].value for values in given if len(values) == 1 and isinstance(values[0], nodes.Const)]
    tests = [test for test in tree.find_all(nodes.Test) if getattr(test.node, "name", "") == DATE_FUNCTION]
    used = sum(name.name == DATE_FUNCTION for name in tree.find_all(nodes.Name)) - len(tests)
    return list(dict.fromkeys(forms)) if len(forms) == used else None


def date_macro(forms: list[str] | None, day: datetime.date) -> str:
    """What a template calls in the place of transformers' `strftime_now`, under the same parameter.

    Args:
        forms: The forms that it is called with. None: any, so that each directive is replaced where it stands.
        day: The day to print, at midnight.
    """
    moment = datetime.datetime.combine(day, datetime.time())
    if forms is None:
        printed = f"{{{{ {'format' + replacements(moment)} }}}}"
    else:
        printed = "".join(
            f"{{% {'elif' if number else 'if'} format == {literal(form)} %}}{{{{ {literal(moment.strftime(form))} }}}}"
            for number, form in enumerate(forms)
        )
        printed += "{% endif %}"
    return f"{{% macro {DATE_FUNCTION}(format) %}}{printed}{{% endmacro %}}\n"


def replacements(moment: datetime.datetime) -> str:
    """A chain of Jinja calls that does to a text what `strftime` does to a form."""
    escaped = "\x00"
    pairs = [("%%", escaped)]
    for flag in ("", "-"):
        for letter in string.ascii_letters:
            directive = f"%{flag}{letter}"
            # `%s` counts from 1970 in the machine's own time zone.
            text = str(calendar.timegm(moment.timetuple())) if letter == "s" else moment.strftime(directive)
            if text != directive:
                pairs.append((directive, text))
    pairs.append((escaped, "%"))
    return "".join(f".replace({literal(old)}, {literal(new)})" for old, new in pairs)


def held_messages(template: ChatTemplate) -> str:
    """What gives a template each message as it takes it, each of two named ones as it does; empty where as it comes.

    Args:
        template: Without what is held for its messages.
    """
    if not chooses_by_tools(template.source):
        return message_lines(template, None)
    without, with_tools = message_lines(template, None), message_lines(template, [ANY_TOOL])
    if without == with_tools:
        return without
    return f"{{% if tools is none %}}{without}{{% else %}}{with_tools}{{% endif %}}\n"


def takes_parts(template: ChatTemplate, tools: Tools) -> bool:
    """Whether a template writes a message's content only where it comes as a list of parts, as some for images do."""
    return not written(template, ANSWER, tools) and written(template, [{"type": "text", "text": ANSWER}], tools)


def written(template: ChatTemplate, content: Any, tools: Tools) -> bool:
    """Whether a template writes the content of a question and of its answer."""
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": content}]
    try:
        text = template.fill(messages, awaiting=False, tools=tools)
    except RENDERING_FAULTS:
        return False
    return text.count(ANSWER) > 1


def reasoning_field(template: ChatTemplate, tools: Tools, *, parts: bool) -> str | None:
    """The message's field in which a template takes reasoning; None where `<think>` in the answer does as well.

    A template that knows no reasoning at all leaves `<think>` in the answer as text.

    Args:
        template: Without what is held for its messages.
        tools: The conversation's.
        parts: Whether it takes content as a list of parts.
    """

    def message(role: str, text: str) -> dict[str, object]:
        return {"role": role, "content": [{"type": "text", "text": text}] if parts else text}

    def answered(answer: dict[str, object]) -> str:
        return template.fill([message("user", "text"), answer], awaiting=False, tools=tools)

    try:
        inline = answered(message("assistant", joined(REASONING, ANSWER)))
        for field in FIELDS:
            text = answered(message("assistant", ANSWER) | {field: REASONING})
            if REASONING in text:
                return None if text == inline else field
    except RENDERING_FAULTS:
        return None
    return None


def message_lines(template: ChatTemplate, tools: Tools) -> str:
    """What gives a template each message as it takes it: reasoning in its field, content as a list of parts.

    Args:
        template: Without what is held for its messages.
        tools: The conversation's.

    Returns:
        Empty where it takes messages as they come.
    """
    parts = takes_parts(template, tools)
    field = reasoning_field(template, tools, parts=parts)
    if not parts and field is None:
        return ""
    content = "held.message['content']"
    lines = "{% set held = namespace(messages=[], message=none) %}{% for m in messages %}{% set held.message = m %}"
    if field is not None:
        lines += (
            f"{{% if m['role'] == 'assistant' and {content} is string and '{CLOSE}' in {content} "
            f"and not {content}.split('{OPEN}')[0].strip() %}}"
            f"{{% set held.message = dict(m, content={content}.split('{CLOSE}', 1)[1].lstrip('\n'), "
            f"{field}={content}.split('{CLOSE}', 1)[0].split('{OPEN}')[-1].strip()) %}}{{% endif %}}"
        )
    if parts:
        lines += (
            f"{{% if {content} is string %}}{{% set held.message = dict(held.message, "
            f"content=[{{'type': 'text', 'text': {content}}}]) %}}{{% endif %}}"
        )
    gathered = "{% set held.messages = held.messages + [held.message] %}{% endfor %}{% set messages = held.messages %}"
    return lines + gathered + "\n"
