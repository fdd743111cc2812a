"""lm-evaluation-harness tasks on exactly the held-out rows, against the harness's own `hf` backend."""

import contextlib
import dataclasses
import importlib.util
import io
import json

import pytest
import yaml
from evaluated import choice_rows, domain_of, loaded

from mixplan.domains import read_rows
from mixplan.errors import DataError, EvaluateError
from mixplan.evaluate.harness import documents as documents_of
from mixplan.evaluate.harness import load_task, measure_task
from mixplan.recipe import ColumnsSpec, DataSpec, DomainSpec

OPTIONS = ["red fox", "lazy dog jumps over", "brown", "42"]


@pytest.fixture
def documents(tmp_path):
    """Twelve questions as a JSONL file, and the same as a domain's rows."""
    lines = [
        {"question": f"which animal is number {n} ?", "choices": OPTIONS, "answer": n % 4, "solved": f"{n}"}
        for n in range(12)
    ]
    path = tmp_path / "docs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    spec = DomainSpec(
        data=DataSpec(file="docs.jsonl"),
        format="choice",
        columns=ColumnsSpec(question="question", options="choices", answer="answer"),
    )
    rows = tuple(read_rows(spec, folder=tmp_path, seed=0))
    domain = domain_of("animals", rows)
    return dataclasses.replace(domain, spec=spec)


def write_task(tmp_path, **changes):
    task = {
        "task": "animals_task",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "docs.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (tmp_path / "task.yaml").write_text(
        yaml.safe_dump({key: v for key, v in (task | changes).items() if v is not None})
    )
    return "task.yaml"


def own_backend(model, path, indices):
    """What the harness's `hf` backend gives: its metrics by document."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    with contextlib.redirect_stderr(io.StringIO()):
        manager = TaskManager(include_defaults=False)
        (task,) = manager.load([str(path)])["tasks"].values()
        backend = HFLM(pretrained=model.lm, tokenizer=model.tokenizer, batch_size=3, max_length=512, device="cpu")
        results = simple_evaluate(
            model=backend, tasks=[task], samples={task.config.task: indices}, bootstrap_iters=0,
            apply_chat_template=bool(model.tokenizer.chat_template), task_manager=manager,
        )  # fmt: skip
    return {sample["doc_id"]: sample for sample in results["samples"][task.config.task]}


def measured(model, domain, rows, tmp_path, task):
    told = []
    found = measure_task(model, domain, rows, task=task, folder=tmp_path, advance=told.append)
    assert told == [len(rows)]
    return found


def test_only_held_out_rows_are_run_with_the_accuracies_of_its_own_backend(tiny_model, documents, tmp_path):
    model, rows = loaded(tiny_model), [documents.evaluation[place] for place in (7, 2, 9, 4, 11)]
    found = measured(model, documents, rows, tmp_path, write_task(tmp_path))
    own = own_backend(model, tmp_path / "task.yaml", [2, 4, 7, 9, 11])
    assert set(found.rows) == {row.id for row in rows}
    assert dict(zip(found.rows, found.values["acc"], strict=True)) == {
        documents.evaluation[index].id: sample["acc"] for index, sample in own.items()
    }
    assert list(found.values) == ["acc"]


def test_log_probabilities_are_those_of_its_own_backend(any_model):
    from lm_eval.models.huggingface import HFLM

    from mixplan.evaluate.harness import harness_model, score_requests

    model = loaded(any_model)
    requests = [((1, 50, 51, 52 + n), tuple(range(60, 61 + n % 4))) for n in range(7)]
    requests += [((1, 50, 51, 52), (99,)), (tuple(range(6, 290)) * 2, (7, 8))]  # the last is longer than the window
    ours = score_requests(model, requests)
    asked = [(("", ""), list(context), list(answer)) for context, answer in requests]
    assert harness_model(model)._loglikelihood_tokens(asked, disable_tqdm=True) == ours
    hf = HFLM(pretrained=model.lm, tokenizer=model.tokenizer, batch_size=2, max_length=model.window, device="cpu")
    theirs = hf._loglikelihood_tokens(asked, disable_tqdm=True)
    for (log, greedy), (other, other_greedy) in zip(ours, theirs, strict=True):
        assert log == pytest.approx(other, abs=2e-3)
        assert greedy == other_greedy


@pytest.mark.parametrize("answer", [(), tuple(range(6, 306)) * 2])
def test_an_answer_that_no_token_predicts_is_refused(tiny_model, answer):
    """As the harness's own backend, by an assertion, does: packed, it would have shifted every score behind it."""
    from mixplan.evaluate.harness import score_requests

    with pytest.raises(EvaluateError, match="an answer is that has no token, or more than the model's window of 512"):
        score_requests(loaded(tiny_model), [((1, 50), (60,)), ((1, 51), answer), ((1, 52), (61, 62))])


@pytest.mark.parametrize(("says", "better"), [(True, 1), (False, -1)])
def test_the_task_says_whether_more_is_better(tiny_model, documents, tmp_path, says, better):
    metrics = [{"metric": "acc", "aggregation": "mean", "higher_is_better": says}]
    task = write_task(tmp_path, metric_list=metrics)
    found = measured(loaded(tiny_model), documents, documents.evaluation[:2], tmp_path, task)
    assert found.quality("acc") == better


def test_a_task_that_generates(tiny_model, documents, tmp_path):
    task = write_task(
        tmp_path, output_type="generate_until", doc_to_choice=None, doc_to_target="solved",
        generation_kwargs={"until": ["\n"], "max_gen_toks": 4, "do_sample": False},
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    )  # fmt: skip
    found = measured(loaded(tiny_model), documents, documents.evaluation[:3], tmp_path, task)
    assert list(found.values) == ["exact_match"]
    assert len(found.rows) == 3


def subject_row(subject, number):
    """A row of MMLU-Pro."""
    return {"question_id": number, "question": f"a {subject} question, number {number} ?", "options": OPTIONS,
            "answer": "ABCD"[number % 4], "answer_index": number % 4, "cot_content": "", "category": subject,
            "src": subject}  # fmt: skip


def test_the_subjects_of_mmlu_pro_are_found_through_the_suites_columns(monkeypatch, tmp_path):
    import datasets

    given = [subject_row(subject, number) for number in range(3) for subject in ("law", "history")]
    rows_by_split = datasets.DatasetDict({split: datasets.Dataset.from_list(given) for split in ("test", "validation")})
    monkeypatch.setattr(datasets, "load_dataset", lambda **named: rows_by_split)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given if row["category"] == "law"))
    columns = ColumnsSpec(question="question", options="options", answer="answer", rationale="cot_content")
    spec = DomainSpec(data=DataSpec(file="rows.jsonl"), format="choice", columns=columns)
    rows = tuple(read_rows(spec, folder=tmp_path, seed=0))
    task = load_task("law", "mmlu_pro_law", tmp_path)
    domain = dataclasses.replace(domain_of("law", rows), spec=spec)
    found = documents_of(domain, rows[1:], list(task.eval_docs), "mmlu_pro_law")
    assert found == {1: rows[1].id, 2: rows[2].id}
    assert [doc["category"] for doc in task.eval_docs] == ["law"] * 3


def test_rows_that_the_task_lacks_are_left_out_and_none_is_an_error(tiny_model, documents, tmp_path):
    model, other = loaded(tiny_model), choice_rows(1)[0]
    found = measured(model, documents, [other, documents.evaluation[3]], tmp_path, write_task(tmp_path))
    assert found.rows == (documents.evaluation[3].id,)
    with pytest.raises(DataError) as caught:
        measured(model, documents, [other], tmp_path, "task.yaml")
    assert str(caught.value) == (
        "animals: none of its 1 evaluation rows is among the 12 documents of the task 'task.yaml', read through the "
        "domain's columns; the documents have the columns answer, choices, question, solved. Take the domain's data "
        "from the split that the task evaluates."
    )


def refused(tiny_model, documents, tmp_path, task):
    with pytest.raises(EvaluateError) as caught:
        measured(loaded(tiny_model), documents, documents.evaluation, tmp_path, task)
    return str(caught.value)


def test_a_task_nobody_knows(tiny_model, documents, tmp_path):
    assert refused(tiny_model, documents, tmp_path, "no_such_task_here") == (
        "evaluate.tasks.animals: lm-evaluation-harness knows no task 'no_such_task_here', and there is no file "
        f"{tmp_path / 'no_such_task_here'}. `lm_eval ls tasks` lists its tasks."
    )


def test_a_task_that_cannot_be_loaded(tiny_model, documents, tmp_path):
    task = write_task(tmp_path, dataset_kwargs={"data_files": {"test": str(tmp_path / "gone.jsonl")}})
    assert refused(tiny_model, documents, tmp_path, task).startswith(
        "evaluate.tasks.animals: lm-evaluation-harness cannot load the task 'task.yaml': Unable to find"
    )


def test_a_group_of_tasks(tiny_model, documents, tmp_path):
    assert refused(tiny_model, documents, tmp_path, "mmlu_pro") == (
        "evaluate.tasks.animals: 'mmlu_pro' is a group of tasks; a domain is measured by one. Name one of them, such "
        "as mmlu_pro_biology, mmlu_pro_business, mmlu_pro_chemistry, mmlu_pro_economics, mmlu_pro_engineering, "
        "mmlu_pro_health, mmlu_pro_history, mmlu_pro_law, mmlu_pro_math, mmlu_pro_other, mmlu_pro_philosophy, "
        "mmlu_pro_physics, mmlu_pro_psychology, mmlu_pro_computer_science."
    )


def test_a_metric_of_no_single_item(tiny_model, documents, tmp_path):
    task = write_task(
        tmp_path, output_type="loglikelihood_rolling", doc_to_choice=None, doc_to_text="", doc_to_target="question",
        metric_list=[{"metric": "word_perplexity", "aggregation": "weighted_perplexity", "higher_is_better": False}],
    )  # fmt: skip
    assert refused(tiny_model, documents, tmp_path, task) == (
        "evaluate.tasks.animals: the metric word_perplexity of the task 'task.yaml' is no number for a single item, so "
        "before and after cannot be paired. Choose a task with a metric such as acc or exact_match."
    )


def test_the_harness_is_an_extra(tiny_model, documents, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert refused(tiny_model, documents, tmp_path, "task.yaml") == (
        "animals: the measure `lm_eval` needs the package lm-eval. Install it with `pip install 'mixplan[lm-eval]'`, "
        "or choose another measure."
    )


def saved_by_the_harness(folder, tasks):
    """Results and samples as the harness writes them, of a model whose numbers are known."""
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    class Known(LM):
        def loglikelihood(self, requests):
            return [(-0.5 * number - 0.25, number % 3 == 0) for number, _ in enumerate(requests)]

        def loglikelihood_rolling(self, requests):
            return [-10.0 * (number + 1) for number, _ in enumerate(requests)]

        def generate_until(self, requests):
            return [f"#### {number % 2}, or {number % 4}" for number, _ in enumerate(requests)]

    tracker = EvaluationTracker(output_path=str(folder))
    with contextlib.redirect_stderr(io.StringIO()):
        manager = TaskManager(include_defaults=False, include_path=str(tasks))
        results = simple_evaluate(
            model=Known(), tasks=["choice", "words", "pages", "sums"], task_manager=manager, bootstrap_iters=0,
            log_samples=True, evaluation_tracker=tracker,
        )  # fmt: skip
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name, listed in samples.items():
        tracker.save_results_samples(task_name=name, samples=listed)
    return results["results"]


def test_results_that_the_harness_saves_are_read_back_with_its_own_figures(documents, tmp_path):
    """Four kinds of tasks: graded options, log-likelihoods, whole documents, and answers behind two filters."""
    from mixplan.evaluate.harnesses.find import read_harness

    tasks = tmp_path / "tasks"
    tasks.mkdir()
    base = yaml.safe_load((tmp_path / write_task(tmp_path)).read_text()) | {"metadata": {"version": 1.0}}
    filters = [
        {"name": name, "filter": [{"function": "regex", "regex_pattern": pattern}, {"function": "take_first"}]}
        for name, pattern in (("strict", r"#### (\d)"), ("loose", r"or (\d)"))
    ]
    kinds = {
        "choice": {"metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}, {"metric": "brier_score"}]},
        "words": {"output_type": "loglikelihood", "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
                  "doc_to_target": " {{solved}}"},
        "pages": {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{question}}",
                  "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}]},
        "sums": {"output_type": "generate_until", "doc_to_target": "{{answer}}", "filter_list": filters,
                 "metric_list": [{"metric": "exact_match"}, {"metric": "bleu"}]},
    }  # fmt: skip
    for name, changes in kinds.items():
        value = {key: one for key, one in {**base, "task": name, **changes}.items() if key != "doc_to_choice"}
        value |= {"doc_to_choice": base["doc_to_choice"]} if name == "choice" else {}
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump(value))
    figures = saved_by_the_harness(tmp_path / "out", tasks)
    found = read_harness(tmp_path / "out").tasks

    def mean(task, measure, quantity):
        values = [item.values[measure][quantity] for item in found[task].items.values()]
        return sum(values) / len(values)

    assert {name: len(task.items) for name, task in found.items()} == dict.fromkeys(kinds, 12)
    assert found["choice"].better == {"lm_eval": {"acc": 1, "acc_norm": 1}}
    assert {item.options for item in found["choice"].items.values()} == {len(OPTIONS)}
    assert {item.options for name in ("words", "sums") for item in found[name].items.values()} == {0}
    assert mean("choice", "lm_eval", "acc") == pytest.approx(figures["choice"]["acc,none"])
    assert found["words"].better == {"lm_eval": {"acc": 1, "bits_per_item": -1}}
    assert 2 ** mean("words", "lm_eval", "bits_per_item") == pytest.approx(figures["words"]["perplexity,none"])
    assert found["pages"].better == {"lm_eval": {"bits_per_byte": -1, "bits_per_word": -1}}
    assert found["sums"].better == {"lm_eval": {"exact_match": 1}, "lm_eval (loose)": {"exact_match": 1}}
    assert mean("sums", "lm_eval", "exact_match") == pytest.approx(figures["sums"]["exact_match,strict"])
    assert mean("sums", "lm_eval (loose)", "exact_match") == pytest.approx(figures["sums"]["exact_match,loose"])
    answered = found["sums"].items.values()
    assert {item.answers["lm_eval"] for item in answered} == {"0", "1"}
    assert {item.answers["lm_eval (loose)"] for item in answered} == {"0", "1", "2", "3"}
