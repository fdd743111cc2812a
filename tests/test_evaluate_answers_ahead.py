"""Domains are answered together in batches that hang on them alone, and nothing else changes by it."""

from pathlib import Path

import pytest
from as_saved import plain
from evaluated import Told, asked_rows, domain_of, loaded

from mixplan.evaluate import answering, answers_ahead, evaluate
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.answers_ahead import Posed, runs_of
from mixplan.recipe import EvaluateSpec
from mixplan.runs import cache_folder

NAMES = ("d0", "d1", "d2", "d3")
SPEC = EvaluateSpec(answer_tokens=6, behaviour_tokens=4, also=["behaviour"], rows=9)


def domains():
    """Four that are graded by answers, of two to five rows of their own."""
    rows = [asked_rows(count)[count - size :] for count, size in ((4, 4), (7, 3), (9, 2), (14, 5))]
    return {name: domain_of(name, each, grader="exact") for name, each in zip(NAMES, rows, strict=True)}


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """How many rows each generation answered, in a cache of its own."""
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    made, counts = answering.generate, []
    monkeypatch.setattr(answering, "generate", lambda model, texts, **given: (
        counts.append(len(texts)), made(model, texts, **given))[1])  # fmt: skip
    return counts


def measured(model, spec=SPEC, watcher=None):
    return evaluate(model, None, domains(), spec=spec, folder=Path(), watcher=watcher or Told())


def test_domains_are_answered_at_once_and_measures_are_as_alone(tiny_model, asked, monkeypatch, tmp_path):
    model, told = loaded(tiny_model), Told()
    together = measured(model, watcher=told)
    assert asked == [14]
    assert ("untrained model's answers, d0, d1, d2, d3", 14, "rows") in told.stages
    asked.clear()
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(answers_ahead, "runs_of", lambda parts: ([part] for part in parts))
    alone = measured(model)
    assert asked == [4, 3, 2, 5]
    assert plain(together) == plain(alone)


def test_own_answers_alone_are_made_together_too(tiny_model, asked):
    likelihood = SPEC.model_copy(update={"measures": {name: "likelihood" for name in domains() if name != "d1"}})
    measured(loaded(tiny_model), likelihood)
    # The one that is graded has another length of answer, and no second domain of it.
    assert sorted(asked) == [3, 11]


def test_an_evaluation_that_was_stopped_answers_in_the_same_batches(tiny_model, asked, monkeypatch):
    model = loaded(tiny_model)

    class Stopped(Told):
        def stage(self, name, total, unit):
            if "d2 (3 of 4)" in name:
                raise KeyboardInterrupt
            super().stage(name, total, unit)

    with pytest.raises(KeyboardInterrupt):
        measured(model, watcher=Stopped())
    first = measured(model)
    assert asked == [14, 14]
    again = Told()
    assert plain(measured(model, watcher=again)) == plain(first)
    assert asked == [14, 14]
    assert again.stages == []


def test_own_answers_are_cut_from_what_was_answered_together_after_a_stop_too(tiny_model, asked):
    """Stopped behind the last graded answers and before the same domain's own ones, which are their beginning."""
    model = loaded(tiny_model)

    class Stopped(Told):
        def stage(self, name, total, unit):
            if name == "untrained model, d3 (4 of 4): behaviour":
                raise KeyboardInterrupt
            super().stage(name, total, unit)

    with pytest.raises(KeyboardInterrupt):
        measured(model, watcher=Stopped())
    kept = max((cache_folder() / "evaluation").rglob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    kept.unlink()  # d3's own answers, which were written last
    measured(model)
    assert asked == [14, 14]


def test_an_answer_that_is_known_longer_stays(tiny_model, asked):
    known, rows = Answering(loaded(tiny_model)), asked_rows(3)
    _, longer = known.answers(rows, answer_tokens=6, advance=lambda _: None)
    assert known.answered(rows, answer_tokens=6)
    assert not known.answered(rows, answer_tokens=7)
    assert not known.answered(asked_rows(4), answer_tokens=2)
    known.answers(asked_rows(4), answer_tokens=2, advance=lambda _: None)
    assert known.answers(rows, answer_tokens=6, advance=lambda _: None)[1] == longer
    assert asked == [3, 4]


def test_runs_keep_the_order_and_the_most_rows():
    parts = [Posed(name, None, range(count)) for name, count in zip("abcdef", (30, 20, 20, 100, 5, 64), strict=True)]
    assert [[one.name for one in run] for run in runs_of(parts)] == [["a", "b"], ["c"], ["d"], ["e"], ["f"]]
    assert [[one.name for one in run] for run in runs_of(parts, 1000)] == [list("abcdef")]
    assert list(runs_of([])) == []
