"""The rows whose answers changed most are picked by their own values, and their texts are bounded."""

import json

from saved_run import values

from mixplan.domains import Row
from mixplan.outcome.examples import LONGEST, SHOWN, changed_rows, cut, examples_of, with_examples
from mixplan.saved import Outcome
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured

ROWS = tuple(Row(f"r:{i}", f"k{i}", (("system", "s"), ("user", f"what is {i}?")), f"B. {i}", options=("x", f"{i}"),
                 gold=1) for i in range(6))  # fmt: skip
IDS = tuple(row.id for row in ROWS)


def exact(scores, answers):
    outcomes = tuple("right" if score == 1 else "wrong" for score in scores)
    return Measured("exact", IDS[: len(scores)], {"score": scores}, {"outcome": outcomes, "answer": answers})


def refuse(name, rows):
    raise AssertionError("answers are there already")


def test_graded_rows_that_changed_come_first_then_those_whose_words_did():
    before = {"exact": exact((1.0, 0.0, 0.0, 0.0, 0.0, 1.0), ("a", "b c", "same", "b c d", "x", "y"))}
    after = {"exact": exact((0.0, 0.0, 0.0, 0.0, 1.0, 1.0), ("z", "q r", "same", "b c e", "x", "y"))}
    found = examples_of("law", ROWS, before, after, refuse)
    # Rows 0 and 4 changed their grade, row 4 with the same words; row 1 all its words, row 3 only one of three.
    assert [one.row for one in found] == ["r:0", "r:4", "r:1"]
    first = found[0]
    assert (first.graded, first.measured, first.before, first.after) == (("right", "wrong"), (1.0, 0.0), "a", "z")
    assert (first.question, first.reference) == ("what is 0?", "B. 0")
    assert "r:2" not in [row for row, _ in changed_rows(before["exact"], after["exact"], "score")]


def test_options_are_told_by_their_text():
    def choice(chances, chosen):
        values = {"correct": tuple(float(pick == "B") for pick in chosen), "gold_probability": chances}
        return {"choice": Measured("choice", IDS, values, {"chosen": chosen})}

    before = choice((0.1, 0.5, 0.5, 0.5, 0.5, 0.9), ("A", "B", "B", "B", "B", "B"))
    after = choice((0.9, 0.5, 0.4, 0.8, 0.5, 0.1), ("B", "B", "A", "B", "B", "A"))
    found = examples_of("law", ROWS, before, after, refuse)
    assert [one.row for one in found] == ["r:0", "r:5", "r:3"]
    assert (found[0].before, found[0].after, found[0].graded) == ("A. x", "B. 0", ("wrong", "right"))
    assert found[1].graded == ("right", "wrong")


def test_free_text_is_answered_for_its_rows_alone():
    early = {"likelihood": Measured("likelihood", IDS, {"bits_per_byte": (1.0,) * 6}, {})}
    late = {"likelihood": Measured("likelihood", IDS, {"bits_per_byte": (1.0, 1.1, 0.5, 1.0, 1.3, 1.0)}, {})}
    asked = []

    def write(name, rows):
        asked.extend((name, row.id) for row in rows)
        return {row.id: "old" for row in rows}, {row.id: "new" for row in rows[1:]}

    found = examples_of("law", ROWS, early, late, write)
    assert asked == [("law", "r:2"), ("law", "r:4"), ("law", "r:1")]
    assert [(one.row, one.before, one.after, one.graded) for one in found] == [
        ("r:4", "old", "new", None),
        ("r:1", "old", "new", None),
    ]


def test_long_texts_keep_their_ends():
    text = "a" * LONGEST + "b" * LONGEST
    short = cut(text)
    assert len(short) < LONGEST + 50
    assert short.startswith("aaa")
    assert short.endswith("bbb")
    assert f"({LONGEST:,} characters left out)" in short
    assert cut("x" * LONGEST) == "x" * LONGEST


def test_target_and_domains_get_theirs_and_the_rest_stays():
    _, value = values()
    for measured in (value["target"], *value["domains"].values()):
        measured.pop("examples", None)
    outcome = Outcome.model_validate_json(json.dumps(value))
    answers = {name: {"exact": exact((score,) * 6, (text,) * 6)} for name, score, text in
               [("target", 0.0, "a"), ("law", 0.0, "a")]}  # fmt: skip
    later = {name: {"exact": exact((1.0,) * 6, ("b",) * 6)} for name in answers}
    model = EvaluatedModel(hash="a", dtype="float32")
    before, after = (Evaluation(model, one, dict.fromkeys(one, "exact")) for one in (answers, later))
    found = with_examples(outcome, {"target": ROWS, "law": ROWS}, before, after, refuse)
    assert len(found.target.examples) == len(found.domains["law"].examples) == SHOWN
    assert not found.domains["coding"].examples
    plain = found.values()
    del plain["target"]["examples"], plain["domains"]["law"]["examples"]
    assert plain == outcome.values()
