"""What demonstrations change against plain transformers passes over whole conversations, one text at a time."""

import dataclasses
import math

import pytest
import torch
from evaluated import asked_rows, choice_rows, loaded

from mixplan.evaluate.choice import option_answers
from mixplan.evaluate.preview import plain, preview
from mixplan.features.queries import in_front
from mixplan.model import generate, render


def silent(_):
    pass


def own(model, rows, tokens=4):
    prompts = [render(model, row.prompt, awaiting=True) for row in rows]
    return {row.id: each.ids for row, each in zip(rows, generate(model, prompts, max_new_tokens=tokens), strict=True)}


def fronts_of(rows):
    """Two draws, of two demonstrations and of one."""
    return [(rows[0], rows[1]), (rows[2],)]


def ids_of(model, text):
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def logs_behind(model, messages, ids=None, answer=None):
    """Log-probabilities of all next tokens at a continuation's places, and the continuation's own."""
    prompt = render(model, messages, awaiting=True)
    start = len(ids_of(model, prompt))
    whole = [*ids_of(model, prompt), *ids] if answer is None else ids_of(model, prompt + answer)
    with torch.inference_mode():
        logs = model.lm(input_ids=torch.tensor([whole]), use_cache=False).logits[0].double().log_softmax(-1)
    rows = logs[start - 1 : -1]
    return rows, float(rows[torch.arange(len(whole) - start), torch.tensor(whole[start:])].sum())


def expected(model, row, front, answer):
    """Each quantity of one row, by the definitions."""
    bare, shown = row.prompt, in_front(front, row.prompt)
    p, q = (logs_behind(model, messages, ids=answer)[0] for messages in (bare, shown))
    length = len(row.answer.encode()) * math.log(2)
    found = {
        "kl": float((p.exp() * (p - q)).sum(-1).mean()),
        "bits_per_byte": (logs_behind(model, bare, answer=row.answer)[1]
                          - logs_behind(model, shown, answer=row.answer)[1]) / length,
    }  # fmt: skip
    if row.options:
        chances = [
            [math.exp(logs_behind(model, messages, answer=option)[1]) for option in option_answers(row)]
            for messages in (bare, shown)
        ]
        (p_gold, p_all), (q_gold, q_all) = ((each[row.gold], sum(each)) for each in chances)
        found["gold_probability"] = q_gold / q_all - p_gold / p_all
        found["gold_margin"] = math.log(q_gold / (q_all - q_gold)) - math.log(p_gold / (p_all - p_gold))
    return found


@pytest.mark.parametrize("make", [choice_rows, asked_rows])
def test_changes_are_those_of_plain_passes(any_model, make):
    model, rows = loaded(any_model), make(3)
    fronts = fronts_of(asked_rows(3))
    answers, told = own(model, rows), []
    before = plain(model, rows, answers, advance=told.append)
    found = preview(model, rows, fronts, before=before, advance=told.append)
    assert sum(told) == 2 * len(rows)
    assert found.rows == tuple(row.id for row in rows)
    for place, row in enumerate(rows):
        wanted = expected(model, row, fronts[place % 2], answers[row.id])
        assert list(found.values) == list(wanted)
        for quantity, value in wanted.items():
            assert found.values[quantity][place] == pytest.approx(value, rel=2e-3, abs=2e-4)
    assert min(found.values["kl"]) > 0


def test_no_demonstration_changes_nothing(tiny_model):
    model, rows = loaded(tiny_model), choice_rows(3)
    before = plain(model, rows, own(model, rows), advance=silent)
    found = preview(model, rows, [()], before=before, advance=silent)
    for values in found.values.values():
        assert values == pytest.approx([0.0] * 3, abs=1e-5)


def test_a_front_is_read_once_a_draw(tiny_model):
    model, rows, fronts = loaded(tiny_model), asked_rows(4), fronts_of(asked_rows(3))
    answers = own(model, rows)
    before = plain(model, rows, answers, advance=silent)
    seen = []
    handle = model.lm.get_decoder().register_forward_pre_hook(
        lambda _module, _args, given: seen.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    preview(model, rows, fronts, before=before, advance=silent)
    handle.remove()
    fronted = [ids_of(model, render(model, in_front(fronts[n % 2], row.prompt), awaiting=True))
               for n, row in enumerate(rows)]  # fmt: skip
    bare = [ids_of(model, render(model, row.prompt, awaiting=True)) for row in rows]
    added = [len(one) - len(other) for one, other in zip(fronted, bare, strict=True)]
    behind = sum(map(len, bare)) + sum(len(answers[row.id]) - 1 + len(ids_of(model, row.answer)) - 1 for row in rows)
    assert sum(seen) <= behind + added[0] + added[1]


def test_rows_that_do_not_fit_are_left_out(tiny_model):
    model, rows = loaded(tiny_model), choice_rows(3)
    answers = own(model, rows)
    before = plain(model, rows, {name: answers[name] for name in answers if name != rows[1].id}, advance=silent)
    assert list(before.items) == [rows[0].id, rows[2].id]
    long = dataclasses.replace(rows[0], prompt=(("user", "lazy dog " * 1000),))
    assert plain(model, [long], answers, advance=silent).items == {}
    # The second draw's question is the third row, since the second is not there, and does not fit behind its front.
    found = preview(model, rows, [(asked_rows(1)[0],), (long,)], before=before, advance=silent)
    assert found.rows == (rows[0].id,)
    assert {quantity: len(values) for quantity, values in found.values.items()} == {
        "kl": 1, "bits_per_byte": 1, "gold_probability": 1, "gold_margin": 1
    }  # fmt: skip
    none = preview(model, rows, [(long,)], before=before, advance=silent)
    assert (none.rows, set(none.values.values())) == ((), {()})
