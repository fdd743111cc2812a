"""Greedy answers are transformers' own and sampled ones keep their probabilities, batched and one at a time."""

import numpy as np
import torch
from evaluated import loaded

from mixplan.model import Sampling, generate, render
from mixplan.model.answers import batches, end_tokens, sampled_ends

TEXTS = ("the quick brown", "a", "lazy dog jumps over it and over it and over", "What is the sum?")


def own(model, prompt, tokens):
    """Transformers' greedy answer to one prompt: its token ids."""
    ids = torch.tensor([model.tokenizer(prompt, add_special_tokens=False)["input_ids"]])
    with torch.inference_mode():
        output = model.lm.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens,
                                   do_sample=False, pad_token_id=0)  # fmt: skip
    return tuple(output[0, ids.shape[1] :].tolist())


def test_answers_are_transformers_greedy_ones(any_model):
    model = loaded(any_model)
    prompts = [render(model, [("user", text)], awaiting=True) for text in TEXTS]
    prompts.append(render(model, [("user", "over it and " * 40)], awaiting=True))  # longer than a sliding window of 64
    answers = generate(model, prompts, max_new_tokens=12)
    assert [answer.ids for answer in answers] == [own(model, prompt, 12) for prompt in prompts]
    assert all(answer.finished == (answer.ids[-1] in end_tokens(model)) for answer in answers)


def ending(model, token):
    """Make a token end answers, as well as the tokenizer's own."""
    model.lm.generation_config.eos_token_id = [token, 2]
    return model


def test_a_row_that_ends_leaves_the_batch_and_changes_no_other(tiny_model):
    model = loaded(tiny_model)
    prompts = [render(model, [("user", text)], awaiting=True) for text in TEXTS]
    whole = [answer.ids for answer in generate(model, prompts, max_new_tokens=20)]
    stop = whole[0][3]
    ending(model, stop)
    sizes = []
    handle = model.lm.register_forward_pre_hook(
        lambda _module, _args, given: sizes.append(given["input_ids"].shape[0]), with_kwargs=True
    )
    answers = generate(model, prompts, max_new_tokens=20)
    handle.remove()
    for answer, ids in zip(answers, whole, strict=True):
        ended = next((place for place, token in enumerate(ids) if token in (stop, 2)), None)
        assert answer.finished == (ended is not None)
        assert answer.ids == (ids if ended is None else ids[: ended + 1])
    assert answers[0].finished
    assert max(sizes) == len(TEXTS)
    assert sizes[-1] < len(TEXTS)
    assert [generate(model, [prompt], max_new_tokens=20)[0].ids for prompt in prompts] == [a.ids for a in answers]


def test_the_token_that_ends_a_turn_of_the_template_ends_an_answer(tiny_model):
    """As of a base model whose end of text is another token than the one that its chat template ends a turn with."""
    model = loaded(tiny_model)
    prompt = render(model, [("user", TEXTS[0])], awaiting=True)
    (whole,) = generate(model, [prompt], max_new_tokens=12)
    place, end = whole.ids.index(whole.ids[3]), model.tokenizer.convert_tokens_to_ids("<|system|>")
    weights = model.lm.get_output_embeddings().weight
    weights[end] = 1.001 * weights[whole.ids[place]]  # so the model says it there
    (before,) = generate(model, [prompt], max_new_tokens=12)
    assert before.ids[: place + 1] == (*whole.ids[:place], end)
    assert len(before.ids) > place + 1
    model.tokenizer.chat_template = model.tokenizer.chat_template.replace(
        "{{ eos_token }}", "{{ '<|system|>' if message['role'] == 'assistant' else eos_token }}"
    )
    assert render(model, [("user", TEXTS[0])], awaiting=True) == prompt
    (answer,) = generate(model, [prompt], max_new_tokens=12)
    assert (answer.ids, answer.finished) == (before.ids[: place + 1], True)
    # TRL's GRPO samples on.
    assert generate(model, [prompt], max_new_tokens=12, ends=sampled_ends(model)) == [before]


def test_a_cut_answer_says_so_and_progress_is_told(tiny_model):
    model = loaded(tiny_model)
    told = []
    prompts = [render(model, [("user", text)], awaiting=True) for text in TEXTS]
    answers = generate(model, prompts, max_new_tokens=2, on_answers=told.append)
    assert [len(answer.ids) for answer in answers if not answer.finished] == [2] * sum(not a.finished for a in answers)
    assert sum(told) == len(TEXTS)


def test_no_prompt_has_no_answer(tiny_model):
    assert generate(loaded(tiny_model), [], max_new_tokens=2) == []


def test_batches_hold_the_longest_prompts_first_within_the_limit():
    made = list(batches([5, 9, 1, 7, 7], 3, 24))
    assert made == [[1, 3], [4, 0], [2]]
    assert list(batches([100], 3, 24)) == [[0]]
    assert list(batches([], 3, 24)) == []


def test_sampled_tokens_have_their_probabilities(tiny_model):
    model = loaded(tiny_model)
    prompt = render(model, [("user", TEXTS[0])], awaiting=True)
    ids = torch.tensor([model.tokenizer(prompt, add_special_tokens=False)["input_ids"]])
    with torch.inference_mode():
        logits = model.lm(input_ids=ids).logits[0, -1].double().numpy()
    for temperature in (0.5, 2.0):
        share = np.exp(logits / temperature - (logits / temperature).max())
        share /= share.sum()
        sampling = Sampling(temperature, range(4000))
        drawn = [answer.ids[0] for answer in generate(model, [prompt] * 4000, max_new_tokens=1, sampling=sampling)]
        counts = np.bincount(drawn, minlength=len(share))
        often = share * 4000 >= 5
        observed, expected = (np.append(part[often], part[~often].sum()) for part in (counts, share * 4000))
        squares = ((observed - expected) ** 2 / expected).sum()
        # Chi-square with as many degrees of freedom as likely tokens: mean n, standard deviation sqrt(2 n).
        assert squares < often.sum() + 5 * np.sqrt(2 * often.sum())


def test_a_sampled_answer_depends_on_its_seed_alone(any_model):
    model = loaded(any_model)
    prompts = [render(model, [("user", text)], awaiting=True) for text in TEXTS] * 2
    seeds = [11, 12, 13, 14, 15, 16, 17, 18]
    together = generate(model, prompts, max_new_tokens=6, sampling=Sampling(1.0, seeds))
    alone = [
        generate(model, [prompt], max_new_tokens=6, sampling=Sampling(1.0, [seed]))[0]
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    assert together == alone
    assert [one.ids for one in together[:4]] != [one.ids for one in together[4:]]


def test_without_heat_the_likeliest_token_is_drawn(tiny_model):
    model = loaded(tiny_model)
    prompts = [render(model, [("user", text)], awaiting=True) for text in TEXTS]
    cold = generate(model, prompts, max_new_tokens=8, sampling=Sampling(1e-6, [1, 2, 3, 4]))
    assert cold == generate(model, prompts, max_new_tokens=8)
