"""Finds the marks by which a chat template tells turns apart, which a row's own text may hold too."""

from __future__ import annotations

import re

from jinja2 import nodes

from mixplan.chat.template import ChatTemplate
from mixplan.chat.template_settings import model_template, parsed

ENDS = ("bos_token", "eos_token")
"""The tokenizer's own marks of where a text begins and ends."""
SHORTEST = 3
"""Characters; shorter ones are words of some text."""
_WRITTEN = re.compile(r"<[|｜][^|｜<>\s]{1,40}[|｜]?>|<[^|｜<>\s]{1,40}[|｜]>|<(?:start|end)_of_turn>|\[/?INST\]")


def turn_marks(template: ChatTemplate) -> tuple[str, ...]:
    """The marks, sorted: what the template writes in the form of one, and the tokenizer's tokens of either end.

    A tokenizer reads a mark as one token wherever it stands, in what a user said as well. Marks that a template puts
    together from parts are not found.
    """
    ends = {template.special[name].strip() for name in ENDS if name in template.special}
    tree = parsed(model_template(template.source))
    texts = [node.data for node in tree.find_all(nodes.TemplateData)]
    texts += [node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)]
    found = {*ends, *(mark for text in texts for mark in _WRITTEN.findall(text))}
    return tuple(sorted(mark for mark in found if len(mark) >= SHORTEST))
