"""Rewards: each name grades as it says, in TRL's own signature; failures count 0 and are tallied."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import reasoning_gym

from mixplan.errors import RecipeError, RunError
from mixplan.grading.process import GradingProcess
from mixplan.grading.rewards import reward_functions, tally_warnings, total_rewards
from mixplan.recipe import TrainSpec
from mixplan.train.rewards import default_process, graded

SCORERS = """
import os, time

def lengths(prompts, completions, completion_ids, domain, **columns):
    assert len(prompts) == len(completions) == len(completion_ids) == len(domain)
    assert not {"trainer_state", "log_extra", "log_metric", "few"} & set(columns), columns
    return [float(len(turns[-1]["content"])) for turns in completions]

def rank(completions, **columns):
    said = [turns[-1]["content"] for turns in completions]
    return [sorted(said).index(one) for one in said]

def fussy(completions, **columns):
    for turns in completions:
        text = turns[-1]["content"]
        if text == "hang": time.sleep(60)
        if text == "die": os._exit(1)
        if text == "raise": raise RuntimeError("no such word")
    return [None if turns[-1]["content"] == "?" else 1.0 for turns in completions]
"""
ENTRY = reasoning_gym.create_dataset("products", size=1, seed=3)[0]
ROWS = [
    ("exact", "Paris", None),
    ("choice", "B. text", None),
    ("number", "7", None),
    ("math", r"\frac{1}{2}", None),
    ("generator", "-", json.dumps(ENTRY)),
]


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with the module `scorers`, as a user has one."""
    made = tmp_path_factory.mktemp("scorers")
    (made / "scorers.py").write_text(SCORERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        yield made


def turns(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in texts]


def batch(*texts: str) -> dict[str, Any]:
    """A batch as GRPOTrainer passes it, rows in the order of `ROWS` from the first on."""
    rows = [ROWS[i % len(ROWS)] for i in range(len(texts))]
    return {
        "prompts": [[{"role": "user", "content": "?"}] for _ in texts],
        "completions": turns(*texts),
        "completion_ids": [[1, 2] for _ in texts],
        "grader": [row[0] for row in rows],
        "reference": [row[1] for row in rows],
        "entry": [row[2] for row in rows],
        "domain": ["law" for _ in texts],
        "few": [1, 2, 3, 4, 5, 6, 7, 8, 9],
        "trainer_state": object(),
        "log_extra": print,
        "log_metric": print,
    }


def make(tally: Path, **train: Any) -> list[Any]:
    functions, _ = reward_functions(TrainSpec(method="grpo", **train), tally=tally)
    return functions


def test_rewards_keep_the_recipes_order_names_and_factors(tmp_path: Path) -> None:
    rewards = {"format": 0.25, "graded": 1.0, "scorers:lengths": -0.01}
    functions, factors = reward_functions(TrainSpec(method="grpo", rewards=rewards), tally=tmp_path / "tally.json")
    assert [function.__name__ for function in functions] == list(rewards)
    assert factors == [0.25, 1.0, -0.01]


def test_each_row_is_graded_by_its_own_grader(tmp_path: Path) -> None:
    [function] = make(tmp_path / "tally.json")
    right = ["Paris", "(B)", "so 7", r"\boxed{0.5}", ENTRY["answer"]]
    assert function(**batch(*right)) == [1, 1, 1, 1, 1]
    longer = f"{ENTRY['answer']}7"
    part = reasoning_gym.get_score_answer_fn("products")(longer, ENTRY)
    assert 0 < part < 1
    assert function(**batch("Rome", "(C)", "8", r"\boxed{2}", f"It is {longer}")) == [0, 0, 0, 0, part]


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("exact", [1, 0, 1, 0, 0]),
        ("choice", [1, 1, 1, 0, 0]),
        ("number", [0, 0, 1, 1, 0]),
        ("math", [1, 0, 1, 1, 0]),
        ("generator", [1, 0, 1, 0, 1]),
    ],
)
def test_a_named_grader_grades_every_row(tmp_path: Path, name: str, scores: list[float]) -> None:
    [function] = make(tmp_path / "tally.json", rewards={name: 1.0})
    row = batch("Paris", "B", "7", "1/2", ENTRY["answer"])
    row["reference"] = ["Paris", "B. text", "7", "0.5", "-1"]
    assert function(**row) == scores


def test_format_finds_the_recipes_expression(tmp_path: Path) -> None:
    texts = ["<answer>7</answer>", "7", "<answer>\n7\n</answer>", "<answer></answer>"]
    [function] = make(tmp_path / "tally.json", rewards={"format": 1.0})
    assert function(**batch(*texts)) == [1, 0, 1, 0]
    [function] = make(tmp_path / "tally.json", rewards={"format": 1.0}, answer_format=r"^\d$")
    assert function(**batch(*texts)) == [0, 1, 0, 0]


def test_a_users_function_has_the_whole_batch_in_trls_signature(tmp_path: Path) -> None:
    lengths, rank = make(tmp_path / "tally.json", rewards={"scorers:lengths": 1.0, "scorers:rank": 1.0})
    assert lengths(**batch("one", "three")) == [3, 5]
    assert rank(**batch("c", "a", "b")) == [2, 0, 1]


def test_a_total_is_what_grpo_weighs(tmp_path: Path) -> None:
    train = TrainSpec(rewards={"exact": 2.0, "format": -0.5, "scorers:fussy": 1.0}, answer_format="a", grader_seconds=5)
    process, tally = GradingProcess(seconds=5), tmp_path / "tally.json"
    try:
        totals = total_rewards(train, process, tally, batch("Paris", "raise", "?", "b"))
    finally:
        process.close()
    # An answer of no opinion ("?") and one that its scorer fails on ("raise") add nothing.
    assert totals == [2.0 - 0.5 + 1, -0.5, 0.0, 1.0]
    assert {name: one["failed"] for name, one in json.loads(tally.read_text()).items()} == {
        "exact": 0, "format": 0, "scorers:fussy": 1,
    }  # fmt: skip


def test_plain_completions_are_graded_too() -> None:
    assert graded(["Paris", "Rome"], ["Paris"] * 2, ["exact"] * 2, [None] * 2) == [1, 0]


def test_failures_cost_one_answer_each_and_are_tallied(tmp_path: Path) -> None:
    tally = tmp_path / "training" / "tally.json"
    [function] = make(tally, rewards={"scorers:fussy": 1.0}, grader_seconds=0.5)
    assert function(**batch("a", "raise", "?", "hang", "die", "b")) == [1, 0, None, 0, 0, 1]
    assert function(**batch("a", "b")) == [1, 1]
    counted = {"graded": 8, "failed": 2, "timed_out": 1, "groups": 2, "equal_groups": 1}
    counted["example"] = "RuntimeError: no such word; the answer was 'raise'"
    assert json.loads(tally.read_text()) == {"scorers:fussy": counted}
    assert tally_warnings(tally) == [
        "reward `scorers:fussy`: 3 of 8 answers counted as 0 because its scorer failed (2) or took too long (1). "
        "The first: RuntimeError: no such word; the answer was 'raise'."
    ]


def test_a_row_that_its_scorer_cannot_read_is_tallied(tmp_path: Path) -> None:
    [function] = make(tmp_path / "tally.json")
    row = batch("Paris", "x" * 500) | {"grader": ["exact", "generator"], "entry": [None, '{"metadata": {}}']}
    assert function(**row) == [1, 0]
    counted = {"graded": 2, "failed": 1, "timed_out": 0, "groups": 1, "equal_groups": 0}
    counted["example"] = f"KeyError: 'source_dataset'; the answer was {'x' * 200!r}"
    assert json.loads((tmp_path / "tally.json").read_text()) == {"graded": counted}


def test_a_tally_grows_by_every_process_and_start(tmp_path: Path) -> None:
    tally = tmp_path / "tally.json"
    assert tally_warnings(tally) == []
    for _ in range(2):
        first, second = make(tally, rewards={"exact": 1.0, "format": 1.0})
        first(**batch("Paris", "Rome"))
        second(**batch("Paris"))
    unfailed = {"failed": 0, "timed_out": 0, "example": ""}
    assert json.loads(tally.read_text()) == {
        "exact": {"graded": 4, "groups": 2, "equal_groups": 0} | unfailed,
        "format": {"graded": 2, "groups": 0, "equal_groups": 0} | unfailed,
    }
    assert tally_warnings(tally) == []


REMEDY = (
    "The model solves none or all of its target questions, or the reward does not fit its answers: read a few of "
    "these, ask easier or harder questions, or raise `train.args.num_generations` or its temperature."
)


def test_a_job_whose_rewards_are_all_equal_says_that_it_could_learn_nothing(tmp_path: Path) -> None:
    tally = tmp_path / "tally.json"
    [function] = make(tally, rewards={"exact": 1.0})
    columns = batch(*["Rome"] * 8) | {"reference": ["Paris"] * 8}
    columns["prompts"] = [[{"role": "user", "content": str(i // 4)}] for i in range(8)]
    assert function(**columns) == [0.0] * 8
    assert tally_warnings(tally) == [
        "GRPO could learn nothing: reward `exact` was equal for all answers in each of 2 groups, so every advantage "
        f"was 0. {REMEDY}"
    ]
    right = columns | {"completions": turns(*["Rome"] * 7, "Paris")}
    function(**right)
    assert tally_warnings(tally) == [
        "GRPO learned from 1 of 4 groups only: in the others reward `exact` was equal for all answers, so their "
        f"advantage was 0. {REMEDY}"
    ]


def test_parts_of_a_group_are_not_taken_for_one(tmp_path: Path) -> None:
    tally = tmp_path / "tally.json"
    train = TrainSpec(method="grpo", rewards={"exact": 1.0})
    (function,), _ = reward_functions(train, tally=tally, group=4)
    # One of two processes: all of the first group, two of the second's four answers.
    columns = batch("Rome", "Rome", "Rome", "Paris", "Rome", "Rome") | {"reference": ["Paris"] * 6}
    columns["prompts"] = [[{"role": "user", "content": str(i // 4)}] for i in range(6)]
    function(**columns)
    assert {key: json.loads(tally.read_bytes())["exact"][key] for key in ("groups", "equal_groups")} == {
        "groups": 1,
        "equal_groups": 0,
    }
    assert tally_warnings(tally, [{"frac_reward_zero_std": 1.0}]) == []  # counted here: the log is not needed
    # Two groups of the same prompt behind one another are two.
    same = batch(*["Rome"] * 7, "Paris") | {"reference": ["Paris"] * 8}
    function(**same)
    assert json.loads(tally.read_bytes())["exact"]["groups"] == 3
    assert json.loads(tally.read_bytes())["exact"]["equal_groups"] == 1


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ([1.0, 1.0], "GRPO could learn nothing: rewards were equal within every group, so every advantage was 0."),
        ([1.0, 0.5, None], "GRPO learned from 25% of its groups only (the mean of the logged steps): in the others "
                           "rewards were equal for all answers, so their advantage was 0."),
        ([0.5, 0.5], None), ([None], None), ([], None),
    ],
)  # fmt: skip
def test_groups_that_processes_share_out_are_known_from_the_log(tmp_path: Path, shares: list, told: str | None) -> None:
    tally, log = tmp_path / "tally.json", [{"loss": 0.0, "frac_reward_zero_std": share} for share in shares]
    train = TrainSpec(method="grpo", rewards={"exact": 1.0})
    (function,), _ = reward_functions(train, tally=tally, group=4)
    assert tally_warnings(tally, log) == ([f"{told} {REMEDY}"] if told else [])
    function(**batch("Rome", "Rome") | {"reference": ["Paris"] * 2})  # half a group
    assert tally_warnings(tally, log) == ([f"{told} {REMEDY}"] if told else [])


def test_several_rewards_are_equal_only_where_all_are(tmp_path: Path) -> None:
    tally = tmp_path / "tally.json"
    exact, pattern = make(tally, rewards={"exact": 1.0, "format": 1.0}, answer_format="R")
    columns = batch("Rome", "Bonn") | {"reference": ["Paris"] * 2}
    exact(**columns)
    pattern(**columns)
    assert tally_warnings(tally) == []  # the format tells the two apart
    for _ in range(2):
        exact(**columns | {"completions": turns("Rome", "Riga")})
        pattern(**columns | {"completions": turns("Rome", "Riga")})
    assert tally_warnings(tally)[0].startswith("GRPO learned from 1 of 3 groups only: in the others every reward")


@pytest.mark.parametrize("name", ["graded", "exact", "choice", "number", "math", "generator", "format"])
def test_no_reward_of_ours_has_no_opinion(tmp_path: Path, name: str) -> None:
    [function] = make(tmp_path / "tally.json", rewards={name: 1.0})
    odd = batch("", "\x00", "no idea", "<think>", "{") | {"reference": ["", None, "7", "B", "-"]}
    scores = function(**odd)
    assert len(scores) == 5
    assert all(isinstance(score, float) for score in scores)


def test_a_tally_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "training").write_text("a file where the folder should be")
    [function] = make(tmp_path / "training" / "tally.json", rewards={"exact": 1.0})
    with pytest.raises(RunError) as caught:
        function(**batch("Paris"))
    place = tmp_path / "training"
    assert str(caught.value).startswith(f"{place}: found a file, expected a folder. Move it away: ")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere.rewards:score", "ModuleNotFoundError: No module named 'nowhere'"),
        ("scorers:lenghts", "LookupError: module 'scorers' has no function 'lenghts'. Did you mean 'lengths'?"),
        ("broken:score", "SyntaxError: '(' was never closed (broken.py, line 1)"),
    ],
)
def test_a_users_function_that_is_not_there_is_known_at_once(tmp_path: Path, folder: Path, name: str, problem: str):
    (folder / "broken.py").write_text("score = (")
    with pytest.raises(RecipeError) as caught:
        make(tmp_path / "tally.json", rewards={name: 1.0})
    assert str(caught.value) == (
        f"train.rewards.{name}: it cannot be loaded: {problem}\n"
        "Install its package, or start mixplan in the folder that holds its file."
    )


def test_trls_own_command_line_finds_the_rows_graders() -> None:
    texts = ["Paris", "(B)", "8", r"\boxed{0.5}", ENTRY["answer"]]
    assert graded(**batch(*texts)) == [1, 1, 0, 1, 1]
    assert default_process().seconds == TrainSpec().grader_seconds


def test_a_scorer_that_fails_counts_0_in_trls_own_command_line_too() -> None:
    assert graded(**batch("Paris") | {"grader": ["generator"], "entry": ["[]"]}) == [0]


def test_no_reward_is_other_than_a_finite_number(tmp_path: Path) -> None:
    [function] = make(tmp_path / "tally.json")
    strange = ["", "\x00", "\ud800", "<answer>"]
    assert all(math.isfinite(score) for score in function(**batch(*strange)))


def test_rewards_look_at_what_follows_the_reasoning(tmp_path: Path) -> None:
    said = ["It is 7.\n</think>\n\nParis", "Paris", "<think>\nParis", "<think>\nRome\n</think>\n\nParis"]
    columns = batch(*said) | {"grader": ["exact"] * 4, "reference": ["Paris"] * 4, "entry": [None] * 4}
    rewards = {"graded": 1.0, "format": 1.0}
    for opened, graded_as in (("", [1.0, 1.0, 0.0, 1.0]), ("<think>\n", [1.0, 0.0, 0.0, 1.0])):
        train = TrainSpec(method="grpo", rewards=rewards, answer_format="Paris")
        functions, _ = reward_functions(train, tally=tmp_path / "tally.json", opened=opened)
        assert [function(**columns) for function in functions] == [graded_as, graded_as]
    # An expression that speaks of the marks is meant for the whole completion.
    train = TrainSpec(method="grpo", rewards={"format": 1.0}, answer_format="<think>.*Rome.*</think>")
    (function,), _ = reward_functions(train, tally=tmp_path / "tally.json", opened="<think>\n")
    assert function(**columns) == [0.0, 0.0, 0.0, 1.0]


def test_further_answers_that_count_as_right_are_rewarded(tmp_path: Path) -> None:
    """As they are when the answers are measured."""
    rows = {"reference": ["New York", "New York", "7"], "grader": ["exact", "exact", "number"], "entry": [None] * 3}
    rows |= {"accepted": [["NYC", "the Big Apple"], [], ["seven", "8"]]}
    texts = turns("NYC", "NYC", "8")
    [function] = make(tmp_path / "tally.json")
    assert function(completions=texts, **rows) == [1, 0, 1]
    assert graded(completions=texts, **rows) == [1, 0, 1]
    [function] = make(tmp_path / "tally.json", rewards={"exact": 1.0})
    assert function(completions=texts, **rows) == [1, 0, 1]
    assert graded(completions=texts, **{name: rows[name] for name in ("reference", "grader", "entry")}) == [0, 0, 0]
