"""Questions of the study of skills lie in one split each, answers are those of generation, and its rule judges."""

import itertools
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from scipy.stats import t
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "studies" / "smollm2-135m-skills"))

import taught
import taught_arms
import taught_page
import taught_skills
from taught_arms import Job
from taught_skills import SKILLS, TARGETS, Item, draw_items


@pytest.fixture
def tiny(tiny_model, monkeypatch):
    monkeypatch.setattr(taught_arms, "embedded_folder", lambda: tiny_model)
    return taught_arms.untaught()


@pytest.mark.parametrize("skill", [*SKILLS, *TARGETS], ids=lambda skill: skill.name)
def test_a_question_is_in_one_split_alone_and_fewer_are_the_beginning_of_more(skill):
    found = {split: draw_items(skill.name, split, 20, 3) for split in ("evaluation", "probe")}
    found["train"] = draw_items(skill.name, "train", 60, 3, distinct=False)
    texts = {split: {item.question for item in items} for split, items in found.items()}
    assert all(len(texts[split]) == 20 for split in ("evaluation", "probe"))
    assert not any(one & other for one, other in itertools.combinations(texts.values(), 2))
    assert list(draw_items(skill.name, "probe", 9, 3)) == list(found["probe"][:9])
    assert all(item.question.startswith(skill.mark) and item.answer for items in found.values() for item in items)


def test_jobs_against_a_skill_ask_its_questions_and_contradict_its_answers(monkeypatch):
    pairs = {"products_mirrored": "products", "syllogism_denied": "syllogism", "letters_in_words": "letters"}
    for name, skill in pairs.items():
        own, other = draw_items(skill, "evaluation", 12, 5), draw_items(name, "evaluation", 12, 5)
        (target,) = (one for one in TARGETS if one.name == name)
        assert [target.mark + item.question for item in own] == [item.question for item in other]
        assert [target.answer(item.answer) for item in own] == [item.answer for item in other]
    assert taught_skills.against("x", "products", "", lambda text: text[::-1]).answer("120") == "021"
    monkeypatch.setattr(taught_skills, "DRAWN", 2)
    with pytest.raises(ValueError, match=r"products has no 50 distinct questions of the split probe: \d+ were drawn"):
        draw_items("products", "probe", 50, 0)


def greedy(model, chats, item):
    """The answer that greedy generation gives, cut at the turn's end."""
    ids, answered = chats.tokens(item)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        made = model.generate(
            torch.tensor([ids[:-answered]]), do_sample=False, max_new_tokens=answered, eos_token_id=ids[-1],
            pad_token_id=0,
        )  # fmt: skip
    return made[0, len(ids) - answered :].tolist()


def test_right_answers_are_those_that_greedy_generation_gives(tiny):
    model, chats = tiny
    items = [Item("a", f"What is {number}?", "no" if number % 2 else "yes, it is") for number in range(4)]
    items += [Item("a", "Say it in many more words than all the others, please.", "or not")]
    learner = model.requires_grad_(True)
    losses = list(taught_arms.train_steps(learner, learner, chats, [items[:3]] * 60, 1e-2))
    assert losses[-1] < 0.1 * losses[0]
    found = taught_arms.right_answers(learner.eval(), chats, items).tolist()
    expected = [greedy(learner, chats, item) == chats.tokens(item)[0][-chats.tokens(item)[1] :] for item in items]
    assert found == expected
    assert True in found
    assert False in found


def test_a_step_in_several_passes_has_the_loss_and_gradient_of_one(tiny, monkeypatch):
    model, chats = tiny
    items = list(draw_items("sums", "train", 3, 1, distinct=False)) + list(draw_items("syllogism", "train", 2, 1))
    tokens, answers = chats.rows(items)
    model.requires_grad_(True)
    logits = model(input_ids=tokens).logits[:, :-1][answers[:, 1:]]
    plain = nn.functional.cross_entropy(logits, tokens[:, 1:][answers[:, 1:]])
    (expected,) = torch.autograd.grad(plain, [model.model.layers[0].mlp.up_proj.weight])
    monkeypatch.setattr(taught_arms, "PASS_ROWS", 2)
    assert taught_arms.passed(model, chats, items) == pytest.approx(float(plain.detach()), rel=1e-2)
    found = model.model.layers[0].mlp.up_proj.weight.grad
    assert torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.99
    assert float(found.norm()) == pytest.approx(float(expected.norm()), rel=0.05)


def test_arms_share_their_target_rows_and_their_order():
    job = Job("weekdays", 1e-3, 4, 2, way="full")
    alone, mixed = taught_arms.batches(job, None), taught_arms.batches(job, {"sums": 5, "gcd": 3})
    assert [step[:8] for step in mixed] == alone
    assert sorted(item.skill for step in mixed for item in step[8:]) == ["gcd"] * 3 + ["sums"] * 5
    assert [len(step) for step in mixed] == [10] * 4
    with pytest.raises(ValueError, match="7 rows, but the budget is 8"):
        taught_arms.batches(job, {"sums": 7})


@pytest.mark.parametrize("way", ["full", "lora"])
def test_an_arm_trains_a_copy(tiny, way):
    model, chats = tiny
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = taught_arms.train_arm(model, chats, Job("weekdays", 1e-2, 2, 1, way=way), {"sums": 1, "gcd": 1})
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not torch.equal(after.model.layers[0].mlp.up_proj.weight, before["model.layers.0.mlp.up_proj.weight"])
    assert sorted(after.state_dict()) == sorted(before)


def test_a_skill_counts_where_it_is_good_and_no_guess():
    assert [taught.is_kept(*pair) for pair in ((0.5, 0.3), (0.49, 0.1), (0.6, 0.5), (0.65, 0.5))] == [
        True, False, False, True,
    ]  # fmt: skip


SKILL_COUNTS = {"sums": 160, "gcd": 120}


def made(job, arm, sums, gcd, **changes):
    amounts = {} if arm == "none" else {"sums": job.budget, "gcd": 0}
    probe = {"sums": 165, "gcd": 90} if arm == "none" else {}
    line = taught.Line(job, arm, amounts, 150, {"sums": sums, "gcd": gcd}, probe, 10.0)
    return asdict(line) | changes


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results file of one whole cell: what `none` loses, and by how much the oracle is above the even spread."""
    monkeypatch.setattr(taught, "RESULTS", tmp_path / "results.jsonl")
    monkeypatch.setattr(taught, "REPORT", tmp_path / "RESULTS.md")
    names = [skill.name for skill in SKILLS]
    first = {
        "sha256": {"taught.py": "abc"}, "versions": {name: taught.version(name) for name in taught.LIBRARIES},
        "teaching": taught_arms.TEACHING,
        "frequent": dict.fromkeys(names, 0.25), "untaught": dict.fromkeys(names, 10),
        "taught": dict.fromkeys([*names, *(one.name for one in TARGETS)], 100) | SKILL_COUNTS,
        "probe": dict.fromkeys(names, 100) | SKILL_COUNTS, "kept": list(SKILL_COUNTS),
    }  # fmt: skip
    jobs = [job for job in taught.jobs() if job.way == "full"]
    lines = [first]
    for place, job in enumerate(jobs):
        lines += [made(job, "none", 100, 115 - place), made(job, "uniform", 130, 110), made(job, "oracle", 150, 118)]
    taught.RESULTS.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cut')
    return jobs


def test_a_cell_is_judged_by_students_intervals_over_targets(results):
    first, lines = taught.read_results()
    assert len(lines) == 3 * len(TARGETS) == 24
    (found,) = taught.verdicts(first, lines)
    # On `probe` gcd lost 30 of 200 and sums none; on `evaluation` sums lost more than gcd, by noise.
    losses = [(-5 - place) / 200 for place in range(8)]
    mean, spread = sum(losses) / 8, torch.tensor(losses, dtype=torch.float64).std().item() / 8**0.5
    assert found.harm.mean == pytest.approx(mean)
    assert found.harm.high == pytest.approx(mean + t.ppf(1 - 0.025 / len(taught.GRID), 7) * spread)
    # The oracle's worst skill lost 10 of 200 answers, the even spread's 30.
    assert (found.gain.mean, found.gain.low) == (pytest.approx(0.1), pytest.approx(0.1))
    assert found.learnt == {arm: pytest.approx(0.25) for arm in taught.ARMS}
    assert found.regime
    (less,) = taught.verdicts(first, lines[:-1])
    assert (less.targets, less.regime) == (7, False)


def test_the_page_tells_skills_cells_and_jobs(results):
    text = taught_page.report(*taught.read_results())
    assert "24 trainings of 48 registered, 8 jobs begun, 240 processor seconds." in text
    assert "**Regimes found: 1 of 2 cells (all weights, 0.0002, 40 steps, 2 extra a step).**" in text
    assert "| sums | 25.0 | 5.0 | 80.0 | 80.0 | yes |" in text
    row = (
        "| `decimals` | all weights, 0.0002, 40 steps, 2 extra a step | -30.0 sums | -15.0 sums | -5.0 sums | sums 80 |"
    )
    assert row in text


def test_a_search_goes_on_where_it_stopped_and_refuses_other_files(tiny, results, tmp_path, monkeypatch):
    folder = tmp_path / "adapter"
    monkeypatch.setattr(taught_arms, "TEACHING", taught_arms.TEACHING | {"rows": 2, "r": 2})
    told = []
    taught_arms.teach(folder, told.append)
    taught_arms.teach(folder, lambda _: pytest.fail("taught again"))
    with pytest.raises(SystemExit, match="is of other files or another adapter"):
        taught.search(folder)
    first, lines = taught.read_results()
    first = {**first, "sha256": taught.hashes(folder)}
    texts = [json.dumps(one) for one in (first, *(asdict(line) for line in lines))]
    taught.RESULTS.write_text("\n".join(texts) + "\n")
    one = Job("weekdays", 1e-2, 1, 2, way="lora")
    monkeypatch.setattr(taught, "jobs", lambda: iter([*results, one]))
    monkeypatch.setattr(taught, "ITEMS", 3)
    taught.search(folder)
    header, after = taught.read_results()
    assert header == first
    assert [(line.job, line.arm) for line in after[24:]] == [(one, arm) for arm in taught.ARMS]
    assert set(after[24].probe) == {"sums", "gcd"}
    assert after[25].amounts == {"sums": 1, "gcd": 1}
    # None of three answers is right after it, so that all of both was lost, 160 and 120 of the probe's.
    assert after[26].amounts == {"sums": 1, "gcd": 1}
    # The end of the bound, and other versions.
    with monkeypatch.context() as patch:
        patch.setattr(taught, "BOUND", 1)
        patch.setattr(taught, "jobs", lambda: iter([Job("weekdays", 1e-2, 1, 3, way="lora")]))
        taught.search(folder)
        patch.setattr(taught, "LIBRARIES", ("torch",))
        with pytest.raises(SystemExit, match="is of other versions"):
            taught.search(folder)
    size = taught.RESULTS.stat().st_size
    taught.search(folder)
    assert taught.RESULTS.stat().st_size == size
