"""Items before and after are paired by number, content and prompt; what cannot be is counted, and why."""

import pytest
from harness_files import graded, item, task, write

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.find import read_harness
from mixplan.evaluate.harnesses.metric_names import Choice
from mixplan.evaluate.harnesses.pair import pair_part


def paired(tmp_path, before, after, *choices):
    """Pair tasks, each given as a dict by name."""
    found = [
        read_harness(write(tmp_path / name, tasks, model=name)) for name, tasks in (("base", before), ("tuned", after))
    ]
    return pair_part(choices or (Choice("law", "law"),), *found)


def refused(*arguments) -> str:
    with pytest.raises(EvaluateError) as caught:
        paired(*arguments)
    return str(caught.value)


def test_items_in_another_order_are_paired_by_number(tmp_path):
    shuffled = [*graded("0011")][::-1]
    found = paired(tmp_path, {"law": task(graded("0110"))}, {"law": task(shuffled)})
    assert found.before["lm_eval"].rows == found.after["lm_eval"].rows == ("law/0", "law/1", "law/2", "law/3")
    assert found.before["lm_eval"].values == {"acc": (0, 1, 1, 0)}
    assert found.after["lm_eval"].values == {"acc": (0, 0, 1, 1)}
    assert found.notes == []


def test_what_cannot_be_paired_is_counted_by_its_cause(tmp_path):
    other = {"question": "another question", "answer": 1}
    after = [
        item(0, {"acc": 1.0}),
        item(1, {"acc": 1.0}, doc=other),
        item(2, {"acc": 1.0}, prompt="<|user|> question 2"),
        item(7, {"acc": 1.0}),
    ]
    found = paired(tmp_path, {"law": task(graded("01011"))}, {"law": task(after)})
    assert found.after["lm_eval"].rows == ("law/0",)
    assert found.tasks[0].values() == {
        "domain": "law", "task": "law", "before": 5, "after": 4, "paired": 1, "other_content": 1, "other_prompt": 1,
    }  # fmt: skip
    assert found.notes == [
        "law: 1 of 5 items were paired and count; 1 have another content, 1 were asked by another prompt, 2 are there "
        "before only, 1 are there after only."
    ]


def test_nothing_to_pair_is_refused_with_its_cause(tmp_path):
    before = {"law": task(graded("0110"))}
    chat = task([item(n, {"acc": 1.0}, prompt=f"<|user|>Q: question {n}\nA:") for n in range(4)])
    text = refused(tmp_path, before, {"law": chat})
    assert text == (
        "law: none of its 4 items before and 4 after can be paired: the models were given other prompts, such as "
        "'Q: question 0\\nA:' before and '<|user|>Q: question 0\\nA:' after. Evaluate both with the same few-shot "
        "examples, system instruction and chat template."
    )
    others = task([item(n, {"acc": 1.0}, doc={"question": f"other {n}", "answer": 0}) for n in range(4)])
    assert "what stands under one number is another question" in refused(tmp_path, before, {"law": others})
    apart = task([item(n, {"acc": 1.0}) for n in range(10, 14)])
    assert "they have no item number in common" in refused(tmp_path, before, {"law": apart})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": {"num_fewshot": 5}}, "law: `num_fewshot` was 0 in "),
        ({"version": 2.0}, "law: `version` was 1.0 in "),
        ({"config": {"filter_list": [{"name": "x"}]}}, '`filter_list` was [{"name": "none"}] in '),
    ],
)
def test_scores_of_another_meaning_are_refused(tmp_path, changes, said):
    config = {"filter_list": [{"name": "none"}]}
    after = task(graded("01"), **{**changes, "config": config | changes.get("config", {})})
    text = refused(tmp_path, {"law": task(graded("01"), config=config)}, {"law": after})
    assert said in text
    assert text.endswith("Evaluate both models with the same task and settings.")


def test_where_a_function_lay_in_memory_is_no_difference(tmp_path):
    one, other = (
        task(graded("01"), config={"process_results": f"functools.partial(<function f at 0x7f{place}>)"})
        for place in ("00ab", "99cd")
    )
    assert paired(tmp_path, {"law": one}, {"law": other}).tasks[0].paired == 2


def test_other_conditions_are_told(tmp_path):
    one, other = (task(graded("01"), config={"generation_kwargs": {"max_gen_toks": n}}) for n in (64, 256))
    (note,) = paired(tmp_path, {"law": one}, {"law": other}).notes
    assert note == (
        'law: generation_kwargs was {"max_gen_toks": 64} before, {"max_gen_toks": 256} after: part of what changed '
        "may come from that."
    )


def test_a_metric_of_one_side_is_told_and_the_rest_is_paired(tmp_path):
    before = [item(n, {"acc": 1.0, "acc_norm": 0.0}) for n in range(3)]
    found = paired(tmp_path, {"law": task(before)}, {"law": task(graded("011"))})
    assert list(found.before["lm_eval"].values) == ["acc"]
    assert found.notes == ["law: acc_norm of lm_eval cannot be paired: it was not measured alike after."]
    only = {"law": task([item(n, {"f1": 1.0}) for n in range(3)])}
    assert "have no metric in common" in refused(tmp_path, {"law": task(graded("011"))}, only)


def test_several_tasks_count_together_over_what_all_have(tmp_path):
    civil = [item(n, {"f1": 0.5, "acc": 1.0}) for n in range(2)]
    tasks = {"penal": task(graded("011")), "civil": task(civil)}
    found = paired(tmp_path, tasks, tasks, Choice("law", "civil"), Choice("law", "penal"))
    assert found.before["lm_eval"].rows == ("civil/0", "civil/1", "penal/0", "penal/1", "penal/2")
    assert found.before["lm_eval"].values == {"acc": (1, 1, 0, 1, 1)}


def test_the_metric_and_filter_asked_for_stand_for_the_task(tmp_path):
    loose = [item(n, {"exact_match": 1.0, "f1": 0.0}, filter="loose") for n in range(2)]
    samples = [*[item(n, {"exact_match": 0.0, "f1": 0.0}, filter="strict") for n in range(2)], *loose]
    tasks = {"law": task(samples)}
    found = paired(tmp_path, tasks, tasks, Choice("law", "law", "f1", "loose"))
    assert (found.headline, next(iter(found.before[found.headline].values))) == ("lm_eval (loose)", "f1")
    assert paired(tmp_path, tasks, tasks).headline == "lm_eval"
    text = refused(tmp_path, tasks, tasks, Choice("law", "law", "bleu"))
    assert "no metric 'bleu'; there are exact_match (lm_eval), f1 (lm_eval), exact_match (lm_eval (loose))" in text


def test_filters_are_paired_by_name_and_those_of_one_side_are_told(tmp_path):
    """The first filter of one side may be another than that of the other."""
    loose = graded("1111", "exact_match", filter="flexible-extract")
    both = task([*graded("0000", "exact_match", filter="strict-match"), *loose])
    for place, (before, after) in enumerate(((both, task(loose)), (task(loose), both))):
        found = paired(tmp_path / str(place), {"law": before}, {"law": after})
        assert found.before[found.headline].values == found.after[found.headline].values == {"exact_match": (1,) * 4}
        assert len(found.before) == len(found.after) == 1
        side = ("after", "before")[place]
        assert found.notes == [
            f"law: exact_match of lm_eval (strict-match) cannot be paired: it was not measured alike {side}."
        ]


def test_filters_in_another_order_are_paired_by_name(tmp_path):
    strict = graded("0110", "exact_match", filter="strict-match")
    loose = graded("1111", "exact_match", filter="flexible-extract")
    found = paired(tmp_path, {"law": task([*strict, *loose])}, {"law": task([*loose, *strict])})
    assert found.before == found.after
    assert found.before["lm_eval"].values == {"exact_match": (0, 1, 1, 0)}
    assert found.before["lm_eval (flexible-extract)"].values == {"exact_match": (1, 1, 1, 1)}


def test_filters_without_one_in_common_are_refused(tmp_path):
    one, other = (task(graded("01", "exact_match", filter=name)) for name in ("strict-match", "loose"))
    text = refused(tmp_path, {"law": one}, {"law": other})
    assert "law: before and after have no metric in common: exact_match of lm_eval (strict-match) in " in text
    assert "exact_match of lm_eval (loose) in " in text


@pytest.mark.parametrize(
    "key", ["filter_list", "process_results", "doc_to_choice", "metric_list", "repeats", "num_fewshot", "output_type"]
)
def test_a_setting_of_one_side_only_is_another_setting(tmp_path, key):
    """The harness writes no settings that are not set; what is not set on both sides is alike."""
    without = task(graded("01"))
    without["config"].pop(key, None)
    without["config"].setdefault("num_fewshot", None)
    given = task(graded("01"), config={key: "given"})
    for place, (before, after) in enumerate(((given, without), (without, given))):
        text = refused(tmp_path / str(place), {"law": before}, {"law": after})
        assert f"law: `{key}` was " in text
        assert "not set in " in text
    assert paired(tmp_path / "alike", {"law": without}, {"law": without}).tasks[0].paired == 2


def test_a_condition_of_one_side_only_is_told(tmp_path):
    given, without = task(graded("01"), config={"dataset_name": "main"}), task(graded("01"))
    assert (
        "law: dataset_name was main before, not set after"
        in paired(tmp_path / "a", {"law": given}, {"law": without}).notes[0]
    )
    assert (
        "law: dataset_name was not set before, main after"
        in paired(tmp_path / "b", {"law": without}, {"law": given}).notes[0]
    )


def test_a_version_is_a_number_however_it_is_written(tmp_path):
    one, other = (task(graded("01"), version=version) for version in (1, 1.0))
    assert paired(tmp_path / "a", {"law": one}, {"law": other}).tasks[0].paired == 2
    text = refused(tmp_path / "b", {"law": one}, {"law": task(graded("01"), version=1.1)})
    assert "`version` was 1.0 in " in text
