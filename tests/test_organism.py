"""The model organism of bin/organism: skills against a second formulation, rows, training and folder."""

import json
import random
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from small_plan import plan
from transformers import AutoTokenizer

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

from organism_lessons import CONTEXT, TEMPLATE, encode, lesson, rows_of, save_tokenizer
from organism_model import Making, answer_loss, make_model, new_model, right_answers
from organism_skills import SKILLS, SPLITS, Item, draw_items, split_of
from organism_targets import HELD_OUT, TARGETS, divided

from mixplan.errors import RunError

TINY = Making(steps=6, conversations=2, warm_up=2, horizon=12, decay=2, hidden=32, layers=4, heads=2)
BY_WORD = {skill.word: skill for skill in SKILLS}


def ordered(text):
    return "".join(letter for letter in "abcdefghijkl" for _ in range(text.count(letter)))


def added(text):
    """Column by column with a carry, as on paper."""
    first, second = ([int(digit) for digit in reversed(part)] for part in text.split("+"))
    digits, carry = [], 0
    for a, b in zip(first, second, strict=True):
        carry, digit = divmod(a + b + carry, 10)
        digits.append(digit)
    return ("1" if carry else "") + "".join(map(str, reversed(digits)))


def raised(text):
    """The last digit that is no nine goes up, and the nines behind it become zeros."""
    head, nines = re.fullmatch(r"(.*?)(9*)", text).groups()
    return head[:-1] + "1234567890"["0123456789".index(head[-1])] + "0" * len(nines)


AGAIN = {
    "SORT": ordered,
    "REV": lambda text: "".join(text[len(text) - 1 - place] for place in range(len(text))),
    "ROT": lambda text: (text + text)[1 : 1 + len(text)],
    "NEXT": lambda text: text.translate(str.maketrans("abcdefghijkl", "bcdefghijklm")),
    "DUP": lambda text: re.sub("(.)", r"\1\1", text),
    "COUNT": lambda text: str(len(re.findall(text[0], text[2:]))),
    "AT": lambda text: re.fullmatch(f".{{{int(text[0]) - 1}}}(.).*", text[2:]).group(1),
    "GET": lambda text: text[text.index(text[0], 1) + 1],
    "HAS": lambda text: "y" if text.count(text[0]) == 2 else "n",
    "MODE": lambda text: max("abcd", key=text.count),
    "PAL": lambda text: "y" if text[0] + text[1] == text[4] + text[3] else "n",
    "MAX": lambda text: sorted(text)[-1],
    "EVENS": lambda text: str(len(re.sub("[13579]", "", text))),
    "MAP": lambda text: text.translate(str.maketrans("0123456789", "abcdefghij")),
    "ADD": added,
    "INC": raised,
    "CMP": lambda text: "<" if text.split()[0] < text.split()[1] else ">",
    "XOR": lambda text: f"{int(text[:6], 2) ^ int(text[7:], 2):06b}",
}  # fmt: skip


@pytest.mark.parametrize("word", BY_WORD)
def test_answers_agree_with_a_second_formulation(word):
    for item in draw_items(BY_WORD[word], "train", 300, "test", distinct=False):
        assert item.question.startswith(f"{word} ")
        assert item.answer == AGAIN[word](item.question.removeprefix(f"{word} ")), item


def test_each_answer_of_a_choice_comes_about_as_often():
    for word, answers in (("HAS", "yn"), ("PAL", "yn"), ("CMP", "<>")):
        found = Counter(item.answer for item in draw_items(BY_WORD[word], "train", 400, "test", distinct=False))
        assert set(found) == set(answers)
        assert min(found.values()) > 140  # a fair coin gives fewer once in 10^9 times


def test_splits_are_disjoint_for_all_seeds_and_hold_a_tenth_a_tenth_and_the_rest():
    drawn = {split: {item.question for seed in "ab" for item in draw_items(BY_WORD["REV"], split, 200, seed)}
             for split in SPLITS}  # fmt: skip
    assert not drawn["evaluation"] & drawn["train"]
    assert not drawn["probe"] & (drawn["train"] | drawn["evaluation"])
    counts = Counter(split_of(f"REV {number}") for number in range(20_000))
    assert counts["evaluation"] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert counts["probe"] / 20_000 == pytest.approx(0.1, abs=0.01)


def test_conversations_hold_training_questions_alone():
    names = {token: name for name, token in vocabulary_names().items()}
    tokens, _ = lesson(SKILLS, 3, 5, 8)
    told = 0
    for row in tokens.tolist():
        text = "".join(names[token] for token in row if token).replace("Ġ", " ")
        for word, rest in re.findall(r"<\|user\|>([A-Z]+)(.*?)<\|assistant\|>", text):
            if word in BY_WORD:
                told += 1
                assert split_of(f"{word} {rest}") == "train"
    assert told > 20


def vocabulary_names():
    from organism_lessons import IDS

    return IDS


def test_the_trained_tokens_are_the_answers_in_the_chat_template(tmp_path):
    save_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    items = [draw_items(target.task, "train", 1, "t")[0] for target in TARGETS]
    items += [draw_items(skill, "train", 1, "t")[0] for skill in SKILLS]
    tokens, answers = rows_of(items)
    for item, row, answered in zip(items, tokens, answers, strict=True):
        assert tokenizer(item.question, add_special_tokens=False)["input_ids"] == encode(item.question)
        asked = [{"role": "user", "content": item.question}]
        messages = [*asked, {"role": "assistant", "content": item.answer}]
        whole = tokenizer.apply_chat_template(messages, return_dict=False)
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
        assert tokenizer.chat_template == TEMPLATE
        assert row[: len(whole)].tolist() == whole
        assert not row[len(whole) :].any()
        assert answered.nonzero().flatten().tolist() == list(range(len(prompt), len(whole)))


def test_targets_are_divided_once_and_for_all_within_their_kinds():
    development, held_out = divided()
    assert len(development) == 10
    assert len({target.name for target in development + held_out}) == len(TARGETS) == 30
    assert Counter(target.kind for target in held_out) == HELD_OUT
    for target in TARGETS:
        if target.against:  # the answers are against the skill, or its texts are none that the skill has
            items = draw_items(target.task, "train", 50, "t")
            known = {item.question for item in draw_items(BY_WORD[target.against], "train", 200, "t")}
            assert not known & {item.question for item in items}


def test_no_more_distinct_questions_than_there_are():
    with pytest.raises(ValueError, match="XOR has no 9000 distinct questions"):
        draw_items(BY_WORD["XOR"], "evaluation", 9000, "t")


def test_a_lesson_is_of_its_seed_and_step_alone():
    one, same, other = lesson(SKILLS, 0, 7, 4), lesson(SKILLS, 0, 7, 4), lesson(SKILLS, 0, 8, 4)
    assert one[0].shape == (4, CONTEXT)
    assert torch.equal(one[0], same[0])
    assert torch.equal(one[1], same[1])
    assert not torch.equal(one[0], other[0])


def test_a_training_that_was_killed_ends_as_one_that_was_not(tmp_path):
    whole = make_model(TINY, tmp_path / "a", every=2, told=print)
    assert make_model(TINY, tmp_path / "b", every=2, told=print, stop_at=5) is None
    resumed = make_model(TINY, tmp_path / "b", every=2, told=print)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert [json.loads(line)["step"] for line in (tmp_path / "b/log.jsonl").open()] == [2, 4, 6]
    with pytest.raises(RunError, match="belongs to another training"):
        make_model(replace(TINY, seed=1), tmp_path / "b", every=2, told=print)


def test_right_answers_are_those_that_greedy_decoding_gives(tmp_path):
    """A tiny model that has learnt one letter to copy, so that some answers are right and some wrong."""
    model = new_model(replace(TINY, seed=3)).train()
    items = [Item("REV", f"REV {letter}{other}", letter) for letter in "ab" for other in "cdef"]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        answer_loss(model, *rows_of(items[:6])).backward()
        optimiser.step()
    model.eval()
    save_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    asked = items + [Item("REV", f"REV {a}{b}", a) for a, b in ("ga", "hb", "ba")]
    found = []
    for item in asked:
        message = [{"role": "user", "content": item.question}]
        ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        answer = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=4)[0]
        found.append(tokenizer.decode(answer[ids.shape[1] :]) == f"{item.answer}</s>")
    assert 0 < sum(found) < len(found)
    assert right_answers(model, asked, batch=3).tolist() == found


def test_a_batch_is_read_as_its_rows_alone():
    model = new_model(TINY).eval()
    items = [draw_items(skill, "train", 1, "t")[0] for skill in SKILLS[:6]]
    tokens, answers = rows_of(items)
    together = answer_loss(model, tokens, answers) * answers.sum()
    alone = sum(answer_loss(model, *rows_of([item])) * rows_of([item])[1].sum() for item in items)
    assert together.item() == pytest.approx(alone.item(), rel=1e-5)


def test_its_folder_is_one_that_mixplan_plans_with(tmp_path, tiny_sae):
    from organism import HOOK, print_skills, write_rows

    model = make_model(replace(TINY, steps=2), tmp_path / "work", every=2, told=print)
    model.save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    write_rows(tmp_path, rows=80)
    tiny_sae("jumprelu", 32, 96, HOOK, tmp_path / "sae")
    section = {"format": "question_answer", "columns": {"question": "question", "answer": "answer"}, "grader": "exact",
               "split": {"evaluation": 8, "query": 20, "demonstration": 12}}  # fmt: skip
    recipe = {
        "model": {"name": "model", "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
        "target": {"data": {"file": "rows/sort_marked.jsonl"}, **section},
        "domains": {word.lower(): {"data": {"file": f"rows/{word}.jsonl"}, **section} for word in ("SORT", "ADD")},
        "drift": {"features": 10, "demonstrations": 2, "draws": 2, "query_tokens": 120},
        "sts": {"demonstrations": 2, "draws": 2, "query_tokens": 90, "resamples": 100},
        "budget": {"rows": 10},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    made, _ = plan(tmp_path / "recipe.yaml", tmp_path / "run")
    assert sum(made["allocation"]["rows"].values()) == 10
    print_skills(tmp_path, tmp_path / "study")
    about = json.loads((tmp_path / "study" / "organism.json").read_bytes())
    assert about == json.loads((tmp_path / "skills.json").read_bytes())
    assert about["kept"] == [word for word, right in about["accuracy"].items() if right >= 0.9]
    assert list(about["accuracy"]) == list(BY_WORD)
    assert (about["steps"], about["parameters"]) == (2, sum(value.numel() for value in model.parameters()))


def test_rng_of_a_skill_is_its_own():
    """Drawing one skill's questions changes no other's, nor Python's own random numbers."""
    random.seed(5)
    state = random.getstate()
    first = draw_items(BY_WORD["SORT"], "train", 5, "s")
    draw_items(BY_WORD["REV"], "train", 5, "s")
    assert draw_items(BY_WORD["SORT"], "train", 5, "s") == first
    assert random.getstate() == state
