"""What the forecast learned from other targets is worth, in RESULTS.md: figures put there by hand, word for word."""

from study_pages import learned

from mixplan.study.results.forecasts import WAYS, learned_section


def about(value, room=0.1):
    return {"value": value, "low": value - room, "high": value + room}


def by_hand(**errors):
    line = {"pearson": about(0.6), "spearman": about(0.5), "top3": about(0.4), "error": about(0.2), "inside": 0.93}
    ways = dict.fromkeys(WAYS, line) | {"movability": line | {"error": about(0.3), "pearson": about(0.5)}}
    others = [name for name in WAYS if name != "movability"]
    return {
        "quantity": "kl",
        "ways": ways,
        "error_none": about(0.4),
        "differences": {
            "pearson": dict.fromkeys(others, about(0.05)),
            "spearman": dict.fromkeys(others, about(0.0)),
            "error": dict.fromkeys(others, about(-0.2)) | errors,
        },
    }


def test_the_answer_holds_scores_against_what_needs_none():
    title, answer, table, less, note = learned_section(learned(by_hand()))
    assert title == "## What is the forecast worth that has learned from other targets?"
    assert answer == (
        "**STS_ICL with each domain's own factor, learned on the other targets, has Pearson 0.60 [0.50, 0.70] within a "
        "target left out, and errs by 0.200 [0.100, 0.300]. How far domains moved elsewhere alone has 0.50 [0.40, "
        "0.60] and errs by 0.300 [0.200, 0.400]: by Pearson not told apart, by error surely less.**"
    )
    assert table.splitlines()[2:] == [
        "| forecast | Pearson | Spearman | top-3 hits | error | inside |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {WAYS[name]} | 0.60 [0.50, 0.70] | 0.50 [0.40, 0.60] | 0.40 [0.30, 0.50] | 0.200 [0.100, 0.300] | "
            "93.0 % |"
            for name in list(WAYS)[:4]
        ),
        f"| {WAYS['movability']} | 0.50 [0.40, 0.60] | 0.50 [0.40, 0.60] | 0.40 [0.30, 0.50] | 0.300 [0.200, 0.400] | "
        "93.0 % |",
        "| no change expected |  |  |  | 0.400 [0.300, 0.500] |  |",
    ]
    assert less.splitlines()[4] == (
        "| STS_ICL times each domain's own factor | +0.050 [-0.050, +0.150] | +0.000 [-0.100, +0.100] | "
        "-0.200 [-0.300, -0.100] |"
    )
    assert note == "This was not among what the study registered, and nothing was chosen by it."


def test_a_larger_error_is_said_as_plainly():
    answer = list(learned_section(learned(by_hand(sts_icl_own=about(0.3)))))[1]
    assert answer.endswith("by Pearson not told apart, by error surely more.**")


def test_nothing_is_said_where_nothing_was_learned():
    assert list(learned_section(None)) == []
