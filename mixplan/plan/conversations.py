"""Holds a loaded model's chat template against the rows that a plan reads with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mixplan.chat.template import PLAIN
from mixplan.chat.template_files import processors_alone
from mixplan.domains import Domain
from mixplan.mixture.conversations import conversation_warnings, refuse_conversations
from mixplan.model import Model, chat_template
from mixplan.recipe import Recipe
from mixplan.recipe.generation_settings import answers_otherwise


def conversations_as_read(recipe: Recipe, model: Model, target: Domain, domains: Mapping[str, Domain]) -> list[str]:
    """Refuse rows that the chat template refuses, and say what it holds, leaves out or adds, in whole sentences.

    What the generation config changes in answers elsewhere is said too.

    Raises:
        ModelError: the template refuses rows.
    """
    template = chat_template(model)
    refuse_conversations(template, target, domains)

    def tokens(texts: Sequence[str]) -> int:
        return sum(map(len, model.tokenizer([*texts], add_special_tokens=False, verbose=False)["input_ids"]))

    found = conversation_warnings(recipe, template, target, domains, day=model.template_date, tokens=tokens)
    if template.source == PLAIN:
        found += filter(None, [processors_alone(model.place, model.name, recipe.model.revision)])
    said = answers_otherwise(model.place, model.name, recipe.train, recipe.model.revision)
    return found if said is None else [*found, said]
