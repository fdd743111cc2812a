"""`mixplan check` says what a plan samples, and what the shipped study says of ways to predict a GRPO job's drift."""

import re

import pytest
from package_files import ROOT

from mixplan.cli.check import look
from mixplan.cli.drift_outlook import drift_outlook
from mixplan.recipe import load_recipe

RESULTS = ROOT / "recipes" / "studies" / "smollm2-135m-grpo-direction" / "RESULTS.md"
RECIPE = ROOT / "recipes" / "grpo-sums.yaml"
SAMPLES = "samples at most 64 × 8 answers of up to 128 tokens, for which the model is loaded whole"
OTHERWISE = "samples otherwise than the job does: "
LONGER = f"{OTHERWISE}`drift.rollouts.answer_tokens` is 128, `train.args.max_completion_length` 16"
ALIKE = "drift.rollouts.answer_tokens=16"
STEPS = (
    "takes one step along the reward's gradient, which reads each answer forth and back in float32; where the plan "
    "reads in a shorter type, the model is loaded once more in float32 beside it"
)
MORE = (
    " of the 100 that GRPO moved most on four held-out targets of SmolLM2-135M-Instruct; `drift.from: reward_step` "
    "named 43.2, a pilot of ten steps 39.5 (docs/grpo-and-pilots.md)"
)
BY_EXAMPLES = f"predicts the features that the job moves by worked examples, which named 26.0{MORE}"
BY_ANSWERS = f"predicts the features that the job moves by such answers, which named 20.5{MORE}"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), [BY_EXAMPLES]),
        (("drift.from=rollouts",), [SAMPLES, LONGER, BY_ANSWERS]),
        (("drift.from=reward_step",), [SAMPLES, LONGER, STEPS]),
        (("drift.from=reward_step", "drift.rollouts.prompts=1000"), [SAMPLES.replace("64", "1,000"), LONGER, STEPS]),
        (("drift.from=reward_step", ALIKE), [SAMPLES.replace("128", "16"), STEPS]),
        (
            ("drift.from=reward_step", ALIKE, "train.args.temperature=0.7", "train.args.top_p=0.9"),
            [
                SAMPLES.replace("128", "16"),
                f"{OTHERWISE}`drift.rollouts.temperature` is 1, `train.args.temperature` 0.7; "
                "`train.args.top_p: 0.9` is not followed",
                STEPS,
            ],
        ),
        (
            ("drift.from=rollouts", "drift.rollouts.temperature=0.5", "train.args.max_completion_length=null"),
            [
                SAMPLES,
                # TRL's own defaults: answers of at most 512 tokens, at temperature 1.
                f"{OTHERWISE}`drift.rollouts.temperature` is 0.5, `train.args.temperature` 1; "
                "`drift.rollouts.answer_tokens` is 128, `train.args.max_completion_length` 512",
                BY_ANSWERS,
            ],
        ),
        (("drift.from=checkpoint", "drift.checkpoint=pilot/model"), []),
        (("train.lora=null",), []),
        (("model.sae=none",), []),
    ],
)
def test_what_is_sampled_is_said_and_what_would_name_more(overrides, expected):
    assert list(drift_outlook(load_recipe(RECIPE, overrides).recipe)) == expected


def test_sft_is_not_told_of_rewards():
    assert list(drift_outlook(load_recipe(ROOT / "recipes" / "quickstart.yaml").recipe)) == []


def test_check_says_it():
    result, _ = look(RECIPE, ["drift.from=reward_step"])
    assert result.reads == [SAMPLES, LONGER, STEPS]


def test_the_figures_are_those_of_the_study():
    rows = [line.split("|") for line in RESULTS.read_text().splitlines() if re.match(r"\| `[a-z/]+` \| .*\[", line)]
    held_out = {cells[1].strip(" `"): cells[3].split()[0] for cells in rows}
    wanted = {name: held_out[name] for name in ("icl", "rollouts", "untrained/step", "pilot")}
    for way, text in (("icl", BY_EXAMPLES), ("rollouts", BY_ANSWERS)):
        assert re.findall(r"(\d+\.\d)", text) == [wanted[way], wanted["untrained/step"], wanted["pilot"]]
