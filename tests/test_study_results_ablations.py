"""Other settings of a study in RESULTS.md: each section's answer against figures put there by hand."""

import re
from types import SimpleNamespace

import pytest
from ablated_table import T, table_of
from ablated_table import random_profile as made_profile
from as_saved import plain, typed
from saved_further import ablations, about, concentration, correlations, further, view, with_overlap
from study_pages import asked_ablations, complete, looked_into

from mixplan.study.ablations.ablate import judge_view, through_sae
from mixplan.study.ablations.reread import Moved, View
from mixplan.study.files.ablations import JudgedView
from mixplan.study.results.ablations import WORDS, ablation_sections, overlap_less, still_missing

TABLE = table_of(("t0", "t1", "t2", "t3"), ("d0", "d1"), (0, 1))


def view_of(values):
    """One way to read, as it is saved."""
    return typed(JudgedView, complete(values))


def sections(ablated, concentrated=None):
    """Blocks by section."""
    found = {}
    values = {"ablations": ablated, "concentration": concentrated}
    seen = looked_into({name: found for name, found in values.items() if found is not None})
    for block in ablation_sections(seen.ablations, seen.concentration, TABLE):
        if block.startswith("## "):
            found[block.removeprefix("## ")] = parts = []
        else:
            parts.append(block)
    return found


FEATURES = "Does it depend on how many features count as drift dimensions?"
SHOTS = "Does it depend on the number of demonstrations?"
TOKENS = "Does it depend on how many tokens are read?"
SAES = "Does it depend on the SAE?"
HELD = "In how few features does a job's change lie?"


def test_the_sample_is_what_a_study_saves():
    targets, domains = tuple(f"t{i}" for i in range(T)), tuple(f"d{i}" for i in range(6))
    own = View(
        {name: made_profile(i, 100) for i, name in enumerate(targets)},
        {name: made_profile(20 + i, 50) for i, name in enumerate(domains)},
        {(name, 0): Moved(made_profile(90 + i, 1).shift, 30) for i, name in enumerate(targets)},
    )
    judged = judge_view(table_of(targets, domains, (0,)), own, 5)
    found = plain(judged)
    sample = view(5, 0.5, 0.1)
    assert found.keys() == sample.keys()
    for name in ("overlap", "captured", "concentration"):
        assert found[name].keys() == sample[name].keys()
    assert found["correlations"].keys() == sample["correlations"].keys()
    assert found["correlations"]["all"].keys() == sample["correlations"]["all"].keys()
    sae = through_sae(None, SimpleNamespace(hook_name="a", d_sae=40), own, judged)
    assert sae.values().keys() == ablations()["saes"][0].keys()


def test_where_the_overlap_is_beyond_chance_is_said_first():
    answer, scores, picture, words, table = sections(ablations())[FEATURES]
    assert answer == (
        "**The overlap is surely beyond chance at 3 of 4 settings (N = 10, N = 50 and N = 100). It is not surely so at "
        "N = 1,000. At N = 3,000 every live feature counts, so there is nothing to tell.** Its share of N lies between "
        "0.31 [0.26, 0.36] where chance is 0.00500 (N = 10) and 0.55 [0.50, 0.60] where chance is 0.0500 (N = 100)."
    )
    assert scores == (
        "Pearson with behaviour (token KL, nats a token), all targets: that of `sts_icl` lies between 0.20 [0.00, "
        "0.40] (N = 3,000) and 0.60 [0.40, 0.80] (N = 10), surely above 0 at 4 of 5; that of `sts_act` lies between "
        "-0.30 [-0.50, -0.10] (N = 3,000) and 0.10 [-0.10, 0.30] (N = 10), surely above 0 at 0 of 5."
    )
    assert picture.endswith("(features.svg)")
    assert words == WORDS
    rows = table.splitlines()[2:]
    assert len(rows) == 5
    assert rows[2] == (
        "| **N = 100** | 0.55 [0.50, 0.60] | 0.0500 (one draw in 40 above 0.0700) | 0.28 [0.23, 0.33] | "
        "0.38 [0.33, 0.42] | 0.60 [0.40, 0.80] | 0.10 [-0.10, 0.30] | 0.60 [0.40, 0.80] | 0.10 [-0.10, 0.30] |"
    )


def test_an_overlap_that_holds_everywhere_or_nowhere():
    everywhere = ablations() | {"features": [view(10, 0.3, 0.1), view(20, 0.4, 0.1)]}
    assert sections(everywhere)[FEATURES][0].startswith(
        "**The overlap is surely beyond chance at every setting tried (N = 10 and N = 20).**"
    )
    nowhere = ablations() | {"features": [view(10, 0.1, 0.1), view(20, 0.1, 0.3)]}
    assert sections(nowhere)[FEATURES][0].startswith(
        "**The overlap is surely beyond chance at none of 2 settings. It is not surely so at N = 10. "
        "It is surely below chance at N = 20.**"
    )
    one = with_overlap(view(10, 0.9, 0.1), about(0.9, None))
    assert (
        "at none of 1 setting. It is not surely so at N = 10.** It is 0.90 where chance is 0.100 (N = 10)."
        in (sections(ablations() | {"features": [one]})[FEATURES][0])
    )
    unknown = with_overlap(view(10, 0.9, 0.1, correlations={}), about(None))
    answer, scores, *_ = sections(ablations() | {"features": [unknown]})[FEATURES]
    assert answer.endswith("No overlap could tell anything.")
    assert scores.endswith("that of `sts_icl` is not defined; that of `sts_act` is not defined.")


def test_other_settings_stand_each_with_its_answer_and_the_study_s_own_in_bold():
    found = sections(ablations())
    assert list(found) == [FEATURES, SHOTS, TOKENS, SAES, HELD]
    assert found[SHOTS][0].startswith(
        "**The overlap is surely beyond chance at every setting tried (1 demonstration and"
    )
    assert found[SHOTS][3] == (
        "Demonstrations left out because the model's window was too short for them: 12 at 8 a question."
    )
    assert found[TOKENS][0].startswith(
        "**The overlap is surely beyond chance at 1 of 2 settings (all tokens). It is not surely so at 25.0 % of the"
    )
    assert found[TOKENS][3] == "All tokens are 4,000 question tokens of a target and 1,000 of each domain."
    assert "| **all tokens** | 0.55 [0.50, 0.60] | – | " in found[TOKENS][4]
    assert "It is surely below chance at `narrow|`.**" in found[SAES][0]
    assert found[SAES][4].splitlines()[2:] == [
        "| the study's SAE | `blocks.20.hook_resid_post` | 4,608 | 63.9 | 2,000 | 100 |",
        "| `narrow\\|` | `blocks.8.hook_resid_post` | 80 | 8.00 | 2,000 | 80 |",
    ]
    assert sum(WORDS in blocks for blocks in found.values()) == 1


def test_a_setting_that_is_the_study_s_own_alone_has_no_section():
    kept = ablations()
    for name in ("demonstrations", "tokens", "saes"):
        kept[name] = kept[name][:1] if name == "saes" else []
    assert list(sections(kept)) == [FEATURES, HELD]
    assert list(sections(ablations() | {"features": []})) == [SHOTS, TOKENS, SAES]
    assert sections(ablations() | {"features": []})[SHOTS][3] == WORDS
    assert sections(None) == {}


def test_what_a_setting_changes_is_told_target_by_target():
    found = sections(ablations())
    assert found[SHOTS][1] == (
        "Target by target, surely less at 1 demonstration (-0.15 [-0.15, -0.15]) than with the study's own setting."
    )
    assert "| 1 demonstration | 0.40 [0.35, 0.45] | -0.15 [-0.15, -0.15] | " in found[SHOTS][4]
    # An SAE with fewer features than N has another N: nothing to take from each other.
    assert (
        found[SAES][1] == "Target by target, it is at no setting surely more or less than with the study's own setting."
    )
    assert "| `narrow\\|` | 0.20 [0.15, 0.25] | – | " in found[SAES][3]

    def overlaps(*values):
        return with_overlap(
            view(100, 0.6, 0.05), {"by_target": dict(zip(("t0", "t1", "t2", "t3"), values, strict=True))}
        )

    own = view_of(ablations()["saes"][0])
    # By hand: differences 0.01, 0.03, 0.05 without the unknown one; mean 0.03, deviation 0.02, t(2) 4.303.
    one = overlap_less(view_of(overlaps(0.56, 0.58, 0.6, None)), own)
    assert (one.value, one.high - one.value) == pytest.approx((0.03, 4.303 * 0.02 / 3**0.5), abs=1e-4)
    more = {"demonstrations": 1} | overlaps(0.57, 0.59, 0.57, 0.59)
    both = [more, {"demonstrations": 8} | overlaps(0.5, 0.51, 0.52, 0.51)]
    assert sections(ablations() | {"demonstrations": both})[SHOTS][1] == (
        "Target by target, surely more at 1 demonstration (+0.03 [+0.01, +0.05]) and less at 8 demonstrations "
        "(-0.04 [-0.05, -0.03]) than with the study's own setting."
    )


def test_saes_trained_alike_but_for_one_thing_are_held_against_each_other():
    same = {"config": "some", "train_tokens": 10}
    trained = {"wide": same | {"trainer": {"d_sae": 99}}, "plain|": same, "deep": same | {"hook_name": "a"}}
    made = {"hook_name": "a", "d_sae": 4608, "active": 20.0}
    saes = [
        *ablations()["saes"],
        *({"sae": name, **made} | view(100, value, 0.05) for name, value in zip(trained, (0.5, 0.3, 0.2), strict=True)),
    ]
    ablated = ablations() | {"saes": saes, "asked": {"trained": trained}}
    *_, sentence, table = sections(ablated)[SAES]
    assert sentence == (
        "All SAEs trained for this were trained as `plain|` was but for what each changed. Target by target, surely "
        "more at `wide` (+0.20 [+0.20, +0.20]) and less at `deep` (-0.10 [-0.10, -0.10]) than with `plain|`."
    )
    head, _, *rows = table.splitlines()
    assert head.endswith("| N | overlap less that of `plain\\|` |")
    assert [row.rsplit(" | ", 1)[1] for row in rows] == [
        "– |", "– |", "+0.20 [+0.20, +0.20] |", "– |", "-0.10 [-0.10, -0.10] |",
    ]  # fmt: skip
    # Two that each have what the other has not: nothing that all were trained as.
    for left in (("wide", "deep"), ("plain|",), ()):
        few = {name: trained[name] for name in left}
        last = sections(ablated | {"asked": {"trained": few}})[SAES][-1]
        assert "overlap less" not in last, left


ASKED = {
    "features": [10, 50, 5000], "demonstrations": [1, 8], "tokens": [0.25, 1.0], "saes": {"narrow|": {}}, "trained": {},
}  # fmt: skip


def test_what_the_file_asks_and_is_not_looked_into_yet():
    assert list(still_missing(None, looked_into({}), TABLE)) == []
    assert list(still_missing(asked_ablations(ASKED), looked_into(further()), TABLE)) == []
    nothing = list(still_missing(asked_ablations(ASKED), looked_into({}), TABLE))
    assert nothing == [
        "**Not finished: targets' own features, features taken out and other settings are still to be looked into.**"
    ]
    begun = further() | {"ablations": ablations() | {"tokens": []}}
    assert list(
        still_missing(asked_ablations(ASKED | {"trained": {"wide": {}, "deep": {}}}), looked_into(begun), TABLE)
    ) == ["**Not finished: 2 of 2 numbers of tokens and 2 of 4 SAEs are still to be looked into.**"]


def test_what_was_looked_into_on_fewer_seeds_says_so():
    fewer = further()
    fewer["labelled"]["seeds"] = [1]
    assert list(still_missing(asked_ablations(ASKED), looked_into(fewer), TABLE)) == [
        "**Looked into on seed 1 alone: targets' own features.**"
    ]


def test_how_concentrated_the_drift_is():
    answer, predicted, picture, spread, table = sections(ablations(), concentration())[HELD]
    assert re.findall(r"([\d.]+) \[[\d.]+, [\d.]+\] in ([\d,]*\d)", answer) == [
        ("0.26", "10"), ("0.35", "50"), ("0.38", "100"), ("0.36", "1,000"), ("0.60", "3,000"),
    ]  # fmt: skip
    assert answer.endswith(" of 4,608 features.**")
    assert predicted.startswith("In as many predicted ones: 0.15 [")
    assert picture.endswith("(concentration.svg)")
    assert spread == (
        "The 100 features that each single training moved most hold between 0.400 (t0-0) and 0.550 (t3-0) of its whole "
        "change:"
    )
    assert table.splitlines()[2:] == [
        "| t0 | 0.400 | 0.410 |", "| t1 | 0.450 | 0.460 |", "| t2 | 0.500 | 0.510 |", "| t3 | 0.550 | – |",
    ]  # fmt: skip
    alone = sections(None, concentration())
    assert list(alone) == [HELD]
    assert alone[HELD] == [spread, table]


@pytest.mark.parametrize("quantity", ["kl", "something"])
def test_a_measure_is_called_by_its_name(quantity):
    changed = ablations() | {
        "quantity": quantity,
        "features": [view(10, 0.3, 0.1, correlations=correlations(0.4, 0.4))],
    }
    named = {"kl": "behaviour (token KL, nats a token)"}.get(quantity, quantity)
    assert sections(changed)[FEATURES][1] == (
        f"Pearson with {named}, all targets: that of `sts_icl` is 0.40 [0.20, 0.60] (N = 10), surely above 0 at 1 of "
        "1; that of `sts_act` is 0.40 [0.20, 0.60] (N = 10), surely above 0 at 1 of 1."
    )
