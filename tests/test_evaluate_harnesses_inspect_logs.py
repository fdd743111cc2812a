"""Logs of inspect_ai are read as its own library reduces them; what has no number is left out and told."""

import os
from types import SimpleNamespace as Thing

import pytest

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses import inspect_logs
from mixplan.evaluate.harnesses.find import read_harness
from mixplan.evaluate.harnesses.inspect_logs import read_logs, task_of


class Message(Thing):
    role = "user"


def sample(number, scores, text="pick one"):
    return Thing(
        id=number, epoch=1, input=f"question {number}", choices=None, target="A",
        messages=[Message(text=text), Thing(role="assistant", text="A")],
        scores={name: Thing(value=value, answer="A") for name, value in scores.items()},
    )  # fmt: skip


def reduction(scorer, values, reducer=None):
    found = [Thing(sample_id=number, value=value) for number, value in enumerate(values, 1)]
    return Thing(scorer=scorer, reducer=reducer, samples=found)


def log(samples, reductions, scores, **changes):
    """A log as the library hands it out; `scores` are scorer, name and figures by metric."""
    config = Thing(model_dump=lambda **_: {"epochs": 1})
    results = Thing(
        headline=None,
        scores=[
            Thing(scorer=scorer, name=name, metrics={metric: Thing(value=value) for metric, value in figures.items()})
            for scorer, name, figures in scores
        ],
    )
    fields = {
        "status": "success", "samples": samples, "reductions": reductions, "results": results,
        "plan": Thing(steps=[Thing(solver="generate", params={})]),
        "eval": Thing(task="law", task_version=0, model="org/base", packages={"inspect_ai": "0.3.285"}, config=config,
                      scorers=[], model_generate_config=Thing(model_dump=lambda **_: {})),
    }  # fmt: skip
    return Thing(**fields | changes)


def task(tmp_path, *arguments, **changes):
    return task_of(tmp_path / "x.eval", "law", log(*arguments, **changes))


def test_right_and_wrong_are_accuracy_and_of_other_numbers_no_side_is_known_to_be_better(tmp_path):
    samples = [sample(n, {"match": "C" if n > 1 else "I", "size": 3.0 * n}) for n in (1, 2, 3)]
    found = task(
        tmp_path, samples, [reduction("match", [0.0, 1.0, 1.0]), reduction("size", [3.0, 6.0, 9.0])],
        [("match", "match", {"accuracy": 2 / 3}), ("size", "size", {"mean": 6.0})],
    )  # fmt: skip
    assert found.better == {"inspect": {"accuracy": 1}, "inspect (size)": {"size": 0}}
    assert found.items["1"].values == {"inspect": {"accuracy": 0.0}, "inspect (size)": {"size": 3.0}}
    assert (found.items["1"].question, found.items["1"].answers["inspect"]) == ("pick one", "A")
    assert found.notes == ["law: the log does not say whether more of size is better."]


def test_what_inspect_ai_takes_for_zero_is_left_out(tmp_path):
    """A score's text that is no number becomes 0 there."""
    samples = [sample(n, {"match": "C", "verdict": "rather good"}) for n in (1, 2)]
    found = task(
        tmp_path, samples, [reduction("match", [1.0, 1.0]), reduction("verdict", [0.0, 0.0])],
        [("match", "match", {"accuracy": 1.0}), ("verdict", "verdict", {"mean": 0.0})],
    )  # fmt: skip
    assert found.better == {"inspect": {"accuracy": 1}}
    assert found.notes == ["law: verdict is left out: its scores are texts such as 'rather good'."]


def test_parts_of_a_score_are_quantities_and_figures_must_follow_from_samples(tmp_path):
    samples = [sample(n, {"both": {"a": 1, "b": 0.5}}) for n in (1, 2)]
    parts = [{"a": 1.0, "b": 0.5}, {"a": 0.0, "b": 0.5}]
    scores = [("both", "a", {"accuracy": 0.5}), ("both", "b", {"mean": 0.9})]
    found = task(tmp_path, samples, [reduction("both", parts), reduction("both", parts, "max")], scores)
    assert found.better == {"inspect": {"a": 1}}
    assert found.notes == [
        "law: both by 'max' is left out; its first reduction counts.",
        "law: b is left out: its figure in the log, 0.9, is not the mean of its samples, 0.5.",
    ]


def test_a_log_that_ended_early_counts_as_far_as_it_goes(tmp_path):
    samples = [sample(n, {"match": "C"}) for n in (1, 2, 3)]
    scores = [("match", "match", {"accuracy": 1.0})]
    found = task(tmp_path, samples, [reduction("match", [1.0, 1.0])], scores, status="cancelled")
    assert list(found.items) == ["1", "2"]
    assert found.notes == [
        "law: the log ended with the status 'cancelled'.",
        "law: 1 of 3 samples have no score and are left out.",
    ]
    for samples_there, said in (([], "holds no samples (its status is 'error')"), (samples, "no score of 'law' is a")):
        with pytest.raises(EvaluateError) as caught:
            task(tmp_path, samples_there, [], [], status="error")
        assert said in str(caught.value)


def test_logs_of_two_models_or_twice_of_one_task_are_refused(tmp_path, monkeypatch):
    def made(file, *, header_only=False):
        found = log([sample(1, {"m": "C"})], [reduction("m", [1.0])], [("m", "m", {"accuracy": 1.0})])
        found.eval.model, found.eval.task = file.stem.split("-")
        return found

    monkeypatch.setattr(inspect_logs, "read_log", made)
    files = [tmp_path / name for name in ("one-law.eval", "two-art.eval", "one-law.json")]
    assert list(read_logs(tmp_path, files[:1]).tasks) == ["law"]
    with pytest.raises(EvaluateError, match=r"holds logs of several models \(one in one-law.eval, two in two-art"):
        read_logs(tmp_path, files[:2])
    with pytest.raises(EvaluateError, match=r"the task 'law' was evaluated twice: one-law.eval and one-law.json"):
        read_logs(tmp_path, [files[0], files[2]])


def test_without_the_library_it_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect_logs.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "a.eval").write_bytes(b"PK")
    with pytest.raises(EvaluateError, match=r"Install it with `pip install 'mixplan\[inspect\]'`"):
        read_harness(tmp_path)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Real logs of the library's own mock model, in both forms; it counts tokens without asking the network."""
    import tiktoken
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, get_model
    from inspect_ai.scorer import choice
    from inspect_ai.solver import multiple_choice

    os.environ["INSPECT_DISPLAY"] = "none"
    letters = {bytes([n]): n for n in range(256)}
    encoding = tiktoken.Encoding("bytes", pat_str=".", mergeable_ranks=letters, special_tokens={})
    folder = tmp_path_factory.mktemp("logs")
    asked = MemoryDataset([Sample(input=f"Question {n}?", choices=["x", "y"], target="A", id=n) for n in range(8)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiktoken, "get_encoding", lambda name: encoding)
        patch.setattr(tiktoken, "encoding_for_model", lambda name: encoding)
        for form in ("eval", "json"):
            answers = [ModelOutput.from_content("mockllm/model", f"ANSWER: {'AB'[n % 3 == 0]}") for n in range(8)]
            model = get_model("mockllm/model", custom_outputs=answers)
            task = Task(name="law", dataset=asked, solver=multiple_choice(), scorer=choice())
            eval(task, model=model, log_dir=str(folder / form), log_format=form, display="none", max_samples=1)
    return folder


@pytest.mark.inspect
def test_real_logs_in_both_forms_are_read_alike(logs):
    one, other = (read_harness(logs / form) for form in ("eval", "json"))
    assert one.model == other.model == "mockllm/model"
    assert one.harness.startswith("inspect_ai 0.")
    assert one.tasks["law"].items == other.tasks["law"].items
    assert one.tasks["law"].better == {"inspect": {"accuracy": 1}}
    assert sorted(item.values["inspect"]["accuracy"] for item in one.tasks["law"].items.values()) == [0.0] * 3 + [1] * 5


@pytest.mark.inspect
def test_damaged_real_logs_are_refused(logs, tmp_path):
    for file in (*(logs / "eval").iterdir(), *(logs / "json").iterdir()):
        data = file.read_bytes()
        for part in (0.3, 0.99):
            cut = tmp_path / f"cut{file.suffix}"
            cut.write_bytes(data[: int(part * len(data))])
            with pytest.raises(EvaluateError, match="inspect_ai cannot read this log; it is damaged or cut off"):
                list(read_harness(cut).tasks.values())
