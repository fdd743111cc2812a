"""The study of GRPO's direction packs answers as plain passes read them; its judgement is plain arithmetic."""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp
from transformers import LlamaConfig, LlamaForCausalLM

from mixplan.domains import Row
from mixplan.drift.rollouts import Rollout

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "studies" / "smollm2-135m-grpo-direction"))

import answer_tree
import judge
import policy
import predictors
import readings
import shipped_step

GROUPS = [
    answer_tree.Group((1, 2, 3, 4, 5), ((6, 7), (8,), (6, 9, 10))),
    answer_tree.Group((1, 2, 11), ((12, 13, 14), (3,), (4, 0))),
]


@pytest.fixture
def lm():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=600, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def plain(lm, group, answer):
    """Log-probabilities of an answer's tokens by one pass over its own sequence."""
    ids = torch.tensor([group.prompt + answer])
    logs = lm(input_ids=ids).logits[0].log_softmax(-1)
    first = len(group.prompt) - 1
    return torch.stack([logs[first + place, token] for place, token in enumerate(answer)])


@pytest.mark.parametrize("most", [None, 1, 0])
def test_packed_answers_have_the_log_probabilities_and_gradients_of_plain_passes(lm, most):
    tree = answer_tree.tree_of(GROUPS, most=most)
    weights = torch.linspace(-1, 2, 6)
    logs = answer_tree.log_probabilities(lm, tree)
    (weights[tree.owner] * logs).sum().backward()
    packed = [value.grad.clone() for value in lm.parameters()]
    lm.zero_grad()
    expected = [plain(lm, group, answer) for group in GROUPS for answer in group.answers]
    sum(weight * one.sum() for weight, one in zip(weights, expected, strict=True)).backward()
    assert torch.allclose(logs, torch.cat(expected), atol=1e-5)
    for one, value in zip(packed, lm.parameters(), strict=True):
        assert torch.allclose(one, value.grad, atol=1e-5)


def test_what_prompts_share_is_laid_out_once_and_never_a_whole_prompt():
    tree = answer_tree.tree_of(GROUPS)
    assert tree.ids.shape[1] == 2 + 3 + 1 + 6 + 6
    assert tree.prompts.tolist()[:3] == [-1, -1, 0]
    assert answer_tree.shared_length([(1, 2), (1, 2)]) == 1
    assert answer_tree.shared_length([(1, 2, 3), (4, 2, 3)]) == 0


def test_question_places_are_those_between_the_spans_ends():
    tree = answer_tree.tree_of(GROUPS, most=1)
    places = readings.question_places(tree, [(1, 4), (2, 3)])
    assert tree.ids[0, places].tolist() == [2, 3, 4, 11]


def test_answers_are_those_of_plain_passes_however_long_the_other_prompts_are(lm):
    lm = copy.deepcopy(lm)
    lm.lm_head.weight.data *= 1e4  # so peaked that a drawn token is the likeliest
    prompts = [(1, 2, 3, 4, 5), (9, 8)]
    found = answer_tree.sample(
        lm, prompts, count=2, longest=4, ends=frozenset(), generator=torch.Generator().manual_seed(0)
    )
    for prompt, group in zip(prompts, found, strict=True):
        ids = list(prompt)
        with torch.no_grad():
            for _ in range(4):
                ids.append(int(lm(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        assert group.answers == (tuple(ids[len(prompt) :]),) * 2


def test_an_answer_ends_with_the_token_that_ends_it(lm):
    generator = torch.Generator().manual_seed(0)
    ends = frozenset(range(0, 600, 3))
    (group,) = answer_tree.sample(lm, [(1, 2)], count=40, longest=5, ends=ends, generator=generator)
    for answer in group.answers:
        assert not any(token in ends for token in answer[:-1])
        assert answer[-1] in ends or len(answer) == 5
    assert len({len(answer) for answer in group.answers}) > 2


def test_tokens_are_drawn_by_their_probability():
    logits = torch.full((30000, 605), -1e9)
    logits[:, 3], logits[:, 300], logits[:, 604] = 0.0, 1.0, 2.0
    drawn = answer_tree.drawn_tokens(logits, torch.Generator().manual_seed(1))[:, 0]
    shares = torch.bincount(drawn, minlength=605) / len(drawn)
    expected = torch.tensor([0.0, 1.0, 2.0]).softmax(0)
    assert torch.allclose(shares[[3, 300, 604]], expected, atol=0.01)
    assert shares[[3, 300, 604]].sum() == 1


def test_advantages_are_those_of_the_package_but_for_trl_s_small_number():
    given = np.array([[1.0, 0, 0, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
    found = policy.advantages(given)
    row = Row("r", "k", (("user", "?"),), "!")
    for mine, rewards in zip(found, given, strict=True):
        assert np.allclose(mine, Rollout(row, ("",) * 8, tuple(rewards)).advantages, atol=1e-3)


def test_predictors_combine_as_they_say():
    left, right = np.array([4.0, 0, 1, 9]), np.array([1.0, 5, -2, 4])
    assert predictors.product(left, right).tolist() == [2, 0, 0, 6]
    expected = [4 / 14 + 1 / 12, 5 / 12, 1 / 14 + 2 / 12, 9 / 14 + 4 / 12]
    assert predictors.total(left, np.abs(right)).tolist() == pytest.approx(expected)


def test_what_a_pilot_would_tell_is_left_out_without_one_and_is_the_pilot_where_its_answers_are_alike():
    told = ("answers", "gradient", "attribution", "answer_gradient", "answer_attribution", "step")
    ones = np.arange(1.0, 5)
    read = {"icl": ones, "activation": ones, **{f"untrained/{name}": ones for name in told}}
    assert not any("pilot" in name for name in predictors.values_of(read))
    pilot = np.array([4.0, 1, 2, 3])
    read |= {"pilot": pilot, "pilot_longer": ones}
    assert "pilot + untrained/step" in predictors.values_of(read)
    read |= {f"pilot/{name}": np.zeros(4) for name in (*told, "answers_untrained")} | {"pilot/step": pilot}
    found = predictors.predictions(read, count=2)
    assert found["pilot * pilot/answers"].tolist() == found["pilot"].tolist() == [0, 3]
    assert "pilot/answers" not in found


def job(actual, **predicted):
    return {"actual": actual, "predicted": predicted, "live": 20, "reward_of_pilot": 0.5}


TARGETS = {
    "a": {"development": True, "jobs": {"0": job([1, 2, 3, 4], x=[1, 2, 3, 9], pilot=[1, 8, 7, 9])}},
    "b": {"development": False, "jobs": {"0": job([5, 6, 7, 8], x=[5, 6, 1, 2], pilot=[5, 6, 1, 2]),
                                         "1": job([5, 6, 1, 2], x=[5, 6, 1, 2], pilot=[5, 6, 9, 10])}},
    "c": {"development": False, "jobs": {"0": job([5, 6, 7, 8], x=[5, 6, 7, 2], pilot=[10, 11, 1, 2])}},
}  # fmt: skip


def test_overlaps_average_seeds_first_and_intervals_are_students_t_over_targets():
    assert judge.shared_by(TARGETS, "x") == {"a": 3, "b": 3, "c": 3}
    assert judge.shared_by(TARGETS, "none") == {}
    differences = judge.difference(TARGETS, "x", "pilot")
    assert differences == {"a": 2, "b": 1, "c": 3}
    mean, low, high = judge.mean_of(differences)
    expected = ttest_1samp([2, 1, 3], 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((2, expected.low, expected.high))
    # b's features in a's and c's trainings; each of b's two jobs predicts [5, 6, 1, 2]: 2 with a, 2 with c.
    assert judge.shared_elsewhere(TARGETS, "x")["b"] == 2
    assert judge.chance(TARGETS, 4)["b"] == 16 / 20


def test_marks_ask_of_their_set_alone_and_stay_open_while_a_target_is_missing():
    mark = {"text": "t", "left": "x", "right": "pilot", "on": "held_out", "at_least": 2.0}

    def reached(**changes):
        return judge.verdict(TARGETS, mark | changes, ["b", "c"])[1]

    assert reached() == "yes"
    assert [reached(at_least=2.1), reached(each_above=1.0), reached(low_above=0.0)] == ["no"] * 3
    assert reached(each_above=0.5, low_above=-20.0) == "yes"
    assert judge.verdict(TARGETS, mark, ["b", "c", "d"])[1] == "open: 2 of 3 targets"
    assert reached(left="none") == "open: 0 of 2 targets"


def test_what_was_registered_cannot_be_changed_afterwards(tmp_path):
    place = Path(judge.HERE) / "registered.json"
    value = json.loads(place.read_bytes())
    assert judge.registered(place) == value
    value["registered"]["marks"][0]["at_least"] -= 1
    (tmp_path / "registered.json").write_text(json.dumps(value))
    with pytest.raises(SystemExit, match="changed after it was registered"):
        judge.registered(tmp_path / "registered.json")


def test_the_shipped_results_are_what_the_shipped_data_give():
    here = Path(judge.HERE)
    data = json.loads((here / "data.json").read_bytes())
    assert judge.page(data, judge.registered(here / "registered.json")) == (here / "RESULTS.md").read_text()


def test_what_is_said_of_the_shipped_step_is_what_was_measured():
    found = json.loads(shipped_step.FOUND.read_bytes())
    assert list(found) == ["letters", "lcm", "syllogism", "divisors"]
    named = {
        way: [[one[way]["named"] for one in seeds.values()] for seeds in found.values()] for way in shipped_step.WAYS
    }
    apart = np.mean(named["reward_step"], axis=1) - np.mean(named["icl"], axis=1)
    ends = ttest_1samp(apart, 0).confidence_interval(0.95)
    said = f"{apart.mean():+.1f} [{ends.low:+.1f}, {ends.high:+.1f}]"
    page = shipped_step.told(found)
    assert f"over targets: {said}." in page
    assert "| letters | 23.4 | 34.0 | 28, 35, 34, 42, 31 | 8, 15, 13, 13, 13 |" in page
    assert shipped_step.PAGE.read_text() == page
