"""Sampled answers, their advantages and the draws from them follow GRPO's formulas and plain counting."""

import copy
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from evaluated import asked_rows, domain_of, loaded

from mixplan.drift import rollouts as module
from mixplan.drift.rollouts import (
    Batch,
    Rollout,
    Sampler,
    against_nothing,
    draw_pairs,
    drawn_answers,
    figures,
    taught,
)
from mixplan.errors import DriftError, RecipeError
from mixplan.grading.process import GradingProcess
from mixplan.model import Sampling, generate, render
from mixplan.recipe import RolloutsSpec, TrainSpec

ROWS = asked_rows(12)
SPEC = RolloutsSpec(samples=4, answer_tokens=4)
VOWELS = TrainSpec(rewards={"format": 2.0, "exact": 0.5}, answer_format="[aeiou]")


def rollout(*rewards, row=ROWS[0]):
    return Rollout(row, tuple(f"answer {number}" for number in range(len(rewards))), rewards)


@pytest.fixture
def process():
    found = GradingProcess(seconds=5.0)
    yield found
    found.close()


def sampler(model, folder, *, spec=SPEC, train=VOWELS, rows=ROWS, seed=0):
    return Sampler(model, replace(domain_of("target", ()), demonstration=rows), spec, train, seed, folder)


def test_advantages_are_grpos():
    rewards = (1.0, 0.0, 0.0, 0.25)
    found = rollout(*rewards).advantages
    group = torch.tensor(rewards, dtype=torch.float64)
    np.testing.assert_allclose(found, (group - group.mean()) / group.std())  # torch divides by n - 1, as TRL has it
    assert not rollout(0.1, 0.1, 0.1).advantages.any()


def test_a_group_that_is_rewarded_alike_teaches_nothing():
    groups = [rollout(0.0, 0.0), rollout(0.3, 0.1), rollout(1.0, 1.0), rollout(0.0, 1.0)]
    assert taught(groups) == [groups[1], groups[3]]


def test_questions_and_answers_are_drawn_as_the_gradient_weighs_them():
    groups = [
        rollout(*rewards, row=replace(ROWS[number], id=f"{number}"))
        for number, rewards in enumerate([(0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0), (0.5,) * 4, (0.0, 0.5, 1.0, 1.0)])
    ]
    pairs = draw_pairs(groups, shots=1, draws=6000, seed=3, spec=SPEC)
    strength = {}
    for number in (0, 1, 3):
        rewards = np.array(groups[number].rewards)
        strength[str(number)] = np.abs((rewards - rewards.mean()) / rewards.std(ddof=1)).sum()
    drawn = [rejected.id for (rejected,), _ in pairs]
    assert [accepted.id for _, (accepted,) in pairs] == drawn
    for name, value in strength.items():
        share = value / sum(strength.values())
        assert drawn.count(name) / 6000 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 6000))
    last = [(rejected.answer, accepted.answer) for (rejected,), (accepted,) in pairs if rejected.id == "3"]
    assert {answer for answer, _ in last} == {"answer 0", "answer 1"}
    assert {answer for _, answer in last} == {"answer 2", "answer 3"}
    # Mean 0.625: the rejected ones lie 0.625 and 0.125 below it.
    worst = sum(answer == "answer 0" for answer, _ in last) / len(last)
    assert worst == pytest.approx(0.625 / 0.75, abs=4 * np.sqrt(0.14 / len(last)))


def test_a_draw_has_different_questions_and_is_seeded():
    groups = [rollout(0.0, 1.0, row=replace(row, id=row.id, rationale="because")) for row in ROWS[:5]]
    pairs = draw_pairs(groups, shots=5, draws=3, seed=1, spec=SPEC)
    for rejected, accepted in pairs:
        assert sorted(row.id for row in rejected) == sorted(row.id for row in ROWS[:5])
        assert [row.id for row in accepted] == [row.id for row in rejected]
        assert {row.answer for row in rejected} == {"answer 0"}
        assert {row.answer for row in accepted} == {"answer 1"}
        assert {row.rationale for row in (*rejected, *accepted)} == {None}
    assert pairs == draw_pairs(groups, shots=5, draws=3, seed=1, spec=SPEC)
    assert pairs != draw_pairs(groups, shots=5, draws=3, seed=2, spec=SPEC)
    assert against_nothing(pairs) == [((), accepted) for _, accepted in pairs]


def test_the_draw_of_one_group_is_a_rejected_then_an_accepted_answer():
    rejected, accepted = drawn_answers(rollout(0.2, 0.9), np.random.default_rng(0))
    assert (rejected.answer, accepted.answer) == ("answer 0", "answer 1")


def test_every_right_answer_is_rewarded_as_the_job_rewards_it(tmp_path, process):
    rows = (replace(ROWS[0], answer="Rome", accepted=("Roma",)), replace(ROWS[1], answer="Rome"))
    spec = RolloutsSpec(samples=2)
    for taken, expected in ((rows, [[1.0, 1.0], [0.0, 1.0]]), (rows[1:], [[0.0, 1.0]])):
        one = sampler(None, tmp_path, spec=spec, train=TrainSpec(rewards={"exact": 1.0}), rows=taken)
        found, failures, _ = one.rewarded(taken, [["Roma", "Rome"]] * len(taken), process)
        assert (found, failures) == (expected, 0)


def test_too_few_questions_with_both_kinds():
    groups = [rollout(0.0, 0.0), rollout(0.0, 0.0), rollout(1.0, 1.0), rollout(0.0, 1.0)]
    with pytest.raises(DriftError) as caught:
        draw_pairs(groups, shots=2, draws=1, seed=0, spec=SPEC)
    remedy = (
        "Raise `drift.rollouts.samples` (now 4) or `drift.rollouts.temperature` (now 1), sample more questions with "
        "`drift.rollouts.prompts` and `target.split.demonstration`, or set `drift.from: icl`."
    )
    assert str(caught.value) == (
        "drift.from is rollouts and drift.demonstrations is 2, but of 4 target questions 1 have answers that are "
        f"rewarded differently (all answers rewarded alike: 2 at 0, 1 at 1). {remedy}"
    )
    with pytest.raises(DriftError) as caught:
        draw_pairs([], shots=1, draws=1, seed=0, spec=SPEC)
    assert str(caught.value) == (
        "drift.from is rollouts and drift.demonstrations is 1, but of 0 target questions 0 have answers that are "
        f"rewarded differently. {remedy}"
    )


def test_answers_are_sampled_and_rewarded_as_the_recipe_says(tiny_model, tmp_path, process):
    model = loaded(tiny_model)
    one = sampler(model, tmp_path, rows=ROWS[:3])
    (rows,) = one.batches()
    batch = one.made(rows, process)
    assert [rollout.row for rollout in batch.rollouts] == list(ROWS[:3])
    for rollout_ in batch.rollouts:
        assert len(rollout_.answers) == 4
        assert len(set(rollout_.answers)) > 1
        for answer, reward in zip(rollout_.answers, rollout_.rewards, strict=True):
            assert reward == 2.0 * any(vowel in answer for vowel in "aeiou") + 0.5 * (answer == rollout_.row.answer)
    assert (batch.failures, batch.example) == (0, "")
    prompt = render(model, ROWS[1].prompt, awaiting=True)
    seed = int(module.content_hash(0, prompt, 2)[:16], 16)
    (alone,) = generate(model, [prompt], max_new_tokens=4, sampling=Sampling(1.0, [seed]))
    assert batch.rollouts[1].answers[2] == alone.text
    assert batch.rollouts[1].ids[2] == alone.ids
    assert [len(rollout_.ids) for rollout_ in batch.rollouts] == [4] * 3
    decode = model.tokenizer.decode
    for rollout_ in batch.rollouts:
        assert [decode(ids, skip_special_tokens=True).strip() for ids in rollout_.ids] == list(rollout_.answers)


def test_a_further_answer_that_counts_as_right_is_rewarded(tiny_model, tmp_path, process):
    model = loaded(tiny_model)
    train = TrainSpec(rewards={"exact": 1.0})
    first = sampler(model, tmp_path, train=train, rows=ROWS[:1]).made(ROWS[:1], process).rollouts[0]
    said = next(answer for answer in first.answers if answer and answer != ROWS[0].answer)
    row = replace(ROWS[0], accepted=(said,))
    again = sampler(model, tmp_path, train=train, rows=(row,)).made((row,), process).rollouts[0]
    assert again.answers == first.answers
    assert again.rewards == tuple(
        float(answer == said) or old for answer, old in zip(first.answers, first.rewards, strict=True)
    )
    assert 1.0 in again.rewards


def test_batches_are_kept_one_by_one(tiny_model, tmp_path, process, monkeypatch):
    model = loaded(tiny_model)
    one = sampler(model, tmp_path)
    first, second = one.batches()
    assert (first, second) == (ROWS[: module.BATCH_PROMPTS], ROWS[module.BATCH_PROMPTS :])
    made = one.made(first, process)
    monkeypatch.setattr(module, "generate", None)
    assert one.kept(first) == made
    assert one.kept(second) is None
    (kept,) = tmp_path.glob("*/*.json")
    kept.write_bytes(kept.read_bytes()[:-1])
    assert one.kept(first) is None


def test_what_answers_depend_on_is_in_their_key(tiny_model, tmp_path):
    model = loaded(tiny_model)
    rows = ROWS[:2]
    place = sampler(model, tmp_path).place(rows)
    assert place == sampler(model, tmp_path, spec=SPEC.model_copy(update={"prompts": 3})).place(rows)
    others = [sampler(model, tmp_path, spec=SPEC.model_copy(update={name: value}))
              for name, value in (("samples", 5), ("temperature", 0.9), ("answer_tokens", 5))]  # fmt: skip
    others += [sampler(model, tmp_path, train=VOWELS.model_copy(update=change)) for change in
               ({"rewards": {"exact": 1.0}}, {"answer_format": "x"}, {"grader_seconds": 1.0})]  # fmt: skip
    others += [sampler(model, tmp_path, seed=1), sampler(replace(model, weights="other"), tmp_path)]
    others += [replace(sampler(model, tmp_path), target=domain_of("target", (), grader="number"))]
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.add_tokens(["dog"])
    others += [sampler(replace(model, tokenizer=tokenizer), tmp_path)]
    places = [place, *(one.place(rows) for one in others), sampler(model, tmp_path).place(ROWS[1:3])]
    places += [sampler(model, tmp_path).place((rows[0], replace(rows[1], answer="other")))]
    assert len(set(places)) == len(places)


def test_at_most_so_many_rows_and_none_too_long(tiny_model, tmp_path):
    model = loaded(tiny_model)
    long = replace(ROWS[0], prompt=(("user", "lazy dog " * 400),))
    assert sampler(model, tmp_path, rows=(long, *ROWS)).batches()[0][0] == ROWS[0]
    few = sampler(model, tmp_path, spec=SPEC.model_copy(update={"prompts": 3})).batches()
    assert few == [ROWS[:3]]
    assert sampler(model, tmp_path, rows=(long,)).batches() == []


def test_rewards_that_fail_count_as_0_and_are_counted(tiny_model, tmp_path, process, monkeypatch):
    (tmp_path / "fails.py").write_text("def score(completions, **_):\n    raise ValueError('no')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = loaded(tiny_model)
    train = TrainSpec(rewards={"fails:score": 1.0})
    one = sampler(model, tmp_path / "cache", train=train, rows=ROWS[:1])
    batch = one.made(ROWS[:1], process)
    assert batch.rollouts[0].rewards == (0.0,) * 4
    assert batch.failures == 4
    assert batch.example == f"ValueError: no; the answer was {batch.rollouts[0].answers[0]!r}"
    assert one.kept(ROWS[:1]) == batch
    missing = sampler(model, tmp_path / "cache", train=TrainSpec(rewards={"fails:scores": 1.0}), rows=ROWS[:1])
    with pytest.raises(RecipeError) as caught:
        missing.made(ROWS[:1], process)
    assert str(caught.value) == (
        "train.rewards.fails:scores: it cannot be loaded: LookupError: module 'fails' has no function 'scores'. "
        "Did you mean 'score'?\nInstall its package, or start mixplan in the folder that holds its file."
    )


def test_figures_are_counts():
    first = Batch((rollout(0.0, 1.0, 1.0, 1.0), rollout(0.0, 0.0, 0.0, 0.0)), 1, "why")
    batches = [first, Batch((rollout(0.0, 0.0, 0.0, 2.0),), 0, "")]
    assert asdict(figures(batches, SPEC)) == {
        "prompts": 3, "kept": 2, "samples": 4, "accepted": 4 / 12, "mean_reward": 5 / 12, "failures": 1,
        "temperature": 1.0, "answer_tokens": 4,
    }  # fmt: skip
    assert figures([], SPEC).accepted == 0.0
