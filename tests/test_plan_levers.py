"""Levers are priced by what is counted: tokens, forward passes, and the lines that switch them on."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from sample_mixtures import build, make_domain
from small_plan import plan, recipe  # noqa: F401 - a fixture

from mixplan.forecast import Job
from mixplan.mixture import TokenCounter, describe
from mixplan.mixture.own_voice import prompt_of
from mixplan.plan.grounds import Grounds
from mixplan.plan.levers import levers_of
from mixplan.recipe import Recipe, load_recipe
from mixplan.saved.levers import NOT_MEASURED, TITLES, Lever
from mixplan.saved.plan import Mixture

DATA = {"data": {"file": "rows.jsonl"}, "format": "question_answer", "columns": {"question": "q", "answer": "a"}}


def words(prompt):
    return sum(len(turn["content"].split()) for turn in prompt)


COUNT = TokenCounter(
    count=lambda prompt, answer: words(prompt) + len(answer.split()) + 2,
    fingerprint="words",
    question=lambda prompt: words(prompt) + 1,
)
JOB = Job(target_rows=20, steps=5, learning_rate=4e-4, adapter="full")


def recipe_of(**sections) -> Recipe:
    values = {"model": {"name": "embedded", "sae": {"embedded": True}}, "target": DATA, "budget": {"rows": 8}}
    return Recipe.model_validate({**values, "domains": {"law": DATA, "history": DATA}, **sections})


def priced(tmp_path, rows=None, *, count=COUNT, grounds=None, job=JOB, **sections) -> dict[str, Lever]:
    asked = recipe_of(**sections)
    made = build(
        tmp_path / "mixture", {"law": 5, "history": 3} if rows is None else rows, count_tokens=count, train=asked.train
    )
    mixture = Mixture.model_validate(
        describe(made).fields() | {"folder": "mixture", "config": "mixture/sft.yaml", "target_rows": 20}
    )
    found = levers_of(
        asked, mixture, make_domain("target", 20), job, grounds or SimpleNamespace(total=None, amount=None), count
    )
    return {one.name: one for one in found}


ADAPTER = {"train": {"lora": {"r": 16, "lora_alpha": 32}}}
TARGET_TOKENS = 20 * (2 + 3 + 3 + 2)
"""Two words of the system turn, three of the question, three of the answer and two beside."""
DOMAIN_TOKENS = 8 * 10


@pytest.mark.parametrize(("train", "forward"), [({}, 3), (ADAPTER, 2)])
def test_rows_cost_their_tokens(tmp_path, train, forward):
    found = priced(tmp_path, **train)
    assert (found["rows"].tokens, found["rows"].time) == (DOMAIN_TOKENS, DOMAIN_TOKENS / TARGET_TOKENS)
    assert (found["rows"].recipe, found["rows"].on) == ("budget.rows=8", True)
    # Three epochs by TRL's default: each reads the domain rows once more, at one pass beside training's.
    near = found["replay_kl"]
    assert near.tokens == 3 * DOMAIN_TOKENS
    assert near.time == pytest.approx(DOMAIN_TOKENS / (forward * TARGET_TOKENS))
    assert ("memory once more" in near.counted) == (forward == 3)


def test_own_voice_is_asked_answered_and_both_answers_are_read(tmp_path):
    row = make_domain("target", 20).pool[3]
    asked = words(prompt_of(row)) + 1
    tokens = 20 * (asked + (10 - 6) + 2 * 10)
    found = priced(tmp_path, **ADAPTER)["own_voice"]
    assert found.tokens == tokens
    assert found.time == pytest.approx(tokens / (2 * 3 * TARGET_TOKENS))
    assert not found.on
    assert priced(tmp_path / "on", mixture={"target_answers": "given"})["own_voice"].on is False


def test_with_fixed_steps_rows_take_the_place_of_others(tmp_path):
    train = {"max_steps": 7, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    found = priced(tmp_path, train={"args": train})
    assert found["rows"].time == 0
    assert "`max_steps` is fixed" in found["rows"].counted
    assert found["replay_kl"].tokens == round(DOMAIN_TOKENS * 7 * 8 / 28)


def test_half_the_rank_keeps_the_factor_on_what_an_adapter_adds(tmp_path):
    assert priced(tmp_path / "a", **ADAPTER)["half_rank"].recipe == "train.lora.r=8 train.lora.lora_alpha=16"
    odd = {"train": {"lora": {"r": 6, "lora_alpha": 8}}}
    assert priced(tmp_path / "b", **odd)["half_rank"].recipe == "train.lora.r=3 train.lora.lora_alpha=4"
    stable = {"train": {"lora": {"r": 6, "use_rslora": True}}}
    assert priced(tmp_path / "c", **stable)["half_rank"].recipe == "train.lora.r=3"
    assert "half_rank" not in priced(tmp_path / "d")
    assert priced(tmp_path / "e")["half_rate"].recipe == "train.args.learning_rate=0.0002"


def test_what_is_on_is_said_and_what_is_not_known_is_not_made_up(tmp_path):
    on = priced(
        tmp_path / "a", train={"replay_kl": {"weight": 0.5}}, evaluate={"during": {"keep": "best", "cost": 0.1}}
    )
    assert {name for name, one in on.items() if one.on} == {"rows", "replay_kl", "checkpoint"}
    assert on["checkpoint"].time == 0.1
    assert on["replay_kl"].recipe == "train.replay_kl.weight=0.5"
    uncounted = priced(tmp_path / "b", count=None)
    assert [
        (one.tokens, one.time) for name, one in uncounted.items() if name in ("rows", "own_voice", "replay_kl")
    ] == [(None, None)] * 3
    none = priced(tmp_path / "c", {"law": 0})
    assert (none["replay_kl"].tokens, none["rows"].on) == (0, False)
    assert (none["replay_kl"].recipe, none["rows"].recipe) == ("train.replay_kl.weight=10", "budget.rows=auto")
    assert "there are no domain rows" in none["replay_kl"].counted
    assert "half_rate" not in priced(tmp_path / "d", job=None)
    assert {one.evidence for one in on.values()} == {NOT_MEASURED}


def test_grpo_has_no_lever_of_sft(tmp_path):
    found = priced(tmp_path, train={"method": "grpo"}, mixture={})
    assert set(found) == {"rows", "half_rate", "checkpoint"}


def test_what_grpo_samples_is_not_counted_as_time(tmp_path):
    longer = priced(tmp_path / "a", train={"method": "grpo"})["rows"]
    assert (longer.tokens, longer.time) == (DOMAIN_TOKENS, None)
    assert "how long the answers are that GRPO samples is not known" in longer.counted
    assert priced(tmp_path / "b", {"law": 0}, train={"method": "grpo"})["rows"].time == 0
    assert priced(tmp_path / "c", train={"method": "grpo", "args": {"max_steps": 5}})["rows"].time == 0


def test_packed_rows_are_priced_by_epochs_and_not_by_steps(tmp_path):
    """How many rows a step reads is known only where each is one row of the mixture."""
    each = {"train": {"args": {"packing": True, "num_train_epochs": 2}}}
    found = priced(tmp_path / "a", job=None, **each)
    assert found["replay_kl"].tokens == 2 * DOMAIN_TOKENS
    assert found["rows"].time == pytest.approx(DOMAIN_TOKENS / TARGET_TOKENS)
    steps = priced(tmp_path / "b", train={"args": {"packing": True, "max_steps": 5}})
    assert (steps["replay_kl"].tokens, steps["own_voice"].time, steps["rows"].time) == (None, None, None)


def test_rows_carry_what_studies_say_of_them(tmp_path):
    measured = Grounds(SimpleNamespace(unit="nats", text="By 12 trainings."))
    assert priced(tmp_path / "a", grounds=measured)["rows"].evidence == "By 12 trainings."
    usual = Grounds(SimpleNamespace(unit=None, text="The usual number."))
    assert not priced(tmp_path / "b", grounds=usual)["rows"].is_measured


def test_a_plan_holds_levers_whose_lines_a_recipe_takes(recipe, tmp_path):
    made, _ = plan(recipe, tmp_path / "run", "train.lora={r: 4}", "budget.rows=6")
    assert [one["name"] for one in made["levers"]] == list(TITLES)
    changed = {one["name"]: load_recipe(recipe, one["recipe"].split()).recipe for one in made["levers"]}
    assert changed["own_voice"].mixture.target_answers == "own_voice"
    assert changed["replay_kl"].train.replay_kl.weight == 10
    assert changed["half_rank"].train.lora["r"] == 2
    assert changed["checkpoint"].evaluate.during.keep == "best"
    assert changed["half_rate"].train.args["learning_rate"] > 0
    assert changed["rows"].budget.rows == 6
    own = made["levers"][1]["tokens"]
    assert own > 3 * made["mixture"]["parts"][0]["tokens"]


def test_a_lever_is_read_back_as_it_was_written(tmp_path):
    for one in priced(tmp_path).values():
        assert Lever.model_validate(one.values()) == one
        assert one.title


def test_a_fixed_number_of_steps_is_held_against_a_job_on_the_target_alone(tmp_path):
    """20 steps of 8 rows read 160 rows: of the target alone 8 times each; beside 8 domain rows 160 / 28 times."""
    train = {"args": {"max_steps": 20, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}}
    found = priced(tmp_path, train=train)
    alone = 160 / 20 * TARGET_TOKENS * 3
    assert found["rows"].time == 0
    assert found["replay_kl"].time == pytest.approx(round(160 / 28 * DOMAIN_TOKENS) / alone)


def test_a_job_that_cannot_have_the_term_is_told_so(tmp_path):
    found = priced(tmp_path, train={"args": {"packing": True}})
    assert "this job cannot have it: `train.args.packing`" in found["replay_kl"].counted
    asked, mixture = recipe_of(), SimpleNamespace(parts=(), rows=0, target_rows=0)
    target = replace(make_domain("target", 20), grader="none")
    found = levers_of(asked, mixture, target, JOB, SimpleNamespace(total=None, amount=None), COUNT)
    (own,) = (one for one in found if one.name == "own_voice")
    assert "grader none accepts no other words" in own.counted
