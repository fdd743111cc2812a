"""Reports, before anything is read, what the model's chat template refuses or leaves out of a recipe's rows."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from mixplan.chat.named_templates import TOOL_USE, chooses_by_tools, parts_of
from mixplan.chat.reasoning import parted
from mixplan.chat.refused_turns import remedy_for_turns
from mixplan.chat.template import ChatTemplate
from mixplan.chat.template_reasoning import asked_beyond_trained, keeping_setting, keeps_reasoning
from mixplan.chat.template_settings import parsed, settings_read
from mixplan.chat.tool_calls import OPEN as CALL
from mixplan.chat.tool_calls import TOOLS, parted_calls, parted_tools
from mixplan.chat.turn_marks import turn_marks
from mixplan.domains import Domain, Row, by_name
from mixplan.errors import ModelError
from mixplan.recipe import Recipe

WITHOUT_MARKS = "write it without `<think>` and `</think>`, as part of the answer's text"
WITH_TOOLS, BEFORE_TOOLS = ("", " with tools"), ("", " before queries with tools")
IN_TOOLS = ("", " of conversations with tools")
"""What of a domain is meant, by whether it has tools and a template of its own for them."""


def refuse_conversations(template: ChatTemplate, target: Domain, domains: Mapping[str, Domain]) -> None:
    """Refuse rows whose turns the chat template does not take, by domain and row.

    Raises:
        ModelError: names the domain, its rows, what is wrong in them and what to change.
    """
    for domain in by_name(target, domains).values():
        place = domain.key
        rows = domain.rows
        by_roles: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            by_roles.setdefault((*(role for role, _ in row.prompt), "assistant"), []).append(row)
        refused = [(roles, found) for roles, found in by_roles.items() if template.fault(roles) is not None]
        if refused:
            roles, found = refused[0]
            count = sum(len(each) for _, each in refused)
            remedy = remedy_for_turns(roles, template.accepts, system_column=domain.spec.columns.system is not None)
            raise ModelError(
                f"{place}: the chat template of '{template.name}' refuses {count} of its {len(rows)} rows, such as "
                f"{found[0].id} with the roles {', '.join(roles)}: {str(template.fault(roles)).rstrip('.')}. {remedy}"
            )


def conversation_warnings(
    recipe: Recipe,
    template: ChatTemplate,
    target: Domain,
    domains: Mapping[str, Domain],
    *,
    day: str | None,
    tokens: Callable[[Sequence[str]], int] | None,
) -> list[str]:
    """What the chat template holds, leaves out or adds, in whole sentences.

    Args:
        recipe: For its model's settings and what it trains by.
        template: The model's, held to the recipe's settings.
        target: The opened target.
        domains: The opened domains.
        day: The date that the template prints; None where it prints none.
        tokens: Counts the tokens of texts; None where the model's tokenizer is not loaded, and rows alone are counted.
    """
    found = list(date_held(template, day))
    found += marks_in_text(template, by_name(target, domains))
    found += tools_left_out(template, by_name(target, domains))
    trains = recipe.train.method == "sft"
    if trains:
        found += calls_as_text(template, by_name(target, domains))
    for name, domain in by_name(target, domains).items():
        for tools, pool in by_template(template, domain.pool).items() if trains else ():
            if rows := [row.answer for row in pool if reasons(row.answer)]:
                found += left_out(recipe, template, name, rows, last=True, tools=tools, tokens=tokens)
        shown = [row.rationale or row.answer for row in domain.demonstration]
        if rows := [text for text in shown if reasons(text)]:
            for tools in by_template(template, domain.query) or (False,):
                found += left_out(recipe, template, name, rows, last=False, tools=tools, tokens=tokens)
    if settings := recipe.model.chat_template_kwargs:
        everything = [row for domain in by_name(target, domains).values() for row in domain.rows]
        found += unread_settings(template, settings, by_template(template, everything))
    if trains:
        pools = [row for domain in by_name(target, domains).values() for row in domain.pool]
        found += added_to_prompts(template, sorted(by_template(template, pools)))
    return found


def unread_settings(
    template: ChatTemplate, settings: Mapping[str, object], rows: Mapping[bool, Sequence[Row]]
) -> Iterator[str]:
    """The line for settings that only one of two named templates reads, where rows are rendered by the other one."""
    for name, source in parts_of(template.source).items():
        unread = sorted(settings.keys() - settings_read(parsed(source)))
        if unread and (count := len(rows.get(name == TOOL_USE, ()))):
            keys = " and ".join(f"`{key}`" for key in unread)
            yield (
                f"The chat template of '{template.name}' named {name} does not read {keys} of "
                f"`model.chat_template_kwargs`, which therefore changes nothing in {count:,} of the rows, those "
                f"{'with' if name == TOOL_USE else 'without'} tools."
            )


def by_template(template: ChatTemplate, rows: Sequence[Row]) -> dict[bool, list[Row]]:
    """Rows by whether their tools choose another template than the one for conversations without."""
    if not chooses_by_tools(template.source):
        return {False: [*rows]} if rows else {}
    found: dict[bool, list[Row]] = {}
    for row in rows:
        found.setdefault(row.prompt[0][0] == TOOLS, []).append(row)
    return found


def added_to_prompts(template: ChatTemplate, kinds: Sequence[bool]) -> Iterator[str]:
    """The line for what a prompt ends with that trained rows lack, for conversations without tools and with them."""
    for tools in kinds:
        if added := asked_beyond_trained(template, tools=tools):
            yield (
                f"The chat template of '{template.name}' ends a prompt{IN_TOOLS[tools]} with {added!r} when the "
                "model is asked, and leaves that out of the rows that are trained. `choice` and `likelihood` are "
                "measured as trained, `exact` and `behaviour` as asked."
            )


def marks_in_text(template: ChatTemplate, domains: Mapping[str, Domain]) -> Iterator[str]:
    """The line for domains whose rows' own text holds marks of the template, as of data that was rendered before."""
    if not (marks := turn_marks(template)):
        return
    marked = re.compile("|".join(map(re.escape, marks)))
    for name, domain in domains.items():
        rows, met = domain.rows, dict[str, None]()
        first, count = "", 0
        for row in rows:
            said = [*(text for role, text in row.prompt if role != TOOLS), row.rationale or "", row.answer]
            if likely := [text for text in said if marked.search(text)]:  # most rows hold none
                first, count = first or row.id, count + 1
                met.update(dict.fromkeys(mark for mark in marks if any(mark in text for text in likely)))
        if count:
            listed = ", ".join(f"`{mark}`" for mark in met)
            yield (
                f"{name}: {count:,} of its {len(rows):,} rows hold {listed} in their own text, such as {first}. "
                f"'{template.name}' reads that as a mark of its chat template and not as text, so turns end or begin "
                "where the data has none. Take it out of the data, or leave such rows out."
            )


def tools_left_out(template: ChatTemplate, domains: Mapping[str, Domain]) -> Iterator[str]:
    """The line for domains whose conversations have tools that the template does not write."""
    for name, domain in domains.items():
        rows = [row for row in domain.rows if row.prompt[0][0] == TOOLS]
        if rows and template.render(rows[0].prompt, awaiting=True) == template.render(
            rows[0].prompt[1:], awaiting=True
        ):
            yield (
                f"{name}: the chat template of '{template.name}' does not write a conversation's tools, so the model "
                f"does not see what it may call in {len(rows)} rows. Put them into the system turn in the data."
            )


def calls_as_text(template: ChatTemplate, domains: Mapping[str, Domain]) -> Iterator[str]:
    """The line for domains whose rows hold calls that the template writes in a way which no answer's text can have."""
    for name, domain in domains.items():
        likely = [row for row in domain.pool if CALL in row.answer or any(CALL in text for _, text in row.prompt)]
        turns = [(row.prompt, [text for role, text in (*row.prompt, ("assistant", row.answer)) if calls(role, text)])
                 for row in likely]  # fmt: skip
        with_calls = [(prompt, texts[-1]) for prompt, texts in turns if texts]
        if with_calls and template.keeps_calls_as_text(with_calls[0][1], parted_tools(with_calls[0][0])[0]):
            taught = sum(calls("assistant", row.answer) for row in domain.pool)
            yield (
                f"{name}: the chat template of '{template.name}' has no form of tool calls that an answer's text can "
                f"hold, so {len(with_calls)} pool rows have them as `<tool_call>`, JSON, `</tool_call>`, which is not "
                f"how this model calls; {taught or 'none'} of them end in one, which is trained. Leave such rows out, "
                "or choose a model whose template writes calls as text."
            )


def calls(role: str, text: str) -> bool:
    """Whether a turn ends in tool calls."""
    return role == "assistant" and CALL in text and bool(parted_calls(text)[1])


def date_held(template: ChatTemplate, day: str | None) -> Iterator[str]:
    """The line for a template that prints the date."""
    if day is not None:
        held = datetime.date.fromisoformat(day)
        yield (
            f"The chat template of '{template.name}' prints the date. It is held at {held.day} {held:%B %Y} in "
            "reading, training and measuring, so that the recipe plans the same on any day; "
            "`model.template_date` sets another."
        )


def reasons(answer: str) -> bool:
    """Whether an answer holds reasoning of its own."""
    found = parted(answer)
    return bool(found and found[0])


def left_out(
    recipe: Recipe,
    template: ChatTemplate,
    name: str,
    answers: Sequence[str],
    *,
    last: bool,
    tools: bool,
    tokens: Callable[[Sequence[str]], int] | None,
) -> Iterator[str]:
    """The line for a domain whose reasoning the template leaves out, with what keeps it."""
    if keeps_reasoning(template, last=last, tools=tools):
        return
    texts = [reasoning for reasoning, _ in filter(None, map(parted, answers))]
    count = f"{tokens(texts):,} tokens of reasoning are" if tokens is not None else "their reasoning is"
    setting = keeping_setting(template, recipe.model.chat_template_kwargs, last=last, tools=tools)
    keep = (
        f"set `model.chat_template_kwargs: {{{setting[0]}: {str(setting[1]).lower()}}}`" if setting else WITHOUT_MARKS
    )
    where = (
        f"the answers of {len(texts)} pool rows{WITH_TOOLS[tools]}, so {count} not trained"
        if last
        else f"{len(texts)} demonstrations{BEFORE_TOOLS[tools]}, so {count} not read"
    )
    yield f"{name}: the chat template leaves the reasoning out of {where}. To keep it, {keep}."
