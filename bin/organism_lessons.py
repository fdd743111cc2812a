"""Turns questions and answers into the organism's tokens: its tokenizer, its conversations, its padded rows."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from organism_skills import SKILLS, Item, Skill, split_of
from organism_targets import WORDS
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
PAD, BEGIN, END, _, USER, ASSISTANT = range(len(SPECIAL))
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WINDOW = 512
CONTEXT = 128
"""Tokens of a conversation that the organism is made with."""
OWN_WORD, NO_WORD = 0.3, 0.15
"""Parts of the conversations about one skill alone: under its own word, and under one that says nothing, so that the
questions before must say what is asked; all others mix the skills."""
WEIGHTS = {"ADD": 2.0, "INC": 2.0, "EVENS": 2.0, "MODE": 2.0, "COUNT": 2.0, "GET": 2.0, "CMP": 2.0}
"""How often a skill comes where not once: those whose answers are short and computations long."""
PIECES = re.compile("(" + "|".join([skill.word for skill in SKILLS] + list(WORDS)) + r")\s*|(.)")


def save_tokenizer(folder: Path) -> None:
    """Writes a fast tokenizer of single bytes, and a token for each word with the space behind it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*SPECIAL, *alphabet]
    tokenizer = Tokenizer(models.BPE(vocab={name: place for place, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    words = [skill.word for skill in SKILLS] + list(WORDS)
    tokenizer.add_tokens([AddedToken(word, rstrip=True, normalized=False) for word in words])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", BEGIN)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[BEGIN],
        eos_token=SPECIAL[END],
        pad_token=SPECIAL[PAD],
        model_max_length=WINDOW,
        chat_template=TEMPLATE,
    )
    wrapped.save_pretrained(folder)


def vocabulary() -> dict[str, int]:
    """The id of each word and each byte, as the saved tokenizer has them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [skill.word for skill in SKILLS] + list(WORDS)
    return {name: place for place, name in enumerate([*SPECIAL, *alphabet, *words])}


IDS = vocabulary()
CHARACTERS = {chr(code): IDS["Ġ" if code == 32 else chr(code)] for code in range(32, 127)}


def encode(text: str) -> list[int]:
    """The tokens of a question or answer: what the tokenizer gives, a hundred times faster."""
    return [IDS[word] if word else CHARACTERS[character] for word, character in PIECES.findall(text)]


def turn(question: str, answer: str) -> tuple[list[int], int]:
    """The tokens of a question and its answer in the chat template, and how many at the end are the answer's."""
    asked, answered = encode(question), [*encode(answer), END]
    return [USER, *asked, ASSISTANT, *answered], len(answered)


def drawn(skill: Skill, rng: random.Random) -> Item:
    """A question of the split `train`."""
    while True:
        text = skill.draw(rng)
        question = f"{skill.word} {text}"
        if split_of(question) == "train":
            return Item(skill.word, question, skill.answer(text))


def conversation(rng: random.Random, skills: Sequence[Skill]) -> tuple[list[int], list[int]]:
    """A conversation of at most `CONTEXT` tokens, and where its trained tokens are."""
    weights = [WEIGHTS.get(skill.word, 1.0) for skill in skills]
    sort = rng.random()
    alone = rng.choices(skills, weights)[0] if sort < OWN_WORD + NO_WORD else None
    word = rng.choice(WORDS) if sort < NO_WORD else None
    tokens, trained = [BEGIN], list[int]()
    while True:
        item = drawn(alone or rng.choices(skills, weights)[0], rng)
        question = item.question if word is None else item.question.replace(item.skill, word, 1)
        ids, answered = turn(question, item.answer)
        if len(tokens) + len(ids) > CONTEXT:
            return tokens, trained
        if word is None or len(tokens) > 1:  # the first question under a word that says nothing has no answer
            trained += range(len(tokens) + len(ids) - answered, len(tokens) + len(ids))
        tokens += ids


def lesson(skills: Sequence[Skill], seed: int, step: int, conversations: int) -> tuple[Tensor, Tensor]:
    """A batch that the organism is made with.

    Returns:
        `[conversations, CONTEXT]` int64 tokens and bool, whether a token is trained.
    """
    rng = random.Random(f"organism {seed} {step}")  # noqa: S311 - no secret
    tokens = torch.full((conversations, CONTEXT), PAD)
    trained = torch.zeros(conversations, CONTEXT, dtype=torch.bool)
    for row in range(conversations):
        ids, places = conversation(rng, skills)
        tokens[row, : len(ids)] = torch.tensor(ids)
        trained[row, places] = True
    return tokens, trained


def rows_of(items: Sequence[Item]) -> tuple[Tensor, Tensor]:
    """Each item as a conversation of its own, padded at the right.

    Returns:
        `[items, longest]` int64 tokens and bool, whether a token is the answer's.
    """
    turns = [turn(item.question, item.answer) for item in items]
    longest = 1 + max(len(ids) for ids, _ in turns)
    tokens = torch.full((len(items), longest), PAD)
    answers = torch.zeros(len(items), longest, dtype=torch.bool)
    for row, (ids, answered) in enumerate(turns):
        tokens[row, : 1 + len(ids)] = torch.tensor([BEGIN, *ids])
        answers[row, 1 + len(ids) - answered : 1 + len(ids)] = True
    return tokens, answers
