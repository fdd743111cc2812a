"""Results of lm-evaluation-harness are read with their samples, and held against each other."""

import json
import math

import pytest
from harness_files import DATES, graded, item, task, write

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.find import read_harness


def refused(place) -> str:
    with pytest.raises(EvaluateError) as caught:
        list(read_harness(place).tasks.values())
    return str(caught.value)


def values(found, measure="lm_eval"):
    return [one.values[measure] for one in found.items.values()]


def test_each_filter_is_a_measure_and_the_first_is_the_headline(tmp_path):
    strict = graded("0110", "exact_match", filter="strict-match", answer="#### 1")
    loose = graded("1111", "exact_match", filter="flexible-extract", answer="1")
    found = read_harness(write(tmp_path, {"math": task([*strict, *loose])}))
    assert (found.harness, found.model, found.dtype) == ("lm-evaluation-harness 0.4.13", "base", "bfloat16")
    math_task = found.tasks["math"]
    assert math_task.better == {"lm_eval": {"exact_match": 1}, "lm_eval (flexible-extract)": {"exact_match": 1}}
    assert [one["exact_match"] for one in values(math_task)] == [0, 1, 1, 0]
    assert [one["exact_match"] for one in values(math_task, "lm_eval (flexible-extract)")] == [1, 1, 1, 1]
    assert math_task.items["1"].answers == {"lm_eval": "#### 1", "lm_eval (flexible-extract)": "1"}
    assert math_task.items["1"].question == "Q: question 1\nA:"


def test_accuracy_stands_for_a_task_that_has_one_and_the_harness_says_which_way_is_better(tmp_path):
    samples = [item(n, {"loss": 0.5, "odd": 1.0, "acc": float(n)}) for n in (0, 1)]
    better = {"loss": False, "odd": None, "acc": True}
    found = read_harness(write(tmp_path, {"law": task(samples, better=better)})).tasks["law"]
    assert found.better == {"lm_eval": {"acc": 1, "loss": -1, "odd": 0}}


def test_a_perplexity_of_log_likelihoods_becomes_bits_with_the_right_sign(tmp_path):
    """Samples of lambada hold log-likelihoods, of which more is better, under the name of a metric of which less is."""
    logs = [-1.5, -3.25, -0.5]
    samples = [item(n, {"perplexity": log}) for n, log in enumerate(logs)]
    figure = math.exp(-sum(logs) / 3)
    written = task(samples, better={"perplexity": False}, figures={"perplexity,none": figure})
    found = read_harness(write(tmp_path, {"lambada": written})).tasks["lambada"]
    assert found.better == {"lm_eval": {"bits_per_item": -1}}
    bits = [one["bits_per_item"] for one in values(found)]
    assert bits[1] == max(bits)
    assert 2 ** (sum(bits) / 3) == pytest.approx(figure)
    assert "compared in bits per item" in found.notes[0]


def test_word_and_byte_perplexities_become_bits_of_each_document(tmp_path):
    pairs = [(-80.0, 10, 50), (-30.0, 5, 20)]
    samples = [item(n, {"word": [log, words], "bytes": [log, size]}) for n, (log, words, size) in enumerate(pairs)]
    rates = [110 / 15, 110 / 70]
    figures = {"word,none": math.exp(rates[0]), "bytes,none": rates[1] / math.log(2)}
    written = task(samples, better={"word": False, "bytes": False}, figures=figures)
    found = read_harness(write(tmp_path, {"wiki": written})).tasks["wiki"]
    assert found.better == {"lm_eval": {"bits_per_byte": -1, "bits_per_word": -1}}
    assert [one["bits_per_word"] for one in values(found)] == pytest.approx([8 / math.log(2), 6 / math.log(2)])
    assert [one["bits_per_byte"] for one in values(found)] == pytest.approx([1.6 / math.log(2), 1.5 / math.log(2)])


def test_what_is_no_number_an_item_is_left_out_and_told(tmp_path):
    samples = [
        item(n, {"acc": float(n), "bleu": ["a", "b"], "brier_score": [0, "[0.5 0.5]"], "median": m, "f1": math.nan})
        for n, m in enumerate((0.0, 0.0, 9.0))
    ]
    figures = {"acc,none": 1.0, "bleu,none": 20.0, "brier_score,none": 0.5, "median,none": 0.0, "f1,none": 0.5}
    found = read_harness(write(tmp_path, {"law": task(samples, figures=figures)})).tasks["law"]
    assert found.better == {"lm_eval": {"acc": 1}}
    assert found.notes == [
        "law: bleu is left out: it is no number for a single item.",
        "law: brier_score is left out: it is no number for a single item.",
        "law: median is left out: its figure in the results, 0, is not the mean of its samples, 3.",
        "law: f1 is left out: some items have no finite number.",
    ]
    only = task([item(0, {"bleu": ["a", "b"]})], figures={"bleu,none": 20.0})
    text = refused(write(tmp_path / "only", {"law": only}))
    assert "no metric of 'law' is a number for each item, so before and after cannot be paired. law: bleu is" in text


def test_samples_are_those_of_the_results_own_date(tmp_path):
    first = write(tmp_path, {"law": task(graded("0000"))})
    second = write(tmp_path, {"law": task(graded("1111"))}, date=DATES[1])
    assert [one["acc"] for one in values(read_harness(first).tasks["law"])] == [0, 0, 0, 0]
    assert [one["acc"] for one in values(read_harness(second).tasks["law"])] == [1, 1, 1, 1]
    assert refused(tmp_path) == (
        f"{tmp_path}: the task 'law' was evaluated twice: {first.name} and {second.name}. Name one of the two files."
    )
    renamed = first.rename(tmp_path / "results.json")
    text = refused(renamed)
    assert f"samples_law_{DATES[0]}.jsonl, samples_law_{DATES[1]}.jsonl. Give the file the harness's own name" in text
    (tmp_path / f"samples_law_{DATES[1]}.jsonl").unlink()
    assert len(read_harness(renamed).tasks["law"].items) == 4
    text = refused(second)
    assert f"expected samples_law_{DATES[1]}.jsonl (there are only samples of other evaluations: samples_law_" in text


def test_a_folder_of_several_evaluations_counts_together(tmp_path):
    write(tmp_path / "base", {"law": task(graded("0000"))})
    write(tmp_path / "base", {"math": task(graded("1111"))}, date=DATES[1])
    assert list(read_harness(tmp_path).tasks) == ["law", "math"]


def test_samples_of_tasks_that_nobody_asks_for_need_not_be_there(tmp_path):
    path = write(tmp_path, {"law": task(graded("01")), "art": task(graded("01"))})
    (tmp_path / f"samples_art_{DATES[0]}.jsonl").unlink()
    found = read_harness(path).tasks
    assert list(found) == ["law", "art"]
    assert len(found["law"].items) == 2


def test_files_without_samples_or_of_another_kind_are_refused_in_words(tmp_path):
    assert "there is no such file or folder; expected results_DATE.json" in refused(tmp_path / "nothing")
    assert "holds no results that mixplan reads; expected results_DATE.json" in refused(tmp_path)
    path = write(tmp_path, {"law": task(graded("01"))})
    samples = tmp_path / f"samples_law_{DATES[0]}.jsonl"
    assert refused(samples).endswith("It is a samples file: name the results file beside it.")
    samples.unlink()
    assert "evaluate with `lm_eval run --log_samples --output_path FOLDER`" in refused(path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text[: text.rindex('{"doc_id"')], "found 3 samples, expected 4 (4 documents, one filter, by"),
        (lambda text: text[:-40], "line 4: no sample: not JSON, or cut off"),
        (lambda text: "", "found 0 samples, expected 4 (4 documents, one filter, by"),
        (lambda text: text.replace('"doc_id": 3', '"doc_id": "x"'), "line 4: no sample: `doc_id`: input should be"),
        (lambda text: text.replace('"doc_id": 3', '"doc_id": 2'), "document 2 stands twice under the filter 'none'"),
        (
            lambda text: text.replace('"doc_hash": "', '"doc_hash": "0'),
            "its items and prompts are not those of results",
        ),
        (lambda text: text + text, "document 0 stands twice under the filter 'none'"),
    ],
)
def test_damaged_samples_are_refused_by_what_is_wrong(tmp_path, spoil, said):
    one = task(graded("0101"))
    path = write(tmp_path, {"law": one}, task_hashes={} if "twice" in said else {"law": "0" * 64})
    if "not those" not in said:
        results = json.loads(path.read_text())
        path.write_text(json.dumps({**results, "task_hashes": {}}))
    samples = tmp_path / f"samples_law_{DATES[0]}.jsonl"
    samples.write_text(spoil(samples.read_text()))
    assert said in refused(path)


def test_cut_off_results_are_refused(tmp_path):
    path = write(tmp_path, {"law": task(graded("0101"))})
    whole = path.read_text()
    for part in (0.2, 0.9):
        path.write_text(whole[: int(part * len(whole))])
        assert "no results of lm-evaluation-harness: not JSON, or cut off" in refused(path)


def test_older_files_are_read_that_say_less(tmp_path):
    """Before version 0.4.3 samples had no hashes, and arguments were lists."""
    samples = graded("01")
    for one in samples:
        for key in ("doc_hash", "prompt_hash", "target_hash", "metrics"):
            del one[key]
        one["arguments"] = [["Q: the same\nA:", " a"], ["Q: the same\nA:", " b"]]
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / f"samples_law_{DATES[0]}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in samples))
    path = folder / f"results_{DATES[0]}.json"
    path.write_text(json.dumps({
        "results": {"law": {"acc,none": 0.5, "acc_stderr,none": 0.1, "alias": "law"}},
        "configs": {"law": {"metric_list": [{"metric": "acc", "higher_is_better": True}]}},
        "config": {"model_args": "pretrained=org/base,dtype=bfloat16"},
    }))  # fmt: skip
    found = read_harness(path)
    assert found.model == "org/base"
    assert found.tasks["law"].better == {"lm_eval": {"acc": 1}}
    assert found.tasks["law"].items["0"].question == "Q: the same\nA:"


def test_results_of_several_models_in_one_folder_are_refused(tmp_path):
    write(tmp_path / "base", {"law": task(graded("0000"))})
    write(tmp_path / "tuned", {"math": task(graded("1111"))}, model="tuned", date=DATES[1])
    assert refused(tmp_path) == (
        f"{tmp_path}: holds results of several models (base in base/results_{DATES[0]}.json, tuned in "
        f"tuned/results_{DATES[1]}.json). Name the results of one."
    )


@pytest.mark.parametrize("adapted", ["pretrained=base,peft=lora", {"pretrained": "base", "peft": "lora"}])
def test_a_model_with_an_adapter_is_another_model(tmp_path, adapted):
    """The harness names both by the base model alone."""
    plain = {"model_dtype": "torch.bfloat16", "model_args": "pretrained=base,dtype=bfloat16"}
    write(tmp_path / "a", {"law": task(graded("00"))}, config=plain)
    write(tmp_path / "b", {"math": task(graded("11"))}, config={**plain, "model_args": adapted})
    text = refused(tmp_path)
    assert f"(base in a/results_{DATES[0]}.json, base (peft=lora) in b/results_{DATES[0]}.json)" in text


def test_versions_and_types_that_differ_within_a_folder_are_told(tmp_path):
    write(tmp_path / "a", {"law": task(graded("00"))})
    write(
        tmp_path / "b", {"math": task(graded("11"))}, lm_eval_version="0.4.9",
        config={"model_args": "pretrained=base", "model_dtype": "torch.float32"},
    )  # fmt: skip
    found = read_harness(tmp_path)
    assert (found.harness, found.dtype) == ("lm-evaluation-harness 0.4.13 and 0.4.9", "bfloat16 and float32")
    name = f"results_{DATES[0]}.json"
    assert found.notes == [
        f"The results in {tmp_path} differ in the {what} ({one} in a/{name}, {other} in b/{name}): tasks may not be "
        "measured alike."
        for what, one, other in (
            ("version of the harness", "0.4.13", "0.4.9"),
            ("compute type", "bfloat16", "float32"),
        )
    ]
    assert read_harness(tmp_path / "a").notes == []


def test_results_that_are_a_list_are_refused_in_words(tmp_path):
    path = write(tmp_path, {"law": task(graded("01"))})
    path.write_text(f"[{path.read_text()}]")
    assert "no results of lm-evaluation-harness: a JSON list, where an object (`{…}`) is expected. Evaluate" in refused(
        path
    )
