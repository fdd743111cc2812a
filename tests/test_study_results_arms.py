"""A study of arms in RESULTS.md, against figures put there by hand: each section's answer, and what is not defined."""

import re
from copy import deepcopy

import pytest
from as_saved import plain
from made_arms import compared
from study_pages import arms_page

from mixplan.study.arms.judge import BOTH, judge_arms
from mixplan.study.judged.pass_marks import Mark

TARGETS, BUDGETS, ARMS = ["sums", "poems", "law"], ["3", "6"], ["none", "uniform", "plan"]
MARK = "avoided/uniform/plan/bits_per_byte/worst/both"
STUDY = {
    "hash": "ab12",
    "mixplan": "0.1",
    "libraries": {"torch": "2.13", "trl": "1.16"},
    "command": "mixplan study run arms.yaml",
    "study": {
        "title": "Does it help?",
        "questions": ["Is it better?", "What does it keep?"],
        "arms": {"names": ARMS, "budgets": [3, 6], "evidence": None},
        "seeds": [0, 1],
    },
}


def about(value, room=0.05, verdict="win", counts=(3, 0, 0)):
    """A figure over targets with as much room to each side."""
    win, tie, loss = counts
    low, high = (None, None) if value is None or room is None else (value - room, value + room)
    found = {"value": value, "low": low, "high": high, "verdict": verdict, "targets": 3}
    return found | {"win": win, "tie": tie, "loss": loss}


def own(value, room=0.02):
    """A target's own figure."""
    return {"value": value, "low": value - room, "high": value + room}


def columns(three, six, both):
    """A figure at each budget and on their mean."""
    return {"3": three, "6": six, BOTH: both}


def by_hand():
    """What a study saves: likelihood and behaviour, three targets, two budgets."""
    better = columns(about(0.2), about(0.4), about(0.3))
    worse = columns(about(-0.2), about(-0.4), about(-0.3, verdict="loss", counts=(0, 1, 2)))
    unsure = columns(about(0.01), about(0.03), about(0.02, verdict="tie", counts=(1, 1, 1)))
    both = {"bits_per_byte": {"mean": better, "worst": unsure}, "kl": {"mean": worse, "worst": unsure}}
    loss = {"mean": own(0.25), "worst": own(0.5), "worst_domain": "prose", "domains": {"prose": 0.5, "fox": 0.0}}
    line = {
        "rows": {"prose": 1, "fox": 2},
        "gain": own(1.5),
        "kept": own(0.9),
        "loss": {"bits_per_byte": loss, "kl": loss},
    }
    return {
        "targets": TARGETS,
        "budgets": BUDGETS,
        "arms": ARMS,
        "seeds": [0, 1],
        "quantities": ["bits_per_byte", "kl"],
        "steps": {"sums": 5, "poems": 5, "law": 5},
        "kept": {arm: columns(about(0.9), about(0.95), about(0.92)) for arm in ARMS},
        "avoided": {
            "none": {"uniform": both, "plan": both},
            "uniform": {"none": both, "plan": both},
        },
        "foresight": {
            "quantity": "bits_per_byte",
            "comparisons": [
                {"target": target, "budget": budget, "said": budget == "3", "better": target == "sums",
                 "mean": own(0.01), "worst": own(0.03 if target == "sums" else -0.1)}
                for target in TARGETS
                for budget in BUDGETS
            ],
            "counts": {"said": {"better": 1, "as_well": 2}, "unsaid": {"better": 1, "as_well": 2}},
        },
        "by_target": {target: {budget: dict.fromkeys(ARMS, line) for budget in BUDGETS} for target in TARGETS},
        "marks": [
            {"text": "Surely better.", "quantity": MARK, "at_least": 0, "low_above": 0, "value": 0.02, "low": -0.03,
             "high": 0.07, "reached": False},
        ],
    }  # fmt: skip


def sections(judged, study=STUDY):
    """Blocks by section; those before the first heading under ''."""
    found = {"": []}
    for block in arms_page(study, judged).rstrip("\n").split("\n\n"):
        if block.startswith("## "):
            found[block.removeprefix("## ")] = []
        else:
            list(found.values())[-1].append(block)
    return found


KEPT = "How much of the target's gain is kept?"
NONE, UNIFORM = "What is avoided against none?", "What is avoided against uniform?"
LEARNED = "Does it help to learn what halves a loss?"
FORESEEN = "Did the plans foresee where an even spread does as well?"
LIKELIHOOD = "likelihood (bits a byte of the reference answer)"


def test_the_sample_is_what_a_study_saves():
    def values(bits, kl):
        both = {"bits_per_byte": bits, "kl": kl}
        return {"target": {"bits_per_byte": bits}, "prose": both, "fox": both}

    after = [values([1, 1], [0.1, 0])] * 2
    one = compared("sums", values([3, 3.1], [0, 0]), dict.fromkeys(ARMS, after))
    study = {target: {3: one, 6: one} for target in TARGETS}
    found = plain(judge_arms(study, marks=[Mark("Surely better.", MARK, 0, 0)]))

    def shape(value):
        if isinstance(value, dict):
            return {key: shape(below) for key, below in value.items()}
        return [shape(below) for below in value] if isinstance(value, list) else None

    assert shape(found) == shape(by_hand())


ASKED = "How it was asked"


def test_what_was_asked_and_registered_stands_behind_the_answers():
    judged = by_hand() | {"steps": {"sums": 5, "poems": 5, "law": 7}}
    found = sections(judged)
    (title, typed), (questions, command, table, method) = found[""], found[ASKED]
    assert title == "# Does it help?"
    assert typed == "Written by the command below from the study's saved judgement; nothing here was typed in."
    assert questions == "- Is it better?\n- What does it keep?"
    assert command == "```\nmixplan study run arms.yaml\n```"
    assert table.splitlines()[2:] == [
        "| registered before the first training as | `ab12` |",
        "| targets | sums, poems, law |",
        "| arms | none, uniform, plan |",
        "| extra rows | 3, 6 |",
        "| training seeds | 0, 1 |",
        "| optimiser steps | sums 5, poems 5, law 7 |",
        "| plans learn from | scores alone |",
        "| mixplan and libraries | mixplan 0.1, torch 2.13, trl 1.16 |",
    ]
    assert "positive where a domain got worse" in method


def test_each_question_has_its_section_in_order():
    assert list(sections(by_hand())) == [
        "", "In short", ASKED, "Did it reach what was promised?", KEPT, NONE, UNIFORM, FORESEEN,
        "Target by target", "Limits",
    ]  # fmt: skip


def test_marks_are_told_as_they_were_promised():
    answer, table = sections(by_hand())["Did it reach what was promised?"]
    assert answer == "**0 of 1 marks were reached.**"
    assert table.splitlines()[2] == (
        "| Surely better. | at least 0 and interval above 0 | 0.02 [-0.03, 0.07] | not reached |"
    )


def test_what_is_kept_of_the_gain():
    answer, table = sections(by_hand())[KEPT]
    assert answer == "**The plan keeps 0.92 [0.87, 0.97] of what training on target rows alone gains.**"
    head, _, *rows = table.splitlines()
    assert head == "| share of the gain | 3 rows | 6 rows | mean of budgets |"
    assert rows[2] == "| plan | 0.90 [0.85, 0.95] | 0.95 [0.90, 1.00] | 0.92 [0.87, 0.97] |"


def test_a_gain_that_is_not_sure_is_said_and_shown_as_nothing():
    judged = by_hand()
    nothing = about(None, verdict=None, counts=(2, 0, 0))
    judged["kept"] = {arm: columns(about(0.9), nothing, nothing) for arm in ARMS}
    line = deepcopy(judged["by_target"]["law"]["6"]["plan"])
    judged["by_target"] = {"law": {"6": {"plan": line | {"kept": None}}}}
    found = sections(judged)
    answer, table = found[KEPT]
    assert answer == "**Not defined: on some target, training on target rows alone gained nothing for sure.**"
    assert table.splitlines()[-1] == "| plan | 0.90 [0.85, 0.95] | – | – |"
    assert "| law | 6 | plan | +1.500 [+1.480, +1.520] | – | +0.250" in found["Target by target"][1]


def test_wins_ties_and_losses_are_told():
    answer, likelihood, first, behaviour, second = sections(by_hand())[UNIFORM]
    assert answer == (
        f"**In {LIKELIHOOD} the plan is surely better (+0.300 [+0.250, +0.350]) on the mean domain and not told apart "
        "(+0.020 [-0.030, +0.070]) on the worst domain.**"
    )
    assert (likelihood, behaviour) == (f"{LIKELIHOOD}:", "behaviour (token KL, nats a token):")
    head, _, *rows = first.splitlines()
    assert head == "| arm | domain | 3 rows | 6 rows | mean of budgets | targets won, tied, lost |"
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| none", "mean"],
        ["| none", "worst"],
        ["| plan", "mean"],
        ["| plan", "worst"],
    ]
    assert rows[2] == (
        "| plan | mean | +0.200 [+0.150, +0.250] | +0.400 [+0.350, +0.450] | +0.300 [+0.250, +0.350] | 3, 0, 0 |"
    )
    assert rows[3].endswith("| +0.020 [-0.030, +0.070] | 1, 1, 1 |")
    assert second.splitlines()[-2].endswith("| -0.300 [-0.350, -0.250] | 0, 1, 2 |")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (about(0.3, verdict="win"), "surely better (+0.300 [+0.250, +0.350])"),
        (about(-0.3, verdict="loss"), "surely worse (-0.300 [-0.350, -0.250])"),
        (about(0.01, verdict="tie"), "not told apart (+0.010 [-0.040, +0.060])"),
        (about(0.3, room=None, verdict=None), "not judged (+0.300)"),
    ],
)
def test_the_words_of_a_verdict(entry, said):
    judged = by_hand()
    judged["avoided"] = {
        "none": {"plan": {"bits_per_byte": {part: columns(entry, entry, entry) for part in ("mean", "worst")}}}
    }
    judged["quantities"] = ["bits_per_byte"]
    assert sections(judged)[NONE][0] == (
        f"**In {LIKELIHOOD} the plan is {said} on the mean domain and {said} on the worst domain.**"
    )


def test_what_plans_foresaw():
    answer, unit, table = sections(by_hand())[FORESEEN]
    assert answer == (
        "**In 4 of 6 comparisons the plan was not surely better than an even spread; it had said so before training in "
        "2 of these, and in 1 of the 2 others.**"
    )
    assert unit == f"Losses in {LIKELIHOOD}; intervals over seeds and items."
    assert table.splitlines()[2:5] == [
        "| sums | 3 | may do as well | +0.010 [-0.010, +0.030] | +0.030 [+0.010, +0.050] | better |",
        "| sums | 6 | does worse | +0.010 [-0.010, +0.030] | +0.030 [+0.010, +0.050] | better |",
        "| poems | 3 | may do as well | +0.010 [-0.010, +0.030] | -0.100 [-0.120, -0.080] | not surely better |",
    ]
    assert FORESEEN not in sections(by_hand() | {"foresight": None})


def test_what_learned_plans_are_worth():
    judged = by_hand()
    better, unsure = about(0.3), about(0.02, verdict="tie", counts=(1, 1, 1))
    parts = {"mean": columns(better, better, better), "worst": columns(unsure, unsure, unsure)}
    judged["arms"] = [*ARMS, "plan_learned"]
    judged["avoided"]["plan"] = {"plan_learned": {"bits_per_byte": parts, "kl": parts}}
    judged["learned"] = [
        {"target": target, "budget": budget, "text": f"8 rows | for {target}", "said": budget == "3", "from_plan": 2,
         "from_uniform": 0 if budget == "3" else 1, "mean": own(0.3), "worst": own(-0.02)}
        for target in TARGETS
        for budget in BUDGETS
    ]  # fmt: skip
    answer, _, bits, kl, _, texts, unit, table = sections(judged)[LEARNED]
    assert answer == (
        f"**In {LIKELIHOOD} the plan that learned it from the other targets' arms is, against the plan that did not, "
        "surely better (+0.300 [+0.250, +0.350]) on the mean domain and not told apart (+0.020 [-0.030, +0.070]) on "
        "the worst domain; 3 of its 6 mixtures are an even spread.**"
    )
    assert bits.splitlines()[-2:] == [
        "| plan_learned | mean | +0.300 [+0.250, +0.350] | +0.300 [+0.250, +0.350] | +0.300 [+0.250, +0.350] | "
        "3, 0, 0 |",
        "| plan_learned | worst | +0.020 [-0.030, +0.070] | +0.020 [-0.030, +0.070] | +0.020 [-0.030, +0.070] | "
        "1, 1, 1 |",
    ]
    assert kl == "behaviour (token KL, nats a token):"
    assert texts == "- sums: 8 rows | for sums\n- poems: 8 rows | for poems\n- law: 8 rows | for law"
    assert unit == f"Target by target, losses in {LIKELIHOOD}; intervals over seeds and items."
    assert table.splitlines()[2:4] == [
        "| sums | 3 | 2 | 0 | may do as well | +0.300 [+0.280, +0.320] | -0.020 [-0.040, +0.000] |",
        "| sums | 6 | 2 | 1 | does worse | +0.300 [+0.280, +0.320] | -0.020 [-0.040, +0.000] |",
    ]
    assert LEARNED not in sections(by_hand())


def test_every_target_stands_with_its_own_figures():
    said, table = sections(by_hand())["Target by target"]
    assert said == f"Losses in {LIKELIHOOD}; intervals over seeds and items."
    rows = table.splitlines()[2:]
    assert len(rows) == len(TARGETS) * len(BUDGETS) * len(ARMS)
    assert rows[0] == (
        "| sums | 3 | none | +1.500 [+1.480, +1.520] | 0.90 [0.88, 0.92] | +0.250 [+0.230, +0.270] | "
        "+0.500 [+0.480, +0.520] | prose |"
    )


def test_what_was_not_measured_has_no_table():
    judged = by_hand() | {"quantities": [], "marks": [], "foresight": None}
    judged["avoided"] = {"none": {"uniform": {}, "plan": {}}}
    found = sections(judged)
    assert list(found) == ["", "In short", ASKED, KEPT, NONE, "Limits"]
    assert found[NONE] == []


def test_limits_are_this_study_s():
    judged = by_hand()
    chosen = "- Targets were chosen, not drawn: intervals are over targets like these."
    worst = (
        "- Each arm's worst domain is the worst of noisy means, so worst losses are a little too large in every arm."
    )
    (text,) = sections(judged)["Limits"]
    assert text.splitlines() == [
        "- One model, one SAE and 3 targets: the spread between so few is badly known, and intervals over them are "
        "wide for it (Student's t with one degree of freedom less than targets).",
        chosen,
        worst,
    ]
    (text,) = sections(judged | {"targets": ["sums", "poems"], "seeds": [0]})["Limits"]
    assert text.splitlines() == [
        "- One model, one SAE and 2 targets: too few for intervals over them, which take 3, so that nothing is judged "
        "here.",
        chosen,
        worst,
        "- One training seed: the intervals hold no spread over seeds.",
    ]


def test_of_one_seed_it_is_said_first_what_intervals_do_not_hold():
    spec = STUDY["study"] | {"seeds": [0, 1, 2]}
    head = sections(by_hand() | {"seeds": [0], "budgets": ["3"]}, STUDY | {"study": spec})[""]
    assert head[2:] == [
        "**Not finished. Still missing here: 1 of 2 budgets and 2 of 3 seeds.**",
        "**One training seed: a target's own interval, and what is called better or worse by it, holds items alone and "
        "not how\nfar another seed would land.**",
    ]
    assert not any("One training seed" in block for block in sections(by_hand())[""])


def test_odd_names_break_neither_lines_nor_tables():
    judged = by_hand()
    judged["targets"] = ["a|b", "poems", "law"]
    line = deepcopy(judged["by_target"]["law"]["3"]["plan"])
    line["loss"]["bits_per_byte"]["worst_domain"] = "pro|se"
    judged["by_target"] = {"a|b": {"3": {"plan": line}}}
    judged["marks"][0]["text"] = "Better\n| than"
    about_arms = {"names": ARMS, "budgets": [3, 6], "evidence": "a`|\nb"}
    asked = {"title": "Arms\u202e\n## x", "questions": ["Is it\nbetter?"], "arms": about_arms, "seeds": [0, 1]}
    found = sections(judged, STUDY | {"study": asked, "libraries": {"torch": "2\n.13"}})
    assert found[""][0] == "# Arms[U+202E]↵## x"
    assert found[ASKED][0] == "- Is it↵better?"
    assert "| targets | a\\|b, poems, law |" in found[ASKED][2]
    assert "torch 2↵.13" in found[ASKED][2]
    assert found["Did it reach what was promised?"][1].splitlines()[2].startswith("| Better↵\\| than | at least 0")
    assert found["Target by target"][1].splitlines()[2].startswith("| a\\|b | 3 | plan |")
    assert found["Target by target"][1].endswith("| pro\\|se |")
    for block in (block for blocks in found.values() for block in blocks if block.startswith("| ")):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1
